"""Looking on while the engine runs: the one seam of `detect_anomaly` and `profile`.

The hot paths of both engines find kernels in tables that they fill themselves.  While somebody
looks on, these tables are empty, and each operation asks `Primitive.find`: there an `Observer`
stands before the kernel.  The walks ask once whether somebody looks on, and then hand each rule
over.  So nothing is asked of an operation that nobody looks at.

Observers belong to the thread that they entered in.  The others take the long way meanwhile, with
the same results.
"""

from __future__ import annotations

import contextlib
import threading
import weakref
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from backpass.core.graph import Node, Subgraph, interrupt, recording


class Observer:
    """Stands around what the engine does; its methods do just that, and hand on to the next one."""

    #: Whether rules are to run without the kernels that do them in one pass.
    unfused = False
    #: The observer that entered before.
    inner: Observer | None = None

    def find(self, primitive: Any, values: Sequence[Any]) -> Callable[..., Any]:
        """Return what computes a primitive on `values`, with this observer before it."""
        kernel: Callable[..., Any] = primitive.look_up(values)
        if kernel == primitive.on_sequences:
            return kernel  # it comes back with arrays

        def compute(*xs: Any, **kwargs: Any) -> Any:
            return self.compute(primitive, kernel, xs, kwargs)

        return compute

    def compute(
        self,
        primitive: Any,
        kernel: Callable[..., Any],
        values: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Compute an operation: `kernel(*values, **kwargs)`."""
        if self.inner is not None:
            return self.inner.compute(primitive, kernel, values, kwargs)
        ans = kernel(*values, **kwargs)
        if ans is NotImplemented:
            ans = primitive.computed_by_library(values, kwargs)
        return ans

    def recorded(
        self,
        primitive: Any,
        operands: Sequence[Any],
        ans: Any,
        kwargs: Mapping[str, Any] | None,
        node: Node | None,
    ) -> None:
        """See an operation on something tracked, computed; `node` is `None` if it has none."""
        if self.inner is not None:
            self.inner.recorded(primitive, operands, ans, kwargs, node)

    def pullback(self, g: Any, node: Node, wanted: Collection[Node] | None) -> Sequence[Any]:
        """Run the rule of a node in reverse mode."""
        rule = node.primitive if self.inner is None else self.inner
        gxs: Sequence[Any] = rule.pullback(g, node, wanted)
        return gxs

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Run the rule of a node in forward mode."""
        rule = node.primitive if self.inner is None else self.inner
        return rule.pushforward(tangents, node, on_tensors)

    @contextlib.contextmanager
    def walking(self, subgraph: Subgraph, carried: Mapping[Node, Any], mode: str) -> Iterator[None]:
        """Be there while a graph is walked; `mode` is `"reverse"` or `"forward"`.

        `carried` holds the cotangents or tangents that are given; afterwards, in reverse mode,
        those of the border.
        """
        if self.inner is None:
            yield
        else:
            with self.inner.walking(subgraph, carried, mode):
                yield


#: How many observers there are in all threads; and how many that want rules without fused kernels.
observed, unfused = [0], [0]
#: The primitives that have kernels or rules in their tables.
_filled: weakref.WeakSet[Any] = weakref.WeakSet()
_lock = threading.Lock()


def remember(primitive: Any, table: dict[type, Any], kind: type, found: Any) -> None:
    """Note in a table of a primitive what was found for a type, unless somebody looks on."""
    with _lock:
        if not (observed if table is primitive.kernels else unfused)[0]:
            table[kind] = found
            _filled.add(primitive)


def _count(observer: Observer, by: int) -> None:
    with _lock:
        observed[0] += by
        unfused[0] += by * observer.unfused
        if by > 0:
            for primitive in _filled:
                primitive.kernels.clear()
                if observer.unfused:
                    primitive.pulls.clear()
            if observer.unfused:
                _filled.clear()
    interrupt(by)


def enter(observer: Observer) -> None:
    """Let an observer look on in this thread."""
    observer.inner = recording.observer
    if observer.inner is not None:
        observer.unfused = observer.unfused or observer.inner.unfused
    _count(observer, 1)
    recording.observer = observer


def leave() -> Observer:
    """Let the observer of this thread that entered last go, and return it."""
    observer: Observer = recording.observer
    recording.observer = observer.inner
    _count(observer, -1)
    return observer


def observer_here() -> Observer | None:
    """Return the observer of this thread; `None` if nobody looks on."""
    return recording.observer if observed[0] else None
