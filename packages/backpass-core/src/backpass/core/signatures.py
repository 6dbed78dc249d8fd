"""The names of a function's parameters, which are what a rule declares."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple


class Parameters(NamedTuple):
    """The names of the parameters, by kind."""

    positional: tuple[str, ...]
    keywords: tuple[str, ...]
    #: The name of `*xs`; empty without one.
    rest: str
    #: Whether there is a `**kwargs`.
    open: bool


def parameters(function: Callable[..., Any]) -> Parameters:
    """Read the parameters of a function.

    Some hundred rules are read when Backpass is imported, so those of plain functions come from
    their code, without the general machinery of `inspect`.

    Examples
    --------
    >>> parameters(lambda g, x, *xs, axis=None: g)
    Parameters(positional=('g', 'x'), keywords=('axis',), rest='xs', open=False)
    """
    code = getattr(function, "__code__", None)
    if code is None or hasattr(function, "__wrapped__") or hasattr(function, "__self__"):
        return _by_signature(function)
    count, keywords = code.co_argcount, code.co_kwonlyargcount
    names = code.co_varnames
    has_rest = bool(code.co_flags & inspect.CO_VARARGS)
    end = count + keywords
    return Parameters(
        names[:count],
        names[count:end],
        names[end] if has_rest else "",
        bool(code.co_flags & inspect.CO_VARKEYWORDS),
    )


def _by_signature(function: Callable[..., Any]) -> Parameters:
    kinds: dict[Any, list[str]] = {}
    for p in inspect.signature(function).parameters.values():
        kinds.setdefault(p.kind, []).append(p.name)
    kind = inspect.Parameter
    positional = kinds.get(kind.POSITIONAL_ONLY, []) + kinds.get(kind.POSITIONAL_OR_KEYWORD, [])
    return Parameters(
        tuple(positional),
        tuple(kinds.get(kind.KEYWORD_ONLY, [])),
        "".join(kinds.get(kind.VAR_POSITIONAL, [])),
        kind.VAR_KEYWORD in kinds,
    )
