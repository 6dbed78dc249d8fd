"""Signal processing, differentiable, on whichever device its operands lie.

Examples
--------
>>> import backpass.numpy as np
>>> from backpass.core import grad
>>> from backpass.scipy.signal import convolve
>>> grad(lambda x: np.sum(convolve(x, [1.0, 10.0], mode="valid")))(np.ones(3))
array([10., 11.,  1.])
"""

from backpass.core.ops.filters import convolve2d, lfilter
from backpass.core.ops.signal import convolve, correlate, fftconvolve

__all__ = ["convolve", "convolve2d", "correlate", "fftconvolve", "lfilter"]
