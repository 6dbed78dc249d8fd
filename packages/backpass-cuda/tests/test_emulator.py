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


def test_without_its_barrier_the_sum_is_wrong(cupy):
    x = cupy.ones(64 * 256, "float32")
    parts, out = cupy.zeros(64, "float32"), cupy.zeros((), "float32")
    broken = SUM.replace("    __syncthreads();\n    sum = warp", "    sum = warp")
    assert broken != SUM
    Kernel("total", broken).launch(64, 256, (x, parts, cupy.zeros(1, "uint32"), out, x.size))
    assert float(out) != 64 * 256


def test_a_barrier_that_not_all_threads_reach_is_an_error(cupy):
    code = """extern "C" __global__ void apart(float* x) {
        if (threadIdx.x < 7) __syncthreads();
        __shfl_sync(0xffffffffu, 1, 0);
        x[threadIdx.x] = 1;
    }"""
    with pytest.raises(emulator.LaunchError, match="apart"):
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
