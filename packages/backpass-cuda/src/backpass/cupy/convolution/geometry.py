"""What a convolution is of: shapes and windows, as the keywords of its primitives say it."""

from __future__ import annotations

from typing import Any, NamedTuple

Pair = tuple[int, int]


class Geometry(NamedTuple):
    """A convolution of images (batch, channels, *size) to (batch, out, *counts).

    Attributes
    ----------
    padding
        Zeros before and after, along each axis; what is negative is cut away.
    """

    batch: int
    channels: int
    out: int
    size: Pair
    counts: Pair
    window: Pair
    stride: Pair
    padding: tuple[Pair, Pair]
    dilation: Pair
    groups: int

    @property
    def inner(self) -> int:
        """Return how many input channels an output channel sees."""
        return self.channels // self.groups

    @property
    def places(self) -> int:
        """Return how many places a window takes in an image."""
        return self.counts[0] * self.counts[1]

    @property
    def elements(self) -> int:
        """Return how many elements a window has, all its channels counted."""
        return self.window[0] * self.window[1] * self.inner

    @property
    def pixels(self) -> int:
        """Return how many places an image itself has."""
        return self.size[0] * self.size[1]

    @property
    def is_a_product(self) -> bool:
        """Tell whether each output pixel is a product of the weight and the input's pixel there."""
        return (
            self.window == self.stride == (1, 1)
            and self.padding == ((0, 0), (0, 0))
            and self.size == self.counts
        )


def placed(
    size: Pair, window: Pair, stride: Pair, padding: tuple[Pair, Pair], dilation: Pair
) -> Pair:
    """Return how many places a window takes along each axis."""
    first, second = (
        (n + before + after - d * (k - 1) - 1) // s + 1
        for n, k, s, (before, after), d in zip(size, window, stride, padding, dilation)
    )
    return first, second


def is_channels_last(x: Any) -> bool:
    """Tell whether the channels of images lie next to each other, without gaps."""
    _, channels, height, width = x.shape
    step = x.itemsize
    dense = (step * channels * width * height, step, step * channels * width, step * channels)
    return all(n <= 1 or own == s for n, own, s in zip(x.shape, x.strides, dense))
