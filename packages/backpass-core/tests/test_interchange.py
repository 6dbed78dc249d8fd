"""DLPack, and programs over the array API standard: who else's arrays and functions meet ours."""

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.numpy as np
from backpass.core import Tensor, grad, hessian, stop_gradient, vjp

X = numpy.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


# ----- DLPack -------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "uint8", "bool", "complex128"])
def test_an_array_comes_and_goes_without_a_copy(dtype):
    theirs = X.astype(dtype)
    t = np.from_dlpack(theirs)
    assert isinstance(t, Tensor)
    assert not t.tracked
    assert t.dtype == dtype
    assert t.value.ctypes.data == theirs.ctypes.data
    back = numpy.from_dlpack(t)
    assert back.ctypes.data == theirs.ctypes.data
    assert_array_equal(back, theirs)


def test_a_result_of_the_kernels_is_given_away_and_stays_as_it_is():
    t = np.tanh(np.array(X))
    theirs = numpy.from_dlpack(t)
    assert theirs.ctypes.data == t.value.ctypes.data
    t[0] = 7.0
    assert_array_equal(theirs, numpy.tanh(X))
    assert_array_equal(t.value[0], [7.0, 7.0, 7.0])


def test_a_write_to_a_tensor_leaves_what_was_taken_in():
    theirs = X.copy()
    t = np.from_dlpack(theirs)
    t[0] = 7.0
    assert_array_equal(theirs, X)
    assert_array_equal(t.value[0], [7.0, 7.0, 7.0])
    t = np.from_dlpack(theirs)
    t += 1
    assert_array_equal(theirs, X)


def test_strides_and_numbers_pass():
    theirs = X.T[::2]
    t = np.from_dlpack(theirs)
    assert t.value.strides == theirs.strides
    assert_array_equal(t.value, theirs)
    assert np.from_dlpack(numpy.array(2.5)).value == 2.5
    assert numpy.from_dlpack(np.array(2.5)) == 2.5


def test_a_copy_may_be_asked_for():
    t = np.from_dlpack(X, copy=True)
    assert t.value.ctypes.data != X.ctypes.data
    assert_array_equal(t.value, X)
    assert np.from_dlpack(X, device="cpu", copy=False).value.ctypes.data == X.ctypes.data


def test_a_tracked_tensor_is_not_given_away():
    with pytest.raises(BufferError, match="stop_gradient"):
        grad(lambda x: np.sum(np.from_dlpack(x)))(X)
    given = []
    grad(lambda x: given.append(np.from_dlpack(stop_gradient(x))) or np.sum(x))(X)
    assert_array_equal(given[0].value, X)


def test_what_is_no_array_and_what_lies_elsewhere_is_named():
    with pytest.raises(TypeError, match="a list has no __dlpack__: use asarray"):
        np.from_dlpack([1.0])

    class Elsewhere:
        def __init__(self, kind):
            self.kind = kind

        def __dlpack__(self, **_):
            raise AssertionError

        def __dlpack_device__(self):
            return (self.kind, 0)

    with pytest.raises(BufferError, match=r"lies on 'cuda'.*backpass\.cupy\.from_dlpack"):
        np.from_dlpack(Elsewhere(2))
    with pytest.raises(BufferError, match="device of DLPack type 7"):
        np.from_dlpack(Elsewhere(7))
    with pytest.raises(ValueError, match="device='cuda' is not this namespace's"):
        np.from_dlpack(X, device="cuda")


# ----- the array API standard ---------------------------------------------------------------------


def softplus_norm(x):
    """Stand for a program over the standard: it imports no library."""
    xp = x.__array_namespace__(api_version="2023.12")
    y = xp.log1p(xp.exp(-xp.abs(x))) + xp.maximum(x, xp.zeros_like(x))
    return xp.sqrt(xp.sum(xp.pow(y, 2), axis=-1)) @ xp.ones(x.shape[0], device=x.device)


def test_a_program_over_the_standard_is_differentiated():
    value, pull = vjp(softplus_norm, X)
    assert_allclose(value.value, softplus_norm(X), rtol=1e-14)
    (g,) = pull(1.0)
    eps = 1e-6
    for i in numpy.ndindex(X.shape):
        step = numpy.zeros_like(X)
        step[i] = eps
        by_difference = (softplus_norm(X + step) - softplus_norm(X - step)) / (2 * eps)
        assert_allclose(g[i], by_difference, rtol=1e-7)
    assert hessian(softplus_norm)(X).shape == (2, 3, 2, 3)


def test_the_namespace_is_that_of_the_device_and_of_a_version():
    t = np.array(X)
    assert t.__array_namespace__() is np
    assert t.__array_namespace__(api_version=np.__array_api_version__) is np
    assert np.sum(t).__array_namespace__() is np
    with pytest.raises(ValueError, match=r"api_version='2050\.12'.*2024\.12"):
        t.__array_namespace__(api_version="2050.12")


def test_the_namespace_tells_what_it_has():
    info = np.__array_namespace_info__()
    assert info.default_device() in info.devices() == ["cpu"]
    assert np.zeros(2, device=info.default_device()).dtype == info.default_dtypes()["real floating"]
    assert info.default_dtypes()["integral"] == np.arange(3).dtype
    assert info.default_dtypes()["indexing"] == np.argsort([2.0, 1.0]).dtype
    assert info.default_dtypes()["complex floating"] == np.array(1j).dtype
    assert info.capabilities()["boolean indexing"] is True
    theirs = numpy.__array_namespace_info__()
    for kind in (None, "bool", "numeric", ("real floating", "complex floating")):
        assert info.dtypes(kind=kind) == theirs.dtypes(kind=kind)
    with pytest.raises(ValueError, match="kind='floats'"):
        info.dtypes(kind="floats")
    with pytest.raises(ValueError, match="device='cuda'"):
        info.default_dtypes(device="cuda")


def test_the_forms_of_unique():
    x = [3.0, 1.0, 3.0, numpy.nan, numpy.nan]
    for name in ("unique_all", "unique_counts", "unique_inverse"):
        found, right = getattr(np, name)(x), getattr(numpy, name)(numpy.array(x))
        assert found._fields == right._fields
        for mine, theirs in zip(found, right, strict=True):
            assert_array_equal(mine.value, theirs)
    assert_array_equal(np.unique_values(x).value, numpy.unique_values(numpy.array(x)))
