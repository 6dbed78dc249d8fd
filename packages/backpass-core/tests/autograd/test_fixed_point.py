"""A program for HIPS autograd: fixed points, differentiated without their iterations."""

import numpy

import backpass.autograd.numpy as np
from backpass.autograd import grad, jacobian
from backpass.autograd.misc.fixed_points import fixed_point

random = numpy.random.default_rng(5)
COUPLING = 0.3 * random.standard_normal((4, 4))
DRIVE = random.standard_normal(4)


def distance(x, y):
    return np.sum(np.abs(x - y))


def newton(a):
    return lambda x: 0.5 * (x + a / x)


def root(a):
    return fixed_point(newton, a, 1.0, distance, 1e-13)


def network(params):
    coupling, drive = params
    return lambda x: np.tanh(np.dot(coupling, x) + drive)


def settled(coupling, drive):
    return fixed_point(network, (coupling, drive), np.zeros(4), distance, 1e-13)


def results():
    return {
        "root": root(2.0),
        "slope of the root": grad(root)(2.0),
        "curvature of the root": grad(grad(root))(2.0),
        "settled": settled(COUPLING, DRIVE),
        "by drive": jacobian(lambda b: settled(COUPLING, b))(DRIVE),
        "by coupling": grad(lambda a: np.sum(settled(a, DRIVE) ** 2))(COUPLING),
    }


def test_the_root_and_its_derivatives():
    found = results()
    numpy.testing.assert_allclose(found["root"], numpy.sqrt(2.0), rtol=1e-12)
    numpy.testing.assert_allclose(found["slope of the root"], 0.5 / numpy.sqrt(2.0), rtol=1e-11)
    numpy.testing.assert_allclose(
        found["curvature of the root"], -0.25 / numpy.sqrt(8.0), rtol=1e-9
    )


def test_a_network_obeys_the_implicit_function_theorem():
    found = results()
    x = found["settled"]
    numpy.testing.assert_allclose(x, numpy.tanh(COUPLING @ x + DRIVE), rtol=1e-11)
    gain = (1 - x**2)[:, None]
    by_drive = numpy.linalg.solve(numpy.eye(4) - gain * COUPLING, numpy.diag(gain[:, 0]))
    numpy.testing.assert_allclose(found["by drive"], by_drive, rtol=1e-9)
    by_coupling = numpy.outer(2 * x @ by_drive, x)
    numpy.testing.assert_allclose(found["by coupling"], by_coupling, rtol=1e-9)
