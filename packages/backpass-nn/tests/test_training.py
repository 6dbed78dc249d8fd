"""Data sets and optimizers together: a linear classifier learns the embedded digits."""

import numpy as np
import pytest

import backpass.numpy as bnp
from backpass.core import grad
from backpass.nn.datasets import load_digits
from backpass.nn.optimizers import sgd, sgd_momentum
from backpass.scipy.special import log_softmax


@pytest.mark.parametrize("optimizer", [sgd, sgd_momentum])
def test_softmax_regression_learns_the_digits(optimizer):
    images, labels = load_digits()
    x = images.reshape(len(images), -1) / np.float32(16)
    targets = np.eye(10, dtype=np.float32)[labels]
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[:1400], order[1400:]
    weights = {"W": bnp.array(np.zeros((64, 10), np.float32)), "b": bnp.array(np.zeros(10, "f4"))}

    def loss(weights, x, targets):
        return -bnp.sum(log_softmax(bnp.dot(x, weights["W"]) + weights["b"], axis=1) * targets)

    run = optimizer(weights, learning_rate=0.5 / 50)
    for _ in range(10):
        for start in range(0, len(train), 50):
            batch = train[start : start + 50]
            grad(loss)(weights, x[batch], targets[batch])
            run()
    readings = (x[test] @ weights["W"].value + weights["b"].value).argmax(1)
    assert weights["W"].dtype == np.float32
    assert np.mean(readings == labels[test]) > 0.92
