"""Layers without weights that arrange their input anew."""

from __future__ import annotations

import math
from typing import Any

import backpass.numpy as np
from backpass.nn.module import LayerError, Module


class Flatten(Module):
    """Make one axis of several.

    Parameters
    ----------
    start_axis, end_axis : int
        The first and the last of them; by default all but the first axis, which counts the batch.

    Raises
    ------
    LayerError
        When called, if the input does not have these axes.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> nn.Flatten()(np.ones((2, 3, 4))).shape
    (2, 12)
    """

    def __init__(self, start_axis: int = 1, end_axis: int = -1) -> None:
        self.start_axis = start_axis
        self.end_axis = end_axis

    def forward(self, x: Any) -> Any:
        """Return the input in its new shape."""
        shape = tuple(x.shape)
        start, end = (i + len(shape) * (i < 0) for i in (self.start_axis, self.end_axis))
        if not 0 <= start <= end < len(shape):
            raise LayerError(
                self,
                f"expected an input with the axes {self.start_axis} to {self.end_axis}, in this "
                f"order, got {shape}",
            )
        middle = math.prod(shape[start : end + 1])
        return np.reshape(x, (*shape[:start], middle, *shape[end + 1 :]))

    def extra_repr(self) -> str:
        """Return the axes."""
        return f"{self.start_axis}, {self.end_axis}"


class Identity(Module):
    """Return the input.

    Examples
    --------
    >>> from backpass import nn
    >>> nn.Identity()(3.0)
    3.0
    """

    def forward(self, x: Any) -> Any:
        """Return the input."""
        return x


__all__ = ["Flatten", "Identity"]
