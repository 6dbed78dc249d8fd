"""A function run on fresh Tensors: what every transformation begins with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy

from backpass.core import tree
from backpass.core.backends import (
    PYTHON_SCALARS,
    backend_of,
    backend_of_type,
    made_beside,
)
from backpass.core.cotangents import Parts, cast, fit_cotangent
from backpass.core.devices import beside
from backpass.core.dtypes import kind_of
from backpass.core.extension import engine
from backpass.core.graph import (
    Node,
    Subgraph,
    backward,
    floor,
    forward,
    next_serial,
    pause,
    recording,
)
from backpass.core.operators import operators
from backpass.core.tensor import COUNTED, Tensor, copied, is_inexact, live, own
from backpass.core.values import WeakTensor, plain

Function = Callable[..., Any]
Argnums = int | Sequence[int]

# ----- what a transformation differentiates -----------------------------------------------------


class Argument:
    """One differentiated argument: its structure, its leaves, their fresh Tensors and nodes.

    The nodes are kept apart, because a function may write into its argument, and the Tensor then
    hangs on the node of that write.
    """

    __slots__ = ("fresh", "leaves", "nodes", "position", "structure")

    def __init__(self, position: int, argument: Any, call: Call, tensors_only: bool) -> None:
        self.position = position
        self.fresh: list[Tensor | None]
        self.nodes: list[Node | None]
        kind: type = type(argument)
        if kind is numpy.ndarray and argument.dtype.kind in "fc":
            # The usual case, written out.
            node = Node(None, (), None, None, argument.shape, argument.dtype)
            call.targets.add(node)
            self.leaves, self.structure = [argument], None
            self.fresh, self.nodes = [Tensor(argument, node)], [node]
            return
        if is_leaf(argument):
            self.leaves, self.structure = [argument], None
            self.fresh = [self._fresh(argument, call)]
            self.nodes = [t.node for t in self.fresh if t is not None]
            return
        self.leaves, self.structure = tree.flatten(argument)
        if engine is None:
            self.fresh = [self._hang(x, call, tensors_only) for x in self.leaves]
        else:
            self.fresh = engine.hang(self.leaves, call.targets, tensors_only)
            for i, t in enumerate(self.fresh):
                if t is NotImplemented:
                    self.fresh[i] = self._hang(self.leaves[i], call, tensors_only)
        self.nodes = [None if t is None else t.node for t in self.fresh]
        if tensors_only and not any(self.nodes):
            raise TypeError(self._refusal(call.name, argument))

    def _hang(self, x: Any, call: Call, tensors_only: bool) -> Tensor | None:
        """Return a fresh Tensor for a leaf of a tree; `None` for what is a constant there."""
        if isinstance(x, Tensor):
            # Integers inside a container are constants.
            return self._fresh(x, call) if is_inexact(x.value) and not x.constant else None
        return None if tensors_only or x is None else self._fresh(x, call)

    def _fresh(self, x: Any, call: Call) -> Tensor:
        """Return a Tensor on a node of this call that shares the value of `x`."""
        kind, value, outer = Tensor, x, None
        if isinstance(x, Tensor):
            kind, value, outer = type(x), x.value, live(x)
        elif type(x) in PYTHON_SCALARS and type(x) is not bool:
            value = numpy.complex128(x) if type(x) is complex else numpy.float64(x)
            kind = WeakTensor
        elif backend_of_type(type(x)) is None:
            backend_of((x,))
        dtype = getattr(value, "dtype", None)
        if dtype is None or kind_of(dtype) not in "fc":
            raise TypeError(self._refusal(call.name, value))
        if outer is not None and (outer.tensor is None or call.depth > 1):
            node = Node(THROUGH, (outer,), None, None, value.shape, dtype)
            call.linked = True
        else:
            node = Node(None, (), None, None, value.shape, dtype)
        call.targets.add(node)
        return WeakTensor(value, node) if kind is WeakTensor else Tensor(value, node)

    def _refusal(self, name: str, value: Any) -> str:
        where = f"argument {self.position} of {name}"
        if hasattr(value, "dtype"):
            return (
                f"{where} holds {value.dtype}: only floats and complex numbers can be "
                "differentiated: use .astype(float)"
            )
        if type(value) in (list, tuple, dict):
            return (
                f"{where} is a {type(value).__name__} without a Tensor in it: make its arrays "
                f"Tensors, or say argnums={self.position}"
            )
        found = "None" if value is None else f"a {type(value).__name__}"
        return f"{where} is {found}: pass floats, arrays of floats, or trees of them"

    def rebuilt(self) -> Any:
        """Return the argument with its fresh Tensors in it."""
        return tree.unflatten(
            self.structure,
            [x if t is None else t for x, t in zip(self.leaves, self.fresh)],
        )

    def shaped(self, values: Sequence[Any]) -> Any:
        """Return values of the leaves in the argument's structure."""
        return values[0] if self.structure is None else tree.unflatten(self.structure, list(values))


def closed() -> None:
    """Stand in `Node.tensor` of a graph that is kept to be walked again, from its own outputs only.

    What such a walk hangs on its nodes is a constant to everybody else, as is the leaf of a Tensor
    that is no more.
    """


class _Through:
    """Hangs a fresh Tensor on the node that its argument has outside the call."""

    name = "argument"

    def pullback(self, g: Any, node: Node, wanted: Any) -> Sequence[Any]:
        """Pass the cotangent on."""
        return (g,)

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Pass the tangent on."""
        return tangents[0]


THROUGH = _Through()


class Call:
    """A function run on fresh Tensors: what a transformation walks.

    Attributes
    ----------
    start
        The serial number after the fresh leaves: what is recorded in the call is younger.
    targets
        The fresh nodes.
    linked
        Whether an argument is tracked outside, so that its fresh node has a parent there.
    out, aux
        What the function returned.
    depth
        1 for the outermost transformation in this thread.
    """

    __slots__ = ("arguments", "aux", "depth", "fun", "linked", "out", "start", "targets")

    def __init__(
        self,
        fun: Function,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        argnums: Iterable[int],
        *,
        has_aux: bool = False,
        tensors_only: bool = False,
    ) -> None:
        self.fun = fun
        self.targets: set[Node] = set()
        self.linked = False
        self.aux = None
        # A transformation inside no_grad records for itself, and hides from what is outside.
        paused = recording.paused
        if paused:
            pause(-paused)
            args = released_all(args)
        self.depth = recording.depth = recording.depth + 1
        try:
            arguments: list[Argument] = []
            self.arguments = arguments
            new = list(args)
            for i in argnums:
                a = Argument(i, args[i], self, tensors_only)
                arguments.append(a)
                new[i] = a.fresh[0] if a.structure is None else a.rebuilt()
            self.start = next_serial()
            self.out = fun(*new, **kwargs)
        finally:
            recording.depth -= 1
            if paused:
                pause(paused)
        if has_aux:
            if not isinstance(self.out, tuple | list) or len(self.out) != 2:
                raise TypeError(
                    f"{self.name} must return a pair (output, auxiliary data), because "
                    f"has_aux=True; it returned {type(self.out).__name__}"
                )
            self.out, self.aux = self.out

    @property
    def name(self) -> str:
        """The function's name, for messages."""
        return name_of(self.fun)

    def is_outer(self, strangers: Collection[Node]) -> bool:
        """Tell whether the result depends on something tracked outside of this call.

        `strangers` are the border nodes that are no targets: older nodes; permanent leaves, which
        are constants unless an enclosing call may want them; and leaves that a transformation
        inside this call has left behind, which are constants.
        """
        if not strangers:
            return self.linked
        return self.linked or any(
            node.serial <= self.start
            if node.tensor is None
            else self.depth > 1 and node.tensor is not closed
            for node in strangers
        )

    def released_aux(self, outer: bool) -> Any:
        """Return the auxiliary data; tracked only by what is tracked outside.

        An enclosing call may have tracked them even where the output depends on nothing outside.
        """
        return tree.map(lambda t: released(t, outer or self.depth > 1), self.aux)

    def end(self) -> None:
        """Let the fresh leaves die: Tensors kept from inside the call are not tracked by it."""
        for node in self.targets:
            node.parents = None
        if self.depth == 1:
            floor[0] = next_serial()


def name_of(fun: Function) -> str:
    """Return a function's name for messages."""
    return getattr(fun, "__name__", None) or repr(fun)


def as_tuple(argnums: Argnums, count: int, name: str) -> tuple[int, ...]:
    """Return `argnums` as a tuple of positions among `count` arguments."""
    if type(argnums) is int and 0 <= argnums < count:
        return (argnums,)
    if type(argnums) is tuple:
        for i in argnums:
            if type(i) is not int or not 0 <= i < count:
                break
        else:
            return argnums
    found = (argnums,) if isinstance(argnums, int) else tuple(argnums)
    for i in found:
        if not isinstance(i, int) or not -count <= i < count:
            raise TypeError(
                f"argnums={argnums!r}: {name} was called with {count} positional arguments; "
                "keyword arguments are constants"
            )
    return tuple(i % count for i in found)


def is_leaf(argument: Any) -> bool:
    """Tell, without looking into it, whether an argument is one Tensor, array or number."""
    kind = type(argument)
    return kind is Tensor or kind in PYTHON_SCALARS or hasattr(argument, "dtype")


def holds_tensor(argument: Any) -> bool:
    """Tell whether an argument is a Tensor or a tree with a Tensor in it."""
    if is_leaf(argument):
        return isinstance(argument, Tensor)
    if type(argument) is list or type(argument) is tuple:
        # The usual trees, without taking them apart.
        return any(map(holds_tensor, argument))
    return any(isinstance(x, Tensor) for x in tree.flatten(argument)[0])


def zeros(value: Any) -> Any:
    """Return zeros of the shape, dtype and device of `value`."""
    if isinstance(value, numpy.generic):
        return value.dtype.type(0)
    if type(value) is numpy.ndarray:
        return numpy.zeros(value.shape, value.dtype)
    return made_beside((value,), lambda xp: xp.zeros(value.shape, value.dtype))


class Recorded:
    """A call whose graph is kept, to be walked several times, either way.

    Attributes
    ----------
    outputs, structure
        The leaves of what the function returned, and their structure.
    strangers
        The border nodes that the call has not made.
    outer
        Whether the outputs depend on something tracked outside of the call.
    """

    def __init__(self, call: Call) -> None:
        self.call = call
        self.outputs, self.structure = tree.flatten(call.out)
        nodes = [node for t in self.outputs if isinstance(t, Tensor) and (node := live(t))]
        # One root above all outputs, so that one walk serves them all.
        self.root = Node(_JOINT, tuple(nodes), None, None, None, None)
        self.subgraph = Subgraph(self.root, call.start)
        # Without tracked outputs the root is its own border.
        self.strangers = self.subgraph.strangers({*call.targets, self.root})
        self.outer = call.is_outer(self.strangers)
        self.wanted = self.subgraph.between(call.targets) if self.strangers else None
        if not self.outer:
            for node in (*call.targets, *self.subgraph.order):
                node.tensor = closed

    def output(self) -> Any:
        """Return the outputs; tracked only by what is tracked outside."""
        return tree.unflatten(self.structure, [released(t, self.outer) for t in self.outputs])

    def aux(self) -> Any:
        """Return the auxiliary data, likewise."""
        return self.call.released_aux(self.outer)

    def pull(self, cotangents: Sequence[Any]) -> list[list[Any]]:
        """Carry cotangents of the outputs, `None` for zero, to the arguments' leaves."""
        outer = self.outer or any(isinstance(g, Tensor) and g.tracked for g in cotangents)
        given = [
            None if g is None else as_cotangent(g, t.value, outer)
            for g, t in zip(cotangents, self.outputs)
            if isinstance(t, Tensor) and live(t) is not None
        ]
        found = backward(self.subgraph, {self.root: Parts(given)}, wanted=self.wanted, free=False)
        return [collect(argument, found, outer) for argument in self.call.arguments]

    def push(self, tangents: dict[Node, Any]) -> list[Any]:
        """Carry tangents of the fresh leaves to the outputs."""
        outer = self.outer or any(isinstance(t, Tensor) for t in tangents.values())
        swept = forward(self.subgraph, tangents, on_tensors=outer)
        made = []
        for t in self.outputs:
            node = live(t) if isinstance(t, Tensor) else None
            tangent = None if node is None else swept.get(node)
            if tangent is None:
                value = t.value if isinstance(t, Tensor) else t
                value = value if hasattr(value, "dtype") else numpy.asarray(value)[()]
                tangent = zeros(value) if is_inexact(value) else None
            elif type(tangent) is not Tensor:
                tangent = copied(tangent)
            made.append(tangent)
        return made


class _Joint:
    """The root above the outputs of a function."""

    name = "outputs"

    def pullback(self, g: Any, node: Node, wanted: Any) -> Sequence[Any]:
        """Hand each output its cotangent."""
        return tuple(g.items)

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Nothing is above the root."""
        return None


_JOINT = _Joint()


def collect(argument: Argument, cotangents: dict[Node, Any], outer: bool = False) -> list[Any]:
    """Return the cotangents of an argument's leaves; zeros where none has arrived.

    They are taken out of `cotangents`, so that what nobody else holds need not be copied.
    """
    nodes, fresh = argument.nodes, argument.fresh
    if engine is None or not COUNTED:
        return [_collect(node, t, cotangents, outer) for node, t in zip(nodes, fresh)]
    gs: list[Any] = engine.collect(nodes, fresh, cotangents)
    for i, g in enumerate(gs):
        if g is NotImplemented:
            gs[i] = _collect(nodes[i], fresh[i], cotangents, outer)
    return gs


def _collect(node: Node | None, t: Tensor | None, cotangents: dict[Node, Any], outer: bool) -> Any:
    """Return the cotangent of one leaf, which nobody else holds."""
    if node is None or t is None:
        return None
    g = cotangents.pop(node, None)
    if g is None:
        return Tensor(zeros(t.value)) if outer else zeros(t.value)
    if node.primitive is not None and not node.parents:
        g = node.primitive.seen(g)
    value = t.value
    if type(g) is not type(value) and type(plain(g)) is not type(value):
        g = beside(g, value)
        g = g[()] if type(g) is numpy.ndarray and isinstance(value, numpy.generic) else g
    if type(g) is not Tensor:
        # A sum of cotangents has native byte order, whatever its parts had.
        g = own(g) if g.dtype is node.dtype else cast(g, node.dtype)
    return g


def released_all(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return arguments with untracked Tensors in the place of tracked ones."""
    return tuple(
        tree.map(lambda t: Tensor(t.value) if isinstance(t, Tensor) and t.tracked else t, a)
        for a in args
    )


def released(t: Any, outer: bool) -> Any:
    """Return an output without the graph that only this call has recorded."""
    return Tensor(t.value) if isinstance(t, Tensor) and not outer else t


def as_cotangent(g: Any, like: Any, outer: bool) -> Any:
    """Return a cotangent given by the user in the output's shape and dtype."""
    value = g.value if isinstance(g, Tensor) else g
    if not isinstance(g, Tensor) and type(value) is not type(like):
        value = g = backend_of((like,)).library.asarray(value)[()]
    if tuple(value.shape) != tuple(like.shape):
        raise ValueError(
            f"a cotangent has shape {tuple(value.shape)}, its output {tuple(like.shape)}: "
            "they must agree"
        )
    if not outer:
        g = value
    elif type(g) is not Tensor:
        # The rules run on Tensors for Tensors only, not for the weak ones.
        g = Tensor(value, live(g) if isinstance(g, Tensor) else None)
    return fit_cotangent(g, like)


def one_like(value: Any) -> Any:
    """Return the cotangent 1 of an output of size one, on its device."""
    if isinstance(value, numpy.generic):
        return value.dtype.type(1)
    if isinstance(value, numpy.ndarray):
        return numpy.ones_like(value)
    kernel = backend_of((value,)).kernels.get("one_like")
    made = NotImplemented if kernel is None else kernel(value)
    if made is not NotImplemented:
        return made
    return made_beside((value,), lambda xp: xp.ones(value.shape, value.dtype))


operators.one_like = one_like
