"""The random numbers of data loaders: each epoch, batch and item has its own.

They are derived from a loader's seed and from the place of what is loaded, never drawn one after
the other, so that they are the same whichever thread loads what, and in a run that is resumed.

The generator is Philox, whose numbers are a function of a key and a counter: the key is made of the
seed, the epoch and the purpose, and the upper half of the counter is the number of the item (J. K.
Salmon, M. A. Moraes, R. O. Dror and D. E. Shaw, "Parallel random numbers: as easy as 1, 2, 3",
SC11, 2011).
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator

import numpy as np

from backpass.nn import random

#: What random numbers are for.
ORDER, BATCH, ITEM = 0, 1, 2


class Generators:
    """The generators of one purpose in one epoch: one for each number."""

    def __init__(self, seed: int, purpose: int, epoch: int) -> None:
        key = np.random.SeedSequence(seed, spawn_key=(purpose, epoch)).generate_state(2, np.uint64)
        self._bits = np.random.Philox(key=key)
        self._state = self._bits.state
        self._generator = np.random.Generator(self._bits)

    def at(self, number: int) -> np.random.Generator:
        """Return the generator of a number, until the next is asked for: they are one object.

        To make an object for each would take twenty times as long.
        """
        self._state["state"]["counter"][2] = number
        self._bits.state = self._state
        return self._generator


class Loading:
    """What a thread is loading."""

    def __init__(self, seed: int, purpose: int, epoch: int) -> None:
        self._place = seed, purpose, epoch
        self._number = 0
        # Both are made when they are first asked for: most data need none.
        self._generators: Generators | None = None
        self._current: np.random.Generator | None = None

    def at(self, number: int) -> None:
        """Go on to the item or batch of that number."""
        self._number, self._current = number, None

    def generator(self) -> np.random.Generator:
        """Return the generator of what is being loaded."""
        if self._current is None:
            if self._generators is None:
                self._generators = Generators(*self._place)
            self._current = self._generators.at(self._number)
        return self._current


class _Thread(threading.local):
    """What this thread is loading, if it is."""

    loading: Loading | None = None


_thread = _Thread()


@contextlib.contextmanager
def loading(seed: int, purpose: int, epoch: int) -> Iterator[Loading]:
    """Let `item_generator` return the generators of what this thread loads."""
    outer, _thread.loading = _thread.loading, Loading(seed, purpose, epoch)
    try:
        yield _thread.loading
    finally:
        _thread.loading = outer


def item_generator() -> np.random.Generator:
    """Return the generator for what is random about the item that is being loaded.

    While a `DataLoader` loads an item, this is a generator derived from the loader's seed, the
    epoch and the index of the item: the same random numbers in whichever thread it is loaded, with
    batches of any size, and in a run that is resumed. The transforms of this package draw from it;
    so should a data set of your own. It is for this item only: the next resets it.

    Where whole batches are loaded at once (`Transformed` with ``batched=True``), it is derived from
    the number of the batch in place of the item's index. Outside a loader it is the generator of
    the package, `backpass.nn.random.generator()`.

    Examples
    --------
    >>> from backpass.nn.data import DataLoader, item_generator
    >>> class Noise:
    ...     def __len__(self):
    ...         return 4
    ...
    ...     def __getitem__(self, index):
    ...         return item_generator().standard_normal(dtype="f4")
    >>> (a,) = DataLoader(Noise(), batch_size=4, seed=1)
    >>> (b,) = DataLoader(Noise(), batch_size=4, seed=1, workers=2)
    >>> (a == b).all()
    np.True_
    """
    now = _thread.loading
    return random.generator() if now is None else now.generator()


__all__ = ["BATCH", "ITEM", "ORDER", "Generators", "item_generator", "loading"]
