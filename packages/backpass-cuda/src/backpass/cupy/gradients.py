"""The norm of all gradients together, in two launches; and what a loss is scaled by, in one."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from backpass.cupy.formulas import STORED, included, loaded
from backpass.cupy.launching import THREADS, Kernel
from backpass.cupy.library import ndarray
from backpass.cupy.tables import LOOKUP, declarations, lanes, pack, tables_of, types_of

#: A thread of the first launch loads so many times; its sums are those of as many elements.
ROUNDS = 8
#: By the order of a norm: what an element counts, how two counts go together, and what is made of
#: the whole.  The largest is nan if one is.
ORDERS = {
    1.0: ("fabs(x)", "a + b", "a"),
    2.0: ("x * x", "a + b", "sqrt(a)"),
    float("inf"): ("fabs(x)", "b > a || b != b ? b : a", "a"),
}


def gradient_norm(*gradients: Any, order: float = 2.0) -> Any:
    """Return the norm of all gradients together, in double precision."""
    types = types_of(gradients, 1)
    if types is None or order not in ORDERS:
        return NotImplemented
    order = float(order)
    tables = tables_of(gradients, types, 0, rounds=ROUNDS)
    sums = ndarray((sum(table.blocks for table in tables),), "float64")
    begun = 0
    for table in tables:
        kernel = _first(order, types, table.capacity)
        kernel.launch(table.blocks, THREADS, (table.packed, table.used, sums, begun))
        begun += table.blocks
    norm = ndarray((), "float64")
    _last(order).launch(1, THREADS, (sums, begun, norm))
    return norm


#: Puts the counts of a block's threads, `sum`, together.
_TOGETHER = f"""
    __shared__ double shared[{THREADS}];
    shared[threadIdx.x] = sum;
    for (int width = {THREADS} / 2; width > 0; width /= 2) {{
        __syncthreads();
        if (threadIdx.x < width)
            shared[threadIdx.x] = both(shared[threadIdx.x], shared[threadIdx.x + width]);
    }}
"""


@functools.cache
def _first(order: float, types: str, capacity: int) -> Kernel:
    """Return the kernel that gives a count for each block."""
    count, both, _ = ORDERS[order]
    width, packed = lanes(types), pack(types)
    source = f"""{included(types)}
{declarations(types, capacity)}
__device__ __forceinline__ double counted(double x) {{ return {count}; }}
__device__ __forceinline__ double both(double a, double b) {{ return {both}; }}
extern "C" __global__ void backpass_norms(
    const Table table, long long count, double* sums, long long begun
) {{
{LOOKUP}
    const {STORED[types]}* all = (const {STORED[types]}*)table.places[0][own];
    const {packed}* whole = (const {packed}*)all;
    const bool aligned = (size_t)whole % sizeof({packed}) == 0;
    double sum = 0.0;
    #pragma unroll
    for (int round = 0; round < {ROUNDS}; ++round) {{
        const long long at = (block * {ROUNDS} + round) * blockDim.x + threadIdx.x;
        if (aligned && (at + 1) * {width} <= n) {{
            const {packed} some = whole[at];
            #pragma unroll
            for (int k = 0; k < {width}; ++k)
                sum = both(sum, counted({loaded("some.v[k]", types)}));
        }} else {{
            for (long long i = at * {width}; i < n && i < (at + 1) * {width}; ++i)
                sum = both(sum, counted({loaded("all[i]", types)}));
        }}
    }}
{_TOGETHER}
    if (threadIdx.x == 0) sums[begun + blockIdx.x] = shared[0];
}}
"""
    return Kernel("backpass_norms", source)


@functools.cache
def _last(order: float) -> Kernel:
    """Return the kernel that gives the norm."""
    _, both, made = ORDERS[order]
    source = f"""
__device__ __forceinline__ double both(double a, double b) {{ return {both}; }}
extern "C" __global__ void backpass_norm(const double* sums, long long count, double* norm) {{
    double sum = 0.0;
    for (long long i = threadIdx.x; i < count; i += {THREADS}) sum = both(sum, sums[i]);
{_TOGETHER}
    if (threadIdx.x == 0) {{
        const double a = shared[0];
        *norm = {made};
    }}
}}
"""
    return Kernel("backpass_norm", source)


def scale_update(
    scale: Any, streak: Any, *finite: Any, growth: float, backoff: float, interval: float
) -> Any:
    """Let a loss's scale follow from whether the gradients were finite."""
    arrays = (scale, streak, *finite)
    if not finite or any(
        type(x) is not ndarray or x.shape != () or x.dtype.char != "f" for x in arrays
    ):
        return NotImplemented
    _scale(len(finite)).launch(1, 1, (*arrays, float(growth), float(backoff), float(interval)))
    return None


@functools.cache
def _scale(count: int) -> Kernel:
    """Return the kernel for a number of flags."""
    flags = ", ".join(f"const float* finite{i}" for i in range(count))
    good = " && ".join(f"*finite{i} != 0.0f" for i in range(count))
    source = f"""
extern "C" __global__ void backpass_scale(
    float* scale, float* streak, {flags}, double growth, double backoff, double interval
) {{
    const bool good = {good};
    const float run = good ? *streak + 1.0f : 0.0f;
    const bool grown = run >= (float)interval;
    const float next = *scale * (float)(!good ? backoff : grown ? growth : 1.0);
    *streak = grown ? 0.0f : run;
    *scale = next < 1.0f ? 1.0f : next > {_LARGEST!r}f ? {_LARGEST!r}f : next;
}}
"""
    return Kernel("backpass_scale", source)


#: 2 to the 126, as in `backpass.nn`.
_LARGEST = 2.0**126

KERNELS: dict[str, Callable[..., Any]] = {
    "gradient_norm": gradient_norm,
    "scale_update": scale_update,
}
