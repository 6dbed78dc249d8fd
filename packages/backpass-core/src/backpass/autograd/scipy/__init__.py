"""SciPy's functions, differentiable: plain arrays for plain arrays, Tensors for tracked ones.

SciPy's own modules are imported when one of their functions is first used.
"""

from backpass.autograd.scipy import integrate, linalg, optimize, signal, special, stats

__all__ = ["integrate", "linalg", "optimize", "signal", "special", "stats"]
