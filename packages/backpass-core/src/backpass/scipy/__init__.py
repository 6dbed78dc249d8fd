"""SciPy's functions, differentiable: the same names, over Tensors.  Modules load on first use."""

from backpass.scipy import special

__all__ = ["special"]
