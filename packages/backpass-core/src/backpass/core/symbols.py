"""Formulas: what a rule computes, run on symbols instead of arrays.

`Expression` is the array type of a backend of its own, whose kernels write down what they are
asked to compute.  So a rule needs nothing special to be shown to a learner or to be made into a
kernel.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy

from backpass.core.backends import Backend, register

_INFIX = {
    "add": ("+", 1),
    "subtract": ("-", 1),
    "multiply": ("*", 2),
    "divide": ("/", 2),
    "matmul": ("@", 2),
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

    `str()` gives it as Python; `name`, `operands` and `keywords` let other languages be written
    from it.
    """

    __slots__ = ("keywords", "name", "operands")
    __array_priority__ = 2000
    shape = ()

    def __init__(self, name: str, /, *operands: Any, **keywords: Any) -> None:
        self.name = name
        self.operands = operands
        self.keywords = keywords

    def __str__(self) -> str:
        return self._text(-1)

    def _text(self, outer: int) -> str:
        if not self.operands:
            return f"({self.name})" if self.name.startswith("-") and outer > 2 else self.name
        parts = [x if isinstance(x, Expression) else Expression(_number(x)) for x in self.operands]
        if self.name in _INFIX:
            sign, rank = _INFIX[self.name]
            left = parts[0]._text(rank + (self.name == "power"))
            # a * (b @ c) is not (a * b) @ c, though both signs are of one rank.
            apart = self.name in ("subtract", "divide", "matmul") or parts[1].name == "matmul"
            right = parts[1]._text(rank + apart)
            text = f"{left} {sign} {right}"
            return f"({text})" if rank < outer else text
        if self.name == "negative":
            text = f"-{parts[0]._text(3)}"
            return f"({text})" if outer > 2 else text
        if self.name == "transpose" and _reverses(self.keywords.get("axes")):
            return f"{parts[0]._text(5)}.T"
        if self.name == "getitem":
            return f"{parts[0]._text(5)}[{_index(self.keywords['index'])}]"
        named = [f"{key}={keyword_text(value)}" for key, value in self.keywords.items()]
        return f"{self.name}({', '.join([*map(str, parts), *named])})"

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


def keyword_text(value: Any) -> str:
    """Return a keyword's value as Python, or so that a reader knows what it is."""
    if isinstance(value, tuple):
        inner = [keyword_text(part) for part in value]
        return f"({', '.join(inner)}{',' if len(inner) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(keyword_text, value))}]"
    if isinstance(value, type):
        return value.__name__
    if isinstance(value, numpy.dtype) or value is Ellipsis:
        return "..." if value is Ellipsis else str(value)
    if getattr(value, "shape", ()):
        if value.size <= _SHORT and isinstance(value, numpy.ndarray):
            return repr(value.tolist())
        return f"<{' x '.join(map(str, value.shape))} {value.dtype}>"
    return _number(value)


def _reverses(axes: Any) -> bool:
    """Tell whether a transposition reverses the axes."""
    return axes is None or list(axes) == list(range(len(axes)))[::-1]


def _index(index: Any) -> str:
    """Return an index as it stands in brackets: `0`, `1:, ::2`."""
    if isinstance(index, tuple) and index:
        return ", ".join(map(_index, index))
    if isinstance(index, slice):
        start, stop, step = (
            "" if i is None else str(i) for i in (index.start, index.stop, index.step)
        )
        return f"{start}:{stop}" + (f":{step}" if step else "")
    return "..." if index is Ellipsis else keyword_text(index)


#: Arrays among the keywords are written out up to so many elements.
_SHORT = 8


class _Writers(Mapping[str, Callable[..., Any]]):
    """A kernel for every name: one that writes the call down."""

    def __getitem__(self, name: str) -> Callable[..., Any]:
        if name.endswith((".vjp", ".vjp0", ".vjp1")):
            raise KeyError(name)
        return functools.partial(Expression, name)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


SYMBOLIC = Backend(
    "symbols", (Expression,), types.ModuleType("symbols"), kernels=_Writers(), device="symbols"
)
register(SYMBOLIC)
