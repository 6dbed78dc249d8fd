"""The corners of NumPy's own: Python's floats, odd layouts in memory, refused keywords.

The edge cases that every backend shares are in tests/gradients/test_corners.py.
"""

import math

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.cpu
import backpass.numpy as np
import backpass.scipy.special as sp
from backpass.core import Tensor, elementwise_grad, grad, jvp
from backpass.core.ops import elementwise
from backpass.core.testing import check_grads

pytestmark = pytest.mark.usefixtures("arithmetic", "quiet")

inf = math.inf


def reverse(f, args):
    """Return the gradients of the sum of `f`, in reverse mode."""
    return grad(lambda *xs: np.sum(f(*xs)), tuple(range(len(args))))(*args)


# ----- Python's floats ----------------------------------------------------------------------------


def test_sqrt_of_a_python_float_zero_has_an_infinite_slope():
    assert grad(np.sqrt)(0.0) == inf
    assert grad(lambda x: x**0.5)(0.0) == inf
    assert grad(lambda x: 1 / x)(0.0) == -inf
    assert grad(lambda x: x**-2)(0.0) == -inf


def test_corners_of_python_floats_are_those_of_arrays():
    assert grad(np.log)(0.0) == inf
    assert grad(np.log1p)(-1.0) == inf
    assert grad(lambda x: x / 0.0)(1.0) == inf
    assert grad(lambda x: x**3.0)(1e200) == inf
    assert numpy.isnan(grad(lambda x: x**1.5)(-2.0))
    assert grad(lambda x: 2 * x**3)(-2.0) == 24.0


def test_power_with_a_constant_exponent_never_takes_a_logarithm(monkeypatch):
    monkeypatch.setattr(elementwise, "log", None)
    x = numpy.array([-2.0, 0.0, 3.0])
    assert_array_equal(reverse(lambda x: x**2, [x])[0], 2 * x)
    assert_array_equal(reverse(lambda x: np.power(x, 2.0), [x])[0], 2 * x)
    assert_array_equal(reverse(lambda x: x**3, [x])[0], 3 * x**2)


# ----- keywords: honoured or refused --------------------------------------------------------------


@pytest.mark.parametrize(
    "name", "sum mean prod max min var std cumsum argmax argmin any all".split()
)
def test_reductions_refuse_out(name):
    with pytest.raises(TypeError, match=f"{name}: out= is not supported"):
        getattr(np, name)(np.ones(3), out=numpy.empty(()))


@pytest.mark.parametrize("name", ["exp", "add", "maximum", "matmul", "where", "sqrt"])
def test_elementwise_functions_refuse_what_they_do_not_honour(name):
    f = getattr(np, name)
    args = {"where": 3, "exp": 1, "sqrt": 1}.get(name, 2)
    for keyword in ("out", "casting"):
        with pytest.raises(TypeError):
            f(*[np.ones((2, 2))] * args, **{keyword: numpy.empty((2, 2))})


# ----- layouts ------------------------------------------------------------------------------------

LAYOUTS = {
    "repeated": lambda x: numpy.broadcast_to(x[:1], x.shape),
    "unaligned": lambda x: numpy.frombuffer(b"\0" + x.tobytes(), x.dtype, offset=1).reshape(
        x.shape
    ),
}


ON_LAYOUTS = {
    "exp": np.exp,
    "tanh": np.tanh,
    "sum": lambda x: np.sum(x, axis=0),
    "max": lambda x: np.max(x, axis=1),
    "mean, divide": lambda x: np.mean(x, axis=1) / x[:, 0],
    "matmul": lambda x: x @ x.T,
    "multiply": lambda x: x * x[0],
    "maximum": lambda x: np.maximum(x, 0.5),
    "getitem": lambda x: x[[0, 0]] ** 2,
    "ravel": np.ravel,
    "sort": np.sort,
    "cumsum": lambda x: np.cumsum(x, axis=0) ** 2,
    "logsumexp": lambda x: sp.logsumexp(x, axis=0),
    "softmax": lambda x: sp.softmax(x, 1) ** 2,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ON_LAYOUTS)
def test_any_layout_gives_what_a_plain_array_gives(layout, name, dtype):
    f = ON_LAYOUTS[name]
    odd = LAYOUTS[layout](numpy.arange(1, 7, dtype=dtype).reshape(2, 3) / 7)
    x = odd.copy()
    assert_allclose(f(Tensor(odd)).value, f(Tensor(x)).value, rtol=1e-6)
    found, expected = reverse(f, [odd])[0], reverse(f, [x])[0]
    assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype == dtype
    assert found.flags.writeable


# ----- the kernels --------------------------------------------------------------------------------


def test_the_fixture_chooses_who_computes(arithmetic):
    np.tanh(numpy.ones(3))
    kernel = elementwise.tanh.kernels[numpy.ndarray]
    assert (kernel is backpass.cpu.KERNELS["tanh"]) == (arithmetic == "kernels")
    reverse(np.tanh, [numpy.ones(3)])
    (pull,) = elementwise.tanh.pulls[numpy.ndarray]
    assert (pull is backpass.cpu.KERNELS["tanh.vjp"]) == (arithmetic == "kernels")


@pytest.mark.parametrize("name", ["sum", "prod", "any", "all"])
def test_a_mask_that_holds_nothing_is_honoured(name):
    x = numpy.array([1.0, 0.0, 2.0])
    assert getattr(np, name)(x, where=False) == getattr(numpy, name)(x, where=False)


@pytest.mark.parametrize("name", ["max", "min", "sum", "mean", "var"])
def test_a_mask_that_holds_everything_says_nothing(name):
    x = numpy.array([1.0, 0.0, 2.0])
    assert getattr(np, name)(x, where=True) == getattr(numpy, name)(x, where=True)


def test_the_dtype_of_moments():
    x = numpy.array([1.5, 4.0])
    for name in ("mean", "var", "std"):
        found = getattr(np, name)(x, dtype=numpy.float32)
        assert found.dtype == numpy.float32
        assert_allclose(found.value, getattr(numpy, name)(x), rtol=1e-6)
    assert np.mean(x, dtype=int).value.dtype == int
    # The variance of complex numbers counts their imaginary parts.
    assert_allclose(np.var(1j * x, dtype=float).value, numpy.var(1j * x))
    with pytest.raises(TypeError, match=r"var: dtype=.*would round the mean"):
        np.var(x, dtype=int)


def test_start_and_step_of_a_range_carry_a_gradient():
    check_grads(lambda a, h: np.arange(a, 3.0, h), (0.4, 0.7))
    assert_allclose(grad(lambda h: np.sum(np.arange(0, 1, h) ** 2))(0.3), 2 * 0.3 * 14)
    with pytest.warns(UserWarning, match="does not depend"):
        assert grad(lambda b: np.sum(np.arange(b)))(2.5) == 0


def test_ends_of_a_line_may_be_lists_with_tensors():
    check_grads(lambda a: np.linspace([a, 1.0], 2.0, 3), (0.4,))
    check_grads(lambda a: np.logspace([a, 1.0], [2.0, a], 3), (0.4,))
    with pytest.raises(ValueError, match="num=-1 must not be negative"):
        grad(lambda a: np.sum(np.linspace(a, 2.0, -1)))(0.4)


def test_the_size_along_axes():
    assert np.size(numpy.ones((2, 3, 4)), (0, -1)) == 8
    with pytest.raises(numpy.exceptions.AxisError, match="size: axis 5"):
        np.size(numpy.ones(3), 5)


def test_quarters_of_a_turn_are_whole():
    with pytest.raises(TypeError, match="integer"):
        np.rot90(numpy.ones((2, 2)), 0.5)


def test_what_is_cut_has_enough_axes():
    for f, least in ((np.vsplit, 2), (np.dsplit, 3)):
        with pytest.raises(ValueError, match=f"{f.__name__}.*at least {least}"):
            f(numpy.ones(4), 2)


def test_no_length_is_negative():
    for x in (numpy.float64(2), numpy.ones(1)):
        with pytest.raises(ValueError, match=r"broadcast_to: .* negative"):
            np.broadcast_to(x, (-1,))


@pytest.mark.parametrize("name", ["var", "std", "prod"])
def test_a_moment_of_nan_that_is_not_chosen_has_no_gradient(name):
    x = numpy.array([[1.0, 2.0, 3.0], [1.0, math.nan, 2.0]])

    def chosen(x):
        v = getattr(np, name)(x, axis=1)
        return np.sum(np.where(np.isnan(v), 0.0, v))

    found = grad(chosen)(x)
    assert_allclose(found[0], grad(lambda x: getattr(np, name)(x))(x[0]))
    assert_array_equal(found[1], 0)
    tangent = jvp(chosen, (x,), (numpy.ones((2, 3)) * numpy.array([[1.0], [0.0]]),))[1]
    assert_allclose(tangent, found[0].sum())


def test_the_parts_of_numbers_at_their_corners():
    assert_array_equal(
        elementwise_grad(lambda x: np.copysign(x, -1.0))(numpy.array([2.0, 0.0, -3.0])), [-1, 0, 1]
    )
    assert_array_equal(elementwise_grad(lambda h: np.heaviside(0.0, h))(2.0), 1)
    x = numpy.array([-0.0, 2.0, -2.5, numpy.inf])
    assert_array_equal(elementwise_grad(lambda x: np.modf(x)[0])(x), numpy.ones(4))
    for found, right in zip(np.modf(x), numpy.modf(x), strict=True):
        assert_array_equal(numpy.signbit(found.value), numpy.signbit(right))
    assert_array_equal(
        elementwise_grad(lambda x: np.frexp(x)[0])(numpy.array([6.0, -0.5])), [1 / 8, 1.0]
    )
    assert_array_equal(elementwise_grad(lambda x: np.ldexp(x, [2, -1]))(np.ones(2)), [4, 0.5])


def test_a_polynomial_keeps_nan_out_of_where():
    def f(x):
        return np.where(x < 1, np.polyval([1.0, 2.0, 3.0], x), 0.0)

    assert_array_equal(elementwise_grad(f)(numpy.array([0.5, numpy.inf])), [3.0, 0.0])
    assert_array_equal(grad(lambda p: np.polyval(p, 0.0))(numpy.ones(3)), [0, 0, 1])
    with pytest.raises(TypeError, match="poly1d"):
        np.polyval([1.0, 2.0], numpy.poly1d([1.0]))


def test_polyfit_says_what_does_not_fit():
    x = numpy.arange(4.0)
    with pytest.raises(ValueError, match="deg"):
        np.polyfit(x, x, -1)
    with pytest.raises(TypeError, match="y must have"):
        np.polyfit(x, x[1:], 1)
    with pytest.raises(TypeError, match="w must have"):
        np.polyfit(x, x, 1, w=x[1:])
    with pytest.raises(ValueError, match="unscaled"):
        np.polyfit(x, x**3, 3, cov=True)
    with pytest.warns(numpy.exceptions.RankWarning, match="poorly"):
        np.polyfit(numpy.ones(4), x, 2)


def test_a_geometric_sequence_ends_where_it_should():
    made = np.geomspace(3.0, 7.0, 5)
    assert made.value[0] == 3.0
    assert made.value[-1] == 7.0
    assert grad(lambda a: np.geomspace(a, 7.0, 5)[0])(3.0) == 1
    with pytest.raises(ValueError, match="0"):
        np.geomspace(0.0, 7.0)
