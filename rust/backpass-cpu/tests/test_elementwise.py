"""The elementwise kernels against NumPy, over dtypes, shapes and strides."""

import itertools
import pickle

import numpy as np
import pytest

import backpass.cpu
from backpass.cpu import Block

from .formulas import (
    ABOVE_ONE,
    ELEMENTWISE,
    FEW_ON_AVX512,
    FEW_WITHOUT_VECTORS,
    POSITIVE_ONLY,
    RULES,
    UNARY,
    UNIT_INTERVAL,
    arity,
)

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")


def _left_to_numpy(name, kernel):
    """The kernel, as far as it is one where there are no vector units."""

    def call(*operands, **keywords):
        found = kernel(*operands, **keywords)
        if found is NotImplemented and any(np.size(x) > 32 for x in operands):
            pytest.skip("without vector units NumPy computes it, from 33 elements on")
        return found

    return call if name in FEW_WITHOUT_VECTORS else kernel


KERNELS = {name: _left_to_numpy(name, kernel) for name, kernel in backpass.cpu.KERNELS.items()}
DTYPES = [np.float32, np.float64]
SHAPES = [(1,), (7,), (33,), (1000,), (3, 5), (17, 31), (2, 3, 4), (2, 1, 3, 2), (1, 1)]
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, np.inf, -np.inf, np.nan, 90.0, -90.0]
EXTREME = [1e-40, -1e-40, 3e38, -3e38, 5e-324, 1e-310, 1e308, 710.0, -745.0]


def draw(rng, name, shape, dtype):
    """Values in the function's domain, with exact zeros and ties among them."""
    values = rng.normal(size=shape) * 2
    values = np.where(rng.random(shape) < 0.2, np.round(values), values)
    if name in POSITIVE_ONLY:
        values = np.abs(values)
    if name in UNIT_INTERVAL:
        values = np.clip(values / 8, -1, 1)
    if name in ABOVE_ONE:
        values = 1 + np.abs(values)
    return values.astype(dtype)


def check(name, operands, kernel_operands=None):
    """The kernel's values for `operands`, which are compared with the formula in float64."""
    result = KERNELS[name](*(operands if kernel_operands is None else kernel_operands))
    assert result is not NotImplemented
    dtype = next(x.dtype for x in operands if isinstance(x, np.ndarray | np.generic))
    with np.errstate(all="ignore"):
        expected = ELEMENTWISE[name](*(np.asarray(x, np.float64) for x in operands))
        expected = expected.astype(dtype)
    assert result.dtype == dtype
    assert result.shape == expected.shape
    finfo = np.finfo(dtype)
    # A rule may cancel in its local derivative (1 - ans**2), which the cotangent scales.
    # A logarithm of a sum may cancel against the larger operand.
    cancels = name in RULES or name.startswith("logaddexp")
    cancelled = 8 * finfo.eps * np.max(np.abs(operands[0])) if cancels else 0.0
    atol = max(4 * finfo.smallest_normal, cancelled)
    np.testing.assert_allclose(result, expected, rtol=40 * finfo.eps, atol=atol)
    return result


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_every_elementwise_kernel_has_a_formula(name):
    assert name in KERNELS


FEW = 32


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_contiguous(name, dtype):
    rng = np.random.default_rng(0)
    for shape in SHAPES:
        operands = [draw(rng, name, shape, dtype) for _ in range(arity(name))]
        if name in FEW_ON_AVX512 and np.prod(shape, dtype=int) > FEW:
            assert KERNELS[name](*operands) is NotImplemented
            continue
        result = check(name, operands)
        assert result.flags.c_contiguous
        assert result.flags.writeable
        assert type(result.base) is Block
        assert result.ctypes.data % 64 == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_special_values(name, dtype):
    n = arity(name)
    # A rule's intermediate results may overflow earlier than the formula's.
    values = SPECIAL if name in RULES else SPECIAL + EXTREME
    grid = np.array(list(itertools.product(values, repeat=n)), np.float64).T
    with np.errstate(over="ignore"):
        operands = [np.ascontiguousarray(row).astype(dtype) for row in grid]
    for start in range(0, operands[0].size, FEW):
        check_special(name, [x[start : start + FEW] for x in operands])


def check_special(name, operands):
    result = KERNELS[name](*operands)
    with np.errstate(all="ignore"):
        expected = ELEMENTWISE[name](*operands).astype(result.dtype)
    finfo = np.finfo(result.dtype)
    np.testing.assert_allclose(
        result, expected, rtol=40 * finfo.eps, atol=4 * finfo.smallest_normal
    )
    if name in UNARY:
        zero = expected == 0
        np.testing.assert_array_equal(np.signbit(result[zero]), np.signbit(expected[zero]))


@pytest.mark.parametrize("name", RULES)
def test_strong_zero(name):
    zero = np.zeros(len(SPECIAL), np.float32)
    operands = [np.array(SPECIAL, np.float32) for _ in range(arity(name) - 1)]
    for g in (zero, -zero, 0.0, np.float32(0)):
        np.testing.assert_array_equal(KERNELS[name](g, *operands), zero)


def layouts(x):
    """Arrays equal to `x` that lie differently in memory."""
    yield np.asfortranarray(x)
    wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), x.dtype)
    wide[..., ::2] = x
    yield wide[..., ::2]
    yield np.ascontiguousarray(x[::-1])[::-1]
    yield np.ascontiguousarray(x[..., ::-1])[..., ::-1]
    yield np.ascontiguousarray(x.T).T
    if x.ndim == 3:
        yield np.ascontiguousarray(x.transpose(1, 0, 2)).transpose(1, 0, 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["exp", "add", "tanh.vjp", "maximum.vjp0", "divide.vjp1"])
@pytest.mark.parametrize("shape", [(7,), (5, 40), (3, 4, 5), (2, 700)])
def test_strides(name, shape, dtype):
    rng = np.random.default_rng(1)
    operands = [draw(rng, name, shape, dtype) for _ in range(arity(name))]
    plain = KERNELS[name](*operands)
    for position in range(len(operands)):
        for other in layouts(operands[position]):
            changed = [*operands]
            changed[position] = other
            np.testing.assert_array_equal(check(name, changed), plain)


def test_column_major_operands_give_a_column_major_result():
    x = np.asfortranarray(np.arange(12, dtype=np.float32).reshape(3, 4))
    assert KERNELS["exp"](x).flags.f_contiguous
    assert KERNELS["add"](x, x).flags.f_contiguous
    assert KERNELS["add"](x, np.float32(1)).flags.f_contiguous


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", ["add", "divide", "multiply.vjp0", "maximum", "maximum.vjp1"])
def test_broadcasting(name, dtype):
    rng = np.random.default_rng(2)
    pairs = [
        ((4, 37), (37,)),
        ((4, 37), (4, 1)),
        ((4, 1), (37,)),
        ((3, 1, 5), (4, 1)),
        ((4, 37), (1, 1)),
        ((2, 3, 4), ()),
        ((600, 3), (3,)),
        ((3, 600), (3, 1)),
    ]
    for left, right in pairs:
        for shapes in ((left, right), (right, left)):
            shapes = (*shapes, left)[: arity(name)]
            check(name, [draw(rng, name, shape, dtype) for shape in shapes])


@pytest.mark.parametrize("dtype", DTYPES)
def test_broadcast_views_are_read_where_they_lie(dtype):
    rng = np.random.default_rng(3)
    x = draw(rng, "add", (20, 30), dtype)
    scalar = np.broadcast_to(dtype(2.5), (20, 30))
    row = np.broadcast_to(draw(rng, "add", (30,), dtype), (20, 30))
    column = np.broadcast_to(draw(rng, "add", (20, 1), dtype), (20, 30))
    for other in (scalar, row, column):
        check("add", [x, other])
        check("tanh.vjp", [other, x])
        check("multiply", [other, other])


@pytest.mark.parametrize("dtype", DTYPES)
def test_scalars(dtype):
    x = np.arange(1, 6, dtype=dtype)
    for scalar in (2, 2.5, -1, dtype(3), np.array(1.5, dtype)):
        check("add", [x, np.asarray(scalar, dtype)], [x, scalar])
        check("divide", [np.asarray(scalar, dtype), x], [scalar, x])
        result = KERNELS["add"](dtype(1), scalar)
        assert type(result) is dtype
        assert result == dtype(1) + dtype(scalar)
    assert KERNELS["exp"](np.array(1.0, dtype)).dtype == dtype
    assert type(KERNELS["exp"](np.array(1.0, dtype))) is dtype
    assert KERNELS["add"](1.0, 2.0) is NotImplemented


def test_a_python_number_that_overflows_float32_is_left_to_numpy():
    x = np.ones(3, np.float32)
    assert KERNELS["add"](x, 1e300) is NotImplemented
    assert KERNELS["add"](x, 10**400) is NotImplemented
    np.testing.assert_array_equal(KERNELS["add"](x, np.inf), np.full(3, np.inf, np.float32))


def test_empty():
    for shape in ((0,), (0, 3), (3, 0), (2, 0, 2)):
        x = np.zeros(shape, np.float32)
        assert KERNELS["exp"](x).shape == shape
        assert KERNELS["add"](x, x).shape == shape
        assert KERNELS["add"](x, 1.0).shape == shape
    assert KERNELS["add"](np.zeros((0, 3), np.float32), np.zeros((1, 3), np.float32)).shape == (
        0,
        3,
    )


class Subclass(np.ndarray):
    """An array that is not exactly an ndarray."""


UNHANDLED = [
    np.arange(3),
    np.arange(3, dtype=np.float16),
    np.arange(3, dtype=np.complex64),
    np.arange(3, dtype=np.float32).astype(">f4"),
    np.array([True, False, True]),
    np.arange(3, dtype=np.float32).view(Subclass),
    np.frombuffer(b"\0" + bytes(12), np.uint8)[1:].view(np.float32),
    [1.0, 2.0, 3.0],
    None,
    "text",
    True,
    np.float16(1),
    np.bool_(True),
    1j,
]


@pytest.mark.parametrize(
    "other", UNHANDLED, ids=lambda x: f"{type(x).__name__}-{getattr(x, 'dtype', '')}"
)
def test_what_is_not_handled_is_refused(other):
    x = np.ones(3, np.float32)
    assert KERNELS["exp"](other) is NotImplemented
    assert KERNELS["add"](x, other) is NotImplemented
    assert KERNELS["add"](other, x) is NotImplemented
    assert KERNELS["maximum.vjp0"](x, x, other) is NotImplemented


def test_mixed_types_wrong_shapes_and_wrong_calls_are_refused():
    x = np.ones(3, np.float32)
    assert KERNELS["add"](x, np.ones(3)) is NotImplemented
    assert KERNELS["add"](x, np.float64(1)) is NotImplemented
    assert KERNELS["add"](x, np.ones(4, np.float32)) is NotImplemented
    assert (
        KERNELS["add"](np.ones((2, 3), np.float32), np.ones((3, 2), np.float32)) is NotImplemented
    )
    assert KERNELS["maximum.vjp0"](x, x, np.ones((2, 2), np.float32)) is NotImplemented
    assert KERNELS["add"](x) is NotImplemented
    assert KERNELS["add"](x, x, x) is NotImplemented
    assert KERNELS["add"]() is NotImplemented
    assert KERNELS["exp"](x, out=x) is NotImplemented
    assert KERNELS["exp"](x=x) is NotImplemented
    assert KERNELS["exp"](np.ones((1,) * 40, np.float32)) is NotImplemented


def test_an_unpickled_array_has_a_type_of_its_own():
    x = pickle.loads(pickle.dumps(np.arange(3, dtype=np.float32)))
    np.testing.assert_array_equal(KERNELS["add"](x, np.float32(1)), [1, 2, 3])


def test_read_only_operands():
    x = np.ones(3, np.float32)
    x.flags.writeable = False
    result = KERNELS["add"](x, x)
    assert result.flags.writeable
    np.testing.assert_array_equal(result, [2, 2, 2])


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_rule_of_repeated_elements_gives_a_repeated_element(dtype):
    g = np.broadcast_to(dtype(1.5), (3, 4))
    result = KERNELS["subtract.vjp1"](g)
    np.testing.assert_array_equal(result, np.full((3, 4), -1.5, dtype))
    assert result.strides == (0, 0)
    assert not result.flags.writeable
    # A function's result is the caller's own.
    result = KERNELS["negative"](g)
    assert result.flags.writeable
    np.testing.assert_array_equal(result, np.full((3, 4), -1.5, dtype))


@pytest.mark.parametrize("name", ["multiply.vjp0", "multiply.vjp1", "exp.vjp"])
def test_a_cotangent_of_ones_gives_the_other_factor_to_be_read(name):
    y = np.array([[1.0, np.nan], [np.inf, -0.0]])
    ones = np.broadcast_to(np.float64(1), (2, 2))
    for factor in (y, y.T, y[::-1, :1].repeat(2, 1)[:, ::-1]):
        result = KERNELS[name](ones, factor)
        assert np.shares_memory(result, factor)
        assert not result.flags.writeable
        assert factor.flags.writeable
        assert (result.shape, result.strides, result.dtype) == (
            (2, 2),
            factor.strides,
            factor.dtype,
        )
        np.testing.assert_array_equal(result, factor)
        np.testing.assert_array_equal(np.signbit(result), np.signbit(factor))
    # Not where the result is larger than the factor, nor where the cotangent is an ordinary array.
    np.testing.assert_array_equal(KERNELS[name](ones, y[0]), np.broadcast_to(y[0], (2, 2)))
    assert not np.shares_memory(KERNELS[name](np.ones((2, 2)), y), y)
    twos = np.broadcast_to(np.float64(2), (2, 2))
    np.testing.assert_array_equal(KERNELS[name](twos, y), 2 * y)


def test_a_result_lies_in_memory_as_its_operands_do():
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    for axes in itertools.permutations(range(3)):
        view = x.transpose(axes)
        assert KERNELS["exp"](view).strides == np.exp(view).strides
        assert KERNELS["add"](view, view).strides == (view + view).strides
        assert KERNELS["add"](view, view[..., :1]).strides == (view + view[..., :1]).strides
        assert KERNELS["add"](view, view[0]).strides == (view + view[0]).strides


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("exponent", [-1, 1, 2, 3, 4, 2.0, 3.0])
def test_small_constant_powers(exponent, dtype):
    x = np.array([-2.5, -0.0, 0.0, 0.5, 3.0, np.inf, -np.inf, np.nan], dtype)
    g = np.linspace(-1, 1, 8, dtype=dtype)
    with np.errstate(all="ignore"):
        expected = np.power(x, exponent)
        slope = exponent * np.power(x, exponent - 1)
    np.testing.assert_allclose(KERNELS["power"](x, exponent), expected, rtol=4e-7)
    np.testing.assert_allclose(KERNELS["power.vjp0"](g, x, exponent), g * slope, rtol=4e-7)


@pytest.mark.parametrize("dtype", DTYPES)
def test_hypot_and_arctan2_of_denormal_and_of_huge_numbers(dtype):
    info = np.finfo(dtype)
    ends = [0, *(info.smallest_subnormal * n for n in (1, 3, 4, 300, 400)), info.tiny, info.max]
    halves = [info.max / 2, np.sqrt(info.max), np.sqrt(info.tiny), np.sqrt(info.tiny) * 1e-3]
    x, y = (v.ravel() for v in np.meshgrid(*2 * [np.array([*ends, *halves], dtype)]))
    for name in ("hypot", "arctan2"):
        with np.errstate(all="ignore"):
            expected = getattr(np, name)(x, y)
        if name in KERNELS:
            found = KERNELS[name](x, y)
            if found is not NotImplemented:
                least = info.smallest_subnormal
                np.testing.assert_allclose(found, expected, rtol=4 * info.eps, atol=least)
                np.testing.assert_array_equal(found == 0, expected == 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_power_of_a_half_is_left_to_numpy(dtype):
    # NumPy takes the square root of -0 and -inf there: -0 and nan, not 0 and inf.
    x = np.array([-np.inf, -0.0], dtype)
    half = dtype(0.5)
    for exponent in (0.5, half, np.array(half), np.array([half]), np.broadcast_to(half, 2)):
        assert KERNELS["power"](x, exponent) is NotImplemented
    assert KERNELS["power"](x, np.array([half, half])) is not NotImplemented
    assert KERNELS["power"](x, 1.5) is not NotImplemented
    # The slope of x**1.5 is such a power.
    assert KERNELS["power.vjp0"](x, x, dtype(1.5)) is NotImplemented
    assert KERNELS["power.vjp0"](x, x, 2.5) is not NotImplemented


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(33, 70), (3, 40, 50), (17, 2, 129)])
def test_operands_that_lie_across_each_other(shape, dtype):
    x = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    y = np.ascontiguousarray(x.T).T
    np.testing.assert_array_equal(KERNELS["add"](x, y), 2 * x)
    np.testing.assert_array_equal(KERNELS["add"](x[::-1, ::2], y[::-1, ::2]), 2 * x[::-1, ::2])


@pytest.mark.parametrize("dtype", DTYPES)
def test_outputs_larger_than_the_caches(dtype):
    n = (1 << 24) // np.dtype(dtype).itemsize + 37
    x = np.arange(n, dtype=dtype) % 1000
    np.testing.assert_array_equal(KERNELS["add"](x, dtype(0.5)), x + dtype(0.5))
