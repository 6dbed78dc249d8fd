"""What is computed of rows: a few lines of CUDA C++."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple


class Program(NamedTuple):
    """What is computed of rows, in CUDA C++.

    `T` is the type in which is computed.  `EACH` goes through the elements that a thread holds: of
    the operand `x` they are `x[i][j]`.  Of an operand `g` with one element for a row, `g` is that.

    Attributes
    ----------
    operands
        The operands' names, in the order of the call; all of one dtype, which the result has.
    whole
        Those with elements along a row.
    state
        What a thread remembers of the elements that it has seen: names, and what they are before
        the first.  A name may bring a type along, as in `"long long ties"`; else it is `T`.
    absorb
        Statements that put the elements that a thread holds into `state`.
    merge
        Statements that put what another thread remembers, `other`, into `state`.
    result
        An expression for the row, or, if `spread`, for each element.
    finish
        Statements that come before it, once for a row.  If elements are held until then, `own` is
        what the thread remembered when it had seen its own.
    again
        Statements that do to elements what `absorb` did to them, when they are read again.
    spread
        Whether there is a result for each element.
    keywords
        Those that may be given besides `axis`.
    numbers
        From the number of a row's elements, how often a row repeats itself, and `ddof`: up to two
        numbers, `rows.numbers[0]`; `None` to leave it to CuPy.
    repeats
        Whether elements that repeat need not be read again: `numbers` sees to them.
    neutral
        An element that changes nothing.  It stands where a thread holds less than it could, which
        takes less than to ask at each.
    """

    operands: tuple[str, ...]
    whole: tuple[str, ...]
    state: Mapping[str, str]
    absorb: str
    merge: str
    result: str
    finish: str = ""
    again: str = ""
    spread: bool = False
    keywords: frozenset[str] = frozenset()
    numbers: Callable[[int, int, float], Sequence[float] | None] = lambda n, repeats, ddof: ()
    repeats: bool = False
    neutral: str = ""

    @property
    def fields(self) -> tuple[tuple[str, str, str], ...]:
        """Return the type, the name and the start of all that a thread remembers."""
        found = []
        for name, start in self.state.items():
            kind, _, own = name.rpartition(" ")
            found.append((kind or "T", own, start))
        return tuple(found)
