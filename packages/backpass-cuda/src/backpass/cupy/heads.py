"""Heads that are split from vectors, as views; and joined, by one copy, where they are not already.

The parts (..., heads, n, length) of vectors (..., n, parts * heads * length) lie side by side.  So
do the cotangents that attention makes of them, and joining them moves nothing.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from backpass.cupy.launching import THREADS, Kernel
from backpass.cupy.library import ndarray
from backpass.cupy.strides import Strides, walk

#: What is copied at once, in bytes, and what stands for it.
UNITS = {16: "uint4", 8: "uint2", 4: "unsigned", 2: "unsigned short", 1: "unsigned char"}
#: So many parts at most, and axes of different strides.
PARTS, AXES = 3, 6
#: What is copied is counted in 32 bits.
MOST = 2**31


def side_by_side(xs: Sequence[Any], parts: int) -> bool:
    """Tell whether arrays are the parts of `split_heads`, of vectors without gaps."""
    first = xs[0]
    shape, strides, size = first.shape, first.strides, first.itemsize
    if len(xs) != parts or len(shape) < 3:
        return False
    *outer, heads, n, length = shape
    step = heads * length * size
    row = parts * step
    dense = [length * size, row, size]
    for i in reversed(outer):
        dense.insert(0, n * row)
        n *= i
    start = first.data.ptr
    return all(
        x.shape == shape and x.strides == strides and x.data.ptr == start + i * step
        for i, x in enumerate(xs)
    ) and all(a == b or k == 1 for a, b, k in zip(strides, dense, shape))


def _whole(first: Any, parts: int) -> tuple[int, ...]:
    """Return the shape of the vectors that parts like this one make."""
    *outer, heads, n, length = first.shape
    return (*outer, n, parts * heads * length)


def split_heads(x: Any, *, parts: int, heads: int) -> Any:
    """Divide vectors into parts, as views."""
    if type(x) is not ndarray or not x.ndim > 1 or not x._c_contiguous or not x.size:
        return NotImplemented
    *outer, n, width = x.shape
    if width % (parts * heads):
        return NotImplemented
    length, size = width // (parts * heads), x.itemsize
    shape = (*outer, heads, n, length)
    strides = (*x.strides[:-2], length * size, width * size, size)
    step = heads * length * size
    return tuple([ndarray(shape, x.dtype, x.data + i * step, strides) for i in range(parts)])


def join_heads(*xs: Any) -> Any:
    """Join parts to vectors: as a view, if they lie side by side in one piece of memory."""
    first = xs[0]
    if any(type(x) is not ndarray for x in xs) or first.ndim < 3 or not first.size:
        return NotImplemented
    if any(x.shape != first.shape or x.dtype != first.dtype for x in xs):
        return NotImplemented
    memory = first.data.mem
    if all(x.data.mem is memory for x in xs) and side_by_side(xs, len(xs)):
        return ndarray(_whole(first, len(xs)), first.dtype, first.data)
    return _copied(xs) if len(xs) <= PARTS else NotImplemented


def _copied(xs: Sequence[Any]) -> Any:
    first, parts = xs[0], len(xs)
    length, size = first.shape[-1], first.itemsize
    units = [
        unit
        for unit in UNITS
        if unit >= size
        and length * size % unit == 0
        and all(x.strides[-1] == size or unit == size for x in xs)
        and all((x.data.ptr | math.gcd(*x.strides[:-1])) % unit == 0 for x in xs)
    ]
    if not units:
        return NotImplemented
    unit = units[0]
    ans = ndarray(_whole(first, parts), first.dtype)
    views = []
    for x in xs:
        shape = (*first.shape[:-3], first.shape[-2], first.shape[-3], length * size // unit)
        last = unit if unit > size else x.strides[-1]
        strides = (*x.strides[:-3], x.strides[-2], x.strides[-3], last)
        views.append(_Units(shape, strides, unit))
    by = walk(views[0].shape, views)
    count = math.prod(views[0].shape)
    if len(by.lengths) > AXES or count >= MOST or any(s % unit for v in views for s in v.strides):
        return NotImplemented
    row = math.prod(views[0].shape[-2:])
    _kernel(parts, len(by.lengths), unit).launch(
        -(-count // THREADS), THREADS, (*[x.data for x in xs], ans.data, count, row, by.packed())
    )
    return ans


class _Units:
    """An array, in pieces that are copied at once."""

    def __init__(self, shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> None:
        self.shape, self.strides, self.itemsize, self.ndim = shape, strides, itemsize, len(shape)


@functools.cache
def _kernel(parts: int, axes: int, unit: int) -> Kernel:
    struct = Strides((0,) * axes, ((0,) * axes,) * parts).struct
    given = ", ".join(f"const Unit *x{i}" for i in range(parts))
    copies = "\n    ".join(
        f"{{ long long at = 0; WALK(by.steps[{i}]) "
        f"out[row * {parts} * length + {i} * length + place] = x{i}[at]; }}"
        for i in range(parts)
    )
    return Kernel(
        "join_heads",
        f"""typedef {UNITS[unit]} Unit;
{struct}
#define WALK(steps) {{ unsigned rest = i; \\
    _Pragma("unroll") for (int axis = {axes - 1}; axis >= 0; --axis) {{ \\
        const unsigned n = (unsigned)by.lengths[axis], next = rest / n; \\
        at += (rest - next * n) * steps[axis]; \\
        rest = next; \\
    }} }}

// Each row of the vectors is made of {parts} of this length.
extern "C" __global__ void join_heads(
    {given}, Unit *out, const long long count, const long long length, const Strides by
) {{
    const unsigned i = blockIdx.x * {THREADS}u + threadIdx.x;
    if (i >= count) return;
    const long long row = i / (unsigned)length, place = i - row * length;
    {copies}
}}
""",
    )


def pull_split(g: Sequence[Any], *, parts: int, heads: int, needs: Sequence[bool]) -> Any:
    """Join the cotangents of the parts."""
    if any(x is None for x in g):
        return NotImplemented
    made = join_heads(*g)
    return made if made is NotImplemented else (made,)


KERNELS: dict[str, Callable[..., Any]] = {
    "split_heads": split_heads,
    "split_heads.vjp": pull_split,
    "join_heads": join_heads,
}
