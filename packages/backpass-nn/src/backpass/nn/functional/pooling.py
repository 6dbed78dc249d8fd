"""Pooling: the largest element that a window sees, or the mean of all.

Along one axis the primitives run with a height of 1.  Each is linear where its winners stand, and
is declared with its transposed map beside it: `max_pool2d_input` puts a cotangent where the winner
was, `max_pool2d_pick` reads a tangent there; `avg_pool2d_input` spreads a cotangent over a window.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy

from backpass.core import Tensor
from backpass.core.batches import Batch, batched, folded, spread
from backpass.core.dtypes import kind_of
from backpass.core.extend import defjvp, defvjp, linear, primitive
from backpass.nn.functional.checking import operand
from backpass.nn.functional.precision import rounded, wide
from backpass.nn.functional.windows import (
    Pair,
    Widths,
    as_images,
    inside,
    like_input,
    padded,
    pair,
    placed,
    places,
    steps,
)

# ----- the largest element ----------------------------------------------------------------------


@primitive(name="max_pool2d", outputs=2)
def max_pool2d_(
    xp: Any, x: Any, *, size: Pair, window: Pair, stride: Pair, padding: Widths, dilation: Pair
) -> Any:
    """Return the largest element at each place, and its number in the window, row by row.

    Of several the first wins; nan is larger than all.  The number takes a byte if it fits.
    """
    counts = placed(size, window, stride, padding, dilation)
    kind = kind_of(x.dtype)
    lowest = -numpy.inf if kind == "f" else kind != "b" and numpy.iinfo(x.dtype).min
    framed = padded(xp, x, padding, lowest)
    every = [there for _, there in steps(window, stride, dilation, counts)]
    best = framed[every[0]].copy()
    winner = xp.zeros(best.shape, numpy.min_scalar_type(len(every) - 1))
    real = padded(xp, xp.ones(size, bool), padding)
    real_so_far = real[every[0]].copy()
    for k, there in enumerate(every[1:], 1):
        v = xp.ascontiguousarray(framed[there])  # moved once, then read several times
        larger = ~(best >= v) & (best == best)
        if framed is not x:
            # The border wins over nothing: the first real element does over the border.
            larger |= real[there] & ~real_so_far
            real_so_far |= real[there]
        xp.maximum(best, v, out=best)
        # Numbers only grow, and a maximum is much faster than writing where a mask says so.
        xp.maximum(winner, larger * winner.dtype.type(k), out=winner)
    return best, winner


@primitive
def max_pool2d_input(
    xp: Any,
    y: Any,
    winner: Any,
    *,
    size: Pair,
    window: Pair,
    stride: Pair,
    padding: Widths,
    dilation: Pair,
) -> Any:
    """Add each element of y where the winner of its window was."""
    shape = [n + before + after for n, (before, after) in zip(size, padding)]
    framed = xp.zeros((*y.shape[:-2], *shape), y.dtype)
    where = _places_of(xp, winner, framed.shape, window, stride, dilation)
    xp.add.at(framed.reshape(-1), where, y.reshape(-1))
    return framed[inside(shape, padding)]


@primitive
def max_pool2d_pick(
    xp: Any,
    x: Any,
    winner: Any,
    *,
    size: Pair,
    window: Pair,
    stride: Pair,
    padding: Widths,
    dilation: Pair,
) -> Any:
    """Return the element at each place that was its window's winner."""
    framed = padded(xp, x, padding)
    where = _places_of(xp, winner, framed.shape, window, stride, dilation)
    return xp.take(framed.reshape(-1), where).reshape(winner.shape)


def _places_of(
    xp: Any, winner: Any, shape: Sequence[int], window: Pair, stride: Pair, dilation: Pair
) -> Any:
    """Return where the winners stand in an array of images of some shape, laid end to end."""
    *outer, rows, columns = winner.shape
    height, width = shape[-2:]
    of_image = xp.arange(math.prod(outer)).reshape(*outer, 1, 1) * (height * width)
    of_row = xp.arange(rows).reshape(-1, 1) * (stride[0] * width)
    of_column = xp.arange(columns) * stride[1]
    numbers = xp.arange(window[0]).reshape(-1, 1) * (dilation[0] * width)
    numbers = (numbers + xp.arange(window[1]) * dilation[1]).reshape(-1)
    return (xp.take(numbers, winner) + (of_image + (of_row + of_column))).reshape(-1)


defvjp(max_pool2d_, lambda g, ans, **windows: max_pool2d_input.op(g[0], ans[1], **windows))
defjvp(max_pool2d_, lambda t, ans, **windows: (max_pool2d_pick.op(t, ans[1], **windows), None))
linear(
    max_pool2d_input,
    lambda g, winner, **windows: max_pool2d_pick.op(g, winner, **windows),
    None,
)
linear(
    max_pool2d_pick,
    lambda g, winner, **windows: max_pool2d_input.op(g, winner, **windows),
    None,
)


def _winners_for_all(f: Any, xs: Sequence[Any], kwargs: Any) -> Batch:
    """Lay the images of many cotangents end to end, each with the same winners."""
    y, winner = xs
    return folded(f, (y, Batch(spread(winner, y.rows))), kwargs)


batched(_winners_for_all, max_pool2d_input, max_pool2d_pick)

# ----- the mean ---------------------------------------------------------------------------------


@primitive(name="avg_pool2d")
def avg_pool2d_(
    xp: Any,
    x: Any,
    *,
    size: Pair,
    window: Pair,
    stride: Pair,
    padding: Widths,
    count_include_pad: bool,
) -> Any:
    """Return the mean of what the window sees at each place."""
    counts = placed(size, window, stride, padding, (1, 1))
    total = wide(padded(xp, x, padding))
    # First the rows of a window are added up, then the columns.
    for axis in (-2, -1):
        k, s, n = window[axis], stride[axis], counts[axis]
        along = (slice(None),) * (-1 - axis)
        parts = [total[(..., slice(i, i + s * (n - 1) + 1, s), *along)] for i in range(k)]
        total = parts[0] if k == 1 else parts[0] + parts[1]
        for part in parts[2:]:
            total += part
    total = total / _lengths(xp, total, size, window, stride, padding, count_include_pad)
    return rounded(total, x)


@primitive
def avg_pool2d_input(
    xp: Any,
    y: Any,
    *,
    size: Pair,
    window: Pair,
    stride: Pair,
    padding: Widths,
    count_include_pad: bool,
) -> Any:
    """Spread each element of y evenly over its window."""
    shape = [n + before + after for n, (before, after) in zip(size, padding)]
    made = wide(y) / _lengths(xp, y, size, window, stride, padding, count_include_pad)
    for axis in (-1, -2):
        k, s, n = window[axis], stride[axis], made.shape[axis]
        along = (slice(None),) * (-1 - axis)
        length = (*made.shape[:axis], shape[axis], *made.shape[made.ndim + axis + 1 :])
        spread = xp.zeros(length, made.dtype)
        for i in range(k):
            spread[(..., slice(i, i + s * (n - 1) + 1, s), *along)] += made
        made = spread
    return rounded(made[inside(shape, padding)], y)


def _lengths(
    xp: Any,
    y: Any,
    size: Pair,
    window: Pair,
    stride: Pair,
    padding: Widths,
    count_include_pad: bool,
) -> Any:
    """Return by how many elements each sum is divided."""
    if count_include_pad or padding == ((0, 0), (0, 0)):
        return window[0] * window[1]
    rows, columns = (
        [min(i * s + k, before + n) - max(i * s, before) for i in range(m)]
        for n, k, s, (before, _), m in zip(size, window, stride, padding, y.shape[-2:])
    )
    real = numpy.outer(rows, columns)
    return xp.asarray(real, y.dtype if kind_of(y.dtype) == "f" else None)


linear(avg_pool2d_, lambda g, **windows: avg_pool2d_input.op(g, **windows))
linear(avg_pool2d_input, lambda g, **windows: avg_pool2d_.op(g, **windows))

# ----- the mean, of as many parts as are asked for ----------------------------------------------


@primitive(name="adaptive_avg_pool2d")
def adaptive_avg_pool2d_(xp: Any, x: Any, *, size: Pair, counts: Pair) -> Any:
    """Return the means of counts[0] by counts[1] parts, which overlap if they come out uneven."""
    rows, columns = (_parts(n, m) for n, m in zip(size, counts))
    total = xp.stack([x[..., part, :].mean(axis=-2) for part in rows], axis=-2)
    return xp.stack([total[..., part].mean(axis=-1) for part in columns], axis=-1)


@primitive
def adaptive_avg_pool2d_input(xp: Any, y: Any, *, size: Pair, counts: Pair) -> Any:
    """Spread each element of y evenly over its part."""
    narrow = xp.zeros((*y.shape[:-1], size[1]), y.dtype)
    for j, part in enumerate(_parts(size[1], counts[1])):
        narrow[..., part] += y[..., j : j + 1] / (part.stop - part.start)
    made = xp.zeros((*y.shape[:-2], *size), y.dtype)
    for i, part in enumerate(_parts(size[0], counts[0])):
        made[..., part, :] += narrow[..., i : i + 1, :] / (part.stop - part.start)
    return made


def _parts(n: int, count: int) -> list[slice]:
    """Return `count` parts that together hold n elements, each in one part at least."""
    return [slice(i * n // count, -(-(i + 1) * n // count)) for i in range(count)]


linear(adaptive_avg_pool2d_, lambda g, **parts: adaptive_avg_pool2d_input.op(g, **parts))
linear(adaptive_avg_pool2d_input, lambda g, **parts: adaptive_avg_pool2d_.op(g, **parts))
batched(folded, avg_pool2d_, avg_pool2d_input, adaptive_avg_pool2d_, adaptive_avg_pool2d_input)

# ----- the public functions ---------------------------------------------------------------------


def max_pool1d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1
) -> Tensor:
    """Return the largest element that a window sees, at each of its places along a sequence.

    As `max_pool2d`, along the last axis of `x`, of shape (batch, channels, length).

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.nn import functional
    >>> functional.max_pool1d(np.array([[[3.0, 1.0, 2.0, 5.0, 4.0]]]), 2)
    Tensor([[[3., 5.]]])
    """
    return _max_pool("max_pool1d", 1, x, kernel_size, stride, padding, dilation)


def max_pool2d(
    x: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1
) -> Tensor:
    """Return the largest element that a window sees, at each of its places over an image.

    Where several are the largest, the whole gradient goes to the first of them, row by row, as in
    PyTorch (`backpass.numpy.max` shares it): so it is enough to remember one small number for each
    window. A nan is the largest of all, and so shows in the output.

    Parameters
    ----------
    x : Tensor or array, shape (batch, channels, height, width)
        Images; one alone may lack the batch, and the output then lacks it, too.
    kernel_size : int or two of them
        Height and width of the window.
    stride : int or two of them, optional
        How far apart the windows lie; by default as far as they are long.
    padding : int or two of them
        How much surrounds the images, of what is never the largest: half a window at most.
    dilation : int or two of them
        How far apart the elements of a window lie.

    Returns
    -------
    Tensor
        Of shape (batch, channels, ``(height + 2 * padding - dilation * (kernel height - 1) - 1) //
        stride + 1``, and likewise for the width), in the dtype of `x`.

    Raises
    ------
    ValueError
        If a window is larger than the padded image, or an option is out of range.
    TypeError
        If `x` does not hold real numbers.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import grad
    >>> from backpass.nn import functional
    >>> x = np.array([[[[1.0, 2.0, 7.0], [4.0, 3.0, 7.0]]]])
    >>> functional.max_pool2d(x, 2, stride=1)
    Tensor([[[[4., 7.]]]])
    >>> grad(lambda x: functional.max_pool2d(x, 2, stride=1).sum())(x)
    array([[[[0., 0., 1.],
             [1., 0., 0.]]]])
    """
    return _max_pool("max_pool2d", 2, x, kernel_size, stride, padding, dilation)


def avg_pool1d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    *,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the mean of what a window sees, at each of its places along a sequence.

    As `avg_pool2d`, along the last axis of `x`, of shape (batch, channels, length).

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.nn import functional
    >>> functional.avg_pool1d(np.array([[[3.0, 1.0, 2.0, 5.0, 4.0]]]), 2)
    Tensor([[[2. , 3.5]]])
    """
    return _avg_pool("avg_pool1d", 1, x, kernel_size, stride, padding, count_include_pad)


def avg_pool2d(
    x: Any,
    kernel_size: Any,
    stride: Any = None,
    padding: Any = 0,
    *,
    count_include_pad: bool = True,
) -> Tensor:
    """Return the mean of what a window sees, at each of its places over an image.

    Parameters
    ----------
    x : Tensor or array, shape (batch, channels, height, width)
        Images; one alone may lack the batch, and the output then lacks it, too.
    kernel_size : int or two of them
        Height and width of the window.
    stride : int or two of them, optional
        How far apart the windows lie; by default as far as they are long.
    padding : int or two of them
        How many zeros surround the images: half a window at most.
    count_include_pad : bool
        Whether the zeros count as elements of the mean.

    Returns
    -------
    Tensor
        Of shape (batch, channels, ``(height + 2 * padding - kernel height) // stride + 1``, and
        likewise for the width), in the dtype of `x`; in double precision for integers.

    Raises
    ------
    ValueError
        If a window is larger than the padded image, or an option is out of range.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.nn import functional
    >>> x = np.array([[[[1.0, 2.0], [3.0, 6.0]]]])
    >>> functional.avg_pool2d(x, 2)
    Tensor([[[[3.]]]])
    >>> functional.avg_pool2d(x, 2, padding=1, count_include_pad=False)
    Tensor([[[[1., 2.],
             [3., 6.]]]])
    """
    return _avg_pool("avg_pool2d", 2, x, kernel_size, stride, padding, count_include_pad)


def adaptive_avg_pool1d(x: Any, output_size: Any) -> Tensor:
    """Return the means of as many parts of a sequence as are asked for.

    As `adaptive_avg_pool2d`, along the last axis of `x`, of shape (batch, channels, length).

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.nn import functional
    >>> functional.adaptive_avg_pool1d(np.array([[[3.0, 1.0, 2.0, 5.0, 4.0]]]), 1)
    Tensor([[[3.]]])
    """
    return _adaptive_avg_pool("adaptive_avg_pool1d", 1, x, output_size)


def adaptive_avg_pool2d(x: Any, output_size: Any) -> Tensor:
    """Return the means of as many parts of an image as are asked for, whatever its size.

    Along an axis of n elements, part i of m reaches from ``floor(i * n / m)`` to ``ceil((i + 1) * n
    / m)``: neighbours share an element where the parts do not come out even.

    Parameters
    ----------
    x : Tensor or array, shape (batch, channels, height, width)
        Images; one alone may lack the batch, and the output then lacks it, too.
    output_size : int or two of them
        How many parts there are along each axis, at least 1; None: as many as elements.

    Returns
    -------
    Tensor
        Of shape (batch, channels, *output_size).

    Raises
    ------
    ValueError
        If `output_size` is out of range.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.nn import functional
    >>> x = np.array([[[[1.0, 2.0, 3.0], [3.0, 6.0, 9.0]]]])
    >>> functional.adaptive_avg_pool2d(x, 1)
    Tensor([[[[4.]]]])
    >>> functional.adaptive_avg_pool2d(x, (1, 2))
    Tensor([[[[3., 5.]]]])
    """
    return _adaptive_avg_pool("adaptive_avg_pool2d", 2, x, output_size)


def _max_pool(
    function: str, count: int, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any
) -> Tensor:
    x, alone = as_images(function, x, count)
    if kind_of(x.dtype) not in "fiub":
        raise TypeError(
            f"{function}: `x` holds {x.dtype}, of which none is the largest: pool real numbers"
        )
    window, stride, widths = _read(function, count, kernel_size, stride, padding)
    dilation = pair(function, "dilation", dilation, count, 1)
    size = (x.shape[2], x.shape[3])
    places(function, size, window, stride, widths, dilation)
    options = {"window": window, "stride": stride, "padding": widths, "dilation": dilation}
    return like_input(max_pool2d_(x, size=size, **options)[0], count, alone)  # type: ignore[no-any-return]


def _avg_pool(
    function: str,
    count: int,
    x: Any,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    count_include_pad: bool,
) -> Tensor:
    x, alone = as_images(function, operand(x), count)
    window, stride, widths = _read(function, count, kernel_size, stride, padding)
    size = (x.shape[2], x.shape[3])
    places(function, size, window, stride, widths, (1, 1))
    y = avg_pool2d_(
        x,
        size=size,
        window=window,
        stride=stride,
        padding=widths,
        count_include_pad=bool(count_include_pad),
    )
    return like_input(y, count, alone)  # type: ignore[no-any-return]


def _adaptive_avg_pool(function: str, count: int, x: Any, output_size: Any) -> Tensor:
    x, alone = as_images(function, operand(x), count)
    several = isinstance(output_size, Sequence)
    given = tuple(output_size) if several else (output_size,) * count
    if len(given) == count:
        given = tuple(n if m is None else m for m, n in zip(given, x.shape[-count:]))
    counts = pair(function, "output_size", given, count, 1)
    size = (x.shape[2], x.shape[3])
    if 0 in size:
        raise ValueError(f"{function}: an `x` of shape {tuple(x.shape)} has no elements to average")
    if any(n % m for n, m in zip(size, counts)):
        y = adaptive_avg_pool2d_(x, size=size, counts=counts)
    else:
        window = (size[0] // counts[0], size[1] // counts[1])
        none = ((0, 0), (0, 0))
        options = {"window": window, "stride": window, "padding": none, "count_include_pad": True}
        y = avg_pool2d_(x, size=size, **options)
    return like_input(y, count, alone)  # type: ignore[no-any-return]


def _read(
    function: str, count: int, kernel_size: Any, stride: Any, padding: Any
) -> tuple[Pair, Pair, Widths]:
    """Return window, stride and padding of any pooling."""
    window = pair(function, "kernel_size", kernel_size, count, 1)
    stride = window if stride is None else pair(function, "stride", stride, count, 1)
    rows, columns = pair(function, "padding", padding, count, 0)
    if 2 * rows > window[0] or 2 * columns > window[1]:
        raise ValueError(
            f"{function}: `padding` is {padding!r}, but it must be at most half of `kernel_size`, "
            f"{kernel_size!r}"
        )
    return window, stride, ((rows, rows), (columns, columns))


__all__ = [
    "adaptive_avg_pool1d",
    "adaptive_avg_pool2d",
    "avg_pool1d",
    "avg_pool2d",
    "max_pool1d",
    "max_pool2d",
]
