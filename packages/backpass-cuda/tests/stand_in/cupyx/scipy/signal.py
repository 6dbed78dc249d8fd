"""SciPy's functions behind CuPy's rules: those that CuPy has."""

import cupy
import scipy.signal

for _name in """
choose_conv_method convolve convolve2d correlate correlate2d fftconvolve lfilter oaconvolve
""".split():
    globals()[_name] = cupy._passing(getattr(scipy.signal, _name))
