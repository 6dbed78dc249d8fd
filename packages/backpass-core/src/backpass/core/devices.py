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
    """Copies to a device; the cotangent is copied back to where the value was."""

    name = "to_device"

    def __init__(self, source: Backend, value: Any, target: Backend, moved: Any) -> None:
        self.source, self.origin = source, _device(value)
        self.target, self.goal = target, _device(moved)

    def pullback(self, g: Any, node: Node, wanted: Any) -> Sequence[Any]:
        """Copy the cotangent back."""
        return (move(g, self.source, self.origin),)

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Copy the tangent along."""
        return move(tangents[0], self.target, self.goal)


def _device(value: Any) -> Any:
    """Return which of its backend's devices an array lies on."""
    return getattr(value, "device", None)


def move(x: Any, target: Backend, device: Any = None) -> Any:
    """Return an array, or a Tensor, on a device of a backend; anything else as it is.

    `device` is the `.device` of an array; by default, where the backend makes arrays now.
    """
    value = x.value if isinstance(x, Tensor) else x
    if not isinstance(x, Tensor) and not hasattr(x, "dtype"):
        return x
    source = backend_of((value,))
    if source is target:
        moved = target.local(value, device)
    else:
        moved = target.from_host(source.to_host(value))
        moved = moved[()] if type(moved) is numpy.ndarray else target.local(moved, device)
    if moved is value:
        return x
    if not isinstance(x, Tensor):
        return moved
    node = live(x)
    if node is None or not is_inexact(value):
        return x.remade(moved)
    transfer = _Transfer(source, value, target, moved)
    made = Node(transfer, (node,), None, None, moved.shape, moved.dtype)
    tell(transfer, (node,), moved, None, made)
    return Tensor(moved, made)


def beside(x: Any, value: Any) -> Any:
    """Return an array, or a Tensor, on the device of `value`.

    A NumPy scalar may meet arrays of any device, and its cotangent comes from there.
    """
    if type(x) is numpy.ndarray and type(value) is numpy.ndarray:
        return x  # the short way
    return move(x, backend_of((value,)), _device(value))


def to_device(values: Any, device: str) -> Any:
    """Return a tree whose Tensors and arrays lie on `device`: `"cpu"` or `"cuda"`.

    Trees are lists, tuples, named tuples, dicts and dataclasses; numbers and other leaves stay as
    they are.  What lies there already is not copied.  Differentiable: cotangents are copied back.

    `"cuda"` is the current GPU, which `cupy.cuda.Device(i)` chooses where there are several; arrays
    of another GPU are copied to it.  The copies run in the current stream.  Those to the CPU have
    ended when the call returns.  Those to the GPU may not have, but what is computed with them in
    this stream waits for them, and the arrays on the CPU may be written to at once.

    Raises
    ------
    RuntimeError
        If there is no backend for the device.
    ValueError
        If `device` numbers a GPU, such as `"cuda:1"`.
    TypeError
        If an array is of a type that the device does not have.
    MemoryError
        If the device has no memory left for them.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import to_device
    >>> to_device([np.array([1.0, 2.0])], "cpu")
    [Tensor([1., 2.])]
    """
    if isinstance(device, str) and device.partition(":")[2].isdecimal():
        kind, _, number = device.partition(":")
        raise ValueError(
            f"to_device: device={device!r}: the GPU is CuPy's current device: "
            f"with cupy.cuda.Device({number}): to_device(tree, {kind!r})"
        )
    target = backend_on(device)
    return tree.map(lambda x: move(x, target), values)
