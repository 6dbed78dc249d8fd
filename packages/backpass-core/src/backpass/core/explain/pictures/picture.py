"""A picture of a graph, in whichever form it is asked for."""

from __future__ import annotations

import os
from pathlib import Path

from backpass.core.explain.model import Trace
from backpass.core.explain.pictures import dot, mermaid, png, svg
from backpass.core.explain.pictures.folding import diagram_of
from backpass.core.explain.pictures.layout import Placed, place

#: How many boxes a picture has at most, unless it is told otherwise.
BOXES = 60


class Picture:
    r"""The graph of a function's call, or of a Tensor: a box for each operation, or for many.

    In a notebook it shows itself.  Inputs are round, the output is green, what is not
    differentiated is dashed; each box holds its variable's value and gradient.  What is used twice
    is drawn once, with two arrows.  Of more than `boxes` operations those that follow one another
    are folded: calls of functions and named regions first.

    SVG and PNG are laid out by igraph, PNG is drawn by matplotlib: `pip install
    'backpass-core[draw]'`.  DOT and Mermaid need nothing.

    Parameters
    ----------
    trace
        What `explain` returned.
    boxes
        How many boxes there are at most, about; at least 4.

    Raises
    ------
    ValueError
        If `boxes` is smaller.

    Examples
    --------
    >>> from backpass.core import draw
    >>> print("\n".join(draw(lambda x: x * x, 3.0).mermaid().splitlines()[:5]))
    flowchart TD
      n0(["x<br/>value 3.0<br/>grad 6.0"]):::input
      n1(["v1 = x #42; x<br/>value 9.0<br/>grad 1.0"]):::output
      n0 --> n1
      n0 --> n1
    """

    def __init__(self, trace: Trace, boxes: int = BOXES) -> None:
        if boxes < 4:
            raise ValueError(f"boxes={boxes}: a picture needs at least 4")
        self._trace = trace
        self.diagram = diagram_of(trace, boxes)
        self._placed: Placed | None = None

    def __repr__(self) -> str:
        return f"<Picture: {self.diagram.title}, {len(self.diagram.boxes)} boxes>"

    def folded(self, boxes: int) -> Picture:
        """Return the picture with at most `boxes` boxes: at least 4.

        Raises
        ------
        ValueError
            If `boxes` is smaller.
        """
        return Picture(self._trace, boxes)

    def placed(self) -> Placed:
        """Return the picture's layout, computed once."""
        if self._placed is None:
            self._placed = place(self.diagram)
        return self._placed

    def svg(self) -> str:
        """Return the picture as SVG; it follows the reader's choice of a light or dark screen.

        Raises
        ------
        ImportError
            If igraph is not installed.
        """
        return svg.write(self.placed())

    def _repr_svg_(self) -> str:
        return self.svg()

    def png(self, scale: float = 2.0) -> bytes:
        """Return the picture as a PNG file, `scale` pixels for each of the SVG.

        Raises
        ------
        ImportError
            If igraph or matplotlib is not installed.
        ValueError
            If `scale` is not positive.
        """
        if not scale > 0:
            raise ValueError(f"scale={scale}: it must be positive")
        return png.write(self.placed(), scale)

    def dot(self) -> str:
        """Return the picture in Graphviz's language DOT."""
        return dot.write(self.diagram)

    def mermaid(self) -> str:
        """Return the picture as a Mermaid flowchart, which Markdown on GitHub draws."""
        return mermaid.write(self.diagram)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture into a file: `.svg`, `.png`, `.dot` or `.mmd` (Mermaid).

        Raises
        ------
        ValueError
            If the name ends otherwise.
        ImportError
            If a library that the form needs is not installed.
        """
        path = Path(path)
        forms = {".svg": self.svg, ".dot": self.dot, ".mmd": self.mermaid}
        if path.suffix == ".png":
            path.write_bytes(self.png())
        elif path.suffix in forms:
            path.write_text(forms[path.suffix](), encoding="utf-8")
        else:
            raise ValueError(f"{path.name}: a picture's file ends in .svg, .png, .dot or .mmd")
