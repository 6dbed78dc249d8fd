"""The multivariate normal distribution: plain arrays for plain arrays."""

from backpass.autograd.plain import plainly as _plainly
from backpass.scipy.stats import multivariate_normal as _differentiable

entropy = _plainly(_differentiable.entropy)
logpdf = _plainly(_differentiable.logpdf)
pdf = _plainly(_differentiable.pdf)

__all__ = ["entropy", "logpdf", "pdf"]
