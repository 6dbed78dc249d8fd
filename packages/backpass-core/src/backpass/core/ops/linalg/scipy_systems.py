"""SciPy's determinants, inverses and systems, by the rules of NumPy's functions.

`overwrite_a` and its like are accepted, and nothing is overwritten.
"""

from __future__ import annotations

import math
from typing import Any

import numpy

from backpass.core.ops.elementwise import absolute, divide, multiply, square
from backpass.core.ops.linalg import decompositions, determinants
from backpass.core.ops.linalg.least_squares import pinv_
from backpass.core.ops.linalg.matrices import (
    EPS,
    hermitian,
    library_of,
    lower,
    real_dtype,
    transpose,
    upper,
)
from backpass.core.ops.linalg.scipy_operands import checked, checked_square
from backpass.core.ops.linalg.singular_values import svdvals
from backpass.core.ops.linalg.solving import inv as inverse
from backpass.core.ops.linalg.solving import solve as solve_general
from backpass.core.ops.linalg.triangular import solve_stacks
from backpass.core.ops.linear import matmul
from backpass.core.ops.reductions import sum_
from backpass.core.ops.shaping import as_operand, astype, broadcast_to, reshape
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors, plain

# ----- determinants, inverses, systems ----------------------------------------------------------


def det(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Tensor:
    """Return the determinants, in double precision always; g times the cofactors flows back.

    Raises
    ------
    ValueError
        If a matrix is not square, or not finite.
    """
    a = checked_square("det", a, check_finite)
    kind = numpy.dtype("D" if a.dtype.kind == "c" else "d")
    return determinants.det(a if a.dtype == kind else astype(a, dtype=kind))  # type: ignore[no-any-return]


_TRIANGLES = {"upper triangular": upper, "lower triangular": lower}
_GENERAL = (None, "gen", "general", "banded")
_SYMMETRIC = ("sym", "symmetric")
_HERMITIAN = ("her", "hermitian")
_POSITIVE = ("pos", "positive definite")


def _structured(name: str, a: Any, assume_a: str | None, below: bool) -> Any:
    """Return the matrix that the part of `a` describes which is read under an assumption."""
    if assume_a in _GENERAL:
        return a
    if assume_a in _TRIANGLES:
        return _TRIANGLES[assume_a](a)
    if assume_a in ("diagonal", "tridiagonal"):
        places = library_of(plain(a)).arange(a.shape[-1])
        near = abs(places[:, None] - places) <= int(assume_a == "tridiagonal")
        return multiply.op(a, near.astype(real_dtype(a)))
    if assume_a in _SYMMETRIC:
        half = lower(a, 0.5) if below else upper(a, 0.5)
        return half + transpose(half)
    if assume_a in _HERMITIAN or assume_a in _POSITIVE:
        whole = hermitian(a, "L" if below else "U")
        if assume_a in _POSITIVE:
            # It raises an error where one is not.
            value = plain(whole)
            library_of(value).linalg.cholesky(value)
        return whole
    raise ValueError(
        f"{name}: assume_a={assume_a!r} is not a recognized matrix structure: use 'general', "
        "'diagonal', 'tridiagonal', 'banded', 'upper triangular', 'lower triangular', "
        "'symmetric', 'hermitian' or 'positive definite'"
    )


def inv(
    a: Any,
    overwrite_a: bool = False,
    check_finite: bool = True,
    *,
    assume_a: str | None = None,
    lower: bool = False,
) -> Tensor:
    """Inverse of each matrix; -ans.T @ g @ ans.T flows back, to what `assume_a` lets be read.

    Of a symmetric, Hermitian or positive definite matrix the upper triangle is read, with `lower`
    the lower one.  SciPy's warning of an ill-conditioned matrix is not given.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a matrix is singular, or not positive definite where that was said.
    ValueError
        If a matrix is not square or not finite, or `assume_a` unknown.
    """
    a = checked_square("inv", a, check_finite)
    return inverse(_structured("inv", a, assume_a, lower))  # type: ignore[no-any-return]


def solve(
    a: Any,
    b: Any,
    lower: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    assume_a: str | None = None,
    transposed: bool = False,
) -> Tensor:
    """Solve a x = b, or a.T x = b; with y = solve(a.T, g), y flows to b and -y @ x.T to a.

    b is one vector, or a stack of right-hand sides of shape (..., M, K).  `assume_a` says what of a
    is read, and gets the gradient: of a symmetric, Hermitian or positive definite matrix the upper
    triangle, with `lower` the lower one.  SciPy's warning of an ill-conditioned matrix is not
    given.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a matrix is singular, or not positive definite where that was said.
    NotImplementedError
        If a complex system is `transposed`, as in SciPy.
    ValueError
        If the shapes do not agree, an element is not finite, or `assume_a` is unknown.
    """
    a = as_operand(a)
    if len(a.shape) < 2:
        a = reshape(a, shape=(1, -1))
    a = checked_square("solve", a, check_finite)
    b = as_operand(b)
    b = checked("solve", b if len(b.shape) else reshape(b, shape=(1,)), check_finite, axes=1)
    if a.dtype.kind == "c" and transposed:
        raise NotImplementedError(
            "solve: transposed=True of a complex matrix is not to be had, as in SciPy: pass "
            "swapaxes(a, -1, -2), conjugated for the adjoint system"
        )
    length = b.shape[0 if len(b.shape) == 1 else -2]
    n, single = a.shape[-1], math.prod(a.shape) == 1
    if length != n and not single:
        raise ValueError(
            f"solve: incompatible shapes: a has the shape {tuple(a.shape)}, b {tuple(b.shape)}"
        )
    matrix = _structured("solve", a, assume_a, lower)
    if single and length != n:
        if not bool(plain(a).any()):
            raise numpy.linalg.LinAlgError("A singular matrix detected.")
        return divide(b, reshape(matrix, shape=(1,)))  # type: ignore[no-any-return]
    return solve_general(transpose(matrix) if transposed else matrix, b)  # type: ignore[no-any-return]


# ----- Cholesky's systems -----------------------------------------------------------------------


def cho_factor(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> tuple[Tensor, bool]:
    """Factor for `cho_solve`, and whether it is `lower`; the derivative is that of `cholesky`.

    The other triangle, in which SciPy leaves what lay there before, holds zeros.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a matrix is not positive definite.
    ValueError
        If a matrix is not square, or not finite.
    """
    a = checked_square("cho_factor", a, check_finite)
    return decompositions.cholesky(a, upper=not lower), lower


def cho_solve(
    c_and_lower: tuple[Any, bool], b: Any, overwrite_b: bool = False, check_finite: bool = True
) -> Tensor:
    """Solve a x = b, given the pair of `cho_factor`; differentiable in the factor and in b.

    The triangle of the factor that the pair names is read, and gets the gradient.

    Raises
    ------
    ValueError
        If the factor is not square, the shapes do not agree, or an element is not finite.
    """
    c, below = c_and_lower
    c = checked_square("cho_solve", c, check_finite)
    b = checked("cho_solve", b, check_finite, axes=1)
    first, second = ("N", "C") if below else ("C", "N")
    inner = solve_stacks(c, b, trans=first, lower=bool(below))
    return as_tensors(solve_stacks(c, inner, trans=second, lower=bool(below)))  # type: ignore[no-any-return]


# ----- least squares ----------------------------------------------------------------------------


def _largest(a: Any) -> Any:
    """Return the largest singular value of each matrix; 0 of an empty one."""
    value = plain(a)
    xp = library_of(value)
    if not min(value.shape[-2:]):
        return xp.zeros(value.shape[:-2], real_dtype(a))
    return xp.linalg.svd(value, compute_uv=False)[..., 0]


def pinv(
    a: Any,
    *,
    atol: float | None = None,
    rtol: float | None = None,
    return_rank: bool = False,
    check_finite: bool = True,
) -> Any:
    """Pseudo-inverse of each matrix, and its rank: see `numpy.linalg.pinv` for the derivative.

    Singular values up to `atol + rtol * largest` count as 0.

    Raises
    ------
    ValueError
        If `atol` or `rtol` is negative, or an element is not finite.
    """
    a = checked("pinv", a, check_finite)
    absolute_, share = float(plain(atol or 0.0)), plain(rtol)
    share = max(a.shape[-2:]) * EPS[a.dtype.char] if share is None else float(share)
    if absolute_ < 0 or share < 0:
        raise ValueError("pinv: atol and rtol values must be positive")
    limit: Any = share
    if absolute_:
        largest = _largest(a)
        limit = share + absolute_ / library_of(largest).where(largest > 0, largest, 1)
    made = pinv_(a, rcond=limit)
    if not return_rank:
        return made
    values = plain(svdvals(plain(a)))
    bound = absolute_ + share * _largest(a)[..., None]
    return made, Tensor((values > bound).sum(-1))


def lstsq(
    a: Any,
    b: Any,
    cond: float | None = None,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
    lapack_driver: str | None = None,
) -> tuple[Any, Any, Any, Any]:
    """Least-squares solution pinv(a) @ b, residuals, rank and singular values; their derivatives.

    The derivative is that among matrices of the same rank.  The driver changes nothing but that
    "gelsy" gives neither residuals nor singular values.

    Raises
    ------
    ValueError
        If the shapes do not agree, an element is not finite, or the driver is unknown.
    """
    a = checked("lstsq", a, check_finite)
    b = checked("lstsq", b, check_finite, axes=1)
    if lapack_driver not in (None, "gelsd", "gelsy", "gelss"):
        raise ValueError(f"lstsq: LAPACK driver {lapack_driver!r} is not found")
    vector = len(b.shape) == 1
    m, n = a.shape[-2:]
    if b.shape[0 if vector else -2] != m:
        raise ValueError(
            f"lstsq: a and b should have the same number of rows: a has the shape "
            f"{tuple(a.shape)}, b {tuple(b.shape)}"
        )
    kind = numpy.result_type(a.dtype, b.dtype)
    a = a if a.dtype == kind else astype(a, dtype=kind)
    share = EPS[kind.char] if cond is None else float(plain(cond))
    x = matmul(pinv_(a, rcond=share), b)
    s = svdvals(a)
    values = plain(s)
    xp = library_of(values)
    rank = (values > share * values[..., :1]).sum(-1)
    whole = bool((rank == n).all()) and m > n
    stack = x.shape[: -1 if vector else -2]
    if rank.shape != stack:
        s, rank = broadcast_to(s, shape=(*stack, s.shape[-1])), xp.broadcast_to(rank, stack)
    if lapack_driver == "gelsy" or not whole:
        residuals = Tensor(xp.zeros((*stack, 0), kind))
    else:
        away = square(absolute(b - matmul(a, x)))
        residuals = sum_(away, axis=-1 if vector else -2)
    return x, residuals, Tensor(rank), None if lapack_driver == "gelsy" else s
