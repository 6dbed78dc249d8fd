"""General constraints of a minimum: lower <= c(x) <= upper."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy

from backpass.core.ops.implicit import calling
from backpass.core.ops.implicit.roots import automatic_jacobian
from backpass.core.tensor import Tensor

Function = Callable[..., Any]

NAME = "minimize"


class Constraint:
    """One of SciPy's constraints, in any of its forms.

    Parameters
    ----------
    given
        A dict with `type`, `fun` and perhaps `jac` and `args`, a `LinearConstraint` or a
        `NonlinearConstraint`.

    Attributes
    ----------
    args
        What its function depends on besides x: a tree with Tensors in it.
    lower, upper
        Numbers or arrays.
    """

    def __init__(self, given: Any) -> None:
        self.given = given
        self.args: tuple[Any, ...] = ()
        if isinstance(given, dict):
            kind = str(given.get("type")).lower()
            if kind not in ("eq", "ineq") or not callable(given.get("fun")):
                raise ValueError(
                    f"{NAME}: a constraint must be a dict with type 'eq' or 'ineq' and a function "
                    f"fun, not {given!r}"
                )
            self.fun: Function = given["fun"]
            self.args = calling.as_args(given.get("args", ()))
            self.lower, self.upper = 0.0, 0.0 if kind == "eq" else numpy.inf
            return
        self.lower, self.upper = given.lb, given.ub
        if hasattr(given, "A"):
            matrix = given.A.toarray() if hasattr(given.A, "toarray") else given.A
            matrix = numpy.atleast_2d(matrix)
            self.fun = lambda x: Tensor(matrix) @ x
        else:
            self.fun = given.fun

    def values(self, x: Any, args: Any) -> Any:
        """Return c(x) as a vector."""
        return calling.vector(self.fun(x, *args), self.fun, NAME)

    def for_scipy(self, x: Any) -> Any:
        """Return it with functions of arrays in it, and with a Jacobian where it has none."""
        given = self.given
        if isinstance(given, dict):
            made = {k: v for k, v in given.items() if k != "args"}
            made["fun"] = calling.plainly(self.fun, self.args, NAME)
            if callable(given.get("jac")):
                made["jac"] = calling.plainly(given["jac"], self.args, NAME)
            elif given.get("jac") is None:
                made["jac"] = automatic_jacobian(NAME, self.values, self.args, x)
            return {k: v for k, v in made.items() if v is not None}
        if hasattr(given, "A"):
            return given
        made = copy.copy(given)
        for name in ("fun", "jac"):
            if callable(getattr(given, name)):
                setattr(made, name, calling.plainly(getattr(given, name), (), NAME))
        return made

    def ends(self, count: int) -> tuple[Any, Any]:
        """Return the lower and the upper ends as arrays of that many numbers."""
        return tuple(  # type: ignore[return-value]
            numpy.broadcast_to(numpy.asarray(end, float), (count,))
            for end in (self.lower, self.upper)
        )


def constraints_of(given: Any) -> list[Constraint]:
    """Return SciPy's `constraints`, one or several of them."""
    several = given if isinstance(given, list | tuple) else [given]
    return [Constraint(c) for c in several]
