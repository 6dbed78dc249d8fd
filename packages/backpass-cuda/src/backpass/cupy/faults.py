"""What kernels find wrong in what they read, said when a result is next copied to the host.

A label that is no class cannot be refused before a kernel runs without waiting for the GPU at each
step, and not at all while a graph is captured.  So the kernel looks: it makes the result nan, and
writes place and number of such a label into a word of the host's memory, one for each kind of
complaint.  Whoever waits for a result anyway (`backpass.cupy.transfer`) reads the words.
"""

from __future__ import annotations

import threading
from typing import Any

import numpy

from backpass.cupy.library import library

#: So many kinds of complaints are told apart; all others share the last word.
WORDS = 512
#: What a kernel calls: the word is the place, and the number + 2**31 where it has 32 bits.
TEXT = """
__device__ __noinline__ void complain(unsigned long long *fault, long long place, long long value) {
    const long long low = -2147483647LL, high = 2147483647LL;
    const long long near = value < low ? low : value > high ? high : value;
    const unsigned long long where = place < 0xfffffffeLL ? place + 1 : 0xffffffffULL;
    atomicExch(fault, where << 32 | (unsigned)(near + 0x80000000LL));
}
"""


class Faults:
    """The words, and what they stand for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers: dict[tuple[str, str, str], int] = {}
        self._memory: Any = None
        self._words: Any = None

    def place(self, name: str, what: str, reason: str) -> int:
        """Return the address of the word for a complaint, which a kernel is given."""
        found = self._numbers.get((name, what, reason))
        if found is None:
            with self._lock:
                if self._words is None:
                    self._memory = library.cuda.alloc_pinned_memory(8 * WORDS)
                    self._words = numpy.frombuffer(self._memory, numpy.uint64, WORDS)
                    self._words[:] = 0
                found = min(len(self._numbers), WORDS - 1)
                self._numbers.setdefault((name, what, reason), found)
        return int(self._memory.ptr) + 8 * found

    def check(self) -> None:
        """Raise a `ValueError` if a kernel that has ended has complained.

        It is said once.
        """
        if self._words is None or not self._words.any():
            return
        with self._lock:
            number = int(self._words.argmax())
            word = int(self._words[number])
            self._words[:] = 0
            known = list(self._numbers)
        if not word:
            return
        name, what, reason = known[number]
        place, value = (word >> 32) - 1, (word & 0xFFFFFFFF) - 2**31
        raise ValueError(
            f"{name}: `{what}`.ravel()[{place}] is {value}, {reason}. It was found on the GPU: "
            "what has been computed from it is nan"
        )


faults = Faults()
