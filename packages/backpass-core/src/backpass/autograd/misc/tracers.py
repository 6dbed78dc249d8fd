"""Functions whose graph is always the same.

HIPS autograd records such a function once and replays the record.  Here a call is recorded anew
each time, which gives the same numbers; `full_graph`, which shows a record, has no counterpart.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

Function = Callable[..., Any]


def const_graph(fun: Function, *args: Any, **kwargs: Any) -> Function:
    """Return `fun` with its first arguments, and keywords, given.

    Examples
    --------
    >>> from backpass.autograd import grad
    >>> grad(const_graph(pow, 3.0))(0.0) == grad(lambda x: 3.0**x)(0.0)
    np.True_
    """

    @functools.wraps(fun)
    def constant(*rest: Any) -> Any:
        return fun(*args, *rest, **kwargs)

    return constant


def const_graph_unary(fun: Function) -> Function:
    """Return a function of one argument as it is."""
    return fun


__all__ = ["const_graph", "const_graph_unary"]
