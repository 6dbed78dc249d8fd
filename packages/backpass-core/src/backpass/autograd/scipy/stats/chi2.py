"""The chi-squared distribution: plain arrays for plain arrays."""

from backpass.autograd.plain import plainly as _plainly
from backpass.scipy.stats import chi2 as _differentiable

cdf = _plainly(_differentiable.cdf)
logpdf = _plainly(_differentiable.logpdf)
pdf = _plainly(_differentiable.pdf)

__all__ = ["cdf", "logpdf", "pdf"]
