"""A tracked Tensor's graph as a trace: what the recorded nodes still know.

A node keeps only the values that its rule needs, so that some boxes have none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy

from backpass.core.arity import Binary, Nary, Unary
from backpass.core.backends import backend_of
from backpass.core.cotangents import Parts, accumulate, fit_cotangent
from backpass.core.explain.model import Contribution, Step, Trace, Variable
from backpass.core.explain.snapshots import Snapshot
from backpass.core.graph import Node, Subgraph
from backpass.core.symbols import Expression
from backpass.core.tensor import Hooked, Tensor, live
from backpass.core.values import ShapeOnly


def trace_of(tensor: Tensor) -> Trace:
    """Return the graph that a Tensor hangs on; it is not freed.

    The gradients are those of the Tensor's sum.

    Raises
    ------
    ValueError
        If the Tensor is not tracked, or its graph has been freed.
    """
    root = live(tensor)
    if root is None or root.parents is None:
        raise ValueError(
            "draw(tensor): the Tensor is not tracked: nothing was recorded (an input needs "
            "requires_grad_()), or backward() has freed it (draw it before, or retain_graph=True)"
        )
    subgraph = Subgraph(root, 0)
    subgraph.strangers(())
    nodes = sorted({*subgraph.border, *subgraph.order}, key=lambda node: node.serial)
    nodes.sort(key=lambda node: bool(node.parents))
    values = _values(nodes)
    values[root] = tensor.value
    cotangents, flows = _cotangents(subgraph, root, tensor.value)
    index = {node: i for i, node in enumerate(nodes)}
    labels = dict(_labels(nodes))
    variables = [
        _variable(node, index, labels, values.get(node), cotangents.get(node)) for node in nodes
    ]
    steps = tuple(
        Step(
            index[node],
            _snapshot(cotangents[node]),
            tuple(_contribution(i, index[to], g) for i, to, g in gave),
        )
        for node, gave in flows
    )
    return Trace("a Tensor", tuple(variables), index[root], steps, None)


# ----- values -------------------------------------------------------------------------------------


def _values(nodes: list[Node]) -> dict[Node, Any]:
    """Return the values that the nodes' rules have kept, and those of permanent leaves."""
    found: dict[Node, Any] = {}
    for node in nodes:
        owner = None if node.tensor is None else node.tensor()
        if owner is not None:
            found[node] = owner.value
        parents = node.parents or ()
        for position, value in _kept(node):
            at = node if position == 0 else parents[position - 1]
            if at is not None and at.shape is not None and hasattr(value, "dtype"):
                found.setdefault(at, value)
    return found


def _kept(node: Node) -> Iterator[tuple[int, Any]]:
    """Yield what a node keeps with its place: 0 for the output, i + 1 for operand i."""
    primitive, saved = _primitive(node), node.saved
    if not isinstance(primitive, Unary | Binary | Nary) or not saved or primitive.kind == "linear":
        return
    if isinstance(primitive, Unary):
        groups = [(primitive.vjps[0], saved)]
    elif isinstance(primitive, Binary) or primitive.kind == "elementwise":
        groups = list(zip(primitive.vjps, saved))
    else:
        yield from ((i, x) for i, x in enumerate(saved) if _is_value(x))
        return
    for rule, values in groups:
        if rule is not None and values:
            yield from ((p, x) for p, x in zip(rule.positions, values) if _is_value(x))


def _is_value(x: Any) -> bool:
    """Tell whether something kept is an operand, not what stands for its shape."""
    return not isinstance(x, ShapeOnly | Node) and x is not None


def _primitive(node: Node) -> Any:
    """Return a node's primitive, below the hooks that were hung on it."""
    primitive = node.primitive
    while isinstance(primitive, Hooked):
        primitive = primitive.primitive
    return primitive


# ----- gradients ----------------------------------------------------------------------------------

_Flows = list[tuple[Node, list[tuple[int, Node, Any]]]]


def _cotangents(subgraph: Subgraph, root: Node, value: Any) -> tuple[dict[Node, Any], _Flows]:
    """Walk back as `graph.backward` does, and keep each node's cotangent; no hook is called."""
    one = numpy.ones_like(value, shape=()) if isinstance(value, numpy.generic) else None
    seed = backend_of((value,)).library.ones_like(value) if one is None else one[()]
    cotangents: dict[Node, Any] = {root: seed}
    flows: _Flows = []
    with numpy.errstate(all="ignore"):
        for node in subgraph.order:
            g = cotangents.get(node)
            if g is None:
                continue
            gave = []
            for i, (parent, gx) in enumerate(
                zip(node.parents or (), _primitive(node).pullback(g, node, None))
            ):
                if gx is None or parent is None:
                    continue
                if parent.shape is not None:
                    gx = fit_cotangent(gx, parent)
                old = cotangents.get(parent)
                cotangents[parent] = gx if old is None else accumulate(old, gx)
                gave.append((i, parent, gx))
            flows.append((node, gave))
    return cotangents, flows


def _snapshot(g: Any) -> Any:
    if isinstance(g, Parts):
        return tuple(None if part is None else Snapshot(part) for part in g.items)
    return Snapshot(g)


def _contribution(operand: int, variable: int, g: Any) -> Contribution:
    shown = Snapshot(0.0) if isinstance(g, Parts) else Snapshot(g)
    return Contribution(operand, variable, "", "", None, None, None, shown, shown, True)


# ----- variables ----------------------------------------------------------------------------------


def _labels(nodes: list[Node]) -> Iterator[tuple[Node, str]]:
    leaves = computed = 0
    for node in nodes:
        if node.parents:
            computed += 1
            yield node, f"v{computed}"
        else:
            leaves += 1
            yield node, f"leaf{leaves}"


def _variable(
    node: Node, index: dict[Node, int], labels: dict[Node, str], value: Any, g: Any
) -> Variable:
    parents = node.parents or ()
    name = "" if not parents else _primitive(node).name
    # Of operands that are not differentiated a node knows what its rule reads.
    constants = {p - 1: x for p, x in _kept(node) if p and parents[p - 1] is None}
    operands = [
        Expression(labels[parent])
        if parent is not None
        else Expression(Snapshot(constants[i]).text() if _is_number(constants.get(i)) else "·")
        for i, parent in enumerate(parents)
    ]
    return Variable(
        index=index[node],
        kind="operation" if parents else "parameter",
        label=labels[node],
        value=None if value is None else Snapshot(value),
        operation=name,
        operands=tuple(index[p] for p in parents if p is not None),
        call=_call(name, operands, node.kwargs or {}),
        depends=True,
        cotangent=None if g is None else _snapshot(g),
    )


def _call(name: str, operands: list[Expression], kwargs: Mapping[str, Any]) -> str:
    if name == "pick" or not operands:
        return "one of the outputs of " + str(operands[0]) if operands else ""
    return str(Expression(name, *operands, **kwargs))


def _is_number(x: Any) -> bool:
    return x is not None and not getattr(x, "shape", ())
