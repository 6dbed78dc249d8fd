"""The normal distribution: plain arrays for plain arrays."""

from backpass.autograd.plain import plainly as _plainly
from backpass.scipy.stats import norm as _differentiable

cdf = _plainly(_differentiable.cdf)
logcdf = _plainly(_differentiable.logcdf)
logpdf = _plainly(_differentiable.logpdf)
logsf = _plainly(_differentiable.logsf)
pdf = _plainly(_differentiable.pdf)
sf = _plainly(_differentiable.sf)

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "sf"]
