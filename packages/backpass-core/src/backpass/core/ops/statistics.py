"""Averages, ranges, covariances and correlations: short programs over the primitives."""

from __future__ import annotations

import warnings
from typing import Any

import numpy

from backpass.core.backends import backend_of, on_host
from backpass.core.ops import reductions
from backpass.core.ops.elementwise import (
    conj,
    divide,
    imag,
    is_complex,
    maximum,
    minimum,
    multiply,
    real,
    rint,
    sqrt,
    subtract,
)
from backpass.core.ops.linear import matmul
from backpass.core.ops.reductions import count, mean_, refuse_out, sum_
from backpass.core.ops.shaping import (
    as_operand,
    as_operand_beside,
    astype,
    broadcast_to,
    concatenate_arrays,
    diagonal_,
    normalize_axis,
    reshape,
    squeeze,
    transpose_,
)
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors, plain

# ----- average and range ------------------------------------------------------------------------


def checked_axes(axis: Any, ndim: int, name: str) -> tuple[int, ...] | None:
    """Return axes from 0 on, in the order given; `None` means all.

    Raises
    ------
    ValueError
        If an axis is named twice.
    numpy.exceptions.AxisError
        If an axis does not exist.
    """
    if axis is None:
        return None
    given = axis if isinstance(axis, tuple | list) else (axis,)
    axes = tuple(normalize_axis(i, ndim, name) for i in given)
    if len(set(axes)) < len(axes):
        raise ValueError(f"{name}: axis={axis} names an axis twice")
    return axes


def weights_beside(name: str, weights: Any, a: Any, axes: tuple[int, ...] | None) -> Any:
    """Return weights in a shape that broadcasts with `a`: they have its shape, or its axes'.

    Raises
    ------
    TypeError
        If their shape is another, and no axis is given.
    ValueError
        If their shape is not that of the axes.
    """
    weights = as_operand_beside(weights, plain(a))
    if weights.shape == a.shape:
        return weights
    if axes is None:
        raise TypeError(
            f"{name}: weights of shape {weights.shape} for an array of shape {a.shape}: give axis=,"
            " or weights of the array's shape"
        )
    along = tuple(a.shape[i] for i in axes)
    if weights.shape != along:
        raise ValueError(
            f"{name}: weights of shape {weights.shape}: they must have the shape of the array, "
            f"{a.shape}, or that of its axes {axes}, {along}"
        )
    if list(axes) != sorted(axes):
        weights = transpose_.op(weights, axes=tuple(sorted(range(len(axes)), key=axes.__getitem__)))
    return reshape.op(weights, shape=tuple(n if i in axes else 1 for i, n in enumerate(a.shape)))


def average(
    a: Any,
    axis: Any = None,
    weights: Any = None,
    returned: bool = False,
    *,
    keepdims: bool = False,
) -> Any:
    """Weighted mean over `axis`; derivatives w / sum(w) in a, (a - average) / sum(w) in w.

    With `returned` a pair: the average, and the sum of the weights.

    Raises
    ------
    ZeroDivisionError
        If weights sum to zero.
    TypeError, ValueError
        If the weights have the shape neither of `a` nor of its axes.
    """
    a = as_operand(a)
    axes = checked_axes(axis, len(a.shape), "average")
    if weights is None:
        made = mean_(a, axis=axes, keepdims=keepdims)
        if not returned:
            return made
        xp = backend_of((made.value,)).library
        return made, Tensor(xp.full(made.shape, count(a, axes), made.dtype)[()])
    weights = weights_beside("average", weights, a, axes)
    kinds = [a.dtype, weights.dtype, *(["f8"] if a.dtype.kind in "biu" else [])]
    dtype = numpy.result_type(*kinds)
    a, weights = _as_type(a, dtype), _as_type(weights, dtype)
    total = sum_(weights, axis=axes, keepdims=keepdims)
    if bool((total.value == 0).any()):
        raise ZeroDivisionError("average: the weights sum to zero")
    made = divide(sum_.op(multiply.op(a, weights), axis=axes, keepdims=keepdims), total)
    if not returned:
        return made
    return made, total if total.shape == made.shape else broadcast_to(total, shape=made.shape)


def _as_type(x: Any, dtype: Any) -> Any:
    return x if x.dtype == dtype else astype.op(x, dtype=dtype)


def ptp(a: Any, axis: Any = None, out: Any = None, keepdims: bool = False) -> Tensor:
    """Max - min over `axis`; g flows to the greatest elements, -g to the least, in equal shares."""
    refuse_out("ptp", out)
    a = as_operand(a)
    greatest, least = (f(a, axis, None, keepdims) for f in (reductions.max, reductions.min))
    return subtract(greatest, least)  # type: ignore[no-any-return]


# ----- covariance and correlation ---------------------------------------------------------------


def _samples(name: str, x: Any, dtype: Any, rowvar: bool, one: bool) -> Any:
    """Return variables in rows; `one` tells whether a vector is one variable anyway."""
    x = _as_type(as_operand(x), dtype)
    if len(x.shape) < 2:
        x = reshape.op(x, shape=(1, *(x.shape or (1,))))
    return x if rowvar or one else transpose_.op(x, axes=(1, 0))


def _observations(name: str, weights: Any, n: int, beside: Any) -> Any:
    """Return one weight for each observation, as floats."""
    weights = _as_type(as_operand_beside(weights, plain(beside)), numpy.dtype(float))
    if len(weights.shape) > 1:
        raise RuntimeError(f"cov: {name} has {len(weights.shape)} axes: it must have one")
    if weights.shape != (n,):
        raise RuntimeError(f"cov: {name} of shape {weights.shape} for {n} observations")
    if bool((plain(weights) < 0).any()):
        raise ValueError(f"cov: {name} must not be negative")
    return weights


def _frequencies(weights: Any, n: int, beside: Any) -> Any:
    if isinstance(weights, Tensor) and weights.tracked:
        raise TypeError(
            "cov: fweights are whole numbers, in which there is no derivative: use aweights, or "
            "stop_gradient(fweights)"
        )
    weights = plain(_observations("fweights", weights, n, beside))
    if bool((weights != rint.op(weights)).any()):
        raise TypeError("cov: fweights must be whole numbers: use aweights for others")
    return weights


def cov(
    m: Any,
    y: Any = None,
    rowvar: bool = True,
    bias: bool = False,
    ddof: int | None = None,
    fweights: Any = None,
    aweights: Any = None,
    *,
    dtype: Any = None,
) -> Tensor:
    """Covariance matrix of the rows of `m` and `y`; differentiable in them and in `aweights`.

    With d = m - mean, the cotangent of m is (g + g.T) @ d / (n - ddof).

    Raises
    ------
    ValueError, TypeError, RuntimeError
        As `numpy.cov`: for more than two axes, and for weights that are none.
    """
    if ddof is not None and ddof != int(ddof):
        raise ValueError(f"cov: ddof must be a whole number, it is {ddof}")
    given = [as_operand(x) for x in (m, y) if x is not None]
    for name, x in zip(("m", "y"), given):
        if len(x.shape) > 2:
            raise ValueError(f"cov: {name} has {len(x.shape)} axes: it must have at most 2")
    if dtype is None:
        dtype = numpy.result_type(*(x.dtype for x in given), numpy.float64)
    x = _samples("m", given[0], dtype, rowvar, len(given[0].shape) == 1)
    if x.shape[0] == 0:
        return Tensor(backend_of((plain(x),)).library.zeros((0, 0)))
    if len(given) > 1:
        one = len(given[1].shape) < 2 or given[1].shape[0] == 1
        x = concatenate_arrays([x, _samples("y", given[1], dtype, rowvar, one)], axis=0)
    if ddof is None:
        ddof = 0 if bias else 1

    n = x.shape[1]
    weights = None if fweights is None else _frequencies(fweights, n, x)
    if aweights is not None:
        aweights = _observations("aweights", aweights, n, x)
        weights = aweights if weights is None else multiply.op(weights, aweights)
    if weights is None:
        centre, freedom = mean_.op(x, axis=1, keepdims=True), n - ddof
    else:
        centre = average(x, axis=1, weights=weights, keepdims=True)
        freedom = total = sum_.op(weights)
        if ddof and aweights is None:
            freedom = total - ddof
        elif ddof:
            freedom = total - ddof * sum_.op(multiply.op(weights, aweights)) / total
    if bool(on_host(plain(freedom)) <= 0):
        warnings.warn("Degrees of freedom <= 0 for slice", RuntimeWarning, stacklevel=2)
        freedom = 0.0
    deviation = subtract.op(x, centre)
    other = deviation if weights is None else multiply.op(deviation, weights)
    if is_complex(other):
        other = conj.op(other)
    made = matmul.op(deviation, transpose_.op(other, axes=(1, 0)))
    scale = numpy.true_divide(1, freedom) if weights is None else divide.op(1.0, freedom)
    if weights is None and made.dtype != scale.dtype:
        scale = float(scale)
    return squeeze(multiply.op(made, scale))


def corrcoef(x: Any, y: Any = None, rowvar: bool = True, *, dtype: Any = None) -> Tensor:
    """Pearson's correlations of the rows of `x` and `y`: cov / outer(std, std).

    The values are clipped to [-1, 1] against rounding; g flows as if they were not.
    """
    made = cov(x, y, rowvar, dtype=dtype)
    if not made.shape:
        return divide(made, made)  # type: ignore[no-any-return]
    deviation = sqrt.op(real.op(diagonal_.op(made)))
    made = divide.op(made, reshape.op(deviation, shape=(-1, 1)))
    made = divide.op(made, reshape.op(deviation, shape=(1, -1)))
    # What rounding has added is subtracted: clip itself would halve the derivative at +-1.
    return as_tensors(made - _excess(plain(made)))  # type: ignore[no-any-return]


def _excess(x: Any) -> Any:
    """Return how far numbers, or their real and imaginary parts, lie outside [-1, 1]."""
    if is_complex(x):
        return _excess(real.op(x)) + 1j * _excess(imag.op(x))
    return x - minimum.op(maximum.op(x, -1.0), 1.0)
