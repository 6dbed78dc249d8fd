"""Batch norm, layer norm, RMS norm: corners, running statistics, and what bad input is told."""

import numpy as onp
import pytest

import backpass.nn.functional as F
import backpass.numpy as np
from backpass import nn
from backpass.core import Tensor, checkpoint, grad, jvp, value_and_grad
from backpass.core.testing import check_grads
from backpass.nn.functional import normalization

RANDOM = onp.random.default_rng(0)
X = RANDOM.normal(size=(4, 3, 2))

NORMS = {
    "layer_norm": lambda x: F.layer_norm(x, x.shape[1:]),
    "rms_norm": lambda x: F.rms_norm(x, x.shape[1:]),
    "group_norm": lambda x: F.group_norm(x, 1),
    "batch_norm": F.batch_norm,
}


# ----- corners -----------------------------------------------------------------------------------


@pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
@pytest.mark.parametrize("value", [0.0, 3.0])
def test_what_is_constant_has_a_finite_gradient(norm, value):
    x = onp.full((2, 3, 2), value)
    w = RANDOM.normal(size=x.shape)
    assert onp.isfinite(norm(x).value).all()
    assert onp.isfinite(grad(lambda x: (norm(x) * w).sum())(x)).all()
    second = grad(lambda x: (grad(lambda x: (norm(x) * w).sum())(x) ** 2).sum())(x)
    assert onp.isfinite(second).all()


@pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_dtype_stays(norm, dtype):
    x = X.astype(dtype)
    assert norm(x).dtype == dtype
    assert grad(lambda x: (norm(x) ** 3).sum())(x).dtype == dtype
    assert jvp(norm, (x,), (x,))[1].dtype == dtype


@pytest.mark.parametrize("norm", NORMS.values(), ids=NORMS)
def test_half_precision_does_not_overflow(norm):
    x = (X * 1e4).astype("float16")
    right = norm(x.astype("float64")).value
    onp.testing.assert_allclose(norm(x).value, right, atol=2e-3)


def test_an_empty_batch():
    x = onp.zeros((0, 3))
    for norm in (lambda x: F.layer_norm(x, 3), lambda x: F.group_norm(x, 1)):
        assert norm(x).shape == (0, 3)
        assert grad(lambda x, norm=norm: norm(x).sum())(x).shape == (0, 3)


def test_the_statistics_are_tracked():
    x = onp.arange(12.0).reshape(4, 3)
    onp.testing.assert_allclose(
        grad(lambda x: F.batch_norm_with_statistics(x)[1].sum())(x), onp.full((4, 3), 0.25)
    )
    onp.testing.assert_allclose(
        grad(lambda x: F.batch_norm_with_statistics(x)[2].sum())(x), (x - x.mean(0)) / 2
    )
    check_grads(
        lambda x: (lambda y, m, v: y * m / v)(*F.batch_norm_with_statistics(x)), (X[..., 0],)
    )


def test_given_statistics_are_differentiated():
    mean, var, weight = onp.array([1.0, 2.0, 3.0]), onp.array([1.0, 4.0, 9.0]), onp.ones(3)
    check_grads(lambda *a: F.batch_norm(X, *a), (mean, var, weight))


def test_a_mean_far_from_zero_costs_no_digits():
    x = (RANDOM.normal(size=(256, 2)) + 1e4).astype("float32")
    right = F.batch_norm(x.astype("float64"), eps=0).value
    assert abs(F.batch_norm(x, eps=0).value - right).max() < 1e-3


@pytest.mark.parametrize(
    ("norm", "name"),
    [(NORMS["layer_norm"], "layer_norm_back"), (NORMS["batch_norm"], "batch_norm_back")],
    ids=["layer_norm", "batch_norm"],
)
def test_a_kernel_may_take_the_backward_pass_over_arrays(norm, name, monkeypatch):
    back, calls = getattr(normalization, name), []

    def kernel(*xs, **options):
        calls.append(name)
        return back.function(onp, *xs, **options)

    monkeypatch.setitem(back.kernels, onp.ndarray, kernel)
    # Where the whole rule has a kernel, too, it is not asked.
    primitive = getattr(normalization, name.replace("back", ""))
    monkeypatch.setitem(primitive.pulls, onp.ndarray, (primitive.joint.call,))
    right = grad(lambda x: (norm(x) ** 3).sum())(X)
    assert calls == [name]
    # The inner pass is differentiated: its operations are recorded.  The outer one is over arrays.
    second = grad(lambda x: (grad(lambda y: (norm(y) ** 3).sum())(x) * X).sum())
    assert second(X).shape == right.shape
    assert calls == [name] * 2


# ----- the layers --------------------------------------------------------------------------------


def test_running_statistics_reach_the_callers_model_out_of_a_transformation():
    x = onp.float32(X)
    model = nn.BatchNorm1d(3)
    value_and_grad(lambda m, x: m(x).sum(), argnums=0)(model, x)
    batch = x.transpose(1, 0, 2).reshape(3, -1)
    onp.testing.assert_allclose(model.running_mean.value, 0.1 * batch.mean(1), rtol=1e-6)
    onp.testing.assert_allclose(
        model.running_var.value, 0.9 + 0.1 * batch.var(1, ddof=1), rtol=1e-6
    )
    assert model.num_batches_tracked.value == 1
    for buffer in model.buffers():
        assert type(buffer.value) is onp.ndarray
        assert isinstance(buffer, nn.Buffer)
        assert buffer.node is None
    assert model.running_mean.dtype == onp.float32
    assert model.num_batches_tracked.dtype == onp.int64


def test_what_runs_again_to_save_memory_counts_once():
    x = onp.float32(X)
    plain, again = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    plain(x).sum().backward()
    checkpoint(again)(Tensor(x).requires_grad_()).sum().backward()
    for (_, a), (_, b) in zip(plain.named_buffers(), again.named_buffers(), strict=True):
        onp.testing.assert_array_equal(a.value, b.value)
    onp.testing.assert_array_equal(plain.bias.grad, again.bias.grad)


def test_evaluation_leaves_the_running_statistics_alone_and_uses_them():
    model = nn.BatchNorm2d(2, eps=0, affine=False).eval()
    model.running_mean.value = onp.float32([1, 2])
    model.running_var.value = onp.float32([4, 9])
    x = onp.ones((1, 2, 1, 1), "float32")
    onp.testing.assert_allclose(model(x).value.ravel(), [0, -1 / 3], rtol=1e-6)
    assert model.num_batches_tracked.value == 0


def test_a_state_survives_saving():
    model, other = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    model(onp.float32(X))
    other.load_state_dict(model.state_dict())
    for name, x in model.state_dict().items():
        onp.testing.assert_array_equal(x, other.state_dict()[name])
    assert list(model.state_dict()) == [
        "weight",
        "bias",
        "running_mean",
        "running_var",
        "num_batches_tracked",
    ]


def test_frozen_weights_are_constants():
    layer = nn.LayerNorm(2).freeze()
    x = Tensor(X).requires_grad_()
    layer(x).sum().backward()
    assert x.grad is not None
    assert layer.weight.grad is None


# ----- bad input ---------------------------------------------------------------------------------


def test_wrong_shapes_are_told_what_was_expected():
    with pytest.raises(ValueError, match=r"x has shape \(4, 3, 2\), expected its last axes .*3,"):
        F.layer_norm(X, 3)
    with pytest.raises(ValueError, match=r"weight has shape \(3,\), expected \(2,\)"):
        F.layer_norm(X, 2, onp.ones(3))
    with pytest.raises(ValueError, match=r"bias has shape \(2,\), expected \(3,\), one for each"):
        F.batch_norm(X, bias=onp.ones(2))
    with pytest.raises(ValueError, match=r"expected \(n, channels, \.\.\.\)"):
        F.batch_norm(X[0, 0])
    with pytest.raises(ValueError, match=r"running_var has shape \(2,\)"):
        F.batch_norm(X, onp.ones(3), onp.ones(2))
    with pytest.raises(ValueError, match="both of them or neither"):
        F.batch_norm(X, onp.ones(3))
    with pytest.raises(ValueError, match=r"normalized_shape is \(0,\)"):
        F.layer_norm(X[..., :0], 0)
    with pytest.raises(ValueError, match="expected numbers to normalise"):
        F.group_norm(X[..., :0], 3)
    with pytest.raises(ValueError, match="num_groups is 2, expected a divisor of 3"):
        F.group_norm(X, 2)
    with pytest.raises(ValueError, match="eps is -1"):
        F.rms_norm(X, 2, eps=-1)
    with pytest.raises(TypeError, match="must hold floats, not int64"):
        F.layer_norm(onp.arange(3), 3)
    with pytest.raises(TypeError, match="must hold floats, not complex128"):
        F.batch_norm(X + 1j)


def test_a_single_number_has_no_variance():
    with pytest.raises(ValueError, match="more than one number for each channel"):
        F.batch_norm(onp.ones((1, 3)), training=True)
    model = nn.BatchNorm1d(3)
    with pytest.raises(ValueError, match="more than one number"):
        model(onp.ones((1, 3)))
    assert model.num_batches_tracked.value == 0
    assert model.eval()(onp.ones((1, 3))).shape == (1, 3)


def test_running_statistics_that_could_not_be_written_are_refused():
    with pytest.raises(TypeError, match="running_mean is a ndarray, expected a Tensor"):
        F.batch_norm(X, onp.zeros(3), onp.ones(3), training=True)
    mean = nn.Buffer(onp.zeros(3))
    with pytest.raises(ValueError, match="running_var has shape"):
        F.batch_norm(X, mean, nn.Buffer(onp.ones(2)), training=True)
    assert not mean.value.any()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.BatchNorm1d(3), (2, 4), r"shape \(n, 3\) or \(n, 3, length\), got \(2, 4\)"),
        (nn.BatchNorm2d(3), (2, 3, 4), r"shape \(n, 3, height, width\), got \(2, 3, 4\)"),
        (nn.LayerNorm((3, 4)), (2, 4), r"shape \(\.\.\., 3, 4\), got \(2, 4\)"),
        (nn.RMSNorm(4), (2, 3), r"shape \(\.\.\., 4\), got \(2, 3\)"),
    ],
)
def test_layers_say_where_they_are(layer, shape, message):
    class Model(nn.Module):
        def __init__(self):
            self.parts = [layer]

        def forward(self, x):
            return self.parts[0](x)

    with pytest.raises(nn.LayerError, match=rf"parts\.0 .*{message}"):
        Model()(np.zeros(shape))
