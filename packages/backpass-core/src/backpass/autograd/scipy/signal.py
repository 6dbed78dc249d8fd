"""Convolution, in HIPS autograd's form too: along some axes, and summed over others."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import backpass.scipy.signal as _differentiable
from backpass.autograd.plain import plainly, settled
from backpass.core.operators import operators
from backpass.core.ops.indexing import getitem, scatter
from backpass.core.ops.linear import tensordot
from backpass.core.ops.shaping import as_operand

convolve2d = plainly(_differentiable.convolve2d)
correlate = plainly(_differentiable.correlate)
fftconvolve = plainly(_differentiable.fftconvolve)
lfilter = plainly(_differentiable.lfilter)

Axes = Sequence[Sequence[int]]


def convolve(
    A: Any,
    B: Any,
    axes: Axes | None = None,
    dot_axes: Axes = ((), ()),
    mode: str = "full",
    *,
    method: str = "auto",
) -> Any:
    """Convolution; each gets the correlation of g with the other.

    Parameters
    ----------
    A, B
        The arrays.
    axes
        The axes of A and those of B along which to convolve; all, by default.
    dot_axes
        Axes of A and of B over which to sum the products.
    mode
        `"full"`, `"same"` (the middle, as long as A) or `"valid"`.
    method
        As SciPy's, where neither `axes` nor `dot_axes` are given.

    Returns
    -------
    array
        Its axes are the others of A, the others of B, and those of the convolution.

    Raises
    ------
    ValueError
        If the mode is unknown, or with `"valid"` neither array is everywhere the longer one.

    Examples
    --------
    Images (image, channel, row, column) with filters (channel, filter, row, column):

    >>> import backpass.autograd.numpy as np
    >>> images, filters = np.ones((2, 3, 8, 8)), np.ones((3, 5, 3, 3))
    >>> convolve(images, filters, ([2, 3], [2, 3]), ([1], [0]), mode="valid").shape
    (2, 5, 6, 6)
    """
    if axes is None and not dot_axes[0] and not dot_axes[1]:
        return settled(_differentiable.convolve(A, B, mode=mode, method=method))
    a, b = as_operand(A), as_operand(B)
    if axes is None:
        axes = (range(a.ndim), range(b.ndim))
    along_a, along_b = ([i % x.ndim for i in ax] for ax, x in zip(axes, (a, b)))
    dot_a, dot_b = ([i % x.ndim for i in ax] for ax, x in zip(dot_axes, (a, b)))
    free_a = [i for i in range(a.ndim) if i not in along_a + dot_a]
    free_b = [i for i in range(b.ndim) if i not in along_b + dot_b]
    # The axes of the convolution first, then those that stay, then those of the sum.
    a = operators.transpose(a, axes=tuple(along_a + free_a + dot_a))
    b = operators.transpose(b, axes=tuple(along_b + free_b + dot_b))
    n, k = len(along_a), len(dot_a)
    lengths = list(zip(a.shape[:n], b.shape[:n]))
    spans = [_span(p, q, mode) for p, q in lengths]
    if mode == "valid" and any(p > q for p, q in lengths) and any(p < q for p, q in lengths):
        raise ValueError(
            "convolve: mode='valid' needs one array that is along no axis shorter than the other"
        )
    # The array with fewer elements along the axes slides over the other.
    turned = math.prod(a.shape[:n]) < math.prod(b.shape[:n])
    large, small = (b, a) if turned else (a, b)
    made = _slid(large, small, spans, k)
    free = range(n, made.ndim)
    cut = len(free_b) if turned else len(free_a)
    first, second = (*free[:cut],), (*free[cut:],)
    order = (second + first if turned else first + second) + (*range(n),)
    return settled(operators.transpose(made, axes=order))


def _span(p: int, q: int, mode: str) -> tuple[int, int]:
    """Return which part of the full convolution of lengths p and q a mode takes."""
    if mode == "full":
        return 0, p + q - 1
    if mode == "same":
        return (q - 1) // 2, (q - 1) // 2 + p
    if mode == "valid":
        return min(p, q) - 1, max(p, q)
    raise ValueError(f"convolve: mode={mode!r}: use 'full', 'same' or 'valid'")


def _slid(large: Any, small: Any, spans: Sequence[tuple[int, int]], k: int) -> Any:
    """Convolve along the first axes, and sum over the last k."""
    n = len(spans)
    pairs = list(zip(large.shape[:n], small.shape[:n], spans))
    before = [max(0, q - 1 - low) for _, q, (low, _) in pairs]
    after = [max(0, high - p) for p, _, (_, high) in pairs]
    if any(before) or any(after):
        inside = tuple(slice(i, i + p) for i, p in zip(before, large.shape))
        shape = tuple(i + p + j for i, p, j in zip(before, large.shape, after))
        large = scatter.op(large, index=inside, shape=shape + large.shape[n:])
    last = [range(x.ndim - k, x.ndim) for x in (large, small[(0,) * n])]
    total: Any = None
    # One matrix product for each element: small filters are the usual case.
    for place in itertools.product(*(range(q) for _, q, _ in pairs)):
        starts = [low - j + i for j, i, (low, _) in zip(place, before, spans)]
        window = tuple(slice(i, i + high - low) for i, (low, high) in zip(starts, spans))
        part = tensordot(
            getitem.op(large, index=window), getitem.op(small, index=place), tuple(last)
        )
        total = part if total is None else total + part
    return total


__all__ = ["convolve", "convolve2d", "correlate", "fftconvolve", "lfilter"]
