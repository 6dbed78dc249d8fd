"""Vectors divided among the heads of an attention, and joined again: views, wherever they can be.

Queries, keys and values lie side by side in the vectors that one product has made, and so may their
cotangents: a kernel that puts them there need not be followed by copies.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backpass.core.batches import batched, beside
from backpass.core.extend import linear, primitive
from backpass.core.values import zeros_beside


@primitive(outputs=2)
def split_heads(xp: Any, x: Any, *, parts: int, heads: int) -> Any:
    """Divide vectors (..., n, parts * heads * length) into parts (..., heads, n, length)."""
    *outer, n, width = x.shape
    apart = x.reshape(*outer, n, parts, heads, width // (parts * heads))
    return tuple([xp.swapaxes(apart[..., i, :, :], -2, -3) for i in range(parts)])


@primitive
def join_heads(xp: Any, *xs: Any) -> Any:
    """Join parts (..., heads, n, length) to vectors (..., n, parts * heads * length)."""
    moved = [xp.swapaxes(x, -2, -3) for x in xs]
    *outer, heads, length = moved[0].shape
    whole = moved[0] if len(xs) == 1 else xp.stack(moved, axis=-3)
    return whole.reshape(*outer, len(xs) * heads * length)


def _split_vjp(
    g: Sequence[Any], *, parts: int, heads: int, needs: Sequence[bool]
) -> tuple[Any, ...]:
    used = [part for part in g if part is not None]
    return (join_heads.op(*[zeros_beside(used[0], used) if x is None else x for x in g]),)


def _join_vjp(g: Any, *xs: Any, needs: Sequence[bool]) -> Any:
    return split_heads.op(g, parts=len(xs), heads=xs[0].shape[-3])


linear(split_heads, joint=_split_vjp)
linear(join_heads, joint=_join_vjp)
batched(beside, split_heads, join_heads)

__all__ = ["join_heads", "split_heads"]
