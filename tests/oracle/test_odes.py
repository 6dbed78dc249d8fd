"""Gradients of solutions of differential equations, beside JAX's `odeint`."""

import numpy
import pytest

import backpass.numpy as np
from backpass.core import grad, jvp
from backpass.scipy.integrate import odeint, solve_ivp

jax = pytest.importorskip("jax", reason="JAX is not installed")
jax.config.update("jax_enable_x64", True)
import jax.experimental.ode  # noqa: E402

CLOSE = {"rtol": 1e-10, "atol": 1e-12}
TIMES = numpy.array([0.0, 0.4, 1.0, 1.7])
START = numpy.array([1.0, 0.5])
RATES = numpy.array([1.5, 1.0, 3.0, 1.0])
random = numpy.random.default_rng(0)
WEIGHTS = {"in": random.normal(size=(2, 5)), "out": random.normal(size=(5, 2))}


def predators(np, y, t, p):
    return np.stack([p[0] * y[0] - p[1] * y[0] * y[1], p[3] * y[0] * y[1] - p[2] * y[1] + 0.1 * t])


def network(np, y, t, p):
    return np.tanh(y @ p["in"] + t) @ p["out"]


PROBLEMS = {"predators": (predators, RATES), "network": (network, WEIGHTS)}


def theirs(field, y, t, p):
    run = jax.experimental.ode.odeint(lambda y, t, p: field(jax.numpy, y, t, p), y, t, p, **CLOSE)
    return jax.numpy.sum(jax.numpy.sin(run))


def ours(method, field, y, t, p):
    if method == "odeint":
        run = odeint(lambda y, t, p: field(np, y, t, p), y, t, (p,), **CLOSE)
    else:
        f = lambda s, y, p: field(np, y, s, p)  # noqa: E731
        run = solve_ivp(f, (t[0], 1.7), y, method, t, args=(p,), **CLOSE).y
    return np.sum(np.sin(run))


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("method", ["odeint", "RK45", "DOP853", "LSODA", "Radau"])
def test_jax_agrees(problem, method):
    field, p = PROBLEMS[problem]
    expected = jax.grad(lambda *a: theirs(field, *a), (0, 1, 2))(START, TIMES, p)
    # For solve_ivp the first time is the start and an answer, too.
    found = grad(lambda *a: ours(method, field, *a), (0, 1, 2))(START, TIMES, p)
    limits = {"rtol": 1e-5, "atol": 1e-6} if method == "Radau" else {"rtol": 1e-6, "atol": 1e-8}
    numpy.testing.assert_allclose(found[0], expected[0], **limits)
    numpy.testing.assert_allclose(found[1], expected[1], **limits)
    for a, b in zip(jax.tree.leaves(found[2]), jax.tree.leaves(expected[2])):
        numpy.testing.assert_allclose(a, b, **limits)
    direction = numpy.array([1.0, -2.0])
    tangent = jvp(lambda y: ours(method, field, y, TIMES, p), (START,), (direction,))[1]
    numpy.testing.assert_allclose(tangent, found[0] @ direction, rtol=1e-6)
