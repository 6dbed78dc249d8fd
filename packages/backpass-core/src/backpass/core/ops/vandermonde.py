"""The matrix of powers."""

from __future__ import annotations

import operator
from typing import Any

from backpass.core.arity import primitive
from backpass.core.backends import backend_of
from backpass.core.operators import operators
from backpass.core.ops.indexing import getitem
from backpass.core.ops.padding import pad_constant
from backpass.core.ops.shaping import as_operand, flip, reshape
from backpass.core.rules import defjvp, defvjp
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors, plain


@primitive
def powers(xp: Any, x: Any, *, n: int) -> Any:
    """Powers 0 to n - 1 of each element, in a row."""
    return xp.vander(x, n, increasing=True)


def _slopes(ans: Any, n: int) -> Any:
    """Return the derivatives of the powers from the first on, k x**(k - 1)."""
    xp = backend_of((plain(ans),)).library
    k = xp.arange(1, max(n, 1), dtype=ans.dtype)
    return getitem.op(ans, index=(slice(None), slice(None, -1))) * k


def _powers_vjp(g: Any, ans: Any, *, n: int) -> Any:
    part = getitem.op(g, index=(slice(None), slice(1, None)))
    return operators.sum(operators.zero_multiply(part, _slopes(ans, n)), axis=1)


def _powers_jvp(t: Any, ans: Any, *, n: int) -> Any:
    column = reshape.op(t, shape=(-1, 1))
    made = operators.zero_multiply(column, _slopes(ans, n))
    return pad_constant.op(made, widths=((0, 0), (min(n, 1), 0)))


defvjp(powers, _powers_vjp)
defjvp(powers, _powers_jvp)


def vander(x: Any, N: int | None = None, increasing: bool = False) -> Tensor:
    """Return the matrix whose columns are powers of x, the highest first: k * x**(k - 1) * g to x.

    Raises
    ------
    ValueError
        If x has not one axis, or `N` is negative.
    """
    x = as_operand(x)
    if len(x.shape) != 1:
        raise ValueError(f"vander: x of shape {tuple(x.shape)} must have one axis")
    n = x.shape[0] if N is None else operator.index(N)
    if n < 0:
        raise ValueError(f"vander: N must not be negative, it is {n}")
    made = powers(x, n=n)
    return as_tensors(made if increasing else flip(made, axis=1))  # type: ignore[no-any-return]
