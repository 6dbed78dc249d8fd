"""Jacobians and Hessians of networks walk back with many rows at once."""

import numpy
import pytest
from numpy.testing import assert_allclose

import backpass.nn.functional as F
import backpass.numpy as np
from backpass.core import hessian, jacobian, jacobians
from backpass.nn.functional.linear import ACTIVATIONS

WALK = jacobians._one_by_one
random = numpy.random.default_rng(3)
W1, W2 = random.standard_normal((5, 4)), random.standard_normal((3, 5))
B1, B2 = random.standard_normal(5), random.standard_normal(3)
X = random.uniform(0.2, 0.9, 4)
ROWS = random.standard_normal((6, 4))
IMAGES = random.standard_normal((2, 2, 5, 5))
WINDOWS = random.standard_normal((3, 2, 2, 2))


def both(f, x):
    """Compare with walks row by row; none may be needed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jacobians, "_one_by_one", lambda *_: pytest.fail("rows one by one"))
        ours = f(x)
        patch.setattr(jacobians, "_one_by_one", WALK)
        patch.setattr(jacobians, "_together", lambda *_: None)
        theirs = f(x)
    assert ours.dtype == theirs.dtype
    assert ours.shape == theirs.shape
    assert_allclose(ours, theirs, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("activation", [None, *ACTIVATIONS])
def test_dense_layers_with_their_activations(activation):
    def network(x, weight=W1):
        return F.linear(F.linear(x, weight, B1, activation), W2, B2, activation)

    both(jacobian(network), X)
    both(jacobian(network), ROWS)
    both(jacobian(lambda w: network(ROWS, w)), W1)
    both(hessian(lambda w: np.sum(network(ROWS, w) ** 2)), W1)


@pytest.mark.parametrize(
    "name",
    "celu elu gelu hardsigmoid hardswish leaky_relu logsigmoid mish relu relu6 selu sigmoid silu "
    "softmax softplus softsign tanh".split(),
)
def test_networks_with_each_activation(name):
    f = getattr(F, name)

    def network(x):
        return f(f(x @ W1.T + B1) @ W2.T)

    both(jacobian(network), X)
    both(hessian(lambda x: np.sum(network(x) ** 2)), X)


LABELS = numpy.array([0, 2, 1, 1, 0, 2])


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_softmax_cross_entropy(smoothing):
    def loss(w):
        return F.cross_entropy(ROWS @ w.T, LABELS, label_smoothing=smoothing)

    both(hessian(loss), random.standard_normal((3, 4)))


def test_a_convolution_with_its_pools_and_its_norm():
    def network(x, windows=WINDOWS):
        y = F.conv2d(x, windows, B2, padding=1)
        y = F.avg_pool2d(F.relu(y), 2)
        return F.max_pool2d(F.layer_norm(y, (3, 3)), 2)

    both(jacobian(network), IMAGES)
    both(jacobian(lambda w: network(IMAGES, w)), WINDOWS)
    both(hessian(lambda w: np.sum(F.conv2d(IMAGES, w, stride=2) ** 3)), WINDOWS)


def test_tables_and_dropped_elements():
    indices = numpy.array([[0, 2], [2, 1]])
    both(jacobian(lambda w: F.embedding(indices, w * w)), random.standard_normal((3, 2)))
    both(jacobian(lambda x: F.dropout(x * x, 0.5, key=(7, 0))), ROWS)
