"""Distributions, differentiable in x and in each of their parameters, on every device.

Examples
--------
>>> import backpass.numpy as np
>>> from backpass.core import grad
>>> from backpass.scipy.stats import chi2, norm
>>> grad(lambda loc: norm.logpdf(np.array([1.0, 2.0]), loc).sum())(0.0)
np.float64(3.0)
>>> print(f"{grad(lambda df: chi2.logpdf(2.0, df))(2.5):.4f}")
0.1137
"""

from backpass.core.ops.stats import beta as _beta
from backpass.core.ops.stats import dirichlet as _dirichlet
from backpass.core.ops.stats import gamma as _gamma
from backpass.core.ops.stats import multivariate_normal as _multivariate_normal
from backpass.core.ops.stats import norm as _norm
from backpass.core.ops.stats import poisson as _poisson
from backpass.core.ops.stats import student as _student

norm = _norm.norm()
t = _student.t()
beta = _beta.beta()
gamma = _gamma.gamma()
chi2 = _gamma.chi2()
poisson = _poisson.poisson()
dirichlet = _dirichlet.dirichlet()
multivariate_normal = _multivariate_normal.multivariate_normal()

__all__ = [
    "beta",
    "chi2",
    "dirichlet",
    "gamma",
    "multivariate_normal",
    "norm",
    "poisson",
    "t",
]
