"""DLPack with PyTorch and JAX: arrays come and go without a copy."""

import numpy
import pytest

import backpass.numpy as np
from backpass.core import Tensor, custom_vjp, grad, stop_gradient
from backpass.core.testing import check_grads

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
jax = pytest.importorskip("jax", reason="JAX is not installed")
jax.config.update("jax_enable_x64", True)

X = numpy.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])


def test_pytorch_reads_and_is_read_without_a_copy():
    t = np.tanh(X)
    theirs = torch.from_dlpack(t)
    assert theirs.data_ptr() == t.value.ctypes.data
    numpy.testing.assert_array_equal(theirs.numpy(), t.value)
    back = np.from_dlpack(theirs)
    assert isinstance(back, Tensor)
    assert back.value.ctypes.data == theirs.data_ptr()


def test_a_write_does_not_reach_pytorch():
    theirs = torch.ones(3, dtype=torch.float64)
    t = np.from_dlpack(theirs)
    t += 1
    t[0] = 7.0
    assert theirs.tolist() == [1.0, 1.0, 1.0]
    assert t.value.tolist() == [7.0, 2.0, 2.0]


def test_pytorchs_tracked_tensors_are_refused_by_it():
    with pytest.raises((BufferError, RuntimeError), match=r"require.*grad"):
        np.from_dlpack(torch.ones(3, requires_grad=True))


def test_jax_reads_and_is_read_without_a_copy():
    theirs = jax.numpy.arange(64.0)
    t = np.from_dlpack(theirs)
    assert t.value.ctypes.data == theirs.unsafe_buffer_pointer()
    t[0] = 7.0
    assert theirs[0] == 0
    ours = np.exp(X)
    back = jax.dlpack.from_dlpack(ours)
    numpy.testing.assert_array_equal(numpy.asarray(back), ours.value)
    if ours.value.ctypes.data % 64 == 0:
        assert back.unsafe_buffer_pointer() == ours.value.ctypes.data


def test_a_function_of_pytorchs_is_part_of_the_graph_by_a_rule_of_ones_own():
    @custom_vjp
    def f(x):
        return np.from_dlpack(torch.special.entr(torch.from_dlpack(stop_gradient(x))))

    def forward(x):
        theirs = torch.from_dlpack(stop_gradient(x)).requires_grad_()
        y = torch.special.entr(theirs)
        return np.from_dlpack(y.detach()), (theirs, y)

    def backward(saved, g):
        theirs, y = saved
        g = torch.from_dlpack(stop_gradient(g))
        (gx,) = torch.autograd.grad(y, theirs, g, retain_graph=True)
        return (np.from_dlpack(gx),)

    f.defvjp(forward, backward)
    check_grads(lambda x: np.sum(f(x * x)), (X,), order=1, modes=("rev",))
    numpy.testing.assert_allclose(grad(lambda x: np.sum(f(x)))(X), -numpy.log(X) - 1)
