"""Eigenvalues and eigenvectors: `eigh`, `eig`, `eigvalsh`, `eigvals`."""

from __future__ import annotations

from typing import Any, NamedTuple

from backpass.core.arity import primitive
from backpass.core.ops.elementwise import imag, is_complex, multiply, real
from backpass.core.ops.linalg.degeneracy import WhenPicked, reciprocal_gaps, refuse_degenerate
from backpass.core.ops.linalg.matrices import (
    adjoint,
    column,
    conjugate,
    diagonal_of,
    hermitian,
    library_of,
    row,
    to_triangle,
    transpose,
)
from backpass.core.ops.linalg.solving import solve
from backpass.core.ops.linear import matmul
from backpass.core.ops.reductions import sum_
from backpass.core.ops.shaping import as_operand
from backpass.core.rules import defjvp, defvjp, nondifferentiable
from backpass.core.tensor import Tensor, live
from backpass.core.values import plain


class EighResult(NamedTuple):
    """Eigenvalues of a Hermitian matrix, ascending, and its eigenvectors in columns."""

    eigenvalues: Any
    eigenvectors: Any


class EigResult(NamedTuple):
    """Eigenvalues of a matrix, and its eigenvectors in columns."""

    eigenvalues: Any
    eigenvectors: Any


def is_tracked(a: Any) -> bool:
    """Tell whether an operand carries a gradient."""
    return isinstance(a, Tensor) and live(a) is not None


# ----- Hermitian matrices -----------------------------------------------------------------------
#
# With p = v^H da v: dw = diag(p), dv = v (p / gaps).  The phase of each column is free, and dv has
# no part along its own column.


@primitive(name="eigh", outputs=2)
def eigh_(xp: Any, a: Any, *, UPLO: str) -> Any:
    """Eigenvalues and eigenvectors of Hermitian matrices, of which one triangle is read."""
    return tuple(xp.linalg.eigh(a, UPLO))


@primitive(name="eigvalsh")
def eigvalsh_(xp: Any, a: Any, *, UPLO: str) -> Any:
    """Eigenvalues of Hermitian matrices, where no gradient is wanted."""
    return xp.linalg.eigvalsh(a, UPLO)


nondifferentiable(eigvalsh_)


def _eigh_vjp(g: Any, ans: Any, *, UPLO: str) -> Any:
    (to_w, to_v), (w, v) = g, ans
    back = conjugate(v)
    left = None if to_w is None else multiply.op(back, row(to_w))
    if to_v is not None:
        inner = matmul.op(transpose(v), to_v)
        gaps = reciprocal_gaps.op(w)
        refuse_degenerate("eigh", inner, gaps)
        part = matmul.op(back, multiply.op(inner, gaps))
        left = part if left is None else left + part
    return to_triangle(matmul.op(left, transpose(v)), UPLO)


def _eigh_jvp(t: Any, ans: Any, *, UPLO: str) -> Any:
    w, v = ans
    moved = matmul.op(hermitian(t, UPLO), v)

    def values() -> Any:
        along = sum_.op(multiply.op(conjugate(v), moved), axis=-2)
        return real.op(along) if is_complex(along) else along

    def vectors() -> Any:
        inner = matmul.op(adjoint(v), moved)
        gaps = reciprocal_gaps.op(w)
        refuse_degenerate("eigh", inner, gaps)
        return matmul.op(v, multiply.op(inner, gaps))

    return WhenPicked(values, vectors)


defvjp(eigh_, _eigh_vjp)
defjvp(eigh_, _eigh_jvp)


def _triangle(UPLO: Any) -> str:
    """Return which triangle is read: `"L"` or `"U"`."""
    triangle = str(UPLO).upper()
    if triangle not in ("L", "U"):
        raise ValueError("UPLO argument must be 'L' or 'U'")
    return triangle


def eigh(a: Any, UPLO: str = "L") -> EighResult:
    """Eigenvalues and eigenvectors of Hermitian matrices; with p = v^H da v, p / gaps turns v.

    The triangle named by `UPLO` is read and gets the whole gradient, the other gets 0.  The
    eigenvectors of complex matrices have free phases, which the derivative keeps still: only what
    does not depend on them has a derivative that means something.  At equal eigenvalues the
    derivative of the eigenvalues is right, and that of their vectors raises a `LinAlgError`: in
    reverse mode where the result depends on those vectors, in forward mode where any are used.
    """
    return EighResult(*eigh_(a, UPLO=_triangle(UPLO)))


def eigvalsh(a: Any, UPLO: str = "L") -> Tensor:
    """Eigenvalues of Hermitian matrices; v diag(g) v^H flows back, to the triangle that is read."""
    a, triangle = as_operand(a), _triangle(UPLO)
    return eigh_(a, UPLO=triangle)[0] if is_tracked(a) else eigvalsh_(a, UPLO=triangle)  # type: ignore[no-any-return]


# ----- general matrices -------------------------------------------------------------------------
#
# With p = inv(v) da v: dw = diag(p), dv = v (p / gaps), less what would change the columns' norm,
# which is 1, and the phase of their largest element, which is real.


@primitive(name="eig", outputs=2)
def eig_(xp: Any, a: Any) -> Any:
    """Eigenvalues and eigenvectors of matrices."""
    return tuple(xp.linalg.eig(a))


@primitive(name="eigvals")
def eigvals_(xp: Any, a: Any) -> Any:
    """Eigenvalues of matrices, where no gradient is wanted."""
    return xp.linalg.eigvals(a)


nondifferentiable(eigvals_)


def _largest(v: Any) -> Any:
    """Return 1 at the largest element of each column, 0 elsewhere."""
    xp = library_of(v)
    size = xp.absolute(plain(v))
    if not size.size:
        return size
    rows = xp.arange(size.shape[-2])[:, None]
    return (rows == xp.argmax(size, axis=-2)[..., None, :]).astype(size.dtype)


def _eig_vjp(g: Any, ans: Any) -> Any:
    (to_w, to_v), (w, v) = g, ans
    vt = transpose(v)
    inner = None if to_w is None else multiply.op(column(to_w), vt)
    if to_v is not None:
        along = sum_.op(multiply.op(to_v, v), axis=-2, keepdims=True)
        if is_complex(v):
            largest = _largest(v)
            pivot = sum_.op(real.op(multiply.op(largest, v)), axis=-2, keepdims=True)
            phase = multiply.op(largest, multiply.op(imag.op(along), 1j) / pivot)
            to_v = to_v - multiply.op(conjugate(v), real.op(along)) - phase
        else:
            to_v = to_v - multiply.op(v, along)
        turned = matmul.op(vt, to_v)
        gaps = reciprocal_gaps.op(w)
        refuse_degenerate("eig", turned, gaps)
        part = matmul.op(multiply.op(turned, gaps), vt)
        inner = part if inner is None else inner + part
    return solve.op(vt, inner)


def _eig_jvp(t: Any, ans: Any) -> Any:
    w, v = ans
    inner = solve.op(v, matmul.op(t, v))

    def vectors() -> Any:
        gaps = reciprocal_gaps.op(w)
        refuse_degenerate("eig", inner, gaps)
        moved = matmul.op(v, multiply.op(inner, gaps))
        along = sum_.op(multiply.op(conjugate(v), moved), axis=-2, keepdims=True)
        if not is_complex(v):
            return moved - multiply.op(v, along)
        largest = _largest(v)
        pivot, turn = (
            sum_.op(part, axis=-2, keepdims=True)
            for part in (
                real.op(multiply.op(largest, v)),
                imag.op(multiply.op(largest, moved)),
            )
        )
        excess = real.op(along) + multiply.op(turn / pivot, 1j)
        return moved - multiply.op(v, excess)

    return WhenPicked(lambda: diagonal_of(inner), vectors)


defvjp(eig_, _eig_vjp)
defjvp(eig_, _eig_jvp)


def eig(a: Any) -> EigResult:
    """Eigenvalues and eigenvectors of matrices; with p = inv(v) da v, p / gaps turns v.

    The columns keep the norm 1 and a real largest element, as LAPACK makes them, so that their
    derivative is that of what is computed.  At equal eigenvalues the derivative of the vectors
    raises a `LinAlgError`.  Near a matrix without a basis of eigenvectors the derivatives grow
    without bound, and at it they are a `LinAlgError` or very large numbers.
    """
    return EigResult(*eig_(a))


def eigvals(a: Any) -> Tensor:
    """Eigenvalues of matrices; inv(v).T diag(g) v.T flows back, see `eig`."""
    a = as_operand(a)
    return eig_(a)[0] if is_tracked(a) else eigvals_(a)  # type: ignore[no-any-return]
