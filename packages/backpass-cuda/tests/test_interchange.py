"""DLPack on the GPU, and programs over the array API standard."""

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.cupy as cp
import backpass.numpy as np
from backpass.core import Tensor, grad, to_device

pytestmark = pytest.mark.usefixtures("cupy")

X = numpy.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def test_cupys_arrays_come_and_go_without_a_copy(cupy):
    theirs = cupy.asarray(X)
    t = cp.from_dlpack(theirs)
    assert isinstance(t, Tensor)
    assert t.value.data.ptr == theirs.data.ptr
    back = cupy.from_dlpack(t)
    assert back.data.ptr == theirs.data.ptr


def test_a_write_to_a_tensor_leaves_what_was_taken_in(cupy):
    theirs = cupy.asarray(X)
    t = cp.from_dlpack(theirs)
    t[0] = 7.0
    assert_array_equal(theirs.get(), X)
    assert_array_equal(t.value.get()[0], [7.0, 7.0, 7.0])
    t = cp.from_dlpack(theirs)
    t += 1
    assert_array_equal(theirs.get(), X)


def test_an_array_elsewhere_is_refused_with_the_way(cupy):
    with pytest.raises(BufferError, match=r"'cpu'.*'cuda'.*backpass\.numpy\.from_dlpack"):
        cp.from_dlpack(X)
    with pytest.raises(BufferError, match=r"'cuda'.*'cpu'.*backpass\.cupy\.from_dlpack"):
        np.from_dlpack(cupy.asarray(X))


def test_pytorch_on_the_gpu_reads_and_is_read_without_a_copy(cupy):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    if not torch.cuda.is_available():
        pytest.skip("PyTorch sees no GPU")
    t = cp.tanh(cupy.asarray(X))
    theirs = torch.from_dlpack(t)
    assert theirs.data_ptr() == t.value.data.ptr
    assert_array_equal(theirs.cpu().numpy(), t.value.get())
    back = cp.from_dlpack(theirs)
    assert back.value.data.ptr == theirs.data_ptr()
    back += 1
    assert_array_equal(theirs.cpu().numpy(), t.value.get())


def test_jax_on_the_gpu_reads_and_is_read_without_a_copy(cupy):
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    if jax.default_backend() != "gpu":
        pytest.skip("JAX sees no GPU")
    theirs = jax.numpy.arange(64.0)
    t = cp.from_dlpack(theirs)
    assert t.value.data.ptr == theirs.unsafe_buffer_pointer()
    back = jax.dlpack.from_dlpack(cp.exp(cupy.ones(64, "float32")))
    assert_allclose(numpy.asarray(back), numpy.exp(numpy.ones(64)), rtol=1e-6)


def test_a_program_over_the_standard_runs_here():
    def f(x):
        xp = x.__array_namespace__()
        return xp.sum(xp.square(xp.tanh(x)), axis=-1) @ xp.ones(2)

    t = to_device(np.array(X), "cuda")
    assert t.__array_namespace__() is cp
    assert_allclose(grad(f)(t).get(), grad(f)(X), rtol=1e-12)
    info = cp.__array_namespace_info__()
    assert info.default_device() in info.devices() == ["cuda"]
    assert cp.zeros(2, device=info.default_device()).device == t.device
