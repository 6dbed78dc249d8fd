"""Integration, differentiable: plain arrays for plain arrays."""

from typing import Any as _Any

import backpass.scipy.integrate as _differentiable
from backpass.autograd.plain import plainly as _plainly
from backpass.autograd.plain import settled as _settled

cumulative_simpson = _plainly(_differentiable.cumulative_simpson)
cumulative_trapezoid = _plainly(_differentiable.cumulative_trapezoid)
dblquad = _plainly(_differentiable.dblquad)
odeint = _plainly(_differentiable.odeint)
quad = _plainly(_differentiable.quad)
quad_vec = _plainly(_differentiable.quad_vec)
simpson = _plainly(_differentiable.simpson)
trapezoid = _plainly(_differentiable.trapezoid)


def solve_ivp(*args: _Any, **kwargs: _Any) -> _Any:
    """Solve as the differentiable function does; what is not tracked is plain."""
    result = _differentiable.solve_ivp(*args, **kwargs)
    for name in ("t", "y", "t_events", "y_events"):
        if result[name] is not None:
            result[name] = _settled(result[name])
    if result.sol is not None:
        result.sol.finish = _settled
    return result


__all__ = [
    "cumulative_simpson",
    "cumulative_trapezoid",
    "dblquad",
    "odeint",
    "quad",
    "quad_vec",
    "simpson",
    "solve_ivp",
    "trapezoid",
]
