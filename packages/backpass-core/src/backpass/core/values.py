"""Between Tensors and plain arrays: what goes into a primitive's arithmetic, and what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from backpass.core.backends import PYTHON_SCALARS, made_beside
from backpass.core.batches import Batch
from backpass.core.graph import Node
from backpass.core.tensor import Tensor


class WeakTensor(Tensor):
    """A Python float that is being differentiated: arithmetic leaves the dtype to its partner."""

    __slots__ = ()


class ShapeOnly:
    """Stands in a rule for an argument whose value has not been kept."""

    __slots__ = ("dtype", "shape")

    def __init__(self, x: Any) -> None:
        self.shape = numpy.shape(x)
        self.dtype = x.dtype if hasattr(x, "dtype") else numpy.asarray(x).dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(numpy.prod(self.shape))


def plain(x: Any) -> Any:
    """Return the value of a Tensor; anything else as it is."""
    return x.value if isinstance(x, Tensor) else x


def located(x: Any) -> Any:
    """Return an array that lies where `x` lies; of a stack of cotangents, the stack."""
    return plain(x.inner if type(x) is Batch else x)


def weak_value(x: Tensor) -> Any:
    """Return the value of a Tensor as an operand; a Python float for a weak one."""
    return x.value.item() if isinstance(x, WeakTensor) else x.value


def as_scalar(ans: Any) -> Any:
    """Return a result as something with shape and dtype, though only Python's numbers went in."""
    return ans if hasattr(ans, "dtype") else numpy.asarray(ans)[()]


def hung(value: Any, node: Node) -> Tensor:
    """Return a saved value as a Tensor on a node; what was weak is so again."""
    if type(value) in PYTHON_SCALARS:
        return WeakTensor(numpy.asarray(value)[()], node)
    return Tensor(value, node)


def as_tensors(ans: Any) -> Any:
    """Return what `.op` gave as a Tensor, or as a tuple of Tensors."""
    if isinstance(ans, Tensor):
        return ans
    if isinstance(ans, tuple | list):
        return tuple(as_tensors(part) for part in ans)
    return Tensor(as_scalar(ans))


def zeros_beside(like: Any, operands: Sequence[Any]) -> Any:
    """Return zeros of the shape and dtype of `like`, on the device of the arrays in `operands`."""
    return made_beside(map(located, operands), lambda xp: xp.zeros(like.shape, like.dtype))


def describe(value: Any) -> str:
    """Return shape and dtype of an operand, for messages."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"of shape {value.shape}, {value.dtype}"
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
