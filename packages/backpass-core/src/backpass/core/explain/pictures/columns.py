"""How far to the left or right each box goes, once it is known what lies beside what.

igraph's own columns drift in a long graph: each step lies a little to one side, in a thousand steps
over forty thousand pixels.  So does whatever puts a box in the middle of those it is joined to.
Here operations that follow one another make a *line*, which is to be straight, and so do the bends
of an arrow that passes layers; lines are drawn to what they are joined to, the longer ones go
first, and in each layer the order and the gaps are kept.  The layers are gone through in turns, and
for one layer the best places are found exactly, by isotonic regression.

Source: R. E. Barlow, D. J. Bartholomew, J. M. Bremner, H. D. Brunk, "Statistical Inference under
Order Restrictions", 1972, section 1.2 (pool adjacent violators); the turns are those of E. Gansner
et al., "A technique for drawing directed graphs", IEEE Transactions on Software Engineering 19
(1993), section 4.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

#: How often all layers are gone through to find the lines' places, and again to part them.
TURNS = 12
#: How many lines of one layer are compared with each other.
MANY = 60
#: What is beside its line by less than this part of the gap is put on it.
NEAR = 0.45


def columns(
    rows: Sequence[Sequence[int]],
    reaches: Sequence[float],
    edges: Sequence[tuple[int, int]],
    lines: Sequence[Sequence[int]],
    gap: float,
) -> list[float]:
    """Return the middle of each vertex.

    Parameters
    ----------
    rows
        The vertices of each layer, from left to right.
    reaches
        How far each vertex reaches to either side.
    edges
        Pairs of vertices that are joined.
    lines
        Vertices that are to lie below each other; each vertex is in one line.
    gap
        What stays free between neighbours.
    """
    line_of = {vertex: k for k, line in enumerate(lines) for vertex in line}
    # What the vertices of a line are joined to beside it.
    ends: list[list[int]] = [[] for _ in lines]
    for a, b in edges:
        if line_of[a] != line_of[b]:
            ends[line_of[a]].append(b)
            ends[line_of[b]].append(a)
    rows = _untwisted(rows, line_of, lines)
    spaces = [_offsets(row, reaches, gap) for row in rows]
    weights = [[float(len(lines[line_of[v]])) ** 2 for v in row] for row in rows]
    found = [0.0] * len(reaches)
    for row, offsets in zip(rows, spaces):
        for vertex, offset in zip(row, offsets):
            found[vertex] = offset - offsets[-1] / 2
    wished = [0.0] * len(lines)
    for turn in range(2 * TURNS):
        for k, (line, joined) in enumerate(zip(lines, ends)):
            own = sum(found[v] for v in line) / len(line)
            if turn < TURNS:
                # Half of the way, or two that are drawn to each other would change places for ever.
                others = sum(found[v] for v in joined) / len(joined) if joined else own
                wished[k] = (own + others) / 2
            else:
                # Then each line gives way as a whole where one of its vertices was pushed.
                wished[k] += max((found[v] - wished[k] for v in line), key=abs)
        for row, offsets, weight in zip(rows, spaces, weights):
            targets = [wished[line_of[v]] for v in row]
            for vertex, x in zip(row, apart(targets, weight, offsets)):
                found[vertex] = x
    for line in lines:
        middle = sorted(found[v] for v in line)[len(line) // 2]
        for vertex in line:
            if abs(found[vertex] - middle) < NEAR * gap:
                found[vertex] = middle
    return found


def _untwisted(
    rows: Sequence[Sequence[int]], line_of: Mapping[int, int], lines: Sequence[Sequence[int]]
) -> list[list[int]]:
    """Return the layers with two lines beside each other in the same order in all of them."""
    # How much more often the one is on the left than the other.
    left: Counter[tuple[int, int]] = Counter()
    for row in rows:
        passing = [line_of[v] for v in row if len(lines[line_of[v]]) > 2][:MANY]
        for a, b in itertools.combinations(passing, 2):
            left[a, b] += 1
            left[b, a] -= 1
    made = []
    for row in rows:
        new: list[int] = []
        for vertex in row:
            at = len(new)
            while at and left[line_of[vertex], line_of[new[at - 1]]] > 0:
                at -= 1
            new.insert(at, vertex)
        made.append(new)
    return made


def _offsets(row: Sequence[int], reaches: Sequence[float], gap: float) -> list[float]:
    """Return where vertices are that are as close together as they can be; the first is at 0."""
    made = [0.0]
    for left, right in itertools.pairwise(row):
        made.append(made[-1] + reaches[left] + gap + reaches[right])
    return made


def apart(
    targets: Sequence[float], weights: Sequence[float], offsets: Sequence[float]
) -> list[float]:
    """Return the places nearest to the targets that keep the order and the distances.

    Of all x with x[i + 1] - x[i] >= offsets[i + 1] - offsets[i], those for which the sum of
    weights * (x - targets)**2 is least.

    Examples
    --------
    >>> apart([0.0, 0.0, 9.0], [1.0, 1.0, 1.0], [0.0, 2.0, 4.0])
    [-1.0, 1.0, 9.0]
    """
    # Groups that move as one: the mean of their targets, its weight, and how many they are.
    groups: list[tuple[float, float, int]] = []
    for target, weight, offset in zip(targets, weights, offsets):
        mean, total, count = target - offset, weight, 1
        while groups and groups[-1][0] >= mean:
            other, more, others = groups.pop()
            mean = (mean * total + other * more) / (total + more)
            total, count = total + more, count + others
        groups.append((mean, total, count))
    places = [mean for mean, _, count in groups for _ in range(count)]
    return [place + offset for place, offset in zip(places, offsets)]
