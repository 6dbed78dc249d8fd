"""The functions that the user gives, on vectors, and their derivatives at one point."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy

from backpass.core.calls import THROUGH, name_of
from backpass.core.cotangents import fit_cotangent, fit_tangent
from backpass.core.devices import beside
from backpass.core.graph import Node, Subgraph, backward, forward, next_serial, pause, recording
from backpass.core.operators import operators
from backpass.core.ops.odes.states import State
from backpass.core.ops.shaping import as_operand
from backpass.core.segments import Operands
from backpass.core.tensor import Tensor, live
from backpass.core.values import plain

Function = Callable[..., Any]
_HOST = numpy.empty(0)
#: A function of a vector, a time and the tracked leaves of `args`.
OnVectors = Callable[[Any, Any, Sequence[Any]], Any]


class Equation:
    """dy/dt = fun(t, y, *args), and functions of the same arguments whose zeros are events.

    Attributes
    ----------
    operands
        (y0, t, args), and which of their leaves are tracked.
    inner
        Places of the tracked leaves of `args` among the tracked leaves.
    captured
        The tracked nodes that the functions reach in other ways than by their arguments.
    elsewhere
        An array from its device for each of them that lies on one, when that has been seen.
    """

    def __init__(
        self,
        caller: str,
        fun: Function,
        operands: Operands,
        state: State,
        *,
        events: Sequence[Function] = (),
        time_first: bool = True,
        columns: bool = False,
    ) -> None:
        self.caller = caller
        self.fun = fun
        self.operands = operands
        self.state = state
        self.events = events
        self.time_first = time_first
        self.columns = columns
        self.inner = [k for k, place in enumerate(operands.places) if place > 1]
        self.captured: list[Node] = []
        self.elsewhere: dict[Node, Any] = {}
        self._parameters: Sequence[Any] | None = None
        self._args: tuple[Any, ...] = ()

    def args(self, parameters: Sequence[Any]) -> tuple[Any, ...]:
        """Return `args` with these in the place of the tracked leaves."""
        # A solver gives the same list at each step.
        if parameters is not self._parameters:
            tensors: list[Any] = [None] * len(self.operands.places)
            for k, parameter in zip(self.inner, parameters):
                tensors[k] = parameter
            self._args = self.operands.filled(tensors)[2]
            self._parameters = parameters
        return self._args

    def forget(self) -> None:
        """Let the parameters go that the functions were last called with."""
        self._parameters, self._args = None, ()
        self.elsewhere = {}

    def field(self, y: Any, t: Any, parameters: Sequence[Any]) -> Any:
        """Return dy/dt."""
        args = self.args(parameters)
        column = (self.state.size, 1)
        y = operators.reshape(y, shape=column) if self.columns else self.state.tree(y)
        f = self.fun(t, y, *args) if self.time_first else self.fun(y, t, *args)
        if f is None:
            raise TypeError(f"{self._who()} returned None: did you forget return?")
        return self.state.vector(f, self._who)

    def _who(self) -> str:
        return f"{self.caller}: {name_of(self.fun)}"

    def event(self, k: int) -> OnVectors:
        """Return the function whose zeros are event number `k`."""

        def function(y: Any, t: Any, parameters: Sequence[Any]) -> Any:
            event = self.events[k]
            g = event(t, self.state.tree(y), *self.args(parameters))
            if g is None:
                raise TypeError(
                    f"{self.caller}: the event {name_of(event)} returned None: did you forget "
                    "return?"
                )
            g = as_operand(g)
            if g.size != 1:
                raise ValueError(
                    f"{self.caller}: the event {name_of(event)} returned shape {g.shape}: an event "
                    "is the zero of one number"
                )
            return g if g.shape == () else operators.reshape(g, shape=())

        return function

    def value(self, function: OnVectors, y: Any, t: float, constants: Any, begun: int) -> Any:
        """Return what a function gives at plain arrays, and note which tracked Tensors it reaches.

        `begun` is a serial number: tracked nodes that are younger are the function's own.
        """
        f = function(Tensor(y), Tensor(numpy.float64(t)), constants)
        f = f if isinstance(f, Tensor) else Tensor(f)
        node = live(f)
        if node is not None:
            for found in Subgraph(node, begun).strangers(()):
                if found not in self.captured and _is_older(found, begun):
                    self.captured.append(found)
        if not isinstance(f.value, numpy.ndarray | numpy.generic):
            raise TypeError(
                f"{self.caller}: {name_of(self.fun)} or an event returned an array on a device, "
                "SciPy solves on the CPU: bring it back with to_device(x, 'cpu')"
            )
        return f.value


class Local:
    """A function at one point: its value, and its derivative there, both ways.

    The function runs on fresh Tensors.  They hang on the nodes that the point's have outside where
    the derivative is itself to be differentiated.

    Attributes
    ----------
    value
        What the function gave.
    on_tensors
        Whether the derivative depends on something tracked outside.
    """

    __slots__ = ("equation", "nodes", "on_tensors", "root", "subgraph", "value")

    def __init__(
        self,
        equation: Equation,
        function: OnVectors,
        y: Any,
        t: Any,
        parameters: Sequence[Any],
        *,
        on_tensors: bool,
        with_time: bool = False,
    ) -> None:
        self.equation = equation
        y, t = _hung(y, on_tensors), _hung(t, on_tensors) if with_time else _constant(t)
        if on_tensors:
            parameters = [_hung(p, on_tensors) for p in parameters]
        begun = next_serial()
        # Be in a transformation, and not in `no_grad`: what is recorded is for the walk that runs.
        paused = recording.paused
        if paused:
            pause(-paused)
        recording.depth += 1
        try:
            f = function(y, t, parameters)
        finally:
            recording.depth -= 1
            if paused:
                pause(paused)
        self.root = live(f) if isinstance(f, Tensor) else None
        self.subgraph = None if self.root is None else Subgraph(self.root, begun)
        #: y's, the time's, and the parameters'.
        self.nodes = (y.node, t.node, *(p.node for p in parameters))
        self.on_tensors = on_tensors
        if self.subgraph is not None:
            outside = self._outside(begun)
            if on_tensors:
                self.on_tensors = outside or any(n is not None and n.parents for n in self.nodes)
        self.value = f if self.on_tensors else plain(f)

    def _outside(self, begun: int) -> bool:
        """Tell whether captured Tensors are reached; raise if one is not known."""
        known = self.equation.captured
        found = False
        for node in self.subgraph.strangers(self.nodes):  # type: ignore[union-attr]
            if node in known:
                found = True
            elif _is_older(node, begun):
                raise RuntimeError(
                    f"{self.equation.caller}: {name_of(self.equation.fun)} reaches a tracked "
                    f"Tensor of shape {node.shape} only while it is differentiated: its gradient "
                    "would be lost: pass it in args"
                )
        return found

    def pull(self, a: Any, targets: Sequence[Any], *, again: bool = False) -> list[Any]:
        """Carry a cotangent of the value to nodes, `None` where nothing arrives.

        `again`: the function may be walked once more.
        """
        root = self.root
        if root is None or self.subgraph is None:
            return [None] * len(targets)
        on_tensors = self.on_tensors or (isinstance(a, Tensor) and a.tracked)
        a = plain(a) if not on_tensors else a if isinstance(a, Tensor) else Tensor(a)
        if a.shape != root.shape or a.dtype is not root.dtype:
            a = fit_cotangent(a, root)
        # Usually all that is tracked is asked for.
        every = all(node in targets for node in self.subgraph.border)
        found = backward(
            self.subgraph,
            {root: a},
            wanted=None if every else self.subgraph.between(targets),
            free=not (on_tensors or again),
        )
        return [self._on_host(target, found.get(target)) for target in targets]

    def _on_host(self, target: Node, g: Any) -> Any:
        """Return a cotangent for SciPy, and note from which device it has come."""
        if g is None or isinstance(plain(g), numpy.ndarray | numpy.generic):
            return g
        self.equation.elsewhere[target] = plain(g)
        return beside(g, _HOST)

    def push(self, tangents: Sequence[tuple[Any, Any]]) -> Any:
        """Carry tangents, pairs (node, tangent), to the value; `None` if none arrives."""
        if self.root is None or self.subgraph is None:
            return None
        on_tensors = self.on_tensors or any(
            isinstance(t, Tensor) and t.tracked for _, t in tangents
        )
        start: dict[Node, Any] = {}
        for node, t in tangents:
            if t is not None:
                t = plain(t) if not on_tensors else t if isinstance(t, Tensor) else Tensor(t)
                start[node] = fit_tangent(t, node)
        return forward(self.subgraph, start, on_tensors=on_tensors).get(self.root)

    def end(self) -> None:
        """Let the fresh leaves die: what the function has kept is not tracked by them."""
        for node in self.nodes[:2]:
            if node is not None and not node.parents:
                node.parents = None


def plain_function(function: OnVectors, constants: Sequence[Any]) -> Callable[[float, Any], Any]:
    """Return a function of plain arrays, for SciPy, which may use its array for the next point."""

    def on_arrays(t: float, y: Any) -> Any:
        return plain(function(Tensor(y.copy()), Tensor(numpy.float64(t)), constants))

    return on_arrays


class Jacobian:
    """df/dy of an equation at plain arrays, exactly: one walk back for each row."""

    def __init__(self, equation: Equation, constants: Sequence[Any]) -> None:
        self.equation = equation
        self.constants = constants

    def __call__(self, t: float, y: Any) -> Any:
        """Return the matrix at a point."""
        equation = self.equation
        t, n = numpy.float64(t), len(y)
        local = Local(equation, equation.field, y.copy(), t, self.constants, on_tensors=False)
        made = numpy.zeros((n, n), y.dtype)
        for i, row in enumerate(numpy.eye(n)):
            found = local.pull(row, local.nodes[:1], again=True)[0]
            if found is not None:
                made[i] = found
        local.end()
        return made


def fresh_leaves(values: Sequence[Any]) -> list[Tensor]:
    """Return Tensors on leaves of their own."""
    return [_hung(plain(value), False) for value in values]


def in_double(x: Any) -> Any:
    """Return a parameter in the solver's precision, so that its cotangents are smooth."""
    double = numpy.result_type(x.dtype, numpy.float64)
    return x if x.dtype == double else operators.astype(x, dtype=double)


def largest(x: Any) -> float:
    """Return the size of the largest element, 0 of none; on whichever device they lie."""
    return float(numpy.max(numpy.abs(operators.on_host(plain(x))), initial=0))


def _hung(x: Any, on_tensors: bool) -> Tensor:
    value = plain(x)
    outer = live(x) if on_tensors and isinstance(x, Tensor) else None
    if outer is None:
        return Tensor(value, Node(None, (), None, None, value.shape, value.dtype))
    return Tensor(value, Node(THROUGH, (outer,), None, None, value.shape, value.dtype))


def _constant(t: Any) -> Tensor:
    return Tensor(plain(t))


def _is_older(node: Node, begun: int) -> bool:
    """Tell whether a border node is not just a constant that a transformation has left behind."""
    return node.serial <= begun or node.tensor is not None
