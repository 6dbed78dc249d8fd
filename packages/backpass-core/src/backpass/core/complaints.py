"""Errors of array libraries, in the words of their backends."""

from __future__ import annotations

import functools
from collections.abc import Callable
from types import FunctionType
from typing import Any, NoReturn, TypeVar

from backpass.core.operators import operators

Function = TypeVar("Function", bound=Callable[..., Any])
Class = TypeVar("Class")


def complain(error: Exception) -> NoReturn:
    """Raise an error, in better words where a backend has them."""
    better = operators.explain(error)
    if better is None:
        raise error
    raise better from error


def explaining(function: Function) -> Function:
    """Let a function raise its errors in better words, where a backend has them."""

    @functools.wraps(function)
    def explained(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception as error:
            complain(error)

    return explained  # type: ignore[return-value]


def explaining_methods(cls: type[Class]) -> type[Class]:
    """Let the public methods of a class raise their errors in the backends' words."""
    for name, method in list(vars(cls).items()):
        if isinstance(method, FunctionType) and not name.startswith("_"):
            setattr(cls, name, explaining(method))
    return cls
