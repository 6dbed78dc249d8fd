"""The dense layer."""

from __future__ import annotations

from typing import Any

from backpass.nn import functional, initialisers
from backpass.nn.initialisers import Initialiser
from backpass.nn.module import LayerError, Module
from backpass.nn.parameter import Parameter


class Linear(Module):
    """A dense layer: ``x @ weight.T + bias``.

    Parameters
    ----------
    in_features, out_features : int
        The lengths of the last axis of the input and of the output.
    bias : bool
        Whether something is added.
    init : callable, optional
        The initialiser of `weight`, such as `backpass.nn.initialisers.orthogonal`. By default both
        are drawn evenly from within ``1 / sqrt(in_features)`` of zero, as in PyTorch.

    Attributes
    ----------
    weight : Parameter, shape (out_features, in_features)
    bias : Parameter, shape (out_features,), or None

    Raises
    ------
    LayerError
        When called, if the last axis of the input has another length than `in_features`.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> layer = nn.Linear(3, 2)
    >>> layer
    Linear(3, 2)
    >>> layer(np.ones((5, 3), dtype=np.float32)).shape
    (5, 2)
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        init: Initialiser | None = None,
    ) -> None:
        shape = (out_features, in_features)
        self.weight = Parameter(
            initialisers.fan_in_uniform(shape, in_features) if init is None else init(shape)
        )
        self.bias = (
            Parameter(initialisers.fan_in_uniform((out_features,), in_features)) if bias else None
        )

    def forward(self, x: Any, activation: str | None = None) -> Any:
        """Compute the output, of shape (..., out_features).

        Parameters
        ----------
        x : array, shape (..., in_features)
        activation : {None, "relu", "tanh", "sigmoid"}
            What is applied to it, as part of this operation: see `functional.linear`.
        """
        in_features = self.weight.shape[1]
        if len(x.shape) < 1 or x.shape[-1] != in_features:
            raise LayerError(
                self,
                f"expected an input of shape (..., {in_features}), got {tuple(x.shape)}",
            )
        return functional.linear(x, self.weight, self.bias, activation)

    def extra_repr(self) -> str:
        """Return the sizes."""
        out_features, in_features = self.weight.shape
        return f"{in_features}, {out_features}" + (", bias=False" if self.bias is None else "")


__all__ = ["Linear"]
