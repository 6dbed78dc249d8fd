"""Convolutions as products of strips: windows gathered along one axis only.

A strip is what windows that slide along a row see together: for each column of the image the
elements above each other, channels last.  Neighbouring windows overlap in it, and each is still one
run of memory; so a window's width takes no memory and no time to gather (M. Cho, D. Brand, "MEC:
Memory-efficient Convolution for Deep Neural Network", 2017).  There is a product for each place
along the row, all of them in one launch.

The gradient of the input is the same with the window turned round, where the stride is 1.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy

from backpass.cupy.convolution.columns import Columns
from backpass.cupy.convolution.gemms import Operand, Product, product
from backpass.cupy.convolution.geometry import Geometry
from backpass.cupy.convolution.own import BLOCK, Blocks, blocks, takes_numbers
from backpass.cupy.convolution.sums import add_bias, fold
from backpass.cupy.launching import THREADS, Kernel
from backpass.cupy.library import ndarray

#: Several times as many tiles of a product as a GPU has processors.
_TILES = 512

#: As in `own`.
Plan = Callable[..., Any]


def takes(name: str, geometry: Geometry, dtype: Any) -> bool:
    """Tell whether this is the better way."""
    g = geometry
    if name == "to_input":
        # A product for each pixel of the input takes longer where the output has much fewer.
        if g.stride != (1, 1) or 4 * g.pixels > 5 * g.places:
            return False
        g = _turned(g)
    return (
        g.groups == 1
        and g.dilation[1] == 1
        and g.window[1] > 1
        and g.inner * dtype.itemsize % 16 == 0
        and takes_numbers(g)
        and takes_numbers(_strips(g))
        and (name != "to_weight" or 4 * g.counts[1] * g.elements * g.out <= BLOCK)
    )


def _strips(geometry: Geometry) -> Geometry:
    """Return the geometry whose windows are the strips' columns."""
    g = geometry
    (top, _), (left, _) = g.padding
    length = (g.counts[1] - 1) * g.stride[1] + g.window[1]
    return g._replace(
        counts=(g.counts[0], length),
        window=(g.window[0], 1),
        stride=(g.stride[0], 1),
        padding=((top, 0), (left, 0)),
    )


def _turned(geometry: Geometry) -> Geometry:
    """Return the geometry of the gradient of the input, as a convolution of the output."""
    g = geometry
    rows, columns = (
        (d * (k - 1) - before, n - m + before)
        for n, m, k, d, (before, _) in zip(g.size, g.counts, g.window, g.dilation, g.padding)
    )
    return g._replace(
        channels=g.out, out=g.channels, size=g.counts, counts=g.size, padding=(rows, columns)
    )


def forward(geometry: Geometry, dtype: Any, how: str, biased: bool) -> Plan:
    """Return the plan of `conv2d`: of x, weight and bias."""
    return _correlation(geometry, dtype, how, turned=False)


def to_input(geometry: Geometry, dtype: Any, how: str) -> Plan:
    """Return the plan of `conv2d_input`: of y and weight."""
    return _correlation(_turned(geometry), dtype, how, turned=True)


def _correlation(geometry: Geometry, dtype: Any, how: str, turned: bool) -> Plan:
    g = geometry
    columns = Columns(_strips(g), dtype)
    (rows, places), size = g.counts, dtype.itemsize
    shape = (g.batch, *g.counts, g.out)
    step = columns.geometry.counts[1] * columns.length
    kernel = _arrangement(size, turned)
    numbers = (g.out * g.elements, g.inner, *g.window, g.out)
    parts = Blocks(
        lambda images: product(
            dtype, how, (images * rows, g.elements, g.out),
            Operand(step, g.stride[1] * columns.length), Operand(g.elements, 0, True),
            Operand(places * g.out, g.out), count=places,
        ),
        blocks(columns, size),
    )  # fmt: skip

    def compute(x: Any, weight: Any, bias: Any = None) -> Any:
        made = ndarray(shape, dtype)
        packed = ndarray((numbers[0],), dtype)
        strips = ndarray((parts.most * rows * step,), dtype)
        kernel.launch(-(-numbers[0] // THREADS), THREADS, (weight, packed, *numbers))
        to, each = made.data.ptr, g.places * g.out * size
        for first, images, multiply in parts:
            columns.gather(x, first, images, strips, None, None, None)
            multiply(strips.data.ptr, packed.data.ptr, to + first * each)
        if bias is not None:
            add_bias(made, bias, 1)
        return made

    return compute


def to_weight(geometry: Geometry, dtype: Any, how: str) -> Plan:
    """Return the plan of `conv2d_weight`: of y and x."""
    g = geometry
    columns = Columns(_strips(g), dtype)
    rows, places = g.counts
    sums = numpy.dtype("float64" if dtype.name == "float64" else "float32")
    step = columns.geometry.counts[1] * columns.length
    all_blocks = blocks(columns, dtype.itemsize)
    splits = _splits(g, {images for _, images in all_blocks})
    size = g.elements * g.out

    def products(add: bool) -> Blocks:
        def make(images: int) -> Product:
            share = images // splits * rows
            return product(
                dtype, how, (g.elements, share, g.out),
                Operand(step, (share * step, g.stride[1] * columns.length), True),
                Operand(places * g.out, (share * places * g.out, g.out)),
                Operand(g.out, size), count=(splits, places), add=add, summed=True,
            )  # fmt: skip

        return Blocks(make, all_blocks)

    begin, go_on = products(False), products(True)
    each = g.places * g.out * dtype.itemsize

    def compute(y: Any, x: Any) -> Any:
        strips = ndarray((begin.most * rows * step,), dtype)
        parts = ndarray((splits * places, size), sums)
        for (first, images, start), (_, _, add) in zip(begin, go_on, strict=True):
            columns.gather(x, first, images, strips, None, None, None)
            at = y.data.ptr + first * each
            (add if first else start)(strips.data.ptr, at, parts.data.ptr)
        made = ndarray((g.out, g.inner, *g.window), dtype)
        fold(parts, made, splits * places, g.out, (g.window[1], g.window[0], g.inner))
        return made

    return compute


def _splits(geometry: Geometry, blocks: set[int]) -> int:
    """Return in how many equal parts the images of each block are added up: the GPU is busy."""
    g = geometry
    tiles = g.counts[1] * -(-g.elements // 128) * -(-g.out // 64)
    memory = BLOCK // (4 * g.counts[1] * g.elements * g.out)
    most = max(1, min(_TILES // tiles, memory))
    return max(n for n in range(1, most + 1) if all(images % n == 0 for images in blocks))


@functools.cache
def _arrangement(itemsize: int, turned: bool) -> Kernel:
    """Return the kernel that gives a weight the order of a window in a strip: column by column.

    `turned`: from (inner, outs, height, width), the window turned round.
    """
    unsigned = {2: "unsigned short", 4: "unsigned int", 8: "unsigned long long"}[itemsize]
    name = "backpass_weight_for_strips"
    index = "((out * inner + channel) * height + i) * width + j"
    if turned:
        index = "((channel * outs + out) * height + height - 1 - i) * width + width - 1 - j"
    return Kernel(
        name,
        f"""typedef {unsigned} U;
extern "C" __global__ void {name}(
    const U* weight, U* made, long long total,
    long long inner_, long long height_, long long width_, long long outs_
) {{
    const int t = blockIdx.x * blockDim.x + threadIdx.x;
    if (t >= total) return;
    const int inner = inner_, height = height_, width = width_, outs = outs_;
    const int channel = t % inner, column = t / inner;
    const int i = column % height, rest = column / height;
    const int j = rest % width, out = rest / width;
    made[t] = weight[{index}];
}}
""",
    )
