"""How arrays are walked when axes are reduced: the axes that are kept, and the axes of a row.

A reduction sees its operands as rows: one for each element of its result, made of the elements that
are reduced to it.  Axes that all operands pass in one stride are one axis here, so that a
contiguous array has one axis of rows and one along them, whatever its shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

#: So many axes of different strides are kept, or reduced, at most: more are left to CuPy.
AXES = 4


class Axis(NamedTuple):
    """An axis that several operands share.

    Attributes
    ----------
    length
        How many places it has.
    steps
        How far each operand goes from one to the next, in elements; 0 where it is spread.
    """

    length: int
    steps: tuple[int, ...]


class Layout(NamedTuple):
    """The axes of a reduction, outermost first; at least one of each kind.

    Attributes
    ----------
    kept
        Those along which there are rows.
    reduced
        Those along a row.
    """

    kept: tuple[Axis, ...]
    reduced: tuple[Axis, ...]

    @property
    def rows(self) -> int:
        """Return how many rows there are."""
        return math.prod(axis.length for axis in self.kept)

    @property
    def length(self) -> int:
        """Return how many elements a row has."""
        return math.prod(axis.length for axis in self.reduced)

    def neighbours_are_rows(self, whole: Sequence[int]) -> bool:
        """Tell whether what lies side by side in memory belongs to different rows.

        `whole` are the numbers of the operands that have elements along a row.
        """
        return _nearest(self.kept, whole) < _nearest(self.reduced, whole)

    def packed(self, whole: Sequence[int], width: int) -> Layout | None:
        """Return the layout in packs of `width` elements along the rows; `None` if there is none.

        Then a pack lies side by side in every operand named in `whole`, and begins at a multiple of
        `width` if the operand does.
        """
        *outer, last = self.reduced
        steps = [axis.steps[i] for axis in (*self.kept, *outer) for i in whole]
        if (
            any(last.steps[i] != 1 for i in whole)
            or last.length % width
            or any(step % width for step in steps)
        ):
            return None
        packs = Axis(last.length // width, tuple([step * width for step in last.steps]))
        return Layout(self.kept, (*outer, packs))

    def without_repetition(self) -> tuple[Layout, int]:
        """Leave out the axes along which a row repeats; return also how often it repeats."""
        own = tuple([axis for axis in self.reduced if any(axis.steps)])
        repeats = math.prod(axis.length for axis in self.reduced if not any(axis.steps))
        return Layout(self.kept, own or (_one(self.kept),)), repeats


def _one(like: Sequence[Axis]) -> Axis:
    return Axis(1, (0,) * len(like[0].steps))


def _nearest(axes: Sequence[Axis], whole: Sequence[int]) -> float:
    """Return the least step that is none."""
    steps = [abs(axis.steps[i]) for axis in axes for i in whole]
    return min([step for step in steps if step], default=math.inf)


def _merged(axes: Sequence[Axis], operands: int) -> tuple[Axis, ...]:
    """Return as few axes as possible that visit the same places."""
    merged: list[Axis] = []
    for axis in sorted(axes, key=lambda axis: -max(map(abs, axis.steps))):
        if axis.length == 1:
            continue
        outer = merged[-1] if merged else None
        if outer and all(a == b * axis.length for a, b in zip(outer.steps, axis.steps)):
            merged[-1] = Axis(outer.length * axis.length, axis.steps)
        else:
            merged.append(axis)
    return tuple(merged) or (Axis(1, (0,) * operands),)


def layout(
    shape: Sequence[int], axes: Sequence[int], steps: Sequence[Sequence[int]]
) -> Layout | None:
    """Return the layout of operands, each given by its steps along the axes of `shape`.

    `axes` are reduced.  `None` if more axes than `AXES` are left.
    """
    kept: list[Axis] = []
    reduced: list[Axis] = []
    for i, (n, *own) in enumerate(zip(shape, *steps)):
        (reduced if i in axes else kept).append(Axis(n, tuple(own)))
    found = Layout(_merged(kept, len(steps)), _merged(reduced, len(steps)))
    return None if max(map(len, found)) > AXES else found


def steps_of(x: Any) -> tuple[int, ...] | None:
    """Return an array's strides in elements; `None` if they are no whole numbers of elements."""
    if any(stride % x.itemsize for stride in x.strides):
        return None
    return tuple([stride // x.itemsize for stride in x.strides])


def dense_steps(shape: Sequence[int], order: str = "C") -> tuple[int, ...]:
    """Return the strides, in elements, of an array without gaps."""
    steps, step = [], 1
    for n in reversed(shape) if order == "C" else shape:
        steps.append(step)
        step *= n
    return tuple(reversed(steps)) if order == "C" else tuple(steps)
