"""Small sums around a convolution: a bias for each channel, its gradient, and a weight's parts."""

from __future__ import annotations

import functools
from typing import Any

from backpass.cupy.convolution.columns import HEADERS, NUMBERS, WIDTH
from backpass.cupy.launching import THREADS, Kernel
from backpass.cupy.library import ndarray
from backpass.cupy.partials import COUNTERS, SPACE, workspace

#: A warp.
_LANES, _ROWS = 32, THREADS // 32
#: At least so many pixels are worth a row of threads, and at most so many blocks share them.
_PIXELS, _SHARES = 16, 1024


def add_bias(made: Any, bias: Any, step: int) -> None:
    """Add a bias to images in place; neighbours of a channel lie `step` elements apart, or 1.

    `step` is 1 where the channels are the last axis in memory; else it is the size of an image.
    """
    pack = WIDTH // made.itemsize
    if (bias.size if step == 1 else step) % pack or made.data.ptr % WIDTH:
        pack = 1
    count = made.size // pack
    kernel = _add(made.dtype.name, pack, step == 1, made.size >= 2**31)
    kernel.launch(-(-count // THREADS), THREADS, (made, bias, step, bias.size, count))


@functools.cache
def _add(name: str, pack: int, last: bool, wide: bool) -> Kernel:
    number, title = NUMBERS[name], "backpass_add_bias"
    own = number.load.format("made.v[e]")
    other = number.load.format("bias[channel + e]" if last else "bias[channel]")
    return Kernel(
        title,
        f"""{HEADERS.get(name, "")}
typedef {number.stored} U;
typedef {"unsigned long long" if wide else "unsigned int"} I;
struct alignas({pack} * sizeof(U)) Pack {{ U v[{pack}]; }};
extern "C" __global__ void {title}(
    U* images, const U* bias, long long step, long long channels, long long total
) {{
    const I t = (I)blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= total) return;
    const int channel = {f"t * {pack}" if last else f"t * {pack} / (I)step"} % (I)channels;
    Pack made = ((const Pack*)images)[t];
    #pragma unroll
    for (int e = 0; e < {pack}; ++e) made.v[e] = {number.store.format(f"{own} + {other}")};
    ((Pack*)images)[t] = made;
}}
""",
    )


def sum_of_pixels(g: Any, channels: int) -> Any:
    """Add up (..., channels), contiguous, for each channel; `None` for very many of them."""
    pack = WIDTH // g.itemsize
    if channels % pack or g.data.ptr % WIDTH:
        pack = 1
    lanes = _LANES if pack == 1 else min(8, 1 << (channels // pack - 1).bit_length())
    pixels, tiles = g.size // channels, -(-channels // (lanes * pack))
    if tiles > COUNTERS:
        return None
    part = 8 * lanes * pack  # bytes, at most
    splits = max(1, min(pixels * lanes // (_PIXELS * THREADS), _SHARES // tiles))
    splits = max(1, min(splits, SPACE // (part * tiles)))
    if part * tiles * splits > SPACE:
        return None
    parts, tickets = workspace(part * tiles * splits, tiles)
    made = ndarray((channels,), g.dtype)
    _sum(g.dtype.name, pack, lanes).launch(
        tiles * splits, THREADS, (g, made, parts, tickets, pixels, channels // pack, splits)
    )
    return made


@functools.cache
def _sum(name: str, pack: int, lanes: int) -> Kernel:
    """Return the kernel of `sum_of_pixels`: the last block of several adds their parts up.

    A thread loads a pack of channels; so many lanes lie side by side, and rows below each other.
    """
    number, title, rows = NUMBERS[name], "backpass_sum_of_pixels", THREADS // lanes
    return Kernel(
        title,
        f"""{HEADERS.get(name, "")}
typedef {number.stored} U;
typedef {number.summed} T;
struct alignas({pack} * sizeof(U)) Pack {{ U v[{pack}]; }};

// Of all rows, for each lane of the first.
__device__ inline void together(T sums[{pack}], T* held) {{
    #pragma unroll
    for (int e = 0; e < {pack}; ++e) {{
        held[threadIdx.x] = sums[e];
        __syncthreads();
        for (int half = {rows // 2}; half > 0; half /= 2) {{
            const int other = threadIdx.x + half * {lanes};
            if (other < 2 * half * {lanes}) held[threadIdx.x] += held[other];
            __syncthreads();
        }}
        sums[e] = held[threadIdx.x % {lanes}];
        __syncthreads();
    }}
}}

extern "C" __global__ void {title}(
    const Pack* g, U* made, unsigned char* workspace, unsigned int* tickets,
    long long pixels, long long packs, long long splits
) {{
    T* parts = (T*)workspace;
    __shared__ T held[{THREADS}];
    __shared__ bool is_last;
    const int lane = threadIdx.x % {lanes}, row = threadIdx.x / {lanes};
    const int tile = blockIdx.x / (int)splits, split = blockIdx.x % (int)splits;
    const long long own = tile * {lanes} + lane;
    const bool live = own < packs;
    T sums[{pack}];
    #pragma unroll
    for (int e = 0; e < {pack}; ++e) sums[e] = T(0);
    if (live) {{
        const long long step = splits * {rows};
        #pragma unroll 4
        for (long long i = split * {rows} + row; i < pixels; i += step) {{
            const Pack found = g[i * packs + own];
            #pragma unroll
            for (int e = 0; e < {pack}; ++e) sums[e] += {number.load.format("found.v[e]")};
        }}
    }}
    together(sums, held);
    if (splits > 1) {{
        if (row == 0) {{
            #pragma unroll
            for (int e = 0; e < {pack}; ++e)
                parts[((long long)blockIdx.x * {lanes} + lane) * {pack} + e] = sums[e];
        }}
        __threadfence();
        __syncthreads();
        if (threadIdx.x == 0) {{
            const unsigned int most = (unsigned int)splits - 1;
            is_last = atomicInc(tickets + tile, most) == most;
        }}
        __syncthreads();
        if (!is_last) return;
        __threadfence();
        #pragma unroll
        for (int e = 0; e < {pack}; ++e) sums[e] = T(0);
        const volatile T* all = parts + (tile * splits * {lanes} + lane) * {pack};
        for (int i = row; i < splits; i += {rows}) {{
            #pragma unroll
            for (int e = 0; e < {pack}; ++e) sums[e] += all[i * {lanes * pack} + e];
        }}
        together(sums, held);
    }}
    if (row > 0 || !live) return;
    #pragma unroll
    for (int e = 0; e < {pack}; ++e) made[own * {pack} + e] = {number.store.format("sums[e]")};
}}
""",
    )


def fold(
    parts: Any, made: Any, splits: int, outs: int, order: tuple[int, int, int] | None = None
) -> None:
    """Add up (splits, elements, outs), and write the sums as a weight (outs, elements).

    `order` is (width, height, inner) where the elements come in that order, and not as a weight's.
    """
    size = made.size
    elements = size // outs
    _, height, inner = order or (1, 1, elements)
    _fold(made.dtype.name).launch(
        -(-size // _LANES), THREADS, (parts, made, splits, size, outs, height, inner, elements)
    )


@functools.cache
def _fold(name: str) -> Kernel:
    number, title = NUMBERS[name], "backpass_fold_parts"
    return Kernel(
        title,
        f"""{HEADERS.get(name, "")}
typedef {number.stored} U;
typedef {number.summed} T;
extern "C" __global__ void {title}(
    const T* parts, U* made, long long splits, long long size, long long outs,
    long long height, long long inner, long long elements
) {{
    __shared__ T held[{THREADS}];
    const int lane = threadIdx.x % {_LANES}, row = threadIdx.x / {_LANES};
    const long long t = (long long)blockIdx.x * {_LANES} + lane;
    T sum = T(0);
    if (t < size) {{
        #pragma unroll 8
        for (int i = row; i < splits; i += {_ROWS}) sum += parts[i * size + t];
    }}
    held[threadIdx.x] = sum;
    __syncthreads();
    if (row > 0 || t >= size) return;
    for (int i = 1; i < {_ROWS}; ++i) sum += held[i * {_LANES} + lane];
    const int element = t / outs, out = t - element * outs;
    const int column = element / (int)inner, channel = element - column * (int)inner;
    const int j = column / (int)height, i = column - j * (int)height;
    const int width = (int)elements / ((int)height * (int)inner);
    const long long at = ((long long)channel * height + i) * width + j;
    made[out * elements + at] = {number.store.format("sum")};
}}
""",
    )
