"""Functions that are short programs over the primitives: their derivatives follow by themselves."""

from __future__ import annotations

import importlib
from typing import Any

from backpass.core.backends import backend_of
from backpass.core.ops.elementwise import (
    angle,
    floor_divide,
    imag,
    maximum,
    minimum,
    rad2deg,
    real,
    remainder,
    where,
)
from backpass.core.ops.questions import nonzero
from backpass.core.ops.reductions import refuse_out
from backpass.core.ops.shaping import copy_
from backpass.core.tensor import Tensor
from backpass.core.values import plain


def clip(
    a: Any,
    a_min: Any = None,
    a_max: Any = None,
    out: Any = None,
    *,
    min: Any = None,
    max: Any = None,
    **kwargs: Any,
) -> Tensor:
    """minimum(maximum(a, a_min), a_max); differentiable in the bounds, halves at a bound.

    `min` and `max` may be given for `a_min` and `a_max`; `out`, `where`, `dtype` and `casting` are
    refused.
    """
    refuse_out("clip", out)
    for name in kwargs:
        raise TypeError(f"clip: {name}= is not supported: use where() or astype() on the result")
    if (min is not None and a_min is not None) or (max is not None and a_max is not None):
        raise ValueError("clip: give min or a_min, max or a_max, not both: they mean the same")
    low, high = a_min if min is None else min, a_max if max is None else max
    if low is None and high is None:
        return copy_(a)  # type: ignore[no-any-return]
    if _are_integers(plain(a), low, high):
        # Without a gradient; Python's bounds may be beyond the type's range.
        return Tensor(backend_of((plain(a),)).library.clip(plain(a), low, high))
    made = a if low is None else maximum(a, low)
    return made if high is None else minimum(made, high)  # type: ignore[no-any-return]


def _are_integers(a: Any, low: Any, high: Any) -> bool:
    """Tell whether an array of integers is clipped by Python's integers."""
    numbers = (low is None or type(low) is int) and (high is None or type(high) is int)
    return numbers and getattr(getattr(a, "dtype", None), "kind", "") in ("i", "u")


def real_(val: Any) -> Tensor:
    """Real part; g flows to it."""
    return real(val)  # type: ignore[no-any-return]


def imag_(val: Any) -> Tensor:
    """Imaginary part; g flows to it."""
    return imag(val)  # type: ignore[no-any-return]


def angle_(z: Any, deg: bool = False) -> Tensor:
    """Argument of a complex number; its derivative is -1j / z, 0 at 0."""
    return rad2deg(angle(z)) if deg else angle(z)  # type: ignore[no-any-return]


def i0(x: Any) -> Tensor:
    """Bessel function I of order 0, SciPy's; its derivative is i1(x)."""
    # SciPy's functions are imported when first used.
    bessel = importlib.import_module("backpass.core.ops.special.bessel")
    return bessel.i0(x)  # type: ignore[no-any-return]


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
