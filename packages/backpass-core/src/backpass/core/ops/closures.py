"""A user's function, and all that it depends on besides its variables.

A solver calls such a function over and over, with nothing recorded; the rule of the solution
records it again, at one point, and walks what it has recorded.  What it depends on are the Tensors
in the arguments that are passed on to it, and those that it reaches otherwise: through closures.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy

from backpass.core.calls import Call, Recorded, name_of
from backpass.core.cotangents import Parts
from backpass.core.graph import (
    Node,
    Subgraph,
    backward,
    forward,
    next_serial,
    pauses,
    recording,
    tell,
    watching,
)
from backpass.core.operators import operators
from backpass.core.segments import Operands
from backpass.core.tensor import Tensor, live

Function = Callable[..., Any]


class Closure:
    """A function `fun(*variables, args)`, where `args` is a tree with tracked Tensors in it.

    Attributes
    ----------
    name
        Of the public function that has been given it, for messages.
    doubled
        Whether it gets its parameters in double precision, so that their cotangents are smooth.
    parents
        The nodes of the tracked Tensors in `args`: the function's parameters.
    captured
        The tracked nodes that the function reaches in other ways: parents of the solution, too.
    """

    def __init__(self, name: str, fun: Function, args: Any, *, doubled: bool = False) -> None:
        self.name = name
        self.doubled = doubled
        self.fun = fun
        self.operands = Operands(args)
        tensors = self.operands.tensors
        self.paused = bool(pauses[0] and recording.paused)
        self.parents = [] if self.paused else [live(t) for t in tensors]
        self._values = [(type(t), t.value) for t in tensors]
        self.captured: list[Node] = []
        # A solution that is kept must not keep what it was made of.
        self.operands.tensors = []

    @property
    def constants(self) -> Any:
        """The arguments, with nothing tracked in them."""
        return self.operands.filled(self.parameters())

    @property
    def tracked(self) -> bool:
        """Whether there is anything to differentiate by."""
        return bool(self.parents or self.captured)

    def __call__(self, *variables: Any) -> Any:
        """Evaluate the function on constants, and see what it captures."""
        begun = next_serial()
        with unseen():
            out = self.fun(*variables, self.constants)
        return self.observed(out, begun)

    def observed(self, out: Any, begun: int) -> Any:
        """Remember the tracked nodes that something depends on; return it untracked.

        `begun` is a serial number from before it was computed.
        """
        if not isinstance(out, Tensor):
            return out
        node = live(out)
        if node is None:
            return out
        for found in Subgraph(node, begun).strangers(()):
            if found not in self.captured and is_older(found, begun):
                self.captured.append(found)
        return Tensor(out.value)

    def node(self, primitive: Any, before: Sequence[Node | None], saved: Any, value: Any) -> Node:
        """Return the node of a solution: its parents are `before`, parameters and captured."""
        parents = (*before, *self.parents, *self.captured)
        made = Node(primitive, parents, saved, None, value.shape, value.dtype)
        tell(primitive, parents, value, None, made)
        return made

    def parameters(self, nodes: Sequence[Node | None] | None = None) -> list[Tensor]:
        """Return the tracked Tensors of `args`, on these nodes, or as constants."""
        nodes = [None] * len(self._values) if nodes is None else nodes
        made = [kind(value, node) for (kind, value), node in zip(self._values, nodes)]
        return [_in_double(t) for t in made] if self.doubled else made

    def linearized(
        self, variables: Sequence[Tensor], parameters: Sequence[Tensor], *, in_rule: bool = True
    ) -> Linearized:
        """Record the function at a point; in a rule, all that it captures must be known."""
        count = len(variables)

        def run(*every: Any) -> Any:
            return self.fun(*every[:count], self.operands.filled(every[count:]))

        every = (*variables, *parameters)
        with unseen():
            recorded = Recorded(Call(run, every, {}, range(len(every))))
        for node in recorded.strangers if in_rule else ():
            if node not in self.captured and is_older(node, recorded.call.start):
                raise RuntimeError(
                    f"{self.name}: {name_of(self.fun)} reaches a tracked Tensor of shape "
                    f"{node.shape} only while it is differentiated: its gradient would be lost: "
                    "pass it in args"
                )
        return Linearized(recorded, self.captured)


class Linearized:
    """The derivative of a function at a point: the graph of one evaluation.

    Attributes
    ----------
    output
        What the function returned, a Tensor; tracked by what is tracked outside.
    nodes
        Those of the variables, of the parameters, and of what is captured, in this order.
    """

    def __init__(self, recorded: Recorded, captured: Sequence[Node]) -> None:
        self._recorded = recorded
        self.nodes: list[Node] = [a.nodes[0] for a in recorded.call.arguments]  # type: ignore[misc]
        self.nodes += captured
        self._ways: dict[tuple[int, ...], set[Node]] = {}

    @property
    def depends(self) -> bool:
        """Whether the output was recorded at all."""
        out = self._recorded.outputs[0]
        return isinstance(out, Tensor) and live(out) is not None

    @property
    def output(self) -> Any:
        """What the function returned; tracked only by what is tracked outside."""
        return self._recorded.output()

    def pull(self, g: Any, wanted: Sequence[int]) -> list[Any]:
        """Carry a cotangent of the output, an array or a Tensor, to the nodes of these numbers."""
        subgraph, nodes = self._recorded.subgraph, self.nodes
        if not self.depends:
            return [None] * len(wanted)
        key = tuple(wanted)
        if key not in self._ways:
            self._ways[key] = subgraph.between([nodes[i] for i in wanted])
        found = backward(
            subgraph, {self._recorded.root: Parts([g])}, wanted=self._ways[key], free=False
        )
        return [found.get(nodes[i]) for i in wanted]

    def push(self, tangents: Sequence[Any], on_tensors: bool) -> Any:
        """Carry tangents of the nodes, `None` for zero, to the output; `None` if none arrives."""
        start = {n: t for n, t in zip(self.nodes, tangents) if t is not None}
        if not start or not self.depends:
            return None
        swept = forward(self._recorded.subgraph, start, on_tensors=on_tensors)
        return swept.get(self._recorded.outputs[0].node)


def _in_double(t: Tensor) -> Any:
    double = numpy.result_type(t.dtype, numpy.float64)
    return t if t.dtype == double else operators.astype(t, dtype=double)


@contextlib.contextmanager
def unseen() -> Iterator[None]:
    """Tell nobody who watches this thread of what a search tries."""
    if recording.watcher is None:
        yield
        return
    with watching(None):
        yield


def is_older(node: Node, begun: int) -> bool:
    """Tell whether a border node is not just a constant that a transformation has left behind."""
    return node.serial <= begun or node.tensor is not None
