"""The recorded graph, and the two walks over it.

Every operation on a tracked Tensor leaves a `Node`: which primitive ran, the nodes of its inputs,
and what its rule will need.  `backward` walks the nodes from the newest to the oldest and carries
cotangents from outputs to inputs (reverse mode); `forward` walks the other way with tangents
(forward mode).  Nodes are numbered as they are made, so that "newest first" is a sort by serial
number, and a call of `grad` differentiates just what has been recorded since it began.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any

import numpy

from backpass.core.complaints import explaining
from backpass.core.cotangents import accumulate, fit_cotangent, fit_tangent
from backpass.core.extension import engine

serials = itertools.count(1)
next_serial: Callable[[], int] = serials.__next__


class Knot(list["Node | None"]):
    """The parents of a node now and then: where an unused graph comes apart.

    Dropping a node drops its parents, and theirs: a recursion in C, as deep as the graph is long,
    and some versions of Python do not mind how small the thread's stack is.  A knot hands its nodes
    to a list, which lets them go one by one when the recursion has returned.
    """

    __slots__ = ()

    def __del__(self) -> None:
        waiting = recording.dropped
        if waiting is not None:
            waiting.extend(self)
            self.clear()
            return
        recording.dropped = waiting = list(self)
        self.clear()
        while waiting:
            waiting.pop()
        recording.dropped = None


#: Every so many nodes there is a knot; a prime, so that no loop's length falls in with it.
KNOT_EVERY = 61


class Node:
    """One recorded operation.

    Attributes
    ----------
    primitive
        What ran; `None` for a leaf.  Its method `pullback(g, node, wanted)` returns one cotangent
        for each parent, `None` where nothing goes; `pushforward(tangents, node, on_tensors)`
        returns the tangent of the output.
    parents
        The inputs' nodes, `None` for an input that is not tracked; `()` for a leaf; and `None`
        altogether once the node is dead, that is, walked and freed.
    saved
        What the primitive's rules need, in a layout of the primitive's own.
    kwargs
        The keywords of the call, or `None`.
    serial
        The node's number: larger than that of all its ancestors.
    shape, dtype
        Of the output; `None` where there are several outputs.
    tensor
        A weak reference to the Tensor whose `.grad` a permanent leaf feeds, else `None`.
    """

    __slots__ = (
        "__weakref__",
        "dtype",
        "kwargs",
        "parents",
        "primitive",
        "saved",
        "serial",
        "shape",
        "tensor",
    )

    def __init__(
        self,
        primitive: Any,
        parents: Any,
        saved: Any,
        kwargs: Mapping[str, Any] | None,
        shape: Any,
        dtype: Any,
    ) -> None:
        self.primitive = primitive
        self.parents = parents
        self.saved = saved
        self.kwargs = kwargs
        self.shape = shape
        self.dtype = dtype
        self.tensor: Callable[[], Any] | None = None
        self.serial = serial = next_serial()
        if not serial % KNOT_EVERY and parents:
            self.parents = Knot(parents)

    def __repr__(self) -> str:
        name = self.primitive.name if self.primitive is not None else "leaf"
        return f"<Node {self.serial}: {name}, shape {self.shape}, {self.dtype}>"


#: What is computed from a Tensor whose graph `Tensor.backward` has freed hangs on this node.
FREED = Node(None, None, None, None, (), None)
FREED.saved = FREED


def is_dead(node: Node) -> bool:
    """Tell whether no leaf above `node` is left alive; if so, free what has been searched."""
    seen = {node}
    stack = [node]
    while stack:
        found = stack.pop()
        if found.parents is None:
            if found.saved is FREED:
                return False  # A walk that comes here has an error to raise.
            continue
        if not found.parents:
            return False
        for parent in found.parents:
            if parent is not None and parent not in seen:
                seen.add(parent)
                stack.append(parent)
    for found in seen:
        found.parents = found.saved = found.kwargs = None
    return True


#: Called as `watcher(primitive, operands, ans, kwargs, node)`; the node is `None` if the operation
#: has no derivative.
Watcher = Callable[[Any, Sequence[Any], Any, Mapping[str, Any] | None, "Node | None"], None]


class _Recording(threading.local):
    """Per thread: how many transformations, how many `no_grad` are being run; and see `Knot`."""

    depth = 0
    paused = 0
    #: How many checkpointed functions are being run for the second time.
    again = 0
    #: Who is told of each operation on something tracked; see `watching`.
    watcher: Watcher | None = None
    #: Who stands around kernels and rules; see `observing.py`.
    observer: Any = None
    #: What `Knot` has yet to let go; `None` while it is not at work.
    dropped: list[Any] | None = None


recording = _Recording()
#: How many `no_grad`, watchers and observers there are in all threads: while there are none, nobody
#: looks at `paused`, `watcher` and `observer`, and being watched costs those nothing who are not.
pauses = [0]
_pauses_lock = threading.Lock()


def interrupt(by: int) -> None:
    """Add `by` to the number of those for whom the hot paths take the long way."""
    with _pauses_lock:
        pauses[0] += by


def pause(by: int) -> None:
    """Add `by` to this thread's count of `no_grad`."""
    recording.paused += by
    interrupt(by)


@contextlib.contextmanager
def watching(watcher: Watcher | None) -> Iterator[None]:
    """Tell `watcher`, and nobody else, of each operation on something tracked in this thread."""
    before, recording.watcher = recording.watcher, watcher
    interrupt(1)
    try:
        yield
    finally:
        recording.watcher = before
        interrupt(-1)


def tell(
    primitive: Any,
    operands: Sequence[Any],
    ans: Any,
    kwargs: Mapping[str, Any] | None,
    node: Node | None,
) -> None:
    """Tell this thread's watcher and observer of an operation, if there is one."""
    watcher, observer = recording.watcher, recording.observer
    if watcher is not None:
        watcher(primitive, operands, ans, kwargs, node)
    if observer is not None:
        observer.recorded(primitive, operands, ans, kwargs, node)


#: The serial number at which the last outermost transformation ended.  A node that is no younger
#: may hang on that one's leaves only, and so be dead without having been walked: see `is_dead`.
floor = [0]

_serial = attrgetter("serial")


class Subgraph:
    """What was recorded after serial number `start`, seen from the node `root`.

    Attributes
    ----------
    order
        The nodes younger than `start` on which `root` depends, newest first.
    border
        The leaves and older nodes at which the search stopped.
    """

    __slots__ = ("border", "order")

    def __init__(self, root: Node, start: int) -> None:
        if engine is not None:
            self.order, self.border = engine.search(root, start)
            return
        seen = {root}
        stack = [root]
        order: list[Node] = []
        border: list[Node] = []
        last, sorted_already = root.serial, True
        while stack:
            node = stack.pop()
            serial = node.serial
            if serial <= start or not node.parents:
                border.append(node)
                continue
            order.append(node)
            if serial > last:
                sorted_already = False
            last = serial
            for parent in node.parents:
                if parent is not None and parent not in seen:
                    seen.add(parent)
                    stack.append(parent)
        if not sorted_already:
            order.sort(key=_serial, reverse=True)
        self.order = order
        self.border = border

    def strangers(self, targets: Collection[Node]) -> list[Node]:
        """Return the live border nodes that are not among `targets`; raise if one was freed."""
        found = []
        for node in self.border:
            if node in targets:
                continue
            if node.parents is not None:
                found.append(node)
            elif node.saved is FREED:
                raise RuntimeError(
                    "the graph of a Tensor used here was freed by an earlier backward(): "
                    "call that backward(retain_graph=True) to walk it again"
                )
        return found

    def between(self, targets: Iterable[Node]) -> set[Node]:
        """Return the nodes on a way from `targets` to the root: those worth a rule."""
        wanted = set(targets)
        for node in reversed(self.order):
            if any(parent in wanted for parent in node.parents or ()):
                wanted.add(node)
        return wanted


#: Rules divide by zero; the decorator costs less than a `with` in every walk.
_quietly = numpy.errstate(all="ignore")


@explaining
@_quietly
def backward(
    subgraph: Subgraph,
    cotangents: dict[Node, Any],
    *,
    wanted: Collection[Node] | None = None,
    free: bool = True,
    mark: Node | None = None,
) -> dict[Node, Any]:
    """Carry `cotangents` from the root to the border: reverse mode.

    Newest first, each node hands the sum of the cotangents that have reached it to its rule and
    adds what comes back to its parents.  `wanted`, where given, names the nodes worth a rule.
    Where `free` is set, a node lets go of its inputs as soon as it has been used, and is dead;
    `mark` is `FREED` where somebody may come back for more.  Returns the cotangents of the border.
    """
    observer = recording.observer if pauses[0] else None
    if observer is not None:
        with observer.walking(subgraph, cotangents, "reverse"):
            return _walk(subgraph, cotangents, wanted, free, mark, observer)
    if engine is not None:
        engine.backward(subgraph.order, cotangents, wanted, free, mark)
        return cotangents
    return _walk(subgraph, cotangents, wanted, free, mark)


def _walk(
    subgraph: Subgraph,
    cotangents: dict[Node, Any],
    wanted: Collection[Node] | None,
    free: bool,
    mark: Node | None,
    observer: Any = None,
) -> dict[Node, Any]:
    """Walk back as `backward` does, where it is not compiled; an observer stands before rules."""
    for node in subgraph.order:
        g = cotangents.pop(node, None)
        if g is None:
            continue
        parents = node.parents
        if parents is None:
            raise RuntimeError(
                "a graph was freed while it was being walked: a hook, a rule or another thread has "
                "called backward() on a part of it; pass retain_graph=True there"
            )
        rule = observer or node.primitive
        for parent, gx in zip(parents, rule.pullback(g, node, wanted)):
            if gx is None:
                continue
            if gx.dtype is not parent.dtype or gx.shape != parent.shape:
                gx = fit_cotangent(gx, parent)
            old = cotangents.get(parent)
            cotangents[parent] = gx if old is None else accumulate(old, gx)
        if free:
            node.parents = node.kwargs = None
            node.saved = mark
    return cotangents


@explaining
@_quietly
def forward(
    subgraph: Subgraph, tangents: Mapping[Node, Any], *, on_tensors: bool
) -> dict[Node, Any]:
    """Carry `tangents` from the border to every node: forward mode.

    The tangents are arrays, or Tensors where the walk itself is to be differentiated; a node that
    none reaches is missing in what is returned.
    """
    swept = dict(tangents)
    observer = recording.observer if pauses[0] else None
    around = _alone if observer is None else observer.walking(subgraph, tangents, "forward")
    with around:
        for node in reversed(subgraph.order):
            incoming = [swept.get(parent) for parent in node.parents]
            if all(t is None for t in incoming):
                continue
            t = (observer or node.primitive).pushforward(incoming, node, on_tensors)
            if t is not None:
                swept[node] = fit_tangent(t, node)
    return swept


_alone = contextlib.nullcontext()
