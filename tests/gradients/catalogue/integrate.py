"""Functions of `scipy.integrate`."""

from functools import partial
from typing import Any

import numpy

from ..cases import Argument, Case, case

# CuPy has no such function, JAX's is jax.experimental.ode's, and Autograd's has no second order.
_case = partial(case, module="scipy.integrate", without="cupy jax", rtol=1e-4)

#: The differences' error is that of the solver, divided by a small number.
CLOSE = {"rtol": 1e-13, "atol": 1e-13}
TIMES = [0.0, 0.4, 0.7, 1.2]


def _oscillator(y: Any, t: Any, stiffness: Any, damping: Any) -> Any:
    return [y[1], -stiffness * y[0] - damping * y[1] * t]


def _decay(y: Any, t: Any, rate: Any) -> Any:
    return -rate * y * y


#: What is sampled: the shape, the axis, and the shape of the coordinates.
SAMPLES: dict[str, tuple[tuple[int, ...], int, tuple[int, ...]]] = {
    "odd": ((5,), -1, (5,)),
    "even": ((2, 4), 1, (4,)),
    "axis": ((5, 2), 0, (5, 2)),
    "two": ((2,), -1, (2,)),
}
_samples = partial(case, module="scipy.integrate")


def _without(name: str, *more: str) -> str:
    """Return the libraries that lack one of the rules."""
    return " ".join(("autograd", *(["jax"] if name != "trapezoid" else []), *more))


CASES: list[Case] = [
    *(
        _samples(
            name,
            lambda si, y, x, name=name, axis=axis: getattr(si, name)(y, x=x.cumsum(0), axis=axis),
            shape,
            Argument(places, 0.5, 1.5),
            label=label,
            without=_without(name),
        )
        for name, labels in {
            "trapezoid": ("axis",),
            "simpson": ("odd", "even", "two"),
            "cumulative_trapezoid": ("even",),
            "cumulative_simpson": ("even", "axis"),
        }.items()
        for label in labels
        for shape, axis, places in [SAMPLES[label]]
    ),
    *(
        _samples(
            name,
            lambda si, y, dx, name=name: getattr(si, name)(y, dx=dx, axis=0),
            shape,
            Argument((), 0.4, 0.9, real=True),
            label=f"step_{shape[0]}",
            complex=name != "cumulative_simpson",
            without=_without(name),
        )
        for name, shape in (
            ("trapezoid", (3, 2)),
            ("simpson", (3, 2)),
            ("simpson", (4, 2)),
            ("cumulative_trapezoid", (3, 2)),
            ("cumulative_simpson", (4, 2)),
        )
    ),
    _samples(
        "cumulative_trapezoid",
        lambda si, y: si.cumulative_trapezoid(y, initial=0),
        (3,),
        label="initial",
        without="autograd jax",
    ),
    _samples(
        "cumulative_simpson",
        lambda si, y, start: si.cumulative_simpson(y, initial=start),
        (2, 4),
        (2, 1),
        label="initial",
        without="autograd jax",
    ),
    _case(
        "odeint",
        lambda si, y0, k, c: si.odeint(_oscillator, y0, TIMES, args=(k, c), **CLOSE),
        (2,),
        Argument((), 1.0, 2.0),
        Argument((), 0.2, 0.5),
    ),
    _case(
        "odeint",
        lambda si, y0, t: si.odeint(_decay, y0, numpy.array(TIMES) + 0.1 * t, args=(0.3,), **CLOSE),
        Argument((2,), 0.5, 1.5),
        Argument((4,), 0.0, 1.0),
        label="times",
    ),
    _case(
        "odeint",
        lambda si, y0, rate: si.odeint(lambda y, t: _decay(y, t, rate), y0, TIMES, **CLOSE),
        Argument((2,), 0.5, 1.5),
        Argument((2,), 0.5, 1.5),
        label="captured",
        without="cupy jax autograd",
    ),
    _case(
        "odeint",
        lambda si, y0, rate: si.odeint(
            lambda t, y, p: _decay(y, t, p["rate"]),
            y0,
            TIMES[::-1],
            args=({"rate": rate, "name": "decay"},),
            tfirst=True,
            **CLOSE,
        ),
        Argument((2,), 0.5, 1.0),
        Argument((2,), 0.1, 0.5),
        label="backwards_tree",
        without="cupy jax autograd",
    ),
    _case(
        "odeint",
        lambda si, y0: si.odeint(_decay, y0, TIMES[:1], args=(0.3,), **CLOSE),
        (2,),
        label="one_time",
    ),
    _case(
        "odeint",
        lambda si, y0: si.odeint(_decay, y0, TIMES, args=(0.3,), **CLOSE),
        Argument((), 0.5, 1.5),
        label="0d",
    ),
]
