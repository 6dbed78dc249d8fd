"""A laid-out diagram as PNG, drawn by matplotlib, whose wheels bring a font."""

from __future__ import annotations

import io
from typing import Any

from backpass.core.explain.pictures.layout import SIZE, Placed, Point
from backpass.core.explain.pictures.svg import COLORS, baseline

#: Pixels an inch at scale 1, so that a pixel of the SVG is one of the PNG.
_DPI = 96


def write(placed: Placed, scale: float) -> bytes:
    """Return the picture as a PNG file's bytes, in the colours of daylight.

    Raises
    ------
    ImportError
        If matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
        from matplotlib.patches import FancyBboxPatch, PathPatch, Polygon
        from matplotlib.path import Path
    except ImportError as error:
        raise ImportError(
            "a picture as PNG needs matplotlib: pip install 'backpass-core[draw]' "
            "(svg() needs igraph only)"
        ) from error
    figure = Figure((placed.width / _DPI, placed.height / _DPI), facecolor=COLORS["paper"][0])
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_axis_off()
    axes.set_xlim(0, placed.width)
    axes.set_ylim(placed.height, 0)
    line = 1.4 * 72 / _DPI
    for arrow, curve in zip(placed.diagram.arrows, placed.curves):
        codes = [Path.MOVETO] + [Path.CURVE4] * (len(curve) - 1)
        style = "solid" if arrow.carries else (0, (2, 2))
        axes.add_patch(
            PathPatch(
                Path(curve, codes),
                fill=False,
                linewidth=line,
                edgecolor=COLORS["arrow"][0],
                linestyle=style,
            )
        )
        axes.add_patch(Polygon(_head(curve[-1]), color=COLORS["arrow"][0], linewidth=0))
    for box, at in zip(placed.diagram.boxes, placed.rectangles):
        radius = 12 if box.look in ("input", "output") else 5
        axes.add_patch(
            FancyBboxPatch(
                (at.x, at.y),
                at.width,
                at.height,
                boxstyle=f"round,pad=0,rounding_size={radius}",
                facecolor=COLORS[box.look][0],
                edgecolor=COLORS[box.look + "-edge"][0],
                linestyle="dashed" if box.look == "constant" else "solid",
                linewidth=line,
            )
        )
        for i, (name, text) in enumerate(box.rows):
            axes.text(
                at.x + at.width / 2,
                baseline(at, i),
                text,
                horizontalalignment="center",
                verticalalignment="baseline",
                family="DejaVu Sans Mono",
                size=SIZE * 72 / _DPI,
                weight="bold" if name == "title" else "normal",
                color=COLORS["ink" if name == "title" else name][0],
                parse_math=False,
            )
    file = io.BytesIO()
    FigureCanvasAgg(figure)
    figure.savefig(file, format="png", dpi=_DPI * scale, facecolor=figure.get_facecolor())
    return file.getvalue()


def _head(tip: Point) -> list[Any]:
    return [tip, (tip[0] - 4, tip[1] - 7), (tip[0] + 4, tip[1] - 7)]
