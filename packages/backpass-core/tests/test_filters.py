"""Convolutions of vectors and matrices, filters, and integrals of samples: their corners."""

import numpy
import pytest
import scipy.integrate
import scipy.signal

import backpass.numpy as np
from backpass.core import grad, vjp
from backpass.scipy import integrate, signal

X = numpy.array([1.0, 2.0, 4.0, 7.0, 11.0])


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize(("n", "m"), [(4, 3), (5, 2), (2, 5), (3, 4), (1, 1)])
def test_the_convolutions_of_vectors_are_numpys(n, m, mode):
    x, y = X[:n] - 2j * X[:n], X[:m] * (1 + 1j)
    for name in ("convolve", "correlate"):
        found = getattr(np, name)(x, y, mode).value
        numpy.testing.assert_allclose(found, getattr(numpy, name)(x, y, mode))


def test_numpys_own_convolution_of_tensors_and_of_numbers():
    found = grad(lambda x: numpy.convolve(x, [1.0, 10.0], "valid").sum())(X)
    numpy.testing.assert_array_equal(found, [10, 11, 11, 11, 1])
    assert np.convolve(2.0, [1, 2]).value.tolist() == [2.0, 4.0]
    assert np.correlate([1, 2], [3]).dtype == numpy.asarray([1]).dtype


@pytest.mark.parametrize(
    ("f", "words"),
    [
        (lambda: np.convolve([], X), "a cannot be empty"),
        (lambda: np.correlate(X, numpy.eye(2)), "v must be a vector"),
        (lambda: np.convolve(X, X, "middle"), "mode='middle'"),
        (lambda: signal.convolve2d(X, X), "both must be matrices"),
        (lambda: signal.convolve2d([X], [X], boundary="edge"), "boundary='edge'"),
        (lambda: signal.convolve2d(numpy.ones((1, 3)), numpy.ones((2, 2)), "valid"), "no axis"),
        (lambda: signal.lfilter([], [1.0], X), "b must be a vector"),
        (lambda: signal.lfilter([1.0], [0.0, 1.0], X), "must not begin with 0"),
        (lambda: signal.lfilter([1.0, 2.0], [1.0], X, zi=[1.0, 2.0]), "zi must have"),
        (lambda: integrate.simpson(X, X[1:]), "x has 4 points"),
        (lambda: integrate.simpson(X, dx=X), "dx must be one number"),
        (lambda: integrate.trapezoid(1.0), "at least one axis"),
        (lambda: integrate.cumulative_trapezoid(X, initial=1.0), "initial must be None or 0"),
        (lambda: integrate.cumulative_simpson(X, x=-X), "strictly increasing"),
    ],
)
def test_bad_input_is_named(f, words):
    with pytest.raises(ValueError, match=words):
        f()


@pytest.mark.parametrize("boundary", ["fill", "wrap", "symm"])
def test_a_plane_beyond_its_edge_is_scipys(boundary):
    # A window that is larger than the plane sees it several times.
    x, y = numpy.outer(X[:2], X[:3]), numpy.outer(X, X[:4]) - 9.0
    for mode in ("full", "same", "valid"):
        found = signal.convolve2d(x, y, mode, boundary, 0.5 if boundary == "fill" else 0)
        wanted = scipy.signal.convolve2d(x, y, mode, boundary, 0.5 if boundary == "fill" else 0)
        numpy.testing.assert_allclose(found.value, wanted, atol=1e-10)
    beyond = grad(lambda v: np.sum(signal.convolve2d(x, y, "same", "fill", v)))(0.5)
    around = scipy.signal.convolve2d(0 * x, y, "same", "fill", 1.0)
    assert beyond == pytest.approx(around.sum())


def test_a_filter_is_scipys_to_the_last_bit_and_can_be_continued():
    b, a = [0.2, 0.3, 0.1], [1.5, -0.4, 0.2]
    numpy.testing.assert_array_equal(signal.lfilter(b, a, X), scipy.signal.lfilter(b, a, X))
    first, state = signal.lfilter(b, a, X[:2], zi=[0.0, 0.0])
    second, _ = signal.lfilter(b, a, X[2:], zi=state)
    numpy.testing.assert_allclose(np.concatenate([first, second]), signal.lfilter(b, a, X))
    start = scipy.signal.lfilter_zi(b, a)
    numpy.testing.assert_allclose(signal.lfilter(b, a, numpy.ones(4), zi=start)[0].value, 0.6 / 1.3)


def test_the_gradient_of_a_filter_with_many_rows_takes_no_loop_over_them():
    x = numpy.ones((3, 50, 4), "float32")
    b, a = numpy.array([1.0, 0.5], "float32"), numpy.array([2.0, 0.1], "float32")
    out, pull = vjp(lambda b, a, x: signal.lfilter(b, a, x, axis=1), b, a, x)
    found = pull(numpy.ones_like(out))
    assert [g.dtype.char for g in found] == ["f"] * 3
    # The whole is homogeneous: of degree 1 in b and x, of degree -1 in a.
    for g, t, sign in zip(found, (b, a, x), (1, -1, 1), strict=True):
        assert numpy.sum(g * t) == pytest.approx(sign * out.sum(), rel=1e-4)


def test_samples_at_one_place_share_nothing():
    # Two coordinates that are equal: no division by 0.
    x = numpy.array([0.0, 1.0, 1.0, 2.0, 3.0])
    found, back = vjp(lambda y: integrate.simpson(y, x), X)
    assert found == pytest.approx(scipy.integrate.simpson(X, x))
    assert numpy.isfinite(back(1.0)[0]).all()


def test_the_integral_of_a_cubic_is_exact_and_one_sample_has_none():
    x = numpy.linspace(0.0, 2.0, 5)
    numpy.testing.assert_allclose(grad(lambda c: integrate.simpson(c * x**3, x))(1.0), 4.0)
    assert integrate.simpson([3.0]).value == integrate.trapezoid([3.0]).value == 0.0
    assert integrate.trapezoid([1, 2, 4]).value == 4.5
    assert integrate.trapezoid(X.astype("float32"), X).dtype == numpy.float32
    weights = grad(lambda y: integrate.trapezoid(y, dx=0.5))(X)
    numpy.testing.assert_array_equal(weights, [0.25, 0.5, 0.5, 0.5, 0.25])
