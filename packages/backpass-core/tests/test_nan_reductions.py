"""Reductions without nan at their corners: nothing left, ties, infinities."""

import warnings

import numpy
import pytest

import backpass.numpy as np
from backpass.core import Tensor, grad, jvp

NAN, INF = numpy.nan, numpy.inf
X = numpy.array([[1.0, NAN, 3.0], [NAN, NAN, NAN], [2.0, 2.0, NAN]])
ALL = ("nansum", "nanprod", "nanmean", "nanvar", "nanstd", "nanmax", "nanmin", "nanmedian")


@pytest.mark.filterwarnings("ignore::RuntimeWarning", "ignore:the output of")
@pytest.mark.parametrize("name", ALL)
def test_what_is_nan_and_rows_of_nan_get_no_gradient(name):
    f = getattr(np, name)
    found = grad(lambda x: np.sum(f(x, axis=1)))(X)
    assert (found[numpy.isnan(X)] == 0).all()
    assert numpy.isfinite(found).all()
    tangent = numpy.asarray(jvp(lambda x: f(x, axis=1), (X,), (numpy.ones_like(X),))[1])
    numpy.testing.assert_allclose(tangent, found.sum(axis=1), atol=1e-15)
    assert (grad(lambda x: np.sum(grad(lambda y: np.sum(f(y, axis=1)))(x)))(X)[1] == 0).all()
    assert grad(lambda x: np.sum(f(x, axis=1)))(X.astype("f4")).dtype == "f4"


@pytest.mark.parametrize("name", ALL[2:])
def test_nothing_left_is_nan_and_warns_as_numpy_does(name):
    with pytest.warns(RuntimeWarning) as ours:
        found = getattr(np, name)(X, axis=1)
    with pytest.warns(RuntimeWarning) as theirs:
        right = getattr(numpy, name)(X, axis=1)
    assert str(ours[0].message) == str(theirs[0].message)
    assert ours[0].filename == __file__
    numpy.testing.assert_allclose(found.value, right)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        getattr(np, name)(X[::2], axis=1)


def test_extremes_share_among_ties_and_not_with_nan():
    numpy.testing.assert_array_equal(grad(np.nanmax)(numpy.array([3, NAN, 3, 1])), [0.5, 0, 0.5, 0])
    numpy.testing.assert_array_equal(grad(np.nanmin)(numpy.array([NAN, 1.0])), [0, 1])
    numpy.testing.assert_array_equal(grad(np.nanmax)(numpy.array([-INF, NAN])), [1, 0])
    numpy.testing.assert_array_equal(grad(np.nanmin)(numpy.array([INF, NAN, INF])), [0.5, 0, 0.5])
    # Where `initial` is the extreme, nobody gets anything.
    f = lambda x: np.nanmax(x, initial=9.0)  # noqa: E731
    numpy.testing.assert_array_equal(grad(f)(numpy.array([NAN, 1.0])), [0, 0])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_one_number_has_no_variance_and_its_deviation_no_slope():
    x = numpy.array([NAN, 0.3, NAN])
    for f in (np.nanvar, np.nanstd):
        assert f(x).value == 0
        numpy.testing.assert_array_equal(grad(f)(x), 0)
        assert numpy.isnan(f(x, ddof=1).value)
        numpy.testing.assert_array_equal(grad(lambda x, f=f: f(x, ddof=1))(x), 0)
        numpy.testing.assert_array_equal(grad(lambda x, f=f: f(x, ddof=2))(numpy.ones(2)), 0)


def test_products_with_zeros_and_nan():
    found = grad(np.nanprod)(numpy.array([2.0, NAN, 0.0, 5.0]))
    numpy.testing.assert_array_equal(found, [0, 0, 10, 0])
    found = grad(lambda x: np.sum(np.nancumprod(x)))(numpy.array([2.0, NAN, 0.0, 5.0]))
    numpy.testing.assert_array_equal(found, [2, 0, 12, 0])
    found = grad(lambda x: np.sum(np.nancumsum(x)))(numpy.array([2.0, NAN, 0.0]))
    numpy.testing.assert_array_equal(found, [3, 0, 1])


def test_integers_booleans_lists_and_nothing():
    for name in ALL:
        for x in ([1, 2, 4], [[1.0, NAN]], 3.0):
            found, right = getattr(np, name)(x), getattr(numpy, name)(x)
            assert found.dtype == right.dtype
            numpy.testing.assert_array_equal(found.value, right)
    assert np.nansum([]).value == 0
    with pytest.raises(ValueError, match="zero-size"):
        np.nanmax([])
    found = grad(lambda x: np.nanmean([x, NAN, x * x]))(3.0)
    assert found == 3.5


def test_numpys_own_functions_and_fmax_reduce():
    t = Tensor(X[0])
    assert numpy.nanmean(t).value == 2
    assert numpy.fmax.reduce(t).value == 3


def test_what_is_refused():
    for name in ALL:
        with pytest.raises(TypeError, match=f"{name}: out= is not supported"):
            getattr(np, name)(X, out=numpy.ones(3))
    for name in ("nanmean", "nanvar", "nanstd"):
        with pytest.raises(TypeError, match=f"{name}: dtype="):
            getattr(np, name)(X, dtype=int)
    with pytest.raises(ValueError, match="needs initial="):
        np.nanmax(X, where=X > 0)
    with pytest.raises(ValueError, match="not both"):
        np.nanvar(X, ddof=1, correction=1)
