"""Functions that are short programs over the primitives: their derivatives follow by themselves."""

from __future__ import annotations

from typing import Any

from backpass.core.ops.elementwise import (
    floor_divide,
    maximum,
    minimum,
    remainder,
    where,
)
from backpass.core.ops.questions import nonzero
from backpass.core.ops.shaping import copy_
from backpass.core.tensor import Tensor


def clip(a: Any, a_min: Any = None, a_max: Any = None, out: Any = None, **bounds: Any) -> Tensor:
    """minimum(maximum(a, a_min), a_max); differentiable in the bounds, halves at a bound.

    `min` and `max` may be given for `a_min` and `a_max`; `out` is refused.
    """
    if out is not None:
        raise TypeError("clip: out= is not supported: a Tensor's operations make new ones")
    low, high = bounds.pop("min", a_min), bounds.pop("max", a_max)
    if bounds:
        raise TypeError(f"clip: unknown argument {next(iter(bounds))!r}")
    if low is None and high is None:
        return copy_(a)  # type: ignore[no-any-return]
    made = a if low is None else maximum(a, low)
    return made if high is None else minimum(made, high)  # type: ignore[no-any-return]


def divmod(x: Any, y: Any, /) -> tuple[Tensor, Tensor]:
    """floor_divide(x, y) and remainder(x, y)."""
    return floor_divide(x, y), remainder(x, y)


def where_(condition: Any, x: Any = None, y: Any = None, /) -> Any:
    """Choose from x where the condition holds, from y elsewhere; g goes where it was chosen from.

    With the condition alone: the indices where it holds, as `nonzero`.

    Raises
    ------
    ValueError
        If only one of x and y is given.
    """
    if (x is None) != (y is None):
        raise ValueError("where: give both x and y, or neither")
    return nonzero(condition) if x is None else where(condition, x, y)
