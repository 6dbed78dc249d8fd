"""Integration, differentiable: plain arrays for plain arrays."""

import backpass.scipy.integrate as _differentiable
from backpass.autograd.plain import plainly as _plainly

odeint = _plainly(_differentiable.odeint)

__all__ = [
    "odeint",
]
