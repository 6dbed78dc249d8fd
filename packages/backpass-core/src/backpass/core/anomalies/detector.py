"""The observer that `detect_anomaly` lets look on."""

from __future__ import annotations

import contextlib
import sys
import warnings
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, NamedTuple

import numpy

from backpass.core.anomalies.fingerprints import Fingerprints
from backpass.core.anomalies.finiteness import ANY, Finiteness, summary
from backpass.core.anomalies.reports import (
    Anomaly,
    AnomalyError,
    AnomalyWarning,
    Kind,
    Settings,
    StrongZero,
)
from backpass.core.arity import PICK
from backpass.core.backends import backend_of
from backpass.core.explain.model import Place
from backpass.core.explain.places import Places
from backpass.core.graph import FREED, Node, Subgraph
from backpass.core.keeping import bare, kept, operand_name
from backpass.core.observing import Observer
from backpass.core.ops.elementwise import zero_multiply
from backpass.core.ops.indexing import setitem
from backpass.core.primitive import Primitive
from backpass.core.tensor import Hooked


class _Note(NamedTuple):
    """What is remembered of a node: where it was recorded, in whose rule, and what it kept."""

    place: Place | None
    within: str
    prints: Fingerprints | None

    def text(self) -> str:
        """Return the place as a line."""
        parts = [f"in the derivative of {self.within}"] if self.within else []
        if self.place is not None:
            where = f"{self.place.file}:{self.place.line}, in {self.place.function}"
            parts.append(f"{where}: {self.place.expression or self.place.text}")
        return ", at ".join(parts) if self.within else f"at {parts[0]}" if parts else ""


_BEFORE = _Note(None, "", None)


class _Rule(NamedTuple):
    """A rule that is being run."""

    node: Node
    note: _Note
    mode: str
    frame: FrameType


class Detector(Observer):
    """Looks at each value, each result of a rule, and what nodes keep, in one thread."""

    unfused = True

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._finite = Finiteness(settings.check_nan, settings.check_inf)
        self._places = Places()
        self._notes: weakref.WeakKeyDictionary[Node, _Note] = weakref.WeakKeyDictionary()
        self._rules: list[_Rule] = []
        self._zeros: dict[tuple[str, Place | None, str], StrongZero] = {}
        self._told: set[tuple[Any, ...]] = set()
        #: How many operations are being computed, one inside the other, and how many walks are run.
        self._depth = self._walks = 0

    # ----- forward -------------------------------------------------------------------------------

    def compute(
        self,
        primitive: Any,
        kernel: Callable[..., Any],
        values: Sequence[Any],
        kwargs: Mapping[str, Any],
    ) -> Any:
        """Compute, and look at the value; inside rules at strong zeros instead."""
        self._depth += 1
        try:
            ans = super().compute(primitive, kernel, values, kwargs)
        finally:
            self._depth -= 1
        if self._rules:
            if primitive is zero_multiply:
                self._look_at_zeros(*values)
        elif not self._depth:
            self._look_at_value(primitive, values, ans)
        return ans

    def recorded(
        self,
        primitive: Any,
        operands: Sequence[Any],
        ans: Any,
        kwargs: Mapping[str, Any] | None,
        node: Node | None,
    ) -> None:
        """Note the line, and what is kept."""
        super().recorded(primitive, operands, ans, kwargs, node)
        if not isinstance(primitive, Primitive) or primitive is setitem:
            # These are computed in ways of their own.
            self._look_at_value(primitive, operands, ans)
        if node is not None and node is not FREED:
            note = self._here()
            self._notes[node] = note._replace(prints=Fingerprints(node))

    def _look_at_value(self, primitive: Any, operands: Sequence[Any], ans: Any) -> None:
        if self._rules or self._walks or not self._settings.forward:
            return
        if isinstance(primitive, Primitive) and primitive.aside:
            ans = [part for i, part in enumerate(ans) if i not in primitive.aside]
        fault = self._finite.fault(ans)
        if not fault:
            return
        names = _names(primitive, len(operands))
        seen = [(name, x) for name, x in zip(names, operands) if not isinstance(x, Node)]
        brought = [(name, x) for name, x in seen if self._finite.fault(x)]
        lines = [f"{name}: {summary(x)}" for name, x in seen]
        if not brought:
            text = f"its value is not finite: {fault}"
            self._report("value", primitive.name, "", self._here(), text, lines)
        elif self._is_first:
            which = " and ".join(name for name, _ in brought)
            what = f"operand {which} was" if len(brought) == 1 else f"operands {which} were"
            text = (
                f"its {what} not finite before, and nor is its value: {fault}. It came with the "
                "data: no operation has made it"
            )
            self._report("operand", primitive.name, brought[0][0], self._here(), text, lines)

    def _here(self) -> _Note:
        """Return the line of the user's that is being run; inside a rule, the rule's own."""
        if not self._rules:
            return _Note(self._places.line(), "", None)
        rule = self._rules[-1]
        place = self._places.line(rule.frame)
        if place is not None:
            return _Note(place, "", None)
        return _Note(rule.note.place, rule.node.primitive.name, None)

    # ----- walks ---------------------------------------------------------------------------------

    @contextlib.contextmanager
    def walking(self, subgraph: Subgraph, carried: Mapping[Node, Any], mode: str) -> Iterator[None]:
        """Look at what a walk is given, and at what it brings to the border."""
        word = _CARRIED[mode]
        if not self._walks:
            for node, g in carried.items():
                fault = self._finite.fault(g)
                if fault:
                    text = (
                        f"the {word} that was given is not finite: {fault}. No operation has made "
                        "it: the walk began with it"
                    )
                    self._report("given", "", "", self._note_of(node), text, [])
        self._walks += 1
        try:
            with super().walking(subgraph, carried, mode):
                yield
        finally:
            self._walks -= 1
        if mode == "reverse":
            for node, g in carried.items():
                self._look_at_sum(g, node)

    def _look_at_sum(self, g: Any, node: Node) -> str:
        """Look at the cotangent that has reached a node; the rules' own results have been seen."""
        fault = self._finite.fault(g)
        if fault and self._is_first:
            name = "an argument" if node.primitive is None else node.primitive.name
            text = (
                f"the cotangents that have reached its value are finite, but not in its dtype, "
                f"{node.dtype}, when they are added up: {fault}"
            )
            self._report("sum", name, "", self._note_of(node), text, [])
        return fault

    def pullback(self, g: Any, node: Node, wanted: Collection[Node] | None) -> Sequence[Any]:
        """Run a rule, and look at the cotangents that it makes."""
        fault = self._look_at_sum(g, node)
        with self._running(node, "reverse", sys._getframe()):
            gxs = list(super().pullback(g, node, wanted))
        for i, gx in enumerate(gxs):
            self._look_at_result(gx, node, i, g, bool(fault), "reverse")
        return gxs

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Run a rule, and look at the tangent that it makes."""
        fault = self._finite.fault(tangents)
        with self._running(node, "forward", sys._getframe()):
            t = super().pushforward(tangents, node, on_tensors)
        self._look_at_result(t, node, None, tangents, bool(fault), "forward")
        return t

    @contextlib.contextmanager
    def _running(self, node: Node, mode: str, frame: FrameType) -> Iterator[None]:
        note = self._note_of(node)
        changed = None if note.prints is None else note.prints.changed(node)
        if changed is not None:
            name, x, how = changed
            text = (
                f"{name} was written to after the call{f' ({how})' if how else ''}, so that its "
                "derivative would be wrong: write into a copy"
            )
            operand = name.removeprefix("its operand ")
            lines = [f"{name}: {summary(x)}"]
            self._report("changed", bare(node.primitive).name, operand, note, text, lines)
        self._rules.append(_Rule(node, note, mode, frame))
        try:
            yield
        finally:
            self._rules.pop()

    def _look_at_result(
        self, gx: Any, node: Node, i: int | None, g: Any, had_fault: bool, mode: str
    ) -> None:
        fault = self._finite.fault(gx)
        if not fault or had_fault:
            return
        operand = "" if i is None else operand_name(node, i)
        whose = "its value" if i is None else f"its operand {operand}" if operand else "its operand"
        note = self._note_of(node)
        lines = ["recorded before detect_anomaly() began, at an unknown line"] * (note is _BEFORE)
        lines.append(f"{_CARRIED[mode]} that arrived: {summary(g)}")
        if isinstance(node.primitive, Hooked):
            lines.append("a hook hangs on its value, and may have replaced that")
        lines += [f"{name}: {summary(x)}" for name, x in kept(node)]
        text = f"the {_CARRIED[mode]} of {whose} is not finite: {fault}"
        name = bare(node.primitive).name
        self._report("derivative", name, operand, note, text, lines)

    def _look_at_zeros(self, g: Any, d: Any) -> None:
        """Count the zeros in `g` that have met a derivative that is not finite."""
        if not ANY.fault(d):
            return
        xp = backend_of((g, d)).library
        hidden = (g == 0) & ~xp.isfinite(d)
        count = int(numpy.sum(hidden) if isinstance(hidden, bool) else hidden.sum())
        if not count:
            return
        rule = self._rules[-1]
        name = bare(rule.node.primitive).name
        zero = self._zeros.get((name, rule.note.place, rule.mode))
        if zero is not None:
            zero.count += count
            return
        text = (
            f"{name}: a {_CARRIED[rule.mode]} that is exactly 0 has hidden a derivative that is "
            f"not finite, and stays 0: {count} of {getattr(hidden, 'size', 1)} elements"
        )
        zero = StrongZero(name, rule.note.place, rule.mode, count, _joined(text, rule.note, []))
        self._zeros[name, rule.note.place, rule.mode] = zero
        self._settings.strong_zeros.append(zero)
        _warn(zero.message, zero.place)

    def _note_of(self, node: Node) -> _Note:
        if node.primitive is PICK and node.parents:
            node = node.parents[0]
        return self._notes.get(node, _BEFORE)

    @property
    def _is_first(self) -> bool:
        """Whether something that is not finite cannot come from what has been reported."""
        return self._settings.action == "raise" or not self._told

    # ----- what is said --------------------------------------------------------------------------

    def _report(
        self,
        kind: Kind,
        operation: str,
        operand: str,
        note: _Note,
        text: str,
        lines: Iterable[str],
    ) -> None:
        key = (kind, operation, operand, note.place)
        if key in self._told and self._settings.action == "warn":
            return
        self._told.add(key)
        message = _joined(f"{operation}: {text}" if operation else text, note, lines)
        anomaly = Anomaly(kind, operation, operand, note.place, message)
        self._settings.found.append(anomaly)
        if self._settings.action == "raise":
            raise AnomalyError(anomaly)
        _warn(message, note.place)


_CARRIED = {"reverse": "cotangent", "forward": "tangent"}


def _names(primitive: Any, count: int) -> list[str]:
    if isinstance(primitive, Primitive):
        return primitive.names(count)
    return [str(i) for i in range(count)]


def _joined(text: str, note: _Note, lines: Iterable[str]) -> str:
    where = note.text()
    return "\n  ".join([text, *([where] if where else []), *lines])


def _warn(message: str, place: Place | None) -> None:
    """Warn, at the user's line."""
    if place is None:
        warnings.warn(message, AnomalyWarning, stacklevel=2)
    else:
        warnings.warn_explicit(message, AnomalyWarning, place.file, place.line)
