"""Data sets: what a loader takes its items from."""

from __future__ import annotations

import dataclasses
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from backpass.core import Tensor, tree
from backpass.core.backends import backend_of

Item = TypeVar("Item", covariant=True)
Indices = npt.NDArray[np.intp]
#: A function from indices to the batch of these items, in their order.
Fetch = Callable[[Indices], Any]


class Dataset(Protocol[Item]):
    """Anything with a length and items: a list will do.

    An item is an array, a number, or a tree of them: tuples, named tuples, dicts, dataclasses.
    A data set that is loaded by several threads must bear to be asked by them at once.

    A data set that has a whole batch at hand faster than its items one by one has a method
    ``fetch(indices)`` too, which takes an array of indices and returns the batch.
    """

    def __len__(self) -> int:
        """Return the number of items."""
        ...

    def __getitem__(self, index: int, /) -> Item:
        """Return an item, by its number from 0."""
        ...


def fetcher(dataset: Any) -> Fetch | None:
    """Return the method with which a data set gives whole batches, if it has one."""
    found = getattr(dataset, "fetch", None)
    return found if callable(found) else None


class ArrayDataset:
    """Items along the first axis of arrays.

    A batch is one look-up in each array, whatever its size: nothing is done for single items.

    Parameters
    ----------
    *arrays : array, Tensor, or tree of them
        Arrays of equal length, on any device. With one argument, an item is an element of it: of
        an array ``x[i]``, of a tree the tree of the elements. With several, it is the tuple of
        their elements.

    Raises
    ------
    TypeError
        If a leaf is not an array, or there is none.
    ValueError
        If the lengths differ.

    Examples
    --------
    >>> import numpy
    >>> data = ArrayDataset(numpy.arange(6).reshape(3, 2), numpy.array([7, 8, 9]))
    >>> len(data), data[1]
    (3, (array([2, 3]), np.int64(8)))
    >>> data.fetch(numpy.array([2, 0]))
    (array([[4, 5],
           [0, 1]]), array([9, 7]))
    """

    def __init__(self, *arrays: Any) -> None:
        kept = arrays[0] if len(arrays) == 1 else arrays
        leaves, self._structure = tree.flatten(kept)
        root = "array" if len(arrays) == 1 else "arrays"
        places = [accessor.codify(root) for accessor in self._structure.accessors()]
        if not leaves:
            raise TypeError("ArrayDataset: there is no array: give at least one")
        for place, leaf in zip(places, leaves, strict=True):
            if not getattr(leaf, "shape", None) or not _is_array(leaf):
                raise TypeError(
                    f"ArrayDataset: `{place}` is {_told(leaf)}, but items lie along the first "
                    "axis of arrays: make it an array of at least one dimension"
                )
        lengths = [len(leaf) for leaf in leaves]
        for place, length in zip(places, lengths, strict=True):
            if length != lengths[0]:
                raise ValueError(
                    f"ArrayDataset: `{place}` has {length} items and `{places[0]}` has "
                    f"{lengths[0]}: all need the same number"
                )
        self._length = lengths[0]
        # A file that is mapped into memory is an array like others.
        self._leaves = [np.asarray(x) if isinstance(x, np.ndarray) else x for x in leaves]

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Any:
        return tree.unflatten(self._structure, [leaf[index] for leaf in self._leaves])

    def fetch(self, indices: Indices) -> Any:
        """Return the batch of these items, in their order; its arrays are copies."""
        return tree.unflatten(self._structure, [_rows(leaf, indices) for leaf in self._leaves])

    def __repr__(self) -> str:
        return f"ArrayDataset({len(self)} items)"


def _rows(array: Any, indices: Indices) -> Any:
    """Return rows of an array; NumPy takes them faster than it indexes."""
    return array.take(indices, axis=0) if type(array) is np.ndarray else array[indices]


def _is_array(leaf: Any) -> bool:
    # Raises for masked arrays and matrices, which are no arrays for Backpass.
    return isinstance(leaf, (Tensor, *backend_of((leaf,)).array_types))


def _told(leaf: Any) -> str:
    return "of shape ()" if getattr(leaf, "shape", None) == () else f"of type {type(leaf).__name__}"


class Subset:
    """Some of the items of a data set, in a given order.

    Parameters
    ----------
    dataset : Dataset
        The data set.
    indices : sequence of int
        Which items, at least 0 and less than ``len(dataset)``.

    Raises
    ------
    TypeError
        If `indices` does not hold integers. (A mask becomes indices with ``numpy.flatnonzero``.)
    IndexError
        If there is no such item.

    Examples
    --------
    >>> odd = Subset("abcdef", range(1, 6, 2))
    >>> list(odd)
    ['b', 'd', 'f']
    """

    def __init__(self, dataset: Dataset[Any], indices: Any) -> None:
        found = np.asarray(indices)
        if found.size == 0:
            found = found.astype(np.intp)
        if found.ndim != 1 or found.dtype.kind not in "iu":
            raise TypeError(
                f"Subset: `indices` has shape {found.shape} and dtype {found.dtype}, but it must "
                "be a sequence of integers (numpy.flatnonzero makes them from a mask)"
            )
        if found.size and not (found.min() >= 0 and found.max() < len(dataset)):
            wrong = found.min() if found.min() < 0 else found.max()
            raise IndexError(
                f"Subset: `indices` holds {wrong}, but the data set has the items 0 to "
                f"{len(dataset) - 1}"
            )
        self.dataset = dataset
        self.indices: Indices = found.astype(np.intp)

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: int) -> Any:
        return self.dataset[int(self.indices[index])]

    @property
    def fetch(self) -> Fetch | None:
        """What returns whole batches; `None` if the data set below cannot."""
        inner = fetcher(self.dataset)
        return inner and (lambda indices: inner(self.indices[indices]))

    def __repr__(self) -> str:
        return f"Subset({len(self)} of {len(self.dataset)} items)"


class ConcatDataset:
    """Data sets one after the other.

    Parameters
    ----------
    datasets : sequence of Dataset
        At least one.

    Raises
    ------
    ValueError
        If there is none.

    Examples
    --------
    >>> both = ConcatDataset(["ab", "cde"])
    >>> len(both), both[1], both[2]
    (5, 'b', 'c')
    """

    def __init__(self, datasets: Sequence[Dataset[Any]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: `datasets` is empty: give at least one")
        self._ends = np.cumsum([len(d) for d in self.datasets])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index: int) -> Any:
        if not -len(self) <= index < len(self):
            raise IndexError(f"ConcatDataset: there is no item {index}, only {len(self)}")
        index %= len(self)
        which = int(np.searchsorted(self._ends, index, side="right"))
        return self.datasets[which][index - int(self._ends[which]) + len(self.datasets[which])]

    def __repr__(self) -> str:
        return f"ConcatDataset({' + '.join(str(len(d)) for d in self.datasets)} items)"


class Transformed:
    """A data set whose items are passed through a function.

    Parameters
    ----------
    dataset : Dataset
        The data set.
    transform : callable
        Given an item, or a part of it, returns what stands in its place.
    part : int or str, optional
        The part of each item to transform: its place in a tuple or a list, its key in a dict, the
        name of a dataclass's field. By default, the whole item.
    batched : bool
        Give the function whole batches instead: faster, where it can be. Its random numbers then
        depend on the size of the batches.

    Raises
    ------
    TypeError
        If whole batches are asked for of a data set without a method ``fetch``.

    Examples
    --------
    >>> import numpy
    >>> pairs = ArrayDataset(numpy.array([1.0, 2.0]), numpy.array([0, 1]))
    >>> Transformed(pairs, lambda x: 10 * x, part=0)[1]
    (np.float64(20.0), np.int64(1))
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        transform: Callable[[Any], Any],
        *,
        part: int | str | None = None,
        batched: bool = False,
    ) -> None:
        if batched and fetcher(dataset) is None:
            raise TypeError(
                f"Transformed: batched=True, but {type(dataset).__name__} has no method "
                "fetch(indices) that returns whole batches: leave it out"
            )
        self.dataset = dataset
        self.transform = transform
        self.part = part
        self.batched = batched

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        if self.batched:
            return tree.map(lambda x: x[0], self._fetch(np.array([index])))
        return self._apply(self.dataset[index])

    @property
    def fetch(self) -> Fetch | None:
        """What returns whole batches; `None` if the function is for single items."""
        return self._fetch if self.batched else None

    def _fetch(self, indices: Indices) -> Any:
        inner = fetcher(self.dataset)
        assert inner is not None
        return self._apply(inner(indices))

    def _apply(self, item: Any) -> Any:
        if self.part is None:
            return self.transform(item)
        return _with_part(item, self.part, self.transform)

    def __repr__(self) -> str:
        return f"Transformed({self.dataset!r}, {self.transform!r})"


def _with_part(item: Any, part: Any, function: Callable[[Any], Any]) -> Any:
    """Return an item with one part passed through a function."""
    if isinstance(item, dict):
        return {**item, part: function(item[part])}
    if isinstance(item, tuple | list):
        values = list(item)
        values[part] = function(values[part])
        if isinstance(item, list):
            return values
        return type(item)(*values) if hasattr(item, "_fields") else tuple(values)
    if dataclasses.is_dataclass(item) and not isinstance(item, type):
        return dataclasses.replace(item, **{part: function(getattr(item, part))})
    raise TypeError(
        f"Transformed: `part` is {part!r}, but an item of type {type(item).__name__} has no parts"
    )


def split(dataset: Dataset[Any], parts: Sequence[float], *, seed: int | None = 0) -> list[Subset]:
    """Divide a data set at random into parts that share no item.

    Parameters
    ----------
    dataset : Dataset
        The data set.
    parts : sequence of int or of float
        The numbers of items, which add up to all of them; or fractions, which add up to 1: each
        part gets its share rounded down, and what is left over goes one by one to the first parts.
    seed : int or None
        The same seed gives the same division. `None` keeps the order: the first items are the
        first part.

    Returns
    -------
    list of Subset
        One for each part.

    Raises
    ------
    ValueError
        If the parts do not add up, or one is negative.

    Examples
    --------
    >>> train, test = split(range(10), [0.8, 0.2])
    >>> len(train), len(test), sorted([*train, *test]) == list(range(10))
    (8, 2, True)
    """
    count = len(dataset)
    sizes = _sizes(list(parts), count)
    order = np.arange(count) if seed is None else np.random.default_rng(seed).permutation(count)
    ends = np.cumsum(sizes)[:-1]
    return [Subset(dataset, indices) for indices in np.split(order, ends)]


def _sizes(parts: list[Any], count: int) -> list[int]:
    """Return how many items each part gets."""
    if not parts or any(not part >= 0 for part in parts):
        raise ValueError(f"split: `parts` is {parts}, but it must hold numbers that are at least 0")
    if all(hasattr(part, "__index__") for part in parts):
        sizes = [operator.index(part) for part in parts]
        if sum(sizes) != count:
            raise ValueError(
                f"split: `parts` is {parts}, which adds up to {sum(sizes)}, but the data set has "
                f"{count} items"
            )
        return sizes
    if not math.isclose(sum(parts), 1, abs_tol=1e-6):
        raise ValueError(
            f"split: `parts` is {parts}, which adds up to {sum(parts):g}: give fractions that add "
            f"up to 1, or integers that add up to {count}"
        )
    # A share such as 0.7 * 10 must not be rounded down to 6 for the sake of its last digit.
    sizes = [math.floor(part * count + 1e-6) for part in parts]
    for i in range(count - sum(sizes)):
        sizes[i % len(sizes)] += 1
    return sizes


__all__ = [
    "ArrayDataset",
    "ConcatDataset",
    "Dataset",
    "Subset",
    "Transformed",
    "fetcher",
    "split",
]
