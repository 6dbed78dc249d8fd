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


STACKS = [
    ((4, 2, 3), (4, 3, 5)), ((4, 2, 3), (3, 5)), ((2, 3), (4, 3, 5)), ((4, 1, 3), (1, 3, 5)),
    ((6, 1, 2, 3), (4, 3, 5)), ((1, 4, 2, 3), (6, 1, 3, 5)), ((4, 2, 3), (3,)), ((3,), (4, 3, 5)),
    ((5, 4, 2, 3), (3,)), ((3,), (5, 4, 3, 2)), ((7, 1, 3), (3, 1)), ((7, 2, 1), (7, 1, 2)),
    ((100, 3, 3), (100, 3, 3)), ((3, 40, 50), (3, 50, 60)), ((2, 300, 64), (2, 64, 200)),
    ((0, 2, 3), (3, 5)), ((4, 0, 3), (3, 5)), ((4, 2, 0), (0, 5)), ((4, 2, 3), (3, 0)),
]  # fmt: skip


def views(x):
    """Arrays equal to `x` in other layouts: transposed, backwards, with gaps."""
    yield x
    yield x.T.copy().T
    yield np.flip(x).copy()[(slice(None, None, -1),) * x.ndim]
    wide = np.zeros([2 * n for n in x.shape], x.dtype)
    gaps = (slice(None, None, 2),) * x.ndim
    wide[gaps] = x
    yield wide[gaps]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("left", "right"), STACKS)
def test_stacks(left, right, dtype):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=left).astype(dtype), rng.normal(size=right).astype(dtype)
    expected = x.astype(np.float64) @ y.astype(np.float64)
    for one, other in itertools.product(views(x), views(y)):
        assert_near(KERNELS["matmul"](one, other), expected, dtype, left[-1])
    spread = np.broadcast_to(x[..., :1], x.shape)
    assert_near(KERNELS["matmul"](spread, y), spread.astype(np.float64) @ y, dtype, left[-1])


def unbroadcast(x, shape):
    """Sum over the axes along which an array of `shape` was broadcast."""
    x = x.sum(tuple(range(x.ndim - len(shape))))
    return x.sum(tuple(i for i, n in enumerate(shape) if n != x.shape[i]), keepdims=True)


def gradients(g, x, y):
    """The cotangents of both operands, in float64."""
    g, x, y = (a.astype(np.float64) for a in (g, x, y))
    left, right = (x[None] if x.ndim == 1 else x), (y[:, None] if y.ndim == 1 else y)
    g = g.reshape((left @ right).shape)
    gx = unbroadcast(g @ np.swapaxes(right, -1, -2), left.shape)
    gy = unbroadcast(np.swapaxes(left, -1, -2) @ g, right.shape)
    return gx.reshape(x.shape), gy.reshape(y.shape)


VECTORS = [((2, 3), (3,)), ((3,), (3, 2)), ((3,), (3,)), ((40, 50), (50,)), ((50,), (50, 40))]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("left", "right"), [*STACKS, *VECTORS])
def test_the_rules_of_stacks_and_vectors(left, right, dtype):
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=left).astype(dtype), rng.normal(size=right).astype(dtype)
    g = np.asarray(rng.normal(size=np.shape(x @ y))).astype(dtype)
    gx, gy = gradients(g, x, y)
    terms = max(1, *left, *right)
    for name in ("matmul", "dot") if max(x.ndim, y.ndim) < 3 else ("matmul",):
        for cotangent, one, other in itertools.product(views(g), views(x), views(y)):
            found = KERNELS[f"{name}.vjp0"](cotangent[()], other)
            assert_near(unbroadcast(found, left), gx, dtype, terms)
            found = KERNELS[f"{name}.vjp1"](cotangent[()], one)
            assert_near(unbroadcast(found, right), gy, dtype, terms)


def test_one_operand_twice():
    x = np.random.default_rng(3).normal(size=(70, 70))
    for other in (x, x.T, x[::-1], x[:, ::-1].T):
        assert_near(KERNELS["matmul"](x, other), x @ other, np.float64, 70)


def test_no_terms_give_zeros():
    x = np.ones((2, 0), np.float32)
    assert np.array_equal(KERNELS["matmul"](x, x.T), np.zeros((2, 2), np.float32))
    assert KERNELS["dot"](x[0], x[1]) == 0
    assert KERNELS["matmul"](x.T, x).shape == (0, 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("m", "n"), [(1, 1), (2, 40), (20, 1), (20, 40)])
def test_what_is_not_finite_meets_zeros(m, n, dtype):
    for value, place in itertools.product((np.nan, np.inf, -np.inf), (0, 13, 16)):
        x, y = np.zeros((m, 17), dtype), np.zeros((17, n), dtype)
        x[m // 2, place] = value
        with np.errstate(invalid="ignore"):
            expected = x @ y
        assert np.isnan(expected[m // 2]).all()
        for right in views(y):
            np.testing.assert_array_equal(KERNELS["matmul"](x, right), expected)
        np.testing.assert_array_equal(KERNELS["matmul"](y.T, x.T), expected.T)


def test_refused():
    x = np.ones((2, 3), np.float32)
    kernel = KERNELS["matmul"]
    assert kernel(x, x) is NotImplemented
    assert kernel(x, np.ones(2, np.float32)) is NotImplemented
    assert kernel(x, 2.0) is NotImplemented
    assert kernel(x, np.float32(2)) is NotImplemented
    assert kernel(np.float32(2), x) is NotImplemented
    assert kernel(x, x.T.astype(np.float64)) is NotImplemented
    assert kernel(x, x.T, out=x) is NotImplemented
    assert kernel(np.ones((2, 3), int), x.T) is NotImplemented
    assert kernel(np.ones((2, 2, 3)), np.ones((3, 3, 2))) is NotImplemented
    assert kernel(np.ones((1,) * 9 + (2, 3)), np.ones((3, 2))) is NotImplemented
    assert KERNELS["dot"](x[None], x.T) is NotImplemented  # which is no matmul
    assert KERNELS["matmul.vjp0"](np.ones(2, np.float32), x) is NotImplemented
    assert KERNELS["matmul.vjp0"](np.float32(1), x) is NotImplemented
    assert KERNELS["matmul.vjp0"](2.0, x[0]) is NotImplemented
    assert KERNELS["matmul.vjp1"](x, x.T) is NotImplemented
