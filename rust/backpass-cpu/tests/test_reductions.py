"""Reductions, softmax and its relatives against NumPy and SciPy."""

import itertools

import numpy as np
import pytest
import scipy.special

from backpass.cpu import KERNELS, Block

from . import formulas

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")

DTYPES = [np.float32, np.float64]
#: Not where NumPy's are faster.
EXTREMES = [name for name in ("max", "min") if name in KERNELS]
SHAPES = [(1,), (5,), (16,), (33,), (5000,), (3, 10), (40, 17), (2, 3, 4), (5, 1, 3), (3, 200, 20)]


def axes(ndim):
    """Every way to write an axis of an array."""
    yield None
    yield from range(-ndim, ndim)
    for r in range(1, ndim + 1):
        yield from itertools.combinations(range(ndim), r)


def draw(rng, shape, dtype):
    """Normal values with ties among them."""
    values = rng.normal(size=shape)
    return np.where(rng.random(shape) < 0.5, np.round(values), values).astype(dtype)


def layouts(x):
    """Arrays equal to `x`, each lying differently in memory."""
    yield x
    yield np.asfortranarray(x)
    yield np.ascontiguousarray(x[::-1])[::-1]
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    yield wide[..., ::2]
    if x.ndim == 3:
        yield np.ascontiguousarray(x.transpose(1, 2, 0)).transpose(2, 0, 1)


def assert_near(result, expected, dtype, scale=1.0):
    assert result is not NotImplemented
    assert result.dtype == dtype
    assert np.shape(result) == np.shape(expected)
    eps = np.finfo(dtype).eps
    np.testing.assert_allclose(result, expected, rtol=30 * eps, atol=30 * eps * scale)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["sum", "mean", *EXTREMES])
def test_reductions(name, dtype):
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        x = draw(rng, shape, dtype)
        for view in layouts(x):
            for axis, keepdims in itertools.product(axes(len(shape)), (False, True)):
                result = KERNELS[name](view, axis=axis, keepdims=keepdims)
                expected = getattr(np, name)(x.astype(np.float64), axis=axis, keepdims=keepdims)
                scale = np.abs(x).sum() if name == "sum" else 1.0
                assert_near(result, expected, dtype, scale)
                if np.ndim(result) == 0 and not keepdims:
                    assert type(result) is dtype
                else:
                    assert type(result.base) is Block
        assert_near(KERNELS[name](x), getattr(np, name)(x.astype(np.float64)), dtype, 1000)


@pytest.mark.parametrize("name", ["sum", "mean", *EXTREMES])
def test_reductions_of_broadcast_arrays(name):
    x = np.arange(5, dtype=np.float32)
    for view in (
        np.broadcast_to(np.float32(0.1), (300, 5)),
        np.broadcast_to(x, (300, 5)),
        np.broadcast_to(x[:, None], (5, 300)),
        np.broadcast_to(x[:, None, None], (2, 5, 3, 4)),
    ):
        for axis in (None, *range(view.ndim), (0, view.ndim - 1)):
            expected = getattr(np, name)(view.astype(np.float64), axis=axis)
            assert_near(KERNELS[name](view, axis=axis), expected, np.float32, 1.0)


def test_long_sums_are_accurate():
    x = np.full(1 << 22, 0.1, np.float32)
    assert abs(KERNELS["sum"](x) / (x.size * np.float64(np.float32(0.1))) - 1) < 2e-7
    columns = x.reshape(-1, 4)
    np.testing.assert_allclose(
        KERNELS["sum"](columns, axis=0), columns.sum(0, np.float64), rtol=2e-7
    )


@pytest.mark.parametrize("name", EXTREMES)
def test_extremes_propagate_nan(name):
    for n, position in itertools.product((1, 3, 16, 40, 2000), (0, -1)):
        x = np.arange(n, dtype=np.float32)
        x[position] = np.nan
        assert np.isnan(KERNELS[name](x))
        result = KERNELS[name](np.stack([x, np.arange(n, dtype=np.float32)]), axis=1)
        assert np.isnan(result[0])
        assert not np.isnan(result[1])
        assert np.isnan(KERNELS[name](np.stack([x, x], axis=1), axis=0)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["max", "min"])
def test_extreme_rules(name, dtype):
    rng = np.random.default_rng(1)
    for shape in SHAPES:
        x = draw(rng, shape, dtype)
        if x.size > 20:
            x.flat[7] = np.nan
        for view in layouts(x):
            for axis, keepdims in itertools.product(axes(len(shape)), (False, True)):
                ans = np.asarray(getattr(np, name)(x, axis=axis, keepdims=keepdims))
                g = draw(rng, ans.shape, dtype)
                result = KERNELS[f"{name}.vjp"](g, ans, view, axis=axis, keepdims=keepdims)
                assert_near(result, formulas.extreme_vjp(g, ans, x, axis), dtype)
    x = np.array([3, 3, 1], dtype)
    np.testing.assert_array_equal(
        KERNELS["max.vjp"](1.0, dtype(3), x), np.array([0.5, 0.5, 0], dtype)
    )
    x = np.array([3, np.nan, 1], dtype)
    np.testing.assert_array_equal(KERNELS["max.vjp"](dtype(2), dtype(np.nan), x), [0, 2, 0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_logsumexp(dtype):
    rng = np.random.default_rng(2)
    for shape in SHAPES:
        x = draw(rng, shape, dtype)
        for view in layouts(x):
            for axis, keepdims in itertools.product(axes(len(shape)), (False, True)):
                result = KERNELS["logsumexp"](view, axis=axis, keepdims=keepdims)
                wide = x.astype(np.float64)
                assert_near(
                    result, scipy.special.logsumexp(wide, axis=axis, keepdims=keepdims), dtype
                )
                ans = np.asarray(result)
                g = draw(rng, ans.shape, dtype)
                rule = KERNELS["logsumexp.vjp"](g, ans, view, axis=axis, keepdims=keepdims)
                expected = formulas.logsumexp_vjp(g, ans.astype(np.float64), wide, axis)
                assert_near(rule, expected, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("axis", [0, 1])
def test_logsumexp_at_infinity(axis, dtype):
    inf, nan = np.inf, np.nan
    x = np.array(
        [
            [-inf, -inf, -inf],
            [inf, 1, inf],
            [inf, -inf, 0],
            [0, -inf, 1],
            [nan, 0, inf],
            [-1e4, -1e4, 1],
        ],
        dtype,
    )
    g = np.array([2, 2, 2, 2, 0, 2], dtype)
    expected = formulas.logsumexp(x.astype(np.float64), 1)
    rule = formulas.logsumexp_vjp(g, expected, x.astype(np.float64), 1)
    np.testing.assert_array_equal(rule[:3], [[0, 0, 0], [1, 0, 1], [2, 0, 0]])
    laid = np.ascontiguousarray(x if axis else x.T)
    ans = KERNELS["logsumexp"](laid, axis=axis)
    assert_near(ans, expected, dtype)
    result = KERNELS["logsumexp.vjp"](g, ans, laid, axis=axis)
    assert_near(result, rule if axis else rule.T, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax(name, dtype):
    rng = np.random.default_rng(3)
    for shape in SHAPES:
        x = draw(rng, shape, dtype) * 3
        for view in layouts(x):
            for axis in axes(len(shape)):
                result = KERNELS[name](view, axis=axis)
                wide = x.astype(np.float64)
                assert_near(result, getattr(scipy.special, name)(wide, axis=axis), dtype, 3)
                g = draw(rng, shape, dtype)
                for ans, cotangent in (
                    (result, g),
                    (np.asfortranarray(result), np.asfortranarray(g)),
                ):
                    rule = KERNELS[f"{name}.vjp"](cotangent, ans, axis=axis)
                    formula = getattr(formulas, f"{name}_vjp")
                    expected = formula(g.astype(np.float64), result.astype(np.float64), axis)
                    assert_near(rule, expected, dtype, max(1.0, np.abs(g).sum() / 10))
                one = np.broadcast_to(dtype(0.5), shape)
                rule = KERNELS[f"{name}.vjp"](one, result, axis=axis)
                assert_near(
                    rule,
                    formula(one.astype(np.float64), result.astype(np.float64), axis),
                    dtype,
                    x.size,
                )


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_does_not_overflow(name):
    x = np.array([[1000, 0, -1000], [-1000, -1001, -np.inf]], np.float32)
    expected = getattr(scipy.special, name)(x.astype(np.float64), axis=1)
    assert_near(KERNELS[name](x, axis=1), expected, np.float32)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_a_cotangent_of_zeros_stays_zero_where_the_softmax_is_nan(name, dtype):
    x = np.full((3, 37), -np.inf, dtype)
    x[0], x[2, 5] = np.arange(37), np.nan
    g = np.zeros_like(x)
    g[0] = np.cos(np.arange(37))
    for view, cotangent, axis in ((x, g, 1), (x.T.copy(), g.T.copy(), 0)):
        with np.errstate(invalid="ignore"):
            ans = KERNELS[name](view, axis=axis)
        found = np.moveaxis(KERNELS[f"{name}.vjp"](cotangent, ans, axis=axis), axis, 1)
        assert np.all(found[1:] == 0)
        assert np.all(np.isfinite(found[0]))
        assert np.any(found[0] != 0)


REFUSED = [
    dict(axis=2),
    dict(axis=-3),
    dict(axis=(0, 0)),
    dict(axis=(0, 5)),
    dict(axis=1.0),
    dict(axis="x"),
    dict(axis=True),
    dict(axis=10**30),
    dict(where=True),
    dict(keepdims=1),
    dict(dtype=np.float64),
    dict(out=None),
]


@pytest.mark.parametrize("keywords", REFUSED, ids=str)
def test_refused_keywords(keywords):
    x = np.ones((2, 3), np.float32)
    for name in ("sum", "mean", *EXTREMES, "logsumexp", "softmax", "log_softmax"):
        assert KERNELS[name](x, **keywords) is NotImplemented
    assert KERNELS["max.vjp"](x, x, x, **keywords) is NotImplemented
    assert KERNELS["softmax.vjp"](x, x, **keywords) is NotImplemented


def test_refused_operands():
    x = np.ones((2, 3), np.float32)
    for name in ("sum", "mean", *EXTREMES, "logsumexp", "softmax", "log_softmax"):
        kernel = KERNELS[name]
        for other in (
            np.arange(3),
            x.astype(np.float16),
            x.astype(">f4"),
            [1.0],
            1.0,
            np.float32(1),
        ):
            assert kernel(other) is NotImplemented
        assert kernel(x, 0) is NotImplemented
        assert kernel(np.zeros((0, 3), np.float32)) is NotImplemented
    y = np.ones(2, np.float32)
    assert KERNELS["max.vjp"](y, y, x, axis=0) is NotImplemented
    assert KERNELS["max.vjp"](y, y, x, axis=1, keepdims=True) is NotImplemented
    assert KERNELS["max.vjp"](y, y.astype(np.float64), x, axis=1) is NotImplemented
    assert KERNELS["softmax.vjp"](y, x, axis=1) is NotImplemented


def test_an_empty_axis_reduces_nothing():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.testing.assert_array_equal(KERNELS["sum"](x, axis=()), x)
    for name in EXTREMES:
        np.testing.assert_array_equal(KERNELS[name](x, axis=()), x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["var", "std"])
def test_variances_and_their_rules(name, dtype):
    rng = np.random.default_rng(2)
    for shape in SHAPES:
        x = draw(rng, shape, dtype) + dtype(100)
        wide = x.astype(np.float64)
        for view in layouts(x):
            for axis, ddof in itertools.product(axes(len(shape)), (0, 1, -1)):
                keywords = {"axis": axis, "ddof": ddof}
                count = x.size // np.var(wide, axis=axis).size
                if count <= ddof:
                    assert KERNELS[name](view, **keywords) is NotImplemented
                    continue
                expected = getattr(np, name)(wide, **keywords)
                assert_near(KERNELS[name](view, **keywords), expected, dtype, 100)
                if (expected < 1e-2).any():
                    continue
                g = draw(rng, np.shape(expected), dtype)
                distance = wide - wide.mean(axis=axis, keepdims=True)
                spread = g.astype(np.float64)
                if name == "std":
                    spread = spread / (2 * expected)
                spread = np.broadcast_to(
                    spread if axis is None else np.expand_dims(spread, axis), shape
                )
                operands = (g, view) if name == "var" else (g, expected.astype(dtype), view)
                result = KERNELS[f"{name}.vjp"](*operands, **keywords)
                right = spread * distance * 2 / (count - ddof)
                assert_near(result, right, dtype, 1000 * (1 + np.abs(spread).max()))
    assert KERNELS[name](np.ones(3, dtype), ddof=1.5) is NotImplemented
    assert KERNELS["sum"](np.ones(3, dtype), ddof=1) is NotImplemented


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_places_of_extremes(name, dtype):
    if name not in KERNELS:
        pytest.skip("NumPy's is faster with this instruction set")
    rng = np.random.default_rng(3)
    for shape in [*SHAPES, (3, 5000), (2100, 3)]:
        for nans in (0, 1, 3):
            x = draw(rng, shape, dtype).round()
            x.flat[rng.integers(0, x.size, nans)] = np.nan
            for view in layouts(x):
                for axis, keepdims in itertools.product((None, 0, -1), (False, True)):
                    keywords = {"axis": axis, "keepdims": keepdims}
                    found = KERNELS[name](view, **keywords)
                    right = getattr(np, name)(x, **keywords)
                    assert type(found) is type(right)
                    np.testing.assert_array_equal(found, right, strict=True)
    for other in (np.zeros((0, 3), dtype), np.arange(3), np.float32(1)):
        assert KERNELS[name](other) is NotImplemented
    assert KERNELS[name](np.ones((2, 3), dtype), axis=(0, 1)) is NotImplemented


def test_one_row_of_a_million():
    x = np.random.default_rng(4).normal(size=1_000_003) * 3
    for dtype in DTYPES:
        y = x.astype(dtype)
        for name in ("softmax", "log_softmax", "logsumexp"):
            right = getattr(scipy.special, name)(y.astype(np.float64))
            assert_near(KERNELS[name](y), right, dtype, np.abs(right).max())
        for bad, at in itertools.product((np.inf, -np.inf, np.nan), (0, 500_000, -1)):
            y[at], kept = bad, y[at]
            for name in ("softmax", "log_softmax", "logsumexp"):
                found, right = KERNELS[name](y), getattr(scipy.special, name)(y)
                np.testing.assert_allclose(found, right, rtol=1e-4, atol=1e-6)
            y[at] = kept
