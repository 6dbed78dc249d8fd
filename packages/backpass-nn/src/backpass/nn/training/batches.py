"""Batches: those that are left, in groups, and where the model is."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from backpass.core import Tensor, tree
from backpass.core.devices import beside


def grouped(loader: Iterable[Any], size: int, done: int) -> Iterator[list[Any]]:
    """Return the rest of an epoch's batches, in lists for a step each.

    Parameters
    ----------
    loader : iterable of batches
        With a state of its own, such as a `DataLoader`, it is where it should be already.
    size : int
        How many there are in a list; in the last one, those that are left.
    done : int
        How many are to be passed over.

    Raises
    ------
    TypeError
        If there are some, and the loader can neither be told so nor is a sequence.
    """
    batches = iter(loader)
    if done and not hasattr(loader, "load_state_dict"):
        if not isinstance(loader, Sequence):
            raise TypeError(
                f"fit: the training goes on after {done} batches of an epoch, but `loader`, of "
                f"type {type(loader).__name__}, cannot be told so: pass a DataLoader, or a list"
            )
        batches = itertools.islice(batches, done, None)
    try:
        while group := list(itertools.islice(batches, size)):
            yield group
    finally:
        if hasattr(batches, "close"):
            batches.close()  # Threads that load ahead end with the loop.


def moved(batch: Any, home: Tensor) -> tuple[Any, int]:
    """Return a batch where a Tensor lies, and how many examples it has: as its first array."""
    leaves, structure = tree.flatten(batch)
    size = next((leaf.shape[0] for leaf in leaves if getattr(leaf, "shape", ())), 1)
    there = [beside(leaf, home.value) for leaf in leaves]
    return tree.unflatten(structure, there), size


__all__ = ["grouped", "moved"]
