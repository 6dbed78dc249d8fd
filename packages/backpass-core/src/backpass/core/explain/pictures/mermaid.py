"""A diagram as a Mermaid flowchart, which Markdown on GitHub and elsewhere shows as a picture.

The language: https://mermaid.js.org/syntax/flowchart.html.
"""

from __future__ import annotations

from backpass.core.explain.pictures.diagram import Box, Diagram
from backpass.core.explain.pictures.svg import COLORS

_SHAPES = {
    "input": '(["{}"])',
    "output": '(["{}"])',
    "operation": '["{}"]',
    "constant": '["{}"]',
    "fold": '[["{}"]]',
}


def write(diagram: Diagram) -> str:
    """Return the diagram as a flowchart from top to bottom."""
    lines = ["flowchart TD", *(f"  n{box.key}{_shape(box)}:::{box.look}" for box in diagram.boxes)]
    for arrow in diagram.arrows:
        source, target = (diagram.boxes[i].key for i in (arrow.source, arrow.target))
        lines.append(f"  n{source} {'-->' if arrow.carries else '-.->'} n{target}")
    for look in sorted({box.look for box in diagram.boxes}):
        fill, edge, ink = COLORS[look][0], COLORS[look + "-edge"][0], COLORS["ink"][0]
        lines.append(f"  classDef {look} fill:{fill},stroke:{edge},color:{ink}")
    return "\n".join([*lines, ""])


def _shape(box: Box) -> str:
    return _SHAPES[box.look].format("<br/>".join(_escaped(text) for _, text in box.rows))


def _escaped(text: str) -> str:
    """Write everything that could mean something to Mermaid, or to HTML, by its number."""
    return "".join(c if c.isalnum() or c in " .,=+-" else f"#{ord(c)};" for c in text)
