"""Kernels of pooling: each output, and in the rules each input, belongs to one thread.

So a rule adds what comes back to an element in the order of the windows that saw it, without atomic
additions, and the same bits come each time.  Lengths, windows and steps are compiled in.  Images
lie row by row, or with the channels innermost; the results lie as they do.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from backpass.cupy.formulas import SIZES
from backpass.cupy.launching import Kernel
from backpass.cupy.library import library, ndarray
from backpass.cupy.network_text import BLOCK, Shape, is_float, or_null, source, widest

Pair = tuple[int, int]

#: From 2**31 elements on they are counted in 64 bits.
NARROW = 2**31
#: So many elements a window has at most: its loops are unrolled.
MOST = 256


class Windows(NamedTuple):
    """How windows lie over images, as it is compiled.

    Attributes
    ----------
    size, counts
        Height and width of the images, and of what the windows give.
    window, stride, padding, dilation
        Of the windows; the padding is that before the first element.
    channels
        How many lie innermost; 1 where none do.
    counted
        Whether a mean counts the border.
    """

    size: Pair
    counts: Pair
    window: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    channels: int
    counted: bool = True


_HEAD = """
typedef {index} Index;
typedef {winner} Winner;
#define H {size[0]}
#define W {size[1]}
#define ROWS {counts[0]}
#define COLUMNS {counts[1]}
#define CHANNELS {channels}
#define KH {window[0]}
#define KW {window[1]}
#define SH {stride[0]}
#define SW {stride[1]}
#define PH {padding[0]}
#define PW {padding[1]}
#define DH {dilation[0]}
#define DW {dilation[1]}
struct __align__(WIDTH * sizeof(Winner)) Winners {{ Winner v[WIDTH]; }};

// By how many elements a mean at a place is divided.
__device__ __forceinline__ T length_of(int row, int column) {{
    if ({counted}) return T(KH * KW);
    const int top = row * SH - PH, left = column * SW - PW;
    return T((min(top + KH, H) - max(top, 0)) * (min(left + KW, W) - max(left, 0)));
}}

// Each thread has WIDTH neighbours: channels of a place, or places of a row.
#define ACROSS (CHANNELS > 1)
#define PLACE(height, width) \\
    const Index at = ((Index)blockIdx.x * 256 + threadIdx.x) * WIDTH; \\
    if (at >= total) return; \\
    const Index pixel = ACROSS ? at / CHANNELS : at; \\
    const int channel = ACROSS ? (int)(at - pixel * CHANNELS) : 0; \\
    const Index line = pixel / (width); \\
    const int column = (int)(pixel - line * (width)); \\
    const Index image = line / (height); \\
    const int row = (int)(line - image * (height));
"""

#: Each output goes through its window, row by row.
_FORWARD = """
extern "C" __global__ void __launch_bounds__(256) {name}(
    const Stored *__restrict__ x_, Stored *__restrict__ out_, Winner *__restrict__ winner_,
    const long long total_
) {{
    const Index total = (Index)total_;
    PLACE(ROWS, COLUMNS)
    T best[WIDTH];
    Winners winner;
    bool met[WIDTH];
    #pragma unroll
    for (int j = 0; j < WIDTH; ++j) {{
        best[j] = {start};
        winner.v[j] = 0;
        met[j] = false;
    }}
    #pragma unroll
    for (int ki = 0; ki < KH; ++ki) {{
        const int i = row * SH - PH + ki * DH;
        if (i < 0 || i >= H) continue;
        const Stored *line_ = x_ + ((Index)image * H + i) * W * CHANNELS + channel;
        {loads}
        #pragma unroll
        for (int kj = 0; kj < KW; ++kj) {{
            {fetch}
        }}
    }}
    Pack made;
    #pragma unroll
    for (int j = 0; j < WIDTH; ++j) made.v[j] = keep({result});
    *(Pack *)(out_ + at) = made;
    {also}
}}
"""
_SEE = """
                const T v = {value};
                {take}"""
_MAXIMUM = """if (!met[j] || (!(best[j] >= v) && best[j] == best[j])) {
                    best[j] = v;
                    winner.v[j] = ki * KW + kj;
                }
                met[j] = true;"""
#: Channels side by side: a pack of them at each element of the window.
_FETCH_ACROSS = """const int c = column * SW - PW + kj * DW;
            if (c < 0 || c >= W) continue;
            const Pack pack = *(const Pack *)(line_ + (Index)c * CHANNELS);
            #pragma unroll
            for (int j = 0; j < WIDTH; ++j) {{ {see} }}"""
#: Single elements, or those of the next places.
_FETCH_ALONG = """#pragma unroll
            for (int j = 0; j < WIDTH; ++j) {{
                const int c = (column + j) * SW - PW + kj * DW;
                if (c < 0 || c >= W) continue;
                {see}
            }}"""
#: Windows that lie side by side: their row is as many packs as they are long.
_LOADS_TILED = """Pack packs[KW];
        #pragma unroll
        for (int k = 0; k < KW; ++k) packs[k] = ((const Pack *)(line_ + column * KW))[k];"""
_FETCH_TILED = """#pragma unroll
            for (int j = 0; j < WIDTH; ++j) {{ {see} }}"""

#: Each input goes through the windows that saw it.
_BACK = """
extern "C" __global__ void __launch_bounds__(256) {name}(
    const Stored *__restrict__ y_, const Winner *__restrict__ winner_, Stored *__restrict__ out_,
    const long long total_
) {{
    const Index total = (Index)total_;
    PLACE(H, W)
    T sum[WIDTH];
    #pragma unroll
    for (int j = 0; j < WIDTH; ++j) sum[j] = T(0);
    #pragma unroll
    for (int ki = KH - 1; ki >= 0; --ki) {{
        const int i = row + PH - ki * DH;
        if (i < 0 || i % SH || i / SH >= ROWS) continue;
        const Index line_at = ((Index)image * ROWS + i / SH) * COLUMNS;
        #pragma unroll
        for (int kj = KW - 1; kj >= 0; --kj) {{
            {fetch}
        }}
    }}
    Pack made;
    #pragma unroll
    for (int j = 0; j < WIDTH; ++j) made.v[j] = keep(sum[j]);
    *(Pack *)(out_ + at) = made;
}}
"""
_BACK_ACROSS = """const int c = column + PW - kj * DW;
            if (c < 0 || c % SW || c / SW >= COLUMNS) continue;
            const Index there = (line_at + c / SW) * CHANNELS + channel;
            const Pack pack = *(const Pack *)(y_ + there);
            {winners}
            #pragma unroll
            for (int j = 0; j < WIDTH; ++j) {{ {add} }}"""
_BACK_ALONG = """#pragma unroll
            for (int j = 0; j < WIDTH; ++j) {{
                // `column` is a multiple of the width: the compiler knows which windows there are.
                const int c = j + PW - kj * DW;
                const bool known = WIDTH % SW == 0;
                if (known ? (c % SW + SW) % SW != 0 : (column + c) % SW != 0) continue;
                const int place = (column + c) / SW;
                if (column + c < 0 || place >= COLUMNS) continue;
                const Index there = line_at + place;
                {add}
            }}"""

_PICK = """
extern "C" __global__ void __launch_bounds__(256) backpass_max_pool2d_pick(
    const Stored *__restrict__ x_, const Winner *__restrict__ winner_, Stored *__restrict__ out_,
    const long long total_
) {{
    const Index total = (Index)total_;
    PLACE(ROWS, COLUMNS)
    const Winners winners = *(const Winners *)(winner_ + at);
    Pack made;
    #pragma unroll
    for (int j = 0; j < WIDTH; ++j) {{
        const int k = winners.v[j], i = row * SH - PH + k / KW * DH;
        const int c = (column + (ACROSS ? 0 : j)) * SW - PW + k % KW * DW;
        T v = T(0);
        if (i >= 0 && i < H && c >= 0 && c < W) {{
            v = load(x_[(((Index)image * H + i) * W + c) * CHANNELS + channel + (ACROSS ? j : 0)]);
        }}
        made.v[j] = keep(v);
    }}
    *(Pack *)(out_ + at) = made;
}}
"""


@functools.cache
def _kernel(
    name: str, char: str, width: int, windows: Windows, index: str, winner: str, tiled: bool
) -> Kernel:
    head = _HEAD.format(
        index=index,
        winner={"B": "unsigned char", "H": "unsigned short"}[winner],
        **{**windows._asdict(), "counted": int(windows.counted)},
    )
    across = windows.channels > 1
    if name == "max_pool2d_pick":
        body = _PICK.format()
    elif name in ("max_pool2d", "avg_pool2d"):
        largest = name == "max_pool2d"
        value = (
            "load(packs[(j * KW + kj) / WIDTH].v[(j * KW + kj) % WIDTH])"
            if tiled
            else "load(pack.v[j])"
            if across
            else "load(line_[c])"
        )
        see = _SEE.format(value=value, take=_MAXIMUM if largest else "best[j] += v;")
        fetch = _FETCH_TILED if tiled else _FETCH_ACROSS if across else _FETCH_ALONG
        mean = f"best[j] / length_of(row, column + {'0' if across else 'j'})"
        body = _FORWARD.format(
            name=f"backpass_{name}",
            start="T(-INFINITY)" if largest else "T(0)",
            loads=_LOADS_TILED if tiled else "",
            fetch=fetch.format(see=see),
            result="best[j]" if largest else mean,
            also="*(Winners *)(winner_ + at) = winner;" if largest else "",
        )
    else:
        largest = name == "max_pool2d_input"
        winners = winners_of = ""
        if across:
            fetch, value = _BACK_ACROSS, "load(pack.v[j])"
            place = "i / SH, c / SW"
            if largest:
                winners = "const Winners winners = *(const Winners *)(winner_ + there);"
                winners_of = "winners.v[j]"
        else:
            fetch, value, place = _BACK_ALONG, "load(y_[there])", "i / SH, place"
            winners_of = "winner_[there]"
        add = f"sum[j] += {value} / length_of({place});"
        if largest:
            add = f"if ({winners_of} == ki * KW + kj) sum[j] += {value};"
        body = _BACK.format(name=f"backpass_{name}", fetch=fetch.format(add=add, winners=winners))
    return Kernel(f"backpass_{name}", source(char, Shape(1, width, 1, 1, 1), head + body))


def _is_across(x: Any) -> bool:
    """Tell whether the channels of images lie innermost."""
    return x.ndim == 4 and not x._c_contiguous and bool(x.transpose(0, 2, 3, 1)._c_contiguous)


def _laid(x: Any, across: bool) -> Any:
    """Return the array, or a copy, without gaps and with the channels where they are to be."""
    if not across:
        return x if x._c_contiguous else library.ascontiguousarray(x)
    turned = x.transpose(0, 2, 3, 1)
    return turned if turned._c_contiguous else library.ascontiguousarray(turned)


def _made(shape: tuple[int, ...], dtype: Any, across: bool) -> tuple[Any, Any]:
    """Return a new array, and the same as it lies."""
    if not across:
        out = ndarray(shape, dtype)
        return out, out
    n, channels, height, width = shape
    laid = ndarray((n, height, width, channels), dtype)
    return laid.transpose(0, 3, 1, 2), laid


def _windows(
    size: Pair,
    window: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    dilation: Pair,
    channels: int,
    counted: bool,
) -> Windows | None:
    """Return the windows, `None` for those that are left to others."""
    rows, columns = (
        (n + before + after - d * (k - 1) - 1) // s + 1
        for n, k, s, (before, after), d in zip(size, window, stride, padding, dilation)
    )
    if math.prod(window) > MOST:
        return None
    first = (padding[0][0], padding[1][0])
    counted = counted or padding == ((0, 0), (0, 0))
    return Windows(size, (rows, columns), window, stride, first, dilation, channels, counted)


def _launch(
    name: str, char: str, width: int, windows: Windows, winner: str, arrays: Any, total: int,
    tiled: bool = False,
) -> None:  # fmt: skip
    largest = max(total, *[x.size for x in arrays if x is not None])
    index = "unsigned int" if largest + BLOCK * 16 < NARROW else "long long"
    kernel = _kernel(name, char, width, windows, index, winner, tiled)
    blocks = -(-total // (BLOCK * width))
    kernel.launch(blocks, BLOCK, (*map(or_null, arrays), total))


def _forward(
    name: str,
    x: Any,
    size: Pair,
    window: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    dilation: Pair = (1, 1),
    counted: bool = True,
) -> Any:
    if not is_float(x) or not x.size or x.ndim < 2:
        return NotImplemented
    across = _is_across(x)
    windows = _windows(
        size, window, stride, padding, dilation, x.shape[1] if across else 1, counted
    )
    if windows is None or min(windows.counts) < 1:
        return NotImplemented
    laid = _laid(x, across)
    out, placed = _made((*x.shape[:-2], *windows.counts), x.dtype, across)
    winner = winner_placed = None
    kind = "B" if math.prod(window) <= 256 else "H"
    if name == "max_pool2d":
        winner, winner_placed = _made(out.shape, "uint8", across)
    char = x.dtype.char
    tiled = False
    if across:
        width = widest(windows.channels, laid)
    else:
        # Windows side by side are read in packs.
        width = widest(windows.counts[1], laid)
        tiled = (
            1 < window[1] == stride[1] <= 4
            and width > 1
            and dilation == (1, 1)
            and padding == ((0, 0), (0, 0))
            and size[1] % width == 0
        )
        if not tiled:
            width = 1
    _launch(name, char, width, windows, kind, (laid, placed, winner_placed), out.size, tiled)
    return out if winner is None else (out, winner)


def _back(
    name: str,
    y: Any,
    winner: Any,
    size: Pair,
    window: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    dilation: Pair = (1, 1),
    counted: bool = True,
) -> Any:
    if not is_float(y) or not y.size or y.ndim < 2:
        return NotImplemented
    if winner is not None and (
        type(winner) is not ndarray or winner.dtype.char != "B" or winner.shape != y.shape
    ):
        return NotImplemented
    across = _is_across(y if winner is None else winner)
    windows = _windows(
        size, window, stride, padding, dilation, y.shape[1] if across else 1, counted
    )
    if windows is None or windows.counts != y.shape[-2:]:
        return NotImplemented
    laid = _laid(y, across)
    winner = None if winner is None else _laid(winner, across)
    out, placed = _made((*y.shape[:-2], *size), y.dtype, across)
    if across:
        width = widest(windows.channels, laid)
        if winner is not None and winner.data.ptr % width:
            width = 1
    else:
        width = 16 // SIZES[y.dtype.char]
        while size[1] % width:
            width //= 2
    _launch(name, y.dtype.char, width, windows, "B", (laid, winner, placed), out.size)
    return out


def max_pool2d(
    x: Any, *, size: Pair, window: Pair, stride: Pair, padding: tuple[Pair, Pair], dilation: Pair
) -> Any:
    """Return the largest element at each place, and its number in the window."""
    return _forward("max_pool2d", x, size, window, stride, padding, dilation)


def max_pool2d_input(
    y: Any,
    winner: Any,
    *,
    size: Pair,
    window: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    dilation: Pair,
) -> Any:
    """Add each element of y where the winner of its window was."""
    if winner is None:
        return NotImplemented
    return _back("max_pool2d_input", y, winner, size, window, stride, padding, dilation)


def max_pool2d_pick(
    x: Any,
    winner: Any,
    *,
    size: Pair,
    window: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    dilation: Pair,
) -> Any:
    """Return the element at each place that was its window's winner."""
    if not is_float(x) or not x.size or type(winner) is not ndarray or winner.dtype.char != "B":
        return NotImplemented
    if x.ndim < 2 or x.ndim != winner.ndim:
        return NotImplemented
    across = _is_across(x)
    windows = _windows(size, window, stride, padding, dilation, x.shape[1] if across else 1, True)
    if windows is None or winner.shape != (*x.shape[:-2], *windows.counts):
        return NotImplemented
    laid, winner = _laid(x, across), _laid(winner, across)
    out, placed = _made((*x.shape[:-2], *windows.counts), x.dtype, across)
    width = 16 // SIZES[x.dtype.char]
    while (windows.channels if across else windows.counts[1]) % width or winner.data.ptr % width:
        width //= 2
    _launch("max_pool2d_pick", x.dtype.char, width, windows, "B", (laid, winner, placed), out.size)
    return out


def avg_pool2d(
    x: Any,
    *,
    size: Pair,
    window: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    count_include_pad: bool,
) -> Any:
    """Return the mean of what the window sees at each place."""
    return _forward("avg_pool2d", x, size, window, stride, padding, counted=count_include_pad)


def avg_pool2d_input(
    y: Any,
    *,
    size: Pair,
    window: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    count_include_pad: bool,
) -> Any:
    """Spread each element of y evenly over its window."""
    return _back(
        "avg_pool2d_input", y, None, size, window, stride, padding, counted=count_include_pad
    )


KERNELS: dict[str, Callable[..., Any]] = {
    "avg_pool2d": avg_pool2d,
    "avg_pool2d_input": avg_pool2d_input,
    "max_pool2d": max_pool2d,
    "max_pool2d_input": max_pool2d_input,
    "max_pool2d_pick": max_pool2d_pick,
}
