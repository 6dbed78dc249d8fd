"""Small products on tensor cores, in CUDA C++, by the type of the numbers.

A warp multiplies a 16 x K matrix by a K x 8 one and adds up in 16 x 8 sums, where K is `CHUNK`.
Each of its 32 threads holds a part of each matrix (PTX ISA, "matrix fragments for mma"): with
g = lane / 4 and t = lane % 4, of the sums those in rows g and g + 8, columns 2 t and 2 t + 1.

float16 and bfloat16 are multiplied exactly and added in float32.  float32 goes as the sum of two
numbers of 11 bits, in three products: 22 bits of the 24; or, in the precision `"tf32"`, as one.
float64 is computed as float64.

References
----------
H. Ootomo, R. Yokota: Recovering single precision accuracy from tensor cores while surpassing the
FP32 theoretical peak performance, IJHPCA 2022.
"""

from __future__ import annotations

from typing import NamedTuple

from backpass.cupy.formulas import STORED, kept, loaded


class Numbers(NamedTuple):
    """A type of numbers in CUDA C++.

    Attributes
    ----------
    stored
        Its character, as in `formulas.STORED`.
    computed
        In what is added up.
    size
        Bytes of a stored number.
    chunk
        How many columns of the left matrix there are in one step.
    """

    stored: str
    computed: str
    size: int
    chunk: int


NUMBERS = {
    "float16": Numbers("e", "float", 2, 16),
    "bfloat16": Numbers("E", "float", 2, 16),
    "float32": Numbers("f", "float", 4, 8),
    "float64": Numbers("d", "double", 8, 8),
}

#: A copy from global to shared memory that goes on while the thread does other things.
COPIES = """
#ifndef __CUDA_EMULATOR__
__device__ __forceinline__ void copy_16_bytes(void *to, const void *from, bool there) {
    const unsigned at = (unsigned)__cvta_generic_to_shared(to);
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :: "r"(at), "l"(from), "r"(there ? 16 : 0));
}
__device__ __forceinline__ void close_copies() { asm volatile("cp.async.commit_group;"); }
template <int N> __device__ __forceinline__ void wait_for_copies() {
    asm volatile("cp.async.wait_group %0;" :: "n"(N) : "memory");
}
#endif
"""

#: Matrices of 16-bit numbers: what a thread holds comes from the rows of all.
_LOADING_HALVES = """
#ifndef __CUDA_EMULATOR__
__device__ __forceinline__ void load_matrices(unsigned (&r)[4], const void *row) {
    const unsigned at = (unsigned)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
}
__device__ __forceinline__ void load_transposed(unsigned (&r)[4], const void *row) {
    const unsigned at = (unsigned)__cvta_generic_to_shared(row);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(at) : "memory");
}
__device__ __forceinline__ void multiply_16_bits(
    float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1, Stored
) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#endif
"""

_HALVES = """
typedef unsigned Part;
__device__ __forceinline__ void multiply_add(
    float (&c)[4], const Part (&a)[4], Part b0, Part b1
) {
    multiply_16_bits(c, a, b0, b1, Stored());
}
// 16 rows and CHUNK columns of a matrix by rows.
__device__ __forceinline__ void load_left(Part (&a)[4], const Stored *tile, int row, int column) {
    const int lane = threadIdx.x & 31;
    load_matrices(a, tile + (row + (lane & 15)) * LD + column + (lane >> 4) * 8);
}
// CHUNK rows and 16 columns of a right matrix whose columns are the tile's rows.
__device__ __forceinline__ void load_right(Part (&b)[4], const Stored *tile, int row, int column) {
    const int lane = threadIdx.x & 31;
    const int own = row + (lane & 7) + (lane >> 4) * 8;
    load_matrices(b, tile + own * LD + column + (lane >> 3 & 1) * 8);
}
// The same of one whose rows are the tile's.
__device__ __forceinline__ void load_right_by_rows(
    Part (&b)[4], const Stored *tile, int row, int column
) {
    const int lane = threadIdx.x & 31;
    load_transposed(b, tile + (row + (lane & 15)) * LD + column + (lane >> 4) * 8);
}
// Sums as a left matrix of CHUNK columns.
template <int N> __device__ __forceinline__ void as_left(
    Part (&a)[4], const Sum (&sums)[N][4], int chunk
) {
    const int i = 2 * chunk;
    a[0] = packed(sums[i][0], sums[i][1]);
    a[1] = packed(sums[i][2], sums[i][3]);
    a[2] = packed(sums[i + 1][0], sums[i + 1][1]);
    a[3] = packed(sums[i + 1][2], sums[i + 1][3]);
}
"""

_PACKED = """
// Two numbers in one word.
__device__ __forceinline__ unsigned packed(float x, float y) {
    struct alignas(4) Pair { Stored x, y; };
    const Pair both = {kept(x), kept(y)};
    return *(const unsigned *)&both;
}
"""

#: Numbers of 32 and 64 bits: each is loaded by itself.  In a product of two matrices any order of
#: the columns of the left one will do that the rows of the right one have, too: columns 2 t and
#: 2 t + 1 of sums stand for t and t + 4.
_SINGLE_NUMBERS = """
__device__ __forceinline__ void load_left(Part (&a)[4], const Stored *tile, int row, int column) {
    const Stored *at = tile + (row + (threadIdx.x >> 2 & 7)) * LD + column + (threadIdx.x & 3);
    a[0] = at[0];
    a[1] = at[8 * LD];
    a[2] = at[4];
    a[3] = at[8 * LD + 4];
}
__device__ __forceinline__ void load_right(Part (&b)[4], const Stored *tile, int row, int column) {
    const Stored *at = tile + (row + (threadIdx.x >> 2 & 7)) * LD + column + (threadIdx.x & 3);
    b[0] = at[0];
    b[1] = at[4];
    b[2] = at[8 * LD];
    b[3] = at[8 * LD + 4];
}
__device__ __forceinline__ void load_right_by_rows(
    Part (&b)[4], const Stored *tile, int row, int column
) {
    const Stored *at = tile + (row + (threadIdx.x & 3) * 2) * LD + column + (threadIdx.x >> 2 & 7);
    b[0] = at[0];
    b[1] = at[LD];
    b[2] = at[8];
    b[3] = at[LD + 8];
}
template <int N> __device__ __forceinline__ void as_left(
    Part (&a)[4], const Sum (&sums)[N][4], int chunk
) {
    a[0] = sums[chunk][0];
    a[1] = sums[chunk][2];
    a[2] = sums[chunk][1];
    a[3] = sums[chunk][3];
}
"""

_SINGLES = """
typedef float Part;
#ifndef __CUDA_EMULATOR__
__device__ __forceinline__ void multiply_tf32(
    float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1
) {
    asm volatile(
        "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#endif
// The first 11 bits of a number, and the next: what does not fit the tensor cores they cut off.  An
// infinite number has no rest: all of its products are nan.
__device__ __forceinline__ void divide(float x, unsigned &high, unsigned &low) {
    high = (__float_as_uint(x) + 0x1000u) & 0xffffe000u;
    low = __float_as_uint(x - __uint_as_float(high));
#if !EXACT
    if (x != x) high = low;
#endif
}
__device__ __forceinline__ void multiply_add(
    float (&c)[4], const Part (&a)[4], Part b0, Part b1
) {
    unsigned high[4], low[4], b_high[2], b_low[2];
    #pragma unroll
    for (int i = 0; i < 4; ++i) divide(a[i], high[i], low[i]);
    divide(b0, b_high[0], b_low[0]);
    divide(b1, b_high[1], b_low[1]);
#if EXACT
    multiply_tf32(c, low, b_high[0], b_high[1]);
    multiply_tf32(c, high, b_low[0], b_low[1]);
#endif
    multiply_tf32(c, high, b_high[0], b_high[1]);
}
// The products of the first parts alone.
__device__ __forceinline__ void multiply_firsts(
    float (&c)[4], const Part (&a)[4], Part b0, Part b1
) {
    const unsigned left[4] = {__float_as_uint(a[0]), __float_as_uint(a[1]),
                              __float_as_uint(a[2]), __float_as_uint(a[3])};
    multiply_tf32(c, left, __float_as_uint(b0), __float_as_uint(b1));
}
"""

_DOUBLES = """
typedef double Part;
#ifndef __CUDA_EMULATOR__
__device__ __forceinline__ void multiply_double(double &c0, double &c1, double a, double b) {
    asm volatile("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0, %1}, {%2}, {%3}, {%0, %1};"
                 : "+d"(c0), "+d"(c1) : "d"(a), "d"(b));
}
#endif
__device__ __forceinline__ void multiply_add(
    double (&c)[4], const Part (&a)[4], Part b0, Part b1
) {
    multiply_double(c[0], c[1], a[0], b0);
    multiply_double(c[2], c[3], a[1], b0);
    multiply_double(c[0], c[1], a[2], b1);
    multiply_double(c[2], c[3], a[3], b1);
}
"""


def text(dtype: str, exact: bool = True) -> str:
    """Return what a kernel needs to multiply matrices of this dtype.

    It has to define `LD` before, the distance of rows in shared memory.
    """
    numbers = NUMBERS[dtype]
    stored = numbers.stored
    head = f"""
typedef {STORED[stored]} Stored;
typedef {numbers.computed} Sum;
typedef Sum T;
#define CHUNK {numbers.chunk}
#define EXACT {int(exact)}
__device__ __forceinline__ Sum loaded(Stored x) {{ return {loaded("x", stored)}; }}
__device__ __forceinline__ Stored kept(Sum x) {{ return {kept("x", stored)}; }}
"""
    if numbers.size == 2:
        format_ = {"e": ".f16", "E": ".bf16"}[stored]
        loading = _LOADING_HALVES.replace(".f16", format_)
        return head + COPIES + loading + _PACKED + _HALVES
    return head + COPIES + {"f": _SINGLES, "d": _DOUBLES}[stored] + _SINGLE_NUMBERS
