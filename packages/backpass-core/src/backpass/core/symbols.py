"""Formulas: what a rule computes, run on symbols instead of arrays.

`Expression` is the array type of a backend of its own, whose kernels write down what they are
asked to compute.  So a rule needs nothing special to be shown to a learner or to be made into a
kernel.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from backpass.core.backends import Backend, register

_INFIX = {
    "add": ("+", 1),
    "subtract": ("-", 1),
    "multiply": ("*", 2),
    "divide": ("/", 2),
    "power": ("**", 4),
    "less": ("<", 0),
    "less_equal": ("<=", 0),
    "greater": (">", 0),
    "greater_equal": (">=", 0),
    "equal": ("==", 0),
    "not_equal": ("!=", 0),
}


class Expression:
    """A formula: a name or number without operands, or a function's name with its operands.

    `str()` gives it as Python; `name` and `operands` let other languages be written from it.
    """

    __slots__ = ("name", "operands")
    __array_priority__ = 2000
    shape = ()

    def __init__(self, name: str, *operands: Any) -> None:
        self.name = name
        self.operands = operands

    def __str__(self) -> str:
        return self._text(-1)

    def _text(self, outer: int) -> str:
        if not self.operands:
            return self.name
        parts = [x if isinstance(x, Expression) else Expression(_number(x)) for x in self.operands]
        if self.name in _INFIX:
            sign, rank = _INFIX[self.name]
            left = parts[0]._text(rank + (self.name == "power"))
            right = parts[1]._text(rank + (self.name in ("subtract", "divide")))
            text = f"{left} {sign} {right}"
            return f"({text})" if rank < outer else text
        if self.name == "negative":
            text = f"-{parts[0]._text(3)}"
            return f"({text})" if outer > 2 else text
        return f"{self.name}({', '.join(str(p) for p in parts)})"

    __repr__ = __str__

    def __add__(self, other: Any) -> Expression:
        return Expression("add", self, other)

    def __radd__(self, other: Any) -> Expression:
        return Expression("add", other, self)

    def __sub__(self, other: Any) -> Expression:
        return Expression("subtract", self, other)

    def __rsub__(self, other: Any) -> Expression:
        return Expression("subtract", other, self)

    def __mul__(self, other: Any) -> Expression:
        return Expression("multiply", self, other)

    def __rmul__(self, other: Any) -> Expression:
        return Expression("multiply", other, self)

    def __truediv__(self, other: Any) -> Expression:
        return Expression("divide", self, other)

    def __rtruediv__(self, other: Any) -> Expression:
        return Expression("divide", other, self)

    def __pow__(self, other: Any) -> Expression:
        return Expression("power", self, other)

    def __rpow__(self, other: Any) -> Expression:
        return Expression("power", other, self)

    def __neg__(self) -> Expression:
        return Expression("negative", self)

    def __abs__(self) -> Expression:
        return Expression("absolute", self)

    def __lt__(self, other: Any) -> Expression:
        return Expression("less", self, other)

    def __le__(self, other: Any) -> Expression:
        return Expression("less_equal", self, other)

    def __gt__(self, other: Any) -> Expression:
        return Expression("greater", self, other)

    def __ge__(self, other: Any) -> Expression:
        return Expression("greater_equal", self, other)

    def __eq__(self, other: object) -> Any:
        return Expression("equal", self, other)

    def __ne__(self, other: object) -> Any:
        return Expression("not_equal", self, other)

    __hash__ = object.__hash__


def _number(x: Any) -> str:
    return repr(x.item() if hasattr(x, "item") else x)


class _Writers(Mapping[str, Callable[..., Any]]):
    """A kernel for every name: one that writes the call down."""

    def __getitem__(self, name: str) -> Callable[..., Any]:
        if name.endswith((".vjp", ".vjp0", ".vjp1")):
            raise KeyError(name)
        return lambda *operands, **_: Expression(name, *operands)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


SYMBOLIC = Backend(
    "symbols", (Expression,), types.ModuleType("symbols"), kernels=_Writers(), device="symbols"
)
register(SYMBOLIC)
