"""Blocks, alternatives, `r_` and `c_`, and the creation functions' keywords."""

import numpy
import pytest

import backpass.numpy as np
from backpass.core import Tensor, grad

X = numpy.array([1.0, 2.0, 3.0])

KEYS = [
    numpy.s_[X, 0, 4.5, 1:3],
    numpy.s_[0:5],
    numpy.s_[:3],
    numpy.s_[0:1:5j],
    numpy.s_["0", X, X],
    numpy.s_["0,2", X, X],
    numpy.s_["1,2,0", X, X],
    numpy.s_["0,3,1", X, 7],
    numpy.s_["0,3,-2", X, X],
    numpy.s_[[1, 2], [3.5]],
    numpy.s_[1, 2j],
    numpy.s_[X.astype("float32"), 1.0],
    numpy.s_[numpy.float32(1), 2],
]


@pytest.mark.parametrize("key", KEYS, ids=map(str, range(len(KEYS))))
@pytest.mark.parametrize("name", ["r_", "c_"])
def test_joining_in_brackets_is_numpys(name, key):
    try:
        right = getattr(numpy, name)[key]
    except ValueError:
        pytest.skip("NumPy cannot join these")
    found = getattr(np, name)[key]
    assert isinstance(found, Tensor)
    assert found.dtype == right.dtype
    numpy.testing.assert_array_equal(found.value, right)


def test_directives_that_are_not_understood():
    with pytest.raises(ValueError, match="'r' makes a matrix"):
        np.r_["r", X]
    with pytest.raises(ValueError, match="unknown directive 'rows'"):
        np.r_["rows", X]
    with pytest.raises(ValueError, match="must be the first item"):
        np.r_[X, "0"]


@pytest.mark.parametrize("key", [numpy.s_[0:3], numpy.s_[0:2, 0:3], numpy.s_[0:1:3j, -1:2]])
@pytest.mark.parametrize("name", ["mgrid", "ogrid"])
def test_grids_are_numpys(name, key):
    found, right = getattr(np, name)[key], getattr(numpy, name)[key]
    assert isinstance(found, tuple) == isinstance(right, tuple)
    for ours, theirs in zip(found, right, strict=True):
        assert ours.dtype == theirs.dtype
        numpy.testing.assert_array_equal(ours.value, theirs)


def test_blocks_that_do_not_fit():
    for bad in ([], [[X], []], [X, [X]]):
        with pytest.raises(ValueError, match="block"):
            np.block(bad)
    with pytest.raises(TypeError, match="block: only lists"):
        np.block([(X, X)])
    numpy.testing.assert_array_equal(np.block([1, [2]][:1]).value, [1])
    assert np.block(3.0).shape == numpy.block(3.0).shape
    x = np.array(X)
    y = np.block(x)
    y[0] = 9.0
    assert x.value[0] == 1


def test_alternatives_keep_numpys_dtype():
    c, d = numpy.array([True, False, False]), numpy.array([True, True, False])
    for choices, default in (
        ([X, 1], 0),
        ([X.astype("float32"), 2.0], 0),
        ([numpy.arange(3), 1], 0),
        ([numpy.arange(3), 1j * X], 0.5),
    ):
        right = numpy.select([c, d], choices, default)
        found = np.select([c, d], choices, default)
        assert found.dtype == right.dtype
        numpy.testing.assert_array_equal(found.value, right)


def test_what_is_not_chosen_does_no_harm():
    def f(x):
        return np.sum(np.select([x > 0, x < -1], [np.log(x), np.sqrt(-x)], 0.0))

    with numpy.errstate(all="ignore"):
        found = grad(f)(numpy.array([2.0, -4.0, 0.0]))
    numpy.testing.assert_allclose(found, [0.5, -0.25, 0])


def test_alternatives_that_do_not_fit():
    with pytest.raises(ValueError, match="1 conditions and 2 choices"):
        np.select([X > 1], [X, X])
    with pytest.raises(ValueError, match="0 conditions"):
        np.select([], [])
    with pytest.raises(TypeError, match="condition 0 is of float64"):
        np.select([X], [X])


# ----- the creation functions' keywords ---------------------------------------------------------


@pytest.mark.parametrize("name", ["zeros", "ones", "empty"])
def test_the_order_in_memory_is_honoured(name):
    assert getattr(np, name)((2, 3), order="F").value.flags.f_contiguous
    assert getattr(np, name)((2, 3)).value.flags.c_contiguous
    assert getattr(np, name)(2, None).dtype == float
    like = getattr(np, f"{name}_like")(numpy.zeros((2, 3), "float32", order="F"), shape=(4, 2))
    assert like.shape == (4, 2)
    assert like.dtype == numpy.float32
    assert getattr(np, f"{name}_like")([[1, 2]]).dtype.kind == "i"


def test_the_order_of_other_arrays():
    x = numpy.ones((2, 3))
    assert np.array(x, order="F").value.flags.f_contiguous
    assert np.asarray(x, order="F").value.flags.f_contiguous
    assert numpy.shares_memory(np.asarray(x, order="C").value, x)
    assert np.asfortranarray(x).value.flags.f_contiguous
    assert np.ascontiguousarray(x.T).value.flags.c_contiguous
    assert np.ascontiguousarray(1.0).shape == (1,)
    assert np.full((2, 3), 1.0, order="F").value.flags.f_contiguous
    assert np.full((2, 3), np.array(1.0), order="F").value.flags.f_contiguous
    assert np.eye(2, 3, order="F").value.flags.f_contiguous
    assert np.copy(x, order="F").value.flags.f_contiguous
    assert np.array(x).copy(order="F").value.flags.f_contiguous
    with pytest.raises(ValueError, match="order must be"):
        np.array(x, order="Z")


def test_a_copy_that_cannot_be_avoided():
    with pytest.raises(ValueError, match="copy=False"):
        np.asarray([1.0], copy=False)
    with pytest.raises(ValueError, match="copy=False"):
        np.array(X, dtype="float32", copy=False)
    assert numpy.shares_memory(np.asarray(X, copy=False).value, X)
    assert not numpy.shares_memory(np.asarray(X, copy=True).value, X)
    with pytest.raises(ValueError, match="copy=False"):
        np.reshape(numpy.ones((2, 3)).T, (6,), copy=False)
    assert np.reshape(numpy.ones((2, 3)), (6,), copy=False).shape == (6,)


MAKERS = {
    "zeros": (2,),
    "ones": (2,),
    "empty": (2,),
    "full": (2, 1.0),
    "zeros_like": (X,),
    "ones_like": (X,),
    "empty_like": (X,),
    "full_like": (X, 1.0),
    "arange": (3,),
    "linspace": (0, 1),
    "eye": (2,),
    "asarray": (X,),
}


@pytest.mark.parametrize("name", MAKERS)
def test_another_device_is_refused(name):
    assert getattr(np, name)(*MAKERS[name], device="cpu").device == "cpu"
    with pytest.raises(ValueError, match=rf"{name}: device='cuda'.*backpass.cupy"):
        getattr(np, name)(*MAKERS[name], device="cuda")


@pytest.mark.parametrize("name", [n for n in MAKERS if "like" not in n and n != "linspace"])
def test_like_is_refused(name):
    with pytest.raises(TypeError, match=rf"{name}: like="):
        getattr(np, name)(*MAKERS[name], like=X)


@pytest.mark.parametrize(
    "args",
    [(3,), (1, 4), (0, 1, 0.25), (5, 0, -2), (2.5,), (3, None), (3, None, 2)],
)
def test_ranges_are_numpys(args):
    found, right = np.arange(*args), numpy.arange(*args)
    assert found.dtype == right.dtype
    numpy.testing.assert_array_equal(found.value, right)


def test_the_indices_of_a_grid():
    numpy.testing.assert_array_equal(np.indices((2, 3)).value, numpy.indices((2, 3)))
    for found, right in zip(
        np.indices((2, 3), float, True), numpy.indices((2, 3), float, True), strict=True
    ):
        assert found.dtype == right.dtype
        numpy.testing.assert_array_equal(found.value, right)
    for name, args in (
        ("tril_indices", (3, 1)),
        ("tril_indices", (3, -1, 4)),
        ("triu_indices", (3, 0, 2)),
        ("triu_indices", (2, 1)),
        ("diag_indices", (3, 3)),
    ):
        for found, right in zip(getattr(np, name)(*args), getattr(numpy, name)(*args), strict=True):
            numpy.testing.assert_array_equal(found.value, right)


# ----- shapes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["C", "F", "A", "K"])
@pytest.mark.parametrize("layout", [numpy.ascontiguousarray, numpy.asfortranarray])
def test_an_order_asks_how_the_array_lies(order, layout):
    x = layout(numpy.arange(6.0).reshape(2, 3))
    numpy.testing.assert_array_equal(np.ravel(x, order).value, x.ravel(order))
    numpy.testing.assert_array_equal(Tensor(x).flatten(order).value, x.flatten(order))
    if order != "K":
        right = x.reshape((3, -1), order=order)
        numpy.testing.assert_array_equal(np.reshape(x, (3, -1), order=order).value, right)


def test_an_order_that_is_not_known():
    with pytest.raises(ValueError, match="order must be"):
        np.ravel(X, "Z")
    with pytest.raises(TypeError, match="order='K' of an array with gaps"):
        np.ravel(numpy.ones((4, 4))[::2, ::2], "K")


def test_axes_that_are_not_there():
    for f in (
        lambda x: np.swapaxes(x, 0, 1),
        lambda x: np.moveaxis(x, 1, 0),
        lambda x: np.rollaxis(x, 1),
        lambda x: np.rollaxis(x, 0, 3),
        lambda x: np.repeat(x, 2, 1),
        lambda x: x.mT,
    ):
        with pytest.raises(numpy.exceptions.AxisError):
            f(np.zeros(2))
    with pytest.raises(ValueError, match=r"diag requires an array|at least two"):
        np.diagonal(np.zeros(2))


def test_counts_as_tensors_and_numpy_integers():
    counts = np.array([1, 0, 2])
    numpy.testing.assert_array_equal(np.repeat(X, counts).value, [1, 3, 3])
    numpy.testing.assert_array_equal(np.repeat(X, numpy.int64(2)).value, numpy.repeat(X, 2))
    numpy.testing.assert_array_equal(np.tile(X, counts[2]).value, numpy.tile(X, 2))
    assert [p.shape for p in np.split(X, numpy.int64(3))] == [(1,)] * 3


def test_integers_are_clipped_by_numbers_beyond_their_range():
    x = numpy.array([-5, 0, 100], numpy.int8)
    for bounds in ((0, 300), (-300, 50), (None, 1000), (-1, None)):
        found = np.clip(x, *bounds).value
        numpy.testing.assert_array_equal(found, numpy.clip(x, *bounds), strict=True)


def test_pieces_that_nobody_uses_get_nothing_and_overlapping_ones_add_up():
    x = numpy.arange(6.0)
    one = grad(lambda x: np.sum(np.split(x, 3)[1] ** 2))(x)
    numpy.testing.assert_array_equal(one, [0, 0, 4, 6, 0, 0])
    twice = grad(lambda x: sum(np.sum(p) for p in np.split(x, [4, 2])))(x)
    numpy.testing.assert_array_equal(twice, [1, 1, 2, 2, 1, 1])


def test_a_known_mean():
    x = numpy.array([[1.0, 2.0, 6.0]])
    mean = numpy.mean(x, axis=1, keepdims=True)
    for name in ("var", "std"):
        found = getattr(np, name)(x, axis=1, mean=mean, correction=1)
        numpy.testing.assert_allclose(found.value, getattr(numpy, name)(x, axis=1, ddof=1))
    constant = grad(lambda x: np.std(x, mean=np.array([2.0])))(numpy.full(3, 2.0))
    numpy.testing.assert_array_equal(constant, [0, 0, 0])
    whole = numpy.array([[1, 2, 6], [4, 5, 9]])
    found = np.var(whole, axis=1, mean=numpy.array([[3], [6]])).value
    numpy.testing.assert_allclose(found, [14 / 3, 14 / 3])


def test_where_of_truth_values():
    x = numpy.array([[True, False], [True, True]])
    mask = numpy.array([True, False])
    assert bool(np.all(x, where=mask))
    assert not np.all(x)
    numpy.testing.assert_array_equal(
        np.any(x, axis=1, where=~mask).value, numpy.any(x, axis=1, where=~mask)
    )
