"""Kernels of the networks' activations and of their rules, from their own definitions.

An activation is written in `backpass.nn.functional` as operations on arrays.  Run on symbols, as
its derivative is, it gives the formula of a kernel: so nothing is written twice, and all is one
launch.  Keywords become constants of the formula.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any

from backpass.core.primitive import Primitive
from backpass.core.rules import derivative_on_symbols
from backpass.core.signatures import parameters
from backpass.core.symbols import Expression
from backpass.cupy.elementwise import Elementwise, Program
from backpass.cupy.formulas import call, statements

_MODULES = ("backpass.nn.functional.activations", "backpass.nn.functional.normalization")
_NAMES = (
    "relu leaky_relu hardtanh hardsigmoid hardswish elu celu selu gelu silu mish softplus softsign"
)
#: Of several operands: a rule for each.
_SEVERAL = {"prelu": 2, "shift_scale": 4}
#: More sets of keywords than a program has.
_MOST = 256


@functools.cache
def _primitive(name: str) -> Primitive:
    found = [p for module in _MODULES for p in vars(importlib.import_module(module)).values()]
    return next(p for p in found if isinstance(p, Primitive) and p.name == name)


class Activation:
    """A kernel of the table: of an activation, or of its rule in an operand.

    Parameters
    ----------
    name
        The name of the primitive, or of its rule.
    """

    __slots__ = ("_made", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        #: By the keywords of the call.
        self._made: dict[Any, Elementwise] = {}

    def __repr__(self) -> str:
        return f"<CUDA kernel {self.name}>"

    def __call__(self, *xs: Any, **keywords: Any) -> Any:
        """Compute; `NotImplemented` for what is left to CuPy, or to the rule."""
        key = tuple(keywords.items()) if keywords else ()
        try:
            kernel = self._made.get(key)
        except TypeError:  # what cannot be looked up is no number
            return NotImplemented
        if kernel is None:
            if any(type(value) not in (int, float, str) for value in keywords.values()):
                return NotImplemented
            if len(self._made) >= _MOST:
                self._made.clear()
            program = functools.partial(self._program, keywords)
            kernel = self._made[key] = Elementwise(self.name, program)
        return kernel(*xs)

    def _program(self, keywords: Mapping[str, Any]) -> Program:
        base, _, suffix = self.name.partition(".")
        primitive = _primitive(base)
        if not suffix:
            operands = primitive.parameters
            assert primitive.function is not None
            formula = primitive.function(None, *map(Expression, operands), **keywords)
            return Program(operands, lambda computed: statements(formula, computed, "d"))
        which = int(suffix.removeprefix("vjp") or 0)
        slope, derivative = (
            derivative_on_symbols(primitive, which, keywords),
            primitive.derivatives[which],
        )
        assert slope is not None
        assert derivative is not None

        def lines(computed: str) -> list[str]:
            # The strong zero: that of the cotangent, or of a derivative that chooses.
            zero, factor = ("slope", "g") if primitive.selects else ("g", "slope")
            product = call("zero_multiply", computed, zero, factor)
            return [*statements(slope, computed, "slope"), f"const T d = {product};"]

        return Program(("g", *parameters(derivative).positional), lines)


KERNELS: dict[str, Callable[..., Any]] = {
    **{name: Activation(name) for base in _NAMES.split() for name in (base, f"{base}.vjp")},
    **{base: Activation(base) for base in _SEVERAL},
    **{
        f"{base}.vjp{i}": Activation(f"{base}.vjp{i}")
        for base, count in _SEVERAL.items()
        for i in range(count)
    },
}
