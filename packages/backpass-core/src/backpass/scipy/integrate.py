"""Integrals and solutions of ordinary differential equations, differentiable.

Examples
--------
>>> import backpass.numpy as np
>>> from backpass.core import grad
>>> from backpass.scipy.integrate import odeint
>>> def decayed(rate):
...     return odeint(lambda y, t: -rate * y, [1.0], [0.0, 2.0])[-1, 0]
>>> round(float(grad(decayed)(0.5)), 6), round(-2 * float(np.exp(-1.0)), 6)
(-0.735759, -0.735759)
"""

from backpass.core.ops.odes.odeint import odeint
from backpass.core.ops.odes.solve_ivp import solve_ivp
from backpass.core.ops.quadrature import dblquad, quad, quad_vec
from backpass.core.ops.sampled_integrals import (
    cumulative_simpson,
    cumulative_trapezoid,
    simpson,
    trapezoid,
)

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
