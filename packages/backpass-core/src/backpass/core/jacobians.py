"""The rows of a Jacobian: one for each output element, many in one walk.

Row i is what the walk back makes of a cotangent that is 1 at element i of the output and 0
elsewhere.  All of them go back over the same graph; so a walk takes many at once, as a `Batch`, and
each rule runs once for all.  Where a rule on the way cannot (`Unbatched`: a function of somebody
else that looks at the numbers of its cotangent, a hook), each row is walked by itself.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy

from backpass.core.arity import PICK, Binary, Nary, Unary
from backpass.core.backends import backend_of
from backpass.core.batches import Batch, Diagonal, Unbatched
from backpass.core.calls import THROUGH, Recorded
from backpass.core.cotangents import Parts, accumulate, fit_cotangent
from backpass.core.graph import Node
from backpass.core.operators import operators
from backpass.core.ops.shaping import stack
from backpass.core.tensor import Tensor, live, own
from backpass.core.values import plain

#: How many bytes the largest cotangent of a walk may take: so many rows go together.
BUDGET = 1 << 26

#: Leaves of arguments, one list for each argument; `None` for what is not differentiated.
Rows = list[list[Any]]


def rows(recorded: Recorded, k: int, value: Any) -> Rows:
    """Return d output[k] / d leaf for each argument's leaves, the output's axes first."""
    made = None
    if value.size > 1:
        # Unbatched; or, of a rule that expects numbers where it was given a stack, an error of its
        # own.  If the fault is another, it shows again where each row is walked by itself.
        with contextlib.suppress(Exception):
            made = _together(recorded, k, value)
    return _one_by_one(recorded, k, value) if made is None else made


# ----- one by one ---------------------------------------------------------------------------------


def _one_by_one(recorded: Recorded, k: int, value: Any) -> Rows:
    xp = backend_of((value,)).library
    shape = tuple(value.shape)
    stacked: list[Rows] = []
    for i in range(value.size):
        basis = xp.zeros(value.size, value.dtype)
        basis[i] = 1
        cotangents: list[Any] = [None] * len(recorded.outputs)
        cotangents[k] = basis.reshape(shape)[()]
        stacked.append(recorded.pull(cotangents))
    made = []
    for a, argument in enumerate(recorded.call.arguments):
        row: list[Any] = []
        for j, t in enumerate(argument.fresh):
            if t is None:
                row.append(None)
                continue
            parts = [s[a][j] for s in stacked]
            full = (*shape, *t.shape)
            if any(isinstance(p, Tensor) for p in parts):
                row.append(operators.reshape(stack(parts), shape=full))
            elif parts:
                row.append(xp.stack([xp.asarray(p) for p in parts]).reshape(full)[()])
            else:
                row.append(xp.zeros(full, t.dtype))
        made.append(row)
    return made


# ----- together -----------------------------------------------------------------------------------


def _together(recorded: Recorded, k: int, value: Any) -> Rows | None:
    """Return the rows by as few walks as the memory allows; `None` where that would be each row."""
    output, outer = recorded.outputs[k], recorded.outer
    order, wanted = recorded.subgraph.order, recorded.wanted
    root = live(output) if isinstance(output, Tensor) else None
    count = value.size if root is None else min(value.size, _most(order, wanted))
    if count < 2:
        return None
    shape = tuple(value.shape)
    whole = [[_Block(t, shape, outer) for t in a.fresh] for a in recorded.call.arguments]
    xp = backend_of((value,)).library
    for start in range(0, value.size, count):
        n = min(count, value.size - start)
        found: dict[Node, Any] = {}
        if root is not None:
            batch = Batch(None, Diagonal(xp.ones(n, value.dtype), start, xp), shape)
            found[root] = Batch(Tensor(batch.inner)) if outer else batch
            _walk(order, found, wanted, outer)
        for argument, blocks in zip(recorded.call.arguments, whole):
            for node, block in zip(argument.nodes, blocks):
                if node is not None:
                    if node.primitive is not None and node.primitive is not THROUGH:
                        raise Unbatched("a hook")
                    block.put(start, n, found.pop(node, None))
    return [[block.rows() for block in blocks] for blocks in whole]


def _most(order: Sequence[Node], wanted: Collection[Node] | None) -> int:
    """Return how many rows go together."""
    largest = 1
    for node in order:
        if node.shape is not None and (wanted is None or node in wanted):
            largest = max(largest, math.prod(node.shape) * node.dtype.itemsize)
    return max(1, BUDGET // largest)


class _Block:
    """What belongs to one leaf of an argument: d output / d leaf, put together from walks."""

    def __init__(self, leaf: Tensor | None, shape: tuple[int, ...], outer: bool) -> None:
        self.leaf = leaf
        self.shape = shape
        self.outer = outer
        self.whole: Any = None
        self.tensors: list[Tensor] = []

    def put(self, start: int, n: int, g: Any) -> None:
        """Put the rows of one walk in their place; `None` stands for zeros."""
        leaf = self.leaf
        assert leaf is not None
        xp = backend_of((leaf.value,)).library
        inner = self._taken(g, xp)
        del g
        if self.outer:
            inner = xp.zeros((n, *leaf.shape), leaf.dtype) if inner is None else inner
            self.tensors.append(inner if isinstance(inner, Tensor) else Tensor(inner))
        elif inner is not None and n == math.prod(self.shape):
            self.whole = own(inner)
        else:
            if self.whole is None:
                self.whole = xp.zeros((math.prod(self.shape), *leaf.shape), leaf.dtype)
            if inner is not None:
                self.whole[start : start + n] = inner

    def _taken(self, g: Any, library: Any) -> Any:
        """Return what a walk has brought, on the leaf's device."""
        if g is None:
            return None
        if not isinstance(g, Batch):
            raise Unbatched("a rule that gives all rows the same")
        inner = g.inner
        if backend_of((plain(inner),)).library is not library:
            raise Unbatched("a cotangent on another device")
        return inner

    def rows(self) -> Any:
        """Return all rows, the output's axes first; `None` for what is not differentiated."""
        if self.leaf is None:
            return None
        full = (*self.shape, *self.leaf.shape)
        if not self.tensors:
            return self.whole.reshape(full)
        if len(self.tensors) == 1:
            return operators.reshape(self.tensors[0], shape=full)
        return operators.reshape(operators.concatenate(*self.tensors), shape=full)


@numpy.errstate(all="ignore")
def _walk(
    order: Sequence[Node],
    cotangents: dict[Node, Any],
    wanted: Collection[Node] | None,
    on_tensors: bool,
) -> dict[Node, Any]:
    """Carry batches of cotangents from the root to the border, as `graph.backward` does one."""
    for node in order:
        g = cotangents.pop(node, None)
        if g is None:
            continue
        for parent, gx in zip(node.parents, _pull(g, node, wanted, on_tensors)):
            if gx is None or parent is None:
                continue
            if gx.dtype is not parent.dtype or gx.shape != parent.shape:
                gx = fit_cotangent(gx, parent)
            old = cotangents.get(parent)
            cotangents[parent] = gx if old is None else accumulate(old, gx)
    return cotangents


_KINDS = (Unary.pullback, Binary.pullback, Nary.pullback)


def _pull(g: Any, node: Node, wanted: Collection[Node] | None, on_tensors: bool) -> Sequence[Any]:
    """Carry a batch of cotangents to each parent by the rules of the node's primitive."""
    f = node.primitive
    if f is PICK or f is THROUGH:
        return f.pullback(g, node, wanted)
    if type(f).pullback not in _KINDS:
        raise Unbatched(f.name)
    if type(g) is Parts:
        g = tuple(g.items)
    needs = [parent is not None and (wanted is None or parent in wanted) for parent in node.parents]
    if f.joint is not None:
        keywords = {**(node.kwargs or {}), "needs": tuple(needs)}
        found = f.joint.run(g, f.saved_for(f.joint, node, on_tensors), keywords)
        return [gx if need else None for gx, need in zip(found, needs)]
    made: list[Any] = []
    for i, (rule, need) in enumerate(zip(f.vjps, needs)):
        if rule is None or not need:
            made.append(None)
        else:
            made.append(rule.run(g, f.saved_of(i, rule, node, on_tensors), node.kwargs))
    return made
