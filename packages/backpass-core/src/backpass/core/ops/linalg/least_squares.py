"""Least squares: `pinv` and `lstsq`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy

from backpass.core.arity import primitive
from backpass.core.ops.elementwise import absolute, square
from backpass.core.ops.linalg.matrices import adjoint, conjugate, hermitian, library_of, transpose
from backpass.core.ops.linalg.singular_values import svdvals
from backpass.core.ops.linear import matmul
from backpass.core.ops.reductions import sum_
from backpass.core.ops.shaping import as_operand, astype
from backpass.core.rules import defjvp, defvjp
from backpass.core.tensor import Tensor
from backpass.core.values import plain

# ----- pinv -------------------------------------------------------------------------------------


@primitive(name="pinv")
def pinv_(xp: Any, a: Any, *, rcond: Any = 1e-15) -> Any:
    """Pseudo-inverse of each matrix."""
    return xp.linalg.pinv(a, rcond)


# With p for the result: dp = -p da p + p p^H da^H (1 - a p) + (1 - p a) da^H p^H p, for matrices
# whose rank does not change.


def _pinv_vjp(g: Any, ans: Any, a: Any) -> Any:
    pt, at, gh = transpose(ans), transpose(a), adjoint(g)
    p = conjugate(ans)
    first = matmul.op(matmul.op(pt, g), pt)
    left = matmul.op(matmul.op(gh, p), pt)
    right = matmul.op(matmul.op(pt, p), gh)
    second = left - matmul.op(conjugate(a), matmul.op(p, left))
    third = right - matmul.op(matmul.op(right, p), adjoint(at))
    return second + third - first


def _pinv_jvp(t: Any, ans: Any, a: Any) -> Any:
    th, ph = adjoint(t), adjoint(ans)
    first = matmul.op(matmul.op(ans, t), ans)
    left = matmul.op(matmul.op(ans, ph), th)
    right = matmul.op(matmul.op(th, ph), ans)
    second = left - matmul.op(matmul.op(left, a), ans)
    third = right - matmul.op(ans, matmul.op(a, right))
    return second + third - first


defvjp(pinv_, _pinv_vjp)
defjvp(pinv_, _pinv_jvp)


def pinv(a: Any, rcond: Any = None, hermitian: bool = False, **rtol: Any) -> Tensor:
    """Pseudo-inverse of each matrix; its derivative is that among matrices of the same rank.

    d ans = -ans da ans + ans ans^H da^H (1 - a ans) + (1 - ans a) da^H ans^H ans.  With
    `hermitian=True` the lower triangle alone is read, and gets the gradient.  At a matrix of
    deficient rank the function jumps: what leaves the rank is not in the derivative.
    """
    unknown = rtol.keys() - {"rtol"}
    if unknown:
        raise TypeError(f"pinv: unknown argument {unknown.pop()!r}")
    a = as_operand(a)
    if hermitian:
        a = _from_lower(a)
    if rcond is None and "rtol" not in rtol:
        return pinv_(a)  # type: ignore[no-any-return]
    if rcond is not None and rtol:
        raise ValueError("`rtol` and `rcond` can't be both set.")
    limit = rcond if rcond is not None else rtol["rtol"]
    return pinv_(a, rcond=_default_limit(a) if limit is None else plain(limit))  # type: ignore[no-any-return]


def _default_limit(a: Any) -> float:
    """Return below which share of the largest singular value one counts as 0."""
    exact = a.dtype if a.dtype.kind in "fc" else numpy.dtype(float)
    return float(numpy.finfo(exact).eps * max(a.shape[-2:]))


def _from_lower(a: Any) -> Any:
    if len(a.shape) < 2 or a.shape[-1] != a.shape[-2]:
        raise numpy.linalg.LinAlgError(
            f"Last 2 dimensions of the array must be square, the shape is {tuple(a.shape)}"
        )
    # Half of a diagonal is no integer.
    return hermitian(a if a.dtype.kind in "fc" else astype(a, dtype=float), "L")


# ----- lstsq ------------------------------------------------------------------------------------


class LstsqResult(NamedTuple):
    """Solution, sums of squared residuals, rank, singular values."""

    x: Any
    residuals: Any
    rank: Any
    s: Any


def lstsq(a: Any, b: Any, rcond: float | None = None) -> LstsqResult:
    """Least-squares solution pinv(a) @ b, residuals, rank and singular values; their derivatives.

    The derivative is that among matrices of the same rank, see `pinv`.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a is no matrix, or the lengths do not agree.
    """
    a, b = as_operand(a), as_operand(b)
    if a.ndim != 2 or b.ndim not in (1, 2) or a.shape[0] != b.shape[0]:
        raise numpy.linalg.LinAlgError(
            "lstsq: a must be a matrix and b a vector or a matrix with as many rows: a has the "
            f"shape {tuple(a.shape)}, b {tuple(b.shape)}"
        )
    m, n = a.shape
    kind = numpy.result_type(a.dtype, b.dtype)
    a = a if a.dtype == kind else astype(a, dtype=kind)
    if rcond is None:
        rcond = _default_limit(a)
    elif rcond < 0:
        # LAPACK's own limit.
        rcond = _default_limit(a) / max(m, n)
    x = matmul(pinv_(a, rcond=rcond), b)
    s = svdvals(a)
    values = s.value
    xp = library_of(values)
    rank = (values > rcond * values.max()).sum() if values.size else xp.zeros((), int)
    if int(rank) == n < m:
        away = square(absolute(b - matmul(a, x)))
        residuals = sum_(away, axis=0, keepdims=b.ndim == 1)
    else:
        residuals = Tensor(xp.zeros((0,), values.dtype))
    return LstsqResult(x, residuals, Tensor(rank.astype("int32")), s)
