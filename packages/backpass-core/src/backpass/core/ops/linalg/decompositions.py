"""Triangular factors: `cholesky` and `qr`."""

from __future__ import annotations

from typing import Any, NamedTuple

from backpass.core.arity import primitive
from backpass.core.ops.elementwise import imag, is_complex, multiply
from backpass.core.ops.indexing import getitem
from backpass.core.ops.linalg.eigen import is_tracked
from backpass.core.ops.linalg.matrices import (
    adjoint,
    conjugate,
    hermitian,
    lower,
    mask,
    to_triangle,
    transpose,
)
from backpass.core.ops.linalg.solving import inv, solve
from backpass.core.ops.linear import matmul
from backpass.core.ops.shaping import as_operand, concatenate
from backpass.core.rules import defjvp, defvjp, nondifferentiable
from backpass.core.tensor import Tensor

# ----- cholesky ---------------------------------------------------------------------------------


@primitive(name="cholesky")
def cholesky_(xp: Any, a: Any) -> Any:
    """Lower triangular factor of each Hermitian matrix, of which the lower triangle is read."""
    return xp.linalg.cholesky(a)


def _cholesky_vjp(g: Any, ans: Any) -> Any:
    inverse = inv.op(ans)
    inner = lower(matmul.op(transpose(ans), g), 0.5)
    whole = matmul.op(transpose(inverse), matmul.op(inner, conjugate(inverse)))
    return to_triangle(whole, "L")


def _cholesky_jvp(t: Any, ans: Any) -> Any:
    inverse = inv.op(ans)
    inner = matmul.op(inverse, matmul.op(hermitian(t, "L"), adjoint(inverse)))
    return matmul.op(ans, lower(inner, 0.5))


defvjp(cholesky_, _cholesky_vjp)
defjvp(cholesky_, _cholesky_jvp)


def cholesky(a: Any, /, *, upper: bool = False) -> Tensor:
    """Triangular factor of Hermitian matrices; d ans = ans low(inv(ans) da inv(ans)^H).

    low takes the lower triangle, and half of the diagonal.  The lower triangle of the matrix is
    read, with `upper=True` the upper one, and gets the whole gradient; the other gets 0.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a matrix is not positive definite, or not square.
    """
    if not upper:
        return cholesky_(a)  # type: ignore[no-any-return]
    return adjoint(cholesky_(adjoint(as_operand(a))))  # type: ignore[no-any-return]


# ----- qr ---------------------------------------------------------------------------------------
#
# With x = q^H da inv(r) and w = low(x) - low(x)^H, low without the diagonal: dr = (x - w) r and
# dq = q w + (1 - q q^H) da inv(r).  For complex matrices w has the imaginary part of x's diagonal:
# the diagonal of r stays real.


class QRResult(NamedTuple):
    """A matrix with orthonormal columns, and an upper triangular one."""

    Q: Any
    R: Any


@primitive(name="qr", outputs=2)
def qr_(xp: Any, a: Any) -> Any:
    """Orthonormal columns and upper triangular factor of matrices as high as wide, or higher."""
    return tuple(xp.linalg.qr(a))


@primitive(name="qr_untracked", outputs=2)
def qr_untracked_(xp: Any, a: Any, *, mode: str) -> Any:
    """Return what NumPy's `qr` gives in any mode, where no gradient is wanted."""
    made = xp.linalg.qr(a, mode=mode)
    return made if mode == "r" else tuple(made)


nondifferentiable(qr_untracked_)


def _turning(x: Any, back: bool) -> Any:
    """Return the part of x that turns q; `back`, the cotangent of x for that of the part."""
    turned = lower(x - adjoint(x), 0.0) if back else lower(x, 0.0)
    if not back:
        turned = turned - adjoint(turned)
    if is_complex(x):
        phase = multiply.op(imag.op(x), mask(x, 0.0, 1.0, 0.0))
        turned = turned + multiply.op(phase, 1j)
    return turned


def _qr_vjp(g: Any, ans: Any) -> Any:
    (to_q, to_r), (q, r) = g, ans
    w = None
    if to_q is not None:
        w = matmul.op(transpose(q), to_q)
    if to_r is not None:
        part = matmul.op(to_r, transpose(r))
        w = -part if w is None else w - part
    left = matmul.op(conjugate(q), _turning(w, True) - w)
    left = left if to_q is None else left + to_q
    return transpose(solve.op(r, transpose(left)))


def _qr_jvp(t: Any, ans: Any) -> Any:
    q, r = ans
    moved = transpose(solve.op(transpose(r), transpose(t)))
    x = matmul.op(adjoint(q), moved)
    rest = _turning(x, False) - x
    return matmul.op(q, rest) + moved, -matmul.op(rest, r)


defvjp(qr_, _qr_vjp)
defjvp(qr_, _qr_jvp)


def qr(a: Any, mode: str = "reduced") -> Any:
    """Orthonormal and triangular factor; the derivative needs linearly independent columns.

    Of a matrix wider than high the first columns, as many as there are rows, must be independent.
    A tracked matrix higher than wide has no derivative in the mode "complete", whose last columns
    are any basis of the rest of the space, and none at all has one in the mode "raw".

    Raises
    ------
    NotImplementedError
        If the derivative is asked for in such a mode.
    ValueError
        If the mode is unknown.
    """
    a = as_operand(a)
    if mode not in ("reduced", "complete", "r", "raw"):
        raise ValueError(f"Unrecognized mode '{mode}'")
    if not is_tracked(a):
        made = qr_untracked_(a, mode=mode)
        return QRResult(*made) if mode in ("reduced", "complete") else made
    m, n = a.shape[-2:]
    if mode == "raw" or (mode == "complete" and m > n):
        raise NotImplementedError(
            f"qr has no derivative in the mode {mode!r}: use mode='reduced', "
            "or pass stop_gradient(a)"
        )
    if m >= n:
        q, r = qr_(a)
    else:
        q, first = qr_(getitem(a, index=(..., slice(None, m))))
        others = matmul(adjoint(q), getitem(a, index=(..., slice(m, None))))
        r = concatenate([first, others], axis=-1)
    return r if mode == "r" else QRResult(q, r)
