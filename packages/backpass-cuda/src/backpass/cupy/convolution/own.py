"""The three convolutions as matrix products: always there, for every dtype and geometry.

The windows of a block of the batch are gathered as the rows of a matrix, channels last (K.
Chellapilla, S. Puri, P. Simard, "High Performance Convolutional Neural Networks for Document
Processing", 2006).  A block is so small that its columns take little memory, and so large that a
product keeps the GPU busy.  What is transposed, the gradient of the input, is a product first, and
then adds each pixel's columns up.

Half precision is added up in float32 until the end.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy

from backpass.cupy.convolution.columns import Columns
from backpass.cupy.convolution.gemms import Operand, Product, product
from backpass.cupy.convolution.geometry import Geometry
from backpass.cupy.convolution.sums import add_bias
from backpass.cupy.library import ndarray

#: How many bytes the columns of a block take, at most, if it has more than one image.
BLOCK = 64 * 2**20
#: Elements are counted in 32 bits.
_MOST = 2**31

#: Takes the operands, channels last (a weight in C order), and returns an array (batch, height,
#: width, channels), or a weight.
Plan = Callable[..., Any]


def takes_numbers(geometry: Geometry) -> bool:
    """Tell whether numbers of elements are small enough."""
    g = geometry
    longest = g.groups * (g.elements + 16)
    return max(g.places * longest, g.pixels * g.channels, g.out * longest) < _MOST


def blocks(columns: Columns, itemsize: int) -> list[tuple[int, int]]:
    """Return the first image and the number of images of each block, nearly equal ones."""
    g = columns.geometry
    size = g.places * columns.length
    most = min(BLOCK // (size * itemsize), (_MOST - 1) // max(size, g.pixels * g.channels))
    count = -(-g.batch // max(most, 1))
    ends = [g.batch * i // count for i in range(count + 1)]
    return [(first, last - first) for first, last in itertools.pairwise(ends)]


def _sums(dtype: Any) -> Any:
    """Return the dtype in which numbers are added up."""
    return numpy.dtype("float32") if dtype.itemsize == 2 else dtype


def _is_a_product(geometry: Geometry) -> bool:
    return geometry.is_a_product and geometry.batch * geometry.places < _MOST


class Blocks:
    """The blocks of a plan: the first image, the number of images, and the product."""

    def __init__(self, make: Callable[[int], Product], parts: list[tuple[int, int]]) -> None:
        made = {images: make(images) for images in {images for _, images in parts}}
        self._all = [(first, images, made[images]) for first, images in parts]
        #: The largest number of images.
        self.most = max(made)

    def __iter__(self) -> Iterator[tuple[int, int, Product]]:
        return iter(self._all)


# ----- forward ------------------------------------------------------------------------------------


def forward(geometry: Geometry, dtype: Any, how: str, biased: bool) -> Plan:
    """Return the plan of `conv2d`: of x, weight and bias."""
    g = geometry
    shape, size = (g.batch, *g.counts, g.out), dtype.itemsize
    outer = g.out // g.groups
    made_as = Operand(g.out, outer)
    if _is_a_product(g):
        multiply = product(
            dtype, how, (g.batch * g.places, g.inner, outer),
            Operand(g.channels, g.inner), Operand(g.inner, outer * g.inner, True), made_as,
            count=g.groups,
        )  # fmt: skip

        def pixels(x: Any, weight: Any, bias: Any) -> Any:
            made = ndarray(shape, dtype)
            multiply(x.data.ptr, weight.data.ptr, made.data.ptr)
            if bias is not None:
                add_bias(made, bias, 1)
            return made

        return pixels

    columns = Columns(g, dtype, biased)
    length, padded = columns.length, columns.padded
    products = Blocks(
        lambda images: product(
            dtype, how, (images * g.places, padded, outer),
            Operand(length, padded), Operand(padded, outer * padded, True), made_as,
            count=g.groups,
        ),
        blocks(columns, size),
    )  # fmt: skip

    def windows(x: Any, weight: Any, bias: Any) -> Any:
        made = ndarray(shape, dtype)
        packed = ndarray((g.out * padded,), dtype)
        matrix = ndarray((products.most * g.places * length,), dtype)
        to, step = made.data.ptr, g.places * g.out * size
        for first, images, multiply in products:
            given = (None, None, None) if first else (weight, bias, packed)
            columns.gather(x, first, images, matrix, *given)
            multiply(matrix.data.ptr, packed.data.ptr, to + first * step)
        return made

    return windows


# ----- the gradients ------------------------------------------------------------------------------


def to_input(geometry: Geometry, dtype: Any, how: str) -> Plan:
    """Return the plan of `conv2d_input`: of y and weight."""
    g = geometry
    shape, sums = (g.batch, *g.size, g.channels), _sums(dtype)
    outer = g.out // g.groups
    given_as = Operand(g.out, outer)
    if _is_a_product(g):
        multiply = product(
            dtype, how, (g.batch * g.places, outer, g.inner),
            given_as, Operand(g.inner, outer * g.inner), Operand(g.channels, g.inner),
            count=g.groups,
        )  # fmt: skip

        def pixels(y: Any, weight: Any) -> Any:
            made = ndarray(shape, dtype)
            multiply(y.data.ptr, weight.data.ptr, made.data.ptr)
            return made

        return pixels

    columns = Columns(g, dtype)
    length, padded = columns.length, columns.padded
    products = Blocks(
        lambda images: product(
            dtype, how, (images * g.places, outer, padded),
            given_as, Operand(padded, outer * padded), Operand(length, padded),
            count=g.groups, summed=True,
        ),
        blocks(columns, sums.itemsize),
    )  # fmt: skip

    def windows(y: Any, weight: Any) -> Any:
        made = ndarray(shape, dtype)
        packed = ndarray((g.out * padded,), dtype)
        matrix = ndarray((products.most * g.places * length,), sums)
        columns.pack_weight(weight, packed)
        at, step = y.data.ptr, g.places * g.out * dtype.itemsize
        for first, images, multiply in products:
            multiply(at + first * step, packed.data.ptr, matrix.data.ptr)
            columns.scatter(matrix, images, made, first)
        return made

    return windows


def to_weight(geometry: Geometry, dtype: Any, how: str) -> Plan:
    """Return the plan of `conv2d_weight`: of y and x."""
    g = geometry
    shape, sums = (g.out, g.inner, *g.window), _sums(dtype)
    outer = g.out // g.groups
    given_as = Operand(g.out, outer, True)
    if _is_a_product(g):
        multiply = product(
            dtype, how, (outer, g.batch * g.places, g.inner),
            given_as, Operand(g.channels, g.inner), Operand(g.inner, outer * g.inner),
            count=g.groups,
        )  # fmt: skip

        def pixels(y: Any, x: Any) -> Any:
            made = ndarray(shape, dtype)
            multiply(y.data.ptr, x.data.ptr, made.data.ptr)
            return made

        return pixels

    columns = Columns(g, dtype)
    length, padded = columns.length, columns.padded
    parts = blocks(columns, dtype.itemsize)

    def products(add: bool) -> Blocks:
        return Blocks(
            lambda images: product(
                dtype, how, (outer, images * g.places, padded),
                given_as, Operand(length, padded), Operand(padded, outer * padded),
                count=g.groups, add=add, summed=True,
            ),
            parts,
        )  # fmt: skip

    begin, go_on = products(False), products(True)

    def windows(y: Any, x: Any) -> Any:
        made = ndarray(shape, dtype)
        packed = ndarray((g.out * padded,), sums)
        matrix = ndarray((begin.most * g.places * length,), dtype)
        at, step = y.data.ptr, g.places * g.out * dtype.itemsize
        for (first, images, start), (_, _, add) in zip(begin, go_on, strict=True):
            columns.gather(x, first, images, matrix, None, None, None)
            (add if first else start)(at + first * step, matrix.data.ptr, packed.data.ptr)
        columns.unpack_weight(packed, made)
        return made

    return windows
