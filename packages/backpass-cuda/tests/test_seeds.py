"""The cotangent that a walk starts from, and the copies that `.grad` gets."""

import numpy
import pytest
from numpy.testing import assert_array_equal

import backpass.cupy as cp
from backpass.core import grad
from backpass.cupy.kernels import KERNELS

pytestmark = pytest.mark.usefixtures("cupy")


def test_the_seed_is_made_once_for_each_dtype(cupy):
    value = cupy.zeros((), "float32")
    seed = KERNELS["one_like"](value)
    assert seed.dtype == "float32"
    assert float(seed) == 1.0
    assert KERNELS["one_like"](value) is seed
    assert KERNELS["one_like"](cupy.zeros((), "float64")).dtype == "float64"


def test_what_is_not_of_shape_0_is_left_to_the_library(cupy):
    assert KERNELS["one_like"](cupy.zeros((1,))) is NotImplemented
    assert KERNELS["one_like"](numpy.zeros(())) is NotImplemented


def test_nobody_gets_the_seed_itself(cupy):
    x = cp.array(3.0)
    for _ in range(2):
        g = grad(lambda x: x + 0.0)(x)
        assert_array_equal(g.get(), 1.0)
        g[...] = 7.0  # what is returned may be written into
        x.grad[...] = 5.0
        x.grad = None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_copies(dtype, cupy):
    xs = [cupy.asarray(numpy.arange(n, dtype=dtype)) for n in (5, 1, 0, 70_001)]
    xs.append(xs[3][1:5000].reshape(-1, 7) if (5000 - 1) % 7 == 0 else xs[3][1:4999])
    made = KERNELS["copies"](*xs)
    for x, copy in zip(xs, made, strict=True):
        assert copy.data.ptr != x.data.ptr or not x.size
        assert copy.shape == x.shape
        assert_array_equal(copy.get(), x.get())


def test_copies_of_what_is_not_contiguous_are_left_to_others(cupy):
    x = cupy.ones((4, 6))
    for odd in (x[:, ::2], x.T, x.astype("int64"), x.get(), x.astype("float32")):
        assert KERNELS["copies"](x, odd) is NotImplemented
    assert KERNELS["copies"]() is NotImplemented


def test_gradients_are_unshared(cupy):
    w, b = cp.ones((3, 2)), cp.ones(2)
    gw, gb = grad(lambda ws: cp.sum(ws[0] * 2 + ws[1]))([w, b])
    for t, g in ((w, gw), (b, gb)):
        assert t.grad.data.ptr != g.data.ptr
        assert_array_equal(t.grad.get(), g.get())
