"""A stand-in for the Python front end of cuDNN: attention alone, in the memory of the host."""

import ctypes
import types

import cupy
import numpy

__version__ = "1.28.0"
data_type = types.SimpleNamespace(HALF="float16", BFLOAT16="bfloat16", FLOAT="float32")
heur_mode = types.SimpleNamespace(A=0, FALLBACK=1)


class Handle:
    stream = 0


def backend_version():
    return 91900


def create_handle():
    return Handle()


def set_stream(handle, stream):
    handle.stream = stream


class Tensor:
    def __init__(self, dim=(), stride=(), data_type=None, name="", is_output=False):
        self.dim, self.stride, self.data_type, self.name = dim, stride, data_type, name
        self.is_output = is_output

    def set_output(self, value):
        self.is_output = value
        return self

    def set_dim(self, dim):
        self.dim = dim
        return self

    def set_stride(self, stride):
        self.stride = stride
        return self

    def set_data_type(self, data_type):
        self.data_type = data_type
        return self

    def at(self, address, io):
        """Return the array at an address."""
        dtype = numpy.dtype(self.data_type or io)
        assert address % 16 == 0
        assert self.stride[-1] == 1
        assert all(step > 0 for step in self.stride)
        last = sum((n - 1) * step for n, step in zip(self.dim, self.stride))
        memory = (ctypes.c_char * ((last + 1) * dtype.itemsize)).from_address(address)
        strides = [step * dtype.itemsize for step in self.stride]
        return numpy.ndarray(self.dim, dtype, memory, strides=strides)


class pygraph:
    def __init__(self, io_data_type, intermediate_data_type, compute_data_type, handle):
        self.io, self.state = io_data_type, "new"

    def tensor(self, name, dim, stride, data_type=None):
        return Tensor(dim, stride, data_type, name)

    def sdpa(self, q, k, v, *, name, is_inference, attn_scale, use_causal_mask):
        assert not is_inference
        self.inputs, self.outputs = [q, k, v], [Tensor(), Tensor()]
        self.compute = lambda *xs: _forward(*xs, attn_scale, use_causal_mask)
        return self.outputs

    def sdpa_backward(
        self, q, k, v, o, g, stats, *, name, attn_scale, use_causal_mask,
        use_deterministic_algorithm,
    ):  # fmt: skip
        assert use_deterministic_algorithm
        self.inputs, self.outputs = [q, k, v, o, g, stats], [Tensor(), Tensor(), Tensor()]
        self.compute = lambda *xs: _backward(*xs, attn_scale, use_causal_mask)
        return self.outputs

    def validate(self):
        assert all(tensor.is_output for tensor in self.outputs)
        self.state = "valid"

    def build_operation_graph(self):
        assert self.state == "valid"

    def create_execution_plans(self, modes):
        self.state = "planned"

    def check_support(self):
        assert self.state == "planned"

    def build_plans(self):
        self.state = "built"

    def get_workspace_size(self):
        assert self.state == "built"
        # Backward a partial sum of the queries' cotangent for each 8 keys.
        batch, heads, n, features = self.inputs[0].dim
        parts = self.inputs[1].dim[2] // 8 if len(self.outputs) == 3 else 0
        return 4 * batch * heads * n * features * parts

    def execute(self, pointers, workspace, handle):
        assert handle.stream == cupy.cuda.get_current_stream().ptr
        assert set(pointers) == {*self.inputs, *self.outputs}

        def work():
            given = [x.at(pointers[x], self.io).astype("float64") for x in self.inputs]
            for tensor, made in zip(self.outputs, self.compute(*given), strict=True):
                tensor.at(pointers[tensor], self.io)[...] = made

        cupy.cuda.stream.do(work)


def _scores(q, k, scale, causal):
    scores = q @ k.swapaxes(-1, -2) * scale
    if causal:
        scores[..., numpy.triu(numpy.ones(scores.shape[-2:], bool), 1)] = -numpy.inf
    return scores


def _forward(q, k, v, scale, causal):
    scores = _scores(q, k, scale, causal)
    top = scores.max(-1, keepdims=True)
    sums = numpy.log(numpy.exp(scores - top).sum(-1, keepdims=True)) + top
    return numpy.exp(scores - sums) @ v, sums


def _backward(q, k, v, o, g, sums, scale, causal):
    weights = numpy.exp(_scores(q, k, scale, causal) - sums)
    pulled = weights * (g @ v.swapaxes(-1, -2) - (g * o).sum(-1, keepdims=True))
    return pulled @ k * scale, pulled.swapaxes(-1, -2) @ q * scale, weights.swapaxes(-1, -2) @ g
