"""Discrete Fourier transforms, differentiable: plain arrays for plain arrays."""

import numpy as _numpy

import backpass.numpy.fft as _differentiable
from backpass.autograd.plain import plainly as _plainly

fft = _plainly(_differentiable.fft, _numpy.fft.fft)
fft2 = _plainly(_differentiable.fft2, _numpy.fft.fft2)
fftfreq = _plainly(_differentiable.fftfreq, _numpy.fft.fftfreq)
fftn = _plainly(_differentiable.fftn, _numpy.fft.fftn)
fftshift = _plainly(_differentiable.fftshift, _numpy.fft.fftshift)
hfft = _plainly(_differentiable.hfft, _numpy.fft.hfft)
ifft = _plainly(_differentiable.ifft, _numpy.fft.ifft)
ifft2 = _plainly(_differentiable.ifft2, _numpy.fft.ifft2)
ifftn = _plainly(_differentiable.ifftn, _numpy.fft.ifftn)
ifftshift = _plainly(_differentiable.ifftshift, _numpy.fft.ifftshift)
ihfft = _plainly(_differentiable.ihfft, _numpy.fft.ihfft)
irfft = _plainly(_differentiable.irfft, _numpy.fft.irfft)
irfft2 = _plainly(_differentiable.irfft2, _numpy.fft.irfft2)
irfftn = _plainly(_differentiable.irfftn, _numpy.fft.irfftn)
rfft = _plainly(_differentiable.rfft, _numpy.fft.rfft)
rfft2 = _plainly(_differentiable.rfft2, _numpy.fft.rfft2)
rfftfreq = _plainly(_differentiable.rfftfreq, _numpy.fft.rfftfreq)
rfftn = _plainly(_differentiable.rfftn, _numpy.fft.rfftn)

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
