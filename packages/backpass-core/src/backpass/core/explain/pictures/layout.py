"""Where the boxes of a diagram go: layers from top to bottom, by igraph's Sugiyama layout.

Source: K. Sugiyama, S. Tagawa, M. Toda, "Methods for visual understanding of hierarchical system
structures", IEEE Transactions on Systems, Man, and Cybernetics 11 (1981), as igraph has it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backpass.core.explain.pictures.columns import columns
from backpass.core.explain.pictures.diagram import Box, Diagram

#: Lengths are in pixels of the SVG.  Monospaced letters are this wide, for one pixel of their size.
LETTER = 0.602
SIZE = 12
LINE = 17
PADDING = 9
GAP_X, GAP_Y = 26, 44
MARGIN = 16
NARROWEST = 64
#: How many bends the arrows of a picture may have that pass layers.  The longest beyond that go
#: around all boxes: laying out takes time for each bend.
BENDS = 4000

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A box's place: its upper left corner, its width and height."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Placed:
    """A diagram with a place for everything.

    Attributes
    ----------
    rectangles
        One for each box.
    curves
        One for each arrow: a starting point, then three points for each cubic Bezier curve.
    width, height
        Of the whole picture.
    """

    diagram: Diagram
    rectangles: Sequence[Rectangle]
    curves: Sequence[Sequence[Point]]
    width: float
    height: float


def load_igraph() -> Any:
    """Return the library that lays graphs out.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        import igraph
    except ImportError as error:
        raise ImportError(
            "drawing a graph needs igraph: pip install 'backpass-core[draw]' "
            "(dot() and mermaid() need nothing)"
        ) from error
    return igraph


def width_of(box: Box, letters: int) -> float:
    """Return the width that a box's longest line needs."""
    longest = max(letters, *(len(text) for _, text in box.rows))
    return max(NARROWEST, round(longest * LETTER * SIZE + 2 * PADDING, 1))


def height_of(box: Box, lines: int) -> float:
    """Return the height that a box's lines need."""
    return max(lines, len(box.rows)) * LINE + 2 * PADDING - 4


def place(diagram: Diagram, *, letters: int = 0, lines: int = 0) -> Placed:
    """Lay a diagram out; each box has room for so many lines of so many letters at least.

    Raises
    ------
    ImportError
        If igraph is not installed.
    """
    igraph = load_igraph()
    boxes = diagram.boxes
    if not boxes:
        return Placed(diagram, (), (), 2 * MARGIN, 2 * MARGIN)
    layers = _layers(diagram)
    chains = _chains(diagram, layers)
    bends = [(source, layer) for source, chain in chains.items() for layer in chain]
    vertex = {bend: len(boxes) + i for i, bend in enumerate(bends)}

    def last(source: int, layer: int) -> int:
        """Return the vertex from which an arrow comes down to `layer`."""
        return vertex.get((source, layer - 1), source)

    edges = {(last(s, at), i) for (s, at), i in vertex.items()}
    edges |= {
        (last(a.source, layers[a.target]), a.target) for a in diagram.arrows if a.source in chains
    }
    at = [*layers, *(layer for _, layer in bends)]
    layout = igraph.Graph(len(at), sorted(edges), directed=True).layout_sugiyama(layers=at)

    widths = [width_of(b, letters) for b in boxes]
    heights = [height_of(b, lines) for b in boxes]
    reaches = [*(w / 2 for w in widths), *(0.0 for _ in bends)]
    rows: list[list[int]] = [[] for _ in range(max(layers) + 1)]
    order = [x for x, _ in layout.coords]
    for i in sorted(range(len(at)), key=order.__getitem__):
        rows[at[i]].append(i)
    straight = [
        *_threads(diagram, layers),
        *([vertex[s, layer] for layer in chain] for s, chain in chains.items() if chain),
    ]
    centers = columns(rows, reaches, sorted(edges), straight, GAP_X)
    left = min(x - reach for x, reach in zip(centers, reaches)) - MARGIN
    centers = [x - left for x in centers]
    right = max(x + reach for x, reach in zip(centers, reaches))

    tops, bottoms, y = [], [], float(MARGIN)
    for layer in range(len(rows)):
        tops.append(y)
        y += max((h for h, at in zip(heights, layers) if at == layer), default=0)
        bottoms.append(y)
        y += GAP_Y
    rectangles = [
        Rectangle(x - w / 2, (tops[row] + bottoms[row] - h) / 2, w, h)
        for x, w, h, row in zip(centers, widths, heights, layers)
    ]

    lanes: dict[int, float] = {}
    for arrow in diagram.arrows:
        if arrow.source not in chains:
            lanes.setdefault(arrow.source, right + 14 + 8 * (len(lanes) % 6))
    # Arrows enter a box in the order in which they come from left and right.
    entering: dict[int, list[tuple[float, int, int]]] = {}
    for i, arrow in enumerate(diagram.arrows):
        s, t = arrow.source, arrow.target
        origin = lanes[s] if s in lanes else centers[last(s, layers[t])]
        entering.setdefault(t, []).append((origin, arrow.operand, i))
    ports: dict[int, float] = {}
    for t, incoming in entering.items():
        for k, (_, _, i) in enumerate(sorted(incoming), start=1):
            ports[i] = rectangles[t].x + rectangles[t].width * k / (len(incoming) + 1)
    curves: list[list[Point]] = []
    for i, arrow in enumerate(diagram.arrows):
        s, t = arrow.source, arrow.target
        start = (centers[s], rectangles[s].y + rectangles[s].height)
        end = (ports[i], rectangles[t].y)
        if s in lanes:
            curves.append(_around(start, lanes[s], bottoms[layers[s]], tops[layers[t]], end))
            continue
        passed = range(layers[s] + 1, layers[t])
        gates = [(centers[vertex[s, row]], tops[row], bottoms[row]) for row in passed]
        curves.append(_through(start, gates, end))
    width = max([right, *lanes.values()]) + MARGIN
    return Placed(diagram, rectangles, curves, width, bottoms[-1] + MARGIN)


def _chains(diagram: Diagram, layers: Sequence[int]) -> dict[int, range]:
    """Return, for each source of arrows, the layers that they pass between boxes.

    The arrows of one source go together as far as they have the same way.  Sources whose arrows go
    around everything are missing.
    """
    reach: dict[int, int] = {}
    for a in diagram.arrows:
        reach[a.source] = max(reach.get(a.source, 0), layers[a.target])
    chains = {s: range(layers[s] + 1, to) for s, to in reach.items()}
    total = 0
    for s in sorted(chains, key=lambda s: len(chains[s])):
        total += len(chains[s])
        if total > BENDS and chains[s]:
            del chains[s]
    return chains


def _layers(diagram: Diagram) -> list[int]:
    """Return each box's layer: below all its operands, and, where that is shorter, near its use."""
    count = len(diagram.boxes)
    operands: list[set[int]] = [set() for _ in range(count)]
    uses: list[set[int]] = [set() for _ in range(count)]
    for a in diagram.arrows:
        operands[a.target].add(a.source)
        uses[a.source].add(a.target)
    layers = [0] * count
    for i in range(count):
        layers[i] = max((layers[j] + 1 for j in operands[i]), default=0)
    # The farthest uses of each box, those of the boxes below it being settled already.
    for i in reversed(range(count)):
        if not uses[i]:
            continue
        lowest = min(layers[j] for j in uses[i]) - 1
        longer = sum(
            max(0, lowest - max((layers[k] for k in uses[j] if k != i), default=layers[i]))
            for j in operands[i]
        )
        if longer <= lowest - layers[i]:
            layers[i] = lowest
    return layers


def _threads(diagram: Diagram, layers: Sequence[int]) -> list[list[int]]:
    """Return the boxes in lines, each an operand of the next: long ways through the graph."""
    count = len(diagram.boxes)
    steps = [a for a in diagram.arrows if layers[a.target] == layers[a.source] + 1]
    # How long the way is from the farthest input, and to the farthest output.
    above, below = [0] * count, [0] * count
    for a in sorted(steps, key=lambda a: a.target):
        above[a.target] = max(above[a.target], above[a.source] + 1)
    for a in sorted(steps, key=lambda a: -a.source):
        below[a.source] = max(below[a.source], below[a.target] + 1)
    before: dict[int, int] = {}
    after: dict[int, int] = {}
    for a in sorted(steps, key=lambda a: -above[a.source] - below[a.target]):
        if a.source not in after and a.target not in before:
            after[a.source], before[a.target] = a.target, a.source
    lines = []
    for i in range(count):
        if i not in before:
            lines.append([i])
            while lines[-1][-1] in after:
                lines[-1].append(after[lines[-1][-1]])
    return lines


def _bow(a: Point, b: Point) -> list[Point]:
    """Return a curve that leaves a and enters b vertically, without a itself."""
    middle = (a[1] + b[1]) / 2
    return [(a[0], middle), (b[0], middle), b]


def _through(start: Point, gates: list[tuple[float, float, float]], end: Point) -> list[Point]:
    """Return a curve that passes each layer straight down."""
    points = [start]
    # Where several gates lie below each other it is one straight line.
    for x, run in itertools.groupby(gates, key=lambda gate: gate[0]):
        lines = list(run)
        top, bottom = lines[0][1], lines[-1][2]
        points += _bow(points[-1], (x, top))
        points += [(x, top), (x, bottom), (x, bottom)]
    return points + _bow(points[-1], end)


def _around(start: Point, lane: float, below: float, above: float, end: Point) -> list[Point]:
    """Return a curve that goes down beside all boxes."""
    leaves, enters = below + GAP_Y / 2, above - GAP_Y / 2
    out, back = (lane, below + GAP_Y), (lane, above - GAP_Y)
    return [
        start,
        *((start[0], leaves), (lane, leaves), out),
        *(out, back, back),
        *((lane, enters), (end[0], enters), end),
    ]
