"""LSTM and GRU: beside naive loops, in pieces, and what bad input is told."""

import numpy as onp
import pytest

import backpass.nn.functional as F
from backpass import nn
from backpass.core import Tensor
from backpass.core.testing import check_grads

RANDOM = onp.random.default_rng(0)
X = RANDOM.normal(size=(5, 2, 3))


def logistic(x):
    return 1 / (1 + onp.exp(-x))


def test_lstm_is_the_papers():
    lstm = nn.LSTM(3, 4).to("float64")
    w, u, a, b = (p.value for p in lstm.parameters())
    h, c, outputs = onp.zeros((2, 4)), onp.zeros((2, 4)), []
    for x in X:
        i, f, g, o = onp.split(x @ w.T + a + h @ u.T + b, 4, axis=-1)
        c = logistic(f) * c + logistic(i) * onp.tanh(g)
        h = logistic(o) * onp.tanh(c)
        outputs.append(h)
    output, (hidden, cell) = lstm(X)
    onp.testing.assert_allclose(output.value, outputs, rtol=1e-12)
    onp.testing.assert_allclose(hidden.value[0], h, rtol=1e-12)
    onp.testing.assert_allclose(cell.value[0], c, rtol=1e-12)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_a_sequence_may_be_read_in_pieces(kind):
    layer = kind(3, 4, num_layers=2).to("float64")
    whole, end = layer(X)
    first, state = layer(X[:2])
    second, last = layer(X[2:], state)
    onp.testing.assert_allclose(
        onp.concatenate([first.value, second.value]), whole.value, rtol=1e-12
    )
    for a, b in zip(last if kind is nn.LSTM else [last], end if kind is nn.LSTM else [end]):
        onp.testing.assert_allclose(a.value, b.value, rtol=1e-12)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_the_derivatives(kind):
    layer = kind(3, 2, bidirectional=True).to("float64")
    check_grads(lambda x: layer(x)[0], (X[:3],))
    state = RANDOM.normal(size=(2, 2, 2))
    pair = (lambda h: (h, 2 * h)) if kind is nn.LSTM else (lambda h: h)
    check_grads(lambda h: layer(X[:2], pair(h))[1], (state,))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_single_precision_stays(kind):
    x = Tensor(X.astype("float32")).requires_grad_()
    output, state = kind(3, 4)(x)
    output.sum().backward()
    assert {output.dtype, x.grad.dtype, *(s.dtype for s in state)} == {onp.dtype("float32")}


def test_dropout_lies_between_the_layers():
    one, two = nn.GRU(3, 4, dropout=0.5), nn.GRU(3, 4, num_layers=2, dropout=0.5)
    onp.testing.assert_array_equal(one(X)[0].value, one(X)[0].value)
    assert (two(X)[0].value != two(X)[0].value).any()
    two.eval()
    onp.testing.assert_array_equal(two(X)[0].value, two(X)[0].value)


def test_bad_input():
    with pytest.raises(ValueError, match="hidden_size is 0, expected a positive number"):
        nn.GRU(3, 0)
    with pytest.raises(nn.LayerError, match=r"\(length, batch, 4\), .* got \(5, 2, 3\)"):
        nn.LSTM(4, 2)(X)
    with pytest.raises(nn.LayerError, match="of length 1 at least"):
        nn.LSTM(3, 2, batch_first=True)(onp.zeros((2, 0, 3)))
    with pytest.raises(nn.LayerError, match=r"a state of shape \(1, 2, 4\), got \(2, 4\)"):
        nn.GRU(3, 4)(X, onp.zeros((2, 4)))
    with pytest.raises(nn.LayerError, match=r"two arrays: \(hidden, cell\)"):
        nn.LSTM(3, 4)(X, onp.zeros((1, 2, 4)))
    with pytest.raises(ValueError, match=r"gates has shape .*: expected gates .* 4 times as long"):
        F.lstm_cell(onp.zeros((2, 6)), onp.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"products has shape .* 3 times as long"):
        F.gru_cell(onp.zeros((2, 6)), onp.zeros((2, 4)), onp.zeros((2, 2)))
