"""Timing contenders beside each other: in short rounds, in turns, in one run.

A shared machine changes its speed for seconds at a time, and what is measured one after the other
then compares the machine with itself.  Here every contender works for a fraction of a second in
each round, in an order that changes from round to round; its figure is the least, or the median,
over the rounds.

A contender in an environment of its own (another OPENBLAS_CORETYPE) is a process that runs the same
file and is told, line by line, when its turn is.
"""

from __future__ import annotations

import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

#: No turn lasts much longer, in seconds.
TURN = 0.1
#: The threads of a library's pool spin on after its turn, in seconds.
SETTLE = 0.005


class Here:
    """A contender in this process: a function of no arguments, called again and again."""

    def __init__(self, name: str, step: Callable[[], object]) -> None:
        self.name = name
        self._step = step
        step()
        step()
        started = time.perf_counter()
        step()
        self._calls = max(1, int(0.5 * TURN / max(time.perf_counter() - started, 1e-7)))

    def turn(self) -> float:
        """Work for about half a turn; return the seconds of one call."""
        step = self._step
        started = time.perf_counter()
        for _ in range(self._calls):
            step()
        spent = time.perf_counter() - started
        calls, self._calls = self._calls, max(1, int(self._calls * 0.5 * TURN / spent))
        return spent / calls

    def close(self) -> None:
        """Nothing is held."""


class Elsewhere:
    """A contender in a process of its own: `python file --serve key`, with more environment."""

    def __init__(self, name: str, file: str, key: str, environment: Mapping[str, str]) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [sys.executable, file, "--serve", key],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the process of {self.name} has ended")
        return line

    def turn(self) -> float:
        """Let the process work for about half a turn; return the seconds of one call."""
        assert self._process.stdin is not None
        self._process.stdin.write("turn\n")
        self._process.stdin.flush()
        return float(self._answer())

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)


Contender = Here | Elsewhere


def serve(contender: Here) -> None:
    """Be the process of an `Elsewhere`: take a turn at each line that comes in."""
    print("ready", flush=True)
    for _ in sys.stdin:
        print(repr(contender.turn()), flush=True)


def interleaved(contenders: Sequence[Contender], rounds: int) -> dict[str, list[float]]:
    """Let all take their turns; return the seconds of a call, for each contender and round."""
    order = random.Random(0)
    times: dict[str, list[float]] = {c.name: [] for c in contenders}
    try:
        for contender in contenders:
            contender.turn()
        for _ in range(rounds):
            for contender in order.sample(contenders, len(contenders)):
                time.sleep(SETTLE)
                times[contender.name].append(contender.turn())
    finally:
        for contender in contenders:
            contender.close()
    return times


def print_table(
    title: str, times: Mapping[str, Sequence[float]], *, calls: int = 1, beside: str
) -> None:
    """Print microseconds, least and median, of each contender.

    The ratio is that of its median to the median of the contender `beside`.  `calls` is the number
    of operations in a call: the figures are for one of them.
    """
    print(f"\n{title}\n")
    print(f"| {'':42} | {'least':>10} | {'median':>10} | {'ratio':>6} |")
    print(f"|{'-' * 44}|{'-' * 11}:|{'-' * 11}:|{'-' * 7}:|")
    own = statistics.median(times[beside])
    for name, found in sorted(times.items(), key=lambda item: statistics.median(item[1])):
        least, median = min(found) / calls * 1e6, statistics.median(found) / calls * 1e6
        ratio = statistics.median(found) / own
        print(f"| {name:42} | {least:10.2f} | {median:10.2f} | {ratio:6.2f} |")


def print_machine(modules: Iterable[str]) -> None:
    """Print processor, cores, threads and versions: without them a figure says nothing."""
    print(f"{_processor()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
    settings = ("BACKPASS_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    print(", ".join(f"{name}={os.environ.get(name, 'unset')}" for name in settings))
    versions = [f"Python {platform.python_version()}"]
    for name in modules:
        module = sys.modules.get(name)
        if module is not None:
            versions.append(f"{name} {getattr(module, '__version__', '')}".strip())
    print(", ".join(versions))


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
