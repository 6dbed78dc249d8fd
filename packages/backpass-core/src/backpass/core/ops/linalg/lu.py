"""SciPy's LU decomposition with partial pivoting, and the systems that it solves."""

from __future__ import annotations

import warnings
from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.backends import backend_of
from backpass.core.ops.indexing import getitem
from backpass.core.ops.linalg.matrices import (
    column,
    library_of,
    lower,
    mask,
    native,
    real_dtype,
    transpose,
    upper,
)
from backpass.core.ops.linalg.scipy_operands import checked, checked_square
from backpass.core.ops.linalg.triangular import solve_stacks
from backpass.core.ops.linear import matmul
from backpass.core.ops.shaping import as_operand, broadcast_to, concatenate_arrays
from backpass.core.rules import defjvp, defvjp
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors, plain

# ----- the primitive ----------------------------------------------------------------------------


@primitive(name="lu_factor", outputs=2)
def lu_(xp: Any, a: Any) -> Any:
    """Both factors of each matrix, packed into one, and with which row each row was exchanged."""
    factor = backend_of((a,)).function("lu_factor", "scipy.linalg")
    if not a.size:
        piv = xp.zeros((*a.shape[:-2], min(a.shape[-2:])), "int32")
        return xp.zeros(a.shape, a.dtype), piv
    with warnings.catch_warnings():
        # Of a singular matrix: its decomposition is right.
        warnings.simplefilter("ignore")
        if a.ndim == 2:
            return tuple(factor(native(a), check_finite=False))
        made = [factor(m, check_finite=False) for m in native(a).reshape(-1, *a.shape[-2:])]
    lu, piv = (xp.stack(parts) for parts in zip(*made))
    return lu.reshape(a.shape), piv.reshape(*a.shape[:-2], -1)


def _exchange(piv: numpy.ndarray, m: int) -> numpy.ndarray:
    """Return in which order LAPACK's exchanges put the m rows of each matrix."""
    order = numpy.empty((*piv.shape[:-1], m), numpy.intp)
    for place in numpy.ndindex(*piv.shape[:-1]):
        rows = list(range(m))
        for i, j in enumerate(piv[place].tolist()):
            rows[i], rows[j] = rows[j], rows[i]
        order[place] = rows
    return order


def _order(piv: Any, m: int) -> Any:
    """Return the order of rows as an array where `piv` lies."""
    backend = backend_of((piv,))
    return backend.library.asarray(_exchange(backend.to_host(piv), m))


def _inverse(order: Any) -> Any:
    """Return the order that puts the rows back."""
    return library_of(order).argsort(order, axis=-1)


def _rows(order: Any) -> Any:
    """Return an index that takes the rows of each matrix in their order."""
    if order.ndim == 1:
        return (..., order, slice(None))
    xp, stack = library_of(order), order.shape[:-1]
    places = [xp.arange(n).reshape(-1, *(1,) * (len(stack) - i)) for i, n in enumerate(stack)]
    return (*places, order)


def _cut(x: Any, rows: slice, columns: slice) -> Any:
    return getitem.op(x, index=(..., rows, columns))


# ----- its rules --------------------------------------------------------------------------------
#
# With p a = l u, t = p da, and x = inv(l) t inv(u): dl = l low(x), du = up(x) u, low without the
# diagonal.  Of a matrix that is wider or higher than square, that is its square part; the rest of
# u is inv(l) t, and that of l is t inv(u), each with the change of the other factor taken off.


def _by_l(x: Any, square: Any, back: bool = False) -> Any:
    """Return inv(l) x; `back`, inv(l).T x."""
    return solve_stacks(square, x, trans="T" if back else "N", lower=True, unit=True)


def _by_u(x: Any, square: Any, back: bool = False) -> Any:
    """Return x inv(u); `back`, x inv(u).T."""
    way = "N" if back else "T"
    return transpose(solve_stacks(square, transpose(x), trans=way, lower=False))


def _unit_lower(square: Any) -> Any:
    return lower(square, 0.0) + mask(square, 0.0, 1.0, 0.0)


def _parts(x: Any) -> tuple[Any, Any, Any]:
    """Return the square part of a packed decomposition, what is below it, what is beside it."""
    m, n = x.shape[-2:]
    k = min(m, n)
    first, rest = slice(None, k), slice(k, None)
    square = x if m == n else _cut(x, first, first)
    return (
        square,
        _cut(x, rest, first) if m > n else None,
        _cut(x, first, rest) if n > m else None,
    )


def _joined(square: Any, below: Any, beside: Any) -> Any:
    if below is not None:
        return concatenate_arrays([square, below], axis=-2)
    return square if beside is None else concatenate_arrays([square, beside], axis=-1)


def _lu_vjp(g: Any, ans: Any, a: Any) -> Any:
    to_lu, (lu, piv) = g[0], ans
    square, l_below, u_beside = _parts(lu)
    to_square, to_below, to_beside = _parts(to_lu)
    to_l, to_u = lower(to_square, 0.0), upper(to_square)
    if to_below is not None:
        to_below = _by_u(to_below, square, back=True)
        to_u = to_u - upper(matmul.op(transpose(l_below), to_below))
    if to_beside is not None:
        to_beside = _by_l(to_beside, square, back=True)
        to_l = to_l - lower(matmul.op(to_beside, transpose(u_beside)), 0.0)
    inner = lower(matmul.op(transpose(_unit_lower(square)), to_l), 0.0)
    inner = inner + upper(matmul.op(to_u, transpose(upper(square))))
    moved = _by_u(_by_l(inner, square, back=True), square, back=True)
    order = _order(plain(piv), lu.shape[-2])
    whole = _joined(moved, to_below, to_beside)
    return getitem.op(whole, index=_rows(_inverse(order)))


def _lu_jvp(t: Any, ans: Any, a: Any) -> Any:
    lu, piv = ans
    order = _order(plain(piv), lu.shape[-2])
    moved = getitem.op(t, index=_rows(order))
    square, l_below, u_beside = _parts(lu)
    moved, below, beside = _parts(moved)
    inner = _by_u(_by_l(moved, square), square)
    dl = matmul.op(_unit_lower(square), lower(inner, 0.0))
    du = matmul.op(upper(inner), upper(square))
    if below is not None:
        below = _by_u(below - matmul.op(l_below, du), square)
    if beside is not None:
        beside = _by_l(beside - matmul.op(dl, u_beside), square)
    return _joined(dl + du, below, beside), None


defvjp(lu_, _lu_vjp)
defjvp(lu_, _lu_jvp)

# ----- the functions, with SciPy's signatures ---------------------------------------------------


def lu_factor(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Any:
    """Both factors of each matrix, packed into one, and the exchanges of rows: for `lu_solve`.

    With p a = l u and x = inv(l) p da inv(u): dl = l low(x), du = up(x) u.  The order of the rows
    has no derivative.  SciPy's warning of a singular matrix is not given; its derivative raises a
    `LinAlgError`.

    Raises
    ------
    ValueError
        If there is no matrix, or an element is not finite.
    """
    return lu_(checked("lu_factor", a, check_finite))


_TRANS = {0: "N", 1: "T", 2: "C"}


def lu_solve(
    lu_and_piv: tuple[Any, Any],
    b: Any,
    trans: int = 0,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Tensor:
    """Solve a x = b, a.T x = b (`trans=1`) or a^H x = b (2), given the pair of `lu_factor`.

    Differentiable in the packed factors and in b, which is one vector, or a stack of right-hand
    sides of shape (..., M, K).

    Raises
    ------
    numpy.linalg.LinAlgError
        If the matrix is singular.
    ValueError
        If `trans` is unknown, the factors are not square, the shapes do not agree, or an element
        is not finite.
    """
    if trans not in _TRANS:
        raise ValueError(f"lu_solve: trans={trans!r}: use 0, 1 or 2")
    lu = checked_square("lu_solve", lu_and_piv[0], False)
    b = checked("lu_solve", b, check_finite, axes=1)
    way = _TRANS[trans]
    vector = len(b.shape) == 1
    if b.shape[0 if vector else -2] != lu.shape[-1]:
        raise ValueError(
            f"lu_solve: shapes of lu {tuple(lu.shape)} and b {tuple(b.shape)} are incompatible"
        )
    order = _order(plain(as_operand(lu_and_piv[1])), lu.shape[-1])
    columns = column(b) if vector else b
    if order.ndim > 1:
        stack = numpy.broadcast_shapes(lu.shape[:-2], columns.shape[:-2])
        columns = broadcast_to.op(columns, shape=(*stack, *columns.shape[-2:]))
        order = library_of(order).broadcast_to(order, (*stack, order.shape[-1]))
    if way == "N":
        moved = getitem.op(columns, index=_rows(order))
        inner = solve_stacks(lu, moved, trans="N", lower=True, unit=True)
        found = solve_stacks(lu, inner, trans="N", lower=False)
    else:
        inner = solve_stacks(lu, columns, trans=way, lower=False)
        moved = solve_stacks(lu, inner, trans=way, lower=True, unit=True)
        found = getitem.op(moved, index=_rows(_inverse(order)))
    return as_tensors(getitem.op(found, index=(..., 0)) if vector else found)  # type: ignore[no-any-return]


def lu(
    a: Any,
    permute_l: bool = False,
    overwrite_a: bool = False,
    check_finite: bool = True,
    p_indices: bool = False,
) -> Any:
    """Factors p, l, u of each matrix, a = p l u; `permute_l`: p l and u; see `lu_factor`.

    p is a matrix of 0 and 1, or with `p_indices` the order of the rows: a = l[p] u.  It has no
    derivative.

    Raises
    ------
    ValueError
        If there is no matrix, or an element is not finite.
    """
    a = checked("lu", a, check_finite)
    packed, piv = lu_(a)
    m = packed.shape[-2]
    square, below, beside = _parts(packed)
    left = _joined(_unit_lower(square), below, None)
    right = as_tensors(_joined(upper(square), None, beside))
    order = _inverse(_order(plain(piv), m))
    if permute_l:
        return as_tensors(getitem.op(left, index=_rows(order))), right
    left = as_tensors(left)
    if p_indices:
        return Tensor(order.astype("int32")), left, right
    places = library_of(order).arange(m)
    p = (order[..., None] == places).astype(real_dtype(a))
    return Tensor(p), left, right
