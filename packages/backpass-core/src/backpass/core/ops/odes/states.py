"""The state of an equation: one array, or a tree of them, and the one vector that SciPy solves."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy

from backpass.core import tree
from backpass.core.backends import PYTHON_SCALARS, backend_of
from backpass.core.operators import operators
from backpass.core.ops.shaping import as_operand, concatenate_arrays, moveaxis
from backpass.core.tensor import Tensor
from backpass.core.values import plain


class State:
    """How a state lies in a vector: its arrays one after the other, in C order.

    Attributes
    ----------
    structure
        That of the tree; `None` where the state is one array.
    shapes
        Of the arrays.
    size
        The length of the vector.
    """

    __slots__ = ("bounds", "shapes", "size", "structure")

    def __init__(self, structure: Any, shapes: list[tuple[int, ...]]) -> None:
        self.structure = structure
        self.shapes = shapes
        self.bounds = numpy.cumsum([0, *map(math.prod, shapes)]).tolist()
        self.size: int = self.bounds[-1]

    def tree(self, vector: Any) -> Any:
        """Return a vector as a state."""
        if self.structure is None:
            shape = self.shapes[0]
            return vector if len(shape) == 1 else operators.reshape(vector, shape=shape)
        parts = [
            operators.reshape(vector[i:j], shape=shape)
            for i, j, shape in zip(self.bounds, self.bounds[1:], self.shapes)
        ]
        return tree.unflatten(self.structure, parts)

    def vector(self, state: Any, who: Callable[[], str]) -> Any:
        """Return what a function has made of a state, or of arrays of its shapes, as a vector.

        Raises
        ------
        ValueError
            If it is of another structure, or of other shapes; `who()` says whose result it is.
        """
        if self.structure is None:
            state = as_operand(state)
            shape = self.shapes[0]
            if state.shape != shape and math.prod(state.shape) != self.size:
                raise ValueError(f"{who()} returned shape {state.shape}, y has shape {shape}")
            flat = (self.size,)
            return state if state.shape == flat else operators.reshape(state, shape=flat)
        leaves, structure = tree.flatten(state)
        if structure != self.structure:
            raise ValueError(
                f"{who()} returned a tree of structure {structure}, y0 has {self.structure}"
            )
        leaves = [as_operand(leaf) for leaf in leaves]
        for i, (leaf, shape) in enumerate(zip(leaves, self.shapes)):
            if leaf.shape != shape and math.prod(leaf.shape) != math.prod(shape):
                raise ValueError(
                    f"{who()} returned shape {leaf.shape} for leaf {i} of the state, "
                    f"where y has shape {shape}"
                )
        return _joined(leaves)

    def along(self, rows: Any, *, last: bool) -> Any:
        """Return vectors, one row for each time, as a state with an axis of time, first or last."""
        if self.structure is None:
            return self._placed(rows, self.shapes[0], last)
        parts = [
            self._placed(operators.getitem(rows, index=(slice(None), slice(i, j))), shape, last)
            for i, j, shape in zip(self.bounds, self.bounds[1:], self.shapes)
        ]
        return tree.unflatten(self.structure, parts)

    def _placed(self, rows: Any, shape: tuple[int, ...], last: bool) -> Any:
        whole = (rows.shape[0], *shape)
        if rows.shape != whole:
            rows = operators.reshape(rows, shape=whole)
        if not last or not shape:
            return rows
        return operators.transpose(rows) if len(shape) == 1 else moveaxis(rows, 0, -1)


def read_state(y0: Any, caller: str, *, scalars: bool) -> tuple[State, Any]:
    """Return how `y0` lies in a vector, and that vector.

    A number, an array, or a list or tuple of numbers is one array, as it is to SciPy; any other
    tree is a tree.  `scalars`: a number stays one, and is not made an array of one axis.
    """
    if _is_array(y0):
        x = _checked(as_operand(y0), "y0", caller)
        state = State(None, [x.shape if x.ndim or scalars else (1,)])
        return state, x if x.ndim == 1 else operators.reshape(x, shape=(state.size,))
    leaves, structure = tree.flatten(y0)
    if any(leaf is None for leaf in leaves):
        raise TypeError(f"{caller}: y0 holds None: a state is a tree of arrays")
    leaves = [_checked(as_operand(leaf), "y0", caller) for leaf in leaves]
    return State(structure, [leaf.shape for leaf in leaves]), _joined(leaves)


def read_times(t: Any, name: str, caller: str) -> Any:
    """Return times as real numbers along one axis."""
    t = _checked(as_operand(t), name, caller)
    if t.dtype.kind == "c":
        raise TypeError(f"{caller}: {name} is complex: times are real numbers")
    if t.ndim > 1:
        raise ValueError(f"{caller}: {name} must have one axis, it has shape {t.shape}")
    return t if t.ndim else operators.reshape(t, shape=(1,))


def _is_array(y0: Any) -> bool:
    """Tell whether NumPy would make one array of numbers of `y0`."""
    if isinstance(y0, list | tuple):
        return all(_is_array(x) if isinstance(x, list | tuple) else _is_number(x) for x in y0)
    return hasattr(y0, "shape") or type(y0) in PYTHON_SCALARS


def _is_number(x: Any) -> bool:
    return type(x) in PYTHON_SCALARS or getattr(x, "shape", None) == ()


def _checked(x: Any, name: str, caller: str) -> Any:
    if backend_of((plain(x),)).device != "cpu":
        raise TypeError(
            f"{caller}: {name} lies on a device, SciPy solves on the CPU: move it there with "
            "to_device(x, 'cpu'); what the function does inside may use the device"
        )
    return x


def _joined(leaves: list[Any]) -> Any:
    """Return arrays as one vector."""
    flat = [
        leaf if len(leaf.shape) == 1 else operators.reshape(leaf, shape=(math.prod(leaf.shape),))
        for leaf in leaves
    ]
    if not flat:
        return Tensor(numpy.zeros(0))
    return flat[0] if len(flat) == 1 else concatenate_arrays(flat)
