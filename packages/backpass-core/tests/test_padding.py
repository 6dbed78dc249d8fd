"""Padding: what is refused, and what NumPy does at its corners."""

import numpy
import pytest

import backpass.numpy as np
from backpass.core import grad
from backpass.core.testing import check_grads

X = numpy.arange(6.0).reshape(2, 3)


def test_a_function_as_mode_is_refused():
    with pytest.raises(TypeError, match=r"pad: a function as mode.*concatenate"):
        np.pad(X, 1, lambda *_: None)


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="mode 'mirror' is not known"):
        np.pad(X, 1, "mirror")
    with pytest.raises(ValueError, match="mode 'edge' takes no keyword 'constant_values'"):
        np.pad(X, 1, "edge", constant_values=0)
    with pytest.raises(ValueError, match="negative"):
        np.pad(X, -1)
    with pytest.raises(TypeError, match="integral"):
        np.pad(X, 1.5)
    with pytest.raises(ValueError, match="broadcast"):
        np.pad(X, ((1, 1), (2, 2), (3, 3)))
    with pytest.raises(ValueError, match="axis 0 is empty: mode 'edge'"):
        np.pad(numpy.zeros(0), 1, "edge")
    with pytest.raises(ValueError, match="3 pairs of values are given for 2 axes"):
        np.pad(X, 1, constant_values=((1, 2), (3, 4), (5, 6)))


def test_widths_by_axis():
    found = np.pad(X, {0: 1, -1: (0, 2)})
    numpy.testing.assert_array_equal(found.value, numpy.pad(X, ((1, 1), (0, 2))))
    numpy.testing.assert_array_equal(np.pad(X, ((1,), (2,))).value, numpy.pad(X, ((1,), (2,))))


@pytest.mark.parametrize(
    "mode", "constant edge linear_ramp maximum mean median minimum reflect symmetric wrap".split()
)
@pytest.mark.parametrize("dtype", ["int64", "bool", "uint8"])
def test_integers_are_padded_as_in_numpy(mode, dtype):
    x = X.astype(dtype)
    if dtype == "bool" and mode in ("linear_ramp", "mean", "median"):
        pytest.skip("NumPy does not pad truth values in this mode")
    found, right = np.pad(x, 2, mode), numpy.pad(x, 2, mode)
    assert found.dtype == right.dtype
    numpy.testing.assert_array_equal(found.value, right)


def test_empty_is_zeros_and_nothing_is_a_copy():
    numpy.testing.assert_array_equal(np.pad(X, 1, "empty").value[1:-1, 1:-1], X)
    x = np.array(X)
    y = np.pad(x, 0, "edge")
    y[0, 0] = 7.0
    assert x.value[0, 0] == 0


def test_ties_of_an_extreme_share():
    x = numpy.array([3.0, 3.0, 1.0])
    numpy.testing.assert_array_equal(
        grad(lambda x: np.pad(x, (1, 0), "maximum")[0])(x), [0.5, 0.5, 0]
    )


def test_tracked_constants_at_the_corners():
    def f(x, c):
        return np.pad(x, ((1, 2), (0, 1)), constant_values=((c[0], c[1]), (c[2], c[3])))

    check_grads(f, [X, numpy.array([1.0, 2.0, 3.0, 4.0])])
    wanted = numpy.pad(X, ((1, 2), (0, 1)), constant_values=((1, 2), (3, 4)))
    numpy.testing.assert_array_equal(f(X, np.array([1.0, 2.0, 3.0, 4.0])).value, wanted)


def test_single_precision_stays_single():
    x = X.astype("float32")
    for mode in ("constant", "linear_ramp", "mean", "median"):
        assert np.pad(x, 1, mode).dtype == numpy.float32
    assert np.pad(x, 1, constant_values=numpy.float64(2)).dtype == numpy.float32


def test_the_median_of_what_holds_a_nan_is_nan():
    x = numpy.array([1.0, numpy.nan, 3.0])
    numpy.testing.assert_array_equal(np.pad(x, 1, "median").value, numpy.pad(x, 1, "median"))


def test_a_number_has_no_axis_to_pad():
    assert grad(lambda x: np.pad(x, 1) * 3)(0.5) == 3


def test_numbers_for_a_statistic_are_rounded_and_not_negative():
    numpy.testing.assert_array_equal(
        np.pad(X, 1, "mean", stat_length=1.5).value, numpy.pad(X, 1, "mean", stat_length=1.5)
    )
    with pytest.raises(ValueError, match="stat_length"):
        np.pad(X, 1, "mean", stat_length=-1)


def test_three_values_are_no_pair():
    with pytest.raises(ValueError, match="pair"):
        np.pad(X, 1, constant_values=(1, 2, 3))


def test_there_is_no_ramp_from_an_empty_axis():
    with pytest.raises(ValueError, match="axis 0 is empty"):
        np.pad(numpy.zeros((0, 3)), 1, "linear_ramp")
