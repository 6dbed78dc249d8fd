"""Convolution, which is one trilinear form seen from three sides.

Of an input x, a weight w and something y of the output's shape, ``sum(y * conv2d(x, w))`` is linear
in each.  So there are three primitives, `conv2d` of x and w, `conv2d_input` of y and w, and
`conv2d_weight` of y and x; each one's derivatives are the other two, and the same keywords describe
the windows of all.  Along one axis they run with a height of 1.

The reference gathers the windows of a block of the batch as the columns of a matrix ("im2col":
K. Chellapilla, S. Puri, P. Simard, "High Performance Convolutional Neural Networks for Document
Processing", 2006), and leaves the rest to a matrix product.  A block is as large as the processor's
cache can hold, so that the columns never lie in memory all at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy

import backpass.numpy as np
from backpass.core import Tensor
from backpass.core.batches import Batch, Unbatched, batched, folded
from backpass.core.extend import bilinear, defjvp, defvjp, primitive
from backpass.nn.functional.windows import (
    Pair,
    Widths,
    as_images,
    like_input,
    opposite,
    padded,
    pair,
    placed,
    places,
    steps,
    windows,
)

#: How many elements the columns of a block have, about.
_BLOCK = 1 << 20
#: How many columns it has at least, lest the products be thin.
_LEAST = 256


# ----- the three primitives ---------------------------------------------------------------------


@primitive(name="conv2d")
def conv2d_(
    xp: Any,
    x: Any,
    weight: Any,
    bias: Any,
    *,
    size: Pair,
    window: Pair,
    stride: Pair,
    padding: Widths,
    dilation: Pair,
    groups: int,
) -> Any:
    """Correlate x (batch, channels, *size) with weight (out, channels / groups, *window).

    `bias`, of shape (out,), is added to every place of an output channel; it may be None.
    """
    counts = placed(size, window, stride, padding, dilation)
    out = weight.shape[0]
    dtype = xp.result_type(*(a for a in (x, weight, bias) if a is not None))
    made = xp.empty((x.shape[0], out, *counts), dtype)
    rows = weight.reshape(groups, out // groups, -1)
    for block, columns in _blocks(xp, x, window, stride, padding, dilation, groups, counts):
        product = np.matmul.op(rows, columns).reshape(out, -1, *counts).transpose(1, 0, 2, 3)
        if bias is None:
            made[block] = product
        else:
            xp.add(product, bias[:, None, None], out=made[block])
    return made


@primitive
def conv2d_input(
    xp: Any,
    y: Any,
    weight: Any,
    *,
    size: Pair,
    window: Pair,
    stride: Pair,
    padding: Widths,
    dilation: Pair,
    groups: int,
) -> Any:
    """Spread y (batch, out, *places) over an input of `size` by the weight: conv2d transposed."""
    batch, out, *counts = y.shape
    inner = weight.shape[1]
    if stride == (1, 1) and out * math.prod(size) <= groups * inner * math.prod(counts):
        return _input_by_turning(y, weight, size, window, padding, dilation, groups)
    made = xp.empty((batch, groups * inner, *size), xp.result_type(y, weight))
    rows = weight.reshape(groups, out // groups, -1).transpose(0, 2, 1)
    shape = [n + before + after for n, (before, after) in zip(size, padding)]
    for block in _slices(batch, rows[..., 0].size, counts):
        # The batch comes last here, so that what is added lies in long runs.
        part = y[block].transpose(1, 2, 3, 0).reshape(groups, out // groups, -1)
        columns = np.matmul.op(rows, part).reshape(groups * inner, *window, *counts, -1)
        wide = xp.zeros((groups * inner, *shape, columns.shape[-1]), made.dtype)
        for (i, j), (_, *there) in steps(window, stride, dilation, (counts[0], counts[1])):
            wide[(slice(None), *there)] += columns[:, i, j]
        made[block] = padded(xp, wide.transpose(3, 0, 1, 2), opposite(padding))
    return made


def _input_by_turning(
    y: Any,
    weight: Any,
    size: Pair,
    window: Pair,
    padding: Widths,
    dilation: Pair,
    groups: int,
) -> Any:
    """Return conv2d_input, for a stride of 1, as another convolution: with the window turned round.

    It has columns of out rows, one for each element of the input; the general way has columns of as
    many rows as there are input channels, one for each place, and adds them up.
    """
    inner, counts = weight.shape[1], (y.shape[2], y.shape[3])
    turned = weight.reshape(groups, -1, inner, *window)[..., ::-1, ::-1]
    turned = turned.transpose(0, 2, 1, 3, 4).reshape(groups * inner, -1, *window)
    rows, columns = (
        (d * (k - 1) - before, n - m + before)
        for n, m, k, d, (before, _) in zip(size, counts, window, dilation, padding)
    )
    return conv2d_.op(
        y,
        turned,
        None,
        size=counts,
        window=window,
        stride=(1, 1),
        padding=(rows, columns),
        dilation=dilation,
        groups=groups,
    )


@primitive
def conv2d_weight(
    xp: Any,
    y: Any,
    x: Any,
    *,
    size: Pair,
    window: Pair,
    stride: Pair,
    padding: Widths,
    dilation: Pair,
    groups: int,
) -> Any:
    """Correlate y (batch, out, *places) with what the window has seen of x: a weight."""
    out, channels, counts = y.shape[1], x.shape[1], (y.shape[2], y.shape[3])
    shape = (groups, out // groups, channels // groups * window[0] * window[1])
    made = xp.zeros(shape, xp.result_type(y, x))
    for block, columns in _blocks(xp, x, window, stride, padding, dilation, groups, counts):
        made += np.matmul.op(_side_by_side(xp, y[block], groups), columns.transpose(0, 2, 1))
    return made.reshape(out, channels // groups, *window)


def _blocks(
    xp: Any,
    x: Any,
    window: Pair,
    stride: Pair,
    padding: Widths,
    dilation: Pair,
    groups: int,
    counts: Pair,
) -> Iterator[tuple[slice, Any]]:
    """Yield blocks of the batch, with their windows as columns: (groups, elements, places)."""
    rows = x.shape[1] * window[0] * window[1]
    for block in _slices(x.shape[0], rows, counts):
        part = padded(xp, x[block], padding)
        columns = windows(xp, part, window, stride, dilation, counts)
        yield block, columns.reshape(groups, rows // groups, -1)


def _slices(batch: int, rows: int, counts: Any) -> Iterator[slice]:
    """Yield the blocks of the batch, so large that a matrix product is worth its while."""
    columns = max(counts[0] * counts[1], 1)
    length = max(_BLOCK // max(rows * columns, 1), -(-_LEAST // columns), 1)
    for first in range(0, batch, length):
        yield slice(first, first + length)


def _side_by_side(xp: Any, y: Any, groups: int) -> Any:
    """Return (batch, out, *places) as (groups, out / groups, batch * places)."""
    batch, out, *counts = y.shape
    shape = (groups, out // groups, batch * counts[0] * counts[1])
    return y.transpose(1, 0, 2, 3).reshape(shape)


defvjp(
    conv2d_,
    lambda g, weight, **windows: conv2d_input.op(g, weight, **windows),
    lambda g, x, **windows: conv2d_weight.op(g, x, **windows),
    lambda g, **windows: g.sum(axis=(0, 2, 3)),
)
defjvp(
    conv2d_,
    lambda t, weight, **windows: conv2d_.op(t, weight, None, **windows),
    lambda t, x, **windows: conv2d_.op(x, t, None, **windows),
    lambda t, **windows: t.reshape(1, -1, 1, 1),
)
bilinear(
    conv2d_input,
    lambda g, weight, **windows: conv2d_.op(g, weight, None, **windows),
    lambda g, y, **windows: conv2d_weight.op(y, g, **windows),
)
bilinear(
    conv2d_weight,
    lambda g, x, **windows: conv2d_.op(x, g, None, **windows),
    lambda g, y, **windows: conv2d_input.op(y, g, **windows),
)


def _conv2d_batch(f: Any, xs: Sequence[Any], kwargs: Any) -> Batch:
    """Lay many cotangents of images end to end, and those of weights side by side."""
    images, other, *bias = xs
    if any(b is not None for b in bias):
        raise Unbatched("a convolution with a bias")
    if f is not conv2d_weight and isinstance(images, Batch):
        return folded(f, (images, other, *bias), kwargs)
    if kwargs["groups"] != 1:
        raise Unbatched("a convolution in groups")
    if f is conv2d_weight:
        # From the output's channels, or the input's, to the same ones of the weight.
        first = isinstance(images, Batch)
        return folded(f, xs, kwargs, axis=1, out=0 if first else 1)
    return folded(f, xs, kwargs, axis=0 if f is conv2d_ else 1, out=1)


batched(_conv2d_batch, conv2d_, conv2d_input, conv2d_weight)

# ----- the public functions ---------------------------------------------------------------------


def conv1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Slide windows over a sequence, and multiply what each sees by the weight.

    As `conv2d`, along one axis: `x` of shape (batch, in_channels, length), or without the batch,
    and `weight` of shape (out_channels, in_channels / groups, width).

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.nn import functional
    >>> x = np.array([[[1.0, 2.0, 4.0, 8.0]]])
    >>> functional.conv1d(x, np.array([[[-1.0, 1.0]]]))
    Tensor([[[1., 2., 4.]]])
    """
    return _convolve("conv1d", 1, x, weight, bias, stride, padding, dilation, groups)


def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    """Slide windows over images, and multiply what each sees by the weight.

    The output is ``y[n, o, h, w] = bias[o] + sum(weight[o, c, i, j] * x[n, c, h * stride + i *
    dilation - padding, w * stride + j * dilation - padding])`` over c, i and j: the window is not
    turned round, as in all libraries for networks (V. Dumoulin, F. Visin, "A guide to convolution
    arithmetic for deep learning", 2016).

    Parameters
    ----------
    x : Tensor or array, shape (batch, in_channels, height, width)
        Images; one alone may lack the batch, and the output then lacks it, too.
    weight : Tensor or array, shape (out_channels, in_channels / groups, window height, its width)
    bias : Tensor or array, shape (out_channels,), optional
    stride : int or two of them
        How far apart the windows lie, at least 1.
    padding : int, two of them, "valid" or "same"
        How many zeros surround the images: none with "valid"; with "same" as many as keep the size,
        with one more after than before if they are odd.
    dilation : int or two of them
        How far apart the elements of a window lie, at least 1.
    groups : int
        Input and output channels fall into as many groups, each of which sees only its own.

    Returns
    -------
    Tensor
        Of shape (batch, out_channels, ``(height + 2 * padding - dilation * (window height - 1) - 1)
        // stride + 1``, and likewise for the width), in the operands' common dtype.

    Raises
    ------
    ValueError
        If shapes do not agree, a window is larger than the padded image, or an option is out of
        range.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import grad
    >>> from backpass.nn import functional
    >>> x = np.arange(9.0).reshape(1, 1, 3, 3)
    >>> weight = np.array([[[[0.0, 1.0], [-1.0, 0.0]]]])
    >>> functional.conv2d(x, weight, np.array([0.5]))
    Tensor([[[[-1.5, -1.5],
             [-1.5, -1.5]]]])
    >>> functional.conv2d(x, weight, padding="same").shape
    (1, 1, 3, 3)
    >>> grad(lambda w: functional.conv2d(x, w, stride=2).sum())(weight)
    array([[[[0., 1.],
             [3., 4.]]]])
    """
    return _convolve("conv2d", 2, x, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Spread each element of a sequence over a window: what `conv1d`'s gradient does.

    As `conv_transpose2d`, along one axis.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.nn import functional
    >>> x = np.array([[[1.0, 2.0]]])
    >>> functional.conv_transpose1d(x, np.array([[[1.0, 1.0, 1.0]]]), stride=2)
    Tensor([[[1., 1., 3., 2., 2.]]])
    """
    options = (stride, padding, output_padding, groups, dilation)
    return _transposed("conv_transpose1d", 1, x, weight, bias, *options)


def conv_transpose2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Any = 1,
    padding: Any = 0,
    output_padding: Any = 0,
    groups: int = 1,
    dilation: Any = 1,
) -> Tensor:
    """Spread each pixel over a window: what `conv2d`'s gradient does, as a layer that enlarges.

    Parameters
    ----------
    x : Tensor or array, shape (batch, in_channels, height, width)
        Images; one alone may lack the batch.
    weight : Tensor or array, shape (in_channels, out_channels / groups, window height, its width)
    bias : Tensor or array, shape (out_channels,), optional
    stride, dilation : int or two of them
        How far apart the windows, and the elements of a window, lie in the output.
    padding : int or two of them
        How many rows and columns are cut away all around the output.
    output_padding : int or two of them
        How many are added below and on the right, less than `stride` or `dilation`: of several
        sizes that `conv2d` makes one, it chooses.
    groups : int
        As in `conv2d`.

    Returns
    -------
    Tensor
        Of shape (batch, out_channels, ``(height - 1) * stride - 2 * padding + dilation * (window
        height - 1) + output_padding + 1``, and likewise for the width).

    Raises
    ------
    ValueError
        If shapes do not agree, or an option is out of range.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.nn import functional
    >>> x = np.ones((1, 8, 7, 7))
    >>> functional.conv_transpose2d(x, np.ones((8, 4, 2, 2)), stride=2).shape
    (1, 4, 14, 14)
    """
    options = (stride, padding, output_padding, groups, dilation)
    return _transposed("conv_transpose2d", 2, x, weight, bias, *options)


def _convolve(
    function: str,
    count: int,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    groups: int,
) -> Tensor:
    x, alone = as_images(function, x, count)
    weight, window = _as_weight(function, weight, count)
    stride = pair(function, "stride", stride, count, 1)
    dilation = pair(function, "dilation", dilation, count, 1)
    widths = _widths(function, padding, count, window, stride, dilation)
    out, inner = weight.shape[:2]
    groups = _as_groups(function, groups, out, "out_channels")
    if x.shape[1] != inner * groups:
        raise ValueError(
            f"{function}: `x` has {x.shape[1]} channels, but `weight` of shape "
            f"{_shape(weight, count)} with groups={groups} takes {inner * groups}"
        )
    bias = _as_bias(function, bias, out)
    size = (x.shape[2], x.shape[3])
    places(function, size, window, stride, widths, dilation)
    y = conv2d_(
        x,
        weight,
        bias,
        size=size,
        window=window,
        stride=stride,
        padding=widths,
        dilation=dilation,
        groups=groups,
    )
    return like_input(y, count, alone)  # type: ignore[no-any-return]


def _transposed(
    function: str,
    count: int,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Any,
    padding: Any,
    output_padding: Any,
    groups: int,
    dilation: Any,
) -> Tensor:
    x, alone = as_images(function, x, count)
    weight, window = _as_weight(function, weight, count)
    stride = pair(function, "stride", stride, count, 1)
    dilation = pair(function, "dilation", dilation, count, 1)
    rows, columns = pair(function, "padding", padding, count, 0)
    extra = pair(function, "output_padding", output_padding, count, 0)
    inner, out = weight.shape[0], weight.shape[1]
    groups = _as_groups(function, groups, inner, "in_channels")
    if x.shape[1] != inner:
        raise ValueError(
            f"{function}: `x` has {x.shape[1]} channels, but `weight` of shape "
            f"{_shape(weight, count)} takes {inner}"
        )
    if any(e and e >= max(s, d) for e, s, d in zip(extra, stride, dilation)):
        raise ValueError(
            f"{function}: `output_padding` is {output_padding!r}, but it must be less than "
            "`stride` or `dilation`"
        )
    bias = _as_bias(function, bias, out * groups)
    height, width = (
        (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        for n, s, p, d, k, e in zip(x.shape[2:], stride, (rows, columns), dilation, window, extra)
    )
    if min(height, width) < 1:
        raise ValueError(f"{function}: `padding` of {padding!r} cuts the whole output away")
    y = conv2d_input(
        x,
        weight,
        size=(height, width),
        window=window,
        stride=stride,
        # What is added after the end no window has seen.
        padding=((rows, rows - extra[0]), (columns, columns - extra[1])),
        dilation=dilation,
        groups=groups,
    )
    if bias is not None:
        y = y + bias.reshape(-1, 1, 1)
    return like_input(y, count, alone)  # type: ignore[no-any-return]


# ----- reading arguments ------------------------------------------------------------------------


def _as_weight(function: str, weight: Any, count: int) -> tuple[Any, Pair]:
    """Return a weight with two axes of the window, and the window."""
    weight = weight if hasattr(weight, "shape") else np.array(weight)
    if len(weight.shape) != count + 2 or 0 in weight.shape:
        raise ValueError(
            f"{function}: `weight` has shape {tuple(weight.shape)}, but it must have {count + 2} "
            "axes, none of length 0"
        )
    height, width = (1, *weight.shape[-count:])[-2:]
    shape = (*weight.shape[:2], height, width)
    return (weight if weight.shape == shape else weight.reshape(shape)), (height, width)


def _shape(weight: Any, count: int) -> tuple[int, ...]:
    """Return the shape that a weight had before `_as_weight`."""
    return weight.shape[:2] + weight.shape[4 - count :]  # type: ignore[no-any-return]


def _as_bias(function: str, bias: Any, channels: int) -> Any:
    if bias is None:
        return None
    bias = bias if hasattr(bias, "shape") else np.array(bias)
    if bias.shape != (channels,):
        raise ValueError(
            f"{function}: `bias` has shape {tuple(bias.shape)}, but there are {channels} output "
            f"channels: it must be {(channels,)}"
        )
    return bias


def _as_groups(function: str, groups: Any, channels: int, name: str) -> int:
    if not (isinstance(groups, int | numpy.integer) and groups >= 1 and channels % groups == 0):
        raise ValueError(
            f"{function}: `groups` is {groups!r}, but it must be a whole number that divides "
            f"{name}, {channels}"
        )
    return int(groups)


def _widths(
    function: str, padding: Any, count: int, window: Pair, stride: Pair, dilation: Pair
) -> Widths:
    """Return how many zeros stand before and after, along each axis."""
    if not isinstance(padding, str):
        rows, columns = pair(function, "padding", padding, count, 0)
        return (rows, rows), (columns, columns)
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding != "same":
        raise ValueError(
            f'{function}: `padding` is {padding!r}, but it must be "same", "valid" or numbers'
        )
    if stride != (1, 1):
        raise ValueError(
            f'{function}: padding="same" keeps the size, but a stride of {stride} does not: give '
            "`padding` as numbers"
        )
    spans = [d * (k - 1) for d, k in zip(dilation, window)]
    return (spans[0] // 2, -(-spans[0] // 2)), (spans[1] // 2, -(-spans[1] // 2))


__all__ = ["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d"]
