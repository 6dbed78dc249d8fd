"""Numbers in the place of nan and infinity."""

import numpy
import pytest

import backpass.numpy as np
from backpass.core import grad

X = numpy.array([1.0, numpy.nan, numpy.inf, -numpy.inf])


def test_a_gradient_flows_where_the_number_is_finite():
    numpy.testing.assert_array_equal(grad(lambda x: np.sum(np.nan_to_num(x)))(X), [1, 0, 0, 0])
    numpy.testing.assert_array_equal(np.nan_to_num(X).value, numpy.nan_to_num(X))


def test_real_and_imaginary_part_are_for_themselves():
    z = numpy.array([complex(1, numpy.nan), complex(numpy.inf, 2)])
    numpy.testing.assert_array_equal(np.nan_to_num(z).value, numpy.nan_to_num(z))
    found = grad(lambda z: np.sum(np.real(np.nan_to_num(z, posinf=1.0) * (2 + 3j))))(z)
    numpy.testing.assert_array_equal(found, [2, 3j])


def test_a_number_that_is_put_there_gets_a_gradient():
    found = grad(lambda a: np.sum(np.nan_to_num(X, nan=a, posinf=2 * a, neginf=0)))(3.0)
    assert found == 3


def test_writing_into_the_argument_is_refused():
    with pytest.raises(TypeError, match="copy=False"):
        np.nan_to_num(X, copy=False)


def test_other_things_than_floats():
    assert np.nan_to_num([1, 2]).dtype.kind == "i"
    assert np.nan_to_num(numpy.nan).value == 0


def test_real_if_close_goes_by_all_elements():
    close = numpy.array([1 + 1e-15j, 2])
    assert np.real_if_close(close).dtype == float
    assert np.real_if_close(close, tol=1).dtype == float
    assert np.real_if_close(close, tol=1e-16).dtype == complex
    assert np.real_if_close(close + 1j).dtype == complex
    assert np.real_if_close([1.0, 2.0]).dtype == float
    assert grad(lambda z: np.sum(np.real_if_close(z)))(close).dtype == complex


@pytest.mark.parametrize("name", ["isposinf", "isneginf", "isreal", "iscomplex", "fix"])
def test_questions_about_elements(name):
    x = numpy.array([1.5, -2.5, numpy.inf, -numpy.inf])
    found = getattr(np, name)(np.array(x).requires_grad_())
    right = getattr(numpy, "trunc" if name == "fix" else name)(x)
    assert not found.tracked
    assert found.dtype == right.dtype
    numpy.testing.assert_array_equal(found.value, right)


def test_a_pure_imaginary_number_is_complex():
    numpy.testing.assert_array_equal(np.iscomplex([1j, 1 + 0j]).value, [True, False])
    numpy.testing.assert_array_equal(np.isreal([1j, 1 + 0j]).value, [False, True])
