"""Calls a kernel, and its primitive's reference in a wider dtype, and compares them."""

import dataclasses
import importlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy

from backpass.core.backends import Backend
from backpass.core.primitive import Primitive, Rule

from ..gradients.places import primitives, without_kernels
from .case import Case

#: Units of the dtype's precision that a result may be off by, relative to its largest element:
#: kernels add in another order than the reference.
UNITS = 64


class Refused(AssertionError):
    """A kernel declined what it is made for."""


class Wrong(AssertionError):
    """A kernel computed something else."""


#: The smallest numbers: no result can be closer.
LEAST = {"float16": 2.0**-24, "bfloat16": 2.0**-133, "float32": 2.0**-149, "float64": 2.0**-1074}
#: The distance from 1 to the next number.
EPS = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-23, "float64": 2.0**-52}


def dtype_of(name: str) -> Any:
    """Return the dtype of that name; `bfloat16` is one of `ml_dtypes`."""
    if name == "bfloat16":
        return numpy.dtype(importlib.import_module("ml_dtypes").bfloat16)
    return numpy.dtype(name)


def is_float(x: Any) -> bool:
    """Tell whether `x` is an array, or a NumPy scalar, of floating type."""
    return isinstance(x, numpy.ndarray | numpy.generic) and x.dtype.name in EPS


def each(f: Callable[[Any], Any], found: Any) -> Any:
    """Apply a function to each array of a result."""
    if isinstance(found, tuple | list):
        return tuple(None if part is None else f(part) for part in found)
    return None if found is None else f(found)


class Call:
    """A case in a dtype, on a backend."""

    def __init__(self, backend: Backend, case: Case, dtype: str) -> None:
        self.backend, self.case, self.dtype = backend, case, dtype_of(dtype)
        base, _, suffix = case.name.partition(".")
        self.primitive: Primitive = {p.name: p for p in primitives()}[base]
        self.suffix = suffix
        #: As rounded to the dtype.
        self.operands = tuple(self._rounded(x) for x in case.operands)
        wide = tuple(self._wide(x) for x in self.operands)
        with numpy.errstate(all="ignore"), without_kernels() as bare:
            ans = self.primitive.reference(bare)(*wide, **case.keywords)
            self.right, self.saved = ans, ()
            if suffix:
                self._find_right(ans, wide)

    def _find_right(self, ans: Any, wide: tuple[Any, ...]) -> None:
        rule = self.rule
        given = self.case.cotangent
        if given is None:
            given = each(lambda part: numpy.ones(part.shape), ans)
        self.cotangent = each(self._rounded, given)
        saved = [(ans, *wide)[p] for p in rule.positions]
        keywords = dict(self.case.keywords)
        if rule is self.primitive.joint:
            keywords["needs"] = tuple(is_float(x) for x in self.operands)
        self.keywords = keywords
        self.right = rule.run(each(self._wide, self.cotangent), saved, keywords)
        if rule is self.primitive.joint:
            self.right = self._summed(self.right)
        # The output is what the kernel's own forward pass would have kept.
        own = each(self._rounded, ans)
        self.saved = tuple((own, *self.operands)[p] for p in rule.positions)

    @property
    def rule(self) -> Rule:
        """The rule that the kernel stands for."""
        if self.primitive.joint is not None:
            return self.primitive.joint
        rules = self.primitive.vjps
        if self.suffix == "vjp":
            return next(rule for rule in rules if rule is not None)
        found = rules[int(self.suffix.removeprefix("vjp"))]
        assert found is not None, self.case.name
        return found

    def _rounded(self, x: Any) -> Any:
        return x.astype(self.dtype) if is_float(x) else x

    def _wide(self, x: Any) -> Any:
        return x.astype(numpy.float64) if is_float(x) else x

    def _summed(self, parts: Any) -> Any:
        """Return the cotangents that are needed, each of its operand's shape.

        What a rule returns is un-broadcast centrally.
        """
        made = []
        for part, x, need in zip(parts, self.operands, self.keywords["needs"], strict=True):
            if need and part is not None:
                part = part.sum(tuple(range(part.ndim - x.ndim)))
                ones = tuple(d for d, n in enumerate(x.shape) if n == 1 and part.shape[d] != 1)
                part = part.sum(ones, keepdims=True)
            made.append(part if need else None)
        return tuple(made)

    def arguments(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return what the kernel is called with, as NumPy arrays."""
        if self.suffix:
            return (self.cotangent, *self.saved), self.keywords
        return self.operands, dict(self.case.keywords)

    def run(self, place: Callable[[Any], Any], *, main: bool = True) -> Any:
        """Call the kernel with arrays that `place` has laid out, and compare; return its result."""
        operands, keywords = self.arguments()
        put = [
            each(self._placed(place), x) if isinstance(x, tuple) else self._placed(place)(x)
            for x in operands
        ]
        kernel = self.backend.kernels[self.case.name]
        found = kernel(*put, **keywords)
        if found is NotImplemented:
            if main and self.case.main:
                raise Refused(f"{self.case!r} in {self.dtype}: the kernel declines")
            return found
        joint = self.suffix and self.rule is self.primitive.joint
        self.check(self._summed(found) if joint else found)
        return found

    def _placed(self, place: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def put(x: Any) -> Any:
            if not isinstance(x, numpy.ndarray):
                # There are no scalars on a GPU.
                if self.backend.device == "cpu" or not isinstance(x, numpy.generic):
                    return x
                x = numpy.asarray(x)
            return place(x if self.backend.device == "cpu" else self.backend.from_host(x))

        return put

    def check(self, found: Any) -> None:
        """Compare a kernel's result with the right one."""
        several = isinstance(self.right, tuple | list)
        if several != isinstance(found, tuple):
            raise Wrong(f"{self.case!r}: a result of type {type(found).__name__}")
        pairs = list(zip(found, self.right, strict=True)) if several else [(found, self.right)]
        for i, (mine, theirs) in enumerate(pairs):
            if mine is None or theirs is None:
                if not (mine is None and theirs is None):
                    raise Wrong(f"{self.case!r}: result {i} is {mine!r}, but should be {theirs!r}")
                continue
            self._check_one(i, numpy.asarray(self.backend.to_host(mine)), numpy.asarray(theirs))

    def _check_one(self, i: int, mine: Any, theirs: Any) -> None:
        where = f"{self.case!r} in {self.dtype}, result {i}"
        if mine.shape != theirs.shape:
            raise Wrong(f"{where}: shape {mine.shape}, but should be {theirs.shape}")
        if theirs.dtype.kind != "f":
            if not numpy.array_equal(mine, theirs):
                raise Wrong(f"{where}: {mine!r}, but should be {theirs!r}")
            return
        mine = mine.astype(numpy.float64)
        finite = numpy.isfinite(theirs)
        with numpy.errstate(all="ignore"):
            odd = (mine == theirs) | (numpy.isnan(mine) & numpy.isnan(theirs))
            if not odd[~finite].all():
                raise Wrong(f"{where}: what is not finite differs: {mine!r}, not {theirs!r}")
            scale = max(numpy.abs(theirs[finite]).max(initial=0.0), self.case.scale)
            allowed = UNITS * EPS[self.dtype.name] * scale + 4 * LEAST[self.dtype.name]
            off = numpy.abs(mine - theirs)[finite].max(initial=0.0)
        if not off <= allowed:
            raise Wrong(f"{where}: off by {off:.3g}, allowed are {allowed:.3g}")


# ----- layouts -----------------------------------------------------------------------------------


def _channels_last(x: Any) -> Any:
    """Return the array with its second axis the innermost in memory."""
    order = (0, *range(2, x.ndim), 1)
    return x.transpose(order).copy().transpose(tuple(numpy.argsort(order)))


def _spaced(x: Any) -> Any:
    """Return the array as every other element of a wider one."""
    wide = x[..., None].repeat(2, -1).reshape(*x.shape[:-1], 2 * x.shape[-1])
    return wide[..., ::2]


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "as made": lambda x: x,
    "channels last": lambda x: _channels_last(x) if x.ndim > 2 else x,
    "transposed": lambda x: x.T.copy().T,
    "spaced": lambda x: _spaced(x) if x.ndim else x,
    "backwards": lambda x: x[::-1].copy()[::-1] if x.ndim else x,
}


def combinations(call: Call) -> Iterator[tuple[str, Callable[[Any], Any]]]:
    """Yield layouts: of all operands alike, and mixed."""
    yield from LAYOUTS.items()
    layouts = itertools.cycle([LAYOUTS["as made"], LAYOUTS["channels last"], LAYOUTS["spaced"]])
    yield "mixed", lambda x: next(layouts)(x)


def variants(case: Case) -> Iterator[Case]:
    """Yield the case, and it again with numbers that are not finite among the operands."""
    yield case
    floats = [i for i, x in enumerate(case.operands) if is_float(x) and x.size > 2]
    for i in floats[:1]:
        x = case.operands[i].copy()
        x.reshape(-1)[[0, x.size // 2]] = numpy.nan, numpy.inf
        operands = (*case.operands[:i], x, *case.operands[i + 1 :])
        yield dataclasses.replace(case, operands=operands, main=False)
