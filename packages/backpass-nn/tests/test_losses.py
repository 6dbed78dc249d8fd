"""Losses at extreme logits, of nothing, and of wrong shapes and labels."""

import copy

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.numpy as np
from backpass import nn
from backpass.core import Tensor, grad, hessian, value_and_grad
from backpass.nn import functional as F

inf, nan = numpy.inf, numpy.nan
#: Those that compare predictions with a target of the same shape.
PAIRED = {
    "mse_loss": nn.MSELoss,
    "l1_loss": nn.L1Loss,
    "smooth_l1_loss": nn.SmoothL1Loss,
    "huber_loss": nn.HuberLoss,
    "binary_cross_entropy": nn.BCELoss,
    "binary_cross_entropy_with_logits": nn.BCEWithLogitsLoss,
    "kl_div": nn.KLDivLoss,
}


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return numpy.dtype(request.param)


def value_and_gradient(loss, x):
    value, g = value_and_grad(loss, argnums=0)(x)
    return value.value, g


# ----- extreme logits ----------------------------------------------------------------------------


@pytest.mark.parametrize("size", [1e3, 1e30])
def test_cross_entropy_is_finite_and_exact_at_extreme_logits(size, dtype):
    logits = numpy.array([[size, -size, 0], [size, -size, 0], [size, size, size]], dtype)
    value, g = value_and_gradient(lambda x: F.cross_entropy(x, [0, 1, 2], reduction="sum"), logits)
    assert value.dtype == g.dtype == dtype
    assert_allclose(value, 2 * size + numpy.log(3), rtol=1e-6)
    third = [1 / 3, 1 / 3, -2 / 3]
    assert_allclose(g, [[0, 0, 0], [1, -1, 0], third], rtol=1e-6)
    smoothed = value_and_gradient(
        lambda x: F.cross_entropy(x, [0, 1, 2], label_smoothing=0.1), logits
    )
    assert all(numpy.isfinite(part).all() for part in smoothed)


def test_a_class_that_is_masked_out_by_minus_infinity_costs_nothing():
    logits = numpy.array([[0.0, -inf, 0.0]])
    value, g = value_and_gradient(lambda x: F.cross_entropy(x, [0]), logits)
    assert_allclose(value, numpy.log(2))
    assert_allclose(g, [[-0.5, 0, 0.5]])
    value, g = value_and_gradient(lambda x: F.cross_entropy(x, [[0.5, 0.0, 0.5]]), logits)
    assert_allclose(value, numpy.log(2))
    assert_allclose(g, [[0, 0, 0]], atol=1e-15)


@pytest.mark.parametrize("size", [1e3, 1e30, inf])
def test_binary_cross_entropy_with_logits_at_extreme_logits(size, dtype):
    x = numpy.array([size, -size, size, -size], dtype)
    value, g = value_and_gradient(
        lambda x: np.sum(F.binary_cross_entropy_with_logits(x, [1, 0, 0, 1], reduction="none")[:2]),
        x,
    )
    assert value == 0
    assert_array_equal(g, 0)
    right = F.binary_cross_entropy_with_logits(x[2:], [0, 1], reduction="none")
    assert_allclose(right.value, [size, size], rtol=1e-6)
    assert right.dtype == dtype


def test_binary_cross_entropy_with_logits_keeps_its_digits_where_it_is_small():
    g = grad(lambda x: np.sum(F.binary_cross_entropy_with_logits(x, [1])))(numpy.array([50.0]))
    assert_allclose(g, -numpy.exp(-50.0), rtol=1e-12)


def test_binary_cross_entropy_at_0_and_1(dtype):
    x = numpy.array([0, 1, 0, 1], dtype)
    value, g = value_and_gradient(
        lambda x: F.binary_cross_entropy(x, [1, 0, 0, 1], reduction="sum"), x
    )
    assert value == 200
    assert_allclose(g, [-1e12, 1e12, 0, 0], rtol=1e-6)


def test_kl_div_of_what_has_no_probability():
    x = numpy.array([[0.0, -inf]])
    value, g = value_and_gradient(lambda x: F.kl_div(x, [[1.0, 0.0]], reduction="sum"), x)
    assert value == 0
    assert_array_equal(g, [[-1, 0]])
    value, g = value_and_gradient(
        lambda x: F.kl_div(x, [[0.0, -inf]], log_target=True, reduction="sum"), x
    )
    assert value == 0
    assert_array_equal(g, [[-1, 0]])


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_distances_at_no_distance_are_flat(name):
    value, g = value_and_gradient(lambda x: getattr(F, name)(x, [1.0, 2.0]), numpy.array([1.0, 2]))
    assert value == 0
    assert_array_equal(g, 0)


def test_zero_vectors_have_finite_gradients():
    zero, one = numpy.zeros((1, 3)), numpy.ones((1, 3))
    g = grad(lambda x: F.cosine_embedding_loss(x, one, [1]))(zero)
    assert numpy.isfinite(g).all()
    g = grad(lambda x: F.triplet_margin_loss(x, zero, one, eps=0.0))(zero)
    assert numpy.isfinite(g).all()


def test_a_triplet_or_pair_on_its_margin_is_flat():
    anchor, positive, negative = numpy.array([[0.0]]), [[1.0]], [[2.0]]
    g = grad(lambda x: F.triplet_margin_loss(x, positive, negative, eps=0.0, margin=1.0))(anchor)
    assert_array_equal(g, 0)
    g = grad(lambda x: F.cosine_embedding_loss(x, [[0.0, 1.0]], [-1]))(numpy.array([[1.0, 0.0]]))
    assert_array_equal(g, 0)


# ----- nan, nothing, and what is ignored ---------------------------------------------------------


def test_nan_logits_are_seen_unless_they_are_ignored():
    logits = numpy.array([[nan, 0.0], [1.0, 2.0]])
    value, g = value_and_gradient(lambda x: F.cross_entropy(x, [0, 1]), logits)
    assert numpy.isnan(value)
    assert numpy.isfinite(g[1]).all()
    value, g = value_and_gradient(lambda x: F.cross_entropy(x, [-100, 1]), logits)
    assert_allclose(value, numpy.log1p(numpy.exp(-1)))
    assert_array_equal(g[0], 0)
    assert numpy.isfinite(g).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weight", [None, [1.0, 2.0]])
def test_where_all_is_ignored_the_mean_is_nan_and_the_gradient_0(smoothing, weight, dtype):
    def loss(x, reduction="mean"):
        return F.cross_entropy(
            x, [-100, -100], weight=weight, label_smoothing=smoothing, reduction=reduction
        )

    logits = numpy.array([[3.0, 1.0], [nan, inf]], dtype)
    value, g = value_and_gradient(loss, logits)
    assert numpy.isnan(value)
    assert_array_equal(g, 0)
    assert g.dtype == dtype
    assert loss(logits, "sum").value == 0
    assert_array_equal(loss(logits, "none").value, 0)


@pytest.mark.parametrize("target", [numpy.zeros(0, int), numpy.zeros((0, 3))], ids=["labels", "p"])
def test_cross_entropy_of_no_rows(target):
    logits = numpy.zeros((0, 3))
    for reduction, right in (("mean", nan), ("sum", 0.0)):
        value, g = value_and_gradient(
            lambda x, r=reduction: F.cross_entropy(x, target, reduction=r), logits
        )
        assert_array_equal(value, right)
        assert g.shape == (0, 3)
    assert F.cross_entropy(logits, target, reduction="none").shape == (0,)


@pytest.mark.parametrize("name", PAIRED)
def test_losses_of_nothing(name):
    x = numpy.zeros((0, 2))
    assert numpy.isnan(getattr(F, name)(x, x).value)
    assert getattr(F, name)(x, x, reduction="sum").value == 0
    assert getattr(F, name)(x, x, reduction="none").shape == (0, 2)
    assert grad(lambda x: getattr(F, name)(x, numpy.zeros((0, 2))), 0)(x).shape == (0, 2)


def test_the_second_derivative_of_cross_entropy_is_that_of_the_softmax():
    x = numpy.array([0.3, -0.2, 1.1])
    p = numpy.exp(x) / numpy.exp(x).sum()
    h = hessian(lambda x: F.cross_entropy(x, 1))(x)
    assert_allclose(h, numpy.diag(p) - numpy.outer(p, p), atol=1e-14)


# ----- labels and shapes -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize(
    ("target", "words"),
    [
        ([0, 3, 1], r"`target`\[1\] is 3, but labels go from 0 to 2"),
        ([0, 1, -1], r"`target`\[2\] is -1, .* `ignore_index`, -100"),
        (numpy.array([0, 1, 200], numpy.uint8), r"`target`\[2\] is 200"),
    ],
)
def test_a_label_out_of_range_is_named_with_its_place(name, target, words):
    with pytest.raises(ValueError, match=rf"{name}: {words}"):
        getattr(F, name)(numpy.zeros((3, 3)), target)


def test_a_label_out_of_range_in_a_picture_is_named_with_its_place():
    target = numpy.zeros((2, 4, 5), int)
    target[1, 2, 3] = 7
    with pytest.raises(ValueError, match=r"`target`\[1, 2, 3\] is 7, but labels go from 0 to 2"):
        F.cross_entropy(numpy.zeros((2, 3, 4, 5)), target)
    with pytest.raises(ValueError, match="`target` is 3, but labels go from 0 to 2"):
        F.cross_entropy(numpy.zeros(3), 3)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int32", "uint64"])
def test_labels_may_be_integers_of_any_kind_and_tensors(dtype):
    logits = numpy.array([[1.0, 2.0], [0.5, -0.5]])
    right = F.cross_entropy(logits, [1, 0])
    labels = numpy.array([1, 0], dtype)
    assert F.cross_entropy(logits, labels).value == right.value
    assert F.cross_entropy(Tensor(logits), Tensor(labels)).value == right.value


@pytest.mark.parametrize(
    ("target", "words", "kind"),
    [
        ([[0], [1]], r"must have shape \(2,\) as labels, but has \(2, 1\)", ValueError),
        ([0, 1, 2], r"must have shape \(2,\) as labels, but has \(3,\)", ValueError),
        ([0.0, 1.0], "labels are integers, use .astype", ValueError),
        ([[0.5, 0.5]], r"`logits` has shape \(2, 3\), but `target` has shape \(1, 2\)", ValueError),
        ([True, False], "holds bool", TypeError),
    ],
)
def test_cross_entropy_says_what_is_wrong_with_the_target(target, words, kind):
    with pytest.raises(kind, match=words):
        F.cross_entropy(numpy.zeros((2, 3)), target)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"reduction": "avg"}, "`reduction` is 'avg'"),
        ({"label_smoothing": 1.5}, "`label_smoothing` is 1.5"),
        ({"weight": [1.0, 2.0]}, r"`weight` has shape \(2,\), but there are 3 classes"),
    ],
)
def test_cross_entropy_says_what_is_wrong_with_its_options(options, words):
    with pytest.raises(ValueError, match=words):
        F.cross_entropy(numpy.zeros((2, 3)), [0, 1], **options)


def test_ignore_index_beside_probabilities_is_refused():
    with pytest.raises(ValueError, match="`ignore_index` is 0"):
        F.cross_entropy(numpy.zeros((2, 3)), numpy.ones((2, 3)) / 3, ignore_index=0)


def test_class_weights_are_not_differentiated_silently():
    with pytest.raises(TypeError, match="`weight` is being differentiated"):
        grad(lambda w: F.cross_entropy(numpy.zeros((2, 3)), [0, 1], weight=w))(numpy.ones(3))


@pytest.mark.parametrize("name", PAIRED)
def test_shapes_that_differ_are_refused_not_broadcast(name):
    x = numpy.full((4, 1), 0.5)
    words = rf"{name}: `x` has shape \(4, 1\), but `target` has shape \(4,\).*target.reshape"
    with pytest.raises(ValueError, match=words):
        getattr(F, name)(x, numpy.full(4, 0.5))
    with pytest.raises(ValueError, match=r"`target` has shape \(\)"):
        getattr(F, name)(x, 0.5)
    with pytest.raises(ValueError, match="`reduction` is 'median'"):
        getattr(F, name)(x, x, reduction="median")


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_weights_of_another_shape_are_refused(name):
    x = numpy.ones((2, 3))
    with pytest.raises(ValueError, match=r"`weight` has shape \(3,\)"):
        getattr(F, name)(x, x, weight=numpy.ones(3))


def test_weights_of_binary_cross_entropy_must_spread_over_the_predictions():
    x = numpy.full((2, 3), 0.5)
    for name in ("binary_cross_entropy", "binary_cross_entropy_with_logits"):
        with pytest.raises(ValueError, match=r"`weight` has shape \(2,\)"):
            getattr(F, name)(x, x, weight=numpy.ones(2))
    with pytest.raises(ValueError, match=r"`pos_weight` has shape \(4, 2, 3\)"):
        F.binary_cross_entropy_with_logits(x, x, pos_weight=numpy.ones((4, 2, 3)))


def test_what_is_no_probability_is_named():
    with pytest.raises(ValueError, match=r"`x`\[1\] is 1.5, but a probability is from 0 to 1"):
        F.binary_cross_entropy(numpy.array([0.5, 1.5]), [0, 1])
    assert numpy.isnan(F.binary_cross_entropy(numpy.array([nan]), [1]).value)


@pytest.mark.parametrize(
    ("target", "words"),
    [([1, 0, 1], r"`target`\[1\] is 0.0, but it must be 1"), ([1, 1], r"`target` \(2,\)")],
)
def test_cosine_embedding_loss_says_what_is_wrong_with_the_target(target, words):
    with pytest.raises(ValueError, match=words):
        F.cosine_embedding_loss(numpy.ones((3, 2)), numpy.ones((3, 2)), target)


def test_triplets_must_have_one_shape():
    x = numpy.ones((3, 2))
    with pytest.raises(ValueError, match=r"`anchor` has shape \(3, 2\), but `negative` has"):
        F.triplet_margin_loss(x, x, numpy.ones((1, 2)))


@pytest.mark.parametrize(
    "call",
    [
        lambda: F.huber_loss([1.0], [1.0], delta=0.0),
        lambda: F.smooth_l1_loss([1.0], [1.0], beta=-1.0),
        lambda: F.kl_div(1.0, 1.0, reduction="batchmean"),
        lambda: F.cross_entropy(1.0, 0),
    ],
    ids=["delta", "beta", "batchmean", "classes"],
)
def test_wrong_options_are_refused(call):
    with pytest.raises(ValueError, match="`"):
        call()


# ----- dtypes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAIRED)
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_single_precision_stays_so_beside_integers_lists_and_doubles(name, reduction):
    x = numpy.array([0.25, 0.5], numpy.float32)
    loss = getattr(F, name)
    for target in ([0, 1], numpy.array([0, 1]), numpy.array([0.0, 1.0])):
        made = loss(x, target, reduction=reduction)
        assert made.dtype == numpy.float32
        assert grad(lambda x, t=target: np.sum(loss(x, t)))(x).dtype == numpy.float32


def test_weights_do_not_change_the_dtype():
    x = numpy.array([[0.25, 0.5]], numpy.float32)
    weight = numpy.array([1.0, 2.0])
    assert F.cross_entropy(x, [1], weight=weight).dtype == numpy.float32
    assert nn.BCEWithLogitsLoss([1.0, 2.0], pos_weight=[1.0, 3.0])(x, x).dtype == numpy.float32


# ----- the modules -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PAIRED)
def test_a_module_is_its_function(name):
    x, target = numpy.array([0.3, 0.6]), numpy.array([0.2, 0.9])
    for reduction in ("mean", "sum", "none"):
        made = PAIRED[name](reduction=reduction)(x, target)
        assert_array_equal(made.value, getattr(F, name)(x, target, reduction=reduction).value)
    with pytest.raises(ValueError, match=rf"{PAIRED[name].__name__}: `reduction` is 'median'"):
        PAIRED[name](reduction="median")


def test_the_options_of_the_modules_count():
    x, y = numpy.array([[0.3, 0.6], [1.0, -1.0]]), numpy.array([[0.2, 0.9], [0.5, 3.0]])
    z = y[::-1]
    pairs = [
        (nn.HuberLoss(delta=0.2)(x, y), F.huber_loss(x, y, delta=0.2)),
        (nn.SmoothL1Loss(beta=0.2)(x, y), F.smooth_l1_loss(x, y, beta=0.2)),
        (nn.KLDivLoss(log_target=True)(x, y), F.kl_div(x, y, log_target=True)),
        (
            nn.CrossEntropyLoss([1, 2], ignore_index=0, label_smoothing=0.1)(x, [0, 1]),
            F.cross_entropy(x, [0, 1], weight=[1, 2], ignore_index=0, label_smoothing=0.1),
        ),
        (
            nn.NLLLoss([1, 2], ignore_index=0)(x, [0, 1]),
            F.nll_loss(x, [0, 1], weight=[1, 2], ignore_index=0),
        ),
        (
            nn.BCEWithLogitsLoss([1, 2], pos_weight=[3, 4])(x, y),
            F.binary_cross_entropy_with_logits(x, y, weight=[1, 2], pos_weight=[3, 4]),
        ),
        (
            nn.CosineEmbeddingLoss(0.5)(x, y, [1, -1]),
            F.cosine_embedding_loss(x, y, [1, -1], margin=0.5),
        ),
        (
            nn.TripletMarginLoss(0.5, p=1.0, eps=0.1, swap=True)(x, y, z),
            F.triplet_margin_loss(x, y, z, margin=0.5, p=1.0, eps=0.1, swap=True),
        ),
    ]
    for made, right in pairs:
        assert made.value == right.value


def test_weights_are_buffers_and_options_are_shown():
    loss = nn.CrossEntropyLoss([1.0, 2.0], label_smoothing=0.1)
    assert repr(loss) == "CrossEntropyLoss(weight: (2,), label_smoothing=0.1)"
    assert repr(nn.MSELoss()) == "MSELoss()"
    assert [name for name, _ in loss.named_buffers()] == ["weight"]
    assert list(loss.parameters()) == []
    assert loss.to("float32").weight.dtype == numpy.float32
    assert repr(copy.deepcopy(loss)) == repr(loss)
    assert repr(loss.eval()) == repr(loss)


def test_a_loss_in_a_model_is_differentiated_through():
    class Model(nn.Module):
        def __init__(self):
            self.slope = nn.Parameter(numpy.array([[1.0, -1.0]]))
            self.loss = nn.CrossEntropyLoss([1.0, 3.0])

        def forward(self, x, labels):
            return self.loss(x @ self.slope, labels)

    model, x = Model(), numpy.array([[1.0], [2.0]])
    model(x, [0, 1]).backward()
    gradient = grad(lambda m: m(x, [0, 1]), 0)(model)
    assert_allclose(gradient.slope, model.slope.grad)
    assert gradient.loss.weight is None
