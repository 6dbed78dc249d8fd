"""Layers that drop elements, or whole channels, in training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backpass.core import Tensor
from backpass.nn.functional.dropout import check_rate, dropout, dropout1d, dropout2d
from backpass.nn.module import LayerError, Module


class _Dropout(Module):
    """Sets what `drop` chooses to 0 in training."""

    drop: Callable[..., Tensor]
    #: The axes of the input, by name; `None`: any number of them.
    axes: tuple[str, ...] | None = None

    def __init__(self, rate: float = 0.5) -> None:
        self.rate = check_rate(type(self).__name__, rate)

    def forward(self, x: Any) -> Any:
        """Drop in training; the mask follows from the next key of `backpass.nn.random`."""
        if self.axes is not None and len(x.shape) != len(self.axes):
            raise LayerError(
                self, f"expected an input of shape ({', '.join(self.axes)}), got {tuple(x.shape)}"
            )
        return type(self).drop(x, self.rate, self.training)

    def extra_repr(self) -> str:
        """Return the rate."""
        return str(self.rate)


class Dropout(_Dropout):
    """In training, sets each element to 0 with a probability, and divides the others by the rest.

    Parameters
    ----------
    rate : float
        The probability, from 0 to 1.

    Raises
    ------
    ValueError
        If `rate` is no probability.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> nn.seed(0)
    >>> drop = nn.Dropout(0.5)
    >>> drop(np.ones(6))
    Tensor([0., 2., 2., 0., 2., 2.])
    >>> drop.eval()(np.ones(6))
    Tensor([1., 1., 1., 1., 1., 1.])
    """

    drop = staticmethod(dropout)


class Dropout1d(_Dropout):
    """In training, sets whole channels of inputs of shape (n, channels, length) to 0.

    Parameters
    ----------
    rate : float
        The probability, from 0 to 1.

    Raises
    ------
    ValueError
        If `rate` is no probability.
    LayerError
        When called, if the input does not have three axes.

    Examples
    --------
    >>> from backpass import nn
    >>> nn.Dropout1d(0.1)
    Dropout1d(0.1)
    """

    drop = staticmethod(dropout1d)
    axes = ("n", "channels", "length")


class Dropout2d(_Dropout):
    """In training, sets whole channels of inputs of shape (n, channels, height, width) to 0.

    Parameters
    ----------
    rate : float
        The probability, from 0 to 1.

    Raises
    ------
    ValueError
        If `rate` is no probability.
    LayerError
        When called, if the input does not have four axes.

    Examples
    --------
    >>> from backpass import nn
    >>> nn.Dropout2d(0.1)
    Dropout2d(0.1)
    """

    drop = staticmethod(dropout2d)
    axes = ("n", "channels", "height", "width")


__all__ = ["Dropout", "Dropout1d", "Dropout2d"]
