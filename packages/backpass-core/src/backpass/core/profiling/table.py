"""A profile as a table."""

from __future__ import annotations

from typing import get_args

from backpass.core.profiling.profiler import Measurements
from backpass.core.profiling.rows import Row, Sort

_HEADS = ("operation", "phase", "calls", "time ms", "share", "with inner ms", "made", "kept")
#: Left, or right.
_ALIGN = "<<>>>>>>"


def table(measured: Measurements, sort: Sort, limit: int | None) -> str:
    """Return the rows as text; see `profile.table`."""
    if sort not in get_args(Sort):
        words = ", ".join(map(repr, get_args(Sort)))
        raise ValueError(f"profile.table: sort={sort!r}: it must be one of {words}")
    if limit is not None and limit < 1:
        raise ValueError(f"profile.table: limit={limit!r}: it must be 1 at least, or None")
    every = measured.rows()
    wall = sum(row.time for row in every)
    rows = [row for row in every if row.phase]
    rows.sort(key=lambda row: getattr(row, sort), reverse=sort != "operation")
    shown, left = rows[:limit], rows[len(rows[:limit]) :]
    lines = [_HEADS, *(_line(row, wall) for row in shown)]
    if left:
        time, calls = sum(row.time for row in left), sum(row.calls for row in left)
        made, kept = sum(row.made for row in left), sum(row.kept for row in left)
        rest = Row(f"{len(left)} more", "", calls, time, time, made, kept)
        lines.append(_line(rest, wall))
    lines += [_line(row, wall) for row in every if not row.phase]
    lines.append(_line(Row("in all", "", 0, wall, wall, 0, 0), wall))
    widths = [max(len(line[i]) for line in lines) for i in range(len(_HEADS))]
    text = [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(line, _ALIGN, widths))
        for line in lines
    ]
    text.insert(1, "-" * len(text[0]))
    text.insert(-1, "-" * len(text[0]))
    text.append(f"kept for rules at a time: {_bytes(measured.peak) or '0 B'} at most")
    for name, ns in measured.regions.items():
        text.append(f"region {name}: {ns * 1e-6:.3f} ms")
    return "\n".join(line.rstrip() for line in text)


def _line(row: Row, wall: float) -> tuple[str, ...]:
    share = row.time / wall if wall else 0.0
    return (
        row.operation,
        row.phase,
        f"{row.calls}" if row.calls else "",
        f"{row.time * 1e3:.3f}",
        f"{share:.1%}",
        f"{row.total * 1e3:.3f}" if row.phase else "",
        _bytes(row.made),
        _bytes(row.kept),
    )


def _bytes(n: int) -> str:
    """Return a number of bytes as text; empty for none."""
    if not n:
        return ""
    size, unit = float(n), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < 1024 or unit == "TiB":
            break
        size /= 1024
    return f"{n} B" if unit == "B" else f"{size:.1f} {unit}"
