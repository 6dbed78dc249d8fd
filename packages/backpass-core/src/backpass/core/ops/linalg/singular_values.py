"""Singular values and vectors: `svd`, `svdvals`, `matrix_rank`."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy

from backpass.core.arity import primitive
from backpass.core.ops.elementwise import imag, is_complex, multiply, real, where
from backpass.core.ops.indexing import getitem
from backpass.core.ops.linalg.degeneracy import (
    WhenPicked,
    reciprocal_gaps,
    refuse_degenerate,
)
from backpass.core.ops.linalg.eigen import eigh_, eigvalsh_, is_tracked
from backpass.core.ops.linalg.matrices import (
    EPS,
    adjoint,
    column,
    conjugate,
    diagonal_of,
    library_of,
    mask,
    over,
    row,
    transpose,
)
from backpass.core.ops.linear import matmul
from backpass.core.ops.reductions import sum_
from backpass.core.ops.shaping import as_operand, concatenate_arrays
from backpass.core.rules import defjvp, defvjp, nondifferentiable
from backpass.core.tensor import Tensor
from backpass.core.values import plain


class SVDResult(NamedTuple):
    """Left singular vectors in columns, singular values, right singular vectors in rows."""

    U: Any
    S: Any
    Vh: Any


@primitive(name="svd", outputs=3)
def svd_(xp: Any, a: Any, *, full_matrices: bool) -> Any:
    """Singular vectors and values of matrices."""
    return tuple(xp.linalg.svd(a, full_matrices=full_matrices))


@primitive(name="svdvals")
def svdvals_(xp: Any, a: Any) -> Any:
    """Singular values of matrices, where no gradient is wanted."""
    return xp.linalg.svd(a, compute_uv=False)


nondifferentiable(svdvals_)

# ----- the rule ---------------------------------------------------------------------------------
#
# With p = u^H da v, d = 1 / (s[j]**2 - s[i]**2) and h(x) = x + x^H: ds = real(diag(p)),
# du = u (d h(p s)) + (1 - u u^H) da v / s, dv = v (d h(s p)) + (1 - v v^H) da^H u / s.  The common
# phase of a pair of columns is free; what p turns on its diagonal goes to u.


def _thin(ans: Any) -> tuple[Any, Any, Any]:
    """Return the decomposition without the vectors that have no singular value."""
    u, s, vh = ans
    k = s.shape[-1]
    if u.shape[-1] > k:
        u = getitem.op(u, index=(..., slice(None, k)))
    if vh.shape[-2] > k:
        vh = getitem.op(vh, index=(..., slice(None, k), slice(None)))
    return u, s, vh


# The vectors without a singular value are any basis w of the rest of the space.  The derivative
# that leaves the basis at rest, dw = -u du^H w, is right for all that does not depend on the
# choice.


def _basis(x: Any, k: int, rows: bool) -> Any:
    """Return the vectors without a singular value; `None` if there are none."""
    if x.shape[-2 if rows else -1] == k:
        return None
    rest = slice(k, None)
    return getitem.op(x, index=(..., rest, slice(None)) if rows else (..., rest))


def _fold_basis(g: Any, whole: Any, first: Any, k: int, rows: bool) -> Any:
    """Return the cotangent of the first k vectors, with what flows to them from the others."""
    basis = None if g is None else _basis(whole, k, rows)
    if basis is None:
        return g
    to_basis, back = _basis(g, k, rows), conjugate(basis)
    turned = matmul.op(*((to_basis, transpose(basis)) if rows else (transpose(basis), to_basis)))
    size = library_of(g).absolute(plain(turned - adjoint(turned)))
    if bool((size > EPS[size.dtype.char] ** 0.5 * abs(plain(to_basis)).max()).any()):
        raise NotImplementedError(
            "svd(full_matrices=True): the result depends on which basis is chosen for the vectors "
            "that have no singular value: use full_matrices=False, or the singular values only"
        )
    if rows:
        folded = matmul.op(matmul.op(conjugate(first), adjoint(to_basis)), back)
        return getitem.op(g, index=(..., slice(None, k), slice(None))) - folded
    folded = matmul.op(back, matmul.op(adjoint(to_basis), conjugate(first)))
    return getitem.op(g, index=(..., slice(None, k))) - folded


def _vanishing(s: Any, u: Any, vh: Any) -> Any:
    """Return where the singular values are 0 but for rounding; `None` if nowhere."""
    values = plain(s)
    if not values.size:
        return None
    # They descend.
    limit = max(u.shape[-2], vh.shape[-1]) * EPS[values.dtype.char] * values[..., :1]
    return values <= limit if bool((values[..., -1:] <= limit).any()) else None


def _reciprocal(s: Any, zero: Any, rest: Any = None, whole: Any = None) -> Any:
    """Return 1 / s, and 0 where s is 0, if the columns of `rest` are 0 there, a part of `whole`."""
    if zero is None:
        return 1 / s
    if rest is not None:
        size, all_ = (library_of(x).absolute(plain(x)) for x in (rest, whole))
        rounding = 8 * size.shape[-1] * EPS[size.dtype.char] * all_.max()
        if bool(((size > rounding) & zero[..., None, :]).any()):
            raise numpy.linalg.LinAlgError(
                "svd: the matrix is degenerate: it has a singular value 0, whose vectors are any "
                "basis of the rest of the space, and the result depends on which. Use the "
                "singular values only, or the vectors of the others"
            )
    return where.op(zero, 0.0, 1 / where.op(zero, 1.0, s))


def _gaps_of_squares(s: Any) -> Any:
    return over.op(reciprocal_gaps.op(s), column(s) + row(s))


def _svd_vjp(g: Any, ans: Any, *, full_matrices: bool) -> Any:
    u, s, vh = _thin(ans)
    k, to_s = s.shape[-1], g[1]
    to_u = _fold_basis(g[0], ans[0], u, k, rows=False)
    to_vh = _fold_basis(g[2], ans[2], vh, k, rows=True)
    zero = _vanishing(s, u, vh)
    back = conjugate(u)
    if to_s is not None and zero is not None:
        # A singular value has a kink at 0, like an absolute value.
        to_s = where.op(zero, 0.0, to_s)
    left = None if to_s is None else multiply.op(back, row(to_s))
    if to_u is None and to_vh is None:
        return matmul.op(left, conjugate(vh))
    gaps = _gaps_of_squares(s)
    right = None
    if to_u is not None:
        inner = matmul.op(transpose(u), to_u)
        refuse_degenerate("svd", inner, gaps)
        turned = multiply.op(multiply.op(inner - adjoint(inner), gaps), row(s))
        rest = None
        if u.shape[-2] > u.shape[-1]:
            rest = to_u - matmul.op(back, inner)
        if rest is not None or is_complex(inner):
            reciprocal = _reciprocal(s, zero, rest, to_u)
        if is_complex(inner):
            phase = multiply.op(imag.op(inner), mask(inner, 0.0, 1.0, 0.0))
            turned = turned + multiply.op(multiply.op(phase, 1j), row(reciprocal))
        part = matmul.op(back, turned)
        if rest is not None:
            part = part + multiply.op(rest, row(reciprocal))
        left = part if left is None else left + part
    if to_vh is not None:
        across = matmul.op(to_vh, transpose(vh))
        inner = adjoint(across)
        refuse_degenerate("svd", inner, gaps)
        turned = multiply.op(multiply.op(inner - across, gaps), column(s))
        part = matmul.op(back, turned)
        left = part if left is None else left + part
        if vh.shape[-1] > vh.shape[-2]:
            rest = to_vh - matmul.op(across, conjugate(vh))
            reciprocal = _reciprocal(s, zero, transpose(rest), to_vh)
            right = matmul.op(multiply.op(back, row(reciprocal)), rest)
    found = matmul.op(left, conjugate(vh))
    return found if right is None else found + right


def _svd_jvp(t: Any, ans: Any, *, full_matrices: bool) -> Any:
    u, s, vh = _thin(ans)
    zero = _vanishing(s, u, vh)
    moved = matmul.op(t, adjoint(vh))

    def values() -> Any:
        along = sum_.op(multiply.op(conjugate(u), moved), axis=-2)
        along = real.op(along) if is_complex(along) else along
        return along if zero is None else where.op(zero, 0.0, along)

    def left() -> Any:
        inner = matmul.op(adjoint(u), moved)
        gaps = _gaps_of_squares(s)
        scaled = multiply.op(inner, row(s))
        both = scaled + adjoint(scaled)
        refuse_degenerate("svd", both, gaps)
        turned = multiply.op(both, gaps)
        rest = None
        if u.shape[-2] > u.shape[-1]:
            rest = moved - matmul.op(u, inner)
        if rest is not None or is_complex(inner):
            reciprocal = _reciprocal(s, zero, rest, moved)
        if is_complex(inner):
            phase = multiply.op(imag.op(diagonal_of(inner)), reciprocal)
            on = mask(inner, 0.0, 1.0, 0.0)
            turned = turned + multiply.op(multiply.op(on, row(phase)), 1j)
        du = matmul.op(u, turned)
        du = du if rest is None else du + multiply.op(rest, row(reciprocal))
        basis = _basis(ans[0], s.shape[-1], rows=False)
        if basis is None:
            return du
        return concatenate_arrays([du, -matmul.op(u, matmul.op(adjoint(du), basis))], axis=-1)

    def right() -> Any:
        other = matmul.op(adjoint(u), t)
        inner = matmul.op(other, adjoint(vh))
        gaps = _gaps_of_squares(s)
        scaled = multiply.op(inner, column(s))
        both = scaled + adjoint(scaled)
        refuse_degenerate("svd", both, gaps)
        dvh = -matmul.op(multiply.op(both, gaps), vh)
        if vh.shape[-1] > vh.shape[-2]:
            rest = other - matmul.op(inner, vh)
            reciprocal = _reciprocal(s, zero, transpose(rest), other)
            dvh = dvh + multiply.op(rest, column(reciprocal))
        basis = _basis(ans[2], s.shape[-1], rows=True)
        if basis is None:
            return dvh
        return concatenate_arrays([dvh, -matmul.op(matmul.op(basis, adjoint(dvh)), vh)], axis=-2)

    return WhenPicked(left, values, right)


defvjp(svd_, _svd_vjp)
defjvp(svd_, _svd_jvp)

# ----- the functions, with NumPy's signatures ---------------------------------------------------


def svd(
    a: Any, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    """Singular vectors and values; u diag(g) vh flows back from the values.

    The common phase of a pair of complex singular vectors is free: only what does not depend on it
    has a derivative that means something.  At equal singular values the derivative of the values is
    right, and that of their vectors raises a `LinAlgError`, as in `eigh`; a singular value 0 has
    the derivative 0, as an absolute value has.  With `full_matrices=True` the vectors that have no
    singular value are any basis, too: a result that depends on which raises a
    `NotImplementedError` in reverse mode.  With `hermitian=True` the lower triangle gets the
    gradient, see `eigh`.
    """
    if hermitian:
        return _svd_of_hermitian(a, compute_uv)
    if compute_uv:
        return SVDResult(*svd_(a, full_matrices=bool(full_matrices)))
    return svdvals(a)


def _svd_of_hermitian(a: Any, compute_uv: bool) -> Any:
    """Decompose by eigenvalues: their signs go to the right vectors."""
    a = as_operand(a)
    if compute_uv or is_tracked(a):
        w, v = eigh_(a, UPLO="L")
    else:
        w, v = eigvalsh_(a, UPLO="L"), None
    values = w.value
    xp = library_of(values)
    order = xp.argsort(xp.absolute(values), axis=-1)[..., ::-1]
    first = tuple(xp.ogrid[tuple(slice(n) for n in values.shape)][:-1]) if values.ndim > 1 else ()
    index = (*first, order)
    s = abs(getitem(w, index=index))
    if not compute_uv:
        return s
    columns = tuple(i[..., None, :] if i.ndim else i for i in first)
    rows = xp.arange(values.shape[-1])[:, None]
    u = getitem(v, index=(*columns, rows, order[..., None, :]))
    signs = xp.sign(values)[index]
    return SVDResult(u, s, adjoint(multiply(u, row(signs))))


def svdvals(x: Any, /) -> Tensor:
    """Singular values, descending; u diag(g) vh flows back, and 0 from a singular value 0."""
    x = as_operand(x)
    return svd_(x, full_matrices=False)[1] if is_tracked(x) else svdvals_(x)  # type: ignore[no-any-return]


@primitive(name="matrix_rank")
def matrix_rank_(
    xp: Any, A: Any, *, tol: Any = None, hermitian: bool = False, rtol: Any = None
) -> Any:
    """Count the singular values that are not 0."""
    # Not every library has the last two.
    options = {"hermitian": True} if hermitian else {}
    if rtol is not None:
        options["rtol"] = rtol
    # Of a vector NumPy gives an int.
    return xp.asarray(xp.linalg.matrix_rank(A, tol, **options))[()]


nondifferentiable(matrix_rank_)


def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Tensor:
    """Count the singular values above a tolerance; no derivative."""
    return matrix_rank_(  # type: ignore[no-any-return]
        A, tol=plain(tol), hermitian=bool(hermitian), rtol=plain(rtol)
    )
