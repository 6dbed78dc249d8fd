"""Differences, slopes and vector products at their corners."""

import numpy
import pytest

import backpass.numpy as np
from backpass.core import grad
from backpass.core.ops.shaping import make_diagonal
from backpass.core.testing import check_grads

X = numpy.array([1.0, 4.0, 9.0, 16.0])


def test_diff_of_other_things_than_floats():
    numpy.testing.assert_array_equal(np.diff([1, 4, 9]).value, [3, 5])
    found = np.diff([True, True, False])
    assert found.dtype == bool
    numpy.testing.assert_array_equal(found.value, [False, True])
    numpy.testing.assert_array_equal(
        np.diff([1, 2], prepend=0, append=[5, 5]).value,
        numpy.diff([1, 2], prepend=0, append=[5, 5]),
    )


def test_bad_arguments_of_diff_are_named():
    with pytest.raises(ValueError, match="n must not be negative, it is -1"):
        np.diff(X, n=-1)
    with pytest.raises(ValueError, match="at least one axis"):
        np.diff(1.0)
    with pytest.raises(numpy.exceptions.AxisError):
        np.diff(X, axis=1)
    with pytest.raises(numpy.exceptions.AxisError):
        np.diff(X, axis=1, prepend=0)


def test_no_difference_is_a_copy():
    x = np.array(X)
    y = np.diff(x, n=0)
    y[0] = 7.0
    assert x.value[0] == 1


def test_none_comes_neither_before_nor_after():
    numpy.testing.assert_array_equal(np.diff(X, prepend=None, append=None).value, numpy.diff(X))


def test_gradient_is_numpys_for_integers_and_single_precision():
    numpy.testing.assert_array_equal(np.gradient([1, 4, 9]).value, [3, 4, 5])
    x = X.astype("float32")
    for spacing in ((), (0.5,), (numpy.float64(0.5),), (numpy.arange(4.0) ** 2,)):
        found, right = np.gradient(x, *spacing), numpy.gradient(x, *spacing)
        assert found.dtype == right.dtype == numpy.float32
        numpy.testing.assert_allclose(found.value, right, rtol=1e-6)
    places = numpy.array([0, 1, 3, 7])
    numpy.testing.assert_allclose(np.gradient(X, places).value, numpy.gradient(X, places))


def test_the_gradients_along_several_axes_are_a_tuple():
    found = np.gradient(numpy.eye(3))
    assert type(found) is tuple
    assert len(found) == 2


def test_bad_arguments_of_gradient_are_named():
    with pytest.raises(TypeError, match="2 spacings are given for 1 axes"):
        np.gradient(X, 1.0, 2.0)
    with pytest.raises(ValueError, match=r"shape \(3,\) for axis 0 of length 4"):
        np.gradient(X, numpy.arange(3.0))
    with pytest.raises(ValueError, match="edge_order must be 1 or 2, it is 3"):
        np.gradient(X, edge_order=3)
    with pytest.raises(ValueError, match="needs more than 2"):
        np.gradient(X[:2], X[:2], edge_order=2)
    with pytest.raises(ValueError, match="too small"):
        np.gradient(X[:1])
    with pytest.raises(numpy.exceptions.AxisError):
        np.gradient(X, axis=1)


@pytest.mark.parametrize("shapes", [((2, 2), (2,)), ((2,), (2, 3)), ((3,), (2, 2))])
def test_vectors_in_the_plane(shapes):
    random = numpy.random.default_rng(0)
    x, y = (random.standard_normal(shape) for shape in shapes)
    whole = [
        numpy.concatenate([v, numpy.zeros((*v.shape[:-1], 3 - v.shape[-1]))], -1) for v in (x, y)
    ]
    wanted = numpy.cross(*whole)
    both = x.shape[-1] == y.shape[-1] == 2
    numpy.testing.assert_allclose(np.cross(x, y).value, wanted[..., 2] if both else wanted)
    check_grads(np.cross, [x, y])


def test_bad_arguments_of_cross_are_named():
    with pytest.raises(ValueError, match="length 2 or 3, not 4, 3"):
        np.cross(X, X[:3])
    with pytest.raises(numpy.exceptions.AxisError):
        np.cross(X[:3], X[:3], axis=1)


@pytest.mark.parametrize(
    ("offset", "axes"), [(0, (0, 1)), (1, (0, 1)), (-2, (-1, 0)), (1, (1, 2)), (0, (-1, -2))]
)
def test_make_diagonal_is_undone_by_diagonal(offset, axes):
    d = numpy.random.default_rng(0).standard_normal((2, 3))
    made = make_diagonal(d, offset, *axes)
    numpy.testing.assert_array_equal(np.diagonal(made, offset, *axes).value, d)
    assert made.size == 2 * (3 + abs(offset)) ** 2
    check_grads(lambda d: make_diagonal(d, offset, *axes), [d])


def test_a_diagonal_is_not_shared():
    x = np.array(numpy.eye(2))
    d = np.diagonal(x)
    d[0] = 7.0
    assert x.value[0, 0] == 1
    numpy.testing.assert_array_equal(
        grad(lambda x: np.sum(np.diagonal(x) ** 2))(numpy.eye(2)), 2 * numpy.eye(2)
    )


def test_diff_of_a_list_of_tensors():
    check_grads(lambda x: np.diff([x, 2.0, x * x]), (0.4,))


def test_no_difference_of_truth_values():
    assert np.diff([True, False], n=0).dtype == bool
    with pytest.raises(TypeError, match="integer"):
        np.diff(X, n=1.0)


def test_axes_of_a_gradient_may_be_a_list():
    numpy.testing.assert_array_equal(np.gradient(X, axis=[0]).value, numpy.gradient(X, axis=[0]))


@pytest.mark.parametrize("axes", [([1], [0]), (0, 5), ([-2], [0])])
def test_an_axis_of_tensordot_that_is_not_there_is_named(axes):
    with pytest.raises(numpy.exceptions.AxisError, match=r"tensordot: axis (1|5|-2)"):
        np.tensordot(X, X, axes)


def test_axes_of_tensordot_may_be_numpys_integers_and_none_comes_twice():
    a = numpy.arange(9.0).reshape(3, 3)
    one = numpy.int64(1)
    numpy.testing.assert_array_equal(np.tensordot(a, a, one).value, numpy.tensordot(a, a, 1))
    numpy.testing.assert_array_equal(
        np.tensordot(a, a, (one, one)).value, numpy.tensordot(a, a, (1, 1))
    )
    with pytest.raises(ValueError, match="twice"):
        np.tensordot(a, a, ([0, 0], [0, 1]))


def test_ediff1d_casts_what_stands_at_its_ends():
    for ends in ({}, {"to_end": [1, 2]}, {"to_begin": 7, "to_end": [[8.0]]}):
        for x in (X, X.astype("float32"), numpy.float64(3)):
            numpy.testing.assert_array_equal(
                np.ediff1d(x, **ends).value, numpy.ediff1d(x, **ends), strict=True
            )
    with pytest.raises(TypeError, match="to_end of float64 is not cast to int64"):
        np.ediff1d([1, 2], to_end=0.5)


def test_trapezoid_of_places_with_fewer_axes():
    y = numpy.arange(12.0).reshape(3, 4) ** 2
    for x, axis in ((X, 1), (X[:3], 0), (X, -1), (y, 0)):
        numpy.testing.assert_allclose(
            np.trapezoid(y, x, axis=axis).value, numpy.trapezoid(y, x, axis=axis)
        )
    numpy.testing.assert_array_equal(np.trapezoid([1, 2]).value, 1.5)
    with pytest.raises(numpy.exceptions.AxisError):
        np.trapezoid(y, axis=2)


def test_unwrap_passes_nan_and_keeps_types():
    x = numpy.array([0.0, 7.0, numpy.nan, 3.0])
    numpy.testing.assert_array_equal(grad(lambda x: np.sum(np.unwrap(x)[:2]))(x), [1, 1, 0, 0])
    for kind, period in (("float32", 2.5), ("int64", 4), ("int64", 3)):
        y = (numpy.arange(6) * 5 % 7).astype(kind)
        numpy.testing.assert_array_equal(
            np.unwrap(y, period=period).value, numpy.unwrap(y, period=period), strict=True
        )


@pytest.mark.parametrize("kind", ["int8", "int32", "float32", "float64", "complex64"])
def test_sort_complex_and_vander_have_numpys_types(kind):
    x = numpy.array([3, 1, 2], kind)
    numpy.testing.assert_array_equal(np.sort_complex(x).value, numpy.sort_complex(x), strict=True)
    numpy.testing.assert_array_equal(np.vander(x, 4).value, numpy.vander(x, 4), strict=True)


def test_powers_of_nought_and_of_nan():
    found = grad(lambda x: np.sum(np.vander(x, 3)[:, 1:]))(numpy.array([0.0, numpy.inf, numpy.nan]))
    numpy.testing.assert_array_equal(found, [1, 1, 1])
    with pytest.raises(ValueError, match="N must not be negative"):
        np.vander(X, -1)
    with pytest.raises(ValueError, match="must have one axis"):
        np.vander(1.0)
