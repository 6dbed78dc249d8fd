"""Distributions of `scipy.stats`."""

from functools import partial
from typing import Any

import numpy

from ..cases import Argument, Case, case

_case = partial(case, module="scipy.stats")

#: Distribution: its methods, where x lies, and the intervals of its shape parameters.
CONTINUOUS: dict[str, tuple[str, tuple[float, float], list[tuple[float, float]]]] = {
    "norm": ("pdf cdf sf logpdf logcdf logsf", (-2.0, 2.0), []),
    "t": ("pdf cdf logpdf logcdf", (-2.0, 2.0), [(1.5, 4.0)]),
    "gamma": ("pdf cdf logpdf", (0.4, 2.5), [(1.2, 3.0)]),
    "chi2": ("pdf cdf logpdf", (0.4, 2.5), [(1.2, 5.0)]),
    "beta": ("pdf cdf logpdf", (0.2, 0.8), [(1.2, 3.0), (0.6, 2.0)]),
}
LOC, SCALE = (-0.15, 0.1), (1.1, 1.4)


def _method(name: str, method: str) -> Any:
    return lambda st, x, *parameters: getattr(getattr(st, name), method)(x, *parameters)


def _named(name: str, method: str) -> Any:
    """Return a call with location and scale by keyword."""
    return lambda st, x, *ps: getattr(getattr(st, name), method)(
        x, *ps[:-2], loc=ps[-2], scale=ps[-1]
    )


def _with_numbers(call: Any, parameters: tuple[float, ...], st: Any, x: Any) -> Any:
    return call(st, x, *parameters)


def _arguments(shapes: list[tuple[int, ...]], intervals: list[Any]) -> list[Argument]:
    return [Argument(shape, *interval) for shape, interval in zip(shapes, intervals)]


def _calls(name: str) -> list[Case]:
    methods, where, shape_parameters = CONTINUOUS[name]
    short = [where, *shape_parameters]
    every = [*short, LOC, SCALE]
    made = []
    for method in methods.split():
        new: Any = partial(_case, f"{name}.{method}")
        call = _method(name, method)
        made += [
            new(call, *_arguments([(2, 3)] + [()] * 4, short)),
            new(
                partial(_with_numbers, call, (2.5, 1.5)[: len(shape_parameters)]),
                Argument((5,), *where),
                label="numbers",
            ),
            new(call, *_arguments([()] * 5, short), label="0d"),
            new(call, *_arguments([(2, 0)] + [()] * 4, short), label="empty"),
            new(call, *_arguments([(2, 3)] + [()] * 4, every), label="loc_scale"),
            new(
                _named(name, method),
                *_arguments([(2, 1)] + [(3,)] * 4, every),
                label="broadcast",
            ),
        ]
    return made


def _normal(method: str, **keywords: Any) -> Any:
    """Return a call whose covariance is positive definite whatever its factor is."""
    return lambda st, x, mean, a: getattr(st.multivariate_normal, method)(
        x, mean, a @ a.T, **keywords
    )


FACTOR = Argument((3, 5))
CASES: list[Case] = [
    *(c for name in CONTINUOUS for c in _calls(name)),
    *(
        _case(
            f"poisson.{method}",
            lambda st, mu, method=method, k=k: getattr(st.poisson, method)(k, mu),
            Argument((3,), 0.5, 4.0),
            label=f"{k}",
        )
        for method in ("pmf", "logpmf", "cdf")
        for k in (0, 3)
    ),
    *(
        _case(
            f"poisson.{method}",
            lambda st, mu, method=method: getattr(st.poisson, method)(
                numpy.array([[1], [4]]), mu, loc=1
            ),
            Argument((3,), 0.5, 4.0),
            label="loc",
            without="cupy",
        )
        for method in ("pmf", "logpmf", "cdf")
    ),
    *(
        _case(
            f"dirichlet.{method}",
            lambda st, x, alpha, method=method: getattr(st.dirichlet, method)(x, alpha),
            Argument(shape, 0.25, 0.45),
            Argument((3,), 0.5, 3.0),
            label=label,
        )
        for method in ("pdf", "logpdf")
        for label, shape in {"": (2,), "points": (2, 3), "one_column": (2, 1)}.items()
    ),
    *(
        _case(f"multivariate_normal.{method}", _normal(method), shape, (3,), FACTOR, label=label)
        for method in ("pdf", "logpdf")
        for label, shape in {"": (3,), "points": (4, 3), "grid": (2, 2, 3)}.items()
    ),
    _case(
        "multivariate_normal.logpdf",
        _normal("logpdf", allow_singular=True),
        (3,),
        (3,),
        FACTOR,
        label="allow_singular",
    ),
    *(
        _case(
            f"multivariate_normal.{method}",
            lambda st, x, mean, cov, method=method: getattr(st.multivariate_normal, method)(
                x, mean, cov
            ),
            Argument(shape),
            Argument(mean),
            Argument(cov, 0.5, 1.5),
            label=label,
        )
        for method in ("pdf", "logpdf")
        for label, shape, mean, cov in (
            ("variance", (2, 3), (3,), ()),
            ("variances", (2, 3), (3,), (3,)),
            ("numbers", (4,), (), ()),
        )
    ),
    _case(
        "multivariate_normal.logpdf",
        lambda st, x: st.multivariate_normal.logpdf(x),
        (3,),
        label="standard",
        without="jax autograd",
    ),
    _case(
        "multivariate_normal.entropy",
        lambda st, a: st.multivariate_normal.entropy(cov=a @ a.T),
        FACTOR,
        without="autograd",
    ),
]

LIMITS: dict[str, dict[str, str]] = {
    "autograd": {
        f"chi2.{method}-numbers": "its derivative is 0" for method in ("pdf", "logpdf", "cdf")
    },
    "jax": {
        **{
            c.id: "it has no second derivative of gammainc in a"
            for c in CASES
            if c.name in ("gamma.cdf", "chi2.cdf") and c.label != "numbers"
        },
        **{
            c.id: "it has no derivative of betainc in a and b"
            for c in CASES
            if c.name == "beta.cdf"
        },
        "multivariate_normal.pdf-numbers": "it takes no numbers as points",
        "multivariate_normal.logpdf-numbers": "it takes no numbers as points",
        "multivariate_normal.pdf-variances": "it takes no vector of variances",
        "multivariate_normal.logpdf-variances": "it takes no vector of variances",
        "multivariate_normal.logpdf-allow_singular": "it has no singular covariance",
        "dirichlet.pdf-one_column": "it keeps the column's axis",
        "dirichlet.logpdf-one_column": "it keeps the column's axis",
    },
}
