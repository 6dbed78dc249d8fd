"""Products: `multi_dot`, `matrix_power`, and NumPy's names in `numpy.linalg` for general ones."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy

from backpass.core.ops.elementwise import conj, multiply
from backpass.core.ops.linalg.matrices import library_of
from backpass.core.ops.linalg.solving import inv
from backpass.core.ops.linear import cross as cross_of_arrays
from backpass.core.ops.linear import matmul
from backpass.core.ops.linear import outer as outer_of_arrays
from backpass.core.ops.linear import tensordot as tensordot_of_arrays
from backpass.core.ops.reductions import refuse_out, sum_
from backpass.core.ops.shaping import as_operand, broadcast_to, copy_, moveaxis
from backpass.core.ops.shaping import diagonal as diagonal_of_plane
from backpass.core.ops.shaping import trace as trace_of_plane
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors

# ----- chains of products -----------------------------------------------------------------------


def multi_dot(arrays: Sequence[Any], *, out: Any = None) -> Tensor:
    """Product of matrices in the order that costs least; the rules are those of `matmul`.

    The first and the last may be vectors. `out` is refused.

    Raises
    ------
    ValueError
        If there are fewer than two, or the lengths do not agree.
    numpy.linalg.LinAlgError
        If one is no matrix.
    """
    refuse_out("multi_dot", out)
    xs = [as_operand(x) for x in arrays]
    if len(xs) < 2:
        raise ValueError("Expecting at least two arrays.")
    inner = [x.ndim == 2 for x in xs[1:-1]]
    if not all(inner) or xs[0].ndim not in (1, 2) or xs[-1].ndim not in (1, 2):
        raise numpy.linalg.LinAlgError(
            "multi_dot: each array must be 2-dimensional, the first and the last may be vectors; "
            f"the shapes are {', '.join(str(tuple(x.shape)) for x in xs)}"
        )
    if len(xs) == 2:
        return matmul(*xs)  # type: ignore[no-any-return]
    sizes = [1 if xs[0].ndim == 1 else xs[0].shape[0], *(x.shape[0] for x in xs[1:])]
    sizes[1] = xs[0].shape[-1]
    sizes.append(1 if xs[-1].ndim == 1 else xs[-1].shape[1])
    cuts = _cheapest(tuple(sizes))

    def product(i: int, j: int) -> Any:
        return xs[i] if i == j else matmul(product(i, cuts[i, j]), product(cuts[i, j] + 1, j))

    return product(0, len(xs) - 1)  # type: ignore[no-any-return]


@functools.lru_cache(64)
def _cheapest(sizes: tuple[int, ...]) -> dict[tuple[int, int], int]:
    """Return where to cut the product of the matrices i to j, of sizes[i] rows, so it costs least.

    Source: Cormen, Leiserson, Rivest, Stein, Introduction to Algorithms, section 15.2.
    """
    n = len(sizes) - 1
    cost = {(i, i): 0 for i in range(n)}
    cuts: dict[tuple[int, int], int] = {}
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i, j], cuts[i, j] = min(
                (cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            )
    return cuts


def matrix_power(a: Any, n: int) -> Tensor:
    """Power of square matrices: products, of the inverse if n is negative, and their rules.

    Raises
    ------
    TypeError
        If n is not an integer.
    numpy.linalg.LinAlgError
        If a matrix is not square, or is singular and n negative.
    """
    a = as_operand(a)
    check_square(a)
    if not isinstance(n, int | numpy.integer):
        raise TypeError("exponent must be an integer")
    if n == 0:
        xp = library_of(a)
        return as_tensors(broadcast_to.op(xp.eye(a.shape[-1], dtype=a.dtype), shape=a.shape).copy())  # type: ignore[no-any-return]
    power, n = (inv(a), -int(n)) if n < 0 else (a, int(n))
    ans = None
    while n:
        n, odd = divmod(n, 2)
        if odd:
            ans = power if ans is None else matmul(ans, power)
        if n:
            power = matmul(power, power)
    return copy_(ans) if ans is a else ans  # type: ignore[return-value]


def check_square(a: Any) -> None:
    """Raise NumPy's error for what is no stack of square matrices."""
    if len(a.shape) < 2:
        raise numpy.linalg.LinAlgError(
            f"{len(a.shape)}-dimensional array given. Array must be at least two-dimensional"
        )
    if a.shape[-1] != a.shape[-2]:
        raise numpy.linalg.LinAlgError("Last 2 dimensions of the array must be square")


# ----- general functions, as they are called in numpy.linalg ------------------------------------


def diagonal(x: Any, /, *, offset: int = 0) -> Tensor:
    """Return the diagonals of a stack of matrices; g goes to the diagonals, the rest gets 0."""
    return diagonal_of_plane(x, offset, -2, -1)


def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Tensor:
    """Sum of the diagonal of each matrix of a stack; g goes to the diagonals."""
    return trace_of_plane(x, offset, -2, -1, dtype)


def outer(x1: Any, x2: Any, /) -> Tensor:
    """Products of all elements of one vector with all of another; g @ x2 and x1 @ g.

    Raises
    ------
    ValueError
        If one is not one-dimensional.
    """
    x1, x2 = as_operand(x1), as_operand(x2)
    if x1.ndim != 1 or x2.ndim != 1:
        raise ValueError(
            "Input arrays must be one-dimensional, but they are "
            f"x1.ndim={x1.ndim} and x2.ndim={x2.ndim}."
        )
    return outer_of_arrays(x1, x2)


def cross(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    """Cross product of vectors of length 3; cross(x2, g) and cross(g, x1) flow back.

    Raises
    ------
    ValueError
        If a vector has another length.
    """
    x1, x2 = as_operand(x1), as_operand(x2)
    if x1.shape[axis] != 3 or x2.shape[axis] != 3:
        raise ValueError(
            "Both input arrays must be (arrays of) 3-dimensional vectors, but they are "
            f"{x1.shape[axis]} and {x2.shape[axis]} dimensional instead."
        )
    return cross_of_arrays(x1, x2, axis=axis)


def tensordot(x1: Any, x2: Any, /, *, axes: Any = 2) -> Tensor:
    """Sum over pairs of axes: `numpy.tensordot`."""
    return tensordot_of_arrays(x1, x2, axes)


def vecdot(x1: Any, x2: Any, /, *, axis: int = -1) -> Tensor:
    """Sum of conj(x1) * x2 along an axis; conj(g * x2) and g * conj(x1) flow back."""
    x1, x2 = as_operand(x1), as_operand(x2)
    if axis != -1:
        x1, x2 = moveaxis(x1, axis, -1), moveaxis(x2, axis, -1)
    if x1.shape[-1] != x2.shape[-1]:
        raise ValueError(
            f"vecdot: the axes have the lengths {x1.shape[-1]} and {x2.shape[-1]}, "
            "they must be the same"
        )
    return sum_(multiply(conj(x1), x2), axis=-1)  # type: ignore[no-any-return]
