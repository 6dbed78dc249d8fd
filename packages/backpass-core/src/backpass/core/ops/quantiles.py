"""Medians and quantiles: order statistics, and the line between two of them.

Equal elements share the gradient equally, as those of `max` and `min` do, which are the quantiles 1
and 0: of all the permutations that sort, this is the mean, and the sub-gradient of least norm.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.backends import backend_of, made_beside, on_host
from backpass.core.operators import operators
from backpass.core.ops.elementwise import divide, minimum, multiply, subtract, where
from backpass.core.ops.indexing import getitem, scatter
from backpass.core.ops.nan_reductions import nan_where, nanmean, numbers
from backpass.core.ops.reductions import mean, mean_, refuse_out, sum_
from backpass.core.ops.shaping import (
    as_operand,
    concatenate_arrays,
    moveaxis,
    reshape,
    transpose_,
)
from backpass.core.ops.sorting import along_axis, permute_back
from backpass.core.ops.statistics import checked_axes, weights_beside
from backpass.core.rules import defjvp, defvjp, elementwise
from backpass.core.tensor import Tensor
from backpass.core.values import WeakTensor, as_tensors, plain

# ----- order statistics -------------------------------------------------------------------------


@primitive
def order_statistics(xp: Any, x: Any, *, places: Any, skip_nan: bool = False) -> Any:
    """Return the elements that sorting puts at places, along the last axis; equal ones share g.

    `places` is a tuple, for all rows, or an array with places for each row.  A row with a nan gives
    nan, and g to it, unless `skip_nan`: a nan is the greatest then.
    """
    if not isinstance(places, tuple):
        return xp.sort(x, axis=-1)[along_axis(xp, places, -1)]
    last = x.shape[-1] - 1
    may_be_nan = x.dtype.kind in "fc" and not skip_nan
    kth = sorted({*places, last} if may_be_nan else set(places))
    parted = xp.partition(x, kth, axis=-1)
    made = parted[..., list(places)]
    if may_be_nan:
        end = parted[..., last:]
        made = xp.where(xp.isnan(end), end, made)
    return made


#: To so many places each is compared with all elements; for more of them, all are sorted.
_FEW = 16


def _ties(value: Any, x: Any) -> tuple[Any, Any]:
    """Return which elements are equal to one, along the last axis, and the share of each."""
    xp = backend_of((x,)).library
    chosen = xp.equal(x, value)
    if x.dtype.kind in "fc":
        lost = xp.isnan(value)
        if not isinstance(lost, numpy.ndarray) or lost.any():
            chosen = chosen | (lost & xp.isnan(x))
    # Counted as integers, because float16 ends at 2048.
    return chosen, (1.0 / xp.sum(chosen, axis=-1, keepdims=True)).astype(value.dtype)


def _column(x: Any, i: int) -> Any:
    return getitem.op(x, index=(..., slice(i, i + 1)))


def _order_vjp(g: Any, ans: Any, x: Any, *, places: Any, skip_nan: bool = False) -> Any:
    value, elements = plain(ans), plain(x)
    n = g.shape[-1]
    if n > _FEW:
        ranks, of_places, shares = _ranks(elements, places, skip_nan)
        total = scatter.op(g, index=of_places, shape=x.shape)
        return getitem.op(multiply.op(total, shares), index=ranks)
    total = None
    for i in range(n):
        chosen, share = _ties(value[..., i : i + 1], elements)
        part = where.op(chosen, multiply.op(_column(g, i), share), 0.0)
        total = part if total is None else operators.add(total, part)
    return total


def _order_jvp(t: Any, ans: Any, x: Any, *, places: Any, skip_nan: bool = False) -> Any:
    value, elements = plain(ans), plain(x)
    n = ans.shape[-1]
    if n > _FEW:
        ranks, of_places, shares = _ranks(elements, places, skip_nan)
        total = scatter.op(t, index=ranks, shape=x.shape)
        return getitem.op(multiply.op(total, shares), index=of_places)
    made = []
    for i in range(n):
        chosen, share = _ties(value[..., i : i + 1], elements)
        total = sum_.op(where.op(chosen, t, 0.0), axis=-1, keepdims=True)
        made.append(multiply.op(total, share))
    return made[0] if n == 1 else concatenate_arrays(made, axis=-1)


def _ranks(x: Any, places: Any, skip_nan: bool) -> tuple[Any, Any, Any]:
    """Return indices of each element's rank and of the places' ranks, and the share in each rank.

    Equal elements have one rank.
    """
    xp = backend_of((x,)).library
    order = xp.argsort(x, axis=-1)
    in_order = x[along_axis(xp, order, -1)]
    other = in_order[..., 1:] != in_order[..., :-1]
    if x.dtype.kind in "fc":
        other = other & ~(xp.isnan(in_order[..., 1:]) & xp.isnan(in_order[..., :-1]))
    ranks = xp.zeros(x.shape, "int64")
    ranks[..., 1:] = xp.cumsum(other, axis=-1)
    if isinstance(places, tuple):
        of_places = ranks[..., list(places)]
        if x.dtype.kind in "fc" and not skip_nan:
            of_places = xp.where(xp.isnan(in_order[..., -1:]), ranks[..., -1:], of_places)
    else:
        of_places = ranks[along_axis(xp, places, -1)]
    ranks = permute_back.op(ranks, order=order, axis=x.ndim - 1)
    index = along_axis(xp, ranks, -1)
    # int32: CuPy adds no int64 at indices.
    ties = scatter.op(xp.ones(x.shape, "int32"), index=index, shape=x.shape)
    shares = (1.0 / xp.maximum(ties, 1)).astype(x.dtype)
    return index, along_axis(xp, of_places, -1), shares


defvjp(order_statistics, _order_vjp)
defjvp(order_statistics, _order_jvp)


@primitive
def interpolate(xp: Any, x: Any, y: Any, slope: Any, t: Any, *, weak: bool = False) -> Any:
    """X + t * (y - x); the derivative in t is `slope`, which at t = 0 may be another than y - x.

    A weak t leaves the dtype to x and y, as Python's floats do.
    """
    difference, rest, near = y - x, 1 - t, t >= 0.5
    if weak and x.dtype.kind == "f":
        t, rest = t.astype(x.dtype), rest.astype(x.dtype)
    # From the nearer end, as NumPy does.
    return xp.where(near, y - difference * rest, x + difference * t)


elementwise(interpolate, lambda t: 1 - t, lambda t: t, None, lambda slope: slope)

# ----- where a quantile lies, by method ---------------------------------------------------------

_Index = Callable[[Any, Any], Any]


def _hyndman_fan(alpha: float, beta: float) -> _Index:
    return lambda n, q: n * q + (alpha + q * (1 - alpha - beta)) - 1


#: Methods that interpolate: the place among n elements, between integers, for a quantile q.
_CONTINUOUS: dict[str, _Index] = {
    "linear": lambda n, q: (n - 1) * q,
    "interpolated_inverted_cdf": _hyndman_fan(0, 1),
    "hazen": _hyndman_fan(0.5, 0.5),
    "weibull": _hyndman_fan(0, 0),
    "median_unbiased": _hyndman_fan(1 / 3.0, 1 / 3.0),
    "normal_unbiased": _hyndman_fan(3 / 8.0, 3 / 8.0),
}


def _next(place: Any, stays: Any) -> Any:
    """Return the whole place after one, or at it."""
    floor = numpy.floor(place)
    return numpy.where(stays, floor, floor + 1)


def _closest(n: Any, q: Any) -> Any:
    place = n * q - 1 - 0.5
    return _next(place, (place % 1 == 0) & (numpy.floor(place) % 2 == 1))


#: Methods that choose an element: its place.
_DISCRETE: dict[str, _Index] = {
    "inverted_cdf": lambda n, q: _next(n * q - 1, (n * q - 1) % 1 == 0),
    "closest_observation": _closest,
    "lower": lambda n, q: numpy.floor((n - 1) * q),
    "higher": lambda n, q: numpy.ceil((n - 1) * q),
    "nearest": lambda n, q: numpy.around((n - 1) * q),
}
#: Methods that choose an element, or the mean of two: the place, and the weight of the second.
_AVERAGED: dict[str, tuple[_Index, Callable[[Any], Any]]] = {
    "averaged_inverted_cdf": (
        lambda n, q: n * q - 1,
        lambda t: numpy.where(t == 0, 0.5, 1.0),
    ),
    "midpoint": (
        lambda n, q: 0.5 * (numpy.floor((n - 1) * q) + numpy.ceil((n - 1) * q)),
        lambda t: numpy.where(t == 0, 0.0, 0.5),
    ),
}
_METHODS = (*_CONTINUOUS, *_DISCRETE, *_AVERAGED)

# ----- rows: the axes that are reduced become the last ------------------------------------------


class _Rows:
    """An array with the reduced axes as its last one, and the way back."""

    def __init__(self, a: Any, axes: tuple[int, ...] | None, keepdims: bool) -> None:
        shape = a.shape
        self.axes = tuple(range(len(shape))) if axes is None else axes
        self.rest = tuple(i for i in range(len(shape)) if i not in self.axes)
        self.n = math.prod(shape[i] for i in self.axes)
        self.shape = tuple(
            1 if i in self.axes else n for i, n in enumerate(shape) if keepdims or i in self.rest
        )
        self.x = self.of(a)

    def of(self, a: Any) -> Any:
        """Return an array of the same axes in this form."""
        order = (*self.rest, *sorted(self.axes))
        if order != tuple(range(len(order))):
            a = transpose_.op(a, axes=order)
        return reshape.op(a, shape=(*(a.shape[: len(self.rest)]), self.n))

    def result(self, made: Any, of_q: tuple[int, ...] = ()) -> Tensor:
        """Return results, one for each quantile along the last axis, as NumPy does."""
        if of_q and made.shape[:-1]:
            made = moveaxis(made, -1, 0)
        return as_tensors(reshape.op(made, shape=(*of_q, *self.shape)))  # type: ignore[no-any-return]


# ----- median -----------------------------------------------------------------------------------


def _middle(x: Any, n: int, skip_nan: bool) -> Any:
    """Return the middle of n elements, or the mean of the two."""
    places = (n // 2,) if n % 2 else (n // 2 - 1, n // 2)
    made = order_statistics.op(x, places=places, skip_nan=skip_nan)
    # A mean of one as well where that makes a float of an integer.
    return made if n % 2 and x.dtype.kind in "fc" else mean_.op(made, axis=-1, keepdims=True)


def median(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False
) -> Tensor:
    """Middle element over `axis`, or the mean of the two; equal ones share g, a nan gets all of it.

    `overwrite_input` changes nothing: the input is never overwritten.
    """
    refuse_out("median", out)
    a = as_operand(a)
    axes = checked_axes(axis, len(a.shape), "median")
    rows = _Rows(a, axes, keepdims)
    if not rows.n:
        return mean(a, axes, keepdims=keepdims)
    return rows.result(_middle(rows.x, rows.n, False))


def nanmedian(
    a: Any, axis: Any = None, out: Any = None, overwrite_input: bool = False, keepdims: bool = False
) -> Tensor:
    """Median over `axis` of what is no nan; equal elements share g, a nan gets 0.

    Where nothing is left it is nan, with a warning, and every gradient 0.
    """
    refuse_out("nanmedian", out)
    a = as_operand(a)
    axes = checked_axes(axis, len(a.shape), "nanmedian")
    if 0 in a.shape:
        return nanmean(a, axes, None, None, keepdims)
    rows = _Rows(a, axes, keepdims)
    held = _held(rows)
    if isinstance(held, int):
        made = _middle(rows.x, max(held, 1), True)
    else:
        low, high = (numpy.maximum((held + i) // 2, 0) for i in (-1, 0))
        both = _beside(rows.x, numpy.concatenate([low, high], axis=-1))
        found = order_statistics.op(rows.x, places=both)
        # The mean of one element with itself may be too large.
        odd = _beside(rows.x, held % 2 == 1)
        made = where.op(odd, _column(found, 0), mean_.op(found, axis=-1, keepdims=True))
    return _or_nan(rows, held, rows.result(made))


def _held(rows: _Rows) -> Any:
    """Return how many elements are no nan: one number if all rows have as many, or an array."""
    mask = numbers(rows.x)
    if mask is None:
        return rows.n
    held = on_host(plain(sum_.op(mask, axis=-1, keepdims=True)))
    return int(held.ravel()[0]) if held.size and (held == held.ravel()[0]).all() else held


def _or_nan(
    rows: _Rows, held: Any, made: Tensor, of_q: tuple[int, ...] = (), stacklevel: int = 4
) -> Tensor:
    """Put nan where no element is left."""
    if numpy.all(held):
        return made
    missing = numpy.broadcast_to(held == 0, (*rows.x.shape[:-1], math.prod(of_q)))
    missing = rows.result(_beside(rows.x, missing), of_q).value
    return nan_where(missing, made, "All-NaN slice encountered", stacklevel)


def _beside(x: Any, made: Any) -> Any:
    """Return an array of the host on the device of x."""
    return made_beside((plain(x),), lambda xp: xp.asarray(made))


# ----- quantiles --------------------------------------------------------------------------------


def quantile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: Any = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: Any = None,
) -> Tensor:
    """Quantiles over `axis`: (1 - t) * x[i] + t * x[i + 1] of the sorted x; equal elements share g.

    Differentiable in `a`; and in `q`, with the slope of that line, by the methods that interpolate:
    where q is at an element, it is the smaller of the two slopes, and at 0 and 1 the inner one.  By
    the others, and so in `weights`, a quantile is constant between jumps: its derivative is 0.  A
    nan gets all of g.  `overwrite_input` changes nothing: the input is never overwritten.

    Raises
    ------
    ValueError
        If a quantile is not in [0, 1], a method is unknown, or weights do not fit.
    TypeError
        For complex numbers.
    """
    refuse_out("quantile", out)
    return _quantile("quantile", a, q, axis, method, keepdims, weights)


def percentile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: Any = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: Any = None,
) -> Tensor:
    """quantile(a, q / 100): its derivatives are quantile's."""
    refuse_out("percentile", out)
    return _quantile("percentile", a, q, axis, method, keepdims, weights)


def nanquantile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: Any = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: Any = None,
) -> Tensor:
    """Quantiles of what is no nan: derivatives as quantile's, and 0 for a nan.

    Where nothing is left it is nan, with a warning, and every gradient 0.
    """
    refuse_out("nanquantile", out)
    return _quantile("nanquantile", a, q, axis, method, keepdims, weights)


def nanpercentile(
    a: Any,
    q: Any,
    axis: Any = None,
    out: Any = None,
    overwrite_input: bool = False,
    method: str = "linear",
    keepdims: bool = False,
    *,
    weights: Any = None,
) -> Tensor:
    """nanquantile(a, q / 100): its derivatives are nanquantile's."""
    refuse_out("nanpercentile", out)
    return _quantile("nanpercentile", a, q, axis, method, keepdims, weights)


def _quantile(
    name: str, a: Any, q: Any, axis: Any, method: str, keepdims: bool, weights: Any
) -> Tensor:
    a = as_operand(a)
    if a.dtype.kind == "c":
        raise TypeError(f"{name}: a must be real: complex numbers have no order")
    if method not in _METHODS:
        raise ValueError(f"{name}: method={method!r} is not known: use {', '.join(_METHODS)}")
    weak = type(q) in (int, float) or isinstance(q, WeakTensor)
    q = _checked(name, as_operand(q))
    axes = checked_axes(axis, len(a.shape), name)
    skip_nan = name.startswith("nan")
    if 0 in a.shape and skip_nan:
        return nanmean(a, axes, None, None, keepdims)
    rows = _Rows(a, axes, keepdims)
    if not rows.n:
        raise IndexError(f"{name}: a has no elements along axis={axis}: there is no quantile")
    of_q = numpy.shape(plain(q))
    flat = reshape.op(q, shape=(-1,)) if isinstance(q, Tensor) else q.reshape(-1)
    held = _held(rows) if skip_nan else rows.n
    n = max(held, 1) if isinstance(held, int) else numpy.maximum(held, 1)
    if weights is not None:
        places = _weighted(name, a, flat, rows, method, weights, axes, n, skip_nan)
        found = order_statistics.op(rows.x, places=places)
    else:
        found = _unweighted(rows.x, flat, n, method, skip_nan, weak)
    made = rows.result(found, of_q)
    return _or_nan(rows, held, made, of_q, 5) if skip_nan else made


def _checked(name: str, q: Any) -> Any:
    """Return quantiles as an array on the host, or as a Tensor, from 0 to 1."""
    percent = name.endswith("percentile")
    if isinstance(q, Tensor) and q.tracked:
        q = divide.op(q, 100) if percent else q
    else:
        q = numpy.asarray(on_host(plain(q)))
        q = numpy.true_divide(q, 100, out=...) if percent else q
    value = on_host(plain(q))
    if not numpy.all((value >= 0) & (value <= 1)):
        end = 100 if percent else 1
        raise ValueError(f"{name}: q must be in the range [0, {end}]")
    return q


def _unweighted(x: Any, q: Any, n: Any, method: str, skip_nan: bool, weak: bool) -> Any:
    value = on_host(plain(q))
    if not isinstance(n, int) and value.dtype.kind == "f":
        n = n.astype(value.dtype)
    if method in _DISCRETE:
        return _at(x, [_DISCRETE[method](n, value)], n, skip_nan)[0]
    if method == "linear" and value.dtype.kind in "biu":
        return _at(x, [(n - 1) * value], n, skip_nan)[0]
    place = _AVERAGED[method][0] if method in _AVERAGED else _CONTINUOUS[method]
    lies = place(n, value)
    floor = numpy.minimum(numpy.maximum(numpy.floor(lies), 0), n - 1)
    beyond = (lies < 0) | (lies >= n - 1)
    rest = numpy.where(beyond, 0, lies - floor).astype(lies.dtype)
    if method in _AVERAGED:
        rest = _AVERAGED[method][1](rest).astype(lies.dtype)
    t: Any = _beside(x, rest.astype(float) if weak else rest)
    options = {"weak": True} if weak else {}
    after = numpy.where(beyond, floor, floor + 1)
    if method in _AVERAGED or not isinstance(q, Tensor):
        low, high = _at(x, [floor, after], n, skip_nan)
        return interpolate.op(low, high, 0.0, t, **options)
    # t + (the tracked place - its value) has the value of t, and the derivative of the place.
    along = place(n if isinstance(n, int) else _beside(x, n), q)
    t = operators.add(t, subtract.op(along, plain(along)))
    before, low, high = _at(x, [numpy.maximum(floor - 1, 0), floor, after], n, skip_nan)
    left, right = subtract.op(low, before), subtract.op(high, low)
    inner = _beside(x, (rest > 0) | ((value == 0) & (lies == 0)))
    last = _beside(x, (value == 1) & (lies == n - 1))
    slope = where.op(inner, right, where.op(last, left, minimum.op(left, right)))
    return interpolate.op(low, high, slope, t, **options)


def _at(x: Any, places: list[Any], n: Any, skip_nan: bool) -> list[Any]:
    """Return the elements at several arrays of places in order."""
    places = [numpy.clip(p, 0, n - 1).astype(numpy.intp) for p in places]
    if numpy.ndim(n):
        joined = _beside(x, numpy.concatenate(places, axis=-1))
        found = order_statistics.op(x, places=joined)
        ends = numpy.cumsum([0, *(p.shape[-1] for p in places)])
        return [
            getitem.op(found, index=(..., slice(int(i), int(j))))
            for i, j in itertools.pairwise(ends)
        ]
    every, inverse = numpy.unique(numpy.concatenate(places), return_inverse=True)
    found = order_statistics.op(x, places=tuple(every.tolist()), skip_nan=skip_nan)
    made = []
    for where_ in numpy.split(inverse, len(places)):
        if len(where_) == 1:
            made.append(_column(found, int(where_[0])))
        elif len(where_) == len(every) and (numpy.diff(where_) == 1).all():
            made.append(found)
        else:
            made.append(getitem.op(found, index=(..., _beside(x, where_))))
    return made


def _weighted(
    name: str,
    a: Any,
    q: Any,
    rows: _Rows,
    method: str,
    weights: Any,
    axes: tuple[int, ...] | None,
    n: Any,
    skip_nan: bool,
) -> Any:
    """Return the places of quantiles of a distribution with weights, row by row."""
    if method != "inverted_cdf":
        raise ValueError(f"{name}: weights are for method='inverted_cdf' only, not for {method!r}")
    weights = plain(weights_beside(name, weights, a, axes))
    if bool((weights < 0).any()):
        raise ValueError(f"{name}: weights must not be negative")
    x, value = plain(rows.x), on_host(plain(q))
    xp = backend_of((x,)).library
    weights = rows.of(xp.broadcast_to(xp.asarray(weights), a.shape))
    lost = xp.isnan(x) if x.dtype.kind == "f" else xp.zeros(x.shape, bool)
    if skip_nan:
        weights = xp.where(lost, 0, weights)
    cdf = xp.cumsum(weights[along_axis(xp, xp.argsort(x, axis=-1), -1)], axis=-1, dtype="float64")
    total = cdf[..., -1:]
    empty = lost.all(axis=-1, keepdims=True) if skip_nan else False
    if not bool(((xp.isfinite(total) & (total > 0)) | empty).all()):
        raise ValueError(f"{name}: weights must not all be 0, infinite or nan")
    cdf = cdf / xp.where(total > 0, total, 1)
    if value.dtype.kind == "f":
        cdf = cdf.astype(value.dtype)
    # So that the quantile 0 is the first element that has a weight.
    cdf = xp.where(cdf == 0, -1, cdf)
    below = [xp.sum(cdf < float(one), axis=-1, keepdims=True) for one in value]
    places = xp.minimum(xp.concatenate(below, axis=-1), _beside(x, n - 1))
    return places if skip_nan else xp.where(lost.any(axis=-1, keepdims=True), rows.n - 1, places)
