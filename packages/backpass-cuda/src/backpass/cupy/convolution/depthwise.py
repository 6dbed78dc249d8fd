"""Convolutions channel by channel ("depthwise"): each group has a single input channel.

A product would have one row or column.  So they are computed as they are defined: neighbouring
threads have neighbouring channels, which lie next to each other in memory, and a block keeps the
weights of its channels at hand.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from backpass.cupy.convolution.columns import HEADERS, NUMBERS, WINDOWS, Columns
from backpass.cupy.convolution.geometry import Geometry
from backpass.cupy.convolution.sums import fold
from backpass.cupy.launching import THREADS, Kernel
from backpass.cupy.library import ndarray

#: So many channels lie side by side in a block, with so many pixels at once.
_LANES, _ROWS = 32, THREADS // 32
#: A block has so many pixels of an image, and at least so many where they are added up.
_PIXELS, _LEAST = 8 * _ROWS, 32 * _ROWS
#: At most so many blocks share the sums of all pixels.
_SHARES = 1024
#: At most so many weights for an input channel fit into a block's memory.
_WEIGHTS = 128
#: With more output channels for each input channel, or with fewer channels, a product is faster.
_OUTER, _CHANNELS = 4, 8

#: As in `own`.
Plan = Callable[..., Any]


def takes(geometry: Geometry) -> bool:
    """Tell whether this is the better way."""
    g = geometry
    outer = g.out // g.groups
    return (
        g.inner == 1
        and g.channels >= _CHANNELS
        and outer <= _OUTER
        and outer * g.elements <= _WEIGHTS
        and g.batch * max(g.places, g.pixels) < 2**31
    )


def forward(geometry: Geometry, dtype: Any, how: str, biased: bool) -> Plan:
    """Return the plan of `conv2d`: of x, weight and bias."""
    g = geometry
    windows, kernel = Columns(g, dtype, tight=True).windows, _forward(dtype.name, *g.window)
    tiles, pixels = -(-g.out // _LANES), g.batch * g.places
    blocks, shape = tiles * -(-pixels // _PIXELS), (g.batch, *g.counts, g.out)
    rest = (pixels, tiles, g.out // g.groups, g.out, int(biased), windows)

    def compute(x: Any, weight: Any, bias: Any) -> Any:
        made = ndarray(shape, dtype)
        kernel.launch(blocks, THREADS, (x, weight, bias if biased else weight, made, *rest))
        return made

    return compute


def to_input(geometry: Geometry, dtype: Any, how: str) -> Plan:
    """Return the plan of `conv2d_input`: of y and weight."""
    g = geometry
    outer = g.out // g.groups
    windows = Columns(g, dtype, tight=True).windows
    kernel = _to_input(dtype.name, *g.window, outer)
    tiles, pixels = -(-g.channels // _LANES), g.batch * g.pixels
    blocks, shape = tiles * -(-pixels // _PIXELS), (g.batch, *g.size, g.channels)
    rest = (pixels, tiles, windows)

    def compute(y: Any, weight: Any) -> Any:
        made = ndarray(shape, dtype)
        kernel.launch(blocks, THREADS, (y, weight, made, *rest))
        return made

    return compute


def to_weight(geometry: Geometry, dtype: Any, how: str) -> Plan:
    """Return the plan of `conv2d_weight`: of y and x."""
    g = geometry
    windows = Columns(g, dtype, tight=True).windows
    sums = "float64" if dtype.name == "float64" else "float32"
    tiles, pixels = -(-g.out // _LANES), g.batch * g.places
    splits = max(1, min(-(-pixels // _LEAST), _SHARES // tiles))
    size, shape = g.elements * g.out, (g.out, 1, *g.window)
    kernel = _to_weight(dtype.name, *g.window)
    rest = (pixels, tiles, splits, g.out // g.groups, g.out, windows)

    def compute(y: Any, x: Any) -> Any:
        parts = ndarray((splits, size), sums)
        kernel.launch(tiles * splits, THREADS, (y, x, parts, *rest))
        made = ndarray(shape, dtype)
        fold(parts, made, splits, g.out)
        return made

    return compute


# ----- kernels in CUDA C++ ------------------------------------------------------------------------

_PLACE = """
        const int n = (unsigned int)p / w.by_place, place = p - n * w.by_place.by;
        const int down = (unsigned int)place / w.by_column;
        const int above = down * w.down - w.top;
        const int before = (place - down * w.columns) * w.right - w.left;
        const U* image = x + (long long)n * w.height * w.width * w.channels + channel;"""


def _head(name: str) -> str:
    number = NUMBERS[name]
    return f"""{HEADERS.get(name, "")}
typedef {number.stored} U;
typedef {number.summed} T;
{WINDOWS}"""


@functools.cache
def _forward(name: str, height: int, width: int) -> Kernel:
    number, title, taps = NUMBERS[name], "backpass_depthwise", height * width
    own = number.load.format(f"weight[out * {taps} + tap]")
    return Kernel(
        title,
        f"""{_head(name)}
extern "C" __global__ void {title}(
    const U* x, const U* weight, const U* bias, U* made,
    long long pixels, long long tiles, long long outer, long long outs, long long biased, Windows w
) {{
    __shared__ T held[{taps} * {_LANES}];
    const int lane = threadIdx.x % {_LANES}, row = threadIdx.x / {_LANES};
    const int tile = blockIdx.x % (int)tiles, share = blockIdx.x / (int)tiles;
    const int out = tile * {_LANES} + lane;
    const bool live = out < outs;
    for (int tap = row; tap < {taps}; tap += {_ROWS})
        held[tap * {_LANES} + lane] = live ? {own} : T(0);
    __syncthreads();
    if (!live) return;
    const int channel = out / (int)outer;
    const T added = biased ? {number.load.format("bias[out]")} : T(0);
    const long long end = (share + 1LL) * {_PIXELS} < pixels ? (share + 1LL) * {_PIXELS} : pixels;
    for (long long p = (long long)share * {_PIXELS} + row; p < end; p += {_ROWS}) {{{_PLACE}
        T sum = T(0);
        #pragma unroll
        for (int i = 0; i < {height}; ++i) {{
            const int h = above + i * w.dilation_down;
            #pragma unroll
            for (int j = 0; j < {width}; ++j) {{
                const int v = before + j * w.dilation_right;
                T seen = T(0);
                if ((unsigned int)h < w.height && (unsigned int)v < w.width)
                    seen = {number.load.format("image[(h * w.width + v) * w.channels]")};
                sum += seen * held[(i * {width} + j) * {_LANES} + lane];
            }}
        }}
        if (biased) sum += added;
        made[p * outs + out] = {number.store.format("sum")};
    }}
}}
""",
    )


@functools.cache
def _to_input(name: str, height: int, width: int, outer: int) -> Kernel:
    number, title, taps = NUMBERS[name], "backpass_depthwise_input", height * width
    weight = number.load.format(f"weight[channel * {outer * taps} + k]")
    return Kernel(
        title,
        f"""{_head(name)}
extern "C" __global__ void {title}(
    const U* y, const U* weight, U* made, long long pixels, long long tiles, Windows w
) {{
    __shared__ T held[{outer * taps} * {_LANES}];
    const int lane = threadIdx.x % {_LANES}, row = threadIdx.x / {_LANES};
    const int tile = blockIdx.x % (int)tiles, share = blockIdx.x / (int)tiles;
    const int channel = tile * {_LANES} + lane;
    const bool live = channel < w.channels;
    for (int k = row; k < {outer * taps}; k += {_ROWS})
        held[k * {_LANES} + lane] = live ? {weight} : T(0);
    __syncthreads();
    if (!live) return;
    const long long end = (share + 1LL) * {_PIXELS} < pixels ? (share + 1LL) * {_PIXELS} : pixels;
    for (long long p = (long long)share * {_PIXELS} + row; p < end; p += {_ROWS}) {{
        const int n = (unsigned int)p / w.by_pixel, place = p - n * w.by_pixel.by;
        const int h = (unsigned int)place / w.by_width, v = place - h * w.width;
        T sum = T(0);
        #pragma unroll
        for (int i = 0; i < {height}; ++i) {{
            const int low = h + w.top - i * w.dilation_down;
            const int down = (unsigned int)(low < 0 ? 0 : low) / w.by_down;
            const bool has_row = down * w.down == low && down < w.rows;
            #pragma unroll
            for (int j = 0; j < {width}; ++j) {{
                const int near = v + w.left - j * w.dilation_right;
                const int right = (unsigned int)(near < 0 ? 0 : near) / w.by_right;
                const long long at = ((long long)n * w.rows + down) * w.columns + right;
                const U* outs = y + at * w.channels * {outer} + channel * {outer};
                const T* factor = held + (i * {width} + j) * {_LANES} + lane;
                if (has_row && right * w.right == near && right < w.columns) {{
                    #pragma unroll
                    for (int k = 0; k < {outer}; ++k)
                        sum += {number.load.format("outs[k]")} * factor[k * {taps * _LANES}];
                }}
            }}
        }}
        made[p * w.channels + channel] = {number.store.format("sum")};
    }}
}}
""",
    )


@functools.cache
def _to_weight(name: str, height: int, width: int) -> Kernel:
    """Return the kernel that adds up for each window's element, and each share of the pixels."""
    number, title, taps = NUMBERS[name], "backpass_depthwise_weight", height * width
    return Kernel(
        title,
        f"""{_head(name)}
extern "C" __global__ void {title}(
    const U* y, const U* x, T* parts,
    long long pixels, long long tiles, long long splits, long long outer, long long outs, Windows w
) {{
    __shared__ T held[{THREADS}];
    const int lane = threadIdx.x % {_LANES}, row = threadIdx.x / {_LANES};
    const int tile = blockIdx.x % (int)tiles, split = blockIdx.x / (int)tiles;
    const int out = tile * {_LANES} + lane;
    const bool live = out < outs;
    const int channel = live ? out / (int)outer : 0;
    T sums[{taps}];
    #pragma unroll
    for (int tap = 0; tap < {taps}; ++tap) sums[tap] = T(0);
    const long long step = splits * {_ROWS};
    for (long long p = split * {_ROWS} + row; live && p < pixels; p += step) {{{_PLACE}
        const T given = {number.load.format("y[p * outs + out]")};
        #pragma unroll
        for (int i = 0; i < {height}; ++i) {{
            const int h = above + i * w.dilation_down;
            #pragma unroll
            for (int j = 0; j < {width}; ++j) {{
                const int v = before + j * w.dilation_right;
                T seen = T(0);
                if ((unsigned int)h < w.height && (unsigned int)v < w.width)
                    seen = {number.load.format("image[(h * w.width + v) * w.channels]")};
                sums[i * {width} + j] += given * seen;
            }}
        }}
    }}
    #pragma unroll
    for (int tap = 0; tap < {taps}; ++tap) {{
        held[threadIdx.x] = sums[tap];
        __syncthreads();
        if (row == 0 && live) {{
            T sum = T(0);
            for (int i = 0; i < {_ROWS}; ++i) sum += held[i * {_LANES} + lane];
            parts[((long long)split * {taps} + tap) * outs + out] = sum;
        }}
        __syncthreads();
    }}
}}
""",
    )
