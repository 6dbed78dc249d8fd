"""Discrete Fourier transforms, differentiable.

Examples
--------
>>> import backpass.numpy as np
>>> from backpass.core import grad
>>> grad(lambda x: np.sum(np.abs(np.fft.rfft(x)) ** 2))(np.array([1.0, 0.0, 0.0]))
array([4., 1., 1.])
"""

import numpy as _numpy
from backpass.core.ops.fft import Frequencies as _Frequencies
from backpass.core.ops.fft import (
    fft,
    fft2,
    fftn,
    fftshift,
    hfft,
    ifft,
    ifft2,
    ifftn,
    ifftshift,
    ihfft,
    irfft,
    irfft2,
    irfftn,
    rfft,
    rfft2,
    rfftn,
)

_made = _Frequencies(_numpy)
fftfreq, rfftfreq = _made.fftfreq, _made.rfftfreq

__all__ = [
    "fft",
    "fft2",
    "fftfreq",
    "fftn",
    "fftshift",
    "hfft",
    "ifft",
    "ifft2",
    "ifftn",
    "ifftshift",
    "ihfft",
    "irfft",
    "irfft2",
    "irfftn",
    "rfft",
    "rfft2",
    "rfftfreq",
    "rfftn",
]
