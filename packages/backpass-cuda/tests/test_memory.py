"""The GPU's memory: what is held, giving it back, and what is said when there is none left."""

import functools
import gc

import numpy
import pytest
from numpy.testing import assert_array_equal

import backpass.cupy as cp
import backpass.numpy as np
from backpass.core import (
    Tensor,
    checkpoint,
    checkpoint_policies,
    empty_cache,
    grad,
    memory_stats,
    to_device,
    vjp,
)
from backpass.cupy import memory
from backpass.cupy.exceptions import DeviceUnavailable

GIB = 1 << 30


# ----- what is held ------------------------------------------------------------------------------


def test_arrays_are_counted_while_they_live(cupy):
    gc.collect()
    before = memory_stats("cuda")
    x = cp.zeros((1 << 20,))
    during = memory_stats("cuda")
    assert set(during) == {"in_use", "cached", "device_free", "device_total"}
    assert during["in_use"] - before["in_use"] == 8 << 20
    assert 0 < during["device_free"] < during["device_total"] == before["device_total"]
    del x
    after = memory_stats("cuda")
    assert after["in_use"] == before["in_use"]
    assert after["cached"] >= 8 << 20


def test_empty_cache_gives_back_what_is_not_used(cupy):
    gc.collect()
    empty_cache()
    kept = cp.ones(1000)
    cp.zeros((1 << 22,))
    pool = cupy.get_default_memory_pool()
    before, held = memory_stats("cuda"), pool.total_bytes()
    assert before["cached"] >= 32 << 20
    empty_cache()
    after = memory_stats("cuda")
    assert after["cached"] <= before["cached"] - (32 << 20)
    assert pool.total_bytes() <= held - (32 << 20)
    assert after["in_use"] == before["in_use"]
    assert cp.sum(kept).value.get() == 1000


def test_a_pool_of_the_programs_own_is_asked(cupy):
    pool = cupy.cuda.MemoryPool()
    with cupy.cuda.using_allocator(pool.malloc):
        x = cp.zeros(1 << 10)
        assert memory_stats("cuda")["in_use"] == pool.used_bytes() == 8 << 10
        del x
        empty_cache()
        assert memory_stats("cuda")["cached"] == pool.total_bytes() == 0


def test_an_allocator_without_a_pool_has_no_numbers(cupy):
    with cupy.cuda.using_allocator(None):
        x = cp.ones(10)
        assert set(memory_stats("cuda")) == {"device_free", "device_total"}
        empty_cache()
        assert cp.sum(x).value.get() == 10


def test_the_caches_are_emptied_without_a_gpu_too(monkeypatch):
    def absent():
        raise DeviceUnavailable("no GPU")

    monkeypatch.setattr(memory, "require", absent)
    empty_cache()


# ----- no memory left ----------------------------------------------------------------------------


@pytest.fixture
def full(cupy):
    """Give a function that leaves the pool no memory but what is in use, until the test ends."""
    pool = cupy.get_default_memory_pool()
    gc.collect()
    pool.free_all_blocks()

    def fill(spare=0):
        gc.collect()
        pool.free_all_blocks()
        pool.set_limit(size=pool.total_bytes() + spare)

    yield fill
    pool.set_limit(size=0)


X = numpy.ones((1 << 10, 1 << 10))


@functools.cache
def generator():
    return cp.random.default_rng(0)


#: What makes an array of 8 MiB, and none before it.
FAILING = {
    "zeros": lambda x: cp.zeros((1 << 10, 1 << 10)),
    "ones_like": lambda x: cp.ones_like(x),
    "array": lambda x: cp.array(X),
    "array of a Tensor": lambda x: cp.array(x),
    "linspace": lambda x: cp.linspace(0.0, 1.0, 1 << 20),
    "random": lambda x: cp.random.random((1 << 10, 1 << 10)),
    "generator": lambda x: generator().random((1 << 10, 1 << 10)),
    "to_device": lambda x: to_device(X, "cuda"),
    "to_device of a Tensor": lambda x: to_device(np.array(X), "cuda"),
    "operation": lambda x: cp.exp(x),
    "binary": lambda x: x + x,
    "product": lambda x: cp.dot(x, x),
    "operation of arrays": lambda x: cp.exp.op(x.value),
    "copy": lambda x: cp.ascontiguousarray(x.T),
    "grad": lambda x: grad(lambda x: cp.sum(cp.tanh(x)))(x),
    "write": lambda x: Tensor(x.value).__setitem__(0, 1.0),
}


@pytest.mark.parametrize("name", FAILING)
def test_out_of_memory_says_what_was_asked_for_and_what_to_do(name, cupy, full):
    x = cp.ones((1 << 10, 1 << 10))
    FAILING[name](x)  # with what it needs the first time only
    full()
    with pytest.raises(cp.OutOfMemory) as caught:
        FAILING[name](x)
    assert isinstance(caught.value, MemoryError)
    assert isinstance(caught.value.__cause__, cupy.cuda.memory.OutOfMemoryError)
    text = str(caught.value)
    assert "out of memory on GPU 0: 8 MiB were asked for" in text
    assert "CuPy's pool holds " in text
    assert "of them in arrays; its limit is " in text
    assert "; the device has " in text
    assert "backpass.core.empty_cache()" in text
    assert "backpass.core.checkpoint(fun)" in text


def test_a_rule_that_finds_no_memory(full):
    x = cp.ones((1 << 10, 1 << 10))
    _, pull = vjp(lambda x: cp.tanh(x) * x, x)
    g = cp.ones((1 << 10, 1 << 10)).value
    full()
    with pytest.raises(cp.OutOfMemory, match="8 MiB were asked for"):
        pull(g)


def test_the_program_goes_on_afterwards(cupy, full):
    def f(x):
        return cp.sum(cp.tanh(cp.tanh(cp.tanh(x))))

    x = cp.ones((1 << 10, 1 << 10))
    right = grad(f)(x)
    x.grad = None
    full(20 << 20)
    with pytest.raises(cp.OutOfMemory):
        grad(f)(x)
    assert x.grad is None
    small = cp.ones(4)
    assert_array_equal(grad(f)(small).get(), right[0, :4].get())
    full(64 << 20)
    assert_array_equal(grad(lambda x: cp.sum(checkpoint(f)(x)))(x).get(), right.get())


@pytest.mark.parametrize("offload", [False, True])
def test_a_checkpoint_keeps_on_the_device_or_on_the_host(cupy, offload):
    count = 1 << 14

    def f(x):
        for _ in range(4):
            x = cp.sin(x)
        return cp.sum(x)

    def policy(primitive, *operands, **keywords):
        return primitive.name == "sin" and (checkpoint_policies.OFFLOAD if offload else True)

    x = Tensor(cupy.full(count, 0.5)).requires_grad_()
    f(x)  # what the kernels need once, they keep
    gc.collect()
    before = memory_stats("cuda")["in_use"]
    out = checkpoint(f, policy=policy)(x)
    gc.collect()
    held = memory_stats("cuda")["in_use"] - before
    assert held < 8 * count if offload else held >= 4 * 8 * count
    out.backward()
    right = grad(lambda x: cp.sum(cp.sin(cp.sin(cp.sin(cp.sin(x))))))(cupy.full(count, 0.5))
    assert_array_equal(x.grad.get(), right.get())


def test_memory_beyond_the_device(cupy):
    count = memory_stats("cuda")["device_total"] // 4  # of 8 bytes each
    words = r"were asked for; CuPy's pool holds [^;]*; the device has"
    with pytest.raises(cp.OutOfMemory, match=words):
        cp.zeros(count)
    assert cp.sum(cp.ones(10)).value.get() == 10


def test_other_failures_of_allocation_are_understood(cupy):
    failed = cupy.cuda.runtime.CUDARuntimeError(2)
    assert "cudaErrorMemoryAllocation" in str(failed)
    for error in (
        failed,
        RuntimeError("CUDA_ERROR_OUT_OF_MEMORY: out of memory"),
        MemoryError("cublasCreate failed: CUBLAS_STATUS_ALLOC_FAILED (3)"),
    ):
        found = memory.explain(error)
        assert isinstance(found, cp.OutOfMemory)
        assert "GPU 0: memory was asked for; CuPy's pool" in str(found)


def test_other_errors_are_left_alone():
    for error in (
        MemoryError("Unable to allocate 8 TiB for an array"),  # NumPy's, of the CPU's memory
        RuntimeError("something else"),
        ValueError("shapes"),
        cp.OutOfMemory("said already"),
    ):
        assert memory.explain(error) is None


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1023, "1023 bytes"),
        (1024, "1 KiB"),
        (3 << 19, "1.5 MiB"),
        (139 * GIB + GIB // 4, "139.2 GiB"),
        (1 << 60, "1.049e+06 TiB"),
    ],
)
def test_sizes_are_written_as_people_do(count, text):
    assert memory._size(count) == text


# ----- types that a GPU does not have ------------------------------------------------------------

UNSUPPORTED = {
    "longdouble": (numpy.ones(2, numpy.longdouble), r"float64"),
    "clongdouble": (numpy.ones(2, numpy.clongdouble), r"complex128"),
    "object": (numpy.array([1, None]), r"object: make it an array of numbers"),
    "text": (numpy.array(["a", "b"]), r"<U1: text stays on the CPU"),
    "bytes": (numpy.array([b"a"]), r"\|S1: text stays on the CPU"),
    "datetime64": (numpy.array(["2020-01-01"], "M8[D]"), r"datetime64\[D\]: use its number"),
    "big-endian": (numpy.ones(2, ">f4"), r">f4 .* another machine.*astype\('float32'\)"),
}


@pytest.mark.parametrize("name", UNSUPPORTED)
@pytest.mark.parametrize("put", ["to_device", "Tensor", "array", "asarray"])
def test_types_that_a_gpu_does_not_have_are_named(name, put, cupy):
    x, words = UNSUPPORTED[name]
    move = {
        "to_device": lambda x: to_device([x], "cuda"),
        "Tensor": lambda x: to_device(Tensor(x), "cuda"),
        "array": cp.array,
        "asarray": cp.asarray,
    }[put]
    with pytest.raises(TypeError, match=words):
        move(x)


@pytest.mark.parametrize("dtype", ["longdouble", "object", "U3", "M8[s]", ">f4"])
def test_arrays_of_such_types_are_not_made_there(dtype, cupy):
    for make in (
        lambda: cp.zeros(2, dtype=dtype),
        lambda: cp.empty((2, 2), dtype=dtype),
        lambda: cp.zeros_like(cp.ones(2), dtype=dtype),
    ):
        with pytest.raises(TypeError, match=r"a GPU has no arrays of|another machine"):
            make()


def test_lists_of_such_things_are_refused(cupy):
    with pytest.raises(TypeError, match="a GPU has no arrays of"):
        cp.array(["a", "b"])


@pytest.mark.parametrize("dtype", "? i1 u1 i2 u2 i4 u4 i8 u8 f2 f4 f8 c8 c16".split())
def test_types_that_a_gpu_has_keep_their_numbers(dtype, cupy):
    x = numpy.array([[0, 1], [2, 3]]).astype(dtype)
    back = to_device(to_device(x, "cuda"), "cpu")
    assert back.dtype == x.dtype
    assert_array_equal(back, x)
