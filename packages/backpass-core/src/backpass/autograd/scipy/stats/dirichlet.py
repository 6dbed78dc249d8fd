"""The Dirichlet distribution: plain arrays for plain arrays."""

from backpass.autograd.plain import plainly as _plainly
from backpass.scipy.stats import dirichlet as _differentiable

logpdf = _plainly(_differentiable.logpdf)
pdf = _plainly(_differentiable.pdf)

__all__ = ["logpdf", "pdf"]
