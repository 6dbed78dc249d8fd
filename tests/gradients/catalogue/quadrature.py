"""Integrals of functions."""

from functools import partial
from typing import Any

import numpy

from ..cases import Argument, Case, case

_case = partial(case, module="scipy.integrate", without="cupy jax autograd", rtol=1e-4)

#: Makes SciPy's Python floats strong: in single precision an integrand is but noise to it.
ONE = numpy.float64(1.0)


def _wave(x: Any, p: Any) -> Any:
    return numpy.exp(-p * (ONE * x)) * numpy.sin(x)


def _bell(x: Any, p: Any) -> Any:
    return numpy.exp(-p[0] * (ONE * x - p[1]) ** 2)


def _ripple(y: Any, x: Any, p: Any) -> Any:
    return numpy.exp(-p * (ONE * x * y))


def _line(x: Any) -> Any:
    return 1.0 - x / 4


CASES: list[Case] = [
    _case(
        "quad",
        lambda si, a, b, p: si.quad(_wave, a, b, (p,), epsabs=1e-12, epsrel=1e-12)[0],
        Argument((), 0.1, 0.4),
        Argument((), 1.0, 2.0),
        Argument((), 0.5, 1.5),
    ),
    _case(
        "quad",
        lambda si, p: si.quad(lambda x: _bell(x, p), -numpy.inf, numpy.inf, epsabs=1e-12)[0],
        Argument((2,), 0.5, 1.5),
        label="infinite",
    ),
    _case(
        "quad",
        lambda si, a, p: si.quad(_wave, a, 2.0, (p,), weight="cos", wvar=3.0, epsabs=1e-12)[0],
        Argument((), 0.1, 0.4),
        Argument((), 0.5, 1.5),
        label="weight",
    ),
    _case(
        "quad_vec",
        lambda si, b, p: si.quad_vec(lambda x: _wave(x, p), 0.0, b, epsrel=1e-12)[0],
        Argument((), 1.0, 2.0),
        Argument((3,), 0.5, 1.5),
    ),
    _case(
        "dblquad",
        lambda si, b, p: si.dblquad(_ripple, 0, b, 0, _line, (p,))[0],
        Argument((), 1.0, 2.0),
        Argument((), 0.5, 1.5),
        order=1,
    ),
]
