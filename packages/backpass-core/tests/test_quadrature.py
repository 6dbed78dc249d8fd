"""Integrals with parameters: their derivatives against what is known."""

import math

import numpy
import pytest
import scipy.integrate
from numpy.testing import assert_allclose

import backpass.numpy as np
from backpass.core import grad, hessian, jvp, no_grad, vjp
from backpass.core.testing import check_grads
from backpass.scipy.integrate import dblquad, quad, quad_vec


def wave(x, p):
    return np.exp(-p * x) * np.sin(x)


def test_the_tuple_is_scipys():
    theirs = scipy.integrate.quad(lambda x, p: math.exp(-p * x) * math.sin(x), 0, 2, (1.5,))
    value, error = quad(wave, 0, 2, (1.5,))
    assert_allclose((value.value, error), theirs, rtol=1e-14)
    assert len(quad(wave, 0, 2, 1.5, full_output=1)) == 3
    assert not value.tracked


def test_an_integral_to_third_order():
    check_grads(lambda a, b, p: quad(wave, a, b, (p,))[0], (0.1, 2.0, 1.5), order=3)


def test_between_infinite_ends():
    area = lambda s: quad(lambda x: np.exp(-x * x / (2 * s * s)), -np.inf, np.inf)[0]  # noqa: E731
    assert_allclose(grad(area)(2.0), math.sqrt(2 * math.pi), rtol=1e-8)
    assert_allclose(grad(grad(area))(2.0), 0, atol=1e-7)
    assert_allclose(jvp(area, (2.0,), (1.0,))[1], math.sqrt(2 * math.pi), rtol=1e-8)
    tail = lambda a: quad(lambda x: np.exp(-x), a, np.inf)[0]  # noqa: E731
    assert_allclose(grad(tail)(1.0), -math.exp(-1), rtol=1e-8)
    ends = grad(lambda b: quad(lambda x: np.exp(-x), 0.0, b)[0])(np.inf)
    assert ends == 0


@pytest.mark.parametrize(("weight", "wvar"), [("cos", 3.0), ("sin", 2.0), ("cauchy", 0.5)])
def test_weights_that_do_not_depend_on_the_ends(weight, wvar):
    def f(a, b, p):
        return quad(lambda x: np.sum(np.exp(-p * x)), a, b, weight=weight, wvar=wvar)[0]

    check_grads(f, (-0.1, 2.0, numpy.array([1.5, 0.3])), order=1)
    with pytest.raises(TypeError, match="no derivative in wvar"):
        grad(lambda w: quad(lambda x: x, 0.0, 2.0, weight=weight, wvar=w)[0])(wvar)


def test_a_weight_that_depends_on_the_ends():
    f = lambda b, p: quad(lambda x: p * x, 0.0, b, weight="alg", wvar=(-0.5, 0.0))[0]  # noqa: E731
    assert_allclose(grad(f, 1)(1.0, 3.0), 2 / 3, rtol=1e-8)
    with pytest.raises(TypeError, match="no derivative in a and b where weight="):
        grad(f, 0)(1.0, 3.0)


def test_complex_functions():
    def f(p):
        return quad(lambda x: np.exp(1j * p * x), 0.0, 1.0, complex_func=True)

    value, error = f(2.0)
    expected = scipy.integrate.quad(lambda x: numpy.exp(2j * x), 0, 1, complex_func=True)
    assert_allclose((value.value, error), expected, rtol=1e-14)
    check_grads(lambda p: f(p)[0], (2.0,), order=1)


def test_what_is_captured_only_in_a_part_of_the_interval():
    w = np.array([1.0, 2.0]).requires_grad_()
    quad(lambda x: w[0] * x if x > 0.5 else w[1] * x, 0.0, 1.0, points=[0.5])[0].backward()
    assert_allclose(w.grad, [0.375, 0.125], rtol=1e-12)
    with no_grad():
        assert not quad(lambda x: w[0] * x, 0.0, 1.0)[0].tracked


def test_parameters_in_single_precision():
    p = numpy.array([0.5, 1.5], numpy.float32)
    captured = lambda p: quad(lambda x: np.sum(np.exp(-p * x)), 0.0, 1.0)[0]  # noqa: E731
    passed = lambda p: quad(lambda x, p: np.sum(np.exp(-p * x)), 0.0, 1.0, (p,))[0]  # noqa: E731
    expected = grad(captured)(p.astype(float))
    for f in (captured, passed):
        g = grad(f)(p)
        assert g.dtype == numpy.float32
        assert_allclose(g, expected, rtol=1e-5)


def test_vectors_and_integrals_of_integrals():
    powers = lambda b, p: quad_vec(lambda x, p: x**p, 0.0, b, args=(p,))[0]  # noqa: E731
    p = numpy.array([1.0, 2.0])
    out, pull = vjp(powers, 2.0, p)
    assert_allclose(out.value, 2 ** (p + 1) / (p + 1), rtol=1e-7)
    assert_allclose(pull(numpy.ones(2))[0], 6, rtol=1e-7)
    product = lambda c: dblquad(lambda y, x: c[0] * c[1] * x * y, 0, 1, 0, c[1])[0]  # noqa: E731
    assert_allclose(hessian(product)(numpy.array([2.0, 3.0])), [[0, 6.75], [6.75, 9]], atol=1e-7)


def test_what_is_refused():
    with pytest.raises(TypeError, match="did you forget return"):
        quad(lambda x: None, 0, 1)
    with pytest.raises(TypeError, match="use complex_func=True"):
        quad(lambda x: 1j * x, 0, 1)
    with pytest.raises(ValueError, match="must return one number; use quad_vec"):
        quad(lambda x: [x, x], 0, 1)
    with pytest.raises(TypeError, match="a must be one real number"):
        quad(lambda x: x, [0, 1], 1)
    with pytest.raises(TypeError, match="workers= is not supported"):
        quad_vec(lambda x: x, 0, 1, workers=2)
