"""Making batches of items."""

import dataclasses
from collections import OrderedDict
from typing import NamedTuple

import numpy as np
import pytest

import backpass.numpy as bnp
from backpass.core import Tensor, grad
from backpass.nn.data import collate


class Pair(NamedTuple):
    x: object
    y: object


@dataclasses.dataclass
class Sample:
    x: object
    y: object


@pytest.mark.parametrize(
    ("items", "dtype"),
    [
        ([True, False], np.bool_),
        ([1, 2], np.int64),
        ([1, True], np.int64),
        ([0.5, 1.5], np.float32),
        ([1, 2.5], np.float32),
        ([1j, 2.0], np.complex64),
        ([np.float64(1), np.float64(2)], np.float64),
        ([np.uint8(1), np.uint8(2)], np.uint8),
        ([np.float16(1)], np.float16),
    ],
)
def test_numbers_become_an_array(items, dtype):
    batch = collate(items)
    assert type(batch) is np.ndarray
    assert batch.dtype == dtype
    assert batch.tolist() == items


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64, np.complex64, "M8[D]", "U3"])
@pytest.mark.parametrize("shape", [(), (2,), (3, 0), (2, 3)])
def test_arrays_are_stacked_and_keep_their_dtype(dtype, shape):
    items = [np.full(shape, i).astype(dtype) for i in range(3)]
    batch = collate(items)
    assert batch.dtype == np.dtype(dtype)
    assert batch.shape == (3, *shape)
    assert np.array_equal(batch, np.stack(items))


def test_trees_keep_their_structure():
    def item(i):
        return {
            "z": (np.full(2, i), i),
            "a": [Pair(float(i), Sample(np.float32(i), "text"))],
            "n": None,
        }

    batch = collate([item(0), item(1), item(2)])
    assert list(batch) == ["z", "a", "n"]
    assert batch["z"][0].tolist() == [[0, 0], [1, 1], [2, 2]]
    assert batch["z"][1].tolist() == [0, 1, 2]
    (pair,) = batch["a"]
    assert isinstance(pair, Pair)
    assert pair.x.dtype == np.float32
    assert isinstance(pair.y, Sample)
    assert pair.y.x.tolist() == [0, 1, 2]
    assert pair.y.y == ["text"] * 3
    assert batch["n"] is None
    assert type(collate([OrderedDict(a=1)])) is OrderedDict


def test_tensors_are_stacked_and_tracked():
    def loss(w):
        batch = collate([(w * 1.0, 0), (w * 2.0, 1)])
        assert isinstance(batch[0], Tensor)
        return bnp.sum(batch[0])

    assert grad(loss)(bnp.array([1.0, 2.0])).tolist() == [3, 3]


@pytest.mark.parametrize(
    ("items", "error", "words"),
    [
        ([(1, 2), (1, 2, 3)], ValueError, "`item` of item 1 of the batch has another structure"),
        ([{"a": 1}, {"b": 1}], ValueError, "item 1 of the batch has another structure"),
        (
            [{"x": np.zeros((2, 3))}] * 2 + [{"x": np.zeros((2, 4))}],
            ValueError,
            r"`item\['x'\]`: the shapes differ: \(2, 3\) of item 0 and \(2, 4\) of item 2",
        ),
        (
            [(0, np.zeros(2, "f4")), (0, np.zeros(2, "f8"))],
            TypeError,
            r"`item\[1\]`: the dtypes differ: float32 of item 0 and float64 of item 1",
        ),
        ([np.float32(1), 1.0], TypeError, "`item`: no batch can be made of float and float32"),
        ([np.float64(1), 1.0], TypeError, "no batch can be made of float and float64"),
        ([None, 1], TypeError, "no batch can be made of NoneType and int"),
        ([{1}, {2}], TypeError, "no batch can be made of set: give the loader a function"),
        ([np.ma.zeros(2)], TypeError, "MaskedArray is not supported"),
    ],
)
def test_items_that_make_no_batch_are_refused(items, error, words):
    with pytest.raises(error, match=words):
        collate(items)
