"""Exponential and logarithm of matrices, by their Fréchet derivatives.

The Fréchet derivative l(a, e) of a function f of matrices is the upper right block of f of
[[a, e], [0, a]] (Higham, Functions of Matrices, SIAM 2008, theorem 3.6 and section 3.2), and the
transposed map e -> l(a, e) is g -> l(a.T, g).  So is the second derivative, of l itself: it is
symmetric in its directions, and the derivative of f of that larger matrix.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.backends import backend_of
from backpass.core.ops.indexing import getitem
from backpass.core.ops.linalg.matrices import EPS, library_of, native, transpose
from backpass.core.ops.linalg.products import check_square
from backpass.core.ops.linalg.scipy_operands import checked
from backpass.core.ops.shaping import as_operand, concatenate_arrays, reshape
from backpass.core.primitive import Primitive
from backpass.core.rules import defjvp, defvjp
from backpass.core.tensor import Tensor
from backpass.core.values import plain, zeros_beside

# ----- any function of matrices -----------------------------------------------------------------


def _doubled(a: Any, e: Any) -> Any:
    """Return [[a, e], [0, a]], of arrays or Tensors."""
    rows = [[a, e], [zeros_beside(a, (a, e)), a]]
    return concatenate_arrays([concatenate_arrays(row, axis=-1) for row in rows], axis=-2)


def _declare(f: Primitive, frechet: Primitive, look: Callable[[Any], Any]) -> None:
    """Declare the rules of a function of matrices and of its Fréchet derivative.

    `look` returns a matrix at which there is a derivative, or raises.
    """

    def second(a: Any, e: Any, t: Any) -> Any:
        # Derivative of l(a, e) as a moves in the direction t.
        n = a.shape[-1]
        moved = frechet.op(_doubled(a, e), _doubled(t, zeros_beside(t, (t,))))
        return getitem.op(moved, index=(..., slice(None, n), slice(n, None)))

    defvjp(f, lambda g, a: frechet.op(transpose(look(a)), g))
    defjvp(f, lambda t, a: frechet.op(look(a), t))
    defvjp(
        frechet,
        lambda g, a, e: second(transpose(a), transpose(e), g),
        lambda g, a: frechet.op(transpose(a), g),
    )
    defjvp(frechet, lambda t, a, e: second(a, e, t), lambda t, a: frechet.op(a, t))


def _by_blocks(xp: Any, f: Callable[[Any], Any], a: Any, e: Any) -> Any:
    """Return the Fréchet derivative of f, from the larger matrix."""
    n = a.shape[-1]
    made = xp.zeros((*a.shape[:-2], 2 * n, 2 * n), xp.result_type(a, e))
    if not made.size:
        return made[..., :n, :n]
    # Linear in e: one as large as a costs f no digits.
    size, other = (xp.absolute(x).max((-2, -1), keepdims=True) for x in (e, a))
    scale = xp.where((size > 0) & (other > 0), size / xp.where(other > 0, other, 1), 1)
    made[..., :n, :n] = made[..., n:, n:] = a
    made[..., :n, n:] = e / scale
    return f(made)[..., :n, n:] * scale


def _each(xp: Any, f: Callable[[Any], Any], a: Any) -> Any:
    """Apply a function of matrices to each of a stack."""
    if not a.size:
        return a
    if a.ndim == 2:
        return f(a)
    return xp.stack([f(m) for m in a.reshape(-1, *a.shape[-2:])]).reshape(a.shape)


def _matrices(name: str, A: Any) -> Any:
    """Return an operand of floats: square matrices; a number stands for one of one element."""
    a = as_operand(A)
    if len(a.shape) < 2 and math.prod(a.shape) == 1:
        a = reshape(a, shape=(1, 1))
    check_square(a)
    return checked(name, a, check_finite=False)


# ----- expm -------------------------------------------------------------------------------------

#: From this size on the algorithm of Al-Mohy and Higham pays, which goes without the larger matrix.
_LARGE = 32


#: Coefficients of the numerator of the approximant of degree 13, and up to which norm it is exact.
_PADE = (
    64764752532480000.0,
    32382376266240000.0,
    7771770303897600.0,
    1187353796428800.0,
    129060195264000.0,
    10559470521600.0,
    670442572800.0,
    33522128640.0,
    1323241920.0,
    40840800.0,
    960960.0,
    16380.0,
    182.0,
    1.0,
)
_NEAR = 5.37


def _by_quotient(xp: Any, a: Any) -> Any:
    """Return the exponentials by a quotient of polynomials, after halving, before squaring.

    N. Higham, "The scaling and squaring method for the matrix exponential revisited", SIAM J.
    Matrix Anal. Appl. 26 (2005), algorithm 2.3, of degree 13 always.
    """
    if not a.size:
        return a
    size = float(xp.absolute(a).sum(-2).max())
    halvings = math.ceil(math.log2(size / _NEAR)) if _NEAR < size < math.inf else 0
    a, b = a / 2.0**halvings, _PADE
    one = xp.eye(a.shape[-1], dtype=a.dtype)
    a2 = a @ a
    a4 = a2 @ a2
    a6 = a2 @ a4
    odd = a6 @ (b[13] * a6 + b[11] * a4 + b[9] * a2) + b[7] * a6 + b[5] * a4 + b[3] * a2
    even = a6 @ (b[12] * a6 + b[10] * a4 + b[8] * a2) + b[6] * a6 + b[4] * a4 + b[2] * a2
    odd, even = a @ (odd + b[1] * one), even + b[0] * one
    made = xp.linalg.solve(even - odd, even + odd)
    for _ in range(halvings):
        made = made @ made
    return made


@primitive(name="expm")
def expm_(xp: Any, a: Any) -> Any:
    """Exponential of each matrix."""
    if xp is not numpy:
        # CuPy's own is of one matrix, of float64.
        return _by_quotient(xp, a)
    return backend_of((a,)).function("expm", "scipy.linalg")(native(a))


@primitive
def expm_frechet(xp: Any, a: Any, e: Any) -> Any:
    """Return the derivative of the exponential of each matrix in the direction e."""
    if a.ndim == 2 and a.shape[-1] >= _LARGE and bool(xp.isfinite(a).all() & xp.isfinite(e).all()):
        try:
            function = backend_of((a,)).function("expm_frechet", "scipy.linalg")
        except NotImplementedError:
            pass
        else:
            made = function(native(a), native(e), compute_expm=False, check_finite=False)
            return made.astype(xp.result_type(a, e), copy=False)
    return _by_blocks(xp, expm_.op, a, e)


_declare(expm_, expm_frechet, lambda a: a)


def expm(A: Any) -> Tensor:
    """Exponential of each matrix; with its Fréchet derivative l(A, dA), l(A.T, g) flows back.

    See A. Al-Mohy and N. Higham, "Computing the Fréchet derivative of the matrix exponential", SIAM
    J. Matrix Anal. Appl. 30 (2009).

    Raises
    ------
    numpy.linalg.LinAlgError
        If a matrix is not square.
    """
    return expm_(_matrices("expm", A))  # type: ignore[no-any-return]


# ----- logm -------------------------------------------------------------------------------------


@primitive(name="logm")
def logm_(xp: Any, a: Any) -> Any:
    """Principal logarithm of each matrix."""
    return _each(xp, backend_of((a,)).function("logm", "scipy.linalg"), native(a))


@primitive
def logm_frechet(xp: Any, a: Any, e: Any) -> Any:
    """Return the derivative of the logarithm of each matrix in the direction e."""
    return _by_blocks(xp, logm_.op, a, e)


def _off_the_cut(a: Any) -> Any:
    """Return a matrix without eigenvalues where the principal branch jumps, or raise."""
    value = plain(a)
    if value.size:
        w = library_of(value).linalg.eigvals(value)
        rounding = 8 * value.shape[-1] * EPS[w.dtype.char] * abs(w).max(-1, keepdims=True)
        if bool(((w.real <= rounding) & (abs(w.imag) <= rounding)).any()):
            raise numpy.linalg.LinAlgError(
                "logm has no derivative here: a matrix has an eigenvalue on the negative axis, or "
                "0, where the principal branch of the logarithm jumps. Move it off the axis, or "
                "pass stop_gradient(A)"
            )
    return a


_declare(logm_, logm_frechet, _off_the_cut)


def logm(A: Any, disp: bool = True) -> Tensor:
    """Principal logarithm of each matrix; its Fréchet derivative l(A.T, g) flows back.

    With an eigenvalue on the negative axis, or 0, it has no derivative.  `disp=False`, with which
    older versions of SciPy return an estimate of the error, is refused.

    Raises
    ------
    TypeError
        If `disp` is false.
    numpy.linalg.LinAlgError
        If a matrix is not square; in a derivative, if there is none.
    """
    if not disp:
        raise TypeError("logm: disp=False is not supported: compare expm(ans) with A")
    return logm_(_matrices("logm", A))  # type: ignore[no-any-return]
