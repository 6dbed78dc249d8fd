"""Linear systems: `inv`, `solve`, and what is short over them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy

from backpass.core.arity import Nary, primitive
from backpass.core.batches import Batch, Unbatched, batched, in_columns, ndim_of, widened
from backpass.core.ops.elementwise import multiply
from backpass.core.ops.linalg.matrices import column, row, transpose
from backpass.core.ops.linear import matmul
from backpass.core.ops.shaping import as_operand, reshape, transpose_
from backpass.core.rules import defjvp, defvjp
from backpass.core.tensor import Tensor

# ----- inv --------------------------------------------------------------------------------------


@primitive(name="inv")
def inv(xp: Any, a: Any) -> Any:
    """Inverse of each matrix; -ans.T @ g @ ans.T flows back.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a matrix is singular or not square.
    """
    return xp.linalg.inv(a)


def _inv_vjp(g: Any, ans: Any) -> Any:
    t = transpose(ans)
    return -matmul.op(matmul.op(t, g), t)


defvjp(inv, _inv_vjp)
defjvp(inv, lambda t, ans: -matmul.op(matmul.op(ans, t), ans))

# ----- solve ------------------------------------------------------------------------------------


def _solve(xp: Any, a: Any, b: Any) -> Any:
    """Solve a x = b for each matrix; with y = inv(a).T @ g, y flows to b and -y @ ans.T to a.

    One vector b of shape (M,), or stacks of right-hand sides of shape (..., M, K), as in NumPy 2.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a matrix is singular or not square.
    """
    if a.shape[:-2] == b.shape[:-2]:
        return xp.linalg.solve(a, b)
    # Not every library takes stacks that must be broadcast, or one vector for many matrices.
    vector = len(b.shape) == 1
    b = b[:, None] if vector else b
    stack = numpy.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a = xp.broadcast_to(a, (*stack, *a.shape[-2:]))
    ans = xp.linalg.solve(a, xp.broadcast_to(b, (*stack, *b.shape[-2:])))
    return ans[..., 0] if vector else ans


solve = Nary("solve", _solve)


def _solve_columns(a: Any, b: Any, vectors: bool) -> Any:
    """Solve for a right-hand side that holds one vector for each matrix, or matrices."""
    if not vectors or len(b.shape) == 1:
        return solve.op(a, b)
    ans = solve.op(a, column(b))
    return reshape.op(ans, shape=ans.shape[:-1])


def _solve_vjp(g: Any, ans: Any, a: Any, b: Any, *, needs: Sequence[bool]) -> list[Any]:
    vectors = len(b.shape) == 1
    y = _solve_columns(transpose(a), g, vectors)
    to_a = None
    if needs[0]:
        if vectors:
            to_a = multiply.op(column(-y), row(ans) if len(ans.shape) > 1 else ans)
        else:
            to_a = -matmul.op(y, transpose(ans))
    return [to_a, y]


def _solve_jvp(ts: Sequence[Any], ans: Any, a: Any, b: Any) -> Any:
    ta, tb = ts
    vectors = len(b.shape) == 1
    moved = tb
    if ta is not None:
        change = matmul.op(ta, column(ans) if vectors else ans)
        if vectors:
            change = reshape.op(change, shape=change.shape[:-1])
        moved = -change if tb is None else tb - change
    if vectors and len(moved.shape) == 1:
        return solve.op(a, moved)
    return _solve_columns(a, moved, vectors)


defvjp(solve, joint=_solve_vjp)
defjvp(solve, joint=_solve_jvp)


def _solve_batch(f: Any, xs: Sequence[Any], kwargs: Any) -> Batch:
    a, b = xs
    if isinstance(a, Batch):
        raise Unbatched("solve with a matrix for each row")
    if ndim_of(a) == 2 and b.ndim <= 2:
        return in_columns(f, xs, kwargs)
    if b.ndim > 1:
        return Batch(solve.op(a, widened(b, ndim_of(a))))
    many = reshape.op(b.inner, shape=(b.rows, *(1,) * (ndim_of(a) - 2), *b.shape, 1))
    ans = solve.op(a, many)
    return Batch(reshape.op(ans, shape=ans.shape[:-1]))


batched(_solve_batch, solve)

# ----- short over these -------------------------------------------------------------------------


def tensorinv(a: Any, ind: int = 2) -> Tensor:
    """Inverse for `tensordot(a, b, ind)`: that of a matrix, with its rule.

    Raises
    ------
    ValueError
        If `ind` is not positive.
    numpy.linalg.LinAlgError
        If the matrix is singular or not square.
    """
    if ind <= 0:
        raise ValueError("Invalid ind argument.")
    a = as_operand(a)
    shape = (*a.shape[ind:], *a.shape[:ind])
    matrix = reshape(a, shape=(math.prod(a.shape[:ind]), math.prod(a.shape[ind:])))
    return reshape(inv(matrix), shape=shape)  # type: ignore[no-any-return]


def tensorsolve(a: Any, b: Any, axes: Any = None) -> Tensor:
    """Solve `tensordot(a, x, x.ndim) = b` for x: `solve` of a matrix, with its rule.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the shapes make no square matrix, or it is singular.
    """
    a, b = as_operand(a), as_operand(b)
    if axes is not None:
        order = [k for k in range(a.ndim) if k not in axes] + list(axes)
        a = transpose_(a, axes=tuple(order))
    shape = a.shape[b.ndim :]
    if math.prod(shape) != b.size:
        raise numpy.linalg.LinAlgError(
            f"Input arrays must satisfy the requirement prod(a.shape[b.ndim:]) == b.size: "
            f"a has the shape {tuple(a.shape)}, b {tuple(b.shape)}"
        )
    square_ = reshape(a, shape=(-1, b.size) if b.size else (0, 0))
    return reshape(solve(square_, reshape(b, shape=(b.size,))), shape=shape)  # type: ignore[no-any-return]
