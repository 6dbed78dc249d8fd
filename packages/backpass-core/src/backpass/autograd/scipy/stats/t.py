"""Student's t distribution: plain arrays for plain arrays."""

from backpass.autograd.plain import plainly as _plainly
from backpass.scipy.stats import t as _differentiable

cdf = _plainly(_differentiable.cdf)
logcdf = _plainly(_differentiable.logcdf)
logpdf = _plainly(_differentiable.logpdf)
pdf = _plainly(_differentiable.pdf)

__all__ = ["cdf", "logcdf", "logpdf", "pdf"]
