"""Convolutions: what they refuse, what they keep, and the options' corners."""

import numpy
import pytest

from backpass.core import Tensor, grad, jvp, vjp
from backpass.nn import functional

RANDOM = numpy.random.default_rng(0)


def normal(*shape, dtype="float64"):
    return RANDOM.standard_normal(shape).astype(dtype)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"x": normal(3, 3)}, "`x` has shape"),
        ({"x": normal(1, 3, 5, 5)}, "`x` has 3 channels, .* takes 2"),
        ({"weight": normal(4, 2, 3)}, "`weight` has shape"),
        ({"weight": normal(4, 2, 0, 3)}, "none of length 0"),
        ({"bias": normal(3)}, r"`bias` has shape \(3,\), but there are 4"),
        ({"stride": 0}, "`stride` is 0"),
        ({"stride": (1, 1, 1)}, "`stride` is"),
        ({"stride": 1.0}, "`stride` is 1.0"),
        ({"stride": numpy.array([1, 2])}, r"`stride` is array\(\[1, 2\]\)"),
        ({"stride": True}, "`stride` is True"),
        ({"dilation": (1, 0)}, "`dilation` is"),
        ({"padding": -1}, "`padding` is -1"),
        ({"padding": "full"}, "`padding` is 'full'"),
        ({"padding": "same", "stride": 2}, "keeps the size"),
        ({"groups": 3}, "`groups` is 3"),
        ({"groups": 0}, "`groups` is 0"),
        ({"dilation": 3}, "spans 7 elements, the input has only 5"),
    ],
)
def test_bad_arguments_are_named(options, reason):
    given = {"x": normal(1, 2, 5, 5), "weight": normal(4, 2, 3, 3)} | options
    with pytest.raises(ValueError, match=f"conv2d: .*{reason}"):
        functional.conv2d(**given)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"x": normal(1, 3, 5, 5)}, "`x` has 3 channels, .* takes 2"),
        ({"output_padding": 2}, "`output_padding` is 2"),
        ({"padding": 6, "x": normal(1, 2, 2, 2)}, "cuts the whole output away"),
        ({"bias": normal(3)}, "`bias` has shape"),
        ({"groups": 3}, "`groups` is 3"),
    ],
)
def test_bad_arguments_of_the_transpose_are_named(options, reason):
    given = {"x": normal(1, 2, 5, 5), "weight": normal(2, 4, 3, 3), "stride": 2} | options
    with pytest.raises(ValueError, match=f"conv_transpose2d: .*{reason}"):
        functional.conv_transpose2d(**given)


def test_the_whole_output_cut_away_is_no_accident_of_numpy():
    with pytest.raises(ValueError, match="conv1d: the window spans 4 elements"):
        functional.conv1d(normal(1, 1, 3), normal(1, 1, 4))


def test_lists_are_operands():
    found = functional.conv1d([[[1.0, 2.0, 3.0]]], [[[1.0, 1.0]]], [0.5])
    numpy.testing.assert_array_equal(found.value, [[[3.5, 5.5]]])


def test_options_may_be_numpys_integers():
    x, weight = normal(1, 4, 6, 6), normal(4, 2, 2, 2)
    two = numpy.int64(2)
    found = functional.conv2d(x, weight, stride=two, padding=(two, 1), groups=two)
    wanted = functional.conv2d(x, weight, stride=2, padding=(2, 1), groups=2)
    numpy.testing.assert_array_equal(found.value, wanted.value)


def test_an_empty_batch_has_an_empty_output_and_zeros_as_gradient():
    x, weight = numpy.zeros((0, 2, 5, 5)), normal(2, 2, 3, 3)
    for f in (functional.conv2d, functional.conv_transpose2d):
        y, pull = vjp(lambda x, w, f=f: f(x, w, stride=2), x, weight)
        assert y.shape[:2] == (0, 2)
        assert pull(y.value)[0].shape == x.shape
        numpy.testing.assert_array_equal(pull(y.value)[1], numpy.zeros_like(weight))


def test_padding_wider_than_the_window_is_cut_off_the_gradient():
    g = grad(lambda x: functional.conv2d(x, numpy.ones((1, 1, 1, 2)), padding=3).sum())
    numpy.testing.assert_array_equal(g(numpy.zeros((1, 1, 2, 2))), numpy.full((1, 1, 2, 2), 2.0))


def test_single_precision_stays_single():
    x, weight, bias = (
        normal(2, 3, 6, 6, dtype="f4"),
        normal(4, 3, 3, 3, dtype="f4"),
        normal(4, dtype="f4"),
    )
    y, pull = vjp(lambda *xs: functional.conv2d(*xs, stride=2, padding=1), x, weight, bias)
    assert y.dtype == numpy.float32
    assert [g.dtype for g in pull(y.value)] == [numpy.float32] * 3


@pytest.mark.parametrize("many", [1, 300])
@pytest.mark.parametrize(("stride", "out"), [(1, 2), (1, 6), (2, 6)])
def test_blocks_of_the_batch_make_no_difference(many, stride, out):
    # So many images that they fall into several blocks, the last of them shorter.
    x, weight = normal(many, 3, 20, 20), normal(out, 3, 3, 3)
    y, pull = vjp(lambda x, w: functional.conv2d(x, w, stride=stride, padding=1), x, weight)
    w = normal(*y.shape)
    g, g_weight = pull(w)
    total = numpy.zeros_like(weight)
    for i in {0, many // 2, many - 1}:
        one, pull_one = vjp(
            lambda x, w: functional.conv2d(x, w, stride=stride, padding=1), x[i], weight
        )
        numpy.testing.assert_allclose(y.value[i], one.value, rtol=1e-12, atol=1e-12)
        numpy.testing.assert_allclose(g[i], pull_one(w[i])[0], rtol=1e-12, atol=1e-12)
    for i in range(many):
        total += vjp(lambda w, i=i: functional.conv2d(x[i], w, stride=stride, padding=1), weight)[
            1
        ](w[i])[0]
    numpy.testing.assert_allclose(g_weight, total, rtol=1e-10, atol=1e-10)


def test_the_transpose_is_the_gradient():
    x, weight = normal(2, 3, 7, 8), normal(4, 3, 3, 2)
    options = {"stride": (2, 3), "padding": (1, 0), "dilation": (2, 1)}
    y, pull = vjp(lambda x: functional.conv2d(x, weight, **options), x)
    w = normal(*y.shape)
    extra = (0, 0)
    made = functional.conv_transpose2d(w, weight, output_padding=extra, **options)
    (g,) = pull(w)
    numpy.testing.assert_allclose(made.value, g[:, :, : made.shape[2], : made.shape[3]])
    assert not g[:, :, made.shape[2] :].any()
    assert not g[:, :, :, made.shape[3] :].any()


def test_a_bias_alone_is_differentiated():
    x, weight, bias = normal(2, 3, 5, 5), normal(4, 3, 2, 2), normal(4)
    g = grad(lambda b: functional.conv2d(x, weight, b).sum())(bias)
    numpy.testing.assert_array_equal(g, [32.0] * 4)
    t = jvp(lambda b: functional.conv2d(x, weight, b), [bias], [numpy.arange(4.0)])[1]
    assert t.shape == (2, 4, 4, 4)
    numpy.testing.assert_array_equal(t[1, :, 2, 3], numpy.arange(4.0))


def test_infinities_outside_a_window_do_not_reach_it():
    x = numpy.ones((1, 1, 1, 6))
    x[..., -1] = numpy.inf
    found = functional.conv2d(x, numpy.ones((1, 1, 1, 2)))
    numpy.testing.assert_array_equal(found.value, [[[[2.0, 2.0, 2.0, 2.0, numpy.inf]]]])


def test_a_tensor_without_gradient_gives_one():
    found = functional.conv2d(Tensor(normal(1, 1, 3, 3)), normal(1, 1, 2, 2))
    assert isinstance(found, Tensor)
    assert not found.tracked
