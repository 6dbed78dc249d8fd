"""Interpolation at the knots and beyond; pieces, and functions of rows."""

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.numpy as np
from backpass.core import grad
from backpass.core.testing import check_grads

INF, NAN = numpy.inf, numpy.nan


def slope(x, knots, f, **keywords):
    return grad(lambda x: np.interp(x, knots, f, **keywords))(x)


@pytest.mark.parametrize(
    ("f", "wanted"),
    [([0, 1, 3], 1), ([0, 3, 4], 1), ([0, -2, -5], -2), ([1, 0, 1], 0), ([0, 0, 2], 0)],
)
def test_at_a_knot_the_slope_of_least_size_counts(f, wanted):
    assert slope(1.0, [0.0, 1.0, 2.0], f) == wanted


def test_at_a_knot_all_arguments_agree():
    total = lambda x, k, f: np.sum(np.interp(x, k, f))  # noqa: E731
    x, f = numpy.arange(4.0), numpy.array([0.0, 1.0, 3.0, 2.0])
    found = grad(total, (0, 1, 2))(x, x, f)
    assert_array_equal(found, [[0, 1, 0, 0], [0, -1, 0, 0], [1, 1, 1, 1]])


def test_beyond_the_ends_nothing_slopes():
    assert slope(3.0, [0.0, 1.0], [2.0, 5.0]) == slope(-INF, [0.0, 1.0], [2.0, 5.0]) == 0
    found = grad(lambda f: np.sum(np.interp([-1.0, 2.0, 3.0], [0.0, 1.0], f)))(numpy.ones(2))
    assert_array_equal(found, [1, 2])
    ends = grad(lambda a, b: np.sum(np.interp([-1.0, 2.0, 3.0], [0.0, 1.0], [4, 5], a, b)), (0, 1))
    assert ends(7.0, 8.0) == (1, 2)


def test_what_is_not_finite():
    total = lambda x, f, k: np.sum(np.interp(x, k, f))  # noqa: E731
    x, f = numpy.array([-3.0, 0.0, 5.0]), numpy.array([1.0, 2.0, 4.0])
    found = grad(total, (0, 1))(x, f, [-INF, 0.0, INF])
    assert_array_equal(found, [[0, 0, 0], [0, 3, 0]])
    # A jump, as NumPy reads it: from the right.
    x = numpy.array([0.5, 1.0, 1.5])
    found = grad(total, (0, 1))(x, numpy.array([1.0, 2.0, 5.0, 6.0]), [0.0, 1.0, 1.0, 2.0])
    assert_array_equal(found[0], [1, 1, 1])
    assert_array_equal(found[1], [0.5, 0.5, 1.5, 0.5])
    masked = grad(lambda x: np.sum(np.where(np.isnan(x), 0, np.interp(x, [0, 1], [0, 2]))))
    assert_array_equal(masked(numpy.array([NAN, 0.5])), [0, 2])
    inside = grad(lambda f: np.interp(0.5, [0, 1, 2], f))(numpy.array([0.0, 1.0, INF]))
    assert_array_equal(inside, [0.5, 0.5, 0])


def test_interp_is_in_double_precision_and_its_gradients_are_the_arguments():
    x, k, f = (numpy.float32(a) for a in ([0.5, 2.0], [0, 1], [1, 2]))
    assert np.interp(x, k, f).dtype == float
    gs = grad(lambda x, k, f: np.sum(np.interp(x, k, f)), (0, 1, 2))(x, k, f)
    assert [g.dtype for g in gs] == [numpy.float32] * 3
    check_grads(lambda x, y: np.interp(0.25, [0.0, y], [x, 2 * x]), (3.0, 2.0))
    assert np.interp([0, 1], [0, 2], [0, 1]).value.tolist() == [0, 0.5]


def test_bad_arguments_of_interp_are_named():
    for k, f in (([], []), ([0.0, 1.0], [1.0]), ([[0.0, 1.0]], [[1.0, 2.0]])):
        with pytest.raises(ValueError, match=r"interp: xp of shape .* one at least"):
            np.interp(0.5, k, f)
    with pytest.raises(ValueError, match="period must not be 0"):
        np.interp(0.5, [0.0], [1.0], period=0)
    with pytest.raises(TypeError, match="interp: x is complex"):
        np.interp(1j, [0.0], [1.0])


# ----- pieces and rows ----------------------------------------------------------------------------


def test_a_piece_is_never_computed_elsewhere():
    x = numpy.array([-1.0, 0.0, 4.0])
    found = grad(lambda x: np.sum(np.piecewise(x, [x > 0], [np.sqrt, 3.0])))(x)
    assert_array_equal(found, [0, 0, 0.25])
    assert np.piecewise(x, [x > 9], [lambda x: 1 / 0, 3.0]).value.tolist() == [3, 3, 3]


def test_conditions_as_numpy_takes_them():
    v = numpy.array([-2.0, 1.0, 3.0])
    pieces = [lambda t: t * t, lambda t: -t]
    for conditions in ([v < 0, v >= 0], v < 0, [v < 0], (v < 0, v > 2), [True, False, True]):
        found = np.piecewise(v, conditions, pieces).value
        assert_array_equal(found, numpy.piecewise(v, conditions, pieces))
    for x in (-2.0, 3.0):
        assert_array_equal(np.piecewise(x, x < 0, pieces).value, numpy.piecewise(x, x < 0, pieces))
    whole = numpy.array([1, 2])
    assert_array_equal(
        np.piecewise(whole, [whole > 1], [lambda t: t / 2, 7]).value, [7, 1], strict=True
    )


def test_bad_arguments_of_piecewise_are_named():
    x = numpy.ones(2)
    with pytest.raises(ValueError, match="3 functions for 1 conditions"):
        np.piecewise(x, [x > 0], [1, 2, 3])
    with pytest.raises(TypeError, match="lose its gradient"):
        np.piecewise([1, 2], [[True, False]], [np.array(1.0).requires_grad_()])


def test_functions_of_rows_return_what_they_like():
    x = numpy.arange(24.0).reshape(2, 3, 4)
    rows = {
        "number": lambda r: 1.0,
        "element": lambda r: r[1],
        "reversed": lambda r: r[::-1],
        "list": lambda r: [r[0], 2.0],
        "matrix": lambda r: numpy.outer(r, r[:2]),
    }
    for f in rows.values():
        for axis in (0, 1, -1):
            found = np.apply_along_axis(f, axis, x)
            assert_allclose(found.value, numpy.apply_along_axis(f, axis, x))
    with pytest.raises(ValueError, match="has no row along axis 1"):
        np.apply_along_axis(np.sum, 1, numpy.zeros((0, 2)))
    with pytest.raises(ValueError, match="one shape"):
        np.apply_along_axis(lambda r: r[: int(r[0])], 0, numpy.array([[1.0, 2.0], [0.0, 0.0]]))
    with pytest.raises(ValueError, match="as many axes, or one less"):
        np.apply_over_axes(lambda a, axis: 1.0, x, [0])
