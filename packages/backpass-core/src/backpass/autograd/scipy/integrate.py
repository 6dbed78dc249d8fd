"""Integration, differentiable: plain arrays for plain arrays."""

import backpass.scipy.integrate as _differentiable
from backpass.autograd.plain import plainly as _plainly

cumulative_simpson = _plainly(_differentiable.cumulative_simpson)
cumulative_trapezoid = _plainly(_differentiable.cumulative_trapezoid)
odeint = _plainly(_differentiable.odeint)
simpson = _plainly(_differentiable.simpson)
trapezoid = _plainly(_differentiable.trapezoid)

__all__ = [
    "cumulative_simpson",
    "cumulative_trapezoid",
    "odeint",
    "simpson",
    "trapezoid",
]
