"""What losses ask of their operands: floats, of one shape, in a range."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from backpass.core.backends import backend_of, made_beside
from backpass.core.dtypes import kind_of
from backpass.core.ops.shaping import as_operand, astype
from backpass.core.values import plain
from backpass.nn.functional.precision import wide


def operand(x: Any) -> Any:
    """Return an operand of floats."""
    x = as_operand(x)
    return astype.op(x, dtype=numpy.float64) if x.dtype.kind in "biu" else x


def predictions(x: Any) -> Any:
    """Return predictions as an operand of floats, of single precision at least.

    So losses are in single precision: in half, a sum would soon end at 65504, or lose its digits.
    """
    return wide(operand(x))


def beside(value: Any, x: Any) -> Any:
    """Return what stands beside the predictions `x`, in their dtype, as an operand.

    So targets and weights in double precision, or lists, leave a network's float32 as it is.
    """
    if not hasattr(value, "dtype"):
        return made_beside((plain(x),), lambda xp: xp.asarray(value, dtype=x.dtype))
    if value.dtype == x.dtype or kind_of(value.dtype) not in "biuf":
        return value
    return astype.op(value, dtype=x.dtype)


def check_shape(name: str, x: Any, other: Any, what: str = "target", of: str = "x") -> None:
    """Raise a `ValueError` unless two operands have the same shape: nothing is broadcast."""
    if x.shape == other.shape:
        return
    hint = f": {what}.reshape({of}.shape) may be what is meant" if x.size == other.size else ""
    raise ValueError(
        f"{name}: `{of}` has shape {tuple(x.shape)}, but `{what}` has shape {tuple(other.shape)}; "
        f"they must be equal, for nothing is broadcast{hint}"
    )


def check_spread(name: str, what: str, weight: Any, x: Any) -> None:
    """Raise a `ValueError` unless `weight` can be broadcast to the shape of `x`."""
    shape = tuple(x.shape)
    try:
        fits = numpy.broadcast_shapes(tuple(weight.shape), shape) == shape
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"{name}: `{what}` has shape {tuple(weight.shape)}, which is not broadcast to the "
            f"shape {shape} of `x`"
        )


def all_within(integers: Any, count: int, other: int | None = None) -> bool:
    """Return whether integers are from 0 to `count - 1`, or `other`."""
    kernel = backend_of((integers,)).kernels.get("within")
    if kernel is not None:
        found = kernel(integers, count) if other is None else kernel(integers, count, other)
        if found is not NotImplemented:
            return bool(found)
    if other is not None:
        return bool((((integers >= 0) & (integers < count)) | (integers == other)).all())
    return not integers.size or bool(integers.min() >= 0 and integers.max() < count)


def check_values(name: str, what: str, x: Any, is_bad: Callable[[Any], Any], reason: str) -> None:
    """Raise a `ValueError` that names the first number that is bad, where it stands, and why.

    While a CUDA graph is captured no number can be read, and nothing is checked.
    """
    value = plain(x)
    if not value.size or backend_of((value,)).capturing():
        return
    bad = is_bad(value)
    if not bad.any():
        return
    first = int(bad.ravel().argmax())
    place = [int(i) for i in numpy.unravel_index(first, value.shape)]
    raise ValueError(f"{name}: `{what}`{place or ''} is {value.ravel()[first].item()}, {reason}")


__all__ = [
    "all_within",
    "beside",
    "check_shape",
    "check_spread",
    "check_values",
    "operand",
    "predictions",
]
