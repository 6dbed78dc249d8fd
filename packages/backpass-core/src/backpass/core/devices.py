"""Moving trees between devices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from backpass.core import tree
from backpass.core.backends import Backend, backend_of, backend_on
from backpass.core.graph import Node, tell
from backpass.core.tensor import Tensor, is_inexact, live


class _Transfer:
    """Copies to a device; the cotangent is copied back."""

    name = "to_device"

    def __init__(self, source: Backend, target: Backend) -> None:
        self.source = source
        self.target = target

    def pullback(self, g: Any, node: Node, wanted: Any) -> Sequence[Any]:
        """Copy the cotangent back."""
        return (move(g, self.source),)

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Copy the tangent along."""
        return move(tangents[0], self.target)


def move(x: Any, target: Backend) -> Any:
    """Return an array, or a Tensor, on the device of a backend; anything else as it is."""
    value = x.value if isinstance(x, Tensor) else x
    if not isinstance(x, Tensor) and not hasattr(x, "dtype"):
        return x
    source = backend_of((value,))
    if source is target:
        return x
    moved = target.from_host(source.to_host(value))
    moved = moved[()] if isinstance(moved, numpy.ndarray) else moved
    if not isinstance(x, Tensor):
        return moved
    node = live(x)
    if node is None or not is_inexact(value):
        return Tensor(moved)
    transfer = _Transfer(source, target)
    made = Node(transfer, (node,), None, None, moved.shape, moved.dtype)
    tell(transfer, (node,), moved, None, made)
    return Tensor(moved, made)


def beside(x: Any, value: Any) -> Any:
    """Return an array, or a Tensor, on the device of `value`.

    A NumPy scalar may meet arrays of any device, and its cotangent comes from there.
    """
    return move(x, backend_of((value,)))


def to_device(values: Any, device: str) -> Any:
    """Return a tree whose Tensors and arrays lie on `device`: `"cpu"` or `"cuda"`.

    What lies there already is not copied.  Differentiable: cotangents are copied back.

    Raises
    ------
    RuntimeError
        If there is no backend for the device.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import to_device
    >>> to_device([np.array([1.0, 2.0])], "cpu")
    [Tensor([1., 2.])]
    """
    target = backend_on(device)
    return tree.map(lambda x: move(x, target), values)
