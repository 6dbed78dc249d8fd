"""A program for HIPS autograd: logistic regression, by gradient descent and by Newton's method."""

import numpy

import backpass.autograd.numpy as np
from backpass.autograd import grad, hessian, value_and_grad

random = numpy.random.default_rng(1)
INPUTS = random.standard_normal((40, 3))
TARGETS = INPUTS @ numpy.array([1.0, -2.0, 0.5]) + 0.8 * random.standard_normal(40) > 0
PENALTY = 0.1


def logistic(x):
    return 0.5 * (np.tanh(0.5 * x) + 1)


def loss(weights):
    predicted = logistic(np.dot(INPUTS, weights))
    right = predicted * TARGETS + (1 - predicted) * (1 - TARGETS)
    return -np.sum(np.log(right)) + PENALTY * np.sum(weights**2)


def results():
    slope = grad(loss)
    weights = np.zeros(3)
    history = []
    for _ in range(100):
        value, g = value_and_grad(loss)(weights)
        history.append(value)
        weights = weights - 0.05 * g
    descended = weights
    for _ in range(8):
        weights = weights - np.linalg.solve(hessian(loss)(weights), slope(weights))
    return {
        "first gradient": slope(np.zeros(3)),
        "history": history,
        "descended": descended,
        "best": weights,
        "curvature": hessian(loss)(weights),
    }


def test_the_gradient_is_that_of_the_textbook():
    for weights in (numpy.zeros(3), numpy.array([0.3, -1.0, 2.0])):
        p = 1 / (1 + numpy.exp(-INPUTS @ weights))
        expected = INPUTS.T @ (p - TARGETS) + 2 * PENALTY * weights
        numpy.testing.assert_allclose(grad(loss)(weights), expected, rtol=1e-12)


def test_the_hessian_is_that_of_the_textbook():
    found = results()
    p = 1 / (1 + numpy.exp(-INPUTS @ found["best"]))
    expected = (INPUTS.T * (p * (1 - p))) @ INPUTS + 2 * PENALTY * numpy.eye(3)
    numpy.testing.assert_allclose(found["curvature"], expected, rtol=1e-10)


def test_both_methods_find_the_minimum():
    found = results()
    assert all(b < a for a, b in zip(found["history"], found["history"][1:], strict=False))
    numpy.testing.assert_allclose(grad(loss)(found["best"]), 0, atol=1e-11)
    numpy.testing.assert_allclose(found["descended"], found["best"], atol=0.02)


def test_nothing_but_plain_arrays_comes_out():
    found = results()
    assert all(type(value) is numpy.float64 for value in found["history"])
    assert type(found["descended"]) is type(found["best"]) is numpy.ndarray
