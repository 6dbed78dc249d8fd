"""Fixed points, differentiated by the implicit function theorem rather than step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backpass.autograd.plain import getval, settled
from backpass.core import no_grad
from backpass.core.ops.implicit.fixed_point import fixed_point_equation
from backpass.core.ops.implicit.layout import Layout
from backpass.core.values import plain

Function = Callable[..., Any]


def fixed_point(
    f: Callable[[Any], Function], a: Any, x0: Any, distance: Callable[[Any, Any], Any], tol: float
) -> Any:
    """Return the x with x = f(a)(x) that iteration finds from x0; differentiable in a.

    With v the solution of v = g + v df/dx, v df/da flows back to a.  Nothing flows to x0.  New
    programs have `backpass.core.fixed_point`.

    Parameters
    ----------
    f
        `f(a)` is the function to iterate, a contraction near the fixed point.
    a
        What it depends on: a number, an array, or a tree of them.
    x0
        Where to begin.
    distance, tol
        The iteration ends when `distance(x, previous x)` is at most `tol`.

    Examples
    --------
    The square root of a by Newton's iteration:

    >>> from backpass.autograd import grad
    >>> def newton(a):
    ...     return lambda x: 0.5 * (x + a / x)
    >>> def root(a):
    ...     return fixed_point(newton, a, 1.0, lambda x, y: abs(x - y), 1e-12)
    >>> round(float(grad(root)(4.0)), 9)
    0.25
    """
    with no_grad():
        step = f(getval(a))
        x = getval(x0)
        previous, x = x, settled(step(x))
        while distance(x, previous) > tol:
            previous, x = x, settled(step(x))
    layout = Layout(x, "fixed_point")
    equation = fixed_point_equation(lambda x, a: f(a)(x), (a,), layout)
    return settled(layout.tree(equation.solution(plain(layout.vector(x)))))


__all__ = ["fixed_point"]
