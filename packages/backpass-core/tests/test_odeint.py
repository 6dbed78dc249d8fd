"""The derivatives of solutions of differential equations."""

import gc
import math
import weakref
from functools import partial

import numpy
import pytest
import scipy.integrate
from numpy.testing import assert_allclose, assert_array_equal

import backpass.numpy as np
from backpass.core import Tensor, grad, hessian, jacobian, jvp, no_grad, value_and_grad
from backpass.core.testing import check_grads
from backpass.scipy.integrate import odeint

CLOSE = {"rtol": 1e-12, "atol": 1e-12}
T = numpy.array([0.0, 0.5, 1.0, 2.0])
Y = numpy.array([1.0, 0.5])


def decay(y, t, k):
    return -k * y


def oscillator(y, t, k):
    return [y[1], -k * y[0]]


# ----- against what is known ----------------------------------------------------------------------


def test_exponential_decay_in_all_arguments():
    y0, k = 1.5, 0.7
    last = lambda y0, t, k: odeint(decay, y0, t, args=(k,), **CLOSE)[-1, 0]  # noqa: E731
    end = y0 * math.exp(-k * 2)
    value, (gy, gt, gk) = value_and_grad(last, (0, 1, 2))(y0, T, k)
    assert_allclose(value.value, end, rtol=1e-9)
    assert_allclose(gy, math.exp(-k * 2), rtol=1e-9)
    assert_allclose(gk, -2 * end, rtol=1e-9)
    # Later times do not matter, and the start counts against the end.
    assert_allclose(gt, [k * end, 0, 0, -k * end], rtol=1e-9, atol=1e-12)


def test_second_derivatives_of_exponential_decay():
    last = lambda p: odeint(decay, p[0], T, args=(p[1],), **CLOSE)[-1, 0]  # noqa: E731
    e = math.exp(-1.4)
    expected = [[0, -2 * e], [-2 * e, 4 * 1.5 * e]]
    assert_allclose(hessian(last)(numpy.array([1.5, 0.7])), expected, rtol=1e-7, atol=1e-9)


def test_forward_mode_is_the_variational_equation():
    f = lambda y0, t, k: odeint(decay, y0, t, args=(k,), **CLOSE)  # noqa: E731
    y0, k = numpy.array([1.5]), 0.7
    _, dy = jvp(f, [y0, T, k], [None, None, 1.0])
    assert_allclose(dy[:, 0], -T * 1.5 * numpy.exp(-k * T), rtol=1e-8, atol=1e-10)
    _, dt = jvp(f, [y0, T, k], [None, numpy.array([0.0, 0.0, 1.0, 0.0]), None])
    assert_allclose(dt[:, 0], [0, 0, -k * 1.5 * math.exp(-k), 0], rtol=1e-8, atol=1e-10)


def test_the_oscillator_is_a_rotation():
    turned = jacobian(lambda y: odeint(oscillator, y, T, args=(1.0,), **CLOSE)[-1])(Y)
    c, s = math.cos(2), math.sin(2)
    assert_allclose(turned, [[c, s], [-s, c]], rtol=1e-9)


def pendulum(np, odeint, pack, y0, t, k):
    def f(y, t, k):
        return np.array([y[1], -k * np.sin(y[0]) - 0.1 * y[1] * t])

    return np.sum(odeint(f, y0, t, pack([k]))[:, 0] ** 2)


def test_autograd_agrees():
    autograd = pytest.importorskip("autograd", reason="HIPS autograd is not installed")
    anp = pytest.importorskip("autograd.numpy")
    integrate = pytest.importorskip("autograd.scipy.integrate")
    ours = grad(partial(pendulum, np, odeint, tuple), (0, 1, 2))(Y, T, 1.3)
    loss = partial(pendulum, anp, integrate.odeint, autograd.builtins.tuple)
    for i, found in enumerate(ours):
        assert_allclose(found, autograd.grad(loss, i)(Y, T, 1.3), rtol=1e-5)


# ----- what func reaches --------------------------------------------------------------------------


def test_a_captured_tensor_gets_its_gradient():
    def last(k):
        return odeint(lambda y, t: -k * y, 1.5, T, **CLOSE)[-1, 0]

    assert_allclose(grad(last)(0.7), -2 * 1.5 * math.exp(-1.4), rtol=1e-9)


def test_a_captured_parameter_gets_its_grad():
    k = np.array(0.7).requires_grad_()
    odeint(lambda y, t: -k * y, 1.5, T, **CLOSE)[-1, 0].backward()
    assert_allclose(k.grad, -2 * 1.5 * math.exp(-1.4), rtol=1e-9)


def test_a_captured_value_that_was_computed_gets_its_gradient_to_second_order():
    def last(w):
        k = w * w
        return odeint(lambda y, t: -k * y, 1.5, T, **CLOSE)[-1, 0]

    # 1.5 exp(-2 w**2)
    w = 0.7
    e = 1.5 * math.exp(-2 * w * w)
    assert_allclose(grad(last)(w), -4 * w * e, rtol=1e-9)
    assert_allclose(grad(grad(last))(w), (16 * w * w - 4) * e, rtol=1e-7)


def test_what_is_captured_in_single_precision():
    def last(k):
        return np.sum(odeint(lambda y, t: -k * y, Y, T)[-1])

    k = numpy.array([0.7, 0.2], "float32")
    g = grad(last)(k)
    assert g.dtype == numpy.float32
    assert_allclose(g, -2 * Y * numpy.exp(-2 * k), rtol=1e-4)


def test_a_tensor_that_is_met_in_the_derivative_only_is_an_error():
    def last(y0, k):
        solved = []

        def f(y, t):
            return -(k if solved else 0.7) * y

        solved.append(odeint(f, y0, T)[-1, 0])
        return solved[0]

    with pytest.raises(RuntimeError, match=r"reaches a tracked Tensor .* pass it in args"):
        grad(last, (0, 1))(1.5, 0.7)


def test_trees_in_args():
    def f(y, t, p, scale, name):
        assert name == "tree"
        return -scale * p["k"][0] * y + p["b"]

    def last(p):
        return np.sum(odeint(f, Y, T, args=(p, 2.0, "tree"), **CLOSE)[-1])

    p = {"k": [np.array([0.3, 0.7])], "b": np.array(0.1)}
    g = grad(last)(p)
    eps = 1e-5
    for i in range(2):
        values = []
        for sign in (1, -1):
            k = numpy.array([0.3, 0.7])
            k[i] += sign * eps
            values.append(last({"k": [np.array(k)], "b": np.array(0.1)}).value)
        assert_allclose(g["k"][0][i], (values[0] - values[1]) / (2 * eps), rtol=1e-5)
    assert g["b"].shape == ()


def test_one_argument_need_not_be_a_tuple():
    g = grad(lambda k: odeint(decay, 1.5, T, args=k, **CLOSE)[-1, 0])(0.7)
    assert_allclose(g, -2 * 1.5 * math.exp(-1.4), rtol=1e-9)


# ----- calls --------------------------------------------------------------------------------------


def test_the_value_is_scipys():
    expected = scipy.integrate.odeint(oscillator, Y, T, args=(2.0,))
    found = odeint(oscillator, Y, T, args=(2.0,))
    assert isinstance(found, Tensor)
    assert not found.tracked
    assert_array_equal(found.value, expected)
    assert_array_equal(odeint(oscillator, [1, 0], [0, 1], (2,)).value.shape, (2, 2))


def test_options_are_those_of_scipy():
    t = [0.0, 1.0]
    for options in (
        {"rtol": 1e-3, "atol": 1e-3},
        {"rtol": [1e-4, 1e-6], "atol": [1e-6, 1e-8]},
        {"h0": 0.01, "hmax": 0.1, "hmin": 1e-8, "mxstep": 1000},
        {"mxordn": 4, "mxords": 3, "mxhnil": 1},
        {"ml": 1, "mu": 1},
    ):
        expected = scipy.integrate.odeint(oscillator, Y, t, args=(2.0,), **options)
        found = odeint(oscillator, Y, t, args=(2.0,), **options)
        assert_array_equal(found.value, expected)
        g = grad(lambda y: np.sum(odeint(oscillator, y, t, (2.0,), **options)))(Y)  # noqa: B023
        exact = grad(lambda y: np.sum(odeint(oscillator, y, t, (2.0,), **CLOSE)))(Y)
        assert_allclose(g, exact, rtol=1e-2)


@pytest.mark.parametrize("transposed", [False, True])
def test_the_users_jacobian_serves_a_stiff_solution(transposed):
    calls = []

    def stiff(y, t, k):
        return [-1000 * k * (y[0] - np.cos(t)), y[0] - y[1]]

    def jacobian_of(y, t, k):
        calls.append(t)
        made = numpy.array([[-1000.0 * k, 0.0], [1.0, -1.0]])
        return made.T if transposed else made

    keywords = {"Dfun": jacobian_of, "col_deriv": transposed}
    expected = scipy.integrate.odeint(stiff, Y, T, args=(0.7,), **keywords)
    calls.clear()
    found = odeint(stiff, Y, T, args=(0.7,), **keywords)
    assert calls
    assert_allclose(found.value, expected, rtol=1e-12)


def test_a_stiff_solution_both_ways():
    def solve(k):
        return odeint(lambda y, t, k: [-1000 * k * (y[0] - np.cos(t))], 0.5, T, args=(k,))[:, 0]

    # Past the first instant y follows cos(t) + sin(t) / (1000 k).
    exact = -numpy.sin(T[1:]) / (1000 * 0.7**2)
    assert_allclose(jvp(solve, [0.7], [1.0])[1][1:], exact, rtol=1e-2)
    assert_allclose(grad(lambda k: np.sum(solve(k)[1:]))(0.7), numpy.sum(exact), rtol=1e-2)


@pytest.mark.filterwarnings("ignore:Excess work:scipy.integrate.ODEintWarning")
def test_a_solution_that_was_not_completed_has_no_derivative():
    run = lambda k: odeint(oscillator, Y, [0.0, 100.0], args=(k,), mxstep=5)[-1, 0]  # noqa: E731
    for derivative in (lambda: grad(run)(2.0), lambda: jvp(run, [2.0], [1.0])):
        with pytest.raises(RuntimeError, match=r"odeint: the solution is not complete.*Excess"):
            derivative()


def test_an_equation_of_motion_from_a_gradient():
    def energy(y, k):
        return y[1] ** 2 / 2 + k * y[0] ** 2 / 2

    def motion(y, t, k):
        g = grad(energy, 0)(y, k)
        return [g[1], -g[0]]

    last = lambda y, k: odeint(motion, y, T, args=(k,), **CLOSE)[-1, 0]  # noqa: E731
    # cos(2 w) and sin(2 w) / w with w = sqrt(k)
    w = math.sqrt(2.0)
    gy, gk = grad(last, (0, 1))(Y, 2.0)
    assert_allclose(gy, [math.cos(2 * w), math.sin(2 * w) / w], rtol=1e-8)
    slope = -2 * math.sin(2 * w) + 0.5 * (2 * math.cos(2 * w) / w - math.sin(2 * w) / w**2)
    assert_allclose(gk, slope / (2 * w), rtol=1e-8)


def test_a_solution_that_is_kept_does_not_keep_its_past():
    kept = []
    alive = []

    def loss(k):
        big = np.exp(k * numpy.ones(100))
        alive.append(weakref.ref(big.node))
        out = np.sum(odeint(decay, 1.5, T, args=(np.mean(big),))[-1])
        kept.append(out)
        return out

    grad(loss)(0.1)
    gc.collect()
    assert alive[0]() is None
    assert not kept[0].tracked


def test_time_first_backwards_and_from_numpys_own_functions():
    def f(t, y, k):
        return -k * y * numpy.cos(t)

    run = lambda y, k: odeint(f, y, T[::-1], args=(k,), tfirst=True, **CLOSE)  # noqa: E731
    y, k = Y, 0.3
    expected = Y * numpy.exp(-k * (numpy.sin(T[::-1]) - math.sin(2)))[:, None]
    assert_allclose(run(y, k).value, expected, rtol=1e-9)
    check_grads(run, (y, k), order=1)


def test_times_that_repeat():
    t = [0.0, 0.0, 1.0, 1.0]
    f = lambda y, k: odeint(decay, y, t, args=(k,), **CLOSE)  # noqa: E731
    gy, gk = grad(lambda y, k: np.sum(f(y, k)), (0, 1))(1.5, 0.7)
    assert_allclose(gy, 2 + 2 * math.exp(-0.7), rtol=1e-9)
    assert_allclose(gk, -2 * 1.5 * math.exp(-0.7), rtol=1e-9)


def test_a_constant_field_has_the_gradient_of_the_start():
    f = lambda y, t: numpy.ones(2)  # noqa: E731
    assert_allclose(grad(lambda y: np.sum(odeint(f, y, T)))(Y), [4.0, 4.0], rtol=1e-12)
    assert_allclose(jvp(lambda y: odeint(f, y, T), [Y], [Y])[1], [Y] * 4, rtol=1e-12)


def test_an_argument_that_is_not_used_gets_zeros():
    f = lambda y, k: np.sum(odeint(lambda y, t, k: -y, y, T, args=(k,)))  # noqa: E731
    assert_array_equal(grad(f, 1)(Y, numpy.ones(3)), numpy.zeros(3))


def test_no_grad_records_nothing():
    def f(k):
        with no_grad():
            fixed = odeint(decay, 1.5, T, args=(k,))[-1, 0]
        assert not fixed.tracked
        return fixed * k

    assert_allclose(grad(f)(0.7), 1.5 * math.exp(-1.4), rtol=1e-6)


def test_a_list_of_tensors_is_a_start():
    f = lambda a, b: odeint(oscillator, [a, b], T, args=(1.0,), **CLOSE)[-1, 0]  # noqa: E731
    assert_allclose(grad(f, (0, 1))(1.0, 0.5), [math.cos(2), math.sin(2)], rtol=1e-9)


# ----- bad input ----------------------------------------------------------------------------------


def test_what_is_not_supported_is_named():
    with pytest.raises(TypeError, match="full_output= is not supported"):
        odeint(decay, Y, T, args=(1.0,), full_output=True)
    with pytest.raises(TypeError, match=r"tcrit= is not supported.*piece by piece"):
        odeint(decay, Y, T, args=(1.0,), tcrit=[1.0])
    with pytest.raises(TypeError, match="y0 is complex: solve for the real and imaginary parts"):
        odeint(decay, Y + 1j, T, args=(1.0,))
    with pytest.raises(ValueError, match=r"t must have one axis, it has shape \(1, 4\)"):
        odeint(decay, Y, T[None], args=(1.0,))
    with pytest.raises(ValueError, match=r"decay3 returned shape \(3,\), y has shape \(2,\)"):
        odeint(decay3, Y, T)


def decay3(y, t):
    return numpy.ones(3)


def test_an_error_in_func_is_the_users():
    def broken(y, t):
        raise KeyError("rate")

    with pytest.raises(KeyError, match="rate"):
        odeint(broken, Y, T)


def test_a_function_that_returns_nothing_is_named():
    def forgetful(y, t):
        y * t

    with pytest.raises(TypeError, match=r"forgetful returned None: did you forget return?"):
        odeint(forgetful, 1.0, T)
