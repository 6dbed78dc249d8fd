"""Convolutions whose windows have few elements, as a network's first layer has: computed at once.

The columns of so short windows would take as much memory as the output.  So a block gathers the
windows of some pixels in its own memory, and multiplies them there; the bias is added on the way
out.  A thread has four pixels by four output channels.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy

from backpass.cupy.convolution.columns import HEADERS, NUMBERS, WINDOWS, Columns
from backpass.cupy.convolution.geometry import Geometry
from backpass.cupy.convolution.sums import fold
from backpass.cupy.launching import THREADS, Kernel
from backpass.cupy.library import ndarray

#: A block computes so many output channels.
_OUTS = 32
#: Forward it does so for so many pixels.
_PIXELS = 4 * THREADS * 4 // _OUTS
#: What a block has of its own memory, in bytes.
_MEMORY = 44_000
#: Backward it goes through the pixels in chunks of so many; at least so many chunks are worth a
#: block, and at most so many blocks share them.
_CHUNK, _LEAST, _SHARES = 64, 4, 528

#: As in `own`.
Plan = Callable[..., Any]


def takes(geometry: Geometry, dtype: Any) -> bool:
    """Tell whether this is the better way, for the output and the weight's gradient."""
    g = geometry
    width = 8 if dtype.name == "float64" else 4
    return (
        g.groups == 1
        and not g.is_a_product
        and g.elements <= 64
        and _rounded(g.elements) * (_PIXELS + _OUTS) * width <= _MEMORY
        and g.batch * g.places < 2**31
        and g.pixels * g.channels < 2**31
    )


def forward(geometry: Geometry, dtype: Any, how: str, biased: bool) -> Plan:
    """Return the plan of `conv2d`: of x, weight and bias."""
    g = geometry
    windows = Columns(g, dtype, tight=True).windows
    kernel = _forward(dtype.name, _rounded(g.elements))
    tiles, pixels = -(-g.out // _OUTS), g.batch * g.places
    blocks, shape = tiles * -(-pixels // _PIXELS), (g.batch, *g.counts, g.out)
    rest = (pixels, tiles, g.out, int(biased), windows)

    def compute(x: Any, weight: Any, bias: Any) -> Any:
        made = ndarray(shape, dtype)
        kernel.launch(blocks, THREADS, (x, weight, bias if biased else weight, made, *rest))
        return made

    return compute


def to_weight(geometry: Geometry, dtype: Any, how: str) -> Plan:
    """Return the plan of `conv2d_weight`: of y and x."""
    g = geometry
    windows = Columns(g, dtype, tight=True).windows
    kernel = _to_weight(dtype.name, _rounded(g.elements))
    sums = numpy.dtype("float64" if dtype.name == "float64" else "float32")
    tiles, pixels = -(-g.out // _OUTS), g.batch * g.places
    splits = max(1, min(-(-pixels // (_CHUNK * _LEAST)), _SHARES // tiles))
    shape, rest = (g.out, g.inner, *g.window), (pixels, tiles, splits, g.out, windows)

    def compute(y: Any, x: Any) -> Any:
        parts = ndarray((splits, g.elements * g.out), sums)
        kernel.launch(tiles * splits, THREADS, (y, x, parts, *rest))
        made = ndarray(shape, dtype)
        fold(parts, made, splits, g.out)
        return made

    return compute


def _rounded(elements: int) -> int:
    """Return for how many elements of a window a kernel has room: so there are few kernels."""
    return -(-elements // 4) * 4


# ----- kernels in CUDA C++ ------------------------------------------------------------------------


def _head(name: str, most: int) -> str:
    """Return the types, and what knows where a window's elements lie, of which there are `most`.

    They are numbered as in a weight: by their channel first.
    """
    number = NUMBERS[name]
    return f"""{HEADERS.get(name, "")}
typedef {number.stored} U;
typedef {number.summed} T;
struct alignas(16) Four {{ T v[4]; }};
{WINDOWS}
struct Places {{ int down[{most}], right[{most}], offset[{most}]; }};

__device__ inline void find(Places& places, const Windows& w) {{
    const int k = threadIdx.x, taps = w.window_height * w.window_width;
    if (k >= w.elements) return;
    const int channel = k / taps, tap = k - channel * taps;
    const int i = tap / w.window_width;
    places.down[k] = i * w.dilation_down;
    places.right[k] = (tap - i * w.window_width) * w.dilation_right;
    places.offset[k] = (places.down[k] * w.width + places.right[k]) * w.channels + channel;
}}

// The window of a pixel: its elements from `first` on, `step` apart, are put `apart` from each
// other; there are none beyond the last pixel.
__device__ inline void look(
    const U* x, T* seen, long long p, long long pixels, int first, int step, int apart,
    const Places& places, const Windows& w
) {{
    const bool live = p < pixels;
    const int n = (unsigned int)p / w.by_place, place = (int)p - n * w.by_place.by;
    const int down = (unsigned int)place / w.by_column;
    const int above = down * w.down - w.top;
    const int before = (place - down * w.columns) * w.right - w.left;
    const U* image = x + (long long)n * w.height * w.width * w.channels;
    const int corner = (above * w.width + before) * w.channels;
    for (int k = first; k < w.elements; k += step) {{
        const int h = above + places.down[k], v = before + places.right[k];
        const bool inside = (unsigned int)h < w.height && (unsigned int)v < w.width;
        T found = T(0);
        if (live && inside) found = {number.load.format("image[corner + places.offset[k]]")};
        seen[k * apart] = found;
    }}
}}
"""


def _fma(name: str) -> str:
    return "fma" if name == "float64" else "fmaf"


@functools.cache
def _forward(name: str, most: int) -> Kernel:
    number, title = NUMBERS[name], "backpass_short_windows"
    own = number.load.format("weight[out * w.elements + k]")
    bias = number.load.format("bias[first + b]")
    return Kernel(
        title,
        f"""{_head(name, most)}
struct alignas(4 * sizeof(U)) Made {{ U v[4]; }};
extern "C" __global__ void {title}(
    const U* x, const U* weight, const U* bias, U* made,
    long long pixels, long long tiles, long long outs, long long biased, Windows w
) {{
    __shared__ Four weights[{most * _OUTS // 4}], seen[{most * _PIXELS // 4}];
    __shared__ Places places;
    const int tile = blockIdx.x % (int)tiles;
    const long long start = (long long)(blockIdx.x / (int)tiles) * {_PIXELS};
    find(places, w);
    for (int t = threadIdx.x; t < w.elements * {_OUTS}; t += {THREADS}) {{
        const int k = t / {_OUTS}, out = tile * {_OUTS} + t % {_OUTS};
        ((T*)weights)[t] = out < outs ? {own} : T(0);
    }}
    __syncthreads();
    const int pixel = threadIdx.x % {_PIXELS};
    look(x, (T*)seen + pixel, start + pixel, pixels, threadIdx.x / {_PIXELS},
         {THREADS // _PIXELS}, {_PIXELS}, places, w);
    __syncthreads();
    const int group = threadIdx.x % {_OUTS // 4}, spot = threadIdx.x / {_OUTS // 4};
    T sums[4][4] = {{}};
    #pragma unroll 4
    for (int k = 0; k < w.elements; ++k) {{
        const Four four = seen[k * {_PIXELS // 4} + spot], own = weights[k * {_OUTS // 4} + group];
        #pragma unroll
        for (int a = 0; a < 4; ++a) {{
            #pragma unroll
            for (int b = 0; b < 4; ++b) sums[a][b] = {_fma(name)}(four.v[a], own.v[b], sums[a][b]);
        }}
    }}
    const int first = tile * {_OUTS} + 4 * group;
    if (biased) {{
        #pragma unroll
        for (int b = 0; b < 4; ++b) {{
            const T added = first + b < outs ? {bias} : T(0);
            #pragma unroll
            for (int a = 0; a < 4; ++a) sums[a][b] += added;
        }}
    }}
    #pragma unroll
    for (int a = 0; a < 4; ++a) {{
        const long long p = start + 4 * spot + a;
        if (p >= pixels) break;
        U* to = made + p * outs + first;
        if (outs % 4 == 0) {{
            Made four;
            #pragma unroll
            for (int b = 0; b < 4; ++b) four.v[b] = {number.store.format("sums[a][b]")};
            if (first < outs) *(Made*)to = four;
        }} else {{
            #pragma unroll
            for (int b = 0; b < 4; ++b)
                if (first + b < outs) to[b] = {number.store.format("sums[a][b]")};
        }}
    }}
}}
""",
    )


@functools.cache
def _to_weight(name: str, most: int) -> Kernel:
    """Return the kernel that adds up shares of the pixels: a lane has a channel, and all elements.

    The windows of a chunk of pixels lie in the block's memory, where a warp reads one at once.
    """
    number, title = NUMBERS[name], "backpass_short_windows_weight"
    fours = most // 4
    warps = THREADS // _OUTS
    given = number.load.format("y[p * outs + out]")
    fma = _fma(name)
    return Kernel(
        title,
        f"""{_head(name, most)}
extern "C" __global__ void {title}(
    const U* y, const U* x, T* parts,
    long long pixels, long long tiles, long long splits, long long outs, Windows w
) {{
    __shared__ Four seen[{_CHUNK * fours}];
    __shared__ T held[{THREADS}];
    __shared__ Places places;
    const int tile = blockIdx.x % (int)tiles, split = blockIdx.x / (int)tiles;
    const int lane = threadIdx.x % {_OUTS}, warp = threadIdx.x / {_OUTS};
    const int out = tile * {_OUTS} + lane;
    const bool live = out < outs;
    find(places, w);
    // What lies beyond the last element is 0.
    for (int t = threadIdx.x; t < {_CHUNK * fours}; t += {THREADS}) seen[t] = Four{{}};
    __syncthreads();
    const int pixel = threadIdx.x % {_CHUNK};
    T sums[{most}];
    #pragma unroll
    for (int k = 0; k < {most}; ++k) sums[k] = T(0);
    for (long long start = (long long)split * {_CHUNK}; start < pixels;
         start += splits * {_CHUNK}) {{
        look(x, (T*)seen + pixel * {fours * 4}, start + pixel, pixels, threadIdx.x / {_CHUNK},
             {THREADS // _CHUNK}, 1, places, w);
        T given[{_CHUNK // warps}];
        #pragma unroll
        for (int i = 0; i < {_CHUNK // warps}; ++i) {{
            const long long p = start + i * {warps} + warp;
            given[i] = p < pixels && live ? {given} : T(0);
        }}
        __syncthreads();
        #pragma unroll
        for (int i = 0; i < {_CHUNK // warps}; ++i) {{
            const Four* window = seen + (i * {warps} + warp) * {fours};
            #pragma unroll
            for (int k = 0; k < {fours}; ++k) {{
                const Four four = window[k];
                #pragma unroll
                for (int e = 0; e < 4; ++e)
                    sums[4 * k + e] = {fma}(given[i], four.v[e], sums[4 * k + e]);
            }}
        }}
        __syncthreads();
    }}
    #pragma unroll
    for (int k = 0; k < {most}; ++k) {{
        held[threadIdx.x] = sums[k];
        __syncthreads();
        if (warp == k % {warps} && k < w.elements && live) {{
            T sum = T(0);
            for (int i = 0; i < {warps}; ++i) sum += held[i * {_OUTS} + lane];
            parts[((long long)split * w.elements + k) * outs + out] = sum;
        }}
        __syncthreads();
    }}
}}
""",
    )
