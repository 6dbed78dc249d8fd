"""The random numbers of networks: one seed for initial weights and for dropout.

Initial weights come from one generator of NumPy. Dropout's masks come from keys: a key is the seed
and a count, from which a counter-based generator computes the same mask on every device.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy

from backpass.core.segments import replay

_lock = threading.Lock()
_seed = 0
_keys = 0
# Made when it is first asked for: importing numpy.random takes as long as half of backpass.nn.
_generator: numpy.random.Generator | None = None


def seed(number: int) -> None:
    """Seed everything random in `backpass.nn`: initial weights, dropout, data loaders.

    A program that seeds once at its beginning gives the same numbers in every run.

    Parameters
    ----------
    number : int
        At least 0 and less than 2**63.

    Raises
    ------
    ValueError
        If `number` is out of range.

    Examples
    --------
    >>> from backpass.nn import random
    >>> random.seed(0)
    >>> random.next_key(), random.next_key()
    ((0, 0), (0, 1))
    """
    global _seed, _keys, _generator
    if not 0 <= number < 2**63:
        raise ValueError(f"seed: `number` is {number}, but it must be at least 0 and below 2**63")
    with _lock:
        _seed, _keys, _generator = int(number), 0, None


def generator() -> numpy.random.Generator:
    """Return the generator that initial weights are drawn from."""
    global _generator
    with _lock:
        if _generator is None:
            _generator = numpy.random.default_rng(_seed)
        return _generator


def next_key() -> tuple[int, int]:
    """Return a key that has not been used since the last seed: the seed, and a count."""
    global _keys
    with _lock:
        _keys += 1
        return _seed, _keys - 1


def get_state() -> dict[str, Any]:
    """Return the state, as numbers and text that JSON can hold."""
    state = generator().bit_generator.state
    with _lock:
        return {"seed": _seed, "keys": _keys, "generator": state}


def set_state(state: dict[str, Any]) -> None:
    """Go on from a state that `get_state` has returned.

    Examples
    --------
    >>> from backpass.nn import random
    >>> state = random.get_state()
    >>> key, drawn = random.next_key(), random.generator().random()
    >>> random.set_state(state)
    >>> (random.next_key(), random.generator().random()) == (key, drawn)
    True
    """
    global _seed, _keys, _generator
    made = numpy.random.default_rng()
    made.bit_generator.state = state["generator"]
    with _lock:
        _seed, _keys, _generator = int(state["seed"]), int(state["keys"]), made


def _counted() -> tuple[int, int]:
    return _seed, _keys


def _count_from(counted: tuple[int, int]) -> None:
    global _seed, _keys
    _seed, _keys = counted


# What is computed anew, to save memory, drops out the same.
replay(_counted, _count_from)
# Without a seed, every run differs.
seed(int.from_bytes(os.urandom(7)))

__all__ = ["generator", "get_state", "next_key", "seed", "set_state"]
