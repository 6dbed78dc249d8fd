"""Pooling: ties, nan, borders, what it refuses; and the transposed maps by themselves."""

import numpy
import pytest

from backpass.core import grad, jvp
from backpass.core.testing import check_grads
from backpass.nn import functional
from backpass.nn.functional.pooling import max_pool2d_, max_pool2d_input, max_pool2d_pick

INF, NAN = numpy.inf, numpy.nan


def gradient(x, *args, **options):
    return grad(lambda x: functional.max_pool2d(x, *args, **options).sum())(x)


def test_the_first_of_several_gets_the_gradient():
    x = numpy.array([[[3.0, 3.0], [3.0, 3.0]]])
    numpy.testing.assert_array_equal(gradient(x, 2), [[[1, 0], [0, 0]]])
    numpy.testing.assert_array_equal(gradient(-x * 0, 2), [[[1, 0], [0, 0]]])


@pytest.mark.parametrize("place", range(4))
def test_nan_shows_and_gets_the_gradient(place):
    x = numpy.array([1.0, 4.0, 2.0, 3.0])
    x[place] = NAN
    x = x.reshape(1, 2, 2)
    assert numpy.isnan(functional.max_pool2d(x, 2).value).all()
    numpy.testing.assert_array_equal(gradient(x, 2).ravel(), numpy.arange(4) == place)


def test_the_first_of_two_nans_gets_the_gradient():
    x = numpy.array([[[1.0, NAN, INF, NAN]]])
    numpy.testing.assert_array_equal(gradient(x, (1, 4)), [[[0, 1, 0, 0]]])


def test_the_border_never_wins():
    x = numpy.full((1, 2, 2), -INF)
    found = functional.max_pool2d(x, 2, padding=1)
    numpy.testing.assert_array_equal(found.value, numpy.full((1, 2, 2), -INF))
    numpy.testing.assert_array_equal(gradient(x, 2, padding=1), numpy.ones((1, 2, 2)))


def test_overlapping_windows_add_up():
    x = numpy.array([[0.0, 0.0, 5.0, 0.0, 0.0]])
    g = grad(lambda x: functional.max_pool1d(x, 3, 1).sum())(x)
    numpy.testing.assert_array_equal(g, [[0, 0, 3, 0, 0]])


def test_integers_are_pooled():
    found = functional.max_pool1d(numpy.array([[-5, -3, -4]]), 3, 1, 1)
    numpy.testing.assert_array_equal(found.value, [[-3, -3, -3]])
    assert found.dtype.kind == "i"


@pytest.mark.parametrize("border", [0, 1])
def test_booleans_are_pooled(border):
    x = numpy.array([[[True, False, False, False]]])
    found = functional.max_pool1d(x, 2, padding=border).value
    assert found.dtype == bool
    numpy.testing.assert_array_equal(found[0, 0], [[True, False], [True, False, False]][border])


@pytest.mark.parametrize("dtype", ["uint8", "int8", "bool"])
def test_the_mean_of_small_integers_does_not_overflow(dtype):
    most = numpy.ones((1, 2, 4, 4), dtype) * (1 if dtype == "bool" else numpy.iinfo(dtype).max)
    for y in (
        functional.avg_pool2d(most.astype(dtype), 2),
        functional.avg_pool2d(most.astype(dtype), 3, 1, 1, count_include_pad=False),
        functional.adaptive_avg_pool2d(most.astype(dtype), 1),
        functional.adaptive_avg_pool2d(most.astype(dtype), 3),
    ):
        assert y.dtype == numpy.float64
        numpy.testing.assert_array_equal(y.value, numpy.full(y.shape, float(most.max())))


def test_the_mean_in_half_precision_is_added_up_in_single():
    x = numpy.full((1, 1, 16, 16), 4000, "float16")
    y = functional.avg_pool2d(x, 16)
    assert y.dtype == numpy.float16
    assert y.value.item() == 4000
    x = numpy.random.default_rng(0).normal(size=(1, 1, 9, 9)).astype("float16")
    w = numpy.random.default_rng(1).normal(size=(1, 1, 7, 7)).astype("float16")
    g = grad(lambda x: (functional.avg_pool2d(x, 3, 1) * w).sum())(x)
    wide, right = w.astype("float64"), numpy.zeros((9, 9))
    for i, j in numpy.ndindex(7, 7):
        right[i : i + 3, j : j + 3] += wide[0, 0, i, j] / 9
    assert g.dtype == numpy.float16
    numpy.testing.assert_allclose(g[0, 0], right, rtol=2**-10, atol=2**-20)


def test_complex_numbers_have_no_largest():
    with pytest.raises(TypeError, match="max_pool1d: `x` holds complex128"):
        functional.max_pool1d(numpy.ones((1, 4), complex), 2)


def test_an_empty_batch_has_an_empty_output():
    x = numpy.zeros((0, 2, 5, 5))
    for f in (
        lambda x: functional.max_pool2d(x, 3, 2, 1),
        lambda x: functional.avg_pool2d(x, 3, 2, 1),
        lambda x: functional.adaptive_avg_pool2d(x, 3),
    ):
        assert f(x).shape == (0, 2, 3, 3)
        assert grad(lambda x, f=f: f(x).sum())(x).shape == x.shape


def test_a_large_window_has_numbers_of_more_bytes():
    x = numpy.zeros((1, 1, 1, 300))
    x[..., 290] = 1
    options = {
        "size": (1, 300),
        "window": (1, 300),
        "stride": (1, 1),
        "padding": ((0, 0), (0, 0)),
        "dilation": (1, 1),
    }
    winner = max_pool2d_.op(x, **options)[1]
    assert winner.dtype == numpy.uint16
    assert winner.item() == 290
    assert gradient(x, (1, 300)).argmax() == 290
    assert max_pool2d_.op(x[..., :256], **options | {"size": (1, 256), "window": (1, 256)})[
        1
    ].dtype == (numpy.uint8)


@pytest.mark.parametrize("f", [max_pool2d_input, max_pool2d_pick])
def test_the_transposed_maps_are_linear(f):
    x = numpy.random.default_rng(0).permutation(2 * 5 * 6).reshape(1, 2, 5, 6) / 7
    options = {
        "size": (5, 6),
        "window": (3, 2),
        "stride": (2, 1),
        "padding": ((1, 1), (0, 0)),
        "dilation": (1, 2),
    }
    y, winner = max_pool2d_.op(x, **options)
    check_grads(lambda a: f(a, winner, **options), [y if f is max_pool2d_input else x], order=2)
    if f is max_pool2d_pick:
        numpy.testing.assert_array_equal(f.op(x, winner, **options), y)


def test_forward_mode_carries_the_winners_tangent():
    x, t = numpy.array([[1.0, 5.0, 2.0, 4.0]]), numpy.array([[10.0, 20.0, 30.0, 40.0]])
    moved = jvp(lambda x: functional.max_pool1d(x, 2), [x], [t])[1]
    numpy.testing.assert_array_equal(moved, [[20.0, 40.0]])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtypes_stay(dtype):
    x = numpy.ones((1, 2, 5, 5), dtype)
    for y in (
        functional.max_pool2d(x, 2),
        functional.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        functional.avg_pool2d(x, 2),
        functional.adaptive_avg_pool2d(x, 2),
        functional.adaptive_avg_pool2d(x, 1),
    ):
        assert y.dtype == dtype
        numpy.testing.assert_array_equal(y.value, numpy.ones(y.shape))


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (lambda x: functional.max_pool2d(x, 2, padding=2), "`padding` is 2.*half"),
        (lambda x: functional.max_pool2d(x, 7), "spans 7 elements, the input has only 5"),
        (lambda x: functional.max_pool2d(x, 0), "`kernel_size` is 0"),
        (lambda x: functional.max_pool2d(x, (2, 2, 2)), "`kernel_size` is"),
        (lambda x: functional.max_pool2d(x, 2, 0), "`stride` is 0"),
        (lambda x: functional.max_pool2d(x, 2, dilation=0), "`dilation` is 0"),
        (lambda x: functional.max_pool1d(x, 2), r"`x` has shape \(1, 2, 5, 5\)"),
        (lambda x: functional.avg_pool2d(x, 6), "spans 6"),
        (lambda x: functional.adaptive_avg_pool2d(x, 0), "`output_size` is"),
        (lambda x: functional.adaptive_avg_pool2d(x[:, :, :0], 1), "no elements to average"),
    ],
)
def test_bad_arguments_are_named(call, reason):
    with pytest.raises(ValueError, match=reason):
        call(numpy.ones((1, 2, 5, 5)))
