"""Polynomials by their coefficients, the highest power first: their values, and fits."""

from __future__ import annotations

import importlib
import warnings
from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.backends import backend_of
from backpass.core.ops.elementwise import multiply, power, sqrt, zero_multiply
from backpass.core.ops.indexing import getitem
from backpass.core.ops.linear import matmul
from backpass.core.ops.reductions import sum_
from backpass.core.ops.shaping import as_operand, reshape, stack_, transpose_
from backpass.core.rules import defjvp, defvjp
from backpass.core.tensor import Tensor
from backpass.core.values import plain

# ----- values -----------------------------------------------------------------------------------


@primitive(name="polyval")
def polyval_(xp: Any, p: Any, x: Any) -> Any:
    """Sum of p[k] * x**(n - 1 - k), by Horner's rule."""
    y = xp.zeros_like(x)
    for c in p:
        y = y * x + c
    return y[()]


def _slope(p: Any, x: Any) -> Any:
    """Return the derivative in x, itself a polynomial."""
    n = p.shape[0]
    if n < 2:
        return multiply.op(0.0, x)
    powers = backend_of((plain(x),)).library.arange(n - 1, 0, -1)
    return polyval_.op(multiply.op(getitem.op(p, index=slice(0, n - 1)), powers), x)


def _powers_of(g: Any, x: Any, n: int) -> list[Any]:
    """Return g * x**k for k = n - 1 to 0, each with a strong zero."""
    found = []
    for _ in range(n):
        found.append(g)
        g = zero_multiply.op(g, x)
    return found[::-1]


def _polyval_p(g: Any, p: Any, x: Any) -> Any:
    sums = [sum_.op(term) for term in _powers_of(g, x, p.shape[0])]
    return stack_.op(*sums, axis=0) if sums else multiply.op(0.0, p)


defvjp(
    polyval_,
    lambda g, p, x: _polyval_p(g, p, x),
    lambda g, p, x: zero_multiply.op(g, _slope(p, x)),
)
defjvp(
    polyval_,
    lambda t, x: polyval_.op(t, x),
    lambda t, p, x: zero_multiply.op(t, _slope(p, x)),
)


def polyval(p: Any, x: Any) -> Tensor:
    """p[0] * x**(n-1) + ... + p[n-1]; derivatives x**(n-1-k) and the derived polynomial.

    `x` is numbers, no `poly1d`.

    Raises
    ------
    TypeError
        If x is a `poly1d`.
    """
    if isinstance(x, numpy.poly1d):
        raise TypeError("polyval: x is a poly1d: polynomials of polynomials have no gradient here")
    p, x = as_operand(p), as_operand(x)
    if p.ndim == 1 and x.dtype.kind in "fc":
        return polyval_(p, x)  # type: ignore[no-any-return]
    # Rows of coefficients, one row a power; or whole numbers, without a gradient.
    y = backend_of((plain(x),)).library.zeros_like(plain(x))
    for row in p:
        y = y * x + row
    return y if isinstance(y, Tensor) else Tensor(y)


# ----- fits -------------------------------------------------------------------------------------


def polyfit(
    x: Any,
    y: Any,
    deg: int,
    rcond: float | None = None,
    full: bool = False,
    w: Any = None,
    cov: Any = False,
) -> Any:
    """Coefficients of the polynomial of degree `deg` nearest to the points (x, y).

    The derivatives are those of `linalg.lstsq` on the matrix of powers; differentiable in x, y and
    the weights w.

    Raises
    ------
    ValueError
        If deg is negative, or there are too few points for the covariance.
    TypeError
        If x is no vector, or y or w do not fit it.
    """
    # Linear algebra is imported when first used.
    least_squares = importlib.import_module("backpass.core.ops.linalg.least_squares")
    solving = importlib.import_module("backpass.core.ops.linalg.solving")
    order = int(deg) + 1
    x, y = as_operand(x) + 0.0, as_operand(y) + 0.0
    w = None if w is None else as_operand(w) + 0.0
    _check_points(x, y, w, order)
    if rcond is None:
        rcond = x.shape[0] * float(numpy.finfo(x.dtype).eps)
    exponents = backend_of((plain(x),)).library.arange(order - 1, -1, -1)
    # The exponents are whole: a square of -1 is 1, without a logarithm.
    matrix = power.op(reshape(x, shape=(-1, 1)), exponents)
    values = y
    if w is not None:
        column = reshape(w, shape=(-1, 1))
        matrix = matrix * column
        values = y * (column if y.ndim == 2 else w)
    scale = sqrt(sum_(matrix * matrix, axis=0))
    matrix = matrix / scale
    c, residuals, rank, s = least_squares.lstsq(matrix, values, rcond)
    c = c / (reshape(scale, shape=(-1, 1)) if y.ndim == 2 else scale)
    if full:
        return c, residuals, rank, s, rcond
    if int(rank.value) != order:
        message = "Polyfit may be poorly conditioned"
        warnings.warn(message, numpy.exceptions.RankWarning, stacklevel=2)
    if not cov:
        return c
    base = solving.inv(matmul(transpose_(matrix, axes=(1, 0)), matrix))
    base = base / (reshape(scale, shape=(-1, 1)) * scale)
    if not (isinstance(cov, str) and cov == "unscaled"):
        if x.shape[0] <= order:
            raise ValueError(
                f"polyfit: the covariance of {order} coefficients needs more than {order} points, "
                f"not {x.shape[0]}: use cov='unscaled'"
            )
        factor = residuals / (x.shape[0] - order)
        base = reshape(base, shape=(order, order, 1)) * factor if y.ndim == 2 else base * factor
    elif y.ndim == 2:
        base = reshape(base, shape=(order, order, 1))
    return c, base


def _check_points(x: Any, y: Any, w: Any, order: int) -> None:
    if order < 1:
        raise ValueError(f"polyfit: deg={order - 1} must not be negative")
    if x.ndim != 1 or not x.size:
        raise TypeError(f"polyfit: x must be a vector of points, not of shape {x.shape}")
    if y.ndim not in (1, 2) or y.shape[0] != x.shape[0]:
        raise TypeError(
            f"polyfit: y must have a value, or a row, for each of the {x.shape[0]} points, not the "
            f"shape {y.shape}"
        )
    if w is not None and w.shape != x.shape:
        raise TypeError(f"polyfit: w must have the shape of x, {x.shape}, not {w.shape}")
