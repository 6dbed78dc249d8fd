"""Pooling layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from backpass.nn import functional
from backpass.nn.module import LayerError, Module

Sizes = int | Sequence[int]


class _Pool(Module):
    """What the pooling layers share."""

    axes: ClassVar[int]
    function: ClassVar[Callable[..., Any]]
    #: The attributes that are the function's parameters.
    settings: ClassVar[tuple[str, ...]]

    def forward(self, x: Any) -> Any:
        """Compute the output."""
        if len(x.shape) != self.axes + 2:
            lengths = ", ".join(("height", "width") if self.axes == 2 else ("length",))
            raise LayerError(
                self,
                f"expected an input of shape (batch, channels, {lengths}), got {tuple(x.shape)}",
            )
        return type(self).function(x, **{name: getattr(self, name) for name in self.settings})

    def extra_repr(self) -> str:
        """Return the settings."""
        return ", ".join(f"{name}={getattr(self, name)}" for name in self.settings)


class _MaxPool(_Pool):
    settings = ("kernel_size", "stride", "padding", "dilation")

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        dilation: Sizes = 1,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation


class MaxPool1d(_MaxPool):
    """The largest of each window: `backpass.nn.functional.max_pool1d`.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> nn.MaxPool1d(2)(np.array([[[1.0, 4.0, 2.0, 3.0]]]))
    Tensor([[[4., 3.]]])
    """

    axes = 1
    function = staticmethod(functional.max_pool1d)


class MaxPool2d(_MaxPool):
    """The largest of each window: `backpass.nn.functional.max_pool2d`.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> nn.MaxPool2d(2)(np.ones((1, 3, 28, 28))).shape
    (1, 3, 14, 14)
    """

    axes = 2
    function = staticmethod(functional.max_pool2d)


class _AvgPool(_Pool):
    settings = ("kernel_size", "stride", "padding", "count_include_pad")

    def __init__(
        self,
        kernel_size: Sizes,
        stride: Sizes | None = None,
        padding: Sizes = 0,
        count_include_pad: bool = True,
    ) -> None:
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.count_include_pad = count_include_pad


class AvgPool1d(_AvgPool):
    """The mean of each window: `backpass.nn.functional.avg_pool1d`.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> nn.AvgPool1d(2)(np.array([[[1.0, 4.0, 2.0, 3.0]]]))
    Tensor([[[2.5, 2.5]]])
    """

    axes = 1
    function = staticmethod(functional.avg_pool1d)


class AvgPool2d(_AvgPool):
    """The mean of each window: `backpass.nn.functional.avg_pool2d`.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> nn.AvgPool2d(2)(np.ones((1, 3, 28, 28))).shape
    (1, 3, 14, 14)
    """

    axes = 2
    function = staticmethod(functional.avg_pool2d)


class _AdaptiveAvgPool(_Pool):
    settings = ("output_size",)

    def __init__(self, output_size: Sizes) -> None:
        self.output_size = output_size


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Means over as many windows as asked for: `backpass.nn.functional.adaptive_avg_pool1d`.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> nn.AdaptiveAvgPool1d(2)(np.array([[[1.0, 4.0, 2.0]]]))
    Tensor([[[2.5, 3. ]]])
    """

    axes = 1
    function = staticmethod(functional.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Means over as many windows as asked for: `backpass.nn.functional.adaptive_avg_pool2d`.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> nn.AdaptiveAvgPool2d(1)(np.ones((1, 3, 7, 5))).shape
    (1, 3, 1, 1)
    """

    axes = 2
    function = staticmethod(functional.adaptive_avg_pool2d)


__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "MaxPool1d",
    "MaxPool2d",
]
