"""What the kernels on a GPU reach of its memory's bandwidth, beside a copy and beside CuPy.

    python tests/benchmarks/gpu_kernels.py [--rounds N] [--elements N] [--only NAME ...]

Functions and their rules (VJPs) on 1e8 elements of float32; softmax, log_softmax and logsumexp on
rows of 1,000.  A rule is called as the walk calls it: with a cotangent and what was saved.

The figure is bytes of operands and result over time, as a share of what a copy on the device moves
in the same round; at least 85 % are wanted of what the memory binds, and what arithmetic binds is
reported.  "CuPy" is its own function, or the rule as one writes it with CuPy, for the same bytes.

Time is taken on the GPU, between two events.  Before the first of them three copies are put into
the queue, so that the host has launched everything when the GPU gets there, and nothing of the
operands is in the cache.  The contenders take turns in an order that changes from round to round.
"""

from __future__ import annotations

import argparse
import importlib
import math
import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy
from gpu import print_gpu

import backpass.numpy as np
import backpass.scipy.special as sp
from backpass.core.backends import Backend, backend_on
from backpass.core.primitive import Primitive

ELEMENTS = 100_000_000
ROW = 1000
WANTED = 0.85
#: So many copies keep the GPU busy while the host launches what is measured: 0.6 ms on an H200.
LEAD = 3

Run = Callable[[], Any]


class Measured(NamedTuple):
    """A function, how it is called, and the same in CuPy.

    Attributes
    ----------
    name
        In the table.
    primitive
        What is measured.
    operands
        `"x"` for an array; numbers stand for themselves.
    keywords
        Of the call.
    cupy
        `cupy(xp, special, x, y)`.
    rule
        `rule(xp, g, ans, x, y)`: the cotangent of x as one writes it; `None` if x gets g itself.
    bound
        Whether memory binds it, and not arithmetic.
    """

    name: str
    primitive: Primitive
    operands: tuple[Any, ...]
    keywords: Mapping[str, Any]
    cupy: Callable[..., Any]
    rule: Callable[..., Any] | None
    bound: bool = True


def _of_one(
    name: str,
    primitive: Any,
    rule: Callable[..., Any],
    *,
    special: bool = False,
    bound: bool = True,
) -> Measured:
    def cupy(xp: Any, library: Any, x: Any) -> Any:
        return getattr(library if special else xp, name)(x)

    return Measured(name, primitive, ("x",), {}, cupy, rule, bound)


def _of_rows(name: str, primitive: Any, rule: Callable[..., Any], **keywords: Any) -> Measured:
    def cupy(xp: Any, library: Any, x: Any) -> Any:
        return getattr(library, name)(x, axis=1, **keywords)

    return Measured(name, primitive, ("x",), {"axis": 1, **keywords}, cupy, rule)


def _softmax_rule(xp: Any, g: Any, ans: Any, x: Any) -> Any:
    weighted = g * ans
    return weighted - ans * weighted.sum(axis=1, keepdims=True)


def functions() -> Iterator[Measured]:
    """Yield what is measured."""
    yield Measured("add", np.add, ("x", "x"), {}, lambda xp, _, x, y: x + y, None)
    yield Measured(
        "multiply",
        np.multiply,
        ("x", "x"),
        {},
        lambda xp, _, x, y: x * y,
        lambda xp, g, ans, x, y: g * y,
    )
    yield _of_one("exp", np.exp, lambda xp, g, ans, x: g * ans)
    yield _of_one("log", np.log, lambda xp, g, ans, x: g / x)
    yield _of_one("tanh", np.tanh, lambda xp, g, ans, x: g * (1 - ans * ans))
    yield _of_one("sqrt", np.sqrt, lambda xp, g, ans, x: g / (2 * ans))
    yield _of_one("expit", sp.expit, lambda xp, g, ans, x: g * (ans * (1 - ans)), special=True)
    yield Measured(
        "maximum(x, 0)",
        np.maximum,
        ("x", 0.0),
        {},
        lambda xp, _, x, y: xp.maximum(x, y),
        lambda xp, g, ans, x, y: g * (x > y),
    )
    softmax = importlib.import_module("backpass.core.ops.special.exponential_sums")
    yield _of_rows("softmax", softmax.softmax_, _softmax_rule)
    yield _of_rows(
        "log_softmax",
        softmax.log_softmax_,
        lambda xp, g, ans, x: g - xp.exp(ans) * g.sum(axis=1, keepdims=True),
    )
    yield _of_rows(
        "logsumexp", softmax.logsumexp_, lambda xp, g, ans, x: g * xp.exp(x - ans), keepdims=True
    )
    yield Measured(
        "power",
        np.power,
        ("x", "x"),
        {},
        lambda xp, _, x, y: x**y,
        lambda xp, g, ans, x, y: g * (y * x ** (y - 1)),
        bound=False,
    )
    slopes: dict[str, Callable[..., Any]] = {
        "gammaln": lambda xp, library, x: library.psi(x),
        "psi": lambda xp, library, x: library.zeta(2.0, x),
        "erf": lambda xp, library, x: 2 / math.sqrt(math.pi) * xp.exp(-x * x),
        "j0": lambda xp, library, x: -library.j1(x),
        "i0e": lambda xp, library, x: library.i1e(x) - library.i0e(x),
    }
    library = importlib.import_module("cupyx.scipy.special")
    for name, slope in slopes.items():

        def rule(xp: Any, g: Any, ans: Any, x: Any, slope: Any = slope) -> Any:
            return g * slope(xp, library, x)

        yield _of_one(name, getattr(sp, name), rule, special=True, bound=False)


# ----- measuring ---------------------------------------------------------------------------------


class Pass(NamedTuple):
    """A function or a rule with operands.

    Attributes
    ----------
    run, cupy
        Backpass's, and CuPy's.
    size
        Bytes of operands and result.
    own
        Whether a kernel of Backpass's computes it.
    """

    run: Run
    cupy: Run
    size: int
    own: bool


def _bytes(*values: Any) -> int:
    """Return the bytes of the arrays, of each once."""
    return sum({id(v): v.nbytes for v in values if hasattr(v, "nbytes")}.values())


def forward(f: Measured, operands: Sequence[Any], xp: Any, special: Any, backend: Backend) -> Pass:
    """Return the function on its operands."""
    run = lambda: f.primitive.op(*operands, **f.keywords)  # noqa: E731
    kernel = backend.kernels.get(f.primitive.name)
    own = kernel is not None and kernel(*operands, **f.keywords) is not NotImplemented
    size = _bytes(*operands, run())
    return Pass(run, lambda: f.cupy(xp, special, *operands), size, own)


def backward(f: Measured, operands: Sequence[Any], xp: Any) -> Pass | None:
    """Return the rule of the first operand, as the walk calls it; `None` if it does nothing."""
    if f.rule is None:
        return None
    ans = f.primitive.op(*operands, **f.keywords)
    g = _uniform(xp, ans.shape, seed=7)
    rule = f.primitive.vjps[0]
    assert rule is not None
    saved = [(ans, *operands)[p] for p in rule.positions]
    pull = f.primitive.pull_of(type(g))[0]
    assert pull is not None
    own = pull is not rule.call and pull(g, *saved, **f.keywords) is not NotImplemented

    def run() -> Any:
        return pull(g, *saved, **f.keywords) if own else rule.run(g, saved, f.keywords)

    size = _bytes(g, *saved, run())
    written = f.rule
    return Pass(run, lambda: written(xp, g, ans, *operands), size, own)


def _uniform(xp: Any, shape: tuple[int, ...], seed: int) -> Any:
    """Return numbers from 0.1 to 1.1: in everybody's domain."""
    return xp.random.default_rng(seed).random(shape, dtype=xp.float32) + xp.float32(0.1)


class Clock:
    """Takes times on the GPU."""

    def __init__(self, xp: Any, elements: int) -> None:
        self._xp = xp
        self._source = xp.ones(elements, xp.float32)
        self._target = xp.empty(elements, xp.float32)
        self.size = 2 * self._source.nbytes

    def copy(self) -> None:
        """Copy as many elements on the device."""
        stream = self._xp.cuda.get_current_stream()
        source = self._source
        self._target.data.copy_from_device_async(source.data, source.nbytes, stream)

    def seconds(self, contenders: Mapping[str, Run], rounds: int) -> dict[str, list[float]]:
        """Return the times of each contender, in turns."""
        event, order = self._xp.cuda.Event, random.Random(0)
        times: dict[str, list[float]] = {name: [] for name in contenders}
        for run in contenders.values():
            run()  # compiles, and fills the pool
        for _ in range(rounds):
            marks = {}
            for name in order.sample(list(contenders), len(contenders)):
                for _ in range(LEAD):
                    self.copy()
                started, ended = event(), event()
                started.record()
                contenders[name]()
                ended.record()
                marks[name] = started, ended
            self._xp.cuda.runtime.deviceSynchronize()
            for name, (started, ended) in marks.items():
                elapsed = self._xp.cuda.get_elapsed_time(started, ended)
                times[name].append(elapsed / 1000)
        return times


# ----- the table ---------------------------------------------------------------------------------


def print_head() -> None:
    """Print the head of the table."""
    print(
        f"\n| {'':22} | {'least, us':>9} | {'median':>9} | {'TB/s':>5} | {'of copy':>7} |", end=""
    )
    print(f" {'CuPy, us':>9} | {'of copy':>7} |")
    print(f"|{'-' * 24}|{'-' * 10}:|{'-' * 10}:|{'-' * 6}:|{'-' * 8}:|", end="")
    print(f"{'-' * 10}:|{'-' * 8}:|")


def print_row(name: str, found: Pass, times: Mapping[str, Sequence[float]], copied: int) -> float:
    """Print a row; return the share of a copy's rate."""
    medians = {key: statistics.median(value) for key, value in times.items()}
    rate = copied / medians["copy"]
    share = found.size / medians["Backpass"] / rate
    theirs = found.size / medians["CuPy"] / rate
    least, median = min(times["Backpass"]) * 1e6, medians["Backpass"] * 1e6
    print(
        f"| {name:22} | {least:9.1f} | {median:9.1f} | {found.size / median / 1e6:5.2f} | "
        f"{share:7.0%} | {medians['CuPy'] * 1e6:9.1f} | {theirs:7.0%} |"
        + ("" if found.own else " no kernel: CuPy computes"),
        flush=True,
    )
    return share


def main() -> None:
    """Measure, print the table, and say what misses its target."""
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments.add_argument("--rounds", type=int, default=25)
    arguments.add_argument("--elements", type=int, default=ELEMENTS)
    arguments.add_argument("--only", nargs="+", default=[], help="functions, by their beginnings")
    options = arguments.parse_args()
    importlib.import_module("backpass.cupy")
    xp = importlib.import_module("cupy")
    special = importlib.import_module("cupyx.scipy.special")
    backend = backend_on("cuda")
    elements = options.elements // ROW * ROW
    print_gpu()
    clock = Clock(xp, elements)
    copies = clock.seconds({"copy": clock.copy}, options.rounds)["copy"]
    rate = clock.size / statistics.median(copies) / 1e12
    print(f"a copy of {elements:,} float32: {rate:.2f} TB/s")
    print_head()
    missed = []
    for f in functions():
        if options.only and not f.name.startswith(tuple(options.only)):
            continue
        shape = (elements // ROW, ROW) if f.keywords else (elements,)
        arrays = [_uniform(xp, shape, seed=i) for i in range(f.operands.count("x"))]
        operands = [arrays.pop() if x == "x" else x for x in f.operands]
        for kind in ("", ", rule"):
            made = backward(f, operands, xp) if kind else forward(f, operands, xp, special, backend)
            if made is None:
                print(f"| {f.name + kind:22} | the cotangent itself: nothing is launched")
                continue
            contenders = {"copy": clock.copy, "Backpass": made.run, "CuPy": made.cupy}
            times = clock.seconds(contenders, options.rounds)
            share = print_row(f.name + kind, made, times, clock.size)
            if f.bound and share < WANTED:
                missed.append(f"{f.name}{kind}: {share:.0%}, {WANTED:.0%} are wanted")
            del made, contenders
        del operands
        backend.empty_cache()
    print("\nmissed:" if missed else "\nnothing missed", *missed, sep="\n  ")


if __name__ == "__main__":
    with numpy.errstate(all="ignore"):
        main()
