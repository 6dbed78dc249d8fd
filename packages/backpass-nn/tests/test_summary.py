"""The summary of a model: its rows, its totals, and that nothing of the model is changed."""

import numpy
import pytest

import backpass.numpy as np
from backpass import nn


class Twice(nn.Module):
    """Uses one layer twice, and another not at all."""

    def __init__(self):
        self.shared = nn.Linear(3, 3)
        self.spare = nn.Linear(3, 1)
        self.norm = nn.BatchNorm1d(3)
        self.calls = nn.Buffer(0)

    def forward(self, x):
        self.calls.value = self.calls.value + 1
        self.last_input = x
        return self.norm(self.shared(np.tanh(self.shared(x))))


def test_the_rows_and_totals_are_those_of_the_model():
    found = nn.summary(Twice(), (4, 3))
    assert [(row.name, row.shapes, row.parameters) for row in found.rows] == [
        ("", ((4, 3),), 0),
        ("shared", ((4, 3), (4, 3)), 12),
        ("spare", (), 4),
        ("norm", ((4, 3),), 6),
    ]
    assert found.parameters == found.trained == 22
    assert found.parameter_bytes == 88
    buffers = 2 * 3 * 4 + 8 + 8  # the running statistics, and two counts
    assert found.buffer_bytes == buffers
    assert found.output_bytes == 3 * 4 * 3 * 4
    text = str(found)
    assert repr(found) == text
    assert "22 parameters, 88 B; buffers 40 B; outputs 144 B" in text
    assert "(4, 3) ..." in text


def test_frozen_and_shared_weights():
    model = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    model[1].weight = model[0].weight
    model[0].freeze()
    found = nn.summary(model, (1, 3))
    assert (found.parameters, found.trained) == (15, 3)
    assert "12 (frozen)" in str(found)
    assert "15 parameters, 12 of them frozen" in str(found)


def test_nothing_of_the_model_is_changed():
    model = Twice()
    before = model.state_dict()
    attributes = set(vars(model))
    nn.summary(model, (4, 3))
    for name, value in model.state_dict().items():
        numpy.testing.assert_array_equal(value, before[name])
    assert set(vars(model)) == attributes
    assert all(module.training for module in model.modules())
    model.norm.eval()
    nn.summary(model, (4, 3))
    assert model.training
    assert not model.norm.training


def test_a_model_of_integers_and_of_several_inputs():
    model = nn.Embedding(7, 5)
    assert nn.summary(model, (2, 3), dtype=numpy.int64).rows[0].shapes == ((2, 3, 5),)
    assert nn.summary(model, inputs=[[[1, 2]]]).rows[0].shapes == ((1, 2, 5),)
    for wrong in {}, {"input_shape": (1,), "inputs": [1]}:
        with pytest.raises(TypeError, match="either `input_shape` or `inputs`"):
            nn.summary(model, **wrong)


def test_an_input_that_does_not_fit_leaves_the_model_as_it_was():
    model = Twice()
    with pytest.raises(nn.LayerError, match=r"^shared \(Linear\(3, 3\)\): expected"):
        nn.summary(model, (4, 5))
    assert "forward" not in vars(model)
    assert model.training
    assert model.calls.value == 0


def test_a_summary_leaves_gradients_and_random_numbers_alone():
    model = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.BatchNorm1d(4))
    np.sum(model(numpy.ones((2, 3), numpy.float32))).backward()
    gradients = [p.grad for p in model.parameters()]
    before = nn.random.get_state()
    nn.summary(model, (2, 3))
    assert nn.random.get_state() == before
    assert all(p.grad is g for p, g in zip(model.parameters(), gradients, strict=True))
    assert model.training


def test_a_layer_that_returns_several_things_shows_the_shape_of_each():
    found = nn.summary(nn.LSTM(3, 4), (5, 2, 3))
    assert found.rows[0].shapes == (((5, 2, 4), ((1, 2, 4), (1, 2, 4))),)
    assert found.output_bytes == (5 * 2 * 4 + 2 * 2 * 4) * 4
