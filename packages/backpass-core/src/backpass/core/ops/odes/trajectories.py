"""What a solution leaves for its rules."""

from __future__ import annotations

import bisect
from collections.abc import Sequence
from typing import Any

import numpy

from backpass.core.ops.odes.solvers import Solver


class Path:
    """y as a function of one time, by the pieces of SciPy's `OdeSolution`.

    It is asked at each step of the way back, and for RK23 and RK45 costs a fifth of SciPy's, which
    serves arrays of times, too.

    Attributes
    ----------
    ts
        The steps' ends.
    stiff
        Whether the solver has needed df/dy.
    """

    __slots__ = ("_breaks", "_pieces", "stiff", "ts")

    def __init__(self, solution: Any, solver: Solver, *, stiff: bool) -> None:
        self.ts = solution.ts
        self.stiff = stiff
        pieces = solution.interpolants
        if solver.explicit:
            pieces = [_Polynomial(piece) if hasattr(piece, "Q") else piece for piece in pieces]
        ascending = self.ts[-1] >= self.ts[0]
        self._pieces = pieces if ascending else pieces[::-1]
        self._breaks = (self.ts if ascending else self.ts[::-1])[1:-1].tolist()

    def __call__(self, t: float) -> Any:
        """Return y."""
        return self._pieces[bisect.bisect_left(self._breaks, t)](t)


class _Polynomial:
    """The interpolant of a step of RK23 or RK45."""

    __slots__ = ("_by_powers", "_exponents", "_h", "_t", "_y")

    def __init__(self, piece: Any) -> None:
        self._t, self._h, self._y = piece.t_old, piece.h, piece.y_old
        self._by_powers = piece.h * piece.Q
        self._exponents = range(1, piece.Q.shape[1] + 1)

    def __call__(self, t: float) -> Any:
        x = (t - self._t) / self._h
        return self._by_powers @ [x**k for k in self._exponents] + self._y


class Trajectory:
    """The values of a solution.

    Attributes
    ----------
    rows
        y at the times, and then at the events, one row each.
    times, sources
        Of the rows that are no events, and which element of the operand t each is: `None` for what
        SciPy has chosen, a constant.  The first is the start.
    marks, kinds
        The events' times, and which event each of them is.
    path
        y as a function of time; `None` as long as nobody has asked for it.
    failure
        SciPy's message, if it has not come to the end.
    tracked
        Values of the tracked operands.
    """

    __slots__ = ("failure", "kinds", "marks", "path", "rows", "sources", "times", "tracked")

    def __init__(
        self,
        rows: Any,
        times: Any,
        sources: Sequence[int | None],
        marks: Any = None,
        kinds: Sequence[int] = (),
        path: Path | None = None,
        failure: str = "",
    ) -> None:
        self.rows = rows
        self.times = times
        self.sources = sources
        self.marks = numpy.zeros(0) if marks is None else marks
        self.kinds = kinds
        self.path = path
        self.failure = failure
        self.tracked: list[Any] = []
