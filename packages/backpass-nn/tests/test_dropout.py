"""Dropout: its random bits, its mask forward and backward, its corners."""

import numpy as onp
import pytest

import backpass.nn.functional as F
from backpass import nn
from backpass.core import Tensor, grad, jvp, vjp
from backpass.nn.functional import philox

ONES = onp.ones((40, 25))


def words(text):
    return [int(word, 16) for word in text.split()]


# ----- Philox ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counter", "key", "expected"),
    [
        ("0 0 0 0", "0 0", "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
        (
            "ffffffff ffffffff ffffffff ffffffff",
            "ffffffff ffffffff",
            "408f276d 41c83b0e a20bc7c6 6d5451fd",
        ),
        (
            "243f6a88 85a308d3 13198a2e 03707344",
            "a4093822 299f31d0",
            "d16cfe09 94fdcceb 5001e420 24126ea1",
        ),
    ],
)
def test_the_known_answers_of_random123(counter, key, expected):
    state = onp.array(words(counter), onp.uint64)[:, None].repeat(3, axis=1)
    found = philox.philox4x32(onp, state, words(key))
    for word, right in zip(found, words(expected), strict=True):
        assert (word == right).all()


def test_the_pieces_do_not_show(monkeypatch):
    n = 4 * 100 + 3
    right = philox.bernoulli(onp, n, 0.4, (3, 4))
    monkeypatch.setattr(philox, "_PIECE", 7)
    onp.testing.assert_array_equal(philox.bernoulli(onp, n, 0.4, (3, 4)), right)


def test_the_bits_look_random():
    n = 100_000
    masks = [philox.bernoulli(onp, n, rate, (1, 2)) for rate in (0.1, 0.5, 0.9)]
    for rate, mask in zip((0.1, 0.5, 0.9), masks):
        assert abs(mask.mean() - (1 - rate)) < 5 * (rate * (1 - rate) / n) ** 0.5
    one = masks[1] - 0.5
    for key in ((1, 3), (2, 2), (1, 2 + 2**32), (1 + 2**32, 2)):
        other = philox.bernoulli(onp, n, 0.5, key) - 0.5
        assert abs((one * other).mean()) < 5 * 0.25 / n**0.5
    for lag in (1, 2, 4, n // 4):
        assert abs((one[lag:] * one[:-lag]).mean()) < 6 * 0.25 / n**0.5


# ----- dropout -----------------------------------------------------------------------------------


def test_a_key_gives_one_mask():
    found = F.dropout(ONES, 0.3, key=(1, 2)).value
    assert set(found.ravel()) == {0.0, 1 / 0.7}
    for key in ([1, 2], onp.array([1, 2]), Tensor(onp.array([1, 2], onp.uint64))):
        onp.testing.assert_array_equal(F.dropout(ONES, 0.3, key=key).value, found)
    assert (F.dropout(ONES, 0.3, key=(1, 3)).value != found).any()
    large = F.dropout(ONES, key=(-1, 2**64 - 1)).value
    onp.testing.assert_array_equal(F.dropout(ONES, key=(2**64 - 1, -1)).value, large)


def test_the_mask_is_the_same_backwards_and_forwards():
    x = Tensor(ONES).requires_grad_()
    y = F.dropout(x, 0.3)
    y.sum().backward()
    onp.testing.assert_array_equal(x.grad, y.value)
    y, t = jvp(lambda x: F.dropout(x, 0.3), (ONES,), (ONES,))
    onp.testing.assert_array_equal(t, y.value)
    y, pull = vjp(lambda x: F.dropout2d(x[:, :, None, None], 0.3), ONES)
    onp.testing.assert_array_equal(pull(onp.ones(y.shape))[0], y.value[:, :, 0, 0])


def test_no_mask_is_kept():
    x = Tensor(ONES).requires_grad_()
    node = F.dropout(x, 0.3).node
    held = [value for value in (*node.saved, *node.kwargs.values()) if hasattr(value, "dtype")]
    assert not held


def test_a_key_that_is_counted_on_in_place_stays_that_of_the_call():
    key = onp.array([1, 2])
    y, pull = vjp(lambda x: F.dropout(x, 0.5, key=key), ONES)
    key += 1
    onp.testing.assert_array_equal(pull(ONES)[0], y.value)


def test_nothing_and_everything():
    onp.testing.assert_array_equal(F.dropout(ONES, 0).value, ONES)
    onp.testing.assert_array_equal(F.dropout(ONES, 1).value, 0 * ONES)
    onp.testing.assert_array_equal(grad(lambda x: F.dropout(x, 1).sum())(ONES), 0 * ONES)
    onp.testing.assert_array_equal(F.dropout(ONES, 0.9, training=False).value, ONES)
    assert F.dropout(onp.empty((0, 3)), 0.5).shape == (0, 3)
    assert F.dropout(onp.float64(2.0), 0.5, key=(0, 1)).shape == ()


def test_what_is_dropped_is_zero_whatever_it_was():
    x = onp.where(F.dropout(ONES, key=(5, 6)).value == 0, onp.nan, 1.0)
    assert set(F.dropout(x, key=(5, 6)).value.ravel()) == {0.0, 2.0}


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64"])
def test_the_dtype_stays(dtype):
    x = ONES.astype(dtype)
    y, pull = vjp(lambda x: F.dropout(x, 0.3), x)
    assert y.dtype == dtype
    assert pull(x)[0].dtype == dtype


def test_whole_channels():
    for drop, x in ((F.dropout1d, onp.ones((8, 9, 5))), (F.dropout2d, onp.ones((8, 9, 5, 3)))):
        y = drop(x, 0.5, key=(1, 2)).value.reshape(8, 9, -1)
        assert set(y.ravel()) == {0.0, 2.0}
        assert (y == y[..., :1]).all()


def test_layers_draw_their_keys_from_the_seed():
    model = nn.Dropout(0.5)
    nn.seed(3)
    first, second = model(ONES).value, model(ONES).value
    assert (first != second).any()
    nn.seed(3)
    onp.testing.assert_array_equal(model(ONES).value, first)
    onp.testing.assert_array_equal(model.eval()(ONES).value, ONES)
    assert nn.Dropout2d(1.0)(onp.ones((2, 3, 4, 5))).value.sum() == 0


def test_bad_input():
    with pytest.raises(ValueError, match=r"rate is 1\.5, expected a probability"):
        F.dropout(ONES, 1.5)
    with pytest.raises(ValueError, match="rate is nan"):
        nn.Dropout(float("nan"))
    with pytest.raises(TypeError, match="must hold floats, not int64"):
        F.dropout(onp.arange(3))
    for key in (7, (1, 2, 3), (1.0, 2.0)):
        with pytest.raises(TypeError, match=r"expected two integers: \(seed, counter\)"):
            F.dropout(ONES, key=key)
    with pytest.raises(TypeError, match="expected two integers: seed and counter"):
        F.dropout(ONES, key=onp.ones(2))
    with pytest.raises(ValueError, match=r"x has shape \(40, 25\), expected \(n, channels, length"):
        F.dropout1d(ONES)
    with pytest.raises(nn.LayerError, match=r"shape \(n, channels, height, width\), got \(40, 25"):
        nn.Dropout2d()(ONES)
