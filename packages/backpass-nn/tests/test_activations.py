"""Activations far out, at their kinks, and at wrong arguments; and the dense layer's arithmetic."""

import warnings

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.numpy as np
from backpass.core import Tensor, elementwise_grad, grad, jvp, vjp
from backpass.nn import functional

inf, nan = numpy.inf, numpy.nan
#: The limits at -inf and inf, of the function and of its derivative.
LIMITS = {
    "celu": (-1, inf, 0, 1),
    "elu": (-1, inf, 0, 1),
    "gelu": (0, inf, 0, 1),
    "hardsigmoid": (0, 1, 0, 0),
    "hardswish": (0, inf, 0, 1),
    "hardtanh": (-1, 1, 0, 0),
    "leaky_relu": (-inf, inf, 0.01, 1),
    "logsigmoid": (-inf, 0, 1, 0),
    "mish": (0, inf, 0, 1),
    "relu": (0, inf, 0, 1),
    "relu6": (0, 6, 0, 0),
    "selu": (-1.7580993408473766, inf, 0, 1.0507009873554805),
    "sigmoid": (0, 1, 0, 0),
    "silu": (0, inf, 0, 1),
    "softplus": (0, inf, 0, 1),
    "softsign": (-1, 1, 0, 0),
    "tanh": (-1, 1, 0, 0),
}
FUNCTIONS = {name: getattr(functional, name) for name in LIMITS}
FUNCTIONS["gelu-tanh"] = lambda x: functional.gelu(x, "tanh")
LIMITS["gelu-tanh"] = LIMITS["gelu"]
FAR = [-inf, -1e30, -3e4, 3e4, 1e30, inf]


@pytest.fixture(params=["float32", "float64"])
def dtype(request):
    return numpy.dtype(request.param)


@pytest.mark.parametrize("name", LIMITS)
def test_the_limits_are_reached_and_all_derivatives_are_finite(name, dtype):
    f, (low, high, falling, rising) = FUNCTIONS[name], LIMITS[name]
    x = numpy.array(FAR, dtype)
    found = f(x).value
    assert found.dtype == dtype
    ends = found[[0, -1]]
    assert_allclose(ends, [low, high], rtol=1e-6)
    assert_array_equal(numpy.isfinite(found[1:-1]), True)
    first = elementwise_grad(f)(x)
    assert first.dtype == dtype
    slow = 1e-8 if name == "softsign" else 1e-30
    assert_allclose(first, [falling] * 3 + [rising] * 3, rtol=1e-6, atol=slow)
    with warnings.catch_warnings():
        # Of what is straight, the second derivative does not depend on x.
        warnings.filterwarnings("ignore", "the output of .* does not depend", UserWarning)
        second = elementwise_grad(elementwise_grad(f))(x)
        third = elementwise_grad(elementwise_grad(elementwise_grad(f)))(x)
    assert_allclose(second, 0, atol=1e-10)
    assert_allclose(third, 0, atol=1e-10)
    _, t = jvp(elementwise_grad(f), (x,), (numpy.ones_like(x),))
    assert_allclose(t, 0, atol=1e-10)


@pytest.mark.parametrize("name", LIMITS)
def test_nan_stays_nan(name):
    assert numpy.isnan(FUNCTIONS[name](numpy.array([nan])).value[0])


KINKS = {
    "relu": (functional.relu, 0.0, 0.0),
    "relu at -0": (functional.relu, -0.0, 0.0),
    "relu6": (functional.relu6, 0.0, 0.0),
    "relu6 above": (functional.relu6, 6.0, 0.0),
    "hardtanh": (functional.hardtanh, -1.0, 0.0),
    "hardtanh above": (functional.hardtanh, 1.0, 0.0),
    "hardsigmoid": (functional.hardsigmoid, -3.0, 0.0),
    "hardsigmoid above": (functional.hardsigmoid, 3.0, 0.0),
    "hardswish": (functional.hardswish, -3.0, 0.0),
    "hardswish above": (functional.hardswish, 3.0, 1.0),
    "leaky_relu": (functional.leaky_relu, 0.0, 0.01),
    "leaky_relu, steep": (lambda x: functional.leaky_relu(x, 1.5), 0.0, 1.0),
    "leaky_relu, falling": (lambda x: functional.leaky_relu(x, -0.5), 0.0, 0.0),
    "elu": (functional.elu, 0.0, 1.0),
    "elu, flat": (lambda x: functional.elu(x, 0.5), 0.0, 0.5),
    "elu, steep": (lambda x: functional.elu(x, 2.0), 0.0, 1.0),
    "celu": (lambda x: functional.celu(x, 2.0), 0.0, 1.0),
    "selu": (functional.selu, 0.0, 1.0507009873554805),
    "softsign": (functional.softsign, 0.0, 1.0),
    "prelu": (lambda x: functional.prelu(x, numpy.array([0.3])), 0.0, 0.3),
    "prelu, falling": (lambda x: functional.prelu(x, numpy.array([-0.3])), 0.0, 0.0),
}


@pytest.mark.parametrize("kink", KINKS)
def test_a_kink_has_the_slope_of_least_norm(kink):
    f, at, slope = KINKS[kink]
    x = numpy.array([at])
    assert_allclose(grad(lambda x: np.sum(f(x)))(x), [slope])
    assert_allclose(jvp(f, (x,), (numpy.ones(1),))[1], [slope])


def test_what_relu_does_not_let_through_is_0_even_if_it_is_infinite():
    x = numpy.array([-1.0, 0.0, 2.0])
    _, pull = vjp(functional.relu, x)
    assert_array_equal(pull(numpy.array([inf, inf, inf]))[0], [0, 0, inf])


def test_where_hides_what_is_nan():
    x = numpy.array([nan, 1.0])
    for name, f in FUNCTIONS.items():
        g = grad(lambda x, f=f: np.sum(np.where(np.isnan(x), 0.0, f(x))))(x)
        assert g[0] == 0, name
        assert numpy.isfinite(g).all()


@pytest.mark.parametrize(
    "f", [functional.relu, functional.relu6, functional.hardtanh], ids=["relu", "relu6", "hardtanh"]
)
def test_what_clips_lets_nan_through(f):
    assert_array_equal(grad(lambda x: np.sum(f(x)))(numpy.array([nan])), [1])


def test_numbers_and_lists_are_taken():
    assert functional.relu(-2.0).value == 0
    assert functional.relu([-2, 3]).value.tolist() == [0, 3]
    assert functional.gelu([0.0, 1.0]).shape == (2,)
    assert grad(functional.silu)(0.0) == 0.5


def test_softplus_is_straight_above_its_threshold_as_in_pytorch():
    x = numpy.array([19.0, 21.0])
    assert_array_equal(functional.softplus(x).value == x, [False, True])
    assert_array_equal(elementwise_grad(functional.softplus)(x) == 1, [False, True])
    exact = functional.softplus(x, threshold=inf).value
    assert_allclose(exact, numpy.logaddexp(x, 0), rtol=1e-15)


def test_gelu_keeps_its_digits_in_the_tail():
    # x * Phi(x) at -10: Phi(-10) = 7.619853024160527e-24.
    assert_allclose(functional.gelu(numpy.array([-10.0])).value, -7.619853024160527e-23, rtol=1e-13)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: functional.gelu([1.0], "erf"), "`approximate` is 'erf'"),
        (lambda: functional.hardtanh([1.0], 2.0, 1.0), "`min_val` is 2.0"),
        (lambda: functional.celu([1.0], 0.0), "`alpha` is 0.0"),
        (lambda: functional.softplus([1.0], 0.0), "`beta` is 0"),
        (lambda: functional.glu(numpy.ones((2, 3))), r"\(2, 3\): its length along axis 1"),
        (lambda: functional.prelu(numpy.ones((2, 3)), numpy.ones(2)), "has 3 channels"),
    ],
)
def test_wrong_arguments_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_an_axis_that_is_not_there_is_refused():
    with pytest.raises(numpy.exceptions.AxisError, match="glu: axis 2"):
        functional.glu(numpy.ones((2, 4)), axis=2)
    with pytest.raises(numpy.exceptions.AxisError):
        functional.softmax(numpy.ones((2, 4)), axis=2)


# ----- the dense layer's arithmetic --------------------------------------------------------------


@pytest.mark.parametrize("activation", [None, "relu", "tanh", "sigmoid"])
@pytest.mark.parametrize("shape", [(5, 3), (3,), (2, 4, 3), (0, 3), (2, 0, 3)])
def test_linear_is_its_parts(activation, shape, dtype):
    random = numpy.random.default_rng(0)
    args = [random.normal(size=s).astype(dtype) for s in (shape, (2, 3), (2,))]
    outer = {None: lambda x: x}.get(activation) or getattr(functional, activation)

    def parts(x, weight, bias):
        return outer(x @ weight.T + bias)

    def whole(x, weight, bias):
        return functional.linear(x, weight, bias, activation)

    tolerance = 2e-6 if dtype == "float32" else 1e-14
    g = random.normal(size=(*shape[:-1], 2)).astype(dtype)
    ours, pull = vjp(whole, *args)
    theirs, other_pull = vjp(parts, *args)
    assert ours.dtype == dtype
    assert_allclose(ours.value, theirs.value, rtol=tolerance, atol=tolerance)
    for a, b in zip(pull(g), other_pull(g), strict=True):
        assert a.dtype == dtype
        assert_allclose(a, b, rtol=tolerance, atol=10 * tolerance)


def test_linear_keeps_the_output_of_relu_not_its_input():
    x = Tensor(numpy.array([[1.0, -1.0]])).requires_grad_()
    weight = numpy.array([[1.0, 0.0], [0.0, 1.0]])
    made = functional.linear(x, weight, None, "relu")
    made.backward(numpy.full((1, 2), inf))
    assert x.grad[0, 0] == inf
    with pytest.raises(ValueError, match="`activation` is 'gelu'"):
        functional.linear(x, weight, None, "gelu")


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (((4, 2), (5, 3)), r"`x` has shape \(4, 2\), but `weight` of shape \(5, 3\) takes 3"),
        (((), (5, 3)), "`x` has shape"),
        (((4, 3), (3,)), r"`weight` has shape \(3,\)"),
        (((4, 3), (5, 3), (3,)), r"`bias` has shape \(3,\)"),
        (((4, 3), (5, 3), (1, 5)), r"must have shape \(5,\)"),
    ],
)
def test_linear_says_which_shapes_do_not_fit(shapes, words):
    with pytest.raises(ValueError, match=words):
        functional.linear(*[numpy.ones(s) for s in shapes])
