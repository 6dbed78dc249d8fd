"""Attention: masks, rows that may attend nowhere, what is kept, and the layers made of it."""

import numpy as onp
import pytest

import backpass.nn.functional as F
import backpass.numpy as np
from backpass import nn
from backpass.core import Tensor, grad, jvp, vjp
from backpass.core.testing import check_grads

RANDOM = onp.random.default_rng(0)


def normal(*shape):
    return RANDOM.normal(size=shape)


Q, K, V = normal(2, 3, 4), normal(2, 5, 4), normal(2, 5, 6)
attend = F.scaled_dot_product_attention


# ----- masks -------------------------------------------------------------------------------------


def test_causal_is_a_mask():
    mask = onp.tril(onp.ones((3, 5), bool))
    onp.testing.assert_array_equal(
        attend(Q, K, V, causal=True).value, attend(Q, K, V, mask=mask).value
    )
    onp.testing.assert_allclose(
        attend(Q, K, V, mask=onp.where(mask, 0, -onp.inf)).value,
        attend(Q, K, V, mask=mask).value,
        rtol=1e-12,
    )
    both = attend(Q, K, V, mask=onp.arange(5) > 0, causal=True).value
    onp.testing.assert_array_equal(both, attend(Q, K, V, mask=mask & (onp.arange(5) > 0)).value)


def test_padding_is_as_if_it_were_not_there():
    keys = onp.arange(5) < onp.array([5, 2])[:, None, None]
    found = attend(Q, K, V, mask=keys).value
    onp.testing.assert_allclose(found[1], attend(Q[1], K[1, :2], V[1, :2]).value, rtol=1e-12)


@pytest.mark.parametrize("added", [False, True])
def test_a_query_that_may_attend_nowhere_gives_zero_and_no_gradient(added):
    mask = RANDOM.random((2, 3, 5)) < 0.5
    mask[:, 1] = False
    given = onp.where(mask, 0.0, -onp.inf) if added else mask
    w = normal(2, 3, 6)

    def loss(q, k, v):
        return (attend(q, k, v, mask=given) * w).sum()

    assert not attend(Q, K, V, mask=given).value[:, 1].any()
    assert not grad(loss, 0)(Q, K, V)[:, 1].any()
    for i in range(3):
        assert onp.isfinite(grad(loss, i)(Q, K, V)).all()
    t = jvp(lambda q: attend(q, K, V, mask=given), (Q,), (onp.ones_like(Q),))[1]
    assert not t[:, 1].any()
    check_grads(lambda *a: attend(*a, mask=given), (Q, K, V))
    assert not attend(Q, K, V, mask=onp.zeros(5, bool)).value.any()


def test_a_mask_may_be_trained():
    bias = normal(2, 1, 5)
    check_grads(lambda *a: attend(*a[:3], mask=a[3]), (Q, K, V, bias))


def test_keys_and_values_may_be_shared():
    check_grads(attend, (Q, K[:1], V[0]))


# ----- numbers -----------------------------------------------------------------------------------


def test_large_scores_do_not_overflow():
    found = attend(1e3 * Q, 1e3 * K, V)
    nearest = onp.argmax(Q @ K.swapaxes(1, 2), axis=-1)
    onp.testing.assert_allclose(found.value, V[onp.arange(2)[:, None], nearest])
    assert onp.isfinite(grad(lambda q: attend(q, 1e3 * K, V).sum())(1e3 * Q)).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_dtype_stays(dtype):
    q, k, v = (x.astype(dtype) for x in (Q, K, V))
    mask = onp.where(onp.arange(5) < 4, 0.0, -onp.inf)
    y, pull = vjp(lambda *a: attend(*a, mask=mask, causal=True, dropout=0.2), q, k, v)
    assert y.dtype == dtype
    assert [g.dtype for g in pull(y.value)] == [dtype] * 3


def test_no_matrix_of_weights_is_kept():
    n = 64
    x = Tensor(normal(n, 4)).requires_grad_()
    node = attend(x, x, x, causal=True, dropout=0.1).node
    saved = [*node.parents[0].saved[0], *node.parents[0].saved[1:]]
    assert {onp.size(value) for value in saved if value is not None} == {4 * n, n}


def test_dropout_is_of_the_weights_and_the_same_backwards():
    key = (4, 5)
    check_grads(lambda *a: attend(*a, dropout=0.4, dropout_key=key), (Q, K, V))
    many = [attend(Q, K, V, dropout=0.3, dropout_key=(0, i)).value for i in range(400)]
    onp.testing.assert_allclose(onp.mean(many, axis=0), attend(Q, K, V).value, atol=0.2)
    assert not attend(Q, K, V, dropout=1.0).value.any()


def test_bad_input():
    with pytest.raises(ValueError, match=r"query has shape .* and key .*: expected last axes"):
        attend(Q, K[..., :2], V)
    with pytest.raises(ValueError, match="expected one value for each key"):
        attend(Q, K, V[:, :2])
    with pytest.raises(ValueError, match=r"expected \(\.\.\., length, features\)"):
        attend(Q[0, 0], K, V)
    with pytest.raises(ValueError, match=r"mask has shape \(4,\), .* broadcasts to \(2, 3, 5\)"):
        attend(Q, K, V, mask=onp.ones(4, bool))
    with pytest.raises(TypeError, match="mask must hold booleans or floats, not int64"):
        attend(Q, K, V, mask=onp.ones(5, int))
    with pytest.raises(TypeError, match="value must hold floats, not complex128"):
        attend(Q, K, V + 1j)
    with pytest.raises(ValueError, match="dropout is 2, expected a probability"):
        attend(Q, K, V, dropout=2)


# ----- layers ------------------------------------------------------------------------------------

X = normal(2, 3, 8).astype("float32")


def test_heads_are_independent():
    layer = nn.MultiHeadAttention(8, 2)
    q, k, v = (x.reshape(2, 3, 2, 4) for x in onp.split(X @ layer.in_proj_weight.value.T, 3, -1))
    heads = [attend(q[:, :, i], k[:, :, i], v[:, :, i]).value for i in range(2)]
    right = onp.concatenate(heads, axis=-1) @ layer.out_proj.weight.value.T
    onp.testing.assert_allclose(layer(X).value, right, rtol=1e-4, atol=1e-6)
    assert layer(X).dtype == onp.float32
    onp.testing.assert_allclose(layer(X, X.copy()).value, right, rtol=1e-4, atol=1e-6)
    onp.testing.assert_allclose(layer(X[0]).value, right[0], rtol=1e-4, atol=1e-6)


def test_masks_of_a_layer():
    layer = nn.MultiHeadAttention(8, 2)
    padding = [[False, False, True], [False, True, True]]
    full = ~onp.array(padding)[:, None, None, :] & onp.tril(onp.ones((3, 3), bool))
    found = layer(X, key_padding_mask=padding, causal=True).value
    onp.testing.assert_array_equal(found, layer(X, mask=full).value)
    bias = nn.Parameter(onp.zeros((2, 2, 3, 3), "float32"))
    layer(X, key_padding_mask=padding, mask=bias).sum().backward()
    assert onp.isfinite(bias.grad).all()
    assert not bias.grad[1, :, :, 1:].any()


def test_a_layers_bad_input():
    with pytest.raises(ValueError, match="num_heads is 3, expected a divisor of 8"):
        nn.MultiHeadAttention(8, 3)
    layer = nn.MultiHeadAttention(8, 2)
    with pytest.raises(nn.LayerError, match=r"a key of shape \(\.\.\., length, 8\), got \(2, 4\)"):
        layer(X, onp.zeros((2, 4)))
    with pytest.raises(nn.LayerError, match=r"key_padding_mask of booleans, of shape \(2, 3\)"):
        layer(X, key_padding_mask=onp.ones((2, 3)))
    with pytest.raises(nn.LayerError, match=r"with 4 axes, got \(2, 3, 3\)"):
        layer(X, mask=onp.ones((2, 3, 3), bool))


def test_a_causal_block_does_not_look_ahead():
    for norm_first in (True, False):
        block = nn.TransformerBlock(8, 2, 16, norm_first=norm_first, causal=True).eval()
        changed = X.copy()
        changed[:, 2] += 1
        onp.testing.assert_array_equal(block(X).value[:, :2], block(changed).value[:, :2])
        assert (block(X).value[:, 2] != block(changed).value[:, 2]).all()


def test_a_block_drops_in_training_only():
    block = nn.TransformerBlock(8, 2, 16, dropout=0.5, activation=np.tanh)
    assert (block(X).value != block(X).value).any()
    nn.seed(0)
    first = block(X).value
    nn.seed(0)
    onp.testing.assert_array_equal(block(X).value, first)
    block.eval()
    onp.testing.assert_array_equal(block(X).value, block(X).value)
    with pytest.raises(ValueError, match="activation is 'swish', expected 'relu' or 'gelu', or a"):
        nn.TransformerBlock(8, 2, activation="swish")
