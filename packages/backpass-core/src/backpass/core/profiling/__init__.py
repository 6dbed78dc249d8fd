"""Finding what takes the time and the memory."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING

from backpass.core.profiling.rows import Row, Sort

if TYPE_CHECKING:
    from backpass.core.profiling.profiler import Measurements


class profile:
    """Measure what each operation takes, forward and backward: a context manager.

    It can be entered again, and adds up.  What other threads do is not measured.

    Attributes
    ----------
    wall : float
        Seconds in the context, so far.
    rows : tuple of Row
        By operation and phase, the longest first; then what is left: the graph and Python, the
        walks without the rules, and the profiler itself.
    regions : dict
        Seconds in each `region`, by name.
    peak : int
        The most bytes that were kept for rules at a time, of those that were recorded here.

    Notes
    -----
    A kernel's time is that of its call; a rule's includes the few microseconds of calling it.  The
    graph takes the long way meanwhile, in Python, so that its row is larger than what it takes when
    nobody looks on; that of the kernels is not.  On a GPU each operation is waited for: nothing
    overlaps, and the rows still add up.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import grad, profile
    >>> x = np.linspace(0.0, 1.0, 1000)
    >>> with profile() as p:
    ...     with p.region("gradient"):
    ...         g = grad(lambda x: np.sum(np.tanh(x) * x))(x)
    >>> [(row.operation, row.calls) for row in p.rows if row.phase == "backward"]  # doctest: +SKIP
    [('multiply', 1), ('tanh', 1), ('sum', 1)]
    >>> abs(sum(row.time for row in p.rows) - p.wall) < 1e-6
    True
    """

    def __init__(self) -> None:
        from backpass.core.profiling.profiler import Measurements

        self._measured: Measurements = Measurements()

    def __enter__(self) -> profile:
        from backpass.core.observing import enter
        from backpass.core.profiling.profiler import Profiler

        enter(Profiler(self._measured))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        from backpass.core.observing import leave
        from backpass.core.profiling.profiler import Profiler

        left = leave()
        if isinstance(left, Profiler):
            left.end()

    @contextlib.contextmanager
    def region(self, name: str) -> Iterator[None]:
        """Name what is done inside: it has a bar in the trace, and its time in `regions`.

        Regions may lie in one another.
        """
        with self._measured.region(name):
            yield

    @property
    def wall(self) -> float:
        """Seconds in the context, so far."""
        return self._measured.wall * 1e-9

    @property
    def peak(self) -> int:
        """The most bytes that were kept for rules at a time."""
        return self._measured.peak

    @property
    def regions(self) -> dict[str, float]:
        """Seconds in each region, by name."""
        return {name: ns * 1e-9 for name, ns in self._measured.regions.items()}

    @property
    def rows(self) -> tuple[Row, ...]:
        """What was measured, the longest first, and last what is no operation's."""
        return self._measured.rows()

    def table(self, sort: Sort = "time", limit: int | None = None) -> str:
        """Return the rows as text.

        Parameters
        ----------
        sort
            `"time"`, `"total"`, `"calls"`, `"made"` or `"kept"`, the most first; or `"operation"`.
        limit
            How many operations to show; those that are left out stand in one line.

        Raises
        ------
        ValueError
            If `sort` is none of these, or `limit` is not positive.
        """
        from backpass.core.profiling.table import table

        return table(self._measured, sort, limit)

    def trace(self, path: str | os.PathLike[str]) -> None:
        """Write a file that https://ui.perfetto.dev and `chrome://tracing` show.

        Each operation is a bar with its shapes, dtypes and your line; an arrow leads from it to its
        rule; a curve shows the bytes that are kept for rules.  The form is Chrome's trace event
        format, JSON.
        """
        from backpass.core.profiling.trace import write

        write(self._measured, path)

    def __str__(self) -> str:
        return self.table()

    def __repr__(self) -> str:
        return f"<profile of {self.wall:.6g} s, {len(self.rows)} rows>"


__all__ = ["Row", "profile"]
