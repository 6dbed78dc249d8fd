"""Matrix products against NumPy, in every transposition and stride."""

import itertools

import numpy as np
import pytest

from backpass.cpu import KERNELS, Block

pytestmark = pytest.mark.skipif(
    "matmul" not in KERNELS, reason="no kernel of this instruction set beats NumPy's product"
)

DTYPES = [np.float32, np.float64]
SIZES = [1, 2, 7, 16, 33, 100]


def layouts(x):
    """Arrays equal to `x`, each lying differently in memory."""
    yield x
    yield np.ascontiguousarray(x.T).T
    yield np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1]
    wide = np.zeros((2 * x.shape[0], 3 * x.shape[1]), x.dtype)
    wide[::2, ::3] = x
    yield wide[::2, ::3]


def assert_near(result, expected, dtype, k):
    assert result is not NotImplemented
    assert result.dtype == dtype
    assert np.shape(result) == np.shape(expected)
    np.testing.assert_allclose(
        result, expected, rtol=1e-6, atol=40 * np.sqrt(k) * np.finfo(dtype).eps
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("m", "k", "n"), [*itertools.product(SIZES, repeat=3)])
def test_matrices(m, k, n, dtype):
    rng = np.random.default_rng(m * k * n)
    x, y, g = (rng.normal(size=s).astype(dtype) for s in ((m, k), (k, n), (m, n)))
    wide = [a.astype(np.float64) for a in (x, y, g)]
    for left, right in zip(layouts(x), [*layouts(y)][::-1], strict=True):
        result = KERNELS["matmul"](left, right)
        assert type(result.base) is Block
        assert_near(result, wide[0] @ wide[1], dtype, k)
        assert_near(KERNELS["dot"](left, right), wide[0] @ wide[1], dtype, k)
    for cotangent, left, right in zip(layouts(g), layouts(x), layouts(y), strict=True):
        assert_near(KERNELS["matmul.vjp0"](cotangent, right), wide[2] @ wide[1].T, dtype, n)
        assert_near(KERNELS["matmul.vjp1"](cotangent, left), wide[0].T @ wide[2], dtype, m)
    one = np.broadcast_to(dtype(1), (m, n))
    assert_near(KERNELS["matmul.vjp0"](one, y), one @ wide[1].T, dtype, n)
    assert_near(KERNELS["dot.vjp1"](one, x), wide[0].T @ one, dtype, m)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("m", "k", "n"),
    [(256, 784, 200), (784, 256, 200), (1, 784, 200), (784, 1, 200), (200, 784, 1), (500, 3, 900)],
)
def test_large_matrices(m, k, n, dtype):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=(k, n)).astype(dtype)
    expected = x.astype(np.float64) @ y.astype(np.float64)
    for left, right in itertools.product([*layouts(x)][:2], [*layouts(y)][:2]):
        assert_near(KERNELS["matmul"](left, right), expected, dtype, k)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("m", "k"), [*itertools.product(SIZES, repeat=2)])
def test_vectors(m, k, dtype):
    rng = np.random.default_rng(m * k)
    x, y = rng.normal(size=(m, k)).astype(dtype), rng.normal(size=k).astype(dtype)
    reverse = np.ascontiguousarray(y[::-1])[::-1]
    for left in layouts(x):
        for vector in (y, reverse, np.stack([y, y], 1)[:, 0]):
            assert_near(KERNELS["matmul"](left, vector), x.astype(np.float64) @ y, dtype, k)
            assert_near(KERNELS["matmul"](vector, left.T), x.astype(np.float64) @ y, dtype, k)
    result = KERNELS["dot"](y, reverse)
    assert type(result) is dtype
    assert_near(result, y.astype(np.float64) @ y, dtype, k)


def test_refused():
    x = np.ones((2, 3), np.float32)
    kernel = KERNELS["matmul"]
    assert kernel(x, x) is NotImplemented
    assert kernel(x, np.ones(2, np.float32)) is NotImplemented
    assert kernel(x, 2.0) is NotImplemented
    assert kernel(x, np.float32(2)) is NotImplemented
    assert kernel(x[None], x.T) is NotImplemented
    assert kernel(x, x.T.astype(np.float64)) is NotImplemented
    assert kernel(x, np.ones((3, 0), np.float32)) is NotImplemented
    assert kernel(np.ones((2, 0), np.float32), np.ones((0, 2), np.float32)) is NotImplemented
    assert kernel(x, x.T, out=x) is NotImplemented
    assert kernel(np.ones((2, 3), int), x.T) is NotImplemented
    assert KERNELS["matmul.vjp0"](np.ones(2, np.float32), x) is NotImplemented
    assert KERNELS["matmul.vjp1"](x, x.T) is NotImplemented
