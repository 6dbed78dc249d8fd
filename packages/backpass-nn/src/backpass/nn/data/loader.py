"""The loader: batches of a data set, epoch after epoch."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np

from backpass.core import to_device
from backpass.nn import random
from backpass.nn.data.collation import collate as collate_trees
from backpass.nn.data.dataset import Dataset, Indices, fetcher
from backpass.nn.data.randomness import BATCH, ITEM, ORDER, Generators, loading

Collate = Callable[[Sequence[Any]], Any]


class DataLoader:
    """Batches of a data set. Each iteration over the loader is an epoch.

    Parameters
    ----------
    dataset : Dataset
        Anything with ``len(dataset)`` and ``dataset[i]``. Of an `ArrayDataset`, and other data sets
        with a method ``fetch``, whole batches are taken at once.
    batch_size : int
        Items in a batch; in the last one, those that are left.
    shuffle : bool
        Take the items in a random order, another one in each epoch.
    drop_last : bool
        Leave out the last batch if it is smaller.
    seed : int, optional
        What the random order and `item_generator` are derived from. By default a number drawn from
        `backpass.nn.random.generator()`, so that `backpass.nn.seed` determines it too.
    collate : callable, optional
        Makes a batch of a list of items; by default `collate`.
    workers : int
        Threads that load batches ahead. With 0, a batch is loaded when it is asked for. Threads pay
        where loading waits for disks or networks, or computes in NumPy, which lets others run.
    prefetch : int
        How many batches each thread may have under way or ready.
    device : str, optional
        Where batches are to lie, as for `backpass.core.to_device`: ``"cuda"``.

    Attributes
    ----------
    epoch : int
        The number of the epoch, from 0: of the one that goes on, or else of the next.
    position : int
        How many batches of this epoch have been handed out.

    Raises
    ------
    ValueError
        If the data set is empty, or has no whole batch and `drop_last` leaves nothing; if
        `batch_size`, `workers`, `prefetch` or `seed` is out of range.
    TypeError
        If the data set has no length, or a number is not an integer.
    RuntimeError
        If there is no backend for `device`.

    See Also
    --------
    item_generator : Random numbers for a data set of your own.

    Notes
    -----
    The batches are the same, bit for bit, for any number of workers. An exception in a worker is
    raised in the loop, in its batch's turn, as it was raised there; a note says which item it was.
    When a loop ends, also early, by an exception or by Ctrl-C, the threads end too, at the latest
    after the item that they are loading. The next loop begins the next epoch.

    `state_dict` says where the loader is. What has been handed out counts as done, so a state saved
    in the body of a loop, after a step, goes on with the next batch; after the last one, the epoch
    that is resumed has no more.

    Examples
    --------
    >>> import numpy
    >>> from backpass.nn.data import ArrayDataset
    >>> loader = DataLoader(ArrayDataset(numpy.arange(5)), batch_size=2)
    >>> list(loader)
    [array([0, 1]), array([2, 3]), array([4])]
    >>> len(loader), loader.epoch
    (3, 1)
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        batch_size: int = 1,
        shuffle: bool = False,
        *,
        drop_last: bool = False,
        seed: int | None = None,
        collate: Collate | None = None,
        workers: int = 0,
        prefetch: int = 2,
        device: str | None = None,
    ) -> None:
        if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
            raise TypeError(
                f"DataLoader: `dataset` is of type {type(dataset).__name__}, which has no length "
                "or no items: it needs __len__ and __getitem__"
            )
        self.dataset = dataset
        self.batch_size = _integer("batch_size", batch_size, 1)
        self.shuffle = bool(shuffle)
        self.drop_last = bool(drop_last)
        self.collate = collate
        self.workers = _integer("workers", workers, 0)
        self.prefetch = _integer("prefetch", prefetch, 1)
        self.device = device
        if device is not None:
            to_device([], device)  # raises where there is none
        len(self)  # raises where there is no batch
        drawn = int(random.generator().integers(2**63)) if seed is None else seed
        self.seed = _integer("seed", drawn, 0)
        self.epoch = 0
        self.position = 0
        # Whether the next iteration begins where the loader is, rather than with the next epoch.
        self._waiting = True
        # The iteration that moves the loader: the latest one.
        self._latest: object = None

    def __len__(self) -> int:
        count = len(self.dataset)
        if count == 0:
            raise ValueError("DataLoader: `dataset` is empty: there is nothing to load")
        whole, left = divmod(count, self.batch_size)
        if self.drop_last and not whole:
            raise ValueError(
                f"DataLoader: drop_last=True leaves no batch: `dataset` has {count} items, "
                f"batch_size={self.batch_size}; make the batches smaller, or keep the last one"
            )
        return whole + bool(left and not self.drop_last)

    def __iter__(self) -> Iterator[Any]:
        if not self._waiting:
            self.epoch, self.position = self.epoch + 1, 0
        self._waiting = False
        self._latest = mark = object()
        return self._batches(self.epoch, self.position, mark)

    def _batches(self, epoch: int, start: int, mark: object) -> Iterator[Any]:
        """Yield the batches of an epoch, from one on."""
        # Threads and queues are imported when they are first needed.
        from backpass.nn.data.workers import in_order, one_by_one

        load = _Loading(self.dataset, self.collate, self._order(epoch), self, epoch)
        jobs = range(start, len(self))
        found = (
            in_order(load, jobs, self.workers, self.workers * self.prefetch)
            if self.workers
            else one_by_one(load, jobs)
        )
        with closing(found):
            for position, batch in enumerate(found, start + 1):
                moved = batch if self.device is None else to_device(batch, self.device)
                if self._latest is mark:
                    self.position = position
                del batch
                yield moved
        if self._latest is mark:
            self.epoch, self.position, self._waiting = epoch + 1, 0, True

    def _order(self, epoch: int) -> Indices:
        """Return the indices of all items, in the order of an epoch."""
        count = len(self.dataset)
        if not self.shuffle:
            return np.arange(count)
        return Generators(self.seed, ORDER, epoch).at(0).permutation(count)

    def state_dict(self) -> dict[str, int | bool]:
        """Return where the loader is, in numbers that JSON can hold.

        Examples
        --------
        >>> import numpy
        >>> from backpass.nn.data import ArrayDataset
        >>> data = ArrayDataset(numpy.arange(6))
        >>> loader = DataLoader(data, batch_size=2, shuffle=True, seed=0)
        >>> batches = iter(loader)
        >>> _, state, rest = next(batches), loader.state_dict(), list(batches)
        >>> other = DataLoader(data, batch_size=2, shuffle=True)
        >>> other.load_state_dict(state)
        >>> all(numpy.array_equal(a, b) for a, b in zip(other, rest, strict=True))
        True
        """
        return {
            "seed": self.seed,
            "epoch": self.epoch,
            "position": self.position,
            **self._plan(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `state_dict` has returned, in the middle of an epoch too.

        The next iteration hands out the rest of that epoch.

        Raises
        ------
        ValueError
            If the state is not one of a loader, or of one whose batches are others: the length of
            the data set, `batch_size`, `shuffle` and `drop_last` must be the same.
        """
        plan = self._plan()
        names = ("seed", "epoch", "position", *plan)
        if not isinstance(state, Mapping) or set(state) != set(names):
            found = sorted(map(str, state)) if isinstance(state, Mapping) else type(state).__name__
            raise ValueError(
                f"DataLoader.load_state_dict: `state` holds {found}, but the state of a loader "
                f"holds {sorted(names)}"
            )
        for name, value in plan.items():
            if state[name] != value:
                raise ValueError(
                    f"DataLoader.load_state_dict: `state` is of a loader with {name}="
                    f"{state[name]!r}, this one has {name}={value!r}: its batches are others"
                )
        seed, epoch, position = (
            _integer(f"state[{name!r}]", state[name], 0) for name in ("seed", "epoch", "position")
        )
        if position > len(self):
            raise ValueError(
                f"DataLoader.load_state_dict: `state` is at batch {position}, but an epoch has "
                f"{len(self)}"
            )
        self.seed, self.epoch, self.position = seed, epoch, position
        self._waiting, self._latest = True, None

    def _plan(self) -> dict[str, int | bool]:
        """Return what determines the batches beside the seed."""
        return {
            "length": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
        }

    def __repr__(self) -> str:
        return f"DataLoader({self.dataset!r}, batch_size={self.batch_size}, {len(self)} batches)"


class _Loading:
    """Loads the batches of one epoch; the same from any thread."""

    def __init__(
        self,
        dataset: Any,
        collate: Collate | None,
        order: Indices,
        loader: DataLoader,
        epoch: int,
    ) -> None:
        self.dataset = dataset
        # A function for items gets items.
        self.fetch = fetcher(dataset) if collate is None else None
        self.collate = collate or collate_trees
        self.order, self.size = order, loader.batch_size
        self.seed, self.epoch = loader.seed, epoch

    def __call__(self, number: int, wanted: Callable[[], bool]) -> Any:
        """Return the batch of that number, or anything once it is no longer wanted."""
        indices = self.order[number * self.size : (number + 1) * self.size]
        batch = f"batch {number} of epoch {self.epoch}"
        where = batch
        try:
            if self.fetch is not None:
                with loading(self.seed, BATCH, self.epoch) as now:
                    now.at(number)
                    return self.fetch(indices)
            items = []
            with loading(self.seed, ITEM, self.epoch) as now:
                index = -1
                try:
                    for index in indices.tolist():
                        if not wanted():
                            return None
                        now.at(index)
                        items.append(self.dataset[index])
                except Exception:
                    where = f"item {index} of the data set, in {batch}"
                    raise
            where = f"collating {batch}"
            return self.collate(items)
        except Exception as error:
            error.add_note(f"DataLoader: raised by {where}")
            raise


def _integer(name: str, value: Any, least: int) -> int:
    """Return an integer that is large enough."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"DataLoader: `{name}` is {value!r}, but it must be an integer") from None
    if number < least:
        raise ValueError(f"DataLoader: `{name}` is {number}, but it must be at least {least}")
    return number


__all__ = ["DataLoader"]
