"""Arrays put together from parts: blocks, alternatives, and the indexing objects `r_` and `c_`."""

from __future__ import annotations

from typing import Any

import numpy

from backpass.core.operators import operators
from backpass.core.ops.creation import Creation
from backpass.core.ops.elementwise import where
from backpass.core.ops.questions import result_type
from backpass.core.ops.shaping import (
    as_operand,
    as_operand_beside,
    concatenate_arrays,
    copy_,
    reshape,
    stack,
)
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors, plain

# ----- block ------------------------------------------------------------------------------------


def block(arrays: Any) -> Tensor:
    """Join nested lists of blocks, the innermost along the last axis; each gets its piece of g.

    Raises
    ------
    ValueError
        If the lists are not nested to one depth, or one is empty.
    TypeError
        If there is a tuple among the lists.
    """
    depth = _depth(arrays)
    given = _leaves(arrays)
    like = next((x for x in given if isinstance(x, Tensor) or hasattr(x, "shape")), None)
    leaves = [as_operand_beside(x, like) for x in given]
    ndim = max([depth, *(len(x.shape) for x in leaves)])
    found = iter(leaves)
    made = _block(arrays, found, depth, ndim)
    return as_tensors(copy_.op(made) if made is arrays else made)  # type: ignore[no-any-return]


def _depth(arrays: Any) -> int:
    if isinstance(arrays, tuple):
        raise TypeError("block: only lists nest blocks, there is a tuple among them")
    if not isinstance(arrays, list):
        return 0
    if not arrays:
        raise ValueError("block: a list of blocks is empty")
    depths = {_depth(x) for x in arrays}
    if len(depths) > 1:
        raise ValueError("block: the lists must all be nested to the same depth")
    return 1 + depths.pop()


def _leaves(arrays: Any) -> list[Any]:
    if not isinstance(arrays, list):
        return [arrays]
    return [leaf for x in arrays for leaf in _leaves(x)]


def _block(arrays: Any, leaves: Any, depth: int, ndim: int) -> Any:
    if not isinstance(arrays, list):
        x = next(leaves)
        missing = ndim - len(x.shape)
        return reshape.op(x, shape=(1,) * missing + tuple(x.shape)) if missing else x
    parts = [_block(x, leaves, depth - 1, ndim) for x in arrays]
    return concatenate_arrays(parts, axis=ndim - depth)


# ----- select -----------------------------------------------------------------------------------


def select(condlist: Any, choicelist: Any, default: Any = 0) -> Tensor:
    """Choose from the first of several arrays whose condition holds; g goes where it came from.

    Raises
    ------
    ValueError
        If there are not as many choices as conditions, or none.
    TypeError
        If a condition is not boolean.
    """
    conditions, choices = list(condlist), list(choicelist)
    if len(conditions) != len(choices) or not conditions:
        raise ValueError(
            f"select: {len(conditions)} conditions and {len(choices)} choices: "
            "there must be as many, and one at least"
        )
    conditions = [plain(as_operand(c)) for c in conditions]
    for i, c in enumerate(conditions):
        if c.dtype != bool:
            raise TypeError(f"select: condition {i} is of {c.dtype}: it must be boolean")
    scalars = (int, float, complex)
    choices = [x if isinstance(x, scalars) else as_operand(x) for x in choices]
    kind = result_type(*choices, default)
    made: Any = default if isinstance(default, scalars) else as_operand(default)
    for c, x in zip(reversed(conditions), reversed(choices)):
        made = where(c, x, made)
    return made if made.dtype == kind else operators.astype(made, dtype=kind)  # type: ignore[no-any-return]


# ----- r_, c_, mgrid and ogrid ------------------------------------------------------------------


class Concatenator:
    """Joins what stands in its brackets, slices as ranges: `r_[1.0, 2:5, x]`.

    A slice `start:stop:step` is `arange`; with an imaginary step `n * 1j` it is `linspace` with n
    numbers.  A first item "axis,ndim,place" says along which axis to join, to how many axes the
    parts are brought, and where among these the axes of a part with fewer start.

    Parameters
    ----------
    creation
        The functions that make arrays: they say on which device.
    axis, ndim, place
        What holds without such an item.

    Examples
    --------
    >>> Concatenator(Creation(numpy))[0.5, 1:3, [7.0]]
    Tensor([0.5, 1. , 2. , 7. ])
    """

    def __init__(self, creation: Creation, axis: int = 0, ndim: int = 1, place: int = -1) -> None:
        self._creation = creation
        self._defaults = (axis, ndim, place)

    def __getitem__(self, key: Any) -> Tensor:
        """Join the items.

        Raises
        ------
        ValueError
            If a string among the items is not the first, or says nothing that is known.
        """
        items = list(key) if isinstance(key, tuple) else [key]
        axis, ndim, place = self._defaults
        if isinstance(items[0], str):
            axis, ndim, place = self._directive(items.pop(0))
        kinds, parts = [], []
        for item in items:
            if isinstance(item, str):
                raise ValueError(f"the directive {item!r} must be the first item")
            scalar = isinstance(item, int | float | complex | numpy.number)
            if isinstance(item, slice):
                part = _range(self._creation, item)
            else:
                part = self._creation.asarray(item)
            kinds.append(item if scalar else part)
            parts.append(_placed(part, ndim, place))
        if not parts:
            return self._creation.array([])
        kind = result_type(*kinds)
        parts = [p if p.dtype == kind else operators.astype(p, dtype=kind) for p in parts]
        return as_tensors(concatenate_arrays(parts, axis=axis))  # type: ignore[no-any-return]

    def _directive(self, text: str) -> tuple[int, int, int]:
        if text in ("r", "c"):
            raise ValueError(f"the directive {text!r} makes a matrix: use '0,2' or '0,2,0' instead")
        found = list(self._defaults)
        try:
            for i, number in enumerate(text.split(",")):
                found[i] = int(number)
        except (ValueError, IndexError) as error:
            raise ValueError(
                f"unknown directive {text!r}: give 'axis', 'axis,ndim' or 'axis,ndim,place'"
            ) from error
        return found[0], found[1], found[2]


class Grid:
    """Coordinates of a grid, from slices in brackets: `mgrid[0:2, 0:1:5j]`.

    A slice `start:stop:step` is `arange`; with an imaginary step `n * 1j` it is `linspace` with n
    numbers.

    Parameters
    ----------
    creation
        The functions that make arrays: they say on which device.
    sparse
        Whether each coordinate has only its own axis (`ogrid`), or all axes (`mgrid`).

    Examples
    --------
    >>> Grid(Creation(numpy), sparse=False)[0:2, 0:3].shape
    (2, 2, 3)
    """

    def __init__(self, creation: Creation, sparse: bool) -> None:
        self._creation = creation
        self._sparse = sparse

    def __getitem__(self, key: Any) -> Any:
        """Return the coordinates along each axis."""
        if isinstance(key, slice):
            return _range(self._creation, key)
        parts = [_range(self._creation, item) for item in key]
        kind = result_type(*parts)
        parts = [p if p.dtype == kind else operators.astype(p, dtype=kind) for p in parts]
        made = self._creation.meshgrid(*parts, sparse=self._sparse, indexing="ij")
        return made if self._sparse else stack(made)


def _range(creation: Creation, item: slice) -> Tensor:
    start = 0 if item.start is None else item.start
    step = 1 if item.step is None else item.step
    if isinstance(step, complex):
        return creation.linspace(start, item.stop, int(abs(step)))  # type: ignore[no-any-return]
    return creation.arange(start, item.stop, step)


def _placed(x: Any, ndim: int, place: int) -> Any:
    """Give an array new axes up to `ndim`; its own start at `place`."""
    missing = ndim - len(x.shape)
    if missing <= 0:
        return x
    # NumPy counts the places from those where the array's first axis can stand.
    start = place + missing + 1 if place < 0 else place
    start = min(max(start, 0), missing)
    shape = (*(1,) * start, *x.shape, *(1,) * (missing - start))
    return reshape.op(x, shape=shape)
