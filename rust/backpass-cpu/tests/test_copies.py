"""Copies of several arrays in one call."""

import numpy as np
import pytest

import backpass.cpu
from backpass.cpu import KERNELS

copies = KERNELS["copies"]


def arrays(dtype):
    rng = np.random.default_rng(0)
    shapes = ((784, 200), (200,), (), (0, 3), (1, 1), (33, 1000))
    made = [np.asarray(rng.normal(size=shape), dtype) for shape in shapes]
    made[1][:4] = np.nan, -0.0, np.inf, np.finfo(dtype).smallest_subnormal
    return made


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_each_is_equal_and_apart(dtype, threads):
    before = backpass.cpu.get_num_threads()
    backpass.cpu.set_num_threads(threads)
    try:
        given = arrays(dtype)
        found = copies(*given)
    finally:
        backpass.cpu.set_num_threads(before)
    assert type(found) is list
    for x, y in zip(given, found, strict=True):
        assert type(y) is np.ndarray
        assert y.shape == x.shape
        assert y.dtype == x.dtype
        assert y.tobytes() == x.tobytes()
        assert y.flags.writeable
        assert not np.shares_memory(x, y)


def test_both_types_in_one_call():
    x, y = np.arange(5.0), np.arange(6, dtype=np.float32)
    y.flags.writeable = False
    a, b = copies(x, y)
    np.testing.assert_array_equal(a, x, strict=True)
    np.testing.assert_array_equal(b, y, strict=True)
    b[0] = 1
    assert y[0] == 0


def test_declined():
    x = np.ones((4, 6))
    odd = [x.T, x[:, ::2], x.astype(int), x + 1j, x.astype(np.float16), x.astype(">f8"), 1.0, None]
    for other in [*odd, x.view(np.recarray), np.float64(1)]:
        assert copies(x, other) is NotImplemented
    assert copies(x, order="C") is NotImplemented
    assert copies() == []
