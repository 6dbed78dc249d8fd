"""Timing contenders beside each other: in short rounds, in turns, in one run.

A shared machine changes its speed for seconds at a time, and what is measured one after the other
then compares the machine with itself.  Here every contender works for a fraction of a second in
each round, in an order that changes from round to round; its figure is the least, or the median,
over the rounds.

Libraries with threads of their own, and contenders in an environment of their own (another
OPENBLAS_CORETYPE), are processes that run the same file and are told, line by line, when their turn
is and at what.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import itertools
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

#: What a contender does again and again.
Step = Callable[[], object]


class Queued(NamedTuple):
    """A step that puts work into a device's queue, and what waits until the queue is empty.

    A turn ends when all its work is done.
    """

    step: Step
    finish: Callable[[], object]


#: No turn lasts much longer, in seconds.
TURN = 0.1
#: The threads of a library's pool spin on after its turn, in seconds.
SETTLE = 0.01
#: OpenBLAS's would for a tenth of a second, and take a processor from whose turn is next (PyTorch's
#: products took twice as long beside NumPy's). After half a millisecond they may as well sleep.
BRIEF = {"OPENBLAS_THREAD_TIMEOUT": "20"}


class Here:
    """A contender in this process: a function of no arguments, called again and again."""

    def __init__(self, name: str, work: Step | Queued) -> None:
        self.name = name
        self._step, self._finish = work if isinstance(work, Queued) else (work, _nothing)
        self._calls = 2
        self.turn()
        self._calls = 1
        self.turn()

    def turn(self) -> float:
        """Work for about half a turn; return the seconds of one call."""
        step = self._step
        started = time.perf_counter()
        for _ in range(self._calls):
            step()
        self._finish()
        spent = max(time.perf_counter() - started, 1e-7)
        calls, self._calls = self._calls, max(1, int(self._calls * 0.5 * TURN / spent))
        return spent / calls


def _nothing() -> None:
    """Wait for nothing: the step has done its work when it returns."""


class Failed(Exception):
    """A contender that is not installed, or cannot do what was asked."""


class Process:
    """A process of its own: `python file --serve key`, with more environment.

    It is named `label` in the tables.
    """

    def __init__(self, label: str, file: str, key: str, environment: Mapping[str, str]) -> None:
        self.label = label
        self._process = subprocess.Popen(
            [sys.executable, file, "--serve", key],
            env={**os.environ, **BRIEF, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, case: str) -> None:
        """Ask the process to work at a case for about half a turn."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{case}\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise Failed("its process has ended") from None

    def answer(self) -> float:
        """Return the seconds of one call, when the process has done what it was asked."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Failed("its process has ended")
        answer = json.loads(line)
        if isinstance(answer, str):
            raise Failed(answer)
        return float(answer)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait(timeout=60)


class Elsewhere:
    """A contender in another process, at one case."""

    def __init__(self, process: Process, case: str) -> None:
        self.name = process.label
        self._process, self._case = process, case

    def turn(self) -> float:
        """Let the process work for about half a turn; return the seconds of one call."""
        self._process.ask(self._case)
        return self._process.answer()


Contender = Here | Elsewhere

#: The rows of a benchmark's table, made in the contender's own process: `make(case)`.
Rivals = Mapping[str, Callable[[str], Step | Queued]]
#: NumPy's OpenBLAS takes some processors with AVX-512 for older ones.
CORETYPE = {"OPENBLAS_CORETYPE": "SkylakeX"}


@contextlib.contextmanager
def processes(
    file: str,
    rivals: Rivals,
    *,
    over_numpy: Collection[str] = (),
    only: Collection[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[list[Process]]:
    """Start a process for each rival, and a second one with `CORETYPE` for those of `over_numpy`.

    `only` chooses by the beginnings of their labels.
    """
    started: list[Process] = []
    try:
        for key in rivals:
            settings = {key: {}, f"{key}, SkylakeX": CORETYPE} if key in over_numpy else {key: {}}
            for label, more in settings.items():
                if not only or label.startswith(tuple(only)):
                    started.append(Process(label, file, key, {**(environment or {}), **more}))
        yield started
    finally:
        for process in started:
            process.close()


def serve(rivals: Rivals, key: str) -> None:
    """Be the process of a contender: take a turn at each line that comes in, which is the case."""
    # What a library prints must not get between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    here, at = None, None
    for line in sys.stdin:
        case = line.strip()
        answer: float | str
        try:
            if here is None or case != at:
                here = None  # Its arrays go first.
                here, at = Here(key, rivals[key](case)), case
            answer = here.turn()
        except Exception as error:
            answer = f"{type(error).__name__}: {error}".partition("\n")[0]
        print(json.dumps(answer), file=answers, flush=True)


def compare(running: Sequence[Process], case: str, rounds: int) -> dict[str, list[float]]:
    """Let all processes take their turns at a case; return the seconds of a call.

    They import and compile at the same time; those that fail say so when their first turn comes.
    """
    for process in running:
        with contextlib.suppress(Failed):
            process.ask(case)
    for process in running:
        with contextlib.suppress(Failed):
            process.answer()
    return interleaved([Elsewhere(process, case) for process in running], rounds)


def threads(n: int) -> dict[str, str]:
    """Return the environment in which a library uses so many threads."""
    names = ("BACKPASS_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    return dict.fromkeys(names, str(n))


def confine() -> None:
    """Confine this process to as many processors as it may use threads: JAX has no other way."""
    n = int(os.environ.get("OMP_NUM_THREADS", "0"))
    if n and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-n:])


def fresh(items: Sequence[Any]) -> Callable[[], Any]:
    """Return a function that gives the items in turns, for ever: none was used a moment ago."""
    return itertools.cycle(items).__next__


def parser(description: str | None, rounds: int) -> argparse.ArgumentParser:
    """Return a command line with what every benchmark in processes takes."""
    made = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--rounds", type=int, default=rounds)
    made.add_argument("--only", nargs="+", default=[], help="contenders, by their beginnings")
    made.add_argument("--serve", help=argparse.SUPPRESS)
    return made


def interleaved(contenders: Sequence[Contender], rounds: int) -> dict[str, list[float]]:
    """Let all take their turns; return the seconds of a call, for each contender and round."""
    order = random.Random(0)
    able = []
    for contender in contenders:
        try:
            contender.turn()
            contender.turn()
            able.append(contender)
        except Failed as error:
            print(f"{contender.name}: not measured, {error}")
    times: dict[str, list[float]] = {c.name: [] for c in able}
    for _ in range(rounds):
        for contender in order.sample(able, len(able)):
            time.sleep(SETTLE)
            times[contender.name].append(contender.turn())
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
    own = statistics.median(times[beside] if beside in times else next(iter(times.values())))
    for name, found in sorted(times.items(), key=lambda item: statistics.median(item[1])):
        least, median = min(found) / calls * 1e6, statistics.median(found) / calls * 1e6
        ratio = statistics.median(found) / own
        print(f"| {name:42} | {least:10.2f} | {median:10.2f} | {ratio:6.2f} |")


def print_comparison(
    title: str,
    rows: Mapping[str, Mapping[str, Sequence[float]]],
    figure: Callable[[str, float], float],
    *,
    beside: str,
    wanted: Mapping[str, float],
) -> None:
    """Print a line for each case: the median of each contender, as `figure(case, seconds)`.

    In brackets stands how many times as fast as it `beside` is.  The last column names those beside
    which that is less than `wanted`.
    """
    names = list(dict.fromkeys(name for times in rows.values() for name in times))
    print(f"\n{title}\n")
    print(f"| {'':24} | {' | '.join(f'{name:>18}' for name in names)} | short of")
    print(f"|{'-' * 25}:|{':|'.join('-' * 19 for _ in names)}:|---------")
    for case, times in rows.items():
        medians = {name: statistics.median(found) for name, found in times.items()}
        cells, short = [], []
        for name in names:
            if name not in medians:
                cells.append(f"{'-':>18}")
                continue
            text = f"{figure(case, medians[name]):.1f}"
            if beside in medians and name != beside:
                ratio = medians[name] / medians[beside]
                text += f" ({ratio:.2f})"
                if ratio < wanted.get(name, 0):
                    short.append(f"{name} x {wanted[name]:g}")
            cells.append(f"{text:>18}")
        print(f"| {case:24} | {' | '.join(cells)} | {', '.join(short)}", flush=True)


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
            continue
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions.append(f"{name} {importlib.metadata.version(name)}")
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
