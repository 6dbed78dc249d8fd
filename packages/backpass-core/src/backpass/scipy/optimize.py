"""Roots, minima and fits, differentiable by the implicit function theorem.

Examples
--------
>>> import backpass.numpy as np
>>> from backpass.core import grad
>>> from backpass.scipy.optimize import minimize
>>> def nearest(p):
...     return minimize(lambda x: np.sum((x - p) ** 2) + np.sum(x**4), [0.0, 0.0], tol=1e-10).x
>>> np.round(grad(lambda p: np.sum(nearest(p)))(np.array([3.0, 0.0])), 6)
Tensor([0.142857, 1.      ])
"""

from backpass.core.ops.implicit.fitting import curve_fit, least_squares
from backpass.core.ops.implicit.minimising import minimize, minimize_scalar
from backpass.core.ops.implicit.roots import root, root_scalar

__all__ = ["curve_fit", "least_squares", "minimize", "minimize_scalar", "root", "root_scalar"]
