"""Windows as the columns of a matrix, and back ("im2col", "col2im"): kernels in CUDA C++.

Images have their channels last in memory, and so has a window: an element of it is numbered by its
place in the window, row by row, and then by its channel.  With that order several channels go at
once, in packs of 16 bytes.  A row of the matrix is a window; it is as long as packs have it, and
what is added is 0, but for the first element of it where there is a bias: that is 1, and stands
before the bias among the weights.  So a matrix product adds the bias, too.

No two threads write to the same place, and each adds in a fixed order.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy

from backpass.cupy.convolution.geometry import Geometry
from backpass.cupy.launching import THREADS, Kernel

#: A thread loads and stores so many bytes at once.
WIDTH = 16


class Number(NamedTuple):
    """How numbers of a dtype are written in CUDA C++.

    Attributes
    ----------
    stored
        The type of their bits.
    summed
        The type in which they are added up.
    load, store
        From the bits to what is computed with, and back.
    """

    stored: str
    summed: str
    load: str
    store: str


#: By the dtype's name.
NUMBERS = {
    "float16": Number(
        "unsigned short", "float", "__half2float(__ushort_as_half({}))",
        "__half_as_ushort(__float2half_rn({}))",
    ),
    "bfloat16": Number(
        "unsigned short", "float", "__uint_as_float((unsigned int){} << 16)", "brain({})"
    ),
    "float32": Number("float", "float", "{}", "{}"),
    "float64": Number("double", "double", "{}", "{}"),
}  # fmt: skip
HEADERS = {
    "float16": "#include <cuda_fp16.h>",
    "bfloat16": """
__device__ inline unsigned short brain(float x) {
    const unsigned int bits = __float_as_uint(x);
    if (isnan(x)) return 0x7fff;
    return (unsigned short)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}""",
}
_UNSIGNED = {2: "unsigned short", 4: "unsigned int", 8: "unsigned long long"}


# ----- numbers that a kernel gets ----------------------------------------------------------------

_NUMBERS = (
    "height width rows columns top left down right dilation_down dilation_right "
    "channels inner window_height window_width elements padded groups"
).split()
#: Division by a number that is not known when a kernel is compiled takes a multiplication if its
#: factor is known (T. Granlund, P. L. Montgomery, "Division by Invariant Integers using
#: Multiplication", 1994).
_DIVISORS = (
    "by_row by_group by_place by_column by_inner by_window_width by_down by_right by_pixel "
    "by_width by_channels by_element by_padded"
).split()
_DIVISOR = [("by", "u4"), ("factor", "u4"), ("shift", "i4")]
_STRUCT = numpy.dtype([(n, "i4") for n in _NUMBERS] + [(n, _DIVISOR) for n in _DIVISORS])
WINDOWS = f"""
struct Divisor {{ unsigned int by, factor; int shift; }};
// Of a number below 2^31.
__device__ inline unsigned int operator/(unsigned int n, Divisor d) {{
    return (unsigned int)((unsigned long long)n * d.factor >> d.shift);
}}
struct Windows {{
    int {", ".join(_NUMBERS)};
    Divisor {", ".join(_DIVISORS)};
}};
"""


def _divisor(by: int) -> tuple[int, int, int]:
    shift = 31 + (by - 1).bit_length()
    return by, -(-(1 << shift) // by), shift


class Columns:
    """The matrix of a convolution's windows, in a dtype: its size, and the kernels that make it.

    Parameters
    ----------
    geometry
        The convolution.
    dtype
        Of images and weights.
    biased
        Whether a bias stands behind the weights.
    tight
        Whether a row is no longer than a window: for weights alone.
    """

    def __init__(
        self, geometry: Geometry, dtype: Any, biased: bool = False, tight: bool = False
    ) -> None:
        self.geometry = g = geometry
        self.name = dtype.name
        self.pack = pack = 1 if tight else WIDTH // dtype.itemsize
        #: The length of a row for each group, and for all.
        self.padded = -(-(g.elements + biased) // pack) * pack
        self.length = self.padded * g.groups
        #: Several channels lie in a pack, and all of them in the same place of a window.
        self.whole = g.inner % pack == 0
        self.biased = biased
        self._one = int(numpy.ones((), dtype).view(f"u{dtype.itemsize}"))
        (top, _), (left, _) = g.padding
        numbers = (
            *g.size, *g.counts, top, left, *g.stride, *g.dilation, g.channels, g.inner,
            *g.window, g.elements, self.padded, g.groups,
        )  # fmt: skip
        divisors = (
            self.length // pack, self.padded // pack, g.places, g.counts[1], g.inner, g.window[1],
            *g.stride, g.pixels, g.size[1], g.channels, g.elements, self.padded,
        )  # fmt: skip
        values = (*numbers, *map(_divisor, divisors))
        #: The struct that kernels get.
        self.windows = numpy.array([values], _STRUCT)[0]

    def gather(
        self, x: Any, first: int, images: int, columns: Any, weight: Any, bias: Any, packed: Any
    ) -> None:
        """Fill columns with the windows of some images; pack the weight besides, if it is given."""
        g = self.geometry
        total = images * g.places * self.length // self.pack
        blocks = -(-total // THREADS)
        whole = self.whole and x.data.ptr % WIDTH == 0
        kernel = _gather(x.itemsize, whole)
        more = 0 if weight is None else g.out * self.padded
        kernel.launch(
            blocks + -(-more // THREADS),
            THREADS,
            (
                x, columns, first * g.pixels * g.channels, total, blocks,
                x if weight is None else weight, x if bias is None else bias,
                x if packed is None else packed, more, int(bias is not None),
                self._one if self.biased else 0, self.windows,
            ),
        )  # fmt: skip

    def pack_weight(self, weight: Any, packed: Any) -> None:
        """Write a weight's elements in the order of a column's."""
        more = self.geometry.out * self.padded
        _gather(weight.itemsize, False).launch(
            -(-more // THREADS),
            THREADS,
            (weight, packed, 0, 0, 0, weight, weight, packed, more, 0, 0, self.windows),
        )

    def scatter(self, columns: Any, images: int, made: Any, first: int) -> None:
        """Add the columns up to some images."""
        g = self.geometry
        pack = WIDTH // columns.itemsize
        if g.inner % pack or made.data.ptr % WIDTH:
            pack = 1
        total = images * g.pixels * g.channels // pack
        _scatter(self.name, pack).launch(
            -(-total // THREADS),
            THREADS,
            (columns, made, first * g.pixels * g.channels, total, self.windows),
        )

    def unpack_weight(self, packed: Any, made: Any) -> None:
        """Write what is in the order of a column's elements, sums perhaps, as a weight."""
        total = made.size
        _unpack(packed.dtype.name, self.name).launch(
            -(-total // THREADS), THREADS, (packed, made, total, self.windows)
        )


@functools.cache
def _gather(itemsize: int, whole: bool) -> Kernel:
    """Return the kernel that gathers windows, and packs a weight.

    `whole`: a pack has channels of one place, and is loaded at once.
    """
    unsigned, pack = _UNSIGNED[itemsize], WIDTH // itemsize
    if whole:
        load = """
    if (k < w.elements) {
        const int tap = (unsigned int)k / w.by_inner, channel = k - tap * w.inner;
        const int i = (unsigned int)tap / w.by_window_width, j = tap - i * w.window_width;
        const int h = above + i * w.dilation_down, v = before + j * w.dilation_right;
        if ((unsigned int)h < w.height && (unsigned int)v < w.width)
            made = *(const Pack*)(image + (h * w.width + v) * w.channels + channel);
    } else if (k == w.elements) {
        made.v[0] = (U)one;
    }"""
    else:
        load = f"""
    int tap = (unsigned int)k / w.by_inner, channel = k - tap * w.inner;
    int i = (unsigned int)tap / w.by_window_width, j = tap - i * w.window_width;
    #pragma unroll
    for (int e = 0; e < {pack}; ++e) {{
        if (k + e < w.elements) {{
            const int h = above + i * w.dilation_down, v = before + j * w.dilation_right;
            if ((unsigned int)h < w.height && (unsigned int)v < w.width)
                made.v[e] = image[(h * w.width + v) * w.channels + channel];
        }} else if (k + e == w.elements) {{
            made.v[e] = (U)one;
        }}
        if (++channel == w.inner) {{
            channel = 0;
            if (++j == w.window_width) {{ j = 0; ++i; }}
        }}
    }}"""
    name = "backpass_windows_as_columns"
    return Kernel(
        name,
        f"""typedef {unsigned} U;
struct alignas({WIDTH}) Pack {{ U v[{pack}]; }};
{WINDOWS}
extern "C" __global__ void {name}(
    const U* x, U* columns, long long first, long long total, long long blocks,
    const U* weight, const U* bias, U* packed, long long weights, long long biased,
    long long one, Windows w
) {{
    if (blockIdx.x >= blocks) {{
        const unsigned int t = (blockIdx.x - (unsigned int)blocks) * blockDim.x + threadIdx.x;
        if (t >= weights) return;
        const int out = t / w.by_padded, k = t - out * w.padded;
        U made = 0;
        if (k < w.elements) {{
            const int tap = (unsigned int)k / w.by_inner, channel = k - tap * w.inner;
            made = weight[(out * w.inner + channel) * w.window_height * w.window_width + tap];
        }} else if (k == w.elements && biased) {{
            made = bias[out];
        }}
        packed[t] = made;
        return;
    }}
    const unsigned int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= total) return;
    const int row = t / w.by_row;
    int k = t - row * w.by_row.by;
    const int group = (unsigned int)k / w.by_group;
    k = (k - group * w.by_group.by) * {pack};
    const int n = (unsigned int)row / w.by_place, place = row - n * w.by_place.by;
    const int down = (unsigned int)place / w.by_column;
    const int above = down * w.down - w.top;
    const int before = (place - down * w.columns) * w.right - w.left;
    const U* image = x + first + (long long)n * w.height * w.width * w.channels + group * w.inner;
    Pack made = {{}};
{load}
    *(Pack*)(columns + (long long)t * {pack}) = made;
}}
""",
    )


@functools.cache
def _scatter(name: str, pack: int) -> Kernel:
    """Return the kernel that adds columns up to images."""
    number, title = NUMBERS[name], "backpass_columns_as_images"
    return Kernel(
        title,
        f"""{HEADERS.get(name, "")}
typedef {number.stored} U;
typedef {number.summed} T;
struct alignas({pack} * sizeof(T)) Pack {{ T v[{pack}]; }};
struct alignas({pack} * sizeof(U)) Made {{ U v[{pack}]; }};
{WINDOWS}
extern "C" __global__ void {title}(
    const T* columns, U* images, long long first, long long total, Windows w
) {{
    const unsigned int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= total) return;
    const unsigned int at = t * {pack};
    const int pixel = at / w.by_channels;
    int channel = at - pixel * w.channels;
    const int n = (unsigned int)pixel / w.by_pixel;
    const int place = pixel - n * w.by_pixel.by;
    const int h = (unsigned int)place / w.by_width, v = place - h * w.width;
    const int group = (unsigned int)channel / w.by_inner;
    channel -= group * w.inner;
    const T* matrix = columns + group * w.padded + channel;
    Pack sum = {{}};
    for (int i = 0; i < w.window_height; ++i) {{
        const int low = h + w.top - i * w.dilation_down;
        if (low < 0) break;
        const int row = (unsigned int)low / w.by_down;
        if (row * w.down != low || row >= w.rows) continue;
        for (int j = 0; j < w.window_width; ++j) {{
            const int near = v + w.left - j * w.dilation_right;
            if (near < 0) break;
            const int column = (unsigned int)near / w.by_right;
            if (column * w.right != near || column >= w.columns) continue;
            const int window = (n * w.rows + row) * w.columns + column;
            const Pack part = *(const Pack*)(
                matrix + (long long)window * w.groups * w.padded
                + (i * w.window_width + j) * w.inner
            );
            #pragma unroll
            for (int e = 0; e < {pack}; ++e) sum.v[e] += part.v[e];
        }}
    }}
    Made made;
    #pragma unroll
    for (int e = 0; e < {pack}; ++e) made.v[e] = {number.store.format("sum.v[e]")};
    *(Made*)(images + first + at) = made;
}}
""",
    )


@functools.cache
def _unpack(given: str, name: str) -> Kernel:
    """Return the kernel that gives a weight the order of its axes."""
    number, title = NUMBERS[name], "backpass_columns_as_weight"
    kept = "sum" if given == name else number.store.format("sum")
    return Kernel(
        title,
        f"""{HEADERS.get(name, "")}
typedef {number.stored} U;
typedef {NUMBERS[given].stored} T;
{WINDOWS}
extern "C" __global__ void {title}(const T* packed, U* weight, long long total, Windows w) {{
    const unsigned int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= total) return;
    const int taps = w.window_height * w.window_width;
    const int out = t / w.by_element;
    const int rest = t - out * w.elements;
    const int channel = rest / taps, tap = rest - channel * taps;
    const T sum = packed[(long long)out * w.padded + tap * w.inner + channel];
    weight[t] = {kept};
}}
""",
    )
