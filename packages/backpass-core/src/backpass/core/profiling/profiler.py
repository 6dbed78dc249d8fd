"""The observer that `profile` lets look on, and what it measures."""

from __future__ import annotations

import contextlib
import time
import weakref
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from backpass.core.backends import backend_of, backend_of_type
from backpass.core.cotangents import Parts
from backpass.core.explain.model import Place
from backpass.core.explain.places import Places
from backpass.core.graph import FREED, Node, Subgraph
from backpass.core.keeping import bare, kept
from backpass.core.observing import Observer
from backpass.core.profiling.rows import Row
from backpass.core.values import plain

_now = time.perf_counter_ns

FORWARD, BACKWARD, TANGENTS, INSIDE = "forward", "backward", "forward mode", "in rules"
#: What is no operation, in the order of the table.
GRAPH, WALK, PROFILER = "graph and Python", "walks, without rules", "the profiler itself"


#: Dtype and shape of an array; the type's name and `None` for anything else.
Form = tuple[Any, Any]


@dataclass(slots=True)
class Event:
    """A call that was measured; times are in nanoseconds."""

    name: str
    phase: str
    start: int
    duration: int
    #: Dtype, or type, and shape of each operand, and of each output.
    operands: list[Form]
    outputs: list[Form]
    place: Place | None
    made: int
    #: The node that it recorded, or whose rule it is, by its serial number.
    node: int = 0


@dataclass(slots=True)
class _Sum:
    calls: int = 0
    own: int = 0
    total: int = 0
    made: int = 0
    kept: int = 0


@dataclass(slots=True)
class Measurements:
    """What was measured; times are in nanoseconds."""

    begun: int = field(default_factory=_now)
    #: Until the context was last left; and when it was entered, 0 outside of it.
    past: int = 0
    entered: int = 0
    #: What the operations, walks and the profiler took, so that the rest is the graph's.
    spent: int = 0
    walks: int = 0
    profiler: int = 0
    events: list[Event] = field(default_factory=list)
    #: Names, starts and durations.
    spans: list[tuple[str, int, int]] = field(default_factory=list)
    regions: dict[str, int] = field(default_factory=dict)
    #: When how many bytes were kept for rules.
    levels: list[tuple[int, int]] = field(default_factory=list)
    peak: int = 0
    sums: dict[tuple[str, str], _Sum] = field(default_factory=dict)

    def sum_of(self, name: str, phase: str) -> _Sum:
        """Return where the calls of an operation in a phase are added up."""
        found = self.sums.get((name, phase))
        if found is None:
            found = self.sums[name, phase] = _Sum()
        return found

    @property
    def wall(self) -> int:
        """The time in the context so far."""
        return self.past + (_now() - self.entered if self.entered else 0)

    @contextlib.contextmanager
    def region(self, name: str) -> Iterator[None]:
        """Measure a part of the program."""
        start = _now()
        try:
            yield
        finally:
            duration = _now() - start
            self.spans.append((name, start, duration))
            self.regions[name] = self.regions.get(name, 0) + duration

    def rows(self, wall: int | None = None) -> tuple[Row, ...]:
        """Return the table; `wall` is what its times add up to."""
        made = [
            Row(name, phase, s.calls, s.own * 1e-9, s.total * 1e-9, s.made, s.kept)
            for (name, phase), s in self.sums.items()
        ]
        made.sort(key=lambda row: row.time, reverse=True)
        rest = {
            GRAPH: (self.wall if wall is None else wall) - self.spent,
            WALK: self.walks,
            PROFILER: self.profiler,
        }
        made += [Row(name, "", 0, ns * 1e-9, ns * 1e-9, 0, 0) for name, ns in rest.items()]
        return tuple(made)


class _Frame:
    """A call that is being measured."""

    __slots__ = ("clock", "counted", "entered", "inside", "started")

    def __init__(self, values: Any) -> None:
        self.entered = _now()
        #: What is to be taken off its time: of calls inside, and of the profiler.
        self.inside = 0
        #: The arrays whose bytes calls inside have been given the credit for.
        self.counted: dict[int, Any] = {}
        self.clock = backend_of(values).clock
        self.started = self.clock()


class Profiler(Observer):
    """Measures the calls of kernels and rules in one thread."""

    def __init__(self, measured: Measurements) -> None:
        self._measured = measured
        measured.entered = _now()
        self._frames: list[_Frame] = []
        self._open: Counter[tuple[str, str]] = Counter()
        self._rules: list[Place | None] = []
        self._walks = 0
        self._places = Places()
        self._lines: weakref.WeakKeyDictionary[Node, Place | None] = weakref.WeakKeyDictionary()
        # Bytes kept: by the memory's identity, how many nodes keep it, and its size.
        self._live: dict[int, list[int]] = {}
        self._nodes: dict[int, tuple[weakref.ref[Node], list[int]]] = {}
        self._level = 0
        self._walked: Node | None = None

    def end(self) -> None:
        """End the measuring."""
        self._measured.past, self._measured.entered = self._measured.wall, 0

    # ----- one call ------------------------------------------------------------------------------

    def _begin(self, values: Any) -> _Frame:
        frame = _Frame(values)
        self._frames.append(frame)
        return frame

    def _stop(self, frame: _Frame) -> int:
        """Return how long a call took, with what it called."""
        duration = frame.clock() - frame.started
        self._frames.pop()
        return duration

    def _close(self, entered: int, duration: int) -> None:
        """Take a call, and what the profiler has added to it, off the time of what is around it."""
        whole = _now() - entered
        self._measured.profiler += whole - duration
        if self._frames:
            self._frames[-1].inside += whole
        else:
            self._measured.spent += whole

    def _note(
        self,
        frame: _Frame,
        duration: int,
        key: tuple[str, str],
        place: Place | None,
        operands: Sequence[Any],
        results: Any,
        node: int = 0,
    ) -> None:
        """Add a call up."""
        made = self._bytes_made(results, operands, frame.counted)
        sums = self._measured.sum_of(*key)
        sums.calls += 1
        sums.own += duration - frame.inside
        sums.total += 0 if self._open[key] else duration
        sums.made += made
        given, out = _forms(operands), _forms(_flat(results))
        self._measured.events.append(
            Event(*key, frame.started, duration, given, out, place, made, node)
        )
        self._close(frame.entered, duration)

    def _bytes_made(self, results: Any, operands: Sequence[Any], counted: dict[int, Any]) -> int:
        """Return the bytes of those results that no call inside has made, and that are no views."""
        total = 0
        for x in _flat(results):
            if not hasattr(x, "nbytes") or any(x is y for y in operands):
                continue
            base = getattr(x, "base", None)
            known = counted.get(id(x))
            if (known is None or known() is not x) and (
                base is None or backend_of_type(type(base)) is None
            ):
                total += x.nbytes
                with contextlib.suppress(TypeError):
                    counted[id(x)] = weakref.ref(x)
        if self._frames:
            self._frames[-1].counted.update(counted)
        return total

    @contextlib.contextmanager
    def _opened(self, key: tuple[str, str]) -> Iterator[None]:
        self._open[key] += 1
        try:
            yield
        finally:
            self._open[key] -= 1

    # ----- what is observed ----------------------------------------------------------------------

    def find(self, primitive: Any, values: Sequence[Any]) -> Callable[..., Any]:
        """Find a kernel: a cost that is there because somebody looks on."""
        entered = _now()
        found = super().find(primitive, values)
        self._close(entered, 0)
        return found

    def compute(
        self,
        primitive: Any,
        kernel: Callable[..., Any],
        values: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Measure a kernel."""
        key = (primitive.name, INSIDE if self._rules or self._walks else FORWARD)
        frame = self._begin(values)
        ans = None
        try:
            with self._opened(key):
                ans = super().compute(primitive, kernel, values, kwargs)
        finally:
            duration = self._stop(frame)
            place = self._rules[-1] if self._rules else self._places.line()
            self._note(frame, duration, key, place, values, ans)
        return ans

    def recorded(
        self,
        primitive: Any,
        operands: Sequence[Any],
        ans: Any,
        kwargs: Mapping[str, Any] | None,
        node: Node | None,
    ) -> None:
        """Count what a node keeps."""
        entered = _now()
        super().recorded(primitive, operands, ans, kwargs, node)
        if node is not None and node is not FREED:
            name, events = bare(primitive).name, self._measured.events
            last = events[-1] if events else None
            if last is not None and last.name == name and not last.node:
                last.node = node.serial
                self._lines[node] = last.place
            else:
                self._lines[node] = self._rules[-1] if self._rules else self._places.line()
            self._keep(node, name)
        self._close(entered, 0)

    def pullback(self, g: Any, node: Node, wanted: Collection[Node] | None) -> Sequence[Any]:
        """Measure a rule."""
        self._let_go()
        with self._rule(node, BACKWARD, _flat(g)) as results:
            gxs = super().pullback(g, node, wanted)
            results += gxs
        self._walked = node
        return gxs

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Measure a rule in forward mode."""
        with self._rule(node, TANGENTS, _flat(tangents)) as results:
            t = super().pushforward(tangents, node, on_tensors)
            results += _flat(t)
        return t

    @contextlib.contextmanager
    def _rule(self, node: Node, phase: str, given: Sequence[Any]) -> Iterator[list[Any]]:
        """Measure a rule; its results are to be put into the list."""
        key, place = (bare(node.primitive).name, phase), self._lines.get(node)
        results: list[Any] = []
        frame = self._begin(given)
        self._rules.append(place)
        try:
            with self._opened(key):
                yield results
        finally:
            duration = self._stop(frame)
            self._rules.pop()
            self._note(frame, duration, key, place, given, results, node.serial)

    @contextlib.contextmanager
    def walking(self, subgraph: Subgraph, carried: Mapping[Node, Any], mode: str) -> Iterator[None]:
        """Measure a walk: what is not in its rules is the search for nodes, and adding up."""
        frame = self._begin(())
        self._walks += 1
        try:
            with super().walking(subgraph, carried, mode):
                yield
        finally:
            self._let_go()
            self._walks -= 1
            duration = self._stop(frame)
            self._measured.walks += duration - frame.inside
            self._close(frame.entered, duration)

    # ----- what is kept --------------------------------------------------------------------------

    def _keep(self, node: Node, name: str) -> None:
        keys = []
        for _, x in kept(node):
            root = _root(x)
            entry = self._live.get(id(root))
            if entry is None:
                entry = self._live[id(root)] = [0, root.nbytes]
                self._level += root.nbytes
                phase = INSIDE if self._rules else FORWARD
                self._measured.sum_of(name, phase).kept += root.nbytes
            entry[0] += 1
            keys.append(id(root))
        if keys:
            serial = node.serial
            gone = weakref.ref(node, lambda _: self._release(serial))
            self._nodes[serial] = (gone, keys)
            self._mark()

    def _let_go(self) -> None:
        """Release the node whose rule ran last, if the walk has freed it."""
        node, self._walked = self._walked, None
        if node is not None and node.parents is None:
            self._release(node.serial)

    def _release(self, serial: int) -> None:
        found = self._nodes.pop(serial, None)
        if found is None:
            return
        for key in found[1]:
            entry = self._live[key]
            entry[0] -= 1
            if not entry[0]:
                self._level -= entry[1]
                del self._live[key]
        self._mark()

    def _mark(self) -> None:
        measured = self._measured
        measured.levels.append((_now(), self._level))
        measured.peak = max(measured.peak, self._level)


def _root(x: Any) -> Any:
    """Return the array whose memory an array shows."""
    base = getattr(x, "base", None)
    while base is not None and hasattr(base, "nbytes") and hasattr(base, "dtype"):
        x, base = base, getattr(base, "base", None)
    return x


def _flat(x: Any) -> list[Any]:
    """Return one value, or several, as plain arrays, without those that are not there."""
    x = x.items if type(x) is Parts else x
    if isinstance(x, tuple | list):
        return [plain(part) for part in x if part is not None and type(part) is not Parts]
    return [] if x is None else [plain(x)]


def _forms(values: Sequence[Any]) -> list[Form]:
    return [(x.dtype, x.shape) if hasattr(x, "dtype") else (type(x).__name__, None) for x in values]


__all__ = ["Event", "Measurements", "Profiler"]
