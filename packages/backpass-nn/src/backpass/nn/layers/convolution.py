"""Convolutional layers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

from backpass.nn import functional, initialisers
from backpass.nn.functional.windows import pair
from backpass.nn.initialisers import Initialiser
from backpass.nn.module import LayerError, Module
from backpass.nn.parameter import Parameter

Sizes = int | Sequence[int]


class _Convolution(Module):
    """What the convolutional layers share: the weights, and the check of the input."""

    axes: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Sizes | str = 0,
        dilation: Sizes = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        init: Initialiser | None = None,
    ) -> None:
        name = type(self).__name__
        pair(name, "in_channels", in_channels, 1, 1)
        pair(name, "out_channels", out_channels, 1, 1)
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{name}: `groups` is {groups}, but it must divide in_channels, {in_channels}, "
                f"and out_channels, {out_channels}"
            )
        kernel = pair(name, "kernel_size", kernel_size, self.axes, 1)[-self.axes :]
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups
        shape = (out_channels, in_channels // groups, *kernel)
        fan_in = math.prod(shape[1:])
        self.weight = Parameter(
            initialisers.fan_in_uniform(shape, fan_in) if init is None else init(shape)
        )
        self.bias = (
            Parameter(initialisers.fan_in_uniform((out_channels,), fan_in)) if bias else None
        )

    def forward(self, x: Any) -> Any:
        """Compute the output."""
        channels = self.weight.shape[1] * self.groups
        if len(x.shape) != self.axes + 2 or x.shape[1] != channels:
            lengths = ", ".join(("height", "width") if self.axes == 2 else ("length",))
            raise LayerError(
                self,
                f"expected an input of shape (batch, {channels}, {lengths}), got {tuple(x.shape)}",
            )
        function = functional.conv2d if self.axes == 2 else functional.conv1d
        return function(
            x, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        """Return the sizes and what is not usual."""
        out_channels, in_channels, *kernel = self.weight.shape
        usual = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
        rest = [f"{k}={getattr(self, k)!r}" for k, v in usual.items() if getattr(self, k) != v]
        size = kernel[0] if len(set(kernel)) == 1 else tuple(kernel)
        bias = [] if self.bias is not None else ["bias=False"]
        numbers = [str(in_channels * self.groups), str(out_channels), f"kernel_size={size}"]
        return ", ".join([*numbers, *rest, *bias])


class Conv1d(_Convolution):
    """A convolution over one axis: `backpass.nn.functional.conv1d` with weights of its own.

    Parameters
    ----------
    in_channels, out_channels : int
        The lengths of axis 1 of the input, (batch, in_channels, length), and of the output.
    kernel_size, stride, padding, dilation, groups
        As in `conv1d`.
    bias : bool
        Whether something is added to each channel.
    init : callable, optional
        The initialiser of `weight`. By default both are drawn evenly from within
        ``1 / sqrt(fan_in)`` of zero, as in PyTorch.

    Attributes
    ----------
    weight : Parameter, shape (out_channels, in_channels // groups, kernel_size)
    bias : Parameter, shape (out_channels,), or None

    Raises
    ------
    ValueError
        If `groups` does not divide the channels, or they or `kernel_size` are not positive.
    LayerError
        When called, if the input has another number of axes or channels.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> nn.Conv1d(3, 8, kernel_size=5, padding="same")(np.ones((2, 3, 16))).shape
    (2, 8, 16)
    """

    axes = 1


class Conv2d(_Convolution):
    """A convolution over two axes: `backpass.nn.functional.conv2d` with weights of its own.

    Parameters
    ----------
    in_channels, out_channels : int
        The lengths of axis 1 of the input, (batch, in_channels, height, width), and of the output.
    kernel_size, stride, padding, dilation, groups
        As in `conv2d`.
    bias, init
        As in `Conv1d`.

    Attributes
    ----------
    weight : Parameter, shape (out_channels, in_channels // groups, height, width)
    bias : Parameter, shape (out_channels,), or None

    Raises
    ------
    ValueError, LayerError
        As `Conv1d`.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> layer = nn.Conv2d(1, 32, kernel_size=5, stride=2)
    >>> layer
    Conv2d(1, 32, kernel_size=5, stride=2)
    >>> layer(np.ones((2, 1, 28, 28))).shape
    (2, 32, 12, 12)
    """

    axes = 2


__all__ = ["Conv1d", "Conv2d"]
