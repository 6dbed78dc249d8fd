"""Functions of `scipy.optimize`."""

from functools import partial
from typing import Any

import numpy

from ..cases import Argument, Case, case

# Neither CuPy nor JAX has them with arguments that are differentiated, and Autograd has none.
# SciPy's differences come less near to a solution than derivatives do.
_case = partial(case, module="scipy.optimize", without="cupy jax autograd", rtol=1e-4, near=1e-5)

CLOSE = {"xtol": 1e-15, "ftol": 1e-15, "gtol": 1e-14}
POINTS = numpy.linspace(0.0, 1.0, 6)
DATA = numpy.array([1.0, 0.9, 0.6, 0.55, 0.4, 0.42])


def _coupled(x: Any, a: Any, b: Any) -> Any:
    return [x[0] + b[0] * x[1] ** 3 - a[0], x[1] - b[1] * x[0] - a[1] * x[1] ** 3 + 3]


def _bowl(x: Any, a: Any, c: Any) -> Any:
    return ((x - a) ** 2).sum() + c * (x**4).sum() + (x[0] * x[1] - 1) ** 2


def _decay(t: Any, height: Any, rate: Any) -> Any:
    return height * numpy.exp(-rate * t)


def _parabola(t: Any, bend: Any, height: Any) -> Any:
    # Linear in what is fitted, so that it is found at once, and differences can be trusted.
    return bend * t**2 + height


CASES: list[Case] = [
    _case(
        "root",
        lambda so, a, b: so.root(_coupled, [1.0, 1.0], (a, b), tol=1e-13).x,
        Argument((2,), 0.5, 1.5),
        Argument((2,), 0.2, 0.5),
    ),
    _case(
        "root_scalar",
        lambda so, a, b: (
            so.root_scalar(
                lambda x, p: x**3 + p["b"] * x - p["a"],
                ({"a": a, "b": b},),
                bracket=[0.0, 4.0],
                xtol=1e-14,
            ).root
        ),
        Argument((), 1.0, 2.0),
        Argument((), 0.5, 1.0),
    ),
    _case(
        "minimize",
        lambda so, a, c: so.minimize(_bowl, [1.0, 1.0], (a, c), method="BFGS", tol=1e-9).x,
        Argument((2,), 0.5, 2.0),
        Argument((), 0.5, 1.0),
    ),
    _case(
        "minimize",
        lambda so, a, low: (
            so.minimize(
                lambda x: _bowl(x, a, 0.5),
                [3.0, 1.0],
                bounds=[(low[0], None), (None, None)],
                constraints={"type": "eq", "fun": lambda x: x[0] + x[1] * x[1] - 4.0 * low[1]},
                method="SLSQP",
                options={"ftol": 1e-15},
            ).x
        ),
        Argument((2,), 0.5, 1.0),
        Argument((2,), 1.5, 2.0),
        label="bounds_and_constraints",
    ),
    _case(
        "minimize_scalar",
        lambda so, a: so.minimize_scalar(lambda x: x**4 + (x - a) ** 2, tol=1e-10).x,
        Argument((), 1.0, 2.0),
    ),
    _case(
        "least_squares",
        lambda so, y, rate: (
            so.least_squares(
                lambda x: _decay(POINTS, x[0], x[1] * rate) - y,
                [1.0, 1.0],
                xtol=1e-15,
                ftol=1e-15,
                gtol=1e-14,
            ).x
        ),
        Argument((6,), 0.5, 1.0),
        Argument((), 0.5, 1.0),
    ),
    _case(
        "curve_fit",
        lambda so, t, sigma: so.curve_fit(_parabola, POINTS + t, DATA, [1.0, 1.0], sigma)[0],
        Argument((6,), 0.0, 0.1),
        Argument((6,), 0.5, 1.0),
    ),
]
