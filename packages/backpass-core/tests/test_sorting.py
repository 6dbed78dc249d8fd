"""Sorting and sets at their corners: ties, nan, what is empty, what is refused."""

import numpy
import pytest

import backpass.numpy as np
from backpass.core import grad, jvp
from backpass.core.testing import check_grads

WEIGHTS = numpy.array([1.0, 10.0, 100.0, 1000.0])


def weighted(f):
    return lambda x: np.sum(f(x) * WEIGHTS)


def test_equal_elements_keep_their_order_if_it_is_stable():
    x = numpy.array([2.0, 1.0, 2.0, 1.0])
    found = grad(weighted(lambda x: np.sort(x, stable=True)))(x)
    numpy.testing.assert_array_equal(found, [100, 1, 1000, 10])


@pytest.mark.parametrize("f", [np.sort, lambda x: np.partition(x, 2)])
def test_the_gradient_of_ties_is_a_permutation_too(f):
    found = grad(weighted(f))(numpy.array([2.0, 2.0, 1.0, 2.0]))
    assert found[2] == 1
    assert sorted(found) == [1, 10, 100, 1000]


def test_a_nan_is_last_and_gets_what_belongs_there():
    x = numpy.array([numpy.nan, 3.0, 1.0, 2.0])
    numpy.testing.assert_array_equal(np.sort(x).value, [1, 2, 3, numpy.nan])
    numpy.testing.assert_array_equal(grad(weighted(np.sort))(x), [1000, 100, 1, 10])


def test_the_tangent_is_sorted_like_the_array():
    value, tangent = jvp(np.sort, (numpy.array([3.0, 1.0]),), (numpy.array([30.0, 10.0]),))
    numpy.testing.assert_array_equal(value.value, [1, 3])
    numpy.testing.assert_array_equal(getattr(tangent, "value", tangent), [10, 30])


def test_sort_of_something_that_is_no_array():
    numpy.testing.assert_array_equal(np.sort([3, 1, 2]).value, [1, 2, 3])
    assert np.sort([]).shape == (0,)
    assert np.sort(numpy.zeros((2, 0)), axis=0).shape == (2, 0)


@pytest.mark.parametrize("f", [np.sort, np.argsort])
def test_an_order_of_fields_is_refused(f):
    with pytest.raises(TypeError, match="order= is for arrays with fields"):
        f(numpy.ones(2), order="name")
    with pytest.raises(ValueError, match="not both"):
        f(numpy.ones(2), kind="stable", stable=True)
    with pytest.raises(numpy.exceptions.AxisError):
        f(numpy.ones(2), axis=1)


def test_a_kind_of_partition_that_is_unknown():
    for f in (np.partition, np.argpartition):
        with pytest.raises(ValueError, match="only 'introselect'"):
            f(numpy.ones(3), 1, kind="quicksort")
        with pytest.raises(ValueError, match="kth"):
            f(numpy.ones(3), 3)


@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_argpartition_and_argsort_take_any_axis(axis):
    x = numpy.random.default_rng(0).standard_normal((4, 5))
    numpy.testing.assert_array_equal(np.argsort(x, axis=axis).value, numpy.argsort(x, axis=axis))
    places = np.argpartition(x, (1, 3), axis=axis)
    assert places.dtype.kind == "i"
    assert not places.tracked
    sorted_, found = numpy.sort(x, axis=axis), np.partition(x, (1, 3), axis=axis).value
    for k in (1, 3):
        along = 0 if axis is None else axis
        numpy.testing.assert_array_equal(numpy.take(sorted_, k, along), numpy.take(found, k, along))


def test_searchsorted_asks_and_tracks_nothing():
    a, v = numpy.array([1.0, 2.0, 4.0]), numpy.array([2.0, 5.0])
    found = np.searchsorted(np.array(a).requires_grad_(), v, side="right")
    numpy.testing.assert_array_equal(found.value, [2, 3])
    assert not found.tracked
    assert np.searchsorted(a, 3.0).value == 2
    order = numpy.array([2, 0, 1])
    numpy.testing.assert_array_equal(
        np.searchsorted([2.0, 4.0, 1.0], v, sorter=order).value,
        numpy.searchsorted([2.0, 4.0, 1.0], v, sorter=order),
    )


def test_unique_gives_the_gradient_to_the_first_of_equals():
    x = numpy.array([2.0, 1.0, 2.0])
    numpy.testing.assert_array_equal(
        grad(lambda x: np.sum(np.unique(x) * WEIGHTS[:2]))(x), [10, 1, 0]
    )
    for options in (
        {"return_index": True},
        {"return_inverse": True},
        {"return_counts": True},
        {"return_index": True, "return_inverse": True, "return_counts": True},
    ):
        for found, right in zip(np.unique(x, **options), numpy.unique(x, **options), strict=True):
            numpy.testing.assert_array_equal(found.value, right)


def test_nans_of_unique():
    x = [numpy.nan, 1.0, numpy.nan]
    assert np.unique(x).shape == (2,)
    assert np.unique(x, equal_nan=False).shape == (3,)


def test_sets_are_numpys():
    x, y = [3, 1, 2, 1], [2, 5, 3]
    for name in ("union1d", "intersect1d", "setdiff1d", "setxor1d"):
        numpy.testing.assert_array_equal(getattr(np, name)(x, y).value, getattr(numpy, name)(x, y))
    numpy.testing.assert_array_equal(np.isin(np.array(x), y).value, [True, False, True, False])
    numpy.testing.assert_array_equal(np.digitize([0.5, 2.5], [0, 1, 2]).value, [1, 3])
    with pytest.raises(TypeError, match="return_indices="):
        np.intersect1d(x, y, return_indices=True)


def test_bincount_counts_and_adds_up():
    numpy.testing.assert_array_equal(np.bincount([0, 2, 2], minlength=4).value, [1, 0, 2, 0])
    check_grads(lambda w: np.bincount(np.array([1, 0, 1]), w), [numpy.array([0.5, 2.0, 3.0])])
    assert np.bincount([0, 1], numpy.ones(2, "float32")).dtype == float
    with pytest.raises(ValueError, match="one for each"):
        np.bincount([0, 1], [1.0])


def test_an_index_of_a_grid():
    x = numpy.arange(12.0).reshape(3, 4)
    index = np.ix_([2, 0], np.array([True, False, True, False]))
    assert not any(part.tracked for part in index)
    numpy.testing.assert_array_equal(
        np.array(x)[index].value, x[numpy.ix_([2, 0], [True, False, True, False])]
    )
    with pytest.raises(TypeError, match="integers or masks"):
        np.ix_(np.ones(2))
    with pytest.raises(ValueError, match="must have one"):
        np.ix_([[1]])
    assert np.ix_([])[0].shape == (0,)


def test_an_intersection_has_the_dtype_that_holds_both():
    found = np.intersect1d([1, 2, 3], [1.0, 3.0])
    assert found.dtype == numpy.float64
    numpy.testing.assert_array_equal(found.value, [1, 3])


def test_bins_of_nothing_and_of_complex_weights():
    numpy.testing.assert_array_equal(np.bincount([], minlength=2).value, [0, 0])
    with pytest.raises(TypeError, match="complex"):
        np.bincount([0, 1], [1j, 2])
