"""The emulator that runs kernels where there is no GPU does what a GPU does, and sees mistakes."""

import numpy
import pytest
from numpy.testing import assert_array_equal

from backpass.cupy.launching import Kernel

emulator = pytest.importorskip("cuda_emulator", reason="a part of the stand-in for CuPy alone")

SUM = """
__device__ float warp_sum(float x) {
    for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
    return x;
}
extern "C" __global__ void total(
    const float* x, float* parts, unsigned int* ticket, float* out, long long n
) {
    __shared__ float warps[8];
    __shared__ bool last;
    float sum = 0.0f;
    for (long long i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        sum += x[i];
    sum = warp_sum(sum);
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = sum;
    __syncthreads();
    sum = warp_sum(threadIdx.x < 8 ? warps[threadIdx.x] : 0.0f);
    if (threadIdx.x == 0) {
        parts[blockIdx.x] = sum;
        __threadfence();
        last = atomicInc(ticket, gridDim.x - 1) == gridDim.x - 1;
    }
    __syncthreads();
    if (!last || threadIdx.x) return;
    float all = 0.0f;
    for (int i = 0; i < gridDim.x; ++i) all += parts[i];
    *out = all;
}
"""


def test_blocks_that_put_their_sums_together(cupy):
    x = cupy.arange(30_011).astype("float32")
    parts, out = cupy.zeros(64, "float32"), cupy.zeros((), "float32")
    ticket = cupy.zeros(1, "uint32")
    kernel = Kernel("total", SUM)
    for _ in range(3):
        out[...] = numpy.nan
        kernel.launch(64, 256, (x, parts, ticket, out, x.size))
        assert abs(float(out) / (30_010 * 30_011 / 2) - 1) < 1e-6
        assert int(ticket[0]) == 0


def test_a_missing_barrier_is_an_error(cupy):
    x = cupy.ones(64 * 256, "float32")
    parts, out = cupy.zeros(64, "float32"), cupy.zeros((), "float32")
    broken = SUM.replace("    __syncthreads();\n    sum = warp", "    sum = warp")
    assert broken != SUM
    with pytest.raises(emulator.LaunchError, match=r"race: .* without a barrier .shared memory"):
        Kernel("total", broken).launch(64, 256, (x, parts, cupy.zeros(1, "uint32"), out, x.size))


@pytest.mark.parametrize(
    ("code", "match"),
    [
        ("y[i] = x[i + 1];", "reads 4 bytes outside of argument 0: up to 4 bytes after its end"),
        ("y[i - 1] = x[i];", "writes 4 bytes outside of argument 1: .* before its start"),
        ("*(float4*)y = ((float4*)(x + 1))[0];", "line 1: .* of 16 bytes is misaligned"),
        ("y[0] = x[i];", "race: writes what thread .* has written"),
        ("y[i] = 0; y[i ^ 1] += 1;", "race: .* thread .* has written, without a barrier"),
        ("y[i] = i < 32 ? y[i + 32] : 1;", "race: writes what thread .* has read"),
        ("y[i] = x[0]; y[0] = y[i];", "race: .*, without a barrier .argument 1, byte 0"),
        ("while (atomicAdd((int*)y, 0) == 0);", "waits for another that has no turn"),
        ("__shfl_sync(1u << (i % 32), 0, 0, 3);", "the width 3 of a shuffle"),
        ("__shfl_sync(1u, 0, 0);", "with the mask 00000001, which leaves it out"),
        ("if (i < 7)\n__syncthreads();\nelse\n__syncthreads();", "wait in line . and in line ."),
        ("assert(i < 3);", "the assertion i < 3 failed"),
    ],
)
def test_a_mistake_is_an_error(cupy, code, match):
    head = 'extern "C" __global__ void wrong(const float* x, float* y) { int i = threadIdx.x; '
    kernel = Kernel("wrong", head + code + " }")
    # Views: what lies beside them is theirs who made the array.
    x, y = (cupy.zeros(96, "float32")[16:80] for _ in range(2))
    with pytest.raises(emulator.LaunchError, match=match):
        kernel.launch(1, 64, (x, y))


def test_what_two_blocks_write_is_a_race_unless_they_met(cupy):
    code = """extern "C" __global__ void meet(float* y, unsigned* ticket) {
        %s
        y[0] = blockIdx.x;
    }"""
    y, ticket = cupy.zeros(1, "float32"), cupy.zeros(1, "uint32")
    with pytest.raises(emulator.LaunchError, match=r"race: writes what block . has written"):
        Kernel("meet", code % "").launch(2, 1, (y, ticket))
    Kernel("meet", code % "if (atomicInc(ticket, 1) == 0) return;").launch(2, 1, (y, ticket))
    assert float(y[0]) in (0.0, 1.0)


def test_lanes_see_each_others_memory_after_syncwarp(cupy):
    code = """extern "C" __global__ void turned(const float* x, float* y) {
        __shared__ float kept[64];
        int i = threadIdx.x;
        kept[i] = x[i];
        %s
        y[i] = kept[i ^ 1];
    }"""
    x, y = cupy.arange(64).astype("float32"), cupy.zeros(64, "float32")
    Kernel("turned", code % "__syncwarp();").launch(1, 64, (x, y))
    assert_array_equal(y.get(), numpy.arange(64) ^ 1)
    with pytest.raises(emulator.LaunchError, match="race"):
        Kernel("turned", code % "__shfl_sync(0xffffffffu, 0, 0);").launch(1, 64, (x, y))


def test_pointers_in_a_struct_reach_all_memory_and_no_other(cupy):
    code = """struct Two { const float* x; float* y; };
    extern "C" __global__ void copy(Two two) { two.y[threadIdx.x] = two.x[threadIdx.x]; }"""
    x, y = cupy.arange(32).astype("float32"), cupy.zeros(32, "float32")
    two = numpy.dtype([("x", "u8"), ("y", "u8")])
    Kernel("copy", code).launch(1, 32, (numpy.array((x.data.ptr, y.data.ptr), two)[()],))
    assert_array_equal(y.get(), x.get())
    host = numpy.zeros(32, "float32")
    with pytest.raises(emulator.LaunchError, match="outside of every array"):
        Kernel("copy", code).launch(1, 32, (numpy.array((x.data.ptr, host.ctypes.data), two)[()],))


def test_vectors_are_loaded_and_stored(cupy):
    code = """extern "C" __global__ void turned(const float4* x, double2* y) {
        float4 v = x[threadIdx.x];
        y[2 * threadIdx.x] = make_double2(v.w, v.z);
        y[2 * threadIdx.x + 1] = make_double2(v.y, v.x);
    }"""
    x, y = cupy.arange(128).astype("float32"), cupy.zeros((32, 4))
    Kernel("turned", code).launch(1, 32, (x, y))
    assert_array_equal(y.get(), numpy.arange(128.0).reshape(32, 4)[:, ::-1])


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        (("x32", 1), "takes 3 arguments, got 2"),
        (("x64", 1, 1.0), "an array of float64, the parameter a pointer to type 'f'"),
        (("x32", 1.0, 1.0), "argument 1 is 8 bytes of kind 'f'"),
        (("x32", numpy.int32(1), 1.0), "argument 1 is 4 bytes"),
        (("x32", 1, 1), "argument 2 is 8 bytes of kind 'i'"),
    ],
)
def test_an_argument_that_a_gpu_would_misread_is_an_error(cupy, arguments, match):
    arrays = {"x32": cupy.zeros(3, "float32"), "x64": cupy.zeros(3)}
    arguments = tuple(arrays[a] if isinstance(a, str) else a for a in arguments)
    code = 'extern "C" __global__ void taking(float* x, long long n, double s) { x[0] = s; }'
    with pytest.raises(emulator.LaunchError, match=match):
        Kernel("taking", code).launch(1, 1, arguments)


def test_a_barrier_that_not_all_threads_reach_is_an_error(cupy):
    code = """extern "C" __global__ void apart(float* x) {
        if (threadIdx.x < 7) __syncthreads();
        __shfl_sync(0xffffffffu, 1, 0);
        x[threadIdx.x] = 1;
    }"""
    with pytest.raises(emulator.LaunchError, match="deadlock: of 32 threads 7 wait"):
        Kernel("apart", code).launch(1, 32, (cupy.zeros(32, "float32"),))


def test_every_half_there_and_back(cupy):
    code = """#include <cuda_fp16.h>
    extern "C" __global__ void halves(const __half* x, float* y, __half* z, long long n) {
        const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
        if (i >= n) return;
        y[i] = __half2float(x[i]);
        z[i] = __float2half_rn(y[i]);
    }"""
    x = numpy.arange(65536, dtype="uint16").view("float16")
    y, z = cupy.zeros(65536, "float32"), cupy.zeros(65536, "float16")
    Kernel("halves", code).launch(256, 256, (cupy.asarray(x), y, z, 65536))
    assert_array_equal(y.get(), x.astype("float32"))
    assert_array_equal(z.get(), x)


def test_halves_are_rounded_to_even(cupy):
    code = """#include <cuda_fp16.h>
    extern "C" __global__ void rounded(const float* x, __half* y, long long n) {
        const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
        if (i < n) y[i] = __float2half_rn(x[i]);
    }"""
    random = numpy.random.default_rng(0)
    x = (random.standard_normal(4096) * 10.0 ** random.integers(-9, 6, 4096)).astype("float32")
    x[:3] = 1 + 2.0**-11, 1 + 3 * 2.0**-11, 65520
    y = cupy.zeros(4096, "float16")
    Kernel("rounded", code).launch(16, 256, (cupy.asarray(x), y, 4096))
    with numpy.errstate(over="ignore"):
        assert_array_equal(y.get(), x.astype("float16"))


def test_a_product_and_a_sum_round_apart(cupy):
    code = """extern "C" __global__ void apart(const double* x, double* y) {
        y[0] = x[0] * x[1] + x[2];
    }"""
    x = cupy.asarray(numpy.array([1 + 2.0**-30, 1 - 2.0**-30, -1.0]))
    y = cupy.zeros(1)
    Kernel("apart", code).launch(1, 1, (x, y))
    assert float(y[0]) == 0.0


def test_what_does_not_compile_says_where(cupy):
    from cupy.cuda.compiler import CompileException

    with pytest.raises(CompileException, match=r"broken.cu:1"):
        Kernel("broken", 'extern "C" __global__ void broken() { nonsense; }').launch(1, 1, ())
