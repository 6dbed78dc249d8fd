"""A laid-out diagram as SVG: text that can be read aloud, colours for light and dark."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from backpass.core.explain.pictures.diagram import Box
from backpass.core.explain.pictures.layout import LINE, PADDING, SIZE, Placed, Point, Rectangle

FONT = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"

#: Colours by what they colour: in daylight, in the dark.
COLORS = {
    "paper": ("#ffffff", "#14181f"),
    "ink": ("#1b2330", "#e8ecf3"),
    "value": ("#475366", "#aeb9ca"),
    "gradient": ("#a8381a", "#ff9c7a"),
    "arrow": ("#76839a", "#7d8ba3"),
    "input": ("#e3edfd", "#1d3050"),
    "input-edge": ("#3b6fc4", "#7aa7f0"),
    "operation": ("#f5f6f8", "#222936"),
    "operation-edge": ("#76839a", "#7d8ba3"),
    "output": ("#e2f4e6", "#173826"),
    "output-edge": ("#2c7a45", "#6cc98a"),
    "constant": ("#ffffff", "#14181f"),
    "constant-edge": ("#76839a", "#7d8ba3"),
    "fold": ("#f1eafb", "#33264d"),
    "fold-edge": ("#7a55b8", "#b79ae8"),
}


def style(root: str = ".backpass-picture") -> str:
    """Return the rules for the dark; in daylight the elements' own attributes hold."""
    rules = [f"{root} .bp-paper{{fill:{COLORS['paper'][1]}}}"]
    for row, name in (("title", "ink"), ("value", "value"), ("gradient", "gradient")):
        rules.append(f"{root} .bp-{row}{{fill:{COLORS[name][1]}}}")
    rules.append(f"{root} .bp-arrow{{stroke:{COLORS['arrow'][1]}}}")
    rules.append(f"{root} .bp-head{{fill:{COLORS['arrow'][1]}}}")
    for look in ("input", "operation", "output", "constant", "fold"):
        fill, edge = COLORS[look][1], COLORS[f"{look}-edge"][1]
        rules.append(f"{root} .bp-{look}>rect{{fill:{fill};stroke:{edge}}}")
    return "@media (prefers-color-scheme:dark){" + "".join(rules) + "}"


def write(placed: Placed) -> str:
    """Return a whole SVG file's text."""
    diagram = placed.diagram
    width, height = length(placed.width), length(placed.height)
    return "".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="backpass-picture" role="img" '
            f'width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            f'style="max-width:100%;height:auto">\n',
            f"<title>{escaped(diagram.title)}</title>\n",
            f"<desc>{escaped(diagram.description)}</desc>\n" if diagram.description else "",
            f"<style>{style()}</style>\n",
            f'<rect class="bp-paper" width="{width}" height="{height}" rx="6" '
            f'fill="{COLORS["paper"][0]}"/>\n',
            body(placed),
            "</svg>\n",
        ]
    )


def body(placed: Placed) -> str:
    """Return the arrows and boxes as SVG elements."""
    arrows = [
        f'<g class="bp-arrows" fill="none" stroke="{COLORS["arrow"][0]}" stroke-width="1.4">\n',
        *(_arrow(curve, a.carries) for a, curve in zip(placed.diagram.arrows, placed.curves)),
        "</g>\n",
    ]
    boxes = [
        f'<g class="bp-boxes" font-family="{FONT}" font-size="{SIZE}" text-anchor="middle" '
        'stroke-width="1.4">\n',
        *(_box(box, at) for box, at in zip(placed.diagram.boxes, placed.rectangles)),
        "</g>\n",
    ]
    return "".join(arrows + boxes)


def path(curve: Sequence[Point]) -> str:
    """Return a curve as the `d` of an SVG path."""
    points = [f"{length(x)} {length(y)}" for x, y in curve]
    return f"M{points[0]}C{' '.join(points[1:])}"


def head(tip: Point) -> str:
    """Return an arrow's head as the `d` of an SVG path: every arrow enters from above."""
    x, y = length(tip[0]), length(tip[1])
    return f"M{x} {y}l-4 -7h8z"


def _arrow(curve: Sequence[Point], carries: bool) -> str:
    dashes = "" if carries else ' stroke-dasharray="3 3"'
    return (
        f'<path class="bp-arrow" d="{path(curve)}"{dashes}/>'
        f'<path class="bp-head" d="{head(curve[-1])}" fill="{COLORS["arrow"][0]}" '
        'stroke="none"/>\n'
    )


def _box(box: Box, at: Rectangle) -> str:
    dashes = ' stroke-dasharray="4 3"' if box.look == "constant" else ""
    radius = 12 if box.look in ("input", "output") else 5
    x, y = length(at.x), length(at.y)
    parts = [
        f'<g class="bp-box bp-{box.look}">',
        f"<title>{escaped(box.about)}</title>" if box.about else "",
        f'<rect x="{x}" y="{y}" width="{length(at.width)}" height="{length(at.height)}" '
        f'rx="{radius}" fill="{COLORS[box.look][0]}" stroke="{COLORS[box.look + "-edge"][0]}"'
        f"{dashes}/>",
    ]
    for i, (name, text) in enumerate(box.rows):
        bold = ' font-weight="bold"' if name == "title" else ""
        color = COLORS["ink" if name == "title" else name][0]
        parts.append(
            f'<text class="bp-{name}" x="{length(at.x + at.width / 2)}" '
            f'y="{length(baseline(at, i))}" fill="{color}"{bold}>{escaped(text)}</text>'
        )
    parts.append("</g>\n")
    return "".join(parts)


def baseline(at: Rectangle, row: int) -> float:
    """Return how far down a box's line of text stands."""
    return at.y + PADDING + SIZE - 2 + row * LINE


def length(x: float) -> str:
    """Return a length in as few letters as a tenth of a pixel needs."""
    text = f"{x:.1f}"
    return text.removesuffix(".0")


#: What XML cannot hold, not even escaped.
_FORBIDDEN = re.compile("[^\\t\\n\\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escaped(text: str) -> str:
    """Return text that means nothing to XML."""
    return escape(_FORBIDDEN.sub("\N{REPLACEMENT CHARACTER}", text))
