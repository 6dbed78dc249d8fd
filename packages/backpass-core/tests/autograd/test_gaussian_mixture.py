"""A program for HIPS autograd: a mixture of Gaussians, fitted by gradient ascent."""

import numpy

import backpass.autograd.numpy as np
from backpass.autograd import grad, value_and_grad
from backpass.autograd.misc.flatten import flatten, flatten_func
from backpass.autograd.scipy.special import logsumexp

random = numpy.random.default_rng(3)
POINTS = numpy.concatenate(
    [
        random.normal([-2.0, 0.0], [0.5, 1.0], (60, 2)),
        random.normal([2.0, 1.0], [1.0, 0.3], (40, 2)),
    ]
)
START = {
    "weights": numpy.zeros(2),
    "means": numpy.array([[-1.0, 0.5], [1.0, 0.5]]),
    "log scales": numpy.zeros((2, 2)),
}


def log_parts(params, points):
    """Return the logarithm of each component's part in the density, of shape (points, parts)."""
    shares = params["weights"] - logsumexp(params["weights"])
    scaled = (points[:, None, :] - params["means"]) * np.exp(-params["log scales"])
    norm = np.sum(params["log scales"], axis=-1) + np.log(2 * np.pi)
    return shares - norm - 0.5 * np.sum(scaled**2, axis=-1)


def negative_log_likelihood(params):
    return -np.sum(logsumexp(log_parts(params, POINTS), axis=1)) / len(POINTS)


def results():
    flat, unflatten, vector = flatten_func(negative_log_likelihood_alone, START)
    step = value_and_grad(lambda v: flat(v)[0])
    history = []
    for _ in range(200):
        value, g = step(vector)
        history.append(value)
        vector = vector - 0.3 * g
    return {
        "first gradient": grad(negative_log_likelihood)(START),
        "history": history,
        "fitted": unflatten(vector),
    }


def negative_log_likelihood_alone(params):
    return [negative_log_likelihood(params)]


def responsibilities(params):
    parts = log_parts(params, POINTS)
    parts = numpy.exp(parts - parts.max(axis=1, keepdims=True))
    return parts / parts.sum(axis=1, keepdims=True)


def test_the_gradient_is_that_of_the_expectation_step():
    found = grad(negative_log_likelihood)(START)
    r = responsibilities(START)
    off = POINTS[:, None, :] - START["means"]
    numpy.testing.assert_allclose(
        found["means"], -(r[:, :, None] * off).sum(axis=0) / len(POINTS), rtol=1e-11
    )
    numpy.testing.assert_allclose(
        found["log scales"], (r[:, :, None] * (1 - off**2)).sum(axis=0) / len(POINTS), rtol=1e-11
    )
    numpy.testing.assert_allclose(found["weights"], 0.5 - r.mean(axis=0), rtol=1e-11)


def test_the_fit_is_a_fixed_point_of_expectation_maximisation():
    found = results()
    assert found["history"][-1] < found["history"][0] - 0.4
    fitted = found["fitted"]
    r = responsibilities(fitted)
    shares = numpy.exp(fitted["weights"])
    numpy.testing.assert_allclose(shares / shares.sum(), r.mean(axis=0), atol=1e-4)
    means = (r.T @ POINTS) / r.sum(axis=0)[:, None]
    numpy.testing.assert_allclose(fitted["means"], means, atol=1e-4)


def test_the_gradient_has_the_structure_of_the_parameters():
    found = grad(negative_log_likelihood)(START)
    assert {name: g.shape for name, g in found.items()} == {
        name: x.shape for name, x in START.items()
    }
    assert flatten(found)[0].shape == (10,)
