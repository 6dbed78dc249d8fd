"""The network of the README, trained side by side with HIPS autograd, on each device.

The same weights, images and arithmetic in float64: the losses must stay together step by step. The
images are MNIST's, where they are to be had, and made-up ones.
"""

import functools
from itertools import pairwise

import numpy as onp
import pytest

from backpass.core import grad
from backpass.nn.datasets import load_mnist
from backpass.nn.optimizers import sgd_momentum
from backpass.scipy.special import logsumexp

from ..given import mnist_folder
from ..gradients.places import PLACES

LAYERS = (784, 200, 100, 10)
STEPS = 200
LEARNING_RATE = 0.001
BETA = 0.9


def first_weights():
    rng = onp.random.default_rng(0)
    return [
        (0.1 * rng.standard_normal((m, n)), 0.1 * rng.standard_normal(n))
        for m, n in pairwise(LAYERS)
    ]


def made_up():
    """Return sparse images: a fifth of the pixels inked, about as in handwriting."""
    rng = onp.random.default_rng(1)
    images = rng.random((STEPS, 784)) * (rng.random((STEPS, 784)) < 0.2)
    return images, rng.integers(0, 10, STEPS)


def real():
    data = load_mnist(mnist_folder())
    return data.train_images[:STEPS].reshape(STEPS, -1) / 255, data.train_labels[:STEPS]


def images_and_targets(source):
    images, labels = source()
    return images, onp.eye(10)[labels]


def network(xp, logsumexp):
    """Return the objective, written with the functions of one library or the other."""

    def objective(image, weights, target):
        *hidden, (W, b) = weights
        for V, c in hidden:
            image = xp.tanh(xp.dot(image, V) + c)
        scores = xp.dot(image, W) + b
        return -xp.sum((scores - logsumexp(scores, axis=1, keepdims=True)) * target)

    return objective


@functools.cache
def losses_of_hips(source):
    images, targets = images_and_targets(source)
    autograd = pytest.importorskip("autograd", reason="HIPS autograd is not installed")
    from autograd import numpy as anp
    from autograd.scipy.special import logsumexp

    loss_and_gradient = autograd.value_and_grad(network(anp, logsumexp), argnum=1)
    weights = first_weights()
    velocities = [[onp.zeros_like(a) for a in layer] for layer in weights]
    losses = []
    for i in range(STEPS):
        loss, gradients = loss_and_gradient(images[i : i + 1], weights, targets[i : i + 1])
        losses.append(loss)
        for layer, kept, found in zip(weights, velocities, gradients, strict=True):
            for w, v, g in zip(layer, kept, found, strict=True):
                v[...] = BETA * v + (1 - BETA) * g
                w -= LEARNING_RATE * v
    return losses


def losses_of_backpass(place, images, targets):
    np = place.numpy
    objective = network(np, logsumexp)
    gradient = grad(objective)
    weights = [(np.array(W), np.array(b)) for W, b in first_weights()]
    run = sgd_momentum(weights, learning_rate=LEARNING_RATE, beta=BETA)
    losses = []
    for i in range(STEPS):
        image, target = images[i : i + 1], targets[i : i + 1]
        losses.append(float(place.fetch(objective(image, weights, target))))
        gradient(image, weights, target)
        run()
    return losses


@pytest.mark.parametrize("source", [made_up, real])
@pytest.mark.parametrize("name", PLACES)
def test_the_first_losses_are_those_of_hips_autograd(name, source):
    theirs = losses_of_hips(source)
    with PLACES[name]() as place:
        ours = losses_of_backpass(place, *map(place.put, images_and_targets(source)))
    assert len(ours) == STEPS
    assert onp.isfinite(ours).all()
    assert len(set(ours)) == STEPS  # the weights do move
    onp.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=0)
