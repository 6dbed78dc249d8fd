"""Reductions and cumulative functions that leave nan out: a nan gets the gradient 0."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy

from backpass.core.backends import backend_of
from backpass.core.ops import reductions
from backpass.core.ops.cumulative import cumprod
from backpass.core.ops.elementwise import divide, is_all, isnan, less_equal, logical_not, where
from backpass.core.ops.reductions import any_, count, cumsum, refuse_out, sum_
from backpass.core.ops.shaping import as_operand, astype, broadcast_to
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors, plain

# Parameters are called `where`, as NumPy's: what chooses is the primitive.
_choose = where.op


def numbers(x: Any) -> Any:
    """Return a mask of what is no nan; `None` if all is known to be none."""
    value = plain(x)
    if value.dtype.kind not in "fc":
        return None
    found = logical_not.op(isnan.op(value))
    return None if is_all(found, lambda found: found) else found


def _also(mask: Any, where: Any) -> Any:
    """Return where both masks hold."""
    if where is None or where is True:
        return mask
    return mask & backend_of((mask,)).library.asarray(plain(where))


def _held(mask: Any, shape: tuple[int, ...], axis: Any, keepdims: bool) -> Any:
    """Return how many elements a mask holds along axes."""
    mask = numpy.asarray(mask) if isinstance(mask, bool | list | tuple) else plain(mask)
    return sum_.op(broadcast_to.op(mask, shape=shape), axis=axis, keepdims=keepdims)


def nan_where(missing: Any, made: Any, text: str, stacklevel: int = 4) -> Tensor:
    """Put nan where nothing was left, and warn as NumPy does; a device is not waited for."""
    if isinstance(missing, numpy.ndarray | numpy.generic):
        if not missing.any():
            return as_tensors(made)  # type: ignore[no-any-return]
        warnings.warn(text, RuntimeWarning, stacklevel=stacklevel)
    return as_tensors(_choose(missing, math.nan, made))  # type: ignore[no-any-return]


def _check_inexact(name: str, own: Any, dtype: Any) -> None:
    if dtype is not None and own.kind in "fc" and numpy.dtype(dtype).kind not in "fc":
        raise TypeError(f"{name}: dtype={dtype} holds no nan: use {name}(x).astype(dtype)")


# ----- sums and products ------------------------------------------------------------------------


def nansum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Tensor:
    """Sum over `axis` of what is no nan; g flows to it, and 0 to a nan."""
    refuse_out("nansum", out)
    a = as_operand(a)
    mask = numbers(a)
    kept = where if mask is None else _also(mask, where)
    return reductions.sum(a, axis, dtype, None, keepdims, initial, kept)


def nanprod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Tensor:
    """Product over `axis` of what is no nan; a nan gets 0, the others the product of the others."""
    refuse_out("nanprod", out)
    a = as_operand(a)
    mask = numbers(a)
    kept = where if mask is None else _also(mask, where)
    return reductions.prod(a, axis, dtype, None, keepdims, initial, kept)


def _replaced(a: Any, value: float) -> Any:
    a = as_operand(a)
    mask = numbers(a)
    return a if mask is None else _choose(mask, a, value)


def nancumsum(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> Tensor:
    """Cumulative sum along `axis`, a nan as 0; g is summed from the other end, 0 for a nan."""
    refuse_out("nancumsum", out)
    return cumsum(_replaced(a, 0.0), axis, dtype)


def nancumprod(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> Tensor:
    """Cumulative product along `axis`, a nan as 1; its derivative is cumprod's, 0 for a nan."""
    refuse_out("nancumprod", out)
    return cumprod(_replaced(a, 1.0), axis, dtype)


# ----- moments ----------------------------------------------------------------------------------


def nanmean(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    *,
    where: Any = None,
) -> Tensor:
    """Mean over `axis` of what is no nan; g / n flows to each of the n, and 0 to a nan.

    Where nothing is left it is nan, with a warning, and every gradient 0.
    """
    refuse_out("nanmean", out)
    a = as_operand(a)
    _check_inexact("nanmean", a.dtype, dtype)
    mask = numbers(a)
    if mask is None:
        return reductions.mean(a, axis, dtype, None, keepdims, where=where)
    mask = _also(mask, where)
    n = _held(mask, a.shape, axis, keepdims)
    total = reductions.sum(a, axis, dtype, None, keepdims, where=mask)
    with numpy.errstate(invalid="ignore", divide="ignore"):
        made = divide(total, n)
    if made.dtype != total.dtype:
        made = astype(made, dtype=total.dtype)
    return nan_where(less_equal.op(n, 0), made, "Mean of empty slice", stacklevel=3)


def _moment(
    name: str,
    f: Callable[..., Tensor],
    a: Any,
    axis: Any,
    dtype: Any,
    out: Any,
    ddof: Any,
    keepdims: bool,
    where: Any,
    mean: Any,
    correction: Any,
) -> Tensor:
    refuse_out(name, out)
    a = as_operand(a)
    _check_inexact(name, a.dtype, dtype)
    mask = numbers(a)
    kept = where if mask is None else _also(mask, where)
    if mask is not None and mean is not None:
        a = _choose(mask, a, 0.0)  # the squares of all are made, and none is to be nan
    with numpy.errstate(invalid="ignore", divide="ignore"):
        made = f(a, axis, dtype, None, ddof, keepdims, where=kept, mean=mean, correction=correction)
    if a.dtype.kind not in "fc":
        return made
    n = count(a, axis) if kept is None else _held(kept, a.shape, axis, keepdims)
    freedom = n - (ddof if correction is None else correction)
    missing = numpy.asarray(freedom <= 0) if kept is None else less_equal.op(freedom, 0)
    return nan_where(missing, made, "Degrees of freedom <= 0 for slice.")


def nanvar(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Any = None,
    mean: Any = None,
    correction: float | None = None,
) -> Tensor:
    """Variance over `axis` of what is no nan; derivative 2 * conj(x - mean) / (n - ddof), or 0."""
    return _moment(
        "nanvar", reductions.var, a, axis, dtype, out, ddof, keepdims, where, mean, correction
    )


def nanstd(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Any = None,
    mean: Any = None,
    correction: float | None = None,
) -> Tensor:
    """Deviation over `axis` of what is no nan; derivative (x - mean) / ((n - ddof) * std), or 0."""
    return _moment(
        "nanstd", reductions.std, a, axis, dtype, out, ddof, keepdims, where, mean, correction
    )


# ----- extremes ---------------------------------------------------------------------------------


def _extreme(
    f: Callable[..., Tensor],
    lowest: float,
    a: Any,
    axis: Any,
    out: Any,
    keepdims: bool,
    initial: Any,
    where: Any,
    name: str,
) -> Tensor:
    refuse_out(name, out)
    a = as_operand(a)
    mask = numbers(a)
    if mask is None or (initial is None and (where is not None or 0 in a.shape)):
        return f(a, axis, None, keepdims, initial, where)
    begin = initial
    if initial is None:
        begin = complex(lowest, lowest) if a.dtype.kind == "c" else lowest
    mask = _also(mask, where)
    made = f(a, axis, None, keepdims, begin, mask)
    if initial is not None:
        return made
    missing = logical_not.op(any_.op(mask, axis=axis, keepdims=keepdims))
    return nan_where(missing, made, "All-NaN slice encountered")


def nanmax(
    a: Any,
    axis: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Tensor:
    """Maximum over `axis` of what is no nan; elements that tie share g equally, a nan gets 0."""
    return _extreme(
        reductions.max, -math.inf, a, axis, out, keepdims, initial, where, name="nanmax"
    )


def nanmin(
    a: Any,
    axis: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Tensor:
    """Minimum over `axis` of what is no nan; elements that tie share g equally, a nan gets 0."""
    return _extreme(reductions.min, math.inf, a, axis, out, keepdims, initial, where, name="nanmin")
