"""A program for HIPS autograd: parameters of a differential equation, from its solution."""

import functools

import numpy

import backpass.autograd.numpy as np
from backpass.autograd import grad, jacobian
from backpass.autograd.builtins import tuple
from backpass.autograd.scipy.integrate import odeint

TIMES = numpy.linspace(0.0, 3.0, 7)
START = numpy.array([1.0, 0.0])


def oscillator(y, t, frequency):
    return np.array([y[1], -(frequency**2) * y[0]])


def solved(start, frequency):
    return odeint(oscillator, start, TIMES, tuple((frequency,)), rtol=1e-10, atol=1e-10)


def stepped(start, frequency, steps=100):
    """Solve by the classical Runge-Kutta method, to the last time."""
    y, h = start, TIMES[-1] / steps
    for i in range(steps):
        t = i * h
        k1 = oscillator(y, t, frequency)
        k2 = oscillator(y + 0.5 * h * k1, t + 0.5 * h, frequency)
        k3 = oscillator(y + 0.5 * h * k2, t + 0.5 * h, frequency)
        k4 = oscillator(y + h * k3, t + h, frequency)
        y = y + (h / 6) * (k1 + 2 * k2 + 2 * k3 + k4)
    return y


def positions(frequency):
    return solved(START, frequency)[:, 0]


def misfit(frequency, observed):
    return 0.5 * np.sum((positions(frequency) - observed) ** 2)


@functools.cache
def results():
    observed = numpy.cos(1.3 * TIMES)
    frequency = 1.1
    for _ in range(6):
        slope, change = grad(misfit)(frequency, observed), jacobian(positions)(frequency)
        frequency = frequency - slope / np.sum(change**2)
    return {
        "by frequency": grad(lambda w: solved(START, w)[-1, 0])(1.3),
        "by start": grad(lambda y: solved(y, 1.3)[-1, 0])(START),
        "all by frequency": jacobian(positions)(1.3),
        "stepped": jacobian(lambda w: stepped(START, w))(1.3),
        "estimate": frequency,
    }


def test_the_derivatives_are_those_of_the_cosine():
    found = results()
    t, w = TIMES, 1.3
    numpy.testing.assert_allclose(found["by frequency"], -t[-1] * numpy.sin(w * t[-1]), rtol=1e-6)
    numpy.testing.assert_allclose(
        found["by start"], [numpy.cos(w * t[-1]), numpy.sin(w * t[-1]) / w], rtol=1e-6
    )
    numpy.testing.assert_allclose(found["all by frequency"], -t * numpy.sin(w * t), atol=1e-6)


def test_step_by_step_they_are_the_same():
    found = results()
    t, w = TIMES[-1], 1.3
    velocity = -numpy.sin(w * t) - w * t * numpy.cos(w * t)
    expected = [-t * numpy.sin(w * t), velocity]
    numpy.testing.assert_allclose(found["stepped"], expected, rtol=1e-6)


def test_fitting_finds_the_frequency():
    numpy.testing.assert_allclose(results()["estimate"], 1.3, rtol=1e-7)
