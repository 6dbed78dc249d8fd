"""Differences of neighbours; derivatives and integrals of what is sampled on a grid."""

from __future__ import annotations

import operator
from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.operators import operators
from backpass.core.ops.elementwise import divide, rint
from backpass.core.ops.indexing import cut, getitem
from backpass.core.ops.shaping import (
    as_operand,
    as_operand_beside,
    astype,
    broadcast_to,
    concatenate_arrays,
    copy_,
    normalize_axis,
    reshape,
)
from backpass.core.rules import defjvp, defvjp, linear
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors, plain

_MISSING: Any = object()

# ----- diff -------------------------------------------------------------------------------------


@primitive(name="diff")
def diff_(xp: Any, x: Any, *, n: int = 1, axis: int = -1) -> Any:
    """Differences of neighbours along an axis, n times."""
    return xp.diff(x, n=n, axis=axis)


@primitive
def diff_back(xp: Any, x: Any, *, n: int, axis: int, length: int) -> Any:
    """Transpose of the n-th difference of `length` elements: differences between zeros."""
    shape = list(x.shape)
    shape[axis] = length if length <= n else length + n
    wide = xp.zeros(shape, x.dtype)
    if length <= n:
        return wide
    wide[(*(slice(None),) * axis, slice(n, length))] = x
    made = xp.diff(wide, n=n, axis=axis)
    return -made if n % 2 else made


def _diff_vjp(g: Any, x: Any, *, n: int = 1, axis: int = -1) -> Any:
    axis %= len(x.shape)
    return diff_back.op(g, n=n, axis=axis, length=x.shape[axis])


linear(diff_, _diff_vjp)
linear(diff_back, lambda g, *, n, axis, length: diff_.op(g, n=n, axis=axis))


def diff(
    a: Any, n: int = 1, axis: int = -1, prepend: Any = _MISSING, append: Any = _MISSING
) -> Tensor:
    """Differences of neighbours along `axis`, n times; g's differences flow back, with a minus.

    Raises
    ------
    ValueError
        If `n` is negative, or `a` has no axis.
    """
    n = operator.index(n)
    if n < 0:
        raise ValueError(f"diff: n must not be negative, it is {n}")
    a = as_operand(a)
    # The array API standard's default.
    prepend, append = (_MISSING if x is None else x for x in (prepend, append))
    if prepend is not _MISSING or append is not _MISSING:
        a = _between(a, axis, prepend, append)
    if n == 0:
        return copy_(a)  # type: ignore[no-any-return]
    if not len(a.shape):
        raise ValueError("diff: the array must have at least one axis")
    return diff_(a) if n == 1 and axis == -1 else diff_(a, n=n, axis=axis)  # type: ignore[no-any-return]


def _between(a: Any, axis: int, prepend: Any, append: Any) -> Any:
    """Join what comes before and after along an axis; one number stands for a whole slice."""
    axis = normalize_axis(axis, len(a.shape), "diff")
    one = (*a.shape[:axis], 1, *a.shape[axis + 1 :])
    parts = [a]
    for given, place in ((prepend, 0), (append, 2)):
        if given is not _MISSING:
            part = as_operand_beside(given, a)
            part = part if len(part.shape) else broadcast_to.op(part, shape=one)
            parts.insert(place, part)
    return concatenate_arrays(parts, axis=axis)


# ----- gradient ---------------------------------------------------------------------------------


@primitive
def slope(xp: Any, x: Any, *, axis: int, edge_order: int = 1) -> Any:
    """Central differences along an axis, at distance 1; one-sided ones at the ends."""
    return xp.gradient(x, axis=axis, edge_order=edge_order)


#: The weights of the first elements in the slope at the first; those at the last mirror them.
_EDGES = {1: (-1.0, 1.0), 2: (-1.5, 2.0, -0.5)}


@primitive
def slope_back(xp: Any, x: Any, *, axis: int, edge_order: int = 1) -> Any:
    """Transpose of `slope`."""
    before = (slice(None),) * axis
    made = xp.zeros(x.shape, x.dtype)
    inner = x[(*before, slice(1, -1))] * 0.5
    made[(*before, slice(2, None))] += inner
    made[(*before, slice(None, -2))] -= inner
    first, last = x[(*before, 0)], x[(*before, -1)]
    for i, weight in enumerate(_EDGES[edge_order]):
        made[(*before, i)] += weight * first
        made[(*before, -1 - i)] -= weight * last
    return made


linear(slope, lambda g, *, axis, edge_order=1: slope_back.op(g, axis=axis, edge_order=edge_order))
linear(slope_back, lambda g, *, axis, edge_order=1: slope.op(g, axis=axis, edge_order=edge_order))


def gradient(f: Any, *varargs: Any, axis: Any = None, edge_order: int = 1) -> Any:
    """Second-order differences of what is sampled on a grid, one array for each axis.

    Linear in f; differentiable in the spacing, too: one number, one for each axis, or arrays of
    coordinates.

    Raises
    ------
    TypeError
        If there are neither one spacing nor one for each axis.
    ValueError
        If coordinates do not fit their axis, or there are too few elements for `edge_order`.
    """
    f = as_operand(f)
    ndim = len(f.shape)
    given: Any = axis
    if axis is None:
        given = range(ndim)
    elif isinstance(axis, int | numpy.integer):
        given = (axis,)
    axes = [normalize_axis(int(i), ndim, "gradient") for i in given]
    spacings = [x if isinstance(x, int | float) else as_operand(x) for x in varargs]
    if not spacings:
        spacings = [None] * len(axes)
    elif len(spacings) == 1 and not _is_array(spacings[0]):
        spacings = spacings * len(axes)
    elif len(spacings) != len(axes):
        raise TypeError(
            f"gradient: {len(spacings)} spacings are given for {len(axes)} axes: give one number, "
            "or a number or coordinates for each axis"
        )
    if edge_order not in _EDGES:
        raise ValueError(f"gradient: edge_order must be 1 or 2, it is {edge_order}")
    made = tuple(_gradient(f, x, i, edge_order) for x, i in zip(spacings, axes))
    return made[0] if len(made) == 1 else made


def _gradient(f: Any, spacing: Any, axis: int, edge_order: int) -> Tensor:
    if not _is_array(spacing):
        made = slope(f, axis=axis, edge_order=edge_order)
        return made if spacing is None else _fitted(divide(made, spacing), made.dtype)
    n = f.shape[axis]
    if spacing.shape != (n,):
        raise ValueError(
            f"gradient: coordinates of shape {spacing.shape} for axis {axis} of length {n}: "
            "they must be one number for each element"
        )
    if n <= edge_order:
        raise ValueError(f"gradient: axis {axis} of length {n} needs more than {edge_order}")
    if spacing.dtype.kind not in "fc":
        spacing = operators.astype(spacing, dtype=float)
    kind = f.dtype if f.dtype.kind in "fc" else numpy.dtype(float)
    return _fitted(_uneven(f, diff_.op(spacing), axis, edge_order), kind)


def _is_array(spacing: Any) -> bool:
    return len(getattr(spacing, "shape", ())) > 0


def _fitted(made: Tensor, dtype: Any) -> Tensor:
    """Return a derivative in the dtype of what is differentiated, as NumPy does."""
    return made if made.dtype == dtype else operators.astype(made, dtype=dtype)


def _uneven(f: Any, steps: Any, axis: int, edge_order: int) -> Tensor:
    """Return the derivative of the parabola through an element and its neighbours."""
    before = (slice(None),) * axis
    shape = (-1, *(1,) * (len(f.shape) - axis - 1))

    def at(start: int | None, stop: int | None) -> Any:
        return getitem.op(f, index=(*before, slice(start, stop)))

    def step(start: int | None, stop: int | None) -> Any:
        return reshape.op(getitem.op(steps, index=slice(start, stop)), shape=shape)

    h, k = step(None, -1), step(1, None)
    left, here, right = at(None, -2), at(1, -1), at(2, None)
    inner = (h * h * right + (k * k - h * h) * here - k * k * left) / (h * k * (h + k))
    if edge_order == 1:
        first = (at(1, 2) - at(0, 1)) / step(0, 1)
        last = (at(-1, None) - at(-2, -1)) / step(-1, None)
    else:
        h, k = step(0, 1), step(1, 2)
        first = -(2 * h + k) / (h * (h + k)) * at(0, 1)
        first = first + (h + k) / (h * k) * at(1, 2) - h / (k * (h + k)) * at(2, 3)
        h, k = step(-2, -1), step(-1, None)
        last = k / (h * (h + k)) * at(-3, -2) - (h + k) / (h * k) * at(-2, -1)
        last = last + (2 * k + h) / (k * (h + k)) * at(-1, None)
    return as_tensors(concatenate_arrays([first, inner, last], axis=axis))  # type: ignore[no-any-return]


# ----- ediff1d ----------------------------------------------------------------------------------


def ediff1d(ary: Any, to_end: Any = None, to_begin: Any = None) -> Tensor:
    """Differences of neighbours of the flattened array, between two others that get their g.

    Raises
    ------
    TypeError
        If what stands at an end is not cast to the array's dtype by the rule "same_kind".
    """
    made = diff_.op(reshape.op(as_operand(ary), shape=(-1,)))
    parts = [made]
    for name, given, place in (("to_begin", to_begin, 0), ("to_end", to_end, 2)):
        if given is None:
            continue
        part = as_operand_beside(given, made)
        if not numpy.can_cast(part.dtype, made.dtype, "same_kind"):
            raise TypeError(f"ediff1d: {name} of {part.dtype} is not cast to {made.dtype}")
        part = reshape.op(part, shape=(-1,))
        parts.insert(place, part if part.dtype == made.dtype else astype.op(part, dtype=made.dtype))
    return as_tensors(made if len(parts) == 1 else concatenate_arrays(parts))  # type: ignore[no-any-return]


# ----- trapezoid --------------------------------------------------------------------------------


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Tensor:
    """Integrate along an axis by the trapezoidal rule; differentiable in y, x and dx."""
    y = as_operand(y)
    step, whole = dx, normalize_axis(axis, len(y.shape), "trapezoid")
    if x is not None:
        x = as_operand(x)
        if len(x.shape) == 1:
            step = reshape.op(diff_.op(x), shape=(-1, *(1,) * (len(y.shape) - whole - 1)))
        else:
            step = diff_.op(x, axis=axis)
    left, right = cut(y, whole, None, -1), cut(y, whole, 1, None)
    return as_tensors(operators.sum(step * (right + left) / 2.0, axis=axis))  # type: ignore[no-any-return]


# ----- unwrap -----------------------------------------------------------------------------------


@primitive(name="unwrap")
def unwrap_(xp: Any, x: Any, period: Any, *, discont: Any = None, axis: int = -1) -> Any:
    """Add multiples of a period, so that neighbours differ by no more than half of it."""
    return xp.unwrap(x, discont, axis, period=period)


def _turns(ans: Any, x: Any, period: Any) -> Any:
    """Return how many periods have been added to each element."""
    return rint.op((plain(ans) - plain(x)) / plain(period))


defvjp(
    unwrap_,
    lambda g: g,
    lambda g, ans, x, period: operators.zero_multiply(g, _turns(ans, x, period)),
)
defjvp(
    unwrap_,
    lambda t: t,
    lambda t, ans, x, period: operators.zero_multiply(t, _turns(ans, x, period)),
)


def unwrap(p: Any, discont: Any = None, axis: int = -1, *, period: Any = 2 * numpy.pi) -> Tensor:
    """Add multiples of a period where neighbours differ by more than `discont`; g passes.

    Differentiable in the period, too: g times the number of periods that were added.
    """
    p = as_operand(p)
    normalize_axis(axis, len(p.shape), "unwrap")
    return unwrap_(p, period, discont=plain(discont), axis=axis)  # type: ignore[no-any-return]
