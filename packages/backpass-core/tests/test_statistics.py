"""Averages, ranges and covariances at their corners."""

import numpy
import pytest

import backpass.numpy as np
from backpass.core import Tensor, grad, hessian, stop_gradient

X = numpy.random.default_rng(0).standard_normal((3, 5))


def test_the_gradient_of_weights_is_the_distance_from_the_average():
    x, w = X[0], numpy.arange(1.0, 6)
    found = grad(lambda x, w: np.average(x, weights=w), (0, 1))(x, w)
    numpy.testing.assert_allclose(found[0], w / 15)
    numpy.testing.assert_allclose(found[1], (x - numpy.average(x, weights=w)) / 15, atol=1e-15)


def test_average_of_other_things_than_float_arrays():
    for args, keywords in (
        (([1, 2, 4],), {}),
        (([1, 2, 4],), {"weights": [1, 0, 1]}),
        ((X.astype("f4"), 1), {"weights": numpy.arange(5, dtype="f4")}),
        ((X > 0, 0), {}),
    ):
        for found, right in zip(
            np.average(*args, returned=True, **keywords),
            numpy.average(*args, returned=True, **keywords),
        ):
            assert found.dtype == right.dtype
            numpy.testing.assert_allclose(found.value, right, rtol=1e-6)
    # 5 a / (3 + a)
    assert grad(lambda a: np.average([a, 2.0], weights=[3.0, a]))(1.0) == 15 / 16


def test_weights_of_average_that_do_not_fit():
    with pytest.raises(TypeError, match="give axis="):
        np.average(X, weights=[1, 2])
    with pytest.raises(ValueError, match=r"that of its axes \(1,\)"):
        np.average(X, 1, weights=[1, 2])
    with pytest.raises(ZeroDivisionError, match="sum to zero"):
        np.average([1.0, 2.0], weights=[1, -1])
    with pytest.raises(ValueError, match="names an axis twice"):
        np.average(X, (0, 0))
    with pytest.raises(numpy.exceptions.AxisError):
        np.average(X, 2)


def test_the_range_shares_among_ties_at_both_ends():
    found = grad(np.ptp)(numpy.array([3.0, 1, 3, 2, 1, 1]))
    numpy.testing.assert_allclose(found, [0.5, -1 / 3, 0.5, 0, -1 / 3, -1 / 3])
    numpy.testing.assert_array_equal(grad(np.ptp)(numpy.ones(3)), 0)
    assert np.ptp([3, 7]).dtype == int
    assert numpy.ptp(Tensor(numpy.array([3.0, 7.0]))).value == 4
    with pytest.raises(TypeError, match="out= is not supported"):
        np.ptp(X, out=numpy.ones(()))


def test_the_cotangent_of_cov_is_the_symmetric_formula():
    g = numpy.random.default_rng(1).standard_normal((3, 3))
    found = grad(lambda x: np.sum(g * np.cov(x)))(X)
    d = X - X.mean(axis=1, keepdims=True)
    numpy.testing.assert_allclose(found, (g + g.T) @ d / 4, atol=1e-14)
    assert grad(lambda x: np.sum(np.cov(x)))(X.astype("f4")).dtype == "f4"


def test_cov_of_lists_vectors_and_nothing():
    for args in (([1, 2, 4],), ([[1, 2], [3, 5]], [1, 4]), (X[0], X[1]), (numpy.zeros((0, 3)),)):
        found, right = np.cov(*args), numpy.cov(*args)
        assert (found.shape, found.dtype) == (right.shape, right.dtype)
        numpy.testing.assert_allclose(found.value, right)
    assert grad(lambda x: np.cov([x, 1.0, 3.0]))(2.0) == 0


@pytest.mark.filterwarnings("ignore:divide by zero")
def test_too_few_observations_warn_as_in_numpy():
    with pytest.warns(RuntimeWarning, match="Degrees of freedom <= 0"):
        found = np.cov(X, ddof=7)
    with pytest.warns(RuntimeWarning, match="Degrees of freedom <= 0"):
        numpy.testing.assert_array_equal(found.value, numpy.cov(X, ddof=7))


@pytest.mark.parametrize(
    ("error", "text", "keywords"),
    [
        (ValueError, "ddof must be a whole number", {"ddof": 0.5}),
        (TypeError, "whole numbers", {"fweights": numpy.full(5, 0.5)}),
        (ValueError, "fweights must not be negative", {"fweights": [-1] * 5}),
        (ValueError, "aweights must not be negative", {"aweights": [-1.0] * 5}),
        (RuntimeError, r"aweights of shape \(2,\) for 5", {"aweights": [1, 2]}),
        (RuntimeError, "fweights has 2 axes", {"fweights": numpy.ones((5, 1))}),
        (ValueError, "y has 3 axes", {"y": numpy.ones((1, 1, 5))}),
    ],
)
def test_bad_arguments_of_cov_are_named(error, text, keywords):
    with pytest.raises(error, match=text):
        np.cov(X, **keywords)


def test_counts_have_no_derivative():
    counts = numpy.array([1.0, 2, 1, 1, 3])
    with pytest.raises(TypeError, match="use aweights"):
        grad(lambda w: np.sum(np.cov(X, fweights=w)))(counts)
    assert grad(lambda x: np.cov(x, fweights=stop_gradient(counts)))(X[0]).shape == (5,)


def test_what_is_perfectly_correlated_has_no_slope_and_its_true_curvature():
    x = numpy.array([1.0, 2, 4])
    f = lambda x: np.corrcoef(x, numpy.array([2.0, 4, 8]))[0, 1]  # noqa: E731
    numpy.testing.assert_allclose(grad(f)(x), 0, atol=1e-15)
    # The correlation falls as 1 - |e|**2 / (2 |d|**2), for what e is neither constant nor along d.
    d = x - x.mean()
    e = numpy.cross(numpy.ones(3), d)
    e /= numpy.linalg.norm(e)
    numpy.testing.assert_allclose(e @ hessian(f)(x) @ e, -1 / (d @ d), rtol=1e-9)
    assert np.corrcoef(X)[0, 0].value <= 1
    assert grad(lambda x: np.corrcoef(x))(X[0]).tolist() == [0] * 5
