"""A diagram in Graphviz's language DOT: https://graphviz.org/doc/info/lang.html."""

from __future__ import annotations

from backpass.core.explain.pictures.diagram import Box, Diagram
from backpass.core.explain.pictures.svg import COLORS


def write(diagram: Diagram) -> str:
    """Return the diagram as a directed graph in DOT."""
    lines = [
        f"digraph {_quoted(diagram.title)} {{",
        '  node [shape=box, style="rounded,filled", fontname="monospace", fontsize=11];',
        f'  edge [color="{COLORS["arrow"][0]}"];',
        *(f"  n{box.key} [{_attributes(box)}];" for box in diagram.boxes),
    ]
    for arrow in diagram.arrows:
        source, target = (diagram.boxes[i].key for i in (arrow.source, arrow.target))
        dashes = "" if arrow.carries else " [style=dashed]"
        lines.append(f"  n{source} -> n{target}{dashes};")
    return "\n".join([*lines, "}", ""])


def _attributes(box: Box) -> str:
    label = "\\n".join(_escaped(text) for _, text in box.rows)
    dashed = ', style="rounded,filled,dashed"' if box.look == "constant" else ""
    fill, edge = COLORS[box.look][0], COLORS[box.look + "-edge"][0]
    return f'label="{label}", fillcolor="{fill}", color="{edge}"{dashed}'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'
