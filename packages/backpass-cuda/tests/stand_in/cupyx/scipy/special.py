"""SciPy's functions behind CuPy's rules."""

import cupy
import scipy.special

erf, erfc, expit = (cupy._Ufunc(getattr(scipy.special, n)) for n in ("erf", "erfc", "expit"))
