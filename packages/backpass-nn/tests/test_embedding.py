"""Embedding: repeated indices, the padding's row, and what is refused."""

import numpy
import pytest

import backpass.numpy as np
from backpass.core import grad, jvp
from backpass.nn import functional

TABLE = numpy.arange(12.0).reshape(4, 3)


def test_repeated_indices_add_up():
    g = grad(lambda w: (functional.embedding([[1, 3], [1, 1]], w) * 2).sum())(TABLE)
    numpy.testing.assert_array_equal(g, numpy.outer([0, 6, 0, 2], [1, 1, 1]))


@pytest.mark.parametrize("padding_idx", [1, -3])
def test_the_paddings_row_is_taken_but_has_no_gradient(padding_idx):
    indices = np.array([1, 2, 1, 0])

    def f(w):
        return functional.embedding(indices, w, padding_idx)

    numpy.testing.assert_array_equal(f(TABLE).value, TABLE[[1, 2, 1, 0]])
    g = grad(lambda w: f(w).sum())(TABLE)
    numpy.testing.assert_array_equal(g, numpy.outer([1, 0, 1, 0], [1, 1, 1]))
    moved = jvp(f, [TABLE], [numpy.ones_like(TABLE)])[1]
    numpy.testing.assert_array_equal(moved, numpy.outer([0, 1, 0, 1], [1, 1, 1]))
    second = grad(lambda w: grad(lambda w: (f(w) ** 3).sum())(w).sum())(TABLE)
    numpy.testing.assert_array_equal(second, 6 * TABLE * [[1], [0], [1], [0]])


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64"])
def test_any_integers_will_do(dtype):
    indices = numpy.array([3, 0], dtype)
    found = functional.embedding(indices, TABLE.astype("f4"))
    assert found.dtype == numpy.float32
    numpy.testing.assert_array_equal(found.value, TABLE[[3, 0]])
    g = grad(lambda w: functional.embedding(indices, w).sum())(TABLE)
    numpy.testing.assert_array_equal(g, numpy.outer([1, 0, 0, 1], [1, 1, 1]))


def test_small_integers_do_not_overflow_in_a_large_table():
    table = numpy.zeros((200, 50))
    g = grad(lambda w: functional.embedding(numpy.array([199], "uint8"), w).sum())(table)
    assert g[199].sum() == g.sum() == 50


def test_one_row_is_a_copy():
    table = TABLE.copy()
    row = functional.embedding(2, table)
    table[2] = 0
    numpy.testing.assert_array_equal(row.value, TABLE[2])


@pytest.mark.parametrize(
    ("indices", "reason"),
    [
        ([[0, 1], [4, -1]], r"`indices`\[1, 0\] is 4, but `weight` has 4 rows.* at most 3"),
        ([0, -1], r"`indices`\[1\] is -1"),
        (7, "`indices` is 7"),
    ],
)
def test_an_index_out_of_range_is_named(indices, reason):
    with pytest.raises(ValueError, match=reason):
        functional.embedding(indices, TABLE)


@pytest.mark.parametrize("indices", [[0.0, 1.0], [True, False]])
def test_indices_are_integers(indices):
    with pytest.raises(TypeError, match="indices are integers"):
        functional.embedding(indices, TABLE)


def test_other_bad_arguments_are_named():
    with pytest.raises(ValueError, match="`padding_idx` is 4, but `weight` has 4 rows"):
        functional.embedding([0], TABLE, padding_idx=4)
    with pytest.raises(TypeError, match=r"`padding_idx` is 1\.0, but it must be an index"):
        functional.embedding([0], TABLE, padding_idx=1.0)
    with pytest.raises(ValueError, match=r"`weight` has shape \(3,\)"):
        functional.embedding([0], TABLE[0])
