"""What `explain` returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backpass.core.explain.model import Trace


@dataclass(frozen=True, slots=True)
class Explanation(Trace):
    """The steps of a function, forward and backward, to be looked at.

    In a terminal `print` shows it; a notebook shows it by itself; `save` writes it into a file.
    The attributes are numbers and text, and refer to no graph.

    Attributes
    ----------
    name
        The function's name.
    variables
        Arguments, constants and results, in the order in which they came to be.
    output
        The index of the variable that the function returned.
    steps
        The way back, from the output to the arguments.
    gradients
        What `grad` returns for the same call.

    Examples
    --------
    >>> from backpass.core import explain
    >>> explained = explain(lambda x: x * x)(3.0)
    >>> explained.gradients
    np.float64(6.0)
    >>> [(v.label, v.call, str(v.value)) for v in explained.variables]
    [('x', '', '3.0'), ('v1', 'x * x', '9.0')]
    >>> [c.named for step in explained.steps for c in step.contributions]
    ['dv1 * x', 'dv1 * x']
    """

    def __str__(self) -> str:
        from backpass.core.explain import text

        return text.write(self)

    def __repr__(self) -> str:
        return f"<Explanation of {self.name}: {len(self.steps)} steps back; print() shows them>"

    def _repr_html_(self) -> str:
        from backpass.core.explain import tables

        return tables.html(self)

    def save(self, path: str | Path) -> Path:
        """Write the explanation into a file, and return the path.

        The ending says how: `.txt` as in a terminal; `.md` with tables; `.html` a page that works
        without a network, on which a reader steps forward and backward; `.svg`, `.png`, `.dot` and
        `.mmd` a picture of the graph.

        Raises
        ------
        ValueError
            If the ending is another.

        Examples
        --------
        >>> import pathlib, tempfile
        >>> from backpass.core import explain
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = explain(lambda x: x * x)(3.0).save(f"{folder}/square.txt")
        ...     print(path.read_text().splitlines()[-1])
          dx = 6.0
        """
        path = Path(path)
        writer = _WRITERS.get(path.suffix.lower())
        if writer is None:
            raise ValueError(
                f"save({str(path)!r}): the ending {path.suffix!r} is unknown: "
                f"use one of {', '.join(_WRITERS)}"
            )
        writer(self, path)
        return path


def _text(explanation: Any, path: Path) -> None:
    path.write_text(f"{explanation}\n", encoding="utf-8")


def _markdown(explanation: Any, path: Path) -> None:
    from backpass.core.explain import tables

    path.write_text(tables.markdown(explanation), encoding="utf-8")


def _page(explanation: Any, path: Path) -> None:
    from backpass.core.explain import page

    page.write(explanation, path)


def _picture(explanation: Any, path: Path) -> None:
    from backpass.core.explain.pictures import Picture

    Picture(explanation).save(path)


_WRITERS: dict[str, Callable[[Any, Path], None]] = {
    ".txt": _text,
    ".md": _markdown,
    ".html": _page,
    ".svg": _picture,
    ".png": _picture,
    ".dot": _picture,
    ".mmd": _picture,
}
