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


def _falls(t: Any, y: Any, gravity: Any) -> Any:
    return [y[1], -gravity]


def _ground(t: Any, y: Any, gravity: Any) -> Any:
    return y[0] + 0.1 * t


_ground.terminal = True  # type: ignore[attr-defined]
_ground.direction = -1  # type: ignore[attr-defined]


def _turn(t: Any, y: Any, gravity: Any) -> Any:
    return y[1] - 0.1 * gravity


def _impact(si: Any, start: Any, gravity: Any) -> Any:
    found = si.solve_ivp(
        _falls, (0.0, 9.0), start, args=(gravity,), events=[_ground, _turn], **CLOSE
    )
    return found.t_events[0], found.y_events[1], found.y[:, -1]


# Autograd has no such function.
_ivp = partial(_case, "solve_ivp", without="cupy jax autograd")

CASES: list[Case] = [
    _ivp(
        lambda si, y0, k, ends: si.solve_ivp(
            lambda t, y, k: [y[1], -k * y[0] - 0.1 * y[1] * t],
            (0.1 * ends[0], 1 + 0.1 * ends[1]),
            y0,
            "DOP853",
            args=(k,),
            **CLOSE,
        ).y[:, -1],
        (2,),
        Argument((), 1.0, 2.0),
        Argument((2,), 0.0, 1.0),
        label="ends",
    ),
    _ivp(
        lambda si, y0, rate, t: (
            si.solve_ivp(
                lambda t, y: -rate * y * y,
                (0.0, 2.0),
                y0,
                "DOP853",
                numpy.array([0.4, 1.2]) + 0.1 * t,
                **CLOSE,
            ).y
        ),
        Argument((2,), 0.5, 1.5),
        Argument((2,), 0.5, 1.5),
        Argument((2,), 0.1, 1.0),
        label="times_captured",
    ),
    _ivp(_impact, Argument((2,), 1.0, 3.0), Argument((), 8.0, 10.0), label="events"),
    _ivp(
        lambda si, y0, k: (
            si.solve_ivp(
                lambda t, y, k: -k * y, (1.0, 0.2), y0, "LSODA", [0.7, 0.2], args=(k,), **CLOSE
            ).y
        ),
        Argument((1,), 0.5, 1.5),
        Argument((), 0.5, 1.5),
        label="backwards",
        order=1,
    ),
    _ivp(
        lambda si, y0, t: si.solve_ivp(
            lambda t, y: -t * y * y, (0.0, 1.5), y0, "DOP853", dense_output=True, **CLOSE
        ).sol(t),
        Argument((2,), 0.5, 1.5),
        Argument((2,), 0.1, 1.4),
        label="dense",
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
