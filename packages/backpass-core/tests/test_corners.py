"""The corners: what each derivative is where the textbook's formula has none.

Every corner is tried with the compiled kernels and with NumPy alone, in double and in single
precision, in reverse and in forward mode.
"""

import math
from typing import Any, NamedTuple

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.cpu
import backpass.numpy as np
import backpass.scipy.special as sp
from backpass.core import Tensor, elementwise_grad, grad, jacobian, jvp, vjp
from backpass.core.ops import elementwise
from backpass.core.testing import check_grads

pytestmark = pytest.mark.usefixtures("arithmetic", "quiet")

inf, nan = math.inf, math.nan


def reverse(f, args):
    """Return the gradients of the sum of `f`, in reverse mode."""
    return grad(lambda *xs: np.sum(f(*xs)), tuple(range(len(args))))(*args)


def forward(f, args):
    """Return the gradients of the sum of `f`, in forward mode: one sweep an entry."""
    made = []
    for i, x in enumerate(args):
        g = numpy.zeros(x.shape, x.dtype)
        for entry in numpy.ndindex(x.shape):
            tangent = numpy.zeros(x.shape, x.dtype)
            tangent[entry] = 1
            tangents = [None] * len(args)
            tangents[i] = tangent
            g[entry] = jvp(lambda *xs: np.sum(f(*xs)), args, tangents)[1]
        made.append(g)
    return made


class Corner(NamedTuple):
    """A function, a point, and the gradient there for each argument."""

    promise: str
    f: Any
    args: Any
    gradients: Any


def corner(promise, f, *args, gives):
    return Corner(promise, f, args, gives if isinstance(gives, tuple) else (gives,))


def run_of(x):
    """Weigh the output of a cumulative function, so that its order matters."""
    return x * np.array([1.0, 10.0, 100.0], dtype=x.dtype)


M = numpy.array([True, False, True])

CORNERS = [
    corner("abs has slope 0 at 0", np.abs, [0.0, -2.0, 3.0], gives=[0.0, -1.0, 1.0]),
    corner("the operator abs has slope 0 at 0", abs, [0.0, -0.0], gives=[0.0, 0.0]),
    corner("fabs has slope 0 at 0", np.fabs, [0.0, -2.0], gives=[0.0, -1.0]),
    corner("maximum shares a tie", np.maximum, [1.0, 2.0], [1.0, 3.0], gives=([0.5, 0], [0.5, 1])),
    corner("minimum shares a tie", np.minimum, [1.0, 2.0], [1.0, 3.0], gives=([0.5, 1], [0.5, 0])),
    corner("fmax shares a tie", np.fmax, [1.0, 2.0], [1.0, 3.0], gives=([0.5, 0], [0.5, 1])),
    corner("fmin shares a tie", np.fmin, [1.0, 2.0], [1.0, 3.0], gives=([0.5, 1], [0.5, 0])),
    corner(
        "maximum with 0 has slope .5 at 0", lambda x: np.maximum(x, 0), [0.0, 1], gives=[0.5, 1]
    ),
    corner("maximum gives nan's share to the nan", np.maximum, [nan], [1.0], gives=([1.0], [0.0])),
    corner("fmax gives nothing to a nan", np.fmax, [nan], [1.0], gives=([0.0], [1.0])),
    corner("fmin gives nothing to a nan", np.fmin, [2.0], [nan], gives=([1.0], [0.0])),
    corner("max shares a tie", np.max, [3.0, 3.0, 1.0], gives=[0.5, 0.5, 0.0]),
    corner("min shares a tie", np.min, [1.0, 3.0, 1.0], gives=[0.5, 0.0, 0.5]),
    corner(
        "max shares a tie along an axis",
        lambda x: np.max(x, axis=0),
        [[3.0, 1.0], [3.0, 2.0]],
        gives=[[0.5, 0.0], [0.5, 1.0]],
    ),
    corner(
        "max shares a tie along the last axis, kept",
        lambda x: np.max(x, axis=-1, keepdims=True),
        [[3.0, 3.0], [1.0, 2.0]],
        gives=[[0.5, 0.5], [0.0, 1.0]],
    ),
    corner(
        "max shares a tie over two axes",
        lambda x: np.max(x, axis=(0, 2)),
        [[[1.0, 5.0]], [[5.0, 2.0]]],
        gives=[[[0.0, 0.5]], [[0.5, 0.0]]],
    ),
    corner("max of infinities shares", np.max, [inf, 1.0, inf], gives=[0.5, 0.0, 0.5]),
    corner("max gives the nan all", np.max, [nan, 3.0, 1.0], gives=[1.0, 0.0, 0.0]),
    corner("min gives the nan all", np.min, [1.0, nan, 3.0], gives=[0.0, 1.0, 0.0]),
    corner("two nans share", np.max, [nan, 3.0, nan], gives=[0.5, 0.0, 0.5]),
    corner(
        "max below its initial value has slope 0",
        lambda x: np.max(x, initial=5.0),
        [3.0, 3.0],
        gives=[0.0, 0.0],
    ),
    corner(
        "max looks only where it is told",
        lambda x: np.max(x, where=M, initial=-9.0),
        [1.0, 7.0, 2.0],
        gives=[0.0, 0.0, 1.0],
    ),
    corner(
        "clip has slope .5 at its bounds",
        lambda x: np.clip(x, 0.0, 1.0),
        [0.0, 0.5, 1.0, 2.0],
        gives=[0.5, 1.0, 0.5, 0.0],
    ),
    corner(
        "clip is differentiable in its bounds",
        np.clip,
        [-1.0, 0.5, 3.0],
        0.0,
        1.0,
        gives=([0.0, 1.0, 0.0], 1.0, 1.0),
    ),
    corner("sqrt has an infinite slope at 0", np.sqrt, [0.0, 4.0], gives=[inf, 0.25]),
    corner("x**0.5 has an infinite slope at 0", lambda x: x**0.5, [0.0, 4.0], gives=[inf, 0.25]),
    corner("cbrt has an infinite slope at 0", np.cbrt, [0.0, 8.0], gives=[inf, 1 / 12]),
    corner("x**2 at negative x", lambda x: x**2, [-3.0, 0.0], gives=[-6.0, 0.0]),
    corner("x**0 has slope 0 at 0", lambda x: x**0, [0.0, 2.0], gives=[0.0, 0.0]),
    corner("0**0 has slope 0 in x and y", np.power, [0.0], [0.0], gives=([0.0], [0.0])),
    corner("0**2 has slope 0 in y", np.power, [0.0], [2.0], gives=([0.0], [0.0])),
    corner("(-2)**2 has slope nan in y", np.power, [-2.0], [2.0], gives=([-4.0], [nan])),
    corner(
        "the operator ** follows power",
        lambda x, y: x**y,
        [0.0, 2.0],
        [0.0, 3.0],
        gives=([0.0, 12.0], [0.0, 8 * math.log(2)]),
    ),
    corner("prod without zeros", np.prod, [2.0, 3.0, 4.0], gives=[12.0, 8.0, 6.0]),
    corner("prod with one zero", np.prod, [2.0, 0.0, 4.0], gives=[0.0, 8.0, 0.0]),
    corner("prod with two zeros", np.prod, [0.0, 3.0, 0.0], gives=[0.0, 0.0, 0.0]),
    corner(
        "prod along an axis with zeros",
        lambda x: np.prod(x, axis=1),
        [[0.0, 3], [0, 0]],
        gives=[[3.0, 0.0], [0.0, 0.0]],
    ),
    corner(
        "prod with where", lambda x: np.prod(x, where=M), [2.0, 0.0, 4.0], gives=[4.0, 0.0, 2.0]
    ),
    corner("prod with initial", lambda x: np.prod(x, initial=5.0), [2.0, 3.0], gives=[15.0, 10.0]),
    corner("var of a constant has slope 0", np.var, [2.0, 2.0, 2.0], gives=[0.0, 0.0, 0.0]),
    corner("std of a constant has slope 0", np.std, [2.0, 2.0, 2.0], gives=[0.0, 0.0, 0.0]),
    corner(
        "std of constant rows has slope 0",
        lambda x: np.std(x, axis=1),
        [[2.0, 2.0], [0.0, 2.0]],
        gives=[[0.0, 0.0], [-0.5, 0.5]],
    ),
    corner(
        "std with ddof",
        lambda x: np.std(x, ddof=1),
        [0.0, 2.0],
        gives=[-math.sqrt(0.5), math.sqrt(0.5)],
    ),
    corner("hypot has slope 0 at the origin", np.hypot, [0.0], [0.0], gives=([0.0], [0.0])),
    corner("arctan2 has slope 0 at the origin", np.arctan2, [0.0], [0.0], gives=([0.0], [0.0])),
    corner("sinc has slope 0 at 0", np.sinc, [0.0], gives=[0.0]),
    corner("logsumexp of -inf has slope 0", sp.logsumexp, [-inf, -inf], gives=[0.0, 0.0]),
    corner(
        "logsumexp with +inf is uniform over them",
        sp.logsumexp,
        [inf, 1.0, inf],
        gives=[0.5, 0.0, 0.5],
    ),
    corner(
        "logsumexp takes every row by itself",
        lambda x: sp.logsumexp(x, axis=1),
        [[-inf, -inf], [0.0, 0.0], [inf, 0.0]],
        gives=[[0.0, 0.0], [0.5, 0.5], [1.0, 0.0]],
    ),
    corner("logsumexp does not overflow", sp.logsumexp, [1000.0, 1000.0], gives=[0.5, 0.5]),
    corner("logaddexp(-inf, -inf) has slope 0", np.logaddexp, [-inf], [-inf], gives=([0.0], [0.0])),
    corner(
        "logaddexp2(-inf, -inf) has slope 0", np.logaddexp2, [-inf], [-inf], gives=([0.0], [0.0])
    ),
    corner("logaddexp with one -inf", np.logaddexp, [-inf], [1.0], gives=([0.0], [1.0])),
    corner(
        "softmax does not overflow",
        lambda x: sp.softmax(x)[0],
        [1000.0, 1000.0],
        gives=[0.25, -0.25],
    ),
    corner(
        "log_softmax does not overflow",
        lambda x: sp.log_softmax(x)[0],
        [1000.0, 0.0],
        gives=[0.0, 0.0],
    ),
    corner("expit far out is flat", sp.expit, [-1000.0, 0.0, 1000.0], gives=[0.0, 0.25, 0.0]),
    corner(
        "erf far out is flat",
        sp.erf,
        [-100.0, 0.0, 100.0],
        gives=[0.0, 2 / math.sqrt(math.pi), 0.0],
    ),
    corner("log at 0", np.log, [0.0, 2.0], gives=[inf, 0.5]),
    corner("arcsin at its ends", np.arcsin, [1.0, 0.0], gives=[inf, 1.0]),
    corner(
        "sign, floor, ceil and rint are flat",
        lambda x: x + np.sign(x) + np.floor(x) + np.ceil(x) + np.rint(x),
        [0.0, 1.5],
        gives=[1.0, 1.0],
    ),
    corner(
        "an index that repeats accumulates",
        lambda x: x[[0, 0, 1]],
        [1.0, 2.0, 3.0],
        gives=[2.0, 1.0, 0.0],
    ),
    corner("indexing with a mask", lambda x: x[M], [1.0, 2.0, 3.0], gives=[1.0, 0.0, 1.0]),
    corner(
        "indexing with an empty list", lambda x: x[[]].sum() + x[0], [1.0, 2.0], gives=[1.0, 0.0]
    ),
    corner(
        "a negative step",
        lambda x: x[::-2] * np.array([1.0, 2.0], dtype=x.dtype),
        [1.0, 2.0, 3.0],
        gives=[2.0, 0.0, 1.0],
    ),
    corner("sum with where", lambda x: np.sum(x, where=M), [1.0, 2.0, 3.0], gives=[1.0, 0.0, 1.0]),
    corner("sum with initial", lambda x: np.sum(x, initial=5.0), [1.0, 2.0], gives=[1.0, 1.0]),
    corner(
        "mean with where counts what it sees",
        lambda x: np.mean(x, where=M),
        [1.0, 2.0, 3.0],
        gives=[0.5, 0.0, 0.5],
    ),
    corner(
        "var with where counts what it sees",
        lambda x: np.var(x, where=M),
        [1.0, 9.0, 3.0],
        gives=[-1.0, 0.0, 1.0],
    ),
    corner(
        "cumsum sums from the other end",
        lambda x: run_of(np.cumsum(x)),
        [1.0, 2.0, 3.0],
        gives=[111.0, 110.0, 100.0],
    ),
    corner(
        "cumsum along no axis flattens",
        np.cumsum,
        [[1.0, 2.0], [3.0, 4.0]],
        gives=[[4.0, 3.0], [2.0, 1.0]],
    ),
    corner(
        "cumsum along a negative axis",
        lambda x: np.cumsum(x, axis=-1),
        [[1.0, 2.0], [3.0, 4.0]],
        gives=[[2.0, 1.0], [2.0, 1.0]],
    ),
    corner(
        "where keeps a scalar a scalar",
        lambda x, y: np.where(M, x, y),
        1.0,
        [1.0, 2.0, 3.0],
        gives=(2.0, [0.0, 1.0, 0.0]),
    ),
    corner(
        "einsum un-broadcasts a length of 1",
        lambda x, y: np.einsum("i,i", x, y),
        [1.0, 2.0],
        [5.0],
        gives=([5.0, 5.0], [3.0]),
    ),
    corner(
        "einsum spreads a label that is summed away",
        lambda x: np.einsum("ij->i", x),
        [[1.0, 2.0], [3.0, 4.0]],
        gives=[[1.0, 1.0], [1.0, 1.0]],
    ),
    corner(
        "einsum takes a diagonal",
        lambda x: np.einsum("ii->i", x),
        [[1.0, 2.0], [3.0, 4.0]],
        gives=[[1.0, 0.0], [0.0, 1.0]],
    ),
    corner(
        "einsum takes a trace",
        lambda x: np.einsum("ii", x),
        [[1.0, 2.0], [3.0, 4.0]],
        gives=[[1.0, 0.0], [0.0, 1.0]],
    ),
    corner(
        "diag of a wide matrix",
        np.diag,
        [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
        gives=[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
    ),
    corner(
        "diag above the diagonal",
        lambda x: np.diag(x, 1),
        [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
        gives=[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    ),
    corner("diag makes a matrix", lambda v: np.diag(v, -1)[1:] * 2, [1.0, 2.0], gives=[2.0, 2.0]),
    corner(
        "trace of a wide matrix",
        np.trace,
        [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]],
        gives=[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]],
    ),
    corner(
        "trace off the diagonal",
        lambda x: np.trace(x, -1),
        [[1.0, 2.0], [4.0, 5.0]],
        gives=[[0.0, 0.0], [1.0, 0.0]],
    ),
    corner(
        "outer keeps the arguments' shapes",
        np.outer,
        [[1.0, 2.0], [3.0, 4.0]],
        [5.0, 6.0],
        gives=([[11.0, 11.0], [11.0, 11.0]], [10.0, 10.0]),
    ),
    corner("dot with a scalar", np.dot, [1.0, 2.0], 3.0, gives=([3.0, 3.0], 3.0)),
    corner("dot of two vectors", np.dot, [1.0, 2.0], [3.0, 4.0], gives=([3.0, 4.0], [1.0, 2.0])),
    corner(
        "matmul of a vector and a matrix",
        np.matmul,
        [1.0, 2.0],
        [[1.0, 0.0], [3.0, 4.0]],
        gives=([1.0, 7.0], [[1.0, 1.0], [2.0, 2.0]]),
    ),
    corner(
        "matmul of a matrix and a vector",
        np.matmul,
        [[1.0, 0.0], [3.0, 4.0]],
        [1.0, 2.0],
        gives=([[1.0, 2.0], [1.0, 2.0]], [4.0, 4.0]),
    ),
    corner(
        "matmul broadcasts its stacks",
        np.matmul,
        [[[1.0]], [[2.0]]],
        [[3.0]],
        gives=([[[3.0]], [[3.0]]], [[3.0]]),
    ),
    corner(
        "matmul of a stack and a vector",
        np.matmul,
        [[[1.0, 2.0]], [[3.0, 4.0]]],
        [5.0, 6.0],
        gives=([[[5.0, 6.0]], [[5.0, 6.0]]], [4.0, 6.0]),
    ),
    corner(
        "matmul of a vector and a stack",
        np.matmul,
        [5.0, 6.0],
        [[[1.0], [2.0]], [[3.0], [4.0]]],
        gives=([4.0, 6.0], [[[5.0], [6.0]], [[5.0], [6.0]]]),
    ),
    corner(
        "tensordot over no axis",
        lambda x, y: np.tensordot(x, y, 0),
        [1.0, 2.0],
        [3.0],
        gives=([3.0, 3.0], [3.0]),
    ),
    corner(
        "concatenate cuts the cotangent",
        lambda x, y: run_of(np.concatenate([x, y])),
        [1.0],
        [2.0, 3.0],
        gives=([1.0], [10.0, 100.0]),
    ),
    corner(
        "concatenate along no axis flattens",
        lambda x, y: run_of(np.concatenate([x, y], None)),
        [[1.0, 2.0]],
        [3.0],
        gives=([[1.0, 10.0]], [100.0]),
    ),
    corner("stack of scalars", lambda x, y: np.stack([x, y, x]) ** 2, 2.0, 3.0, gives=(8.0, 6.0)),
    corner("division by zero", np.divide, [1.0], [0.0], gives=([inf], [-inf])),
    corner("remainder", np.remainder, [5.0, -5.0], [3.0, 3.0], gives=([1.0, 1.0], [-1.0, 2.0])),
    corner("fmod", np.fmod, [5.0, -5.0], [3.0, 3.0], gives=([1.0, 1.0], [-1.0, 1.0])),
]


def as_args(args, dtype):
    return [numpy.asarray(x, dtype)[()] for x in args]


@pytest.mark.parametrize("case", CORNERS, ids=lambda c: c.promise)
@pytest.mark.parametrize("mode", [reverse, forward])
def test_corner(case, mode, dtype):
    args = as_args(case.args, dtype)
    found = mode(case.f, args)
    for g, expected, x in zip(found, case.gradients, args, strict=True):
        assert g.dtype == dtype
        assert g.shape == x.shape
        assert_allclose(g, expected, rtol=1e-4 if dtype == "float32" else 1e-12, atol=0)


# ----- the strong zero ----------------------------------------------------------------------------

TRAPS = {
    "sqrt": np.sqrt,
    "log": np.log,
    "1/x": lambda x: 1 / x,
    "x**0.5": lambda x: x**0.5,
    "x**-1.5": lambda x: x**-1.5,
    "exp, overflowing": lambda x: np.exp(-1e6 * x),
    "arcsin": np.arcsin,
    "arccos": np.arccos,
    "arccosh": np.arccosh,
    "arctanh": np.arctanh,
    "log1p": lambda x: np.log1p(x - 1),
    "log2": np.log2,
    "log10": np.log10,
    "cbrt": np.cbrt,
    "reciprocal": np.reciprocal,
    "sqrt of sum of squares": lambda x: np.sqrt(x * x),
    "y / x": lambda x: x / (x * x),
    "logaddexp": lambda x: np.logaddexp(np.log(x), 0.0),
    "tan at nan": lambda x: np.tan(x / 0.0 * 0.0),
    "power": lambda x: np.power(x, x),
}
OUTSIDE = numpy.array([0.0, -1.0, -2.0])


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_where_hides_the_other_branch_to_every_order(trap, order, dtype):
    f = TRAPS[trap]

    def derivative(x):
        return np.where(x > 0, f(x), 0.0)

    for _ in range(order):
        derivative = elementwise_grad(derivative)
    found = derivative(OUTSIDE.astype(dtype))
    assert_array_equal(found, numpy.zeros(3))
    assert found.dtype == dtype


@pytest.mark.parametrize("trap", TRAPS)
@pytest.mark.parametrize("order", [1, 2, 3])
def test_where_hides_the_other_branch_in_forward_mode(trap, order, dtype):
    def derivative(x):
        return np.where(x > 0, TRAPS[trap](x), 0.0)

    def pushed(g):
        return lambda x: jvp(g, (x,), (numpy.ones_like(OUTSIDE, dtype),))[1]

    for _ in range(order):
        derivative = pushed(derivative)
    assert_array_equal(derivative(OUTSIDE.astype(dtype)), numpy.zeros(3))


@pytest.mark.parametrize("trap", ["sqrt", "log", "1/x", "x**0.5"])
def test_where_leaves_the_chosen_branch_alone(trap):
    f = TRAPS[trap]

    def chosen(x):
        return np.where(x > 0, f(x), 0.0)

    x = numpy.array([2.0])
    for order in range(3):
        plain, guarded = f, chosen
        for _ in range(order + 1):
            plain, guarded = elementwise_grad(plain), elementwise_grad(guarded)
        assert_allclose(guarded(x), plain(x), rtol=1e-13)


def test_where_hides_nan_at_nan():
    x = numpy.array([nan, 1.0])
    for f in (np.tanh, np.sin, np.exp, np.square, np.abs, sp.expit, sp.erf):
        g = reverse(lambda x, f=f: np.where(np.isnan(x), 0.0, f(x)), [x])[0]
        assert g[0] == 0
        assert g[1] != 0


def test_where_hides_sin_of_infinity():
    x = numpy.array([inf, 0.0])
    assert_array_equal(reverse(lambda x: np.where(np.isinf(x), 0.0, np.sin(x)), [x])[0], [0.0, 1.0])


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_nth_derivative_of_tanh_to_the_n_at_0(n):
    def by_power(x):
        return np.tanh(x) ** n

    def by_products(x):
        y = np.tanh(x)
        product = y
        for _ in range(n - 1):
            product = product * y
        return product

    for f in (by_power, by_products):
        for _ in range(n):
            f = grad(f)
        assert_allclose(f(0.0), math.factorial(n))


def test_second_derivative_of_tanh_squared_at_0_is_2_in_every_mixture():
    def f(x):
        return np.square(np.tanh(x))

    def push(h):
        return lambda x: jvp(h, (x,), (1.0,))[1]

    for outer in (grad, push):
        for inner in (grad, push):
            assert_allclose(outer(inner(f))(0.0), 2.0)


def test_a_strong_zero_has_its_price():
    assert grad(lambda x: np.square(np.sqrt(x)))(0.0) == 0.0


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


# ----- ties ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [None, 0, 1, -1, (0, 1)])
def test_ties_share_equally_along_any_axis(axis, dtype):
    g = reverse(lambda x: np.max(x, axis=axis), [numpy.full((2, 4), 3, dtype)])[0]
    shares = {None: 1 / 8, 0: 1 / 2, 1: 1 / 4, -1: 1 / 4, (0, 1): 1 / 8}
    assert_allclose(g, numpy.full((2, 4), shares[axis]))


def test_ties_are_counted_beyond_the_integers_of_float16():
    g = reverse(np.max, [numpy.zeros(5000, numpy.float16)])[0]
    assert g.dtype == numpy.float16
    assert_allclose(g.astype(float), 1 / 5000, rtol=1e-3)


def test_clip_is_minimum_of_maximum():
    x, lo, hi = numpy.array([-1.0, 0.0, 1.0, 2.0, 3.0]), 0.0, 2.0
    clipped = reverse(np.clip, [x, numpy.float64(lo), numpy.float64(hi)])
    composed = reverse(
        lambda x, lo, hi: np.minimum(np.maximum(x, lo), hi),
        [x, numpy.float64(lo), numpy.float64(hi)],
    )
    for a, b in zip(clipped, composed, strict=True):
        assert_array_equal(a, b)


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


def test_dtype_is_honoured_by_reductions():
    x = numpy.array([1.0, 2.0], numpy.float32)
    for f in (np.sum, np.mean, np.prod, np.var, np.std, np.cumsum):
        assert f(x, dtype=numpy.float64).dtype == numpy.float64
        g = reverse(lambda x, f=f: f(x, dtype=numpy.float64), [x])[0]
        assert g.dtype == numpy.float32


def test_the_tangent_of_sum_leaves_the_initial_value_out():
    _, t = jvp(lambda x: np.sum(x, initial=5.0), (numpy.ones(3),), (numpy.ones(3),))
    assert t == 3.0


def test_a_tracked_initial_value_gets_its_gradient():
    assert grad(lambda s: np.sum(np.array([1.0, 2.0]), initial=s))(0.5) == 1.0
    assert grad(lambda s: np.prod(np.array([3.0, 2.0]), initial=s))(0.5) == 6.0


@pytest.mark.parametrize("f", [np.max, np.min])
def test_a_tracked_initial_value_of_an_extreme_gets_its_gradient(f):
    limit = 10.0 if f is np.max else -10.0
    assert grad(lambda s: f(np.array([3.0, 2.0]), initial=s))(limit) == 1.0


# ----- assignment ---------------------------------------------------------------------------------


def written(x, y, index):
    made = np.array(x)
    made[index] = y
    return made


@pytest.mark.parametrize("mode", [reverse, forward])
def test_of_repeated_writes_the_last_wins(mode, dtype):
    x, y = as_args([[1.0, 2.0, 3.0], [5.0, 6.0]], dtype)
    gx, gy = mode(lambda x, y: written(x, y, [0, 0]), [x, y])
    assert_array_equal(gx, [0.0, 1.0, 1.0])
    assert_array_equal(gy, [0.0, 1.0])


@pytest.mark.parametrize("mode", [reverse, forward])
def test_repeated_writes_of_a_scalar_count_once(mode):
    gy = mode(lambda y: written(np.zeros(3), y, [0, 0, 2]), [numpy.float64(2.0)])[0]
    assert gy == 2.0


# ----- shapes and layouts -------------------------------------------------------------------------


ON_NOTHING = {
    "sum": np.sum,
    "exp": np.exp,
    "cumsum": np.cumsum,
    "ravel": np.ravel,
    "abs": np.abs,
    "square": lambda x: x * x,
    "prod": lambda x: np.prod(x) + np.sum(x),
    "concatenate": lambda x: np.concatenate([x, x]),
    "where": lambda x: np.where(x > 0, x, 0.0),
    "reversed": lambda x: x[::-1],
    "matmul": lambda x: np.matmul(x, x.T),
    "expit": sp.expit,
    "tile": lambda x: np.tile(x, 2),
}


@pytest.mark.parametrize("name", ON_NOTHING)
@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 3)])
def test_empty_arrays_have_empty_gradients(name, shape):
    f = ON_NOTHING[name]
    x = numpy.ones(shape)
    assert reverse(f, [x])[0].shape == shape
    assert jvp(lambda x: np.sum(f(x)), (x,), (x,))[1] == 0


@pytest.mark.parametrize("f", [np.max, np.min])
def test_extremes_of_nothing_are_refused_as_by_numpy(f):
    with pytest.raises(ValueError, match="zero-size array"):
        f(numpy.ones(0))


LAYOUTS = {
    "strided": lambda x: numpy.repeat(x, 2, axis=0)[::2],
    "reversed": lambda x: x[::-1].copy()[::-1],
    "transposed": lambda x: x.T.copy().T,
    "big-endian": lambda x: x.astype(x.dtype.newbyteorder(">")),
    "read-only": lambda x: numpy.broadcast_to(x, x.shape),
    "unaligned": lambda x: numpy.frombuffer(b"\0" + x.tobytes(), x.dtype, offset=1).reshape(
        x.shape
    ),
    "Fortran": lambda x: numpy.asfortranarray(x),
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
    "logsumexp": lambda x: sp.logsumexp(x, axis=0),
    "softmax": lambda x: sp.softmax(x, 1) ** 2,
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ON_LAYOUTS)
def test_any_layout_gives_what_a_plain_array_gives(layout, name, dtype):
    f = ON_LAYOUTS[name]
    x = numpy.arange(1, 7, dtype=dtype).reshape(2, 3) / 7
    odd = LAYOUTS[layout](x)
    assert_allclose(f(Tensor(odd)).value, f(Tensor(x)).value, rtol=1e-6)
    found, expected = reverse(f, [odd])[0], reverse(f, [x])[0]
    assert_allclose(found, expected, rtol=1e-6)
    assert found.dtype.newbyteorder("=") == dtype


def test_zero_dimensional_arrays_work_like_scalars(dtype):
    for x in (numpy.array(2.0, dtype), dtype.type(2.0)):
        g = grad(lambda x: np.sum(x**3) + x[()] * 2, 0)(x)
        assert g == 14.0
        assert g.dtype == dtype
        assert g.shape == ()


# ----- complex numbers ----------------------------------------------------------------------------


def test_gradient_of_a_real_function_of_z_is_the_conjugate_of_steepest_ascent():
    assert grad(lambda z: np.abs(z) ** 2)(1 + 2j) == pytest.approx(2 - 4j)
    assert grad(lambda z: np.real(z * np.conj(z)))(1 + 2j) == pytest.approx(2 - 4j)


def test_tangent_of_a_real_function_of_z_is_real():
    _, t = jvp(np.abs, (3 + 4j,), (1 + 0j,))
    assert t == pytest.approx(0.6)
    assert t.dtype == numpy.float64


def test_a_real_function_through_complex_numbers():
    x = numpy.array([0.3, -0.7])
    assert_allclose(reverse(lambda x: np.real(np.exp(1j * x)), [x])[0], -numpy.sin(x))
    assert_allclose(forward(lambda x: np.real(np.exp(1j * x)), [x])[0], -numpy.sin(x))


def test_abs_of_complex_zero_has_slope_0():
    assert grad(np.abs)(0j) == 0


def test_a_real_parent_keeps_the_real_part():
    x = numpy.array([1.0, 2.0])
    g = reverse(lambda x: np.real(x * (1 + 2j)), [x])[0]
    assert g.dtype == numpy.float64
    assert_array_equal(g, [1.0, 1.0])
    assert_array_equal(reverse(lambda x: np.imag(x * (1 + 2j)), [x])[0], [2.0, 2.0])


# ----- shapes of gradients ------------------------------------------------------------------------

PAIRS = [
    ((), (3,)),
    ((3,), ()),
    ((1,), (3,)),
    ((2, 1), (3,)),
    ((2, 1), (1, 3)),
    ((4, 1, 3), (2, 1)),
]


ON_PAIRS = {
    "where": lambda x, y: np.where(numpy.True_, x, y),
    "x + 2 * y": lambda x, y: x + 2 * y,
    **{
        name: getattr(np, name)
        for name in "add subtract multiply divide maximum power hypot logaddexp".split()
    },
}


@pytest.mark.parametrize("shapes", PAIRS, ids=str)
@pytest.mark.parametrize("name", ON_PAIRS)
def test_broadcast_operands_get_gradients_of_their_own_shape(name, shapes, dtype):
    f = ON_PAIRS[name]
    rng = numpy.random.default_rng(0)
    args = [rng.uniform(1, 2, shape).astype(dtype) for shape in shapes]
    args = [numpy.asarray(a)[()] for a in args]
    for mode in (reverse, forward):
        for g, x in zip(mode(f, args), args, strict=True):
            assert g.shape == x.shape
            assert g.dtype == dtype


def test_the_jacobian_of_an_outer_product():
    j = jacobian(lambda x: np.outer(x, x))(numpy.array([1.0, 2.0]))
    assert j.shape == (2, 2, 2)
    assert_array_equal(j[:, :, 0], [[2.0, 2.0], [2.0, 0.0]])


# ----- the kernels --------------------------------------------------------------------------------


def test_the_fixture_chooses_who_computes(arithmetic):
    np.tanh(numpy.ones(3))
    kernel = elementwise.tanh.kernels[numpy.ndarray]
    assert (kernel is backpass.cpu.KERNELS["tanh"]) == (arithmetic == "kernels")
    reverse(np.tanh, [numpy.ones(3)])
    (pull,) = elementwise.tanh.pulls[numpy.ndarray]
    assert (pull is backpass.cpu.KERNELS["tanh.vjp"]) == (arithmetic == "kernels")


# ----- ordinary points: every function, against differences ---------------------------------------

A = numpy.array([[0.3, -0.7, 1.1], [0.6, 0.2, -1.4]])
P = numpy.abs(A) + 0.2
U = numpy.tanh(A) * 0.9
V = numpy.array([0.5, -1.5, 0.8])
S = numpy.array([[2.0, 0.3, 0.1], [0.4, 1.5, 0.2], [0.1, 0.6, 1.2]])

# Each of these takes one array of any real numbers, of positive ones, of ones within (-1, 1), ...
ANY = (
    "exp exp2 expm1 sin cos tan tanh sinh cosh arctan arcsinh square absolute fabs negative "
    "positive sinc cbrt reciprocal deg2rad rad2deg real conj sum mean var std prod max min ravel "
    "transpose cumsum flip fliplr flipud diag trace rot90 squeeze tril triu copy"
).split()
PAIRED = (
    "add subtract multiply divide maximum minimum fmax fmin hypot arctan2 logaddexp logaddexp2 "
    "remainder fmod"
).split()


def along(f, **options):
    """Return `f` with keywords."""
    return lambda x: f(x, **options)


ORDINARY = {
    **{name: (getattr(np, name), (A,)) for name in ANY},
    **{name: (getattr(np, name), (P,)) for name in "log log2 log10 log1p sqrt".split()},
    **{name: (getattr(np, name), (U,)) for name in "arcsin arccos arctanh".split()},
    **{name: (getattr(np, name), (A, V)) for name in PAIRED},
    "arccosh": (np.arccosh, (P + 1,)),
    "power": (np.power, (P, V)),
    "float_power": (np.float_power, (P, V)),
    "expit": (sp.expit, (A,)),
    "erf": (sp.erf, (A,)),
    "erfc": (sp.erfc, (A,)),
    **{
        f"{name}, axis {axis}": (along(getattr(sp, name), axis=axis), (A,))
        for name in ("logsumexp", "softmax", "log_softmax")
        for axis in (None, 0, -1)
    },
    **{
        f"{name}, axis {axis}": (along(getattr(np, name), axis=axis), (A,))
        for name in "sum mean prod max min var std cumsum".split()
        for axis in (0, -1)
    },
    **{
        f"{name}, two axes, kept": (
            along(getattr(np, name), axis=(0, 2), keepdims=True),
            (A[:, :, None] * V,),
        )
        for name in "sum mean prod max min var std".split()
    },
    "logsumexp, kept": (lambda x: sp.logsumexp(x, axis=1, keepdims=True), (A,)),
    "logsumexp, two axes": (lambda x: sp.logsumexp(x, axis=(0, 1)), (A,)),
    "clip": (np.clip, (A, numpy.float64(-0.5), numpy.float64(0.5))),
    "where": (lambda x, y: np.where(A > 0, x, y), (A, V)),
    "matmul": (np.matmul, (A, S)),
    "matmul, stacks": (np.matmul, (A[None] * V[:, None, None], S[None])),
    "dot": (np.dot, (A, V)),
    "dot, three axes": (np.dot, (A, A[:, :, None] * V)),
    "inner": (np.inner, (A, S)),
    "vdot": (np.vdot, (A, A + 1)),
    "outer": (np.outer, (A, V)),
    "kron": (np.kron, (A, S[:2, :2])),
    "tensordot": (lambda x, y: np.tensordot(x, y, ([1], [0])), (A, S)),
    "einsum": (lambda x, y, z: np.einsum("ij,jk,k->i", x, y, z), (A, S, V)),
    "einsum, dots": (lambda x, y: np.einsum("...i,ij->...j", x, y), (A, S)),
    "einsum, repeated": (lambda x, y: np.einsum("ii,i->", x, y), (S, V)),
    "concatenate": (lambda x, y: np.concatenate([x, y], axis=0), (A, S)),
    "stack": (lambda x, y: np.stack([x, y], axis=-1), (A, U)),
    "getitem": (lambda x: x[[0, 0, 1], 1:] ** 2, (A,)),
    "getitem, basic": (lambda x: x[1, None, ::-1] ** 2, (A,)),
    "getitem, mask": (lambda x: x[A > 0] ** 2, (A,)),
    "setitem": (lambda x, y: written(x, y, (slice(None), 1)), (A, V[:2])),
    "reshape": (lambda x: np.reshape(x, (3, -1)), (A,)),
    "moveaxis": (lambda x: np.moveaxis(x, 0, -1), (A,)),
    "roll": (lambda x: np.roll(x, 1, axis=1), (A,)),
    "tile": (lambda x: np.tile(x, (2, 2)), (A,)),
    "repeat": (lambda x: np.repeat(x, 2, axis=1), (A,)),
    "broadcast_to": (lambda x: np.broadcast_to(x, (2, 3)), (V,)),
    "split": (lambda x: np.split(x, 3, axis=1)[1], (A,)),
    "linspace": (lambda a, b: np.linspace(a, b, 5), (numpy.float64(0.5), numpy.float64(2.0))),
    "diag, made": (lambda v: np.diag(v, 1), (V,)),
    "complex exp": (np.exp, (A + 0.3j,)),
    "complex product": (lambda z, w: z * np.conj(w) / (w + 3), (A + 0.3j, A - 1j)),
    "complex abs": (np.abs, (A + 0.3j,)),
    "complex angle": (np.angle, (A + 0.3j,)),
    "complex power": (lambda z: z**3, (A + 0.3j,)),
    "complex matmul": (np.matmul, (A + 0.3j, S + 1j)),
    "complex var": (np.var, (A + 0.3j,)),
    "complex std": (np.std, (A + 0.3j,)),
    "complex sum": (np.sum, (A + 0.3j,)),
    "complex prod": (np.prod, (A + 0.3j,)),
}


@pytest.mark.parametrize("name", ORDINARY)
def test_derivatives_agree_with_differences(name):
    f, args = ORDINARY[name]
    check_grads(f, args, order=2)


def test_vjp_of_several_outputs_with_none():
    _, pull = vjp(lambda x: (np.sin(x), np.cos(x)), numpy.array([0.0, 1.0]))
    (g,) = pull((numpy.ones(2), None))
    assert_allclose(g, numpy.cos([0.0, 1.0]))
