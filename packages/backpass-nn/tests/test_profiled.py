"""A training step of a network under `profile` and `detect_anomaly`."""

import numpy
import pytest
from numpy.testing import assert_allclose

from backpass import nn
from backpass.core import AnomalyError, detect_anomaly, profile
from backpass.nn import functional
from backpass.nn.optimizers import Adam

RANDOM = numpy.random.default_rng(0)
IMAGES = RANDOM.random((8, 20), numpy.float32)
LABELS = RANDOM.integers(0, 3, 8)


def network():
    nn.seed(0)
    return nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 3))


def step(model, optimizer):
    functional.cross_entropy(model(IMAGES), LABELS).backward()
    optimizer.step()
    optimizer.zero_grad()


def test_each_layer_is_a_row_forward_and_backward_and_the_update_another():
    model = network()
    optimizer = Adam(model.parameters())
    with profile() as p:
        step(model, optimizer)
    calls = {(row.operation, row.phase): row.calls for row in p.rows}
    assert calls["linear", "forward"] == calls["linear", "backward"] == 2
    assert calls["cross_entropy", "forward"] == calls["cross_entropy", "backward"] == 1
    assert calls["adam_update", "forward"] == 1
    assert abs(sum(row.time for row in p.rows) - p.wall) < 1e-8
    kept = {row.operation: row.kept for row in p.rows if row.phase == "forward"}
    # Images, the hidden layer, and the weights of the second; the rule of relu keeps what is there.
    assert kept["linear"] >= IMAGES.nbytes + 16 * 3 * 4


def test_a_step_that_is_looked_at_is_the_same_step():
    models = [network(), network()]
    step(models[0], Adam(models[0].parameters()))
    with detect_anomaly() as found:
        step(models[1], Adam(models[1].parameters()))
    for a, b in zip(*(model.parameters() for model in models), strict=True):
        assert_allclose(a.value, b.value, rtol=1e-4, atol=1e-6)
    assert (found.found, found.strong_zeros) == ([], [])


def test_an_attention_row_without_keys_is_no_anomaly_and_a_broken_weight_is():
    x = RANDOM.random((3, 2))
    mask = numpy.array([[True, False, True], [False, False, False], [True, True, True]])
    with detect_anomaly():
        functional.scaled_dot_product_attention(x, x, x, mask=mask)
    model = network()
    model[2].weight.value[0, 0] = numpy.inf
    with pytest.raises(AnomalyError) as raised, detect_anomaly():
        model(IMAGES)
    assert (raised.value.anomaly.operation, raised.value.anomaly.operand) == ("linear", "weight")
