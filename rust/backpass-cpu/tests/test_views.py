"""Views of arrays with more axes than the kernels have room for: left to NumPy."""

import numpy as np
import pytest

from backpass.cpu import KERNELS

MANY = np.arange(8.0).reshape((1,) * 37 + (2, 2, 2))


@pytest.mark.parametrize(
    ("name", "keywords"),
    [
        ("flip", {"axis": None}),
        ("flip", {"axis": -1}),
        ("transpose", {"axes": None}),
        ("transpose", {"axes": tuple(range(39, -1, -1))}),
        ("reshape", {"shape": (8,)}),
        ("broadcast_to", {"shape": MANY.shape}),
        ("sum.vjp", {"axis": None}),
    ],
)
def test_more_axes_than_there_is_room_for_are_declined(name, keywords):
    operands = (np.float64(1.0), MANY) if name.endswith(".vjp") else (MANY,)
    assert KERNELS[name](*operands, **keywords) is NotImplemented


def test_as_many_axes_as_there_is_room_for_are_viewed():
    x = MANY[(0,) * 8]
    assert x.ndim == 32
    np.testing.assert_array_equal(KERNELS["flip"](x, axis=-1), np.flip(x, -1))
    np.testing.assert_array_equal(KERNELS["transpose"](x, axes=None), x.T)
    np.testing.assert_array_equal(KERNELS["reshape"](x, shape=(8,)), np.arange(8.0))
