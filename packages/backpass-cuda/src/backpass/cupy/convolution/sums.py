"""Small sums around a convolution: a bias for each channel, its gradient, and a weight's parts."""

from __future__ import annotations

import functools
from typing import Any

from backpass.cupy.convolution.columns import HEADERS, NUMBERS, WIDTH
from backpass.cupy.launching import THREADS, Kernel
from backpass.cupy.library import ndarray
from backpass.cupy.partials import COUNTERS, SPACE, workspace

#: So many channels are added up side by side, by as many threads in so many rows.
_LANES, _ROWS = 32, THREADS // 32
#: At least so many pixels are worth a block.
_PIXELS = 16 * _ROWS


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
    pixels, tiles = g.size // channels, -(-channels // _LANES)
    if tiles > COUNTERS:
        return None
    splits = max(1, min(pixels // _PIXELS, 1024 // tiles, SPACE // (8 * _LANES * tiles)))
    parts, tickets = workspace(8 * splits * tiles * _LANES, tiles)
    made = ndarray((channels,), g.dtype)
    _sum(g.dtype.name).launch(
        tiles * splits, THREADS, (g, made, parts, tickets, pixels, channels, splits)
    )
    return made


@functools.cache
def _sum(name: str) -> Kernel:
    """Return the kernel of `sum_of_pixels`: the last block of several adds their parts up."""
    number, title = NUMBERS[name], "backpass_sum_of_pixels"
    return Kernel(
        title,
        f"""{HEADERS.get(name, "")}
typedef {number.stored} U;
typedef {number.summed} T;

// Of all rows of threads, for the channel of each lane.
__device__ inline T together(T sum, T* held) {{
    const int lane = threadIdx.x % {_LANES}, row = threadIdx.x / {_LANES};
    held[threadIdx.x] = sum;
    __syncthreads();
    sum = T(0);
    if (row == 0) for (int i = 0; i < {_ROWS}; ++i) sum += held[i * {_LANES} + lane];
    __syncthreads();
    return sum;
}}

extern "C" __global__ void {title}(
    const U* g, U* made, unsigned char* workspace, unsigned int* tickets,
    long long pixels, long long channels, long long splits
) {{
    T* parts = (T*)workspace;
    __shared__ T held[{THREADS}];
    __shared__ bool is_last;
    const int lane = threadIdx.x % {_LANES}, row = threadIdx.x / {_LANES};
    const int tile = blockIdx.x / (int)splits, split = blockIdx.x % (int)splits;
    const int channel = tile * {_LANES} + lane;
    const bool live = channel < channels;
    T sum = T(0);
    if (live) {{
        const long long step = splits * {_ROWS};
        for (long long i = split * {_ROWS} + row; i < pixels; i += step) {{
            sum += {number.load.format("g[i * channels + channel]")};
        }}
    }}
    sum = together(sum, held);
    if (splits > 1) {{
        if (row == 0) parts[(long long)blockIdx.x * {_LANES} + lane] = sum;
        __threadfence();
        __syncthreads();
        if (threadIdx.x == 0) {{
            const unsigned int most = (unsigned int)splits - 1;
            is_last = atomicInc(tickets + tile, most) == most;
        }}
        __syncthreads();
        if (!is_last) return;
        __threadfence();
        sum = T(0);
        const volatile T* all = parts + (long long)tile * splits * {_LANES} + lane;
        for (int i = row; i < splits; i += {_ROWS}) sum += all[i * {_LANES}];
        sum = together(sum, held);
    }}
    if (row == 0 && live) made[channel] = {number.store.format("sum")};
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
