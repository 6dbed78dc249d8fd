"""A solution as a function of time: SciPy's `OdeSolution`, differentiable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from backpass.core.operators import operators
from backpass.core.ops.odes.equations import Equation
from backpass.core.ops.odes.solution import Run
from backpass.core.ops.odes.states import read_times
from backpass.core.ops.odes.trajectories import Path, Trajectory
from backpass.core.ops.shaping import as_operand, concatenate_arrays
from backpass.core.segments import Operands
from backpass.core.values import plain


class DenseSolution:
    """y as a function of time, by SciPy's interpolants: differentiable in all that y depends on.

    The derivative in time is f(t, y), and that in the rest y's own; not the interpolant's, which
    agree within the tolerances.  It keeps what the solution was made of.

    Attributes
    ----------
    ts, t_min, t_max, n_segments, interpolants
        As in SciPy's `OdeSolution`.
    finish
        What its results go through: a drop-in makes those plain that are not tracked.
    """

    def __init__(
        self, path: Any, pieces: Path | None, run: Run, start: Any, first: Any, extra: Any
    ) -> None:
        self.ts, self.t_min, self.t_max = path.ts, path.t_min, path.t_max
        self.n_segments, self.interpolants = path.n_segments, path.interpolants
        self.finish: Callable[[Any], Any] = lambda y: y
        self._path = path
        self._pieces = pieces
        self._run = run
        self._start = start
        self._first = first
        self._extra = extra

    def __call__(self, t: Any) -> Any:
        """Return y at a time, or at times: their axis comes last.

        Raises
        ------
        ValueError
            If there is something to differentiate and a time lies outside of the solution.
        """
        t = as_operand(t)
        times = read_times(t, "t", "sol")
        moving = concatenate_arrays([self._first, times])
        before = self._run.equation
        operands = Operands((self._start, moving, self._extra))
        equation = Equation(
            before.caller,
            before.fun,
            operands,
            before.state,
            time_first=before.time_first,
            columns=before.columns,
        )
        # Not those of a graph that has been walked since.
        equation.captured = [node for node in before.captured if node.parents is not None]
        run = Run(equation, self._run.solver, self._run.given)
        values = plain(moving)
        if run.tracked and not (self.t_min <= values.min() and values.max() <= self.t_max):
            raise ValueError(
                f"sol: t must lie from {self.t_min:g} to {self.t_max:g}: beyond, there is no "
                "solution whose derivative could be taken"
            )
        found = numpy.concatenate([plain(self._start)[None], self._path(values[1:]).T])
        trajectory = Trajectory(found, values, range(len(values)), path=self._pieces)
        rows = operators.getitem(run.hang(trajectory)[0], index=slice(1, None))
        state = before.state
        return self.finish(state.along(rows, last=True) if t.ndim else state.tree(rows[0]))
