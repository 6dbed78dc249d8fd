"""Clipping of gradients, and averages of weights."""

import numpy as np
import pytest

import backpass.numpy as bnp
from backpass.core import Tensor
from backpass.nn import Buffer, Module, Parameter
from backpass.nn.optimizers import (
    SGD,
    ExponentialMovingAverage,
    clip_by_norm,
    clip_by_value,
    clip_grad_norm,
    clip_grad_value,
)

GRADIENTS = {
    "a": np.array([[3.0, -1.0], [0.5, 2.0]], np.float32),
    "b": [np.float64(-4.0), None, np.array([])],
    "c": np.array([1 + 2j]),
}


def arrays(tree):
    return [tree["a"], tree["b"][0], tree["c"]]


@pytest.mark.parametrize("order", [1.0, 2.0, 2.5, np.inf])
@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_clipping_by_norm(order, limit):
    flat = np.concatenate([np.ravel(np.asarray(g, complex)) for g in arrays(GRADIENTS)])
    right = np.linalg.norm(flat, order)
    clipped, norm = clip_by_norm(GRADIENTS, limit, norm_type=order)
    assert np.isclose(norm, right, rtol=1e-6)
    for g, c in zip(arrays(GRADIENTS), arrays(clipped)):
        assert c.dtype == g.dtype
        np.testing.assert_allclose(c, g * min(1, limit / right), rtol=1e-6)
    assert clipped["b"][1] is None
    weights = [bnp.array(np.zeros_like(g)) for g in arrays(GRADIENTS)]
    for w, g in zip(weights, arrays(GRADIENTS)):
        w.grad = g
    unreached = bnp.ones(2)
    assert clip_grad_norm([*weights, unreached, weights[0]], limit, norm_type=order) == norm
    for w, c in zip(weights, arrays(clipped)):
        np.testing.assert_array_equal(w.grad, c)
    assert unreached.grad is None
    assert GRADIENTS["a"].tolist() == [[3.0, -1.0], [0.5, 2.0]]


def test_the_norm_does_not_overflow_in_single_precision():
    clipped, norm = clip_by_norm([np.full(4, 1e30, np.float32)], 1.0)
    assert np.isclose(norm, 2e30)
    np.testing.assert_allclose(clipped[0], 0.5, rtol=1e-6)
    clipped, norm = clip_by_norm([np.full(4, 6e4, np.float16)], 1.0)
    np.testing.assert_allclose(clipped[0], 0.5, rtol=1e-2)


def test_gradients_that_are_zero_or_none():
    assert clip_by_norm([np.zeros(3), None], 1.0)[0][0].tolist() == [0, 0, 0]
    assert clip_by_norm([None], 1.0) == ([None], 0.0)
    assert clip_by_norm([np.array([])], 1.0, norm_type=np.inf)[1] == 0
    assert clip_grad_norm([bnp.ones(2)], 1.0) == 0.0


def test_a_norm_that_is_not_finite():
    w = bnp.zeros(2)
    w.grad = np.array([np.inf, 1.0])
    with pytest.raises(
        FloatingPointError, match="clip_grad_norm: the norm of the gradients is inf"
    ):
        clip_grad_norm([w], 1.0, error_if_nonfinite=True)
    assert w.grad.tolist() == [np.inf, 1.0]
    w.grad = np.array([np.nan, 1.0])
    assert np.isnan(clip_grad_norm([w], 1.0))
    assert np.isnan(w.grad).all()


def test_clipping_by_value():
    clipped = clip_by_value({"a": np.array([3.0, -0.1], np.float32), "b": None}, 0.5)
    assert clipped["a"].tolist() == [0.5, np.float32(-0.1)]
    assert clipped["a"].dtype == np.float32
    w = bnp.zeros(2)
    g = w.grad = np.array([3.0, -4.0])
    clip_grad_value(iter([w]), 2)
    assert w.grad.tolist() == [2.0, -2.0]
    assert g.tolist() == [3.0, -4.0]


@pytest.mark.parametrize(
    ("use", "error", "words"),
    [
        (lambda: clip_by_norm([np.ones(1)], 0.0), ValueError, "`max_norm` is 0"),
        (lambda: clip_by_norm([np.ones(1)], -1.0), ValueError, "`max_norm` is -1.0"),
        (lambda: clip_by_norm([np.ones(1)], 1.0, norm_type=0), ValueError, "`norm_type` is 0"),
        (lambda: clip_by_norm([1.0], 1.0), TypeError, "`gradients` holds float"),
        (
            lambda: clip_by_norm([Tensor(np.ones(1)).requires_grad_()], 1.0),
            TypeError,
            "a gradient is tracked",
        ),
        (lambda: clip_grad_norm([1.0], 1.0), TypeError, r"`params\[0\]` is float, not a Tensor"),
        (lambda: clip_by_value([np.ones(1)], "x"), TypeError, "`clip_value` must be a number"),
        (lambda: clip_by_value([np.ones(1, complex)], 1.0), TypeError, "have no order"),
    ],
)
def test_wrong_arguments(use, error, words):
    with pytest.raises(error, match=words):
        use()


# ----- averages -----


class Model(Module):
    def __init__(self):
        self.w = Parameter(np.zeros(2, np.float32))
        self.mean = Buffer(np.zeros(2))


def test_the_moving_average_of_a_model():
    model = Model()
    average = ExponentialMovingAverage(model, decay=0.75)
    optimizer = SGD(model, learning_rate=1.0)
    right = np.zeros(2)
    for i in range(4):
        model.w.grad = np.array([-1, i], np.float32)
        optimizer.step()
        average.update()
        right = 0.75 * right + 0.25 * model.w.value
    now = np.array(model.w.value)
    with average.swapped():
        np.testing.assert_allclose(model.w.value, right, rtol=1e-6)
        assert model.w.dtype == np.float32
        assert model.w.requires_grad
        for use in (average.update, average.state_dict, lambda: average.swapped().__enter__()):
            with pytest.raises(RuntimeError, match="leave the `with` block"):
                use()
    np.testing.assert_array_equal(model.w.value, now)
    with pytest.raises(KeyError), average.swapped():
        raise KeyError
    np.testing.assert_array_equal(model.w.value, now)
    state = average.state_dict()
    assert state.keys() == {"updates", "w.average"}
    other = ExponentialMovingAverage(Model(), decay=0.75)
    other.load_state_dict(state)
    assert other.updates == 4
    np.testing.assert_array_equal(other.state_dict()["w.average"], state["w.average"])
    average.update()
    np.testing.assert_array_equal(other.state_dict()["w.average"], state["w.average"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("updates"), "`updates` is missing"),
        (lambda s: s.pop("w.average"), r"`w\.average` is missing"),
        (lambda s: s.update(x=1), "`x` is not expected"),
        (lambda s: s.update({"w.average": np.ones(2)}), r"of shape \(2,\) and float32"),
    ],
)
def test_a_state_of_averages_that_does_not_fit(change, words):
    average = ExponentialMovingAverage(Model())
    state = average.state_dict()
    change(state)
    with pytest.raises(ValueError, match=words):
        average.load_state_dict(state)


def test_wrong_averages():
    with pytest.raises(ValueError, match="`decay` is 1"):
        ExponentialMovingAverage(Model(), decay=1.0)
    with pytest.raises(ValueError, match="holds no Tensor"):
        ExponentialMovingAverage([])
