"""What a profile says of one operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

#: By what a table may be sorted.
Sort = Literal["time", "total", "calls", "made", "kept", "operation"]


@dataclass(frozen=True, slots=True)
class Row:
    """What one operation took in one phase, all its calls together.

    Attributes
    ----------
    operation
        The primitive's name; in the rows that have no phase, what else was done.
    phase
        `"forward"`: it computed a value; `"backward"`, `"forward mode"`: its rule ran; `"in
        rules"`: it computed something while a rule ran, or while cotangents were added; `""`: no
        operation.
    calls
        How often.
    time
        Seconds in it alone.  The times of all rows add up to the wall time.
    total
        Seconds in it and in what it called: a rule that is composed of operations.
    made
        Bytes of the arrays that it made; of views none.
    kept
        Bytes that its nodes keep for their rules and that nothing before has kept.
    """

    operation: str
    phase: str
    calls: int
    time: float
    total: float
    made: int
    kept: int
