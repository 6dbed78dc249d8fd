"""What convolution and pooling share: a window that slides over the last two axes.

A window is placed by `Placement`'s keywords, which primitives take as plain tuples: `window` (its
height and width), `stride`, `padding` (before and after, for each axis) and `dilation`.  Along an
axis of n elements it takes ``(n + before + after - dilation * (window - 1) - 1) // stride + 1``
places.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy

import backpass.numpy as np

Pair = tuple[int, int]
#: Elements before and after, for each axis.
Widths = tuple[Pair, Pair]
#: The axes of each kind of input, without and with a batch.
LAYOUTS = {1: ("(channels, length)", "(batch, channels, length)")}
LAYOUTS[2] = ("(channels, height, width)", "(batch, channels, height, width)")


# ----- reading arguments ------------------------------------------------------------------------


def pair(function: str, name: str, value: Any, count: int, least: int) -> Pair:
    """Return a number, or one for each of `count` axes, as one for each of two.

    A single axis is the second of the two: the first has length 1 then, and gets `least`.

    Raises
    ------
    ValueError
        If there are not as many numbers as axes, or one is no integer or too small.
    """
    numbers = tuple(value) if isinstance(value, Sequence) else (value,) * count
    whole = all(isinstance(n, int | numpy.integer) and not isinstance(n, bool) for n in numbers)
    if len(numbers) != count or not whole or min(numbers) < least:
        several = "" if count == 1 else f", or {count} of them"
        raise ValueError(
            f"{function}: `{name}` is {value!r}, but it must be an integer of at least {least}"
            f"{several}"
        )
    first, second = (least, *numbers)[-2:]
    return int(first), int(second)


def as_images(function: str, x: Any, count: int) -> tuple[Any, bool]:
    """Return an input as (batch, channels, height, width), and whether it had no batch.

    `count` is the number of its axes beside batch and channels; of one, the height is 1.

    Raises
    ------
    ValueError
        If it has another number of axes.
    """
    x = x if hasattr(x, "shape") else np.array(x)
    alone = len(x.shape) == count + 1
    if not alone and len(x.shape) != count + 2:
        raise ValueError(
            f"{function}: `x` has shape {tuple(x.shape)}, but it must be {LAYOUTS[count][1]}, or "
            f"{LAYOUTS[count][0]} for one alone"
        )
    batch, channels = (1, x.shape[0]) if alone else x.shape[:2]
    height, width = (1, *x.shape[-count:])[-2:]
    shape = (batch, channels, height, width)
    return (x if x.shape == shape else x.reshape(shape)), alone


def like_input(y: Any, count: int, alone: bool) -> Any:
    """Return an output with the axes that the input had before `as_images`."""
    shape = y.shape[alone:2] + y.shape[4 - count :]
    return y if y.shape == shape else y.reshape(shape)


def places(
    function: str, size: Pair, window: Pair, stride: Pair, padding: Widths, dilation: Pair
) -> Pair:
    """Return the number of places that a window takes along each axis.

    Raises
    ------
    ValueError
        If it is larger than the padded input.
    """
    for n, k, (before, after), d in zip(size, window, padding, dilation):
        if d * (k - 1) + 1 > n + before + after:
            raise ValueError(
                f"{function}: the window spans {d * (k - 1) + 1} elements, the input has only "
                f"{n + before + after} along that axis, its padding included"
            )
    return placed(size, window, stride, padding, dilation)


def placed(size: Pair, window: Pair, stride: Pair, padding: Widths, dilation: Pair) -> Pair:
    """Return the number of places that a window takes along each axis, where it fits."""
    first, second = (
        (n + before + after - d * (k - 1) - 1) // s + 1
        for n, k, s, (before, after), d in zip(size, window, stride, padding, dilation)
    )
    return first, second


# ----- inside primitives ------------------------------------------------------------------------


def padded(xp: Any, x: Any, padding: Widths, value: float = 0) -> Any:
    """Return `x` with a border along its last two axes; a negative width cuts away."""
    if padding == ((0, 0), (0, 0)):
        return x
    shape = [n + before + after for n, (before, after) in zip(x.shape[-2:], padding)]
    made = xp.full((*x.shape[:-2], *shape), value, x.dtype)
    made[inside(shape, padding)] = x[inside(x.shape[-2:], opposite(padding))]
    return made


def opposite(padding: Widths) -> Widths:
    """Return the widths that undo a padding."""
    (top, bottom), (left, right) = padding
    return (-top, -bottom), (-left, -right)


def inside(shape: Sequence[int], padding: Widths) -> tuple[Any, ...]:
    """Return the index of what lies within a border, where that is positive."""
    rows, columns = (
        slice(max(before, 0), n - max(after, 0)) for n, (before, after) in zip(shape, padding)
    )
    return ..., rows, columns


def steps(
    window: Pair, stride: Pair, dilation: Pair, counts: Pair
) -> Iterator[tuple[Pair, tuple[Any, ...]]]:
    """Yield each position in the window, and the index of what lies there at every place."""
    for i in range(window[0]):
        for j in range(window[1]):
            rows, columns = (
                slice(k * d, k * d + s * (n - 1) + 1, s)
                for k, d, s, n in zip((i, j), dilation, stride, counts)
            )
            yield (i, j), (..., rows, columns)


def windows(xp: Any, x: Any, window: Pair, stride: Pair, dilation: Pair, counts: Pair) -> Any:
    """Return a view of shape (channels, *window, batch, *counts): a column for each place."""
    batch, channels = x.shape[:2]
    of_batch, of_channel, of_row, of_column = x.strides
    return xp.lib.stride_tricks.as_strided(
        x,
        shape=(channels, *window, batch, *counts),
        strides=(
            of_channel,
            of_row * dilation[0],
            of_column * dilation[1],
            of_batch,
            of_row * stride[0],
            of_column * stride[1],
        ),
    )
