"""Whether what a node keeps for its rules has been written to since.

A node holds the very arrays that its operation has seen.  Who writes into one of them afterwards,
through an array of his own or a view, changes what the rule computes.
"""

from __future__ import annotations

import math
import zlib
from typing import Any

import numpy

from backpass.core.backends import made_beside, on_host
from backpass.core.graph import Node
from backpass.core.keeping import kept

#: Arrays of so many elements at most are copied, so that it can be said what has changed.
COPIED = 64


class Fingerprints:
    """What the arrays that a node keeps were when it was recorded."""

    __slots__ = ("_prints",)

    def __init__(self, node: Node) -> None:
        self._prints = [_fingerprint(x) for _, x in kept(node)]

    def changed(self, node: Node) -> tuple[str, Any, str] | None:
        """Return the first array that has changed: what it is, itself, and how; `None`: none."""
        for (name, x), before in zip(kept(node), self._prints):
            if not _same(before, _fingerprint(x)):
                return name, x, _difference(before, x)
        return None


def _fingerprint(x: Any) -> Any:
    """Return a copy of a small array, else a number that tells one from another."""
    if x.size <= COPIED:
        return x.copy()
    if not isinstance(x, numpy.ndarray):
        return made_beside((x,), lambda xp: _weighted(xp, x))
    # Axes that are only spread hold nothing.
    spread = tuple(0 if stride == 0 else slice(None) for stride in x.strides)
    return zlib.crc32(numpy.ascontiguousarray(x[spread]).view(numpy.uint8).data)


def _weighted(xp: Any, x: Any) -> Any:
    """Return the sum of the bits of an array, each word with a weight of its own, on its device."""
    width = next(n for n in (4, 2, 1) if x.dtype.itemsize % n == 0)
    words = xp.ascontiguousarray(x).reshape(-1).view(f"uint{8 * width}").astype("uint64")
    return (words * xp.arange(1, 2 * math.prod(words.shape), 2, dtype="uint64")).sum()


def _same(before: Any, now: Any) -> bool:
    if isinstance(before, int):
        return bool(before == now)
    return _bits(before) == _bits(now)


def _bits(x: Any) -> bytes:
    return numpy.asarray(on_host(x)).tobytes()


def _difference(before: Any, x: Any) -> str:
    """Say which element of a small array has changed."""
    if isinstance(before, int) or tuple(before.shape) != tuple(x.shape):
        return ""
    old, new = numpy.asarray(on_host(before)), numpy.asarray(on_host(x))
    for index in numpy.ndindex(old.shape):
        if old[index].tobytes() != new[index].tobytes():
            at = f"[{', '.join(map(str, index))}]" if index else "it"
            return f"{at} was {old[index]}, is {new[index]}"
    return ""
