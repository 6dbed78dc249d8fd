"""A profile in Chrome's trace event format, which Perfetto reads.

Source: "Trace Event Format", Google, 2016.  Complete events (`ph` "X") have a start `ts` and a
duration `dur` in microseconds; counters are "C", names of processes and threads "M"; a flow goes
from an "s" to an "f" of the same `id`, each inside of a complete event.
"""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

from backpass.core.profiling.profiler import BACKWARD, TANGENTS, Event, Measurements


def write(measured: Measurements, path: str | os.PathLike[str]) -> None:
    """Write the file; see `profile.trace`."""
    content = {"traceEvents": _events(measured), "displayTimeUnit": "ns"}
    Path(path).write_text(json.dumps(content), encoding="utf-8")


def _events(measured: Measurements) -> list[dict[str, Any]]:
    where = {"pid": os.getpid(), "tid": threading.get_ident() & 0x7FFF_FFFF}

    def at(ns: int) -> float:
        return (ns - measured.begun) / 1e3

    made: list[dict[str, Any]] = [
        {"ph": "M", "name": "process_name", "args": {"name": "backpass"}, **where},
        {"ph": "M", "name": "thread_name", "args": {"name": "operations"}, **where},
    ]
    for name, start, duration in measured.spans:
        span = {"ph": "X", "name": name, "cat": "region", "ts": at(start), "dur": duration / 1e3}
        made.append({**span, "args": {}, **where})
    recorded: dict[int, Event] = {}
    for event in sorted(measured.events, key=lambda event: event.start):
        made.append(
            {
                "ph": "X",
                "name": event.name,
                "cat": event.phase,
                "ts": at(event.start),
                "dur": event.duration / 1e3,
                "args": _facts(event),
                **where,
            }
        )
        if event.phase not in (BACKWARD, TANGENTS):
            recorded.setdefault(event.node, event)
        elif event.node in recorded:
            first = recorded[event.node]
            flow = {"name": "rule", "cat": "rule", "id": len(made), **where}
            made.append({"ph": "s", "ts": at(first.start), **flow})
            made.append({"ph": "f", "bp": "e", "ts": at(event.start), **flow})
    for ns, level in measured.levels:
        counter = {"ph": "C", "name": "kept for rules", "ts": at(ns), "args": {"bytes": level}}
        made.append({**counter, **where})
    return sorted(made, key=lambda entry: entry.get("ts", 0.0))


def _facts(event: Event) -> dict[str, Any]:
    facts: dict[str, Any] = {"phase": event.phase}
    if event.operands:
        facts["operands"] = [_form(*x) for x in event.operands]
    if event.outputs:
        facts["outputs"] = [_form(*x) for x in event.outputs]
    if event.made:
        facts["bytes made"] = event.made
    if event.place is not None:
        facts["line"] = f"{event.place.file}:{event.place.line}"
        facts["code"] = event.place.expression or event.place.text
    return facts


def _form(kind: Any, shape: Any) -> str:
    return f"{kind}{list(shape)}" if shape is not None else str(kind)
