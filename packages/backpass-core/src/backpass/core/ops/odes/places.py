"""How a rule looks at a solution: as arrays, or as Tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy

from backpass.core.arity import part_of
from backpass.core.graph import Node
from backpass.core.ops.odes.equations import (
    Equation,
    Jacobian,
    Local,
    fresh_leaves,
    in_double,
    plain_function,
)
from backpass.core.ops.odes.solvers import Solver, StepFailed
from backpass.core.ops.odes.states import State
from backpass.core.ops.odes.trajectories import Path, Trajectory
from backpass.core.segments import Operands
from backpass.core.tensor import Tensor
from backpass.core.values import plain

#: Solves an equation from a start, at times: `solve(equation, start, times, solver)`.
Solve = Callable[[Equation, Any, Any, Solver], Any]


class Place:
    """A solution while a rule runs.

    Attributes
    ----------
    rows, marks
        As of the `Trajectory`; Tensors where the rule is itself to be differentiated.
    parameters
        The tracked leaves of `args`, as Tensors.
    given
        The user's df/dy at plain arrays, or a constant; `None` where it is our own.
    order
        The rows as they come in time.
    instants
        The times of all rows.
    """

    def __init__(
        self,
        equation: Equation,
        solver: Solver,
        jacobian: Any,
        node: Node,
        on_tensors: bool,
        solve: Solve,
    ) -> None:
        found: Trajectory = node.saved
        if found.failure:
            raise RuntimeError(
                f"{equation.caller}: the solution is not complete, it has no derivative: "
                f"{found.failure}"
            )
        self.equation = equation
        self.solver = solver
        self.node = node
        self.on_tensors = on_tensors
        self.found = found
        self.given = jacobian
        self._solve = solve
        self.rows, self.marks = found.rows, found.marks
        self.moving: Any = None
        inner = equation.inner
        self.constants = [in_double(Tensor(found.tracked[k])) for k in inner]
        if on_tensors:
            hung = [Tensor(v, owner) for v, owner in zip(found.tracked, node.parents)]
            self.parameters = [in_double(hung[k]) for k in inner]
            by_place = dict(zip(equation.operands.places, hung))
            self.moving = by_place.get(1)
            if len(found.marks):
                self.rows = part_of(found.rows, node, 0, 2)
                self.marks = part_of(found.marks, node, 1, 2)
            else:
                self.rows = Tensor(found.rows, node)
        else:
            self.parameters = fresh_leaves(self.constants)
        self.instants = numpy.concatenate([found.times, found.marks])
        back = bool((self.instants < self.instants[0]).any())
        key = -self.instants if back else self.instants
        self.order: list[int] = numpy.argsort(key, kind="stable").tolist()

    def time(self, i: int) -> Any:
        """Return the time of row `i`."""
        k = i - len(self.found.times)
        if k >= 0:
            return self.marks[k]
        source = self.found.sources[i]
        return self.found.times[i] if self.moving is None or source is None else self.moving[source]

    def field(self, i: int) -> Any:
        """Return dy/dt at row `i`."""
        if self.on_tensors:
            t = self.time(i)
            t = t if isinstance(t, Tensor) else Tensor(t)
            return self.equation.field(self.rows[i], t, self.parameters)
        field = plain_function(self.equation.field, self.constants)
        return field(float(self.instants[i]), self.rows[i])

    def local(
        self, function: Any, y: Any, t: Any, *, with_time: bool = False, fixed: bool = False
    ) -> Local:
        """Return a function at a point; of y, and of the parameters unless they are fixed."""
        return Local(
            self.equation,
            function,
            y,
            t,
            self.constants if fixed else self.parameters,
            on_tensors=self.on_tensors,
            with_time=with_time,
        )

    def owners(self, local: Local, asked: Sequence[int]) -> list[Any]:
        """Return the nodes, in a function at a point, of some of the solution's parents."""
        equation = self.equation
        inner = dict(zip(equation.inner, local.nodes[2:]))
        count = len(equation.operands.places)
        return [inner[k] if k < count else equation.captured[k - count] for k in asked]

    def ask(self, asked: Sequence[int]) -> None:
        """Take those of the tracked leaves of `args` for constants that are not asked for."""
        if not self.on_tensors:
            self.parameters = [
                parameter if k in asked else constant
                for k, parameter, constant in zip(
                    self.equation.inner, self.parameters, self.constants
                )
            ]

    def end(self) -> None:
        """Let the fresh leaves die: what a function has kept is not tracked by them."""
        self.equation.forget()
        if not self.on_tensors:
            for parameter in self.parameters:
                if parameter.node is not None:
                    parameter.node.parents = None

    @property
    def jacobian(self) -> Any:
        """df/dy at plain arrays, the user's or our own; or a constant."""
        return Jacobian(self.equation, self.constants) if self.given is None else self.given

    def path(self) -> Path:
        """Return y as a function of time, and solve for it if that has not been done."""
        found = self.found
        if found.path is None:
            field = plain_function(self.equation.field, self.constants)
            first, last = self.instants[self.order[0]], self.instants[self.order[-1]]
            span = float(first), float(last)
            _, solved, used = self.solver.along(
                field, found.rows[0], span, self.jacobian, dense=True
            )
            found.path = Path(solved, self.solver, stiff=used > 0)
        return found.path

    def again(self, fun: Any, start: Any, times: Any, args: Any, solver: Solver) -> Any:
        """Solve another equation, on a vector; return its rows as a Tensor."""
        start, times = (x if isinstance(x, Tensor) else Tensor(x) for x in (start, times))
        operands = Operands((start, times, args))
        state = State(None, [start.shape])
        name = self.equation.caller
        try:
            return self._solve(Equation(name, fun, operands, state), start, times, solver)
        except StepFailed as error:
            raise RuntimeError(
                f"{name}: the equation of a second derivative cannot be solved from "
                f"t={plain(times)[0]:g} to t={plain(times)[-1]:g}: {error} Where y runs away on "
                "its way back, take grad of jvp; or try other tolerances, or another method"
            ) from error

    def limits(self, like: Any = None) -> tuple[float, float]:
        """Return the tolerances for something beside y, a cotangent or a tangent of size 1.

        Noise in single precision would let the solver look for a step that is not there.
        """
        rtol, atol = self.solver.limits
        if like is not None and like.dtype.itemsize < (16 if like.dtype.kind == "c" else 8):
            return max(rtol, 1e-6), max(atol, 1e-7)
        return rtol, atol

    def beside(self, parts: Sequence[tuple[int, tuple[float, float]]]) -> Solver:
        """Return a solver for y and parts beside it, of these lengths and tolerances."""
        n = self.equation.state.size
        rtols, atols = (
            [numpy.broadcast_to(self.solver.rtol, n)],
            [numpy.broadcast_to(self.solver.atol, n)],
        )
        for size, (rtol, atol) in parts:
            rtols.append(numpy.full(size, rtol))
            atols.append(numpy.full(size, atol))
        return self.solver.with_tolerances(numpy.concatenate(rtols), numpy.concatenate(atols))
