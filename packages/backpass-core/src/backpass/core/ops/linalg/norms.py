"""Norms of vectors and matrices, and the condition number; at 0 their derivative is 0."""

from __future__ import annotations

import math
from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.ops.elementwise import (
    absolute,
    conj,
    divide,
    equal,
    is_complex,
    isnan,
    logical_and,
    logical_not,
    logical_or,
    multiply,
    power,
    real,
    sign,
    where,
    zero_multiply,
)
from backpass.core.ops.indexing import getitem
from backpass.core.ops.linalg.eigen import is_tracked
from backpass.core.ops.linalg.matrices import conjugate, library_of, mask, over
from backpass.core.ops.linalg.products import check_square
from backpass.core.ops.linalg.singular_values import svdvals
from backpass.core.ops.linalg.solving import inv
from backpass.core.ops.reductions import max_, min_, normal_axes, sum_
from backpass.core.ops.shaping import (
    as_operand,
    astype,
    moveaxis,
    normalize_axis,
    reshape,
    transpose_,
)
from backpass.core.rules import defjvp, defvjp
from backpass.core.tensor import Tensor
from backpass.core.values import plain

# ----- norms of vectors, and that of Frobenius --------------------------------------------------


@primitive(name="norm")
def norm_(xp: Any, x: Any, *, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Any:
    """Norm over one axis, or root of the sum of squares over one, two or all."""
    return xp.linalg.norm(x, ord, axis, keepdims)


def _beside(g: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """Give what a norm of `x` gave the axes that it has lost, of length 1."""
    if axis is None or keepdims:
        return g
    axes = normal_axes(axis, len(x.shape))
    return reshape.op(g, shape=tuple(1 if i in axes else n for i, n in enumerate(x.shape)))


def _unit(x: Any) -> Any:
    """Return the derivative of the absolute value."""
    return over.op(conj.op(x), absolute.op(x)) if is_complex(x) else sign.op(x)


def _euclidean(ord: Any) -> bool:
    return ord is None or ord == 2 or isinstance(ord, str)


def _weights(ans: Any, x: Any, ord: Any, axis: Any, keepdims: bool) -> Any:
    """Return the derivative of the norm by each element, for orders that are not Euclidean."""
    whole = _beside(ans, x, axis, keepdims)
    if ord == 1:
        return _unit(x)
    if ord == 0:
        return multiply.op(_unit(x), 0.0)
    if abs(ord) == math.inf:
        size = absolute.op(x)
        chosen = where.op(logical_or.op(equal.op(size, whole), isnan.op(size)), 1.0, 0.0)
        ties = sum_.op(chosen, axis=axis, keepdims=True)
        return zero_multiply.op(chosen, divide.op(_unit(x), ties))
    # (|x| / norm)**(order - 1) may be infinite, where the sign of x is 0, or the norm.
    direction = where.op(equal.op(whole, 0), 0.0, _unit(x))
    return zero_multiply.op(direction, power.op(over.op(absolute.op(x), whole), ord - 1))


def _norm_vjp(
    g: Any, ans: Any, x: Any, *, ord: Any = None, axis: Any = None, keepdims: bool = False
) -> Any:
    if _euclidean(ord):
        scale = _beside(over.op(g, ans), x, axis, keepdims)
        return zero_multiply.op(scale, conjugate(x))
    return zero_multiply.op(_beside(g, x, axis, keepdims), _weights(ans, x, ord, axis, keepdims))


def _norm_jvp(
    t: Any, ans: Any, x: Any, *, ord: Any = None, axis: Any = None, keepdims: bool = False
) -> Any:
    euclidean = _euclidean(ord)
    d = conjugate(x) if euclidean else _weights(ans, x, ord, axis, keepdims)
    moved = sum_.op(zero_multiply.op(t, d), axis=axis, keepdims=keepdims)
    moved = real.op(moved) if is_complex(moved) else moved
    return over.op(moved, ans) if euclidean else moved


defvjp(norm_, _norm_vjp)
defjvp(norm_, _norm_jvp)

# ----- norm -------------------------------------------------------------------------------------

_SPECTRAL = {2: max_, -2: min_, "nuc": sum_}


def norm(x: Any, ord: Any = None, axis: Any = None, keepdims: bool = False) -> Tensor:
    """Norm of vectors or matrices; x / norm for the Euclidean one, 0 at 0 for every order.

    Equal largest elements, rows, columns or singular values share the gradient.  Of a complex x the
    gradient is conj(x) / norm, so that against it the norm falls.

    Raises
    ------
    ValueError
        If the order does not exist for vectors, or matrices, or there are other axes than these.
    NotImplementedError
        If the order is tracked.
    """
    if ord is None and axis is None:
        return norm_(x, keepdims=True) if keepdims else norm_(x)  # type: ignore[no-any-return]
    x, ord = as_operand(x), _constant("norm", "ord", ord)
    axes = _axes(axis, x.ndim)
    if len(axes) == 1:
        if isinstance(ord, str):
            raise ValueError(f"Invalid norm order '{ord}' for vectors")
        return norm_(x, ord=ord, axis=axes[0], keepdims=bool(keepdims))  # type: ignore[no-any-return]
    if len(axes) != 2:
        raise ValueError("Improper number of dimensions to norm.")
    if axes[0] == axes[1]:
        raise ValueError("Duplicate axes given.")
    if ord in (None, "fro", "f"):
        return norm_(x, axis=axes, keepdims=bool(keepdims))  # type: ignore[no-any-return]
    found = _norm_of_matrices(x, ord, axes)
    if keepdims:
        shape = tuple(1 if i in axes else n for i, n in enumerate(x.shape))
        return reshape(found, shape=shape)  # type: ignore[no-any-return]
    return found  # type: ignore[no-any-return]


def _constant(name: str, parameter: str, order: Any) -> Any:
    if is_tracked(order):
        raise NotImplementedError(
            f"{name}: {parameter} is tracked and has no derivative here: "
            f"pass stop_gradient({parameter}), or write sum(abs(x)**p)**(1 / p)"
        )
    return plain(order)


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    if axis is None:
        return tuple(range(ndim))
    if not isinstance(axis, tuple):
        try:
            axis = (int(axis),)
        except Exception as error:
            raise TypeError("'axis' must be None, an integer or a tuple of integers") from error
    return tuple(normalize_axis(i, ndim, "norm") for i in axis)


def _norm_of_matrices(x: Any, ord: Any, axes: tuple[int, ...]) -> Any:
    """Return the norm of the matrices in a plane: of singular values, of columns, or of rows."""
    if axes != (x.ndim - 2, x.ndim - 1):
        x = moveaxis(x, axes, (-2, -1))
    if ord in _SPECTRAL:
        return _extreme(_SPECTRAL[ord], svdvals(x), ord)
    if ord not in (1, -1, math.inf, -math.inf):
        raise ValueError("Invalid norm order for matrices.")
    x = x if x.dtype.kind in "fc" else astype(x, dtype=float)
    sums = sum_(absolute(x), axis=-2 if abs(ord) == 1 else -1)
    return _extreme(max_ if ord > 0 else min_, sums, ord)


def _extreme(reduce: Any, values: Any, ord: Any) -> Any:
    if reduce is max_ and values.shape[-1] == 0:
        return norm_(values, ord=math.inf, axis=-1)
    return reduce(values, axis=-1)


def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Tensor:
    """Norm of each matrix of a stack: `norm` over the last two axes."""
    return norm(x, ord, (-2, -1), keepdims)


def vector_norm(x: Any, /, *, axis: Any = None, keepdims: bool = False, ord: Any = 2) -> Tensor:
    """Norm of vectors, be they spread over several axes; derivatives as those of `norm`."""
    x = as_operand(x)
    ndim = x.ndim
    axes = tuple(
        normalize_axis(i, ndim, "vector_norm")
        for i in (range(ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,))
    )
    shape = x.shape
    if len(axes) != 1:
        rest = tuple(i for i in range(ndim) if i not in axes)
        moved = transpose_(x, axes=(*axes, *rest)) if rest else x
        flat = (math.prod(shape[i] for i in axes), *(shape[i] for i in rest))
        found = norm(reshape(moved, shape=flat), ord, 0)
    else:
        found = norm(x, ord, axes[0])
    if keepdims:
        kept = tuple(1 if i in axes else n for i, n in enumerate(shape))
        return reshape(found, shape=kept)  # type: ignore[no-any-return]
    return found


# ----- cond -------------------------------------------------------------------------------------


def cond(x: Any, p: Any = None) -> Tensor:
    """Condition number: a quotient of singular values, or norm(x, p) * norm(inv(x), p).

    It is infinite at a singular matrix, and so is, or nan, its derivative.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a matrix is empty, or not square where p is not 2, -2 or None.
    NotImplementedError
        If p is tracked.
    """
    x, p = as_operand(x), _constant("cond", "p", p)
    if 0 in x.shape[-2:]:
        raise numpy.linalg.LinAlgError("cond is not defined on empty arrays")
    if p is None or p in (2, -2):
        s = svdvals(x)
        first, last = getitem(s, index=(..., 0)), getitem(s, index=(..., -1))
        return _infinite(divide(last, first) if p == -2 else divide(first, last), x)  # type: ignore[no-any-return]
    check_square(x)
    singular = equal.op(library_of(x).linalg.slogdet(plain(x))[0], 0)
    if not singular.any():
        return _infinite(multiply(norm(x, p, (-2, -1)), norm(inv(x), p, (-2, -1))), x)  # type: ignore[no-any-return]
    regular = where(singular[..., None, None], mask(x, 0.0, 1.0, 0.0), x)
    product = multiply(norm(x, p, (-2, -1)), norm(inv(regular), p, (-2, -1)))
    return where(singular, math.inf, product)  # type: ignore[no-any-return]


def _infinite(r: Any, x: Any) -> Any:
    """Return inf for nan, where no element of the matrix is nan."""
    unknown = isnan.op(plain(r))
    if not unknown.any():
        return r
    meant = library_of(x).any(isnan.op(plain(x)), axis=(-2, -1))
    return where(logical_and.op(unknown, logical_not.op(meant)), math.inf, r)
