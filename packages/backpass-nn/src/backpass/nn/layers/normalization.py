"""Layers that normalise: batch norm, layer norm, RMS norm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from backpass.core.segments import running_again
from backpass.nn import initialisers
from backpass.nn.functional.normalization import batch_norm, layer_norm, rms_norm
from backpass.nn.module import LayerError, Module
from backpass.nn.parameter import Buffer, Parameter


class _BatchNorm(Module):
    """Batch norm over all axes but the second."""

    #: What the axes of an input may be.
    expected: tuple[str, ...] = ()

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
    ) -> None:
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        shape = (num_features,)
        self.weight = Parameter(initialisers.ones(shape)) if affine else None
        self.bias = Parameter(initialisers.zeros(shape)) if affine else None
        self.running_mean = self.running_var = self.num_batches_tracked = None
        if track_running_stats:
            self.running_mean = Buffer(initialisers.zeros(shape))
            self.running_var = Buffer(initialisers.ones(shape))
            self.num_batches_tracked = Buffer(numpy.zeros((), numpy.int64))

    def forward(self, x: Any) -> Any:
        """Normalise; in training, bring the running statistics up to date."""
        shapes = [axes.format(self.num_features) for axes in self.expected]
        fitting = [axes.count(",") + 1 for axes in shapes]
        if len(x.shape) not in fitting or x.shape[1] != self.num_features:
            raise LayerError(
                self, f"expected an input of shape {' or '.join(shapes)}, got {tuple(x.shape)}"
            )
        momentum, count = self.momentum, self.num_batches_tracked
        if momentum is None:
            momentum = 1 / (int(count.value) + 1) if self.training and count is not None else 0.0
        y = batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=self.training,
            momentum=momentum,
            eps=self.eps,
        )
        if count is not None and self.training and not running_again():
            number = count.value.copy()
            number += 1
            count.value = number
        return y

    def extra_repr(self) -> str:
        """Return the size and the settings that are not usual."""
        parts = [str(self.num_features)]
        if self.eps != 1e-5:
            parts.append(f"eps={self.eps}")
        if self.momentum != 0.1:
            parts.append(f"momentum={self.momentum}")
        if self.weight is None:
            parts.append("affine=False")
        if self.running_mean is None:
            parts.append("track_running_stats=False")
        return ", ".join(parts)


class BatchNorm1d(_BatchNorm):
    """Batch norm for inputs of shape (n, channels) or (n, channels, length).

    In training each channel is normalised by the mean and variance of the batch, and the running
    statistics follow these; in evaluation the running ones are used. They are Buffers, written as
    plain arrays: also inside `grad`, and then to the caller's model.

    Parameters
    ----------
    num_features : int
        The number of channels.
    eps : float
        Added to the variance.
    momentum : float, optional
        The weight of a batch in the running statistics; with `None` they are the means over all
        batches.
    affine : bool
        Whether each channel is scaled and shifted afterwards.
    track_running_stats : bool
        Whether there are running statistics; otherwise those of the batch are used always.

    Attributes
    ----------
    weight, bias : Parameter, shape (num_features,), or None
    running_mean, running_var : Buffer, shape (num_features,), or None
        The variance is corrected for the number of samples.
    num_batches_tracked : Buffer of int64, shape (), or None

    Raises
    ------
    LayerError
        When called, if the input has another shape.
    ValueError
        When called in training, if a channel has a single number.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> norm = nn.BatchNorm1d(1, eps=0)
    >>> norm(np.array([[1.0], [3.0]])).T
    Tensor([[-1.,  1.]])
    >>> norm.running_mean, norm.running_var
    (Buffer([0.2], dtype=float32), Buffer([1.1], dtype=float32))
    """

    expected = ("(n, {})", "(n, {}, length)")


class BatchNorm2d(_BatchNorm):
    """Batch norm for inputs of shape (n, channels, height, width); otherwise as `BatchNorm1d`.

    Parameters
    ----------
    num_features, eps, momentum, affine, track_running_stats
        As those of `BatchNorm1d`.

    Raises
    ------
    LayerError
        When called, if the input has another shape.
    ValueError
        When called in training, if a channel has a single number.

    Examples
    --------
    >>> from backpass import nn
    >>> nn.BatchNorm2d(16)
    BatchNorm2d(16)
    """

    expected = ("(n, {}, height, width)",)


def _as_shape(normalized_shape: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(normalized_shape, Sequence):
        return tuple(map(int, normalized_shape))
    return (int(normalized_shape),)


def _check_last(layer: Module, x: Any, shape: tuple[int, ...]) -> None:
    if tuple(x.shape[-len(shape) :]) != shape:
        axes = ", ".join(map(str, shape))
        raise LayerError(layer, f"expected an input of shape (..., {axes}), got {tuple(x.shape)}")


class LayerNorm(Module):
    """Brings the last axes to mean 0 and variance 1, then scales and shifts them.

    Parameters
    ----------
    normalized_shape : int or tuple of int
        The lengths of the last axes.
    eps : float
        Added to the variance.
    elementwise_affine : bool
        Whether there is a weight, and a bias.
    bias : bool
        Whether there is a bias.

    Attributes
    ----------
    weight, bias : Parameter, shape normalized_shape, or None

    Raises
    ------
    LayerError
        When called, if the last axes have other lengths.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> nn.LayerNorm(2)(np.array([[1.0, 3.0]])).round(3)
    Tensor([[-1.,  1.]])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ) -> None:
        self.normalized_shape = shape = _as_shape(normalized_shape)
        self.eps = eps
        self.weight = Parameter(initialisers.ones(shape)) if elementwise_affine else None
        self.bias = Parameter(initialisers.zeros(shape)) if elementwise_affine and bias else None

    def forward(self, x: Any) -> Any:
        """Normalise each part of the normalised shape by itself."""
        _check_last(self, x, self.normalized_shape)
        return layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Return the shape and the settings."""
        affine = "" if self.weight is not None else ", elementwise_affine=False"
        return f"{self.normalized_shape}, eps={self.eps}{affine}"


class RMSNorm(Module):
    """Divides the last axes by their root mean square, then scales them.

    Parameters
    ----------
    normalized_shape : int or tuple of int
        The lengths of the last axes.
    eps : float, optional
        Added to the mean square; by default the spacing of floats of the input's dtype at 1.
    elementwise_affine : bool
        Whether there is a weight.

    Attributes
    ----------
    weight : Parameter, shape normalized_shape, or None

    Raises
    ------
    LayerError
        When called, if the last axes have other lengths.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> nn.RMSNorm(2)(np.array([[3.0, 4.0]])).round(3)
    Tensor([[0.849, 1.131]])
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
    ) -> None:
        self.normalized_shape = shape = _as_shape(normalized_shape)
        self.eps = eps
        self.weight = Parameter(initialisers.ones(shape)) if elementwise_affine else None

    def forward(self, x: Any) -> Any:
        """Normalise each part of the normalised shape by itself."""
        _check_last(self, x, self.normalized_shape)
        return rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """Return the shape and the settings."""
        affine = "" if self.weight is not None else ", elementwise_affine=False"
        return f"{self.normalized_shape}, eps={self.eps}{affine}"


__all__ = ["BatchNorm1d", "BatchNorm2d", "LayerNorm", "RMSNorm"]
