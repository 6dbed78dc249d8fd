"""Primitives with rules in HIPS autograd's form."""

import numpy
import pytest
import scipy.special

import backpass.autograd.numpy as np
from backpass.autograd import elementwise_grad, grad, hessian, jacobian, make_jvp, make_vjp
from backpass.autograd.extend import (
    Box,
    JVPNode,
    VJPNode,
    def_linear,
    defjvp,
    defjvp_argnum,
    defjvp_argnums,
    defvjp,
    defvjp_argnum,
    defvjp_argnums,
    notrace_primitive,
    primitive,
    register_notrace,
)
from backpass.autograd.numpy.numpy_vjps import unbroadcast, unbroadcast_f
from backpass.autograd.test_util import check_grads
from backpass.autograd.tracer import getval
from backpass.core import Tensor

X = numpy.array([0.5, 1.5, -0.7])
Y = numpy.array([2.0, 0.3, 1.1])


def weighted(*rules, forward=()):
    """Make k * sum(x * y**2), with rules or without."""

    @primitive
    def f(x, y, k=1.0):
        assert type(x) is numpy.ndarray
        assert type(y) is numpy.ndarray
        return k * numpy.sum(x * y**2)

    defvjp(
        f,
        lambda ans, x, y, k=1.0: lambda g: g * k * y**2,
        lambda ans, x, y, k=1.0: lambda g: g * k * 2 * x * y,
    )
    return f


def test_a_primitive_is_its_function_for_plain_values():
    f = weighted()
    assert f(X, Y, k=2.0) == 2 * (X * Y**2).sum()
    assert f.__name__ == "f"
    assert "f" in repr(f)


def test_reverse_mode_to_second_order():
    f = weighted()
    by_x, by_y = grad(f, (0, 1))(X, Y, k=3.0)
    numpy.testing.assert_allclose(by_x, 3 * Y**2)
    numpy.testing.assert_allclose(by_y, 6 * X * Y)
    numpy.testing.assert_allclose(hessian(f, 1)(X, Y), numpy.diag(2 * X))
    check_grads(f, (0, 1), order=3)(X, Y)


def test_forward_mode_follows_from_reverse_mode():
    f = weighted()
    value, tangent = make_jvp(f, (0, 1))(X, Y)((Y, X))
    assert value == f(X, Y)
    numpy.testing.assert_allclose(tangent, (Y**3).sum() + (2 * X**2 * Y).sum())
    numpy.testing.assert_allclose(make_jvp(grad(f, 1))(X, Y)(X)[1], 2 * X * Y)


def test_forward_mode_by_its_own_rules():
    f = weighted()
    calls = []

    def by_x(g, ans, x, y, k=1.0):
        calls.append("x")
        return k * np.sum(g * y**2)

    defjvp(f, by_x, lambda g, ans, x, y, k=1.0: k * np.sum(2 * x * y * g))
    numpy.testing.assert_allclose(make_jvp(f)(X, Y)(Y)[1], (Y**3).sum())
    assert calls == ["x"]
    check_grads(f, (0, 1))(X, Y)


def test_a_rule_may_broadcast_as_it_likes():
    @primitive
    def add(x, y):
        return x + y

    defvjp(add, lambda ans, x, y: lambda g: g, lambda ans, x, y: unbroadcast_f(y, lambda g: g))
    by_x, by_y = grad(lambda x, y: np.sum(add(x, y)), (0, 1))(X, 2.0)
    numpy.testing.assert_array_equal(by_x, numpy.ones(3))
    assert by_y == 3
    assert grad(lambda y: np.sum(add(X, y)))(2.0) == 3
    assert grad(lambda x: np.sum(add(x, X)))(2.0) == 3


def test_unbroadcast():
    g = numpy.ones((2, 3))
    numpy.testing.assert_array_equal(unbroadcast(g, numpy.zeros((1, 3))), [[2.0, 2.0, 2.0]])
    assert unbroadcast(g, 1.0) == 6
    numpy.testing.assert_array_equal(unbroadcast_f(X, lambda g: 2 * g)(g), [4.0, 4.0, 4.0])


def test_rules_for_some_arguments_only():
    @primitive
    def f(n, x):
        return x**n

    defvjp(f, lambda ans, n, x: lambda g: g * n * x ** (n - 1), argnums=(1,))
    assert grad(f, 1)(3, 2.0) == 12
    with pytest.raises(NotImplementedError, match="VJP of f wrt argnum 0 not defined"):
        grad(f, 0)(3.0, 2.0)
    defjvp(f, lambda g, ans, n, x: g * n * x ** (n - 1), argnums=(1,))
    assert make_jvp(f, 1)(3, 2.0)(1.0)[1] == 12
    with pytest.raises(NotImplementedError, match="JVP of f wrt argnum 0 not defined"):
        make_jvp(f, 0)(3.0, 2.0)(1.0)


def test_none_means_that_no_gradient_flows():
    @primitive
    def f(x, y):
        return x * y

    defvjp(f, None, lambda ans, x, y: lambda g: g * x)
    defjvp(f, None, "same")
    assert grad(f, (0, 1))(2.0, 3.0) == (0.0, 2.0)
    assert make_jvp(f, (0, 1))(2.0, 3.0)((1.0, 1.0))[1] == 2
    assert make_jvp(f, 0)(2.0, 3.0)(1.0)[1] == 0


def test_one_rule_for_each_argument_by_number():
    @primitive
    def product(*xs):
        return numpy.prod(xs)

    defvjp_argnum(
        product,
        lambda i, ans, args, kwargs: lambda g: g * np.prod(np.array(args[:i] + args[i + 1 :])),
    )
    defjvp_argnum(
        product, lambda i, g, ans, args, kwargs: g * np.prod(np.array(args[:i] + args[i + 1 :]))
    )
    assert grad(product, (0, 2))(2.0, 3.0, 5.0) == (15.0, 6.0)
    assert make_jvp(product, (0, 2))(2.0, 3.0, 5.0)((1.0, 10.0))[1] == 75
    check_grads(product, (0, 1, 2))(2.0, 3.0, 5.0)


def test_one_rule_for_all_arguments():
    asked = []

    @primitive
    def f(x, y):
        return x * y

    def vjp(argnums, ans, args, kwargs):
        asked.append(argnums)
        x, y = args
        return lambda g: [(g * y, g * x)[i] for i in argnums]

    def jvp(argnums, gs, ans, args, kwargs):
        return sum(g * args[1 - i] for i, g in zip(argnums, gs, strict=True))

    defvjp_argnums(f, vjp)
    defjvp_argnums(f, jvp)
    assert grad(f, (0, 1))(2.0, 3.0) == (3.0, 2.0)
    assert grad(f, 1)(2.0, 3.0) == 2
    assert asked == [(0, 1), (1,)]
    assert make_jvp(f, (0, 1))(2.0, 3.0)((1.0, 10.0))[1] == 23


def test_linear_functions():
    @primitive
    def first(x):
        return x[0]

    def_linear(first)
    defvjp(first, lambda ans, x: lambda g: g * np.array([1.0, 0.0, 0.0]))
    assert make_jvp(first)(X)(Y)[1] == Y[0]
    numpy.testing.assert_array_equal(grad(first)(X), [1.0, 0.0, 0.0])


def test_containers_as_arguments_and_results():
    @primitive
    def scaled(parts, factor):
        return {name: factor * part for name, part in parts.items()}

    defvjp(
        scaled,
        lambda ans, parts, factor: lambda g: {name: factor * part for name, part in g.items()},
        lambda ans, parts, factor: lambda g: sum(np.sum(g[n] * parts[n]) for n in parts),
    )

    def f(parts, factor):
        made = scaled(parts, factor)
        return np.sum(made["a"] ** 2)  # "b" is not used

    by_parts, by_factor = grad(f, (0, 1))({"a": X, "b": 2.0}, 3.0)
    numpy.testing.assert_allclose(by_parts["a"], 18 * X)
    assert by_parts["b"] == 0
    numpy.testing.assert_allclose(by_factor, 6 * (X**2).sum())
    check_grads(f, (0, 1))({"a": X, "b": 2.0}, 3.0)
    _, tangent = make_jvp(scaled)({"a": X, "b": 2.0}, 3.0)({"a": Y, "b": 1.0})
    numpy.testing.assert_allclose(tangent["a"], 3 * Y)
    assert tangent["b"] == 3


def test_a_foreign_function_becomes_a_primitive():
    bessel = primitive(scipy.special.j0)
    slope = primitive(scipy.special.j1)
    defvjp(bessel, lambda ans, x: lambda g: -g * slope(x))
    defvjp(slope, lambda ans, x: lambda g: g * 0.5 * (bessel(x) - scipy.special.jn(2, getval(x))))
    numpy.testing.assert_allclose(elementwise_grad(bessel)(X), -scipy.special.j1(X))
    numpy.testing.assert_allclose(
        elementwise_grad(elementwise_grad(bessel))(X),
        -0.5 * (scipy.special.j0(X) - scipy.special.jn(2, X)),
    )


def test_methods_can_be_primitives():
    class Scale:
        factor = 3.0

        @primitive
        def apply(self, x):
            return self.factor * x

    defvjp(Scale.apply, None, lambda ans, self, x: lambda g: self.factor * g)
    assert grad(Scale().apply)(2.0) == 3


def test_what_is_not_traced():
    large = notrace_primitive(lambda x: type(x) is float and x > 1)
    assert grad(lambda x: 3 * x if large(x) else x)(2.0) == 3

    @primitive
    def sign(x):
        return numpy.sign(x)

    register_notrace(VJPNode, sign)
    register_notrace(JVPNode, sign)
    seen = []

    def f(x):
        seen.append(sign(x))
        return x * sign(x)

    assert grad(f)(-2.0) == -1
    assert not isinstance(seen[0], Tensor)


def test_results_that_are_not_floats_are_plain():
    @primitive
    def rank(x):
        return numpy.argsort(x)

    assert type(rank(X)) is numpy.ndarray
    numpy.testing.assert_array_equal(
        grad(lambda x: np.sum(x[rank(x)] * np.arange(3.0)))(X), [1.0, 2.0, 0.0]
    )


def test_a_primitive_may_not_reach_around_its_arguments():
    @primitive
    def identity(x):
        return x

    defvjp(identity, lambda ans, x: lambda g: g)

    def f(x):
        leaking = primitive(lambda y: y * x)
        return leaking(x)

    with pytest.raises(TypeError, match="reaches a tracked Tensor that is not among its arguments"):
        grad(f)(2.0)


def test_missing_rules_are_named():
    @primitive
    def f(x):
        return x

    with pytest.raises(NotImplementedError, match=r"VJP of f not defined.*defvjp\(f"):
        grad(f)(2.0)


def test_rules_are_for_primitives_only():
    with pytest.raises(TypeError, match=r"tanh is not one of extend\.primitive's functions"):
        defvjp(np.tanh, lambda ans, x: lambda g: g)
    with pytest.raises(TypeError, match="a rule must be a function or None, not 3"):
        defvjp(weighted(), 3)
    with pytest.raises(TypeError, match="a rule must be a function or None, not 'other'"):
        defjvp(weighted(), "other")


def test_boxes_are_tensors():
    assert Box is Tensor
    pull, _ = make_vjp(lambda x: x * isinstance(x, Box))(2.0)
    assert pull(1.0) == 1
    assert jacobian(lambda x: x)(X).shape == (3, 3)
