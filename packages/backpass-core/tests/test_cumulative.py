"""Cumulative products at their corners: zeros, infinities, other things than floats."""

import itertools

import numpy
import pytest

import backpass.numpy as np
from backpass.core import Tensor, grad, hessian, jvp
from backpass.core.ops.cumulative import recurrence
from backpass.core.testing import check_grads

G = numpy.array([1.0, 10.0, 100.0, 1000.0])


def weighted(x):
    return np.sum(np.cumprod(x) * G)


@pytest.mark.parametrize(
    "zeros", [z for n in range(5) for z in itertools.combinations(range(4), n)]
)
def test_the_derivative_is_that_of_the_products_whatever_is_zero(zeros):
    x = numpy.array([2.0, -3.0, 0.5, 4.0])
    x[list(zeros)] = 0
    first, second = numpy.zeros(4), numpy.zeros((4, 4))
    for k in range(4):
        for i in range(k + 1):
            first[i] += G[k] * numpy.prod(numpy.delete(x[: k + 1], i))
            for j in range(k + 1):
                if j != i:
                    second[i, j] += G[k] * numpy.prod(numpy.delete(x[: k + 1], [i, j]))
    numpy.testing.assert_allclose(grad(weighted)(x), first, rtol=1e-14)
    numpy.testing.assert_allclose(hessian(weighted)(x), second, rtol=1e-14)
    numpy.testing.assert_array_equal(numpy.diag(hessian(weighted)(x)), 0)


def test_many_factors_with_zeros():
    x = numpy.linspace(0.9, 1.1, 200)
    x[[90, 150]] = 0
    check_grads(np.cumprod, (x,), order=2)


def test_an_infinity_behind_which_nobody_asks():
    x = numpy.array([2.0, numpy.inf, 3.0])
    numpy.testing.assert_array_equal(grad(lambda x: np.cumprod(x)[0])(x), [1, 0, 0])
    tangent = jvp(np.cumprod, (x,), (numpy.array([0.0, 0, 1]),))[1]
    numpy.testing.assert_array_equal(numpy.asarray(tangent), [0, 0, numpy.inf])


def test_products_that_leave_the_range_of_floats():
    x = numpy.array([1e-200, 1e-200, 3.0])
    found = grad(lambda x: np.sum(np.cumprod(x)))(x)
    numpy.testing.assert_allclose(found, [1 + 4e-200, 4e-200, 0], rtol=1e-12)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("n", [0, 1, 2, 5, 8])
def test_the_recurrence_is_the_loop_over_its_steps(n, reverse):
    x, y = numpy.random.default_rng(n).standard_normal((2, 2, n))
    wanted = x.copy()
    for k in range(n - 2, -1, -1) if reverse else range(1, n):
        wanted[:, k] += y[:, k] * wanted[:, k + 1 if reverse else k - 1]
    numpy.testing.assert_allclose(recurrence.op(x, y, reverse=reverse), wanted, atol=1e-12)
    check_grads(lambda x, y: recurrence(x, y, reverse=reverse), (x, y), order=2)


def test_integers_booleans_lists_and_other_floats():
    for x in ([2, 3], [True, False], numpy.array([2.0, 3.0], ">f8"), numpy.ones(2, "f4"), 3.0):
        found, right = np.cumprod(x), numpy.cumprod(x)
        assert found.dtype == right.dtype
        numpy.testing.assert_array_equal(found.value, right)
    assert grad(weighted)(numpy.zeros(4, "f4")).dtype == "f4"
    numpy.testing.assert_array_equal(
        grad(lambda x: np.sum(np.cumprod([x, 2 * x])))(3.0), 1 + 4 * 3.0
    )


def test_numpys_own_functions_and_the_method():
    t = Tensor(numpy.array([2.0, 3.0]))
    for found in (numpy.cumprod(t), numpy.multiply.accumulate(t), t.cumprod()):
        numpy.testing.assert_array_equal(found.value, [2, 6])


def test_cumulative_functions_want_an_axis():
    with pytest.raises(ValueError, match="say along which, with axis="):
        np.cumulative_prod(numpy.ones((2, 2)))
    with pytest.raises(TypeError, match="out= is not supported"):
        np.cumulative_sum(numpy.ones(2), out=numpy.ones(2))
    with pytest.raises(numpy.exceptions.AxisError):
        np.cumulative_sum(numpy.ones(2), axis=1)
    found = np.cumulative_sum([1, 2], include_initial=True)
    assert found.dtype == int
    numpy.testing.assert_array_equal(found.value, [0, 1, 3])
