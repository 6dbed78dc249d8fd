"""SciPy's matrices with a structure: each element of a vector in many places."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.ops.indexing import getitem
from backpass.core.ops.linalg.matrices import conjugate
from backpass.core.ops.shaping import as_operand, broadcast_to, concatenate_arrays, flip, reshape
from backpass.core.rules import linear
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors

# ----- one vector along the diagonals -----------------------------------------------------------


@primitive
def diagonals(xp: Any, x: Any, *, rows: int) -> Any:
    """Return matrices that hold x[rows - 1 - i + j] in row i, column j."""
    shape = (*x.shape[:-1], rows, max(x.shape[-1] + 1 - rows, 0))
    strides = (*x.strides, x.strides[-1])
    # Row i of the windows holds x[i + j].
    return xp.lib.stride_tricks.as_strided(x, shape, strides)[..., ::-1, :].copy()


@primitive
def diagonal_sums(xp: Any, x: Any) -> Any:
    """Return the sums along the diagonals of each matrix, from the lower left corner."""
    *stack, rows, columns = x.shape
    wide = xp.zeros((*stack, rows, rows + columns), x.dtype)
    wide[..., :columns] = x[..., ::-1, :]
    # Read on as if the rows were shorter by one, each begins one later than the one before it.
    flat = wide.reshape(*stack, -1)[..., : rows * (rows + columns - 1)]
    return flat.reshape(*stack, rows, rows + columns - 1).sum(-2)


linear(diagonals, lambda g, *, rows: diagonal_sums.op(g))
linear(diagonal_sums, lambda g, x: diagonals.op(g, rows=x.shape[-2]))


def _vector(name: str, x: Any, stacks: bool = True) -> Any:
    x = as_operand(x)
    if not len(x.shape):
        return reshape(x, shape=(1,))
    if not stacks and len(x.shape) > 1:
        raise ValueError(
            f"{name}: a vector is expected, not an array of the shape {tuple(x.shape)}: pass "
            "ravel(x)"
        )
    return x


def toeplitz(c: Any, r: Any = None) -> Tensor:
    """Matrix with the first column c and the first row r; g is summed along the diagonals.

    r is by default c's conjugate, and r[0] is not read.  Stacks of vectors give stacks of matrices,
    as in SciPy 1.17, where older versions flatten them.
    """
    c = _vector("toeplitz", c)
    r = conjugate(c) if r is None else _vector("toeplitz", r)
    stack = numpy.broadcast_shapes(c.shape[:-1], r.shape[:-1])
    first, others = flip.op(c, axis=-1), getitem.op(r, index=(..., slice(1, None)))
    parts = [broadcast_to.op(x, shape=(*stack, x.shape[-1])) for x in (first, others)]
    return diagonals(concatenate_arrays(parts, axis=-1), rows=c.shape[-1])  # type: ignore[no-any-return]


def hankel(c: Any, r: Any = None) -> Tensor:
    """Matrix with the first column c and the last row r; g is summed along the antidiagonals.

    r is 0 by default, and r[0] is not read.  More axes, whose meaning changes in SciPy 1.19, are
    refused.

    Raises
    ------
    ValueError
        If c or r is no vector.
    """
    c = _vector("hankel", c, stacks=False)
    r = c * 0 if r is None else _vector("hankel", r, stacks=False)
    whole = concatenate_arrays([c, getitem.op(r, index=slice(1, None))], axis=0)
    return as_tensors(flip.op(diagonals.op(whole, rows=c.shape[0]), axis=-2))  # type: ignore[no-any-return]


def circulant(c: Any) -> Tensor:
    """Matrix whose columns are c, turned on by one each; stacks of vectors give stacks of matrices.

    g is summed along the diagonals that hold the same element.
    """
    c = _vector("circulant", c)
    turned = flip.op(c, axis=-1)
    others = getitem.op(turned, index=(..., slice(None, -1)))
    return diagonals(concatenate_arrays([turned, others], axis=-1), rows=c.shape[-1])  # type: ignore[no-any-return]


# ----- blocks -----------------------------------------------------------------------------------


def _places(shapes: Sequence[Sequence[int]]) -> list[tuple[slice, slice]]:
    """Return where each block lies."""
    made, row, column = [], 0, 0
    for *_, m, n in shapes:
        made.append((slice(row, row + m), slice(column, column + n)))
        row, column = row + m, column + n
    return made


@primitive(name="block_diag")
def block_diag_(xp: Any, *xs: Any) -> Any:
    """Return matrices with blocks along the diagonal, and 0 elsewhere."""
    stack = numpy.broadcast_shapes(*(x.shape[:-2] for x in xs))
    size = [sum(x.shape[k] for x in xs) for k in (-2, -1)]
    made = xp.zeros((*stack, *size), xp.result_type(*xs))
    for x, (rows, columns) in zip(xs, _places([x.shape for x in xs])):
        made[..., rows, columns] = x
    return made


def _block_diag_back(g: Any, *xs: Any, needs: Sequence[bool]) -> list[Any]:
    places = _places([x.shape for x in xs])
    return [
        getitem.op(g, index=(..., *place)) if need else None for place, need in zip(places, needs)
    ]


linear(block_diag_, joint=_block_diag_back)


def block_diag(*arrs: Any) -> Tensor:
    """Blocks along the diagonal, and 0 elsewhere; each block of g flows back.

    A vector is a matrix of one row, a number one of one element; stacks are broadcast.
    """
    blocks = [as_operand(x) for x in arrs or ([],)]
    shaped = [x if len(x.shape) > 1 else reshape.op(x, shape=(1, x.size)) for x in blocks]
    return block_diag_(*shaped)  # type: ignore[no-any-return]
