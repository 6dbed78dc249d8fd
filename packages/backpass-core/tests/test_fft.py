"""Corners of the Fourier transforms."""

import numpy
import pytest
import scipy.signal
from numpy.testing import assert_allclose, assert_array_equal

import backpass.numpy as np
from backpass.core import Tensor, grad, hvp, jvp, vjp
from backpass.core.testing import check_grads
from backpass.numpy import fft
from backpass.scipy.signal import convolve, fftconvolve

X = numpy.array([0.3, -1.2, 2.0, 0.7, 1.1])
ONE = "fft ifft rfft irfft hfft ihfft".split()
SEVERAL = "fft2 ifft2 fftn ifftn rfft2 irfft2 rfftn irfftn".split()


@pytest.mark.parametrize("name", ONE)
@pytest.mark.parametrize("norm", [None, "backward", "ortho", "forward"])
@pytest.mark.parametrize("n", [None, 1, 2, 5, 6, 9])
def test_every_length_and_norm_has_numpys_value_and_the_right_gradient(name, norm, n):
    f = lambda x: getattr(fft, name)(x, n=n, norm=norm)  # noqa: E731
    expected = getattr(numpy.fft, name)(X, n=n, norm=norm)
    assert_allclose(f(X).value, expected, rtol=1e-13, atol=1e-14)
    check_grads(f, (X,), order=1)


@pytest.mark.parametrize("name", ["irfft", "hfft"])
def test_imaginary_parts_that_do_not_count_get_no_gradient(name):
    z = X + 1j * X[::-1]
    for n in (4, 5, 8):
        g = vjp(lambda x: getattr(fft, name)(x, n=n), z)[1](numpy.ones(n))[0]  # noqa: B023
        assert g[0].imag == 0
        if not n % 2 and n // 2 < len(z):
            assert_allclose(g[n // 2].imag, 0, atol=1e-15)


def test_what_is_cut_off_gets_zero():
    g = grad(lambda x: np.sum(np.abs(fft.fft(x, n=3)) ** 2))(X)
    assert_allclose(g, [*(6 * X[:3]), 0, 0], rtol=1e-13)
    g = grad(lambda x: np.sum(np.abs(fft.fft(x, n=8)) ** 2))(X)
    assert_allclose(g, 16 * X, rtol=1e-13)


def test_parsevals_theorem_in_every_order():
    energy = lambda x: np.sum(np.abs(fft.fftn(x, norm="ortho")) ** 2)  # noqa: E731
    x = numpy.outer(X, X[:3])
    assert_allclose(grad(energy)(x), 2 * x, rtol=1e-13)
    assert_allclose(hvp(energy, (x,), (X[:, None] + 0 * x,)), 2 * (X[:, None] + 0 * x), rtol=1e-12)


@pytest.mark.parametrize("name", [*ONE, *SEVERAL])
def test_dtypes_are_numpys(name):
    for dtype in ("float32", "float64", "complex64", "complex128", "int64"):
        if name in ("rfft", "ihfft", "rfft2", "rfftn") and dtype.startswith("complex"):
            continue
        x = numpy.ones((4, 4)).astype(dtype)
        assert getattr(fft, name)(x).dtype == getattr(numpy.fft, name)(x).dtype
        if dtype != "int64":
            out, pull = vjp(getattr(fft, name), x)
            assert pull(numpy.ones(out.shape, out.dtype))[0].dtype == x.dtype
            assert jvp(getattr(fft, name), [x], [x])[1].dtype == out.dtype


@pytest.mark.parametrize("name", SEVERAL)
def test_lengths_without_axes_are_those_of_the_last(name):
    x = numpy.arange(24.0).reshape(2, 3, 4)
    expected = getattr(numpy.fft, name)(x, s=(2, 4), axes=(-2, -1))
    keywords = {} if "2" in name else {"axes": None}
    assert_allclose(getattr(fft, name)(x, s=(2, 4), **keywords).value, expected, atol=1e-13)


@pytest.mark.parametrize("name", SEVERAL)
def test_what_does_not_fit_is_refused(name):
    x = numpy.ones((3, 4))
    f = getattr(fft, name)
    with pytest.raises(ValueError, match=rf"^{name}: axes=\(1, 1\) names an axis twice"):
        f(x, axes=(1, -1))
    with pytest.raises(ValueError, match="s has 1 lengths for 2 axes"):
        f(x, s=(3,), axes=(0, 1))
    with pytest.raises(numpy.exceptions.AxisError):
        f(x, axes=(0, 2))
    with pytest.raises(TypeError, match="out= is not supported"):
        f(x, out=numpy.zeros((3, 4), complex))


@pytest.mark.parametrize("name", ONE)
def test_what_does_not_fit_along_one_axis_is_refused(name):
    f = getattr(fft, name)
    with pytest.raises(ValueError, match="norm"):
        f(X, norm="unitary")
    with pytest.raises(TypeError, match="out= is not supported"):
        f(X, out=numpy.zeros(5, complex))
    with pytest.raises((IndexError, numpy.exceptions.AxisError)):
        f(X, axis=1)
    with pytest.raises(TypeError):
        f(X, n=2.5)
    with pytest.raises(ValueError, match="data points"):
        f(X, n=0)


def test_lists_are_arrays():
    assert_allclose(fft.fft([1.0, 2.0]).value, [3.0, -1.0])
    assert_allclose(grad(lambda x: np.real(fft.fft([x, 2.0]))[1])(1.0), 1.0)


def test_shifts_are_each_others_inverse():
    for shape in ((4,), (5,), (3, 4)):
        x = numpy.arange(float(numpy.prod(shape))).reshape(shape)
        assert_array_equal(fft.fftshift(x).value, numpy.fft.fftshift(x))
        assert_array_equal(fft.ifftshift(fft.fftshift(x)).value, x)
        w = numpy.cos(x)
        g = grad(lambda x: np.sum(w * fft.fftshift(x)))(x)  # noqa: B023
        assert_array_equal(g, numpy.fft.ifftshift(w))


def test_frequencies():
    assert isinstance(fft.fftfreq(5), Tensor)
    assert_array_equal(fft.fftfreq(5, 0.1).value, numpy.fft.fftfreq(5, 0.1))
    assert_array_equal(fft.rfftfreq(6).value, numpy.fft.rfftfreq(6))
    g = grad(lambda d: fft.fftfreq(4, d)[1])(0.5)
    assert_allclose(g, -1 / (4 * 0.25))


def test_views_and_read_only_arrays():
    x = numpy.arange(12.0).reshape(3, 4)
    for view in (x.T, x[:, ::-1], x[::2]):
        view.flags.writeable = False
        assert_allclose(fft.rfft(view).value, numpy.fft.rfft(view), rtol=1e-14)
        check_grads(fft.rfft, (view,), order=1)


@pytest.mark.parametrize("name", ["irfft2", "irfftn"])
def test_the_length_minus_one_is_that_of_the_input(name):
    x = numpy.arange(6.0).reshape(2, 3)
    expected = getattr(numpy.fft, name)(x, s=(2, -1), axes=(0, 1))
    assert_allclose(getattr(fft, name)(x, s=(2, -1), axes=(0, 1)).value, expected, atol=1e-14)


def test_axes_may_be_an_array():
    axes = numpy.array([0])
    assert_array_equal(fft.fftshift(X, axes).value, numpy.fft.fftshift(X, axes))


@pytest.mark.parametrize("name", SEVERAL)
def test_a_refused_output_names_the_function_that_was_called(name):
    with pytest.raises(TypeError, match=f"^{name}: out="):
        getattr(fft, name)(numpy.ones((2, 2)), out=numpy.ones((2, 2)))


@pytest.mark.parametrize("name", ["hfft", "ihfft"])
def test_an_unknown_norm_is_named(name):
    with pytest.raises(ValueError, match=f"^{name}: norm='x'"):
        getattr(fft, name)(X, norm="x")


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
def test_nothing_convolved_is_nothing(mode):
    assert fftconvolve(X, numpy.zeros(0), mode).shape == (0,)
    assert fftconvolve(numpy.zeros(0), X, mode).shape == (0,)


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize(
    "shapes", [((70, 80), (3, 4)), ((3, 2), (90, 70)), ((5000,), (7,))], ids=str
)
def test_a_small_window_over_a_large_array(mode, shapes):
    random = numpy.random.default_rng(0)
    x, y = (random.uniform(-1, 1, shape) for shape in shapes)
    for dtype in ("float64", "float32", "complex128", "int64"):
        u, v = (9 * x).astype(dtype), (9 * y).astype(dtype)
        found, right = convolve(u, v, mode).value, scipy.signal.convolve(u, v, mode)
        assert found.dtype == right.dtype
        assert_allclose(found, right, rtol=1e-4, atol=1e-4)
    out, pull = vjp(lambda x, y: convolve(x, y, mode), x, y)
    _, other = vjp(lambda x, y: convolve(x, y, mode, "direct"), x, y)
    w = random.uniform(-1, 1, out.shape)
    for found, right in zip(pull(w), other(w), strict=True):
        assert_allclose(found, right, rtol=1e-9, atol=1e-10)
