"""An explanation as a page: one file, without a network, to step through in a browser.

The page is put together from files that are read as they are: `page.html`, `page.css`, `compute.js`
(what is computed anew when an input is changed) and `page.js` (everything that is seen).
"""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from backpass.core.explain.model import Trace
from backpass.core.explain.page.data import data_of
from backpass.core.explain.page.graph import body, colors
from backpass.core.explain.pictures.folding import diagram_of
from backpass.core.explain.pictures.layout import place

#: How many boxes the graph has at most.
BOXES = 1500
#: So wide are boxes at least, in letters: other inputs make longer numbers.
LETTERS = 18


def text_of(trace: Trace) -> str:
    """Return the page.

    Raises
    ------
    ImportError
        If igraph is not installed, which lays the graph out.
    """
    diagram = diagram_of(trace, BOXES, details=False)
    placed = place(diagram, letters=LETTERS, lines=3)
    # "<" would let a text end the script that it stands in.
    data = json.dumps(data_of(trace, diagram), separators=(",", ":"), allow_nan=False)
    return Template(_file("page.html")).substitute(
        title=escape(trace.name),
        graph_title=escape(f"{diagram.title}. {diagram.description}"),
        css=Template(_file("page.css")).substitute(colors=colors()),
        compute=_file("compute.js"),
        page=_file("page.js"),
        data=data.replace("<", "\\u003c"),
        graph=body(placed),
        width=f"{placed.width:.0f}",
        height=f"{placed.height:.0f}",
    )


def write(trace: Trace, path: Path) -> None:
    """Write the page into a file."""
    path.write_text(text_of(trace), encoding="utf-8")


def _file(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")
