"""Elements picked, written, left out and put in, at their corners."""

import numpy
import pytest
from numpy.testing import assert_array_equal

import backpass.numpy as np
from backpass.core import Tensor, grad
from backpass.core.tensor import COUNTED
from backpass.core.testing import check_grads

X = numpy.array([[3.0, 1.0, 2.0], [5.0, 4.0, 6.0]])


def leaf(values):
    return np.array(values).requires_grad_()


@pytest.mark.parametrize("mode", ["raise", "wrap", "clip"])
@pytest.mark.parametrize("axis", [None, 0, 1, -2])
@pytest.mark.parametrize("indices", [1, [1, 0], [[0, 1], [1, 1]], True, [True, False], [], [-1]])
def test_take_is_numpys(indices, axis, mode):
    found = np.take(X, indices, axis, mode=mode)
    assert_array_equal(found.value, numpy.take(X, indices, axis, mode=mode), strict=True)


@pytest.mark.parametrize("number", [-5, 5])
def test_a_single_index_is_brought_into_range(number):
    for mode in ("wrap", "clip"):
        assert np.take(X, number, 0, mode=mode).shape == (3,)
        assert_array_equal(
            np.take(X, number, 0, mode=mode).value, numpy.take(X, number, 0, mode=mode)
        )


def test_bad_arguments_of_take_are_named():
    with pytest.raises(IndexError, match="out of bounds"):
        np.take(X, [7])
    with pytest.raises(IndexError, match="take: there is nothing to index"):
        np.take(numpy.zeros((0, 2)), [0], mode="wrap")
    with pytest.raises(TypeError, match="take: indices must be integers, they are float64"):
        np.take(X, [0.5])
    with pytest.raises(ValueError, match="'raise', 'wrap' or 'clip', it is 'near'"):
        np.take(X, 0, mode="near")
    with pytest.raises(TypeError, match="take: out="):
        np.take(X, 0, out=np.zeros(()))
    with pytest.raises(numpy.exceptions.AxisError):
        np.take(X, 0, axis=2)


def test_indices_may_be_tensors_of_any_integers():
    for kind in ("uint8", "int16", ">i8"):
        places = Tensor(numpy.array([[2, 0], [0, 0]], kind))
        found = grad(lambda x: np.sum(np.take_along_axis(x, places, 1) ** 2))(X)  # noqa: B023
        assert_array_equal(found, 2 * X * [[1, 0, 1], [2, 0, 0]])
        assert_array_equal(np.take(X, places).value, X.ravel()[[[2, 0], [0, 0]]])


def test_bad_arguments_of_take_along_axis_are_named():
    with pytest.raises(IndexError, match="must be integers, they are bool"):
        np.take_along_axis(X, X > 2, 0)
    with pytest.raises(ValueError, match=r"indices of shape \(2,\) for 2 axes"):
        np.take_along_axis(X, [0, 1], 0)
    with pytest.raises(IndexError, match="out of bounds"):
        np.take_along_axis(X, [[3]], 1)


def test_single_precision_and_empty_arrays():
    x = X.astype("float32")
    found = grad(lambda x: np.sum(np.take_along_axis(x, [[1, 1, 1]], 0)))(x)
    assert_array_equal(found, numpy.float32([[0, 0, 0], [1, 1, 1]]), strict=True)
    empty = numpy.zeros((2, 0))
    f = lambda x: np.sum(np.take_along_axis(x, numpy.zeros((2, 0), int), 1))  # noqa: E731
    assert grad(f)(empty).shape == (2, 0)


def test_choose_of_numbers_keeps_single_precision():
    x = numpy.float32([1, 2])
    found = np.choose([0, 1], [x, 7.0])
    assert_array_equal(found.value, numpy.choose([0, 1], [x, 7.0]), strict=True)
    # NumPy takes no more than 64.
    assert np.choose([99], [np.array([float(i)]) for i in range(100)]).value == [99]


def test_bad_arguments_of_choose_are_named():
    with pytest.raises(ValueError, match="out of range: there are 2 choices"):
        np.choose([0, 2], X)
    with pytest.raises(ValueError, match="nothing to choose"):
        np.choose([0], [])
    with pytest.raises(TypeError, match="choose: indices must be integers"):
        np.choose([0.5], X)
    with pytest.raises(ValueError, match="condition of shape"):
        np.compress([[True]], X)


# ----- writing ------------------------------------------------------------------------------------


def test_what_is_written_is_in_place_where_nobody_sees_it():
    t = np.zeros((2, 3))
    where = id(t.value)
    np.put_along_axis(t, numpy.array([[0], [2]]), 5.0, 1)
    np.put(t, [1], 7.0)
    np.fill_diagonal(t, [1.0, 2.0])
    np.putmask(t, t == 7, 8.0)
    np.place(t, t == 5, [9.0])
    assert (id(t.value) == where) == COUNTED
    assert_array_equal(t.value, [[1, 8, 0], [0, 2, 9]])
    np.copyto(t, X, where=[True, False, False])
    assert_array_equal(t.value, [[3, 8, 0], [5, 2, 9]])


def test_of_two_writes_the_last_stands():
    def f(y):
        t = np.zeros(2)
        t.put([1, 1], y)
        return np.sum(t)

    assert_array_equal(grad(f)(numpy.ones(2)), [0, 1])


WRITES = {
    "put_along_axis": lambda t, y: np.put_along_axis(t, numpy.array([[0], [1]]), y, 1),
    "put": lambda t, y: np.put(t, [0], [y]),
    "place": lambda t, y: np.place(t, t > -1, y),
    "putmask": lambda t, y: np.putmask(t, t > -1, y),
    "copyto": lambda t, y: np.copyto(t, y),
    "fill_diagonal": lambda t, y: np.fill_diagonal(t, y),
}


@pytest.mark.parametrize("name", WRITES)
def test_an_array_takes_plain_values_only(name):
    array, tensor = numpy.zeros((2, 2)), np.zeros((2, 2))
    WRITES[name](array, 3.0)
    WRITES[name](tensor, 3.0)
    assert_array_equal(array, tensor.value)
    assert array.any()
    for refused in (numpy.zeros((2, 2)), leaf(X[:, :2]), np.zeros((2, 2), int)):
        with pytest.raises(TypeError, match=r"tracked value into an? |not cast to int64"):
            WRITES[name](refused, leaf(1.0))


def test_bad_arguments_of_writes_are_named():
    t = np.zeros((2, 2))
    for write in (lambda: np.put(t, 4, 1.0), lambda: np.put(np.zeros(4), 4, 1.0)):
        with pytest.raises(IndexError, match="out of bounds"):
            write()
    with pytest.raises(ValueError, match=r"place: mask of shape \(1,\)"):
        np.place(t, [True], 1.0)
    with pytest.raises(ValueError, match="no values"):
        np.place(t, t == 0, [])
    with pytest.raises(ValueError, match="two axes"):
        np.fill_diagonal(np.zeros(2), 1.0)
    with pytest.raises(ValueError, match="equal length"):
        np.fill_diagonal(np.zeros((1, 2, 3)), 1.0)
    with pytest.raises(TypeError, match="float64 is not cast to int64"):
        np.copyto(np.zeros(2, int), 1.5)
    with pytest.raises(TypeError, match="casting='no'"):
        np.copyto(np.zeros(2), numpy.float32(1), casting="no")
    np.copyto(np.zeros(2, "uint8"), 3)


# ----- left out and put in ------------------------------------------------------------------------

PLACES = {
    "one": 1,
    "negative": -2,
    "several": [2, 0],
    "twice": [1, 1],
    "none": [],
    "slice": slice(None, None, -2),
    "mask": numpy.array([True, False, True]),
    "array": numpy.array(1),
}


@pytest.mark.parametrize("obj", PLACES.values(), ids=PLACES)
def test_delete_and_insert_are_numpys(obj):
    for kind in (float, "float32", int):
        x = X.astype(kind)
        assert_array_equal(np.delete(x, obj, 1).value, numpy.delete(x, obj, 1), strict=True)
        for values in (9.5, [[7.5], [8.5]]):
            assert_array_equal(
                np.insert(x, obj, values, 1).value, numpy.insert(x, obj, values, 1), strict=True
            )


def test_insert_moves_the_axis_of_several_values_at_one_place():
    for axis, values in ((1, [[1.0, 2.0], [3.0, 4.0]]), (0, [[1.0, 2.0, 3.0]]), (1, [[[4.0]]])):
        assert_array_equal(np.insert(X, 1, values, axis).value, numpy.insert(X, 1, values, axis))


def test_bad_arguments_of_delete_and_insert_are_named():
    for f in (np.delete, lambda x, i: np.insert(x, i, 1.0)):
        with pytest.raises(IndexError, match="out of bounds"):
            f(X[0], 4)
    with pytest.raises(TypeError, match="would lose their gradient"):
        np.insert([1, 2], 0, leaf(1.0))
    with pytest.raises(ValueError, match="negative length"):
        np.resize(X, (2, -1))


def test_what_is_given_back_is_a_copy():
    for f in (np.trim_zeros, np.delete, np.insert, np.resize, np.take):
        t = np.array([1.0, 2.0])
        rest = {np.delete: ([],), np.insert: ([], []), np.resize: (2,), np.take: ([0, 1],)}
        f(t, *rest.get(f, ()))[0] = 7.0
        assert_array_equal(t.value, [1, 2])


def test_trim_zeros_of_zeros_and_of_nan():
    assert np.trim_zeros(numpy.zeros((2, 3)), axis=1).shape == (2, 0)
    assert_array_equal(np.trim_zeros([0, numpy.nan, 0]).value, [numpy.nan])
    assert np.trim_zeros(5.0).shape == ()
    with pytest.raises(ValueError, match="it is 'x'"):
        np.trim_zeros(X, "x")


def test_lists_of_tensors():
    check_grads(lambda x, y: np.insert([x, 2.0, y], 1, [x * y]), (0.4, 0.7))
    check_grads(lambda x, y: np.take([x, y], [1, 1, 0]), (0.4, 0.7))
    check_grads(lambda x, y: np.choose([1, 0], [[x, y], x * y]), (0.4, 0.7))
