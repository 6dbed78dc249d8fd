"""Medians and quantiles at their corners: ties, nan, infinities, q at an element."""

import numpy
import pytest

import backpass.numpy as np
from backpass.core import Tensor, grad, hessian, jvp
from backpass.core.testing import check_grads

NAN, INF = numpy.nan, numpy.inf
METHODS = """
linear interpolated_inverted_cdf hazen weibull median_unbiased normal_unbiased inverted_cdf
averaged_inverted_cdf closest_observation lower higher nearest midpoint
""".split()


@pytest.mark.parametrize(
    ("x", "wanted"),
    [
        ([3, 1, 2], [0, 0, 1]),
        ([4, 1, 3, 2], [0, 0, 0.5, 0.5]),
        ([1, 2, 2, 2, 3], [0, 1 / 3, 1 / 3, 1 / 3, 0]),
        ([2, 1, 2, 3, 9, 0], [0.5, 0, 0.5, 0, 0, 0]),
        ([1, 1, 2, 2], [0.25, 0.25, 0.25, 0.25]),
        ([5, 5], [0.5, 0.5]),
        ([1, NAN, 2, NAN], [0, 0.5, 0, 0.5]),
        ([-INF, INF, 0], [0, 0, 1]),
        ([INF, INF, 0], [0.5, 0.5, 0]),
    ],
)
def test_equal_elements_share_and_a_nan_takes_all(x, wanted):
    x = numpy.array(x, float)
    numpy.testing.assert_allclose(grad(np.median)(x), wanted)
    tangent = numpy.arange(1.0, x.size + 1)
    found = jvp(np.median, (x,), (tangent,))[1]
    numpy.testing.assert_allclose(float(numpy.asarray(found)), tangent @ wanted)
    assert not hessian(lambda x: np.median(x) + np.sum(x * 0))(x).any() or numpy.isnan(x).any()
    if not numpy.isinf(x).any():  # between infinities NumPy's formula is nan, and so is ours
        numpy.testing.assert_allclose(grad(lambda x: np.quantile(x, 0.5))(x), wanted)


def test_the_ends_are_max_and_min():
    x = numpy.array([[3.0, 1, 3, 1], [2, NAN, 5, 5]])
    for q, f in ((0, np.min), (1.0, np.max)):
        numpy.testing.assert_array_equal(
            grad(lambda x, q=q: np.sum(np.quantile(x, q, axis=1)))(x),
            grad(lambda x, f=f: np.sum(f(x, axis=1)))(x),
        )


@pytest.mark.parametrize("lost", [False, True])
def test_many_quantiles_share_as_few_do(lost):
    rng = numpy.random.default_rng(0)
    x = rng.integers(0, 4, (3, 9)).astype(float)
    x[0, 2] = x[0, 5] = NAN
    f = np.nanquantile if lost else np.quantile
    q = numpy.linspace(0, 1, 21)
    g = rng.standard_normal((21, 3))
    found = grad(lambda x: np.sum(f(x, q, axis=1) * g))(x)
    wanted = sum(grad(lambda x, i=i: np.sum(f(x, q[i], axis=1) * g[i]))(x) for i in range(21))
    numpy.testing.assert_allclose(found, wanted, atol=1e-14)
    t = rng.standard_normal(x.shape)
    tangent = numpy.asarray(jvp(lambda x: f(x, q, axis=1), (x,), (t,))[1])
    numpy.testing.assert_allclose(numpy.sum(tangent * g), numpy.sum(found * t))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["quantile", "nanquantile"])
def test_values_are_numpys_by_every_method(name, method):
    x = numpy.random.default_rng(0).standard_normal((4, 5))
    lost = numpy.where(x > 0.8, NAN, x)
    for a in (x, lost, x.astype("f4"), numpy.rint(x * 3).astype(int)):
        for q in (0.3, [0.0, 0.25, 1.0], numpy.float64(0.5), 1, [0, 1]):
            for axis in (None, 0, (1, 0)):
                found = getattr(np, name)(a, q, axis, method=method, keepdims=True)
                right = getattr(numpy, name)(a, q, axis, method=method, keepdims=True)
                assert found.dtype == right.dtype or numpy.isnan(right).any()
                numpy.testing.assert_array_equal(found.value, right)


@pytest.mark.parametrize("name", ["quantile", "nanquantile"])
def test_values_with_weights_are_numpys(name):
    rng = numpy.random.default_rng(0)
    x, w = rng.standard_normal((4, 5)), rng.integers(0, 3, (4, 5))
    lost = numpy.where(x > 0.8, NAN, x)
    for a in (x, lost):
        for q in (0.0, 0.3, [0.25, 1.0]):
            for axis in (None, 0, 1):
                options = {"method": "inverted_cdf", "weights": w}
                numpy.testing.assert_array_equal(
                    getattr(np, name)(a, q, axis, **options).value,
                    getattr(numpy, name)(a, q, axis, **options),
                )
    f = lambda x: np.quantile(x, 0.5, method="inverted_cdf", weights=[1, 3, 1])  # noqa: E731
    numpy.testing.assert_array_equal(grad(f)(numpy.array([2.0, 1.0, 2.0])), [0, 1, 0])


def test_the_slope_in_q_is_the_lesser_at_an_element_and_the_inner_one_at_the_ends():
    x = numpy.array([7.0, 0.0, 1.0])
    slope = grad(lambda q, method="linear": np.quantile(x, q, method=method))
    assert [slope(q) for q in (0.0, 0.25, 0.5, 0.75, 1.0)] == [2, 2, 2, 12, 12]
    # By this method the first and the last third of q change nothing.
    assert [slope(q, "weibull") for q in (0.0, 0.25, 0.5, 0.75, 1.0)] == [0, 0, 4, 0, 0]
    assert slope(0.1, "weibull") == 0
    assert grad(lambda q: np.percentile(x, q))(75.0) == 0.12


def test_methods_that_jump_are_constant_in_q():
    x = numpy.array([7.0, 0.0, 1.0])
    for method in METHODS[6:]:
        with pytest.warns(UserWarning, match="does not depend"):
            assert grad(lambda q, m=method: np.quantile(x, q, method=m))(0.3) == 0


def test_a_float_that_is_differentiated_stays_weak():
    x = numpy.array([1.0, 2.0, 4.0], "f4")
    kinds = []

    def f(q):
        found = np.quantile(x, q)
        kinds.append(found.dtype)
        return found

    grad(f)(0.3)
    assert kinds == ["f4"]
    assert grad(lambda x: np.quantile(x, 0.3))(x).dtype == "f4"
    assert grad(np.median)(x).dtype == "f4"


def test_to_second_order_in_both():
    x = numpy.array([[0.3, NAN, 2.0, 1.1], [0.1, 0.9, 0.5, 3.0]])
    check_grads(lambda q: np.nanquantile(x, q, axis=1) ** 2, (numpy.array([0.2, 0.6]),), order=2)
    check_grads(lambda x, q: np.quantile(x, q) ** 2, (x[1], 0.6), order=2)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nothing_and_nothing_left():
    assert numpy.isnan(np.median([]).value)
    assert np.median(numpy.zeros((2, 0, 3)), axis=1).shape == (2, 3)
    assert numpy.isnan(np.nanquantile([], 0.5).value)
    with pytest.raises(IndexError, match="quantile: a has no elements along axis=None"):
        np.quantile([], 0.5)
    x = numpy.array([[NAN, NAN], [1.0, NAN]])
    for f in (np.nanmedian, lambda x, axis: np.nanquantile(x, [0.2, 0.7], axis)):
        found = grad(lambda x, f=f: np.sum(f(x, axis=1)))(x)
        numpy.testing.assert_array_equal(found[0], 0)
        assert found[1, 1] == 0 < found[1, 0]
    with pytest.warns(RuntimeWarning, match="All-NaN slice"):
        np.nanquantile(x, 0.5, axis=1)


def test_lists_integers_and_complex_medians():
    assert np.median([3, 1, 2]).dtype == float
    assert np.quantile([1, 2, 4], 0.5, method="lower").dtype == int
    assert grad(lambda x: np.median([x, 2 * x, 9.0]))(1.0) == 2
    z = numpy.array([2 + 1j, 1j, 1 + 5j])
    assert np.median(z).value == numpy.median(z)
    assert numpy.median(Tensor(z)).value == numpy.median(z)
    big = numpy.array([[1.7e308, NAN], [1.0, 2.0]])
    assert np.nanmedian(big, axis=1).value[0] == 1.7e308


def test_the_input_is_not_overwritten():
    x = numpy.array([3.0, 1.0, 2.0])
    np.median(x, overwrite_input=True)
    np.quantile(x, 0.2, overwrite_input=True)
    assert x.tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    ("error", "text", "args", "keywords"),
    [
        (ValueError, r"q must be in the range \[0, 1\]", (1.5,), {}),
        (ValueError, r"q must be in the range \[0, 1\]", ([0.2, NAN],), {}),
        (ValueError, "method='best' is not known: use linear", (0.5,), {"method": "best"}),
        (ValueError, "weights are for method='inverted_cdf' only", (0.5,), {"weights": [1, 1]}),
        (TypeError, "out= is not supported", (0.5,), {"out": numpy.ones(())}),
        (
            ValueError,
            "must not be negative",
            (0.5,),
            {"method": "inverted_cdf", "weights": [-1, 1]},
        ),
        (ValueError, "must not all be 0", (0.5,), {"method": "inverted_cdf", "weights": [0, 0]}),
    ],
)
def test_bad_arguments_are_named(error, text, args, keywords):
    for f in (np.quantile, np.nanquantile):
        with pytest.raises(error, match=text):
            f(numpy.ones(2), *args, **keywords)
    with pytest.raises(ValueError, match=r"percentile: q must be in the range \[0, 100\]"):
        np.percentile(numpy.ones(2), 101)
    with pytest.raises(TypeError, match="complex numbers have no order"):
        np.quantile(numpy.ones(2) + 1j, 0.5)
