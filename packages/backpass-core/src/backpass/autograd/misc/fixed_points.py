"""Fixed points, differentiated by the implicit function theorem rather than step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backpass.autograd.core import make_vjp
from backpass.autograd.primitives import defvjp, primitive
from backpass.autograd.vspaces import vspace

Function = Callable[..., Any]


@primitive
def fixed_point(
    f: Callable[[Any], Function], a: Any, x0: Any, distance: Callable[[Any, Any], Any], tol: float
) -> Any:
    """Return the x with x = f(a)(x) that iteration finds from x0; differentiable in a.

    With v the solution of v = g + v df/dx, itself a fixed point, v df/da flows back to a.  Nothing
    flows to x0.

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
    step = f(a)
    previous, x = x0, step(x0)
    while distance(x, previous) > tol:
        previous, x = x, step(x)
    return x


def _vjp(ans: Any, f: Any, a: Any, x0: Any, distance: Any, tol: Any) -> Function:
    space = vspace(ans)

    def adjoint(at: Any) -> Function:
        a, x, g = at
        pull_x, _ = make_vjp(f(a), x)
        return lambda v: space.add(g, pull_x(v))

    def pull(g: Any) -> Any:
        v = fixed_point(adjoint, (a, ans, g), space.zeros(), distance, tol)
        return make_vjp(lambda a: f(a)(ans), a)[0](v)

    return pull


defvjp(fixed_point, None, _vjp, None)

__all__ = ["fixed_point"]
