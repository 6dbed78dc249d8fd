"""A program for HIPS autograd: tanh and its first six derivatives."""

import numpy
import pytest
from numpy.polynomial import Polynomial

import backpass.autograd.numpy as np
from backpass.autograd import elementwise_grad, grad

POINTS = numpy.linspace(-4, 4, 33)


def tanh(x):
    y = np.exp(-2.0 * x)
    return (1.0 - y) / (1.0 + y)


def results():
    found = {}
    written, named = tanh, np.tanh
    for order in range(1, 7):
        written, named = elementwise_grad(written), elementwise_grad(named)
        found[f"written, {order}"] = written(POINTS)
        found[f"named, {order}"] = named(POINTS)
    scalar = tanh
    for order in range(1, 7):
        scalar = grad(scalar)
        found[f"scalar, {order}"] = scalar(0.7)
    return found


def derivative(order):
    """Give the derivative of tanh as a polynomial in its value: that of t is 1 - t**2."""
    t = Polynomial([0, 1])
    for _ in range(order):
        t = t.deriv() * Polynomial([1, 0, -1])
    return t


@pytest.mark.parametrize("order", range(1, 7))
def test_the_derivatives_are_polynomials_in_tanh(order):
    found = results()
    expected = derivative(order)(numpy.tanh(POINTS))
    numpy.testing.assert_allclose(found[f"named, {order}"], expected, atol=1e-10)
    numpy.testing.assert_allclose(found[f"written, {order}"], expected, atol=1e-9)
    numpy.testing.assert_allclose(
        found[f"scalar, {order}"], derivative(order)(numpy.tanh(0.7)), rtol=1e-9
    )


def test_the_sixth_derivative_has_its_zeros():
    """It is odd, and has six zeros: sign changes on a grid that avoids them."""
    values = results()["named, 6"]
    assert abs(values[16]) < 1e-12
    numpy.testing.assert_allclose(values, -values[::-1], atol=1e-10)
