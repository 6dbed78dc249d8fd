"""How operands of different layouts are walked together: as few axes as possible, one step each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy

#: Up to so many elements are counted in 32 bits, whose division is the faster one.
NARROW = 2**31


class Strides(NamedTuple):
    """The axes of a walk over several operands.

    Attributes
    ----------
    lengths
        Of the axes, outermost first; axes that all operands pass in one stride are one.
    steps
        For each operand its step along each axis, in elements; 0 where it is spread.
    """

    lengths: tuple[int, ...]
    steps: tuple[tuple[int, ...], ...]

    @property
    def struct(self) -> str:
        """Return the struct in CUDA C++ that `packed` fills."""
        axes = len(self.lengths)
        return (
            "struct Strides { "
            f"long long lengths[{axes}]; long long steps[{len(self.steps)}][{axes}]; "
            "};"
        )

    def packed(self) -> Any:
        """Return the struct, to be passed by value."""
        numbers = numpy.array([self.lengths, *self.steps], dtype=numpy.int64)
        return numpy.frombuffer(numbers.tobytes(), dtype=[("numbers", "i8", numbers.shape)])[0]


def walk(shape: Sequence[int], arrays: Sequence[Any]) -> Strides:
    """Return the walk over arrays that are broadcast to a shape, in its C order."""
    axes: list[tuple[int, list[int]]] = []
    for axis, n in enumerate(shape):
        if n == 1:
            continue
        steps = []
        for x in arrays:
            own = axis - len(shape) + x.ndim
            spread = own < 0 or x.shape[own] == 1
            steps.append(0 if spread else x.strides[own] // x.itemsize)
        if axes and all(a == b * n for a, b in zip(axes[-1][1], steps)):
            axes[-1] = (axes[-1][0] * n, steps)
        else:
            axes.append((n, steps))
    if not axes:
        axes.append((1, [0] * len(arrays)))
    return Strides(
        tuple(n for n, _ in axes), tuple(zip(*(steps for _, steps in axes), strict=True))
    )
