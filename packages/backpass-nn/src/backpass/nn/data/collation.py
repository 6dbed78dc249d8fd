"""Making a batch of items."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import backpass.numpy as bnp
from backpass.core import Tensor, tree
from backpass.core.backends import backend_of, backend_of_type

#: The dtypes of Python's numbers in a batch, the strongest kind first. Floats become float32, in
#: which networks compute.
_DTYPES = {complex: np.complex64, float: np.float32, int: np.int64, bool: np.bool_}
_NUMBERS = set(_DTYPES)


def collate(items: Sequence[Any]) -> Any:
    """Make a batch of items: a tree like each of them, whose leaves have a new first axis.

    Parameters
    ----------
    items : sequence of trees
        At least one; tuples, named tuples, lists, dicts or dataclasses, all of one structure. Their
        leaves are arrays or Tensors, on any device and in each place of one shape and dtype;
        Python's numbers; text; or `None`.

    Returns
    -------
    tree
        Arrays are stacked and keep their dtypes; Python's numbers become an array of bool, int64,
        float32 or complex64; text becomes a list, and `None` stays.

    Raises
    ------
    ValueError
        If structures or shapes differ. The message names the place.
    TypeError
        If dtypes or types differ in one place, or no batch can be made of a type.

    Examples
    --------
    >>> import numpy
    >>> collate([(numpy.array([1, 2]), 0.5), (numpy.array([3, 4]), 1.5)])
    (array([[1, 2],
           [3, 4]]), array([0.5, 1.5], dtype=float32))
    """
    return _batch(list(items), "item")


def _batch(items: list[Any], place: str) -> Any:
    """Return the batch of what the items have in one place."""
    kinds = set(map(type, items))
    if kinds == {tuple} and len(set(map(len, items))) == 1:
        # The usual items, without a walk over trees, which takes most of the time otherwise.
        return tuple(_batch(list(x), f"{place}[{i}]") for i, x in enumerate(zip(*items)))
    made = _stacked(items, kinds, place)
    if made is not NotImplemented:
        return made
    leaves, structure = tree.flatten(items)
    structures = structure.children()
    first = structures[0]
    for i, other in enumerate(structures):
        if other != first:
            raise ValueError(
                f"collate: `{place}` of item {i} of the batch has another structure than that of "
                f"item 0: {other} and {first}; give the loader a function `collate`"
            )
    width = len(leaves) // len(structures)
    batch = []
    for i, accessor in enumerate(first.accessors()):
        column, there = leaves[i::width], accessor.codify(place)
        kinds = set(map(type, column))
        made = _stacked(column, kinds, there)
        if made is NotImplemented:
            names = " and ".join(sorted(kind.__name__ for kind in kinds))
            raise TypeError(
                f"collate: `{there}`: no batch can be made of {names}: give the loader a function "
                "`collate`"
            )
        batch.append(made)
    return tree.unflatten(first, batch)


def _stacked(column: list[Any], kinds: set[type], place: str) -> Any:
    """Return leaves, one of each item, as one; `NotImplemented` if they are none, or differ."""
    if kinds <= _NUMBERS:
        return _numbers(column, kinds)
    if len(kinds) > 1:
        return NotImplemented
    x = column[0]
    if isinstance(x, np.ndarray | np.generic | Tensor):
        backend_of_type(type(x))  # raises for masked arrays, which are no arrays for Backpass
        _agree(column, place)
        if isinstance(x, Tensor):
            return bnp.stack(column)
        if isinstance(x, np.generic):
            return np.array(column, x.dtype)
        if x.ndim:
            # The same as stack, without Python's work for each array.
            return np.concatenate(column).reshape(len(column), *x.shape)
    if isinstance(x, str | bytes):
        return column
    if x is None:
        return None
    backend = backend_of((x,))
    if not isinstance(x, backend.array_types):
        return NotImplemented
    _agree(column, place)
    return backend.library.stack(column)


def _numbers(column: list[Any], kinds: set[type]) -> Any:
    """Return Python's numbers as an array, of the strongest of their kinds."""
    return np.array(column, next(dtype for kind, dtype in _DTYPES.items() if kind in kinds))


def _agree(column: list[Any], place: str) -> None:
    """Raise unless all arrays have one shape and one dtype."""
    shape, dtype = column[0].shape, column[0].dtype
    for i, x in enumerate(column):
        if x.shape != shape:
            raise ValueError(
                f"collate: `{place}`: the shapes differ: {shape} of item 0 and {x.shape} of item "
                f"{i} of the batch; crop or pad them to one shape, or give the loader a function "
                "`collate`"
            )
        if x.dtype != dtype:
            raise TypeError(
                f"collate: `{place}`: the dtypes differ: {dtype} of item 0 and {x.dtype} of item "
                f"{i} of the batch; convert them to one dtype"
            )


__all__ = ["collate"]
