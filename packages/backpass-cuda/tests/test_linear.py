"""The dense layer on the device: with epilogues and without, beside its reference."""

import importlib

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.cupy as cp
from backpass.core.backends import NUMPY
from backpass.cupy import epilogues

pytest.importorskip("backpass.nn", reason="backpass.nn need not be installed")
nn = importlib.import_module("backpass.nn.functional.linear")
kernels = importlib.import_module("backpass.cupy.linear")

pytestmark = pytest.mark.usefixtures("cupy")

TOLERANCES = {"float16": 4e-3, "bfloat16": 3e-2, "float32": 4e-6, "float64": 1e-13}
ACTIVATIONS = (None, "relu", "tanh", "sigmoid")
#: x, and how many outputs: odd ones, one row, packs, many rows, and more than a strip.
SHAPES = [
    ((5, 7), 3),
    ((6,), 8),
    ((2, 3, 32), 40),
    ((3000, 12), 264),
    ((1, 5), 1),
    ((4, 3, 2), 520),
]


def dtype_of(name):
    """Return a dtype; skip the test where NumPy does not have it."""
    if name == "bfloat16":
        return numpy.dtype(pytest.importorskip("ml_dtypes").bfloat16)
    return numpy.dtype(name)


def drawn(dtype, *shapes):
    rng = numpy.random.default_rng(0)
    return [rng.normal(size=shape).astype(dtype) for shape in shapes]


def close(found, right, dtype):
    assert found is not NotImplemented
    assert found.shape == right.shape
    size = max(1.0, numpy.abs(right).max(initial=0))
    assert_allclose(
        found.get().astype(float), right, rtol=TOLERANCES[dtype], atol=TOLERANCES[dtype] * size
    )


@pytest.fixture(params=["epilogues", "none"])
def epilogue(request, monkeypatch):
    """Run a test with cuBLASLt, and as where it cannot be loaded."""
    if request.param == "none":
        monkeypatch.setattr(kernels, "_product_and_bias", lambda *xs: NotImplemented)
        monkeypatch.setattr(kernels, "_to_weight_and_bias", lambda *xs: NotImplemented)
    return request.param


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("biased", [True, False], ids=["bias", "no bias"])
def test_it_computes_what_the_reference_does(biased, activation, dtype, epilogue, cupy):
    keywords = {} if activation is None else {"activation": activation}
    for shape, outputs in SHAPES:
        x, weight, bias = drawn(dtype_of(dtype), shape, (outputs, shape[-1]), (outputs,))
        given = x, weight, bias if biased else None
        wide = [None if a is None else a.astype(float) for a in given]
        there = [None if a is None else cupy.asarray(a) for a in given]
        right = nn.linear_.reference(NUMPY)(*wide, **keywords)
        ans = kernels.linear(*there, **keywords)
        close(ans, right, dtype)
        (g,) = drawn(dtype_of(dtype), right.shape)
        needs = (True, True, biased)
        pulled = nn._linear_vjp(
            g.astype(float), ans.get().astype(float), *wide[:2], needs=needs, **keywords
        )
        back = kernels.pull(cupy.asarray(g), ans, *there[:2], needs=needs, **keywords)
        close(back[0], pulled[0], dtype)
        close(back[1], pulled[1], dtype)
        if biased:
            close(back[2], pulled[2].reshape(-1, outputs).sum(0), dtype)
        else:
            assert back[2] is None


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_the_epilogues_are_there(dtype, cupy):
    x, weight, bias = map(cupy.asarray, drawn(dtype, (8, 16), (24, 16), (24,)))
    if epilogues.load() is None:
        pytest.skip("there is no cuBLASLt")
    made = kernels._product_and_bias(x, weight, bias, (8, 24))
    assert made is not NotImplemented
    sums = cupy.empty(24, dtype)
    assert kernels._to_weight_and_bias(made, x, sums, (24, 16)) is not NotImplemented
    # 16 bytes are read at once.
    beside = kernels._product_and_bias(x[1:, 1:], weight[:, 1:], bias, (7, 24))
    assert beside is NotImplemented


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_nan_and_infinity_pass_as_in_the_reference(activation, cupy):
    keywords = {} if activation is None else {"activation": activation}
    x, weight, bias = drawn("float32", (4, 8), (8, 8), (8,))
    x[1, 2], x[2, 2] = numpy.nan, numpy.inf
    with numpy.errstate(all="ignore"):
        right = nn.linear_.reference(NUMPY)(x, weight, bias, **keywords)
    ans = kernels.linear(*map(cupy.asarray, (x, weight, bias)), **keywords)
    assert_allclose(ans.get(), right, rtol=1e-5)
    g = numpy.ones_like(right)
    g[2], g[0, 3] = 0, numpy.inf
    if activation is None:
        return
    with numpy.errstate(all="ignore"):
        turned = nn._through(g, right, activation)
    found, _ = kernels._turned(cupy.asarray(g), cupy.asarray(right), activation)
    assert_allclose(found.get(), turned, rtol=1e-5, atol=1e-6)


def test_only_what_is_needed_is_made(cupy):
    x, weight, bias = map(cupy.asarray, drawn("float32", (5, 8), (4, 8), (4,)))
    ans = kernels.linear(x, weight, bias)
    g = cupy.ones_like(ans)
    whole = kernels.pull(g, ans, x, weight, needs=(True, True, True))
    for i in range(3):
        needs = tuple(i == k for k in range(3))
        part = kernels.pull(g, ans, x, weight, needs=needs)
        for k in range(3):
            assert (part[k] is not None) == needs[k]
        assert_allclose(part[i].get(), whole[i].get(), rtol=1e-6)


def test_what_is_left_to_the_reference(cupy):
    x, weight, bias = map(cupy.asarray, drawn("float32", (5, 8), (4, 8), (4,)))
    assert kernels.linear(x, weight.astype("float64"), bias) is NotImplemented
    assert kernels.linear(x.get(), weight, bias) is NotImplemented
    assert kernels.linear(x, weight, bias, activation="other") is NotImplemented
    ans = kernels.linear(x, weight, bias)
    spread = cupy.broadcast_to(cupy.ones((), "float32"), ans.shape)
    assert kernels.pull(spread, ans, x, weight, needs=(True,) * 3) is NotImplemented


@pytest.mark.parametrize("activation", [None, "relu"])
def test_both_passes_in_a_graph(activation, cupy):
    keywords = {} if activation is None else {"activation": activation}
    x, weight, bias = map(cupy.asarray, drawn("float32", (600, 16), (24, 16), (24,)))

    def both(x, weight, bias):
        ans = kernels.linear(x, weight, bias, **keywords)
        return ans, *kernels.pull(ans, ans, x, weight, needs=(True,) * 3, **keywords)

    captured = cp.capture(both)
    for _ in range(3):
        for mine, its in zip(captured(x, weight, bias), both(x, weight, bias), strict=True):
            assert_array_equal(mine.get(), its.get())
