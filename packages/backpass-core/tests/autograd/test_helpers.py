"""The helpers beside the operators: flattening, optimizers, vector spaces, checks."""

import functools
import warnings

import numpy
import pytest

import backpass.autograd.numpy as np
from backpass.autograd import grad, jacobian
from backpass.autograd.core import make_jvp, make_vjp
from backpass.autograd.extend import VSpace, vspace
from backpass.autograd.misc import const_graph, flatten
from backpass.autograd.misc.flatten import flatten_func
from backpass.autograd.misc.optimizers import adam, rmsprop, sgd, unflatten_optimizer
from backpass.autograd.misc.tracers import const_graph_unary
from backpass.autograd.test_util import (
    check_equivalent,
    check_grads,
    check_jvp,
    check_vjp,
    combo_check,
)
from backpass.autograd.wrap_util import get_doc, get_name, unary_to_nary
from backpass.core.extend import defjvp, defvjp, primitive

X = numpy.array([1.0, -2.0, 3.0])

# ----- flatten ----------------------------------------------------------------------------------


def test_flatten_goes_by_sorted_keys():
    value = {"b": [X, numpy.ones((2, 2))], "a": (2.0, None), "c": []}
    vector, unflatten = flatten(value)
    numpy.testing.assert_array_equal(vector, [2.0, *X, 1, 1, 1, 1])
    back = unflatten(2 * vector)
    assert list(back) == ["b", "a", "c"]
    assert back["a"] == (4.0, None)
    assert back["c"] == []
    numpy.testing.assert_array_equal(back["b"][1], numpy.full((2, 2), 2.0))


def test_nothing_flattens_to_an_empty_vector():
    vector, unflatten = flatten([])
    assert vector.shape == (0,)
    assert unflatten(vector) == []


def test_both_ways_are_differentiable():
    found = grad(lambda p: np.sum(flatten(p)[0] ** 2))({"x": X, "y": 3.0})
    numpy.testing.assert_array_equal(found["x"], 2 * X)
    assert found["y"] == 6
    _, unflatten = flatten((X, 1.0))
    found = jacobian(lambda v: unflatten(v)[0] * unflatten(v)[1])(numpy.array([1.0, 2.0, 3.0, 10]))
    numpy.testing.assert_array_equal(found, numpy.column_stack([10 * numpy.eye(3), [1, 2, 3]]))


def test_flatten_func():
    f, unflatten, vector = flatten_func(lambda p, k: {"y": k * p["x"]}, {"x": X})
    numpy.testing.assert_array_equal(f(vector, 3.0), 3 * X)
    numpy.testing.assert_array_equal(unflatten(vector)["x"], X)


# ----- optimizers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [
        (sgd, {"num_iters": 300}),
        (rmsprop, {"num_iters": 400, "step_size": 0.02}),
        (adam, {"num_iters": 2000, "step_size": 0.02}),
    ],
    ids=["sgd", "rmsprop", "adam"],
)
def test_optimizers_find_the_minimum(optimizer, options):
    seen = []

    def gradient(params, i):
        return grad(lambda p: np.sum((p["x"] - X) ** 2) + (p["y"][0] - 1.0) ** 2)(params)

    def callback(params, i, g):
        seen.append((i, params["y"][0], g["y"][0]))

    start = {"x": numpy.zeros(3), "y": [3.0]}
    found = optimizer(gradient, start, callback, **options)
    numpy.testing.assert_allclose(found["x"], X, atol=0.02)
    numpy.testing.assert_allclose(found["y"], [1.0], atol=0.02)
    assert [i for i, _, _ in seen] == list(range(options["num_iters"]))
    assert seen[0][1:] == (3.0, 4.0)
    numpy.testing.assert_array_equal(start["x"], numpy.zeros(3))


def test_the_first_steps_are_those_of_the_formulas():
    def gradient(x, i):
        return 2 * x

    x = numpy.array([1.0])
    assert sgd(gradient, x, num_iters=1, step_size=0.5, mass=0.75) == 1 - 0.5 * 0.25 * 2
    step = 0.5 * 2 / (numpy.sqrt(0.75 + 0.25 * 4) + 1e-8)
    assert rmsprop(gradient, x, num_iters=1, step_size=0.5, gamma=0.75) == 1 - step
    # The first step of Adam is as long as the step size.
    numpy.testing.assert_allclose(adam(gradient, x, num_iters=1, step_size=0.5), [0.5], rtol=1e-7)


def test_training_is_differentiable():
    def trained(rate):
        return sgd(lambda x, i: 2 * x, 1.0, num_iters=2, step_size=rate, mass=0.0)

    assert trained(0.1) == pytest.approx(0.64)
    assert grad(trained)(0.1) == pytest.approx(-3.2)


def test_an_optimizer_of_ones_own():
    @unflatten_optimizer
    def newton(gradient, x, callback=None, rounds=3):
        for i in range(rounds):
            x = x - gradient(x, i) / 2
        return x

    assert newton.__name__ == "newton"
    assert newton(lambda p, i: {"x": 2 * p["x"]}, {"x": 5.0}, rounds=1) == {"x": 0.0}


# ----- vector spaces ----------------------------------------------------------------------------


def test_spaces_of_arrays():
    space = vspace(numpy.ones((2, 3), numpy.float32))
    assert isinstance(space, VSpace)
    assert (space.shape, space.ndim, space.size) == ((2, 3), 2, 6)
    assert space.dtype == space.zeros().dtype == space.randn().dtype == numpy.float32
    assert not space.iscomplex
    assert repr(space) == "VSpace(float32[2, 3])"
    basis = list(space.standard_basis())
    assert len(basis) == 6
    numpy.testing.assert_array_equal(sum(basis), space.ones())


def test_spaces_of_complex_numbers_have_twice_the_dimension():
    z = numpy.array([1 + 2j, 3.0])
    space = vspace(z)
    assert space.size == len(list(space.standard_basis())) == 4
    assert space.iscomplex
    numpy.testing.assert_array_equal(space.ones(), [1 + 1j, 1 + 1j])
    numpy.testing.assert_array_equal(space.covector(z), z.conj())
    assert space.inner_prod(z, z) == 14
    assert space.randn().dtype == complex


def test_spaces_of_containers():
    value = {"x": X, "y": [2.0]}
    space = vspace(value)
    assert space == vspace({"x": X + 1, "y": [0.0]})
    assert hash(space) == hash(vspace(value))
    assert space != vspace({"x": X, "y": (2.0,)})
    assert space != vspace({"x": X[:2], "y": [2.0]})
    assert space.size == 4
    assert space.add(value, value)["y"] == [4.0]
    assert space.mut_add(None, value) is value
    assert space.scalar_mul(value, 3.0)["y"] == [6.0]
    assert space.inner_prod(value, value) == (X**2).sum() + 4
    assert [v["y"][0] for v in space.standard_basis()] == [0, 0, 0, 1]
    with pytest.raises(AttributeError, match="has no shape"):
        _ = space.shape


def test_spaces_of_tracked_values():
    seen = []

    def f(x):
        seen.append(vspace(x).shape)
        return vspace(x).inner_prod(x, x)

    numpy.testing.assert_array_equal(grad(f)(X), 2 * X)
    assert seen == [(3,)]


def test_what_is_no_number_has_no_space():
    with pytest.raises(TypeError, match="no vector space for 'text' of type str"):
        vspace("text")


# ----- checks -----------------------------------------------------------------------------------


@primitive(name="half_right")
def half_right(xp, x):
    return xp.sin(x)


defvjp(half_right, lambda g, x: g * 0.5)
defjvp(half_right, lambda t, x: t * np.cos(x))


def test_check_grads_finds_what_is_wrong():
    check_grads(np.sin, modes=["fwd", "rev"], order=3)(X)
    check_grads(lambda x, y: np.sum(x * y), (0, 1))(X, X)
    check_grads(half_right, modes=["fwd"], order=1)(X)
    with pytest.raises(AssertionError, match="rev, order 1"):
        check_grads(half_right, modes=["rev"])(X)
    check_jvp(half_right, X)
    with pytest.raises(AssertionError, match="rev, order 1"):
        check_vjp(half_right, X)


def test_combo_check_takes_every_combination():
    calls = []

    def f(x, y, axis=None):
        calls.append((x.shape, axis))
        return np.sum(x * y, axis=axis)

    combo_check(f, (0, 1), modes=["rev"], order=1)(
        [X, numpy.ones((1, 3))], [2.0, X], axis=[None, -1]
    )
    assert set(calls) == {((3,), None), ((3,), -1), ((1, 3), None), ((1, 3), -1)}


def test_check_equivalent():
    check_equivalent((X, 1.0), (X + 1e-9, 1.0))
    with pytest.raises(AssertionError, match="not of one vector space"):
        check_equivalent((X, 1.0), [X, 1.0])
    with pytest.raises(AssertionError, match="Not equal"):
        check_equivalent(X, X + 1e-3)


# ----- the rest ---------------------------------------------------------------------------------


def test_operators_of_one_argument():
    pull, value = make_vjp(np.sum, X)
    assert value == 2
    numpy.testing.assert_array_equal(pull(1.0), numpy.ones(3))
    assert make_jvp(np.sum, X)(X) == (2.0, 2.0)


def test_an_operator_of_ones_own():
    @unary_to_nary
    def tripled(f, x, times=3):
        """Triple."""
        return times * f(x)

    def product(x, y, *, z=1):
        return x * y * z

    assert tripled(product, 1)(2.0, 5.0, z=7) == 210
    assert tripled(product, (0, 1), times=2)(2.0, 5.0) == 20
    assert get_name(tripled(product, 1)) == "tripled_of_product_wrt_argnum_1"
    assert get_name(tripled) == "tripled"
    assert get_doc(tripled) == "Triple."
    assert get_name(functools.partial(product)) == "[unknown name]"


def test_constant_graphs_are_functions():
    def f(k, x, power=2):
        return k * x**power

    constant = const_graph(f, 3.0, power=3)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert [constant(2.0), grad(constant)(2.0)] == [24.0, 36.0]
    assert const_graph_unary(f) is f
