"""Fourier transforms behind CuPy's rules."""

import numpy.fft

import cupy

for _name in """
fft fft2 fftfreq fftn fftshift hfft ifft ifft2 ifftn ifftshift ihfft irfft irfft2 irfftn rfft
rfft2 rfftfreq rfftn
""".split():
    globals()[_name] = cupy._passing(getattr(numpy.fft, _name))
