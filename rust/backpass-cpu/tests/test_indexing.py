"""Reading at indices, adding there, and permutations, against NumPy."""

import itertools

import numpy as np
import pytest

from backpass.cpu import KERNELS

DTYPES = [np.float32, np.float64]
GETITEM, SCATTER, RULE = KERNELS["getitem"], KERNELS["scatter"], KERNELS["getitem.vjp"]


class Shaped:
    """Something that has a shape, as a node has."""

    def __init__(self, shape):
        self.shape = shape


def draw(shape, dtype, seed=0):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def added(g, index, shape):
    made = np.zeros(shape, g.dtype)
    np.add.at(made, index, g)
    return made


def places(*numbers):
    return np.array(numbers, np.intp)


BASIC = [0, -1, np.int64(2), slice(None), slice(1, 3), slice(None, None, -2), Ellipsis, None]
BASIC += [(1, 2), (slice(None), 3), (Ellipsis, slice(1, None)), (None, 2), (0, None, slice(2)), ()]
LISTS = [
    places(0, 2, 2, -1, 0),
    places(),
    places([0, 1], [3, -4]),
    (places(3, 3, 1),),
    (places(1, 1, 0, -1), places(2, 2, 5, -6)),
    (slice(None), places(5, 0, 5)),
    (places([[1]]), places([[2]])),
]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("index", BASIC + LISTS, ids=repr)
def test_reads_and_adds_as_numpy_does(index, dtype):
    for x in (draw((4, 6), dtype), draw((4, 6, 3), dtype), draw((4, 6, 2, 40), dtype)):
        right = x[index]
        found = GETITEM(x, index=index)
        assert type(found) is type(right)
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, right, strict=True)
        np.testing.assert_array_equal(GETITEM(x[:, ::-1], index=index), x[:, ::-1][index])
        g = np.asarray(draw(right.shape, dtype, 1))[()]
        for cotangent in (
            g,
            g.T.copy().T if g.ndim > 1 else g,
            np.broadcast_to(g[..., :1], g.shape) if g.ndim and g.size else g,
        ):
            right = added(cotangent, index, x.shape)
            for made in (
                SCATTER(cotangent, index=index, shape=x.shape),
                RULE(cotangent, Shaped(x.shape), index=index),
                RULE(cotangent, x, index=index),
            ):
                assert made is not NotImplemented
                np.testing.assert_array_equal(made, right, strict=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_and_their_cotangents(dtype):
    x = draw(5, dtype)
    assert type(GETITEM(x, index=2)) is dtype
    np.testing.assert_array_equal(
        SCATTER(dtype(3), index=2, shape=(5,)), np.array([0, 0, 3, 0, 0], dtype), strict=True
    )


def test_many_places_are_added_in_their_order():
    # Sums of numbers so different that another order gives another result.
    rng = np.random.default_rng(0)
    g = (rng.normal(size=(5000, 300)) * 10.0 ** rng.integers(-6, 7, (5000, 300))).astype(np.float32)
    index = rng.integers(0, 7, 5000)
    np.testing.assert_array_equal(
        SCATTER(g, index=index, shape=(7, 300)), added(g, index, (7, 300))
    )
    flat = np.ascontiguousarray(g[:, 0])
    np.testing.assert_array_equal(SCATTER(flat, index=index, shape=(7,)), added(flat, index, (7,)))
    x = rng.normal(size=(300, 64))
    index = rng.integers(-300, 300, 20_000)
    np.testing.assert_array_equal(GETITEM(x, index=index), x[index])


@pytest.mark.parametrize("index", [4, -5, (0, 6), places(4), places(0, -5), (places(0), places(6))])
def test_what_lies_outside_is_an_error_as_in_numpy(index):
    x = draw((4, 6), np.float32)
    with pytest.raises(IndexError):
        GETITEM(x, index=index)
    try:
        found = SCATTER(np.float32(1), index=index, shape=(4, 6))
    except IndexError:
        return
    assert found is NotImplemented


def test_what_is_left_to_numpy():
    x = draw((4, 6), np.float32)
    odd = [
        np.ones((4, 6), bool), [0, 1], np.array([0, 1], np.int32), np.array([1.0]),
        (places(0), 1), (places(0), slice(None)), (slice(1), places(0)), True,
        (places(0, 1), places([0], [1])), np.array([0, 1], ">i8"), places(0, 1, 2, 3)[::2],
    ]  # fmt: skip
    for index in odd:
        assert SCATTER(np.ones(2, np.float32), index=index, shape=(4, 6)) is NotImplemented
        try:
            right = x[index]
        except IndexError:
            continue
        np.testing.assert_array_equal(GETITEM(x, index=index), right, strict=True)
    wrong = [
        np.ones(3, np.float32),
        np.ones((2, 5), np.float32),
        np.float32(1),
        np.ones(2, complex),
    ]
    for g in wrong:
        assert SCATTER(g, index=places(0, 1), shape=(4, 6)) is NotImplemented
    for kernel in (GETITEM, SCATTER):
        assert kernel(1.0, index=0) is NotImplemented
        assert kernel(x) is NotImplemented
        assert kernel([1.0], index=0) is NotImplemented
    with pytest.raises(ValueError, match="broadcast"):
        SCATTER(np.ones(3, np.float32), index=slice(2), shape=(4,))


def test_other_dtypes_are_read():
    for x in (np.arange(6), np.ones(6, bool), np.arange(6) + 1j, np.array(list("abcdef"))):
        for index in (2, slice(1, 4), places(0, 5, 0)):
            np.testing.assert_array_equal(GETITEM(x, index=index), x[index], strict=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_permutations(dtype):
    for shape in ((7,), (3, 5), (2, 3, 4), (0, 3), (3, 0)):
        x = draw(shape, dtype)
        order = np.argsort(draw(shape, dtype, 1), axis=-1)
        for axis in (-1, len(shape) - 1):
            found = KERNELS["permute"](x, order=order, axis=axis)
            np.testing.assert_array_equal(found, np.take_along_axis(x, order, -1), strict=True)
            back = KERNELS["permute_back"](found, order=order, axis=axis)
            np.testing.assert_array_equal(back, x, strict=True)
    x, order = draw((3, 4), dtype), np.zeros((3, 4), np.intp)
    wrong = [(x, order, 0), (x, order[:2], 1), (x, order + 4, 1), (x, order - 5, 1), (x, order, 2)]
    wrong += [(x, order.astype(np.int32), 1), (x[0], order, 0)]
    for (x, order, axis), name in itertools.product(wrong, ("permute", "permute_back")):
        assert KERNELS[name](x, order=order, axis=axis) is NotImplemented
