"""Feeds every compiled kernel what nobody would: the program that `test_fuzz.py` runs.

    python tests/fuzzing.py [--seed 0] [--count 1000] [--kernel NAME]

A case is made from its seed alone; where one fails or crashes, its seed is printed, and
`--seed N --count 1` repeats it.  Operands lie between pages that may not be touched, at the end or
at the beginning of pages that may not be written; what lies between their elements is nan.

A kernel must return NotImplemented, raise a proper exception, or compute what its primitive's own
function or rule does without kernels.  It must leave its operands and their reference counts alone,
and give back what it has taken from the pool.
"""

from __future__ import annotations

import argparse
import ctypes
import faulthandler
import functools
import importlib
import mmap
import os
import random
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy

from backpass.core.backends import NUMPY
from backpass.core.extension import cpu as EXTENSION

# The folder is no package of its own, and an installed one of that name must not come first.
sys.modules.setdefault("tests", ModuleType("tests")).__path__ = [str(Path(__file__).parent)]
kernels = importlib.import_module("tests.test_kernels")
networks = importlib.import_module("tests.network")
calling = importlib.import_module("tests.network.calling")
PRIMITIVES, UPDATES, Kernel = kernels.PRIMITIVES, kernels.UPDATES, kernels.Kernel
agrees, special, wider = kernels.agrees, kernels.special, kernels.wider

PAGE = mmap.PAGESIZE
#: Near zero their result is the difference of larger numbers, which are rounded.
CANCELLING = frozenset({"logaddexp", "logaddexp2"})
#: Kernels that write into their operands.
IN_PLACE = UPDATES


# ----- memory between guards ----------------------------------------------------------------------


def _protect() -> Callable[[int, int, int], None]:
    try:
        found = ctypes.CDLL(None, use_errno=True).mprotect
    except (AttributeError, OSError):
        return lambda address, size, rights: None  # no guards: a nan between elements still tells
    found.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)

    def protect(address: int, size: int, rights: int) -> None:
        if found(address, size, rights):
            raise OSError(ctypes.get_errno(), "mprotect")

    return protect


protect = _protect()
NOTHING, READ, BOTH = 0, 1, 3


class Arena:
    """Pages between two that may not be touched."""

    def __init__(self, size: int) -> None:
        self.size = -(-max(size, 1) // PAGE) * PAGE
        self.memory = mmap.mmap(-1, self.size + 2 * PAGE)
        self.bytes = numpy.frombuffer(self.memory, numpy.uint8)[PAGE : PAGE + self.size]
        self.address = self.bytes.ctypes.data
        protect(self.address - PAGE, PAGE, NOTHING)
        protect(self.address + self.size, PAGE, NOTHING)
        self.busy = False

    def rights(self, rights: int) -> None:
        """Let the pages be read only, or written."""
        protect(self.address, self.size, rights)


class Arenas:
    """Arenas that are used again."""

    def __init__(self) -> None:
        self.all: list[Arena] = []

    def get(self, size: int) -> Arena:
        """Return one that is free, poisoned and writable."""
        fits = [a for a in self.all if not a.busy and size <= a.size <= 4 * size + 2 * PAGE]
        arena = fits[0] if fits else Arena(size)
        if not fits:
            self.all.append(arena)
        arena.rights(BOTH)
        arena.bytes[:] = 0xFF
        arena.busy = True
        return arena

    def release(self) -> None:
        """Take all back, before the next case."""
        for arena in self.all:
            arena.busy = False

    def rights(self, rights: int) -> None:
        """Set those of all that are out."""
        for arena in self.all:
            if arena.busy:
                arena.rights(rights)


ARENAS = Arenas()


class Sub(numpy.ndarray):
    """An array that computes in a way of its own."""


# ----- what a case is made of ---------------------------------------------------------------------


class Case:
    """Choices that follow from a seed."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.numbers = numpy.random.default_rng(seed)
        self.arrays: list[Any] = []

    def one_of(self, *choices: Any) -> Any:
        return self.rng.choice(choices)

    def shape(self, most: int = 4) -> tuple[int, ...]:
        """Return a shape, mostly small, sometimes with a length of 0 or 1, sometimes large."""
        kind = self.rng.random()
        if kind < 0.05:
            return ()
        if kind < 0.09:
            return (self.rng.randint(1, 60_000),)
        if kind < 0.13:
            return (self.rng.randint(1, 300), self.rng.randint(1, 300))
        ndim = self.rng.randint(1, most) if kind < 0.97 else self.rng.randint(5, 9)
        lengths = (0, 1, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33) if ndim < 5 else (1, 2, 3)
        return tuple(self.rng.choice(lengths) for _ in range(ndim))

    def values(self, shape: tuple[int, ...], dtype: Any, odd: bool) -> Any:
        """Return numbers about 1, or with the numbers where kernels err among them."""
        x = self.numbers.uniform(-2, 2, shape).astype(dtype)
        if odd and dtype in ("float32", "float64"):
            strange = self.numbers.choice(special(dtype), shape)
            x = numpy.where(self.numbers.random(shape) < 0.2, strange, x)
        return x

    def laid_out(self, values: Any, *, misaligned: bool = False, spread: bool = True) -> Any:
        """Return the values in guarded memory: in any order, with gaps, backwards.

        Unless `spread` is false, some are in the place of others, as one that is spread.
        """
        ndim, itemsize = values.ndim, values.dtype.itemsize
        order = list(range(ndim))
        if self.rng.random() < 0.4:
            self.rng.shuffle(order)
        strides = [0] * ndim
        step = itemsize
        for d in reversed(order):
            if self.rng.random() < 0.15:
                step *= self.rng.choice((2, 3, 5))
            strides[d] = step
            if spread and values.shape[d] > 1 and self.rng.random() < 0.06:
                strides[d] = 0
                values = numpy.broadcast_to(values.take([0], d), values.shape)
            elif values.shape[d] == 1 and self.rng.random() < 0.3:
                strides[d] = self.rng.choice((0, 1 << 40, -(1 << 40), 8, 24))
            else:
                step *= max(values.shape[d], 1)
        if step > 1 << 23:
            return self.laid_out(values, spread=spread)
        backwards = [d for d in range(ndim) if self.rng.random() < 0.12]
        for d in backwards:
            strides[d] = -strides[d]
        ends = [(n - 1) * s for n, s in zip(values.shape, strides, strict=True) if n > 0]
        low, high = sum(e for e in ends if e < 0), sum(e for e in ends if e > 0) + itemsize
        shift = self.rng.randint(1, itemsize - 1) if misaligned and itemsize > 1 else 0
        arena = ARENAS.get(high - low + shift)
        if values.size == 0:
            low, high = 0, 0
        start = (
            PAGE - low + (shift or (arena.size - (high - low) if self.rng.random() < 0.7 else 0))
        )
        whole = numpy.frombuffer(arena.memory, numpy.uint8)
        x: Any = numpy.lib.stride_tricks.as_strided(
            numpy.ndarray((), values.dtype, whole, start), values.shape, strides
        )
        x[...] = values
        if self.rng.random() < 0.5:
            x.flags.writeable = False
        self.arrays.append(x)
        return x

    def array(self, shape: tuple[int, ...], dtype: Any, odd: bool = False) -> Any:
        """Return an array of a shape; a scalar for the empty one."""
        x = self.laid_out(self.values(shape, dtype, odd))
        return x if x.ndim or self.rng.random() < 0.2 else x[()]

    def broadcasting(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return a shape that broadcasts to another one."""
        if self.rng.random() < 0.5:
            return shape
        cut = shape[self.rng.randint(0, len(shape)) :]
        return tuple(1 if self.rng.random() < 0.3 else n for n in cut)

    def anything(self) -> Any:
        """Return an operand that makes sense or does not."""
        kind = self.rng.random()
        if kind < 0.6:
            return self.array(self.shape(3), self.one_of("float32", "float64"), odd=True)
        if kind < 0.75:
            dtype = self.one_of(
                "int64", "int32", "bool", "float16", "complex64", "complex128", ">f8", ">f4",
                "longdouble", "uint8", "M8[s]", "U3",
            )  # fmt: skip
            shape = self.shape(3)
            whole = self.numbers.integers(0, 3, shape)
            return self.laid_out(numpy.asarray(whole).astype(dtype))
        if kind < 0.8:
            x = self.values(self.shape(2), self.one_of("float32", "float64"), False)
            return self.laid_out(numpy.asarray(x), misaligned=True)
        if kind < 0.84:
            return numpy.array(self.values((3, 4), "float64", False)).view(self.one_of(Sub))
        if kind < 0.87 and self.arrays:
            x = self.rng.choice(self.arrays)  # overlapping operands
            return x if x.ndim == 0 else x[self.one_of(slice(None), slice(1, None), slice(0, -1))]
        return self.one_of(
            None, True, 0, 1, -1, 2.5, 1e300, -0.0, float("nan"), 10**400, 1j, "x", b"x", (), [],
            [1.0, 2.0], (0, 1), {}, object(), NotImplemented, int, numpy.float32(2),
            numpy.float64(-1), numpy.int64(3), numpy.bool_(True), numpy.longdouble(1),
            numpy.array(1.5), numpy.array([None, 1.5]), numpy.ma.array([1.0, 2.0]),
            numpy.zeros(3, [("a", "f4"), ("b", "f8")]), numpy.zeros((), "f4"), slice(None),
        )  # fmt: skip

    def keyword(self, name: str, ndim: int) -> Any:
        """Return a keyword's value: mostly one that makes sense."""
        if self.rng.random() < 0.1:
            return self.anything()
        axis = self.rng.randint(-ndim, ndim - 1) if ndim else 0
        if name == "axis":
            several = tuple(self.rng.sample(range(-ndim, ndim), self.rng.randint(0, ndim)))
            wrong = self.one_of(ndim, -ndim - 1, 1 << 40, 10**30, numpy.int64(0), True, (0, 0))
            return self.one_of(axis, axis, axis, None, several, several, wrong)
        if name in ("shape", "newshape"):
            return self.one_of(self.shape(3), -1, (2, -1), (-1, -1), (1 << 40, 1 << 40), ())
        if name == "axes":
            return tuple(self.rng.sample(range(ndim), ndim))
        if name in ("dtype", "where", "initial", "out"):
            return None
        return self.one_of(True, False, 0, 1, -1, 2, None, 1.5, axis)


# ----- running ------------------------------------------------------------------------------------

KERNELS: dict[str, Any] = {} if EXTENSION is None else EXTENSION.KERNELS


class Wrong(AssertionError):
    """A kernel did what it must not."""


def guarded(call: Callable[[], Any], operands: tuple[Any, ...], *, writes: bool = False) -> Any:
    """Return a call's result or its exception, with every check of its manners."""
    assert EXTENSION is not None
    # Small numbers, types and NotImplemented are everybody's.
    own = [x for x in operands if isinstance(x, numpy.ndarray)]
    counts = [sys.getrefcount(x) for x in own]
    in_use = EXTENSION.memory_stats()["in_use"]
    if not writes:
        ARENAS.rights(READ)
    try:
        found = call()
    except Exception as error:
        if isinstance(error, SystemError):
            raise Wrong(f"{error!r}") from error
        found = error.with_traceback(None)
    finally:
        ARENAS.rights(BOTH)
    if isinstance(found, Exception) or found is NotImplemented:
        if EXTENSION.memory_stats()["in_use"] != in_use:
            raise Wrong("memory that was taken is not given back")
        if [sys.getrefcount(x) for x in own] != counts:
            raise Wrong("the reference counts of the operands have changed")
    return found


def raw(case: Case, name: str) -> None:
    """Call a kernel with anything at all."""
    writes = name in IN_PLACE
    operands = tuple(case.anything() for _ in range(case.rng.randint(0, 6 if writes else 4)))
    names = ("axis", "keepdims", "shape", "learning_rate", "momentum", "ddof", "nonsense")
    chosen = case.rng.sample(names, case.rng.choice((0, 0, 0, 1, 1, 2, 3)))
    keywords = {k: case.keyword(k, case.rng.randint(0, 3)) for k in chosen}
    before = [x.copy() for x in case.arrays]
    found = guarded(lambda: KERNELS[name](*operands, **keywords), operands, writes=writes)
    if found is NotImplemented or isinstance(found, Exception):
        for x, old in zip(case.arrays, before, strict=True):
            if x.tobytes() != old.tobytes():
                raise Wrong("operands were written before the kernel declined")


def ndim_of(operands: list[Any]) -> int:
    return max((numpy.ndim(x) for x in operands if isinstance(x, numpy.ndarray)), default=0)


def operands_for(case: Case, kernel: Any) -> list[Any]:
    """Return operands of a call that might make sense."""
    dtype = case.one_of("float32", "float64")
    shape = case.shape()
    variadic = kernel.primitive.variadic
    count = case.rng.randint(1, 4) if variadic else kernel.count
    if kernel.kind == "product":
        m, k, n = (case.rng.choice((0, 1, 2, 3, 8, 17, 33, 64, 130)) for _ in range(3))
        stack = case.one_of((), (), (2,), (3, 2))
        left = case.one_of((k,), (m, k), (m, k), (*stack, m, k))
        right = case.one_of((k,), (k, n), (k, n), (*stack, k, n))
        return [case.array(s, dtype) for s in (left, right)]
    made: list[Any] = []
    odd = kernel.kind in ("unary", "binary")
    for _ in range(count):
        kind = case.rng.random()
        if kind < 0.06:
            made.append(case.anything())
        elif kind < 0.15 and made:
            made.append(case.one_of(2.0, -1, 0, 0.5, numpy.float32(1.5), numpy.float64(2)))
        else:
            own = dtype if case.rng.random() < 0.95 else case.one_of("float32", "float64", "int64")
            made.append(case.array(case.broadcasting(shape) if count > 1 else shape, own, odd))
    return made


def sensible(case: Case, name: str) -> None:
    """Call a kernel as a program might, and compare."""
    kernel = Kernel(NUMPY, name)
    operands = operands_for(case, kernel)
    keywords = {}
    for k in kernel.keywords:
        if case.rng.random() < 0.6:
            keywords[k] = case.keyword(k, ndim_of(operands))
    keywords = {k: v for k, v in keywords.items() if v is not None}
    try:
        with warnings.catch_warnings(), numpy.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            ans = kernel.primitive.reference(NUMPY)(*operands, **keywords)
    except Exception:
        if kernel.rule is None:
            found = guarded(lambda: kernel.call(*operands, **keywords), tuple(operands))
            if found is not NotImplemented and not isinstance(found, Exception):
                raise Wrong("it computes where the reference refuses") from None
        return
    if kernel.rule is not None:
        if not isinstance(ans, numpy.ndarray | numpy.generic) or ans.dtype.kind != "f":
            return
        g = case.array(ans.shape, ans.dtype.name, kernel.kind in ("unary", "binary"))
        operands = [g, *operands]
    try:
        right = kernel.reference(*operands, **keywords)
    except Exception:
        return
    called = tuple(operands)
    saved = called
    if kernel.rule is not None:
        with numpy.errstate(all="ignore"):
            saved = (called[0], *kernel.saved(*called[1:], **keywords))
    found = guarded(lambda: kernel.call(*saved, **keywords), saved)
    if found is NotImplemented:
        return
    if isinstance(found, Exception):
        raise Wrong(f"it raises {found!r} where the reference computes")
    compare(kernel, list(called), keywords, found, right)


@functools.cache
def family_of(name: str) -> Any:
    """Return the family that has cases of a network's kernel."""
    random = numpy.random.default_rng(0)
    for family in networks.FAMILIES:
        if any(case.name == name for case in family.cases(random)):
            return family
    raise Wrong(f"no family in tests/network has a case for {name}")


def of_a_network(case: Case, name: str) -> None:
    """Call a network's kernel as its family says, but laid out anyhow; sometimes with nonsense."""
    made = [c for c in family_of(name).cases(case.numbers) if c.name == name and "cpu" in c.on]
    call = calling.Call(NUMPY, case.rng.choice(made), case.one_of("float32", "float64"))
    given, keywords = call.arguments()

    def placed(x: Any) -> Any:
        return case.laid_out(x, spread=False) if isinstance(x, numpy.ndarray) else x

    operands = [calling.each(placed, x) if isinstance(x, tuple) else placed(x) for x in given]
    nonsense = case.rng.random()
    if nonsense < 0.2:
        operands[case.rng.randrange(len(operands))] = case.anything()
    elif nonsense < 0.3 and keywords:
        keywords[case.rng.choice(list(keywords))] = case.anything()
    found = guarded(lambda: KERNELS[name](*operands, **keywords), tuple(operands))
    if nonsense < 0.3 or found is NotImplemented:
        return
    if isinstance(found, Exception):
        raise Wrong(f"it raises {found!r} where the reference computes")
    call.check(found)


def ordinary(x: Any) -> bool:
    """Tell whether an operand's numbers are finite and their squares, too."""
    if not isinstance(x, numpy.ndarray | numpy.generic) or x.dtype.kind != "f":
        return True
    with numpy.errstate(all="ignore"):
        return bool(numpy.isfinite(x * x * x.size).all())


def folded(x: Any, shape: tuple[int, ...]) -> Any:
    """Return a rule's result, summed over what its operand was broadcast over."""
    x = numpy.asarray(x)
    if x.ndim < len(shape):
        return x
    x = x.sum(tuple(range(x.ndim - len(shape))))
    return x.sum(tuple(d for d, n in enumerate(shape) if n == 1), keepdims=True)


def compare(kernel: Any, called: list[Any], keywords: Any, found: Any, right: Any) -> None:
    """Compare with the reference: closely where each element is computed by itself."""
    if kernel.kind in ("unary", "binary"):
        elementwise(kernel, called, keywords, found, right)
        return
    if not all(map(ordinary, called)):
        return  # what overflows in a sum depends on its order
    size = max([1, *(numpy.size(x) for x in called)])
    spread = kernel.name == "std.vjp" and numpy.size(called[1])
    if spread and (numpy.ptp(called[1], axis=keywords.get("axis")) == 0).any():
        return  # the quotient of two roundings
    if kernel.base == "sorted_order":  # equal numbers may come in any order
        found, right = (
            numpy.take_along_axis(called[0], i, keywords["axis"]) for i in (found, right)
        )
    if kernel.rule is not None:
        index = int(kernel.suffix.removeprefix("vjp") or 0)
        shape = numpy.shape(called[1 + index])
        found, right = folded(found, shape), folded(right, shape)
    several = isinstance(right, tuple | list)
    pairs = list(zip(found, right, strict=True)) if several else [(found, right)]
    for one, other in pairs:
        mine, theirs = numpy.asarray(one), numpy.asarray(other)
        if kernel.rule is None and (mine.shape, mine.dtype) != (theirs.shape, theirs.dtype):
            raise Wrong(f"{mine.dtype} {mine.shape}, the reference {theirs.dtype} {theirs.shape}")
        mine, theirs = numpy.broadcast_arrays(mine, theirs)
        if mine.dtype.kind not in "fc":
            same = mine == theirs
        else:
            near = 64 * numpy.finfo(mine.dtype).eps * size**0.5
            with numpy.errstate(all="ignore"):
                same = abs(mine - theirs) <= near * (4 + abs(theirs))
                same |= (mine == theirs) | (numpy.isnan(mine) & numpy.isnan(theirs))
        report(mine, theirs, same)


def elementwise(kernel: Any, called: list[Any], keywords: Any, found: Any, right: Any) -> None:
    """Compare each number; where the reference errs, the kernel may err as much."""
    mine, theirs = numpy.asarray(found), numpy.asarray(right)
    if kernel.rule is None and (mine.shape, mine.dtype) != (theirs.shape, theirs.dtype):
        raise Wrong(f"{mine.dtype} {mine.shape}, the reference {theirs.dtype} {theirs.shape}")
    scale: Any = 0.0
    if kernel.rule is not None:
        scale = abs(numpy.asarray(called[0]))
    elif kernel.base in CANCELLING:
        with numpy.errstate(all="ignore"):
            scale = numpy.fmax(*(abs(numpy.asarray(x)) for x in called))
            scale = numpy.where(numpy.isfinite(scale), scale, 0)
    mine, theirs = numpy.broadcast_arrays(mine, theirs)
    same = agrees(mine, theirs, scale)
    if not same.all():
        with numpy.errstate(all="ignore"):
            better = numpy.asarray(kernel.reference(*map(wider, called), **keywords))
            best = numpy.broadcast_to(better.astype(mine.dtype), mine.shape)
            same |= agrees(mine, best, scale) | (abs(mine - best) <= 4 * abs(theirs - best))
    report(mine, theirs, same)


def report(mine: Any, theirs: Any, same: Any) -> None:
    """Raise `Wrong` with the first numbers that differ."""
    wrong = ~numpy.broadcast_to(same, mine.shape)
    if wrong.any():
        places = [tuple(map(int, i)) for i in numpy.argwhere(wrong)[:4]]
        raise Wrong(f"{mine[wrong][:4]}, the reference {theirs[wrong][:4]}, at {places}")


def described(x: Any) -> str:
    """Return an operand in words."""
    if isinstance(x, numpy.ndarray) and x.size > 6:
        flags = "".join(c for c, on in (("W", x.flags.writeable), ("A", x.flags.aligned)) if on)
        return f"{type(x).__name__}({x.dtype}, {x.shape}, strides {x.strides}, {flags})"
    return repr(x)


def run(seed: int, names: list[str]) -> str:
    """Run one case; return the kernel's name."""
    assert EXTENSION is not None
    case = Case(seed)
    name = case.rng.choice(names)
    EXTENSION.set_num_threads(case.rng.choice((1, 2, 3)))
    known = name.partition(".")[0] in PRIMITIVES and name not in IN_PLACE
    try:
        if not known or case.rng.random() < 0.3:
            raw(case, name)
        elif Kernel(NUMPY, name).kind == "network":
            of_a_network(case, name)
        else:
            sensible(case, name)
    except AssertionError as error:
        operands = "; ".join(described(x) for x in case.arrays)
        raise Wrong(f"seed {seed}, {name}: {error}\n  of {operands}") from error
    finally:
        case.arrays.clear()
        ARENAS.release()
    return name


def main() -> int:
    """Run many cases; a file descriptor hears of each before it begins."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--kernel", action="append")
    parser.add_argument("--log", type=Path, help="where the seed of the running case is written")
    options = parser.parse_args()
    faulthandler.enable()
    warnings.simplefilter("ignore")
    names = sorted(options.kernel or KERNELS)
    if not names:
        print("backpass.cpu is not loaded: there are no kernels")
        return 2
    log = os.open(options.log or os.devnull, os.O_WRONLY | os.O_CREAT)
    wrong = 0
    reached = set()
    for seed in range(options.seed, options.seed + options.count):
        os.pwrite(log, b"%-20d" % seed, 0)
        try:
            reached.add(run(seed, names))
        except Wrong as error:
            print(error, flush=True)
            wrong += 1
            if wrong >= 20:
                break
    print(f"{options.count} cases of {len(reached)} kernels, {wrong} wrong")
    return min(wrong, 1)


if __name__ == "__main__":
    sys.exit(main())
