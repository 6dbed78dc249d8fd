"""A solution as one node of the graph: how it is made, and its rules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from backpass.core.arity import part_of
from backpass.core.cotangents import Parts
from backpass.core.graph import Node, next_serial, pauses, recording, tell
from backpass.core.ops.odes.adjoint import pull
from backpass.core.ops.odes.equations import Equation, Jacobian, OnVectors
from backpass.core.ops.odes.places import Place
from backpass.core.ops.odes.solvers import Solver
from backpass.core.ops.odes.trajectories import Trajectory
from backpass.core.ops.odes.variational import push
from backpass.core.tensor import Tensor, live
from backpass.core.values import plain


class Run:
    """One run of a solver: the user's functions at plain arrays, and the node that it leaves."""

    def __init__(self, equation: Equation, solver: Solver, jacobian: Any = None) -> None:
        self.equation = equation
        self.solver = solver
        self.given = jacobian
        self.begun = next_serial()
        self.tensors = equation.operands.tensors
        paused = pauses[0] and recording.paused
        self.parents = [] if paused else [live(t) for t in self.tensors]
        self.constants = [Tensor(self.tensors[k].value) for k in equation.inner]
        # A solution that is kept must not keep what it was made of.
        equation.operands.tensors = []

    def on_arrays(self, function: OnVectors) -> Callable[[float, Any], Any]:
        """Return one of the equation's functions for SciPy; what it reaches is noted."""
        equation, constants, begun = self.equation, self.constants, self.begun
        # SciPy may use its array for the next point.
        return lambda t, y: equation.value(function, y.copy(), t, constants, begun)

    @property
    def jacobian(self) -> Any:
        """df/dy at plain arrays, the user's or our own; or a constant."""
        return Jacobian(self.equation, self.constants) if self.given is None else self.given

    @property
    def tracked(self) -> bool:
        """Whether the solution will have a derivative, as far as is known."""
        return bool(self.parents or self.equation.captured)

    def hang(self, found: Trajectory) -> tuple[Tensor, Tensor]:
        """Return y at times and events, and the events' times, on the solution's node."""
        rows, marks = found.rows, found.marks
        if not self.tracked:
            return Tensor(rows), Tensor(marks)
        found.tracked = [t.value for t in self.tensors]
        nodes = (*self.parents, *self.equation.captured)
        rule = Solution(self.equation, self.solver, self.given)
        if not len(marks):
            made = Node(rule, nodes, found, None, rows.shape, rows.dtype)
            tell(rule, nodes, rows, None, made)
            return Tensor(rows, made), Tensor(marks)
        made = Node(rule, nodes, found, None, None, None)
        tell(rule, nodes, (rows, marks), None, made)
        return part_of(rows, made, 0, 2), part_of(marks, made, 1, 2)


class Solution:
    """The primitive of a solution."""

    def __init__(self, equation: Equation, solver: Solver, jacobian: Any) -> None:
        self.name = equation.caller
        self.equation = equation
        self.solver = solver
        self.jacobian = jacobian

    def pullback(self, g: Any, node: Node, wanted: Collection[Node] | None) -> Sequence[Any]:
        """Integrate the adjoint equation backwards."""
        g_rows, g_marks = g.items if type(g) is Parts else (g, None)
        on_tensors = type(g_rows) is Tensor or type(g_marks) is Tensor
        made = pull(self._place(node, on_tensors), g_rows, g_marks, wanted)
        if on_tensors:
            return [x if x is None or isinstance(x, Tensor) else Tensor(x) for x in made]
        return [plain(x) for x in made]

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Integrate the variational equation along the solution."""
        made = push(self._place(node, on_tensors), tangents)
        if on_tensors:
            made = [x if isinstance(x, Tensor) else Tensor(x) for x in made]
        else:
            made = [plain(x) for x in made]
        return made[0] if node.shape is not None else made

    def _place(self, node: Node, on_tensors: bool) -> Place:
        return Place(self.equation, self.solver, self.jacobian, node, on_tensors, solve)


def solve(equation: Equation, start: Any, times: Any, solver: Solver) -> Tensor:
    """Return y at all times, one row each."""
    run = Run(equation, solver)
    field = run.on_arrays(equation.field)
    rows = solver.at(field, plain(start), plain(times), run.jacobian)
    return run.hang(Trajectory(rows, plain(times), range(len(rows))))[0]
