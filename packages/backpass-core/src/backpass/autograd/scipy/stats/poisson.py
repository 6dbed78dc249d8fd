"""The Poisson distribution: plain arrays for plain arrays."""

from backpass.autograd.plain import plainly as _plainly
from backpass.scipy.stats import poisson as _differentiable

cdf = _plainly(_differentiable.cdf)
logpmf = _plainly(_differentiable.logpmf)
pmf = _plainly(_differentiable.pmf)

__all__ = ["cdf", "logpmf", "pmf"]
