"""The graph on the page: places and titles.  `page.js` writes the numbers, `page.css` colours."""

from __future__ import annotations

from backpass.core.explain.pictures import svg
from backpass.core.explain.pictures.diagram import Box
from backpass.core.explain.pictures.layout import SIZE, Placed, Rectangle


def body(placed: Placed) -> str:
    """Return arrows and boxes as SVG elements, in the order of the diagram."""
    arrows = [
        f'<path class="bp-arrow{"" if a.carries else " bp-constant"}" d="{svg.path(curve)}"/>\n'
        for a, curve in zip(placed.diagram.arrows, placed.curves)
    ]
    boxes = [_box(box, at) for box, at in zip(placed.diagram.boxes, placed.rectangles)]
    return "".join(
        [
            f'<defs>{_head("head")}{_head("head-forward")}</defs>\n<g fill="none">\n',
            *arrows,
            f'</g>\n<g font-family="{svg.FONT}" font-size="{SIZE}" text-anchor="middle">\n',
            *boxes,
            "</g>\n",
        ]
    )


def colors() -> str:
    """Return the boxes' colours as CSS, for light and for dark screens."""
    light: list[str] = []
    dark: list[str] = []
    for name in ("input", "operation", "output", "constant", "fold"):
        fills, edges = svg.COLORS[name], svg.COLORS[f"{name}-edge"]
        for rules, fill, edge in zip((light, dark), fills, edges):
            rules.append(f"#graph .bp-{name} > rect {{ fill: {fill}; stroke: {edge}; }}")
    for name, row in (("ink", "title"), ("value", "value"), ("gradient", "gradient")):
        for rules, color in zip((light, dark), svg.COLORS[name]):
            rules.append(f"#graph .bp-{row} {{ fill: {color}; }}")
    every = "\n".join(light)
    return f"{every}\n@media (prefers-color-scheme: dark) {{\n{chr(10).join(dark)}\n}}"


def _head(name: str) -> str:
    """Return an arrow's head: every arrow enters from above."""
    return (
        f'<marker id="{name}" viewBox="0 0 8 7" refX="4" refY="7" markerWidth="8" markerHeight="7" '
        f'markerUnits="userSpaceOnUse"><path class="bp-{name}" d="M0 0h8l-4 7z"/></marker>'
    )


def _box(box: Box, at: Rectangle) -> str:
    radius = 12 if box.look in ("input", "output") else 5
    x, y, width, height = map(svg.length, (at.x, at.y, at.width, at.height))
    return (
        f'<g class="bp-box bp-{box.look}"><rect x="{x}" y="{y}" width="{width}" '
        f'height="{height}" rx="{radius}"/><text class="bp-title" '
        f'x="{svg.length(at.x + at.width / 2)}" y="{svg.length(svg.baseline(at, 0))}">'
        f"{svg.escaped(box.title)}</text></g>\n"
    )
