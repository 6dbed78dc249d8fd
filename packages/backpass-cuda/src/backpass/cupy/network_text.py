"""What the texts of the networks' kernels share: types, packs, and sums of the threads of a row.

A kernel is compiled for one dtype and one shape of its rows: `THREADS` threads hold `PACKS` packs
of `WIDTH` elements each of a row of `LENGTH`, and a block has `LANES` rows.  So the compiler knows
which threads have nothing to do, and unrolls the rest.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from backpass.cupy.formulas import COMPUTED, SIZES, STORED, kept, loaded, prelude
from backpass.cupy.library import library, ndarray

#: A thread loads and stores so many bytes at once, where all is aligned.
WIDTH = 16
WARP = 32
BLOCK = 256
#: The multiprocessors of the GPUs that grids of a fixed size are made for.  Another GPU's number
#: is not asked, so that sums have the same order on all of them.
PROCESSORS = 132


class Shape(NamedTuple):
    """How threads are laid over rows.

    Attributes
    ----------
    length
        Elements of a row.
    width
        Elements that are loaded at once.
    packs
        Packs that a thread holds.
    threads
        Of a row: a power of two, or a multiple of a warp.
    lanes
        Rows of a block.
    """

    length: int
    width: int
    packs: int
    threads: int
    lanes: int

    @property
    def block(self) -> int:
        """Return how many threads a block has."""
        return self.threads * self.lanes

    @property
    def held(self) -> int:
        """Return how many elements a thread holds."""
        return self.width * self.packs

    @property
    def fits(self) -> bool:
        """Return whether the threads of a row hold all of it."""
        return self.threads * self.held >= self.length


def power(n: int) -> int:
    """Return the least power of two that is no less."""
    return 1 << max(n - 1, 0).bit_length()


def widest(length: int, *arrays: Any) -> int:
    """Return how many elements of all arrays can be loaded at once, if rows have this length."""
    width = WIDTH // SIZES[arrays[0].dtype.char]
    while length % width or any(x.data.ptr % (width * x.itemsize) for x in arrays):
        width //= 2
    return width


def shape_of(length: int, width: int, alone: int, most: int, threads: int = 512) -> Shape:
    """Return threads for rows: each has `alone` elements; up to `most` if `threads` are too few."""
    packs = -(-length // width)
    each = max(1, min(alone // width, -(-packs // WARP)))
    needed = -(-packs // each)
    if needed > threads:
        needed, each = threads, max(1, min(most // width, -(-packs // threads)))
        needed = min(threads, -(-packs // each))
    needed = power(needed) if needed <= WARP else -(-needed // WARP) * WARP
    return Shape(length, width, each, needed, max(1, BLOCK // needed))


_HEAD = """
#define LOG log{f}
#define SQRT sqrt{f}
#define FMAX fmax{f}
#define FMIN fmin{f}
#define LARGEST T({largest})
typedef {stored} Stored;
#define WIDTH {width}
#define PACKS {packs}
#define THREADS {threads}
#define LANES {lanes}
#define BLOCK (THREADS * LANES)
#define LENGTH {length}LL

struct __align__(WIDTH * sizeof(Stored)) Pack {{ Stored v[WIDTH]; }};

__device__ __forceinline__ T load(Stored x) {{ return {load}; }}
__device__ __forceinline__ Stored keep(T x) {{ return {keep}; }}
__device__ __forceinline__ T zero_multiply(T g, T d) {{ return g == T(0) ? T(0) : g * d; }}

// Whether a thread's pack i lies in the row, as the compiler knows for most.
#define HELD(i) ((i) * THREADS + THREADS <= LENGTH / WIDTH || (i) * THREADS + t < LENGTH / WIDTH)
#define PACK _Pragma("unroll") for (int i = 0; i < PACKS; ++i) if (HELD(i))
#define EACH PACK _Pragma("unroll") for (int j = 0; j < WIDTH; ++j)
#define AT ((i * THREADS + t) * WIDTH)

struct Plus {{ static __device__ __forceinline__ T of(T x, T y) {{ return x + y; }} }};
struct Most {{ static __device__ __forceinline__ T of(T x, T y) {{ return FMAX(x, y); }} }};

// Put together what the threads of a row have, for each of them.  `shared` must not be that of the
// call before: no thread waits for the others to have read it.
template <class Join, int K>
__device__ __forceinline__ void together(T (&x)[K], T *shared) {{
    #pragma unroll
    for (int offset = (THREADS < 32 ? THREADS : 32) / 2; offset > 0; offset /= 2) {{
        #pragma unroll
        for (int k = 0; k < K; ++k) {{
            x[k] = Join::of(x[k], __shfl_xor_sync(0xffffffffu, x[k], offset));
        }}
    }}
    if (THREADS > 32) {{
        const int warp = threadIdx.x / 32;
        if (threadIdx.x % 32 == 0) {{
            #pragma unroll
            for (int k = 0; k < K; ++k) shared[warp * K + k] = x[k];
        }}
        __syncthreads();
        const T *own = shared + threadIdx.x / THREADS * (THREADS / 32) * K;
        #pragma unroll
        for (int k = 0; k < K; ++k) x[k] = own[k];
        #pragma unroll
        for (int w = 1; w < THREADS / 32; ++w) {{
            #pragma unroll
            for (int k = 0; k < K; ++k) x[k] = Join::of(x[k], own[w * K + k]);
        }}
    }}
}}
#define WARPS ((BLOCK + 31) / 32)
"""


def source(char: str, shape: Shape, body: str) -> str:
    """Return the text of a kernel for arrays of a type."""
    computed = "d" if char == "d" else "f"
    head = _HEAD.format(
        f="" if computed == "d" else "f",
        largest="1.7976931348623157e308" if computed == "d" else "3.4028234663852886e38f",
        stored=STORED[char],
        load=loaded("x", char),
        keep=kept("x", char),
        **shape._asdict(),
    )
    return prelude(computed, char, head + body) + head + body


def accumulated(char: str) -> str:
    """Return the character of the type in which arrays of a type are computed."""
    return "d" if char == "d" else "f"


def is_float(x: Any, char: str = "") -> bool:
    """Tell whether `x` is an array on the GPU of a floating type, of that of `char` if given."""
    return (
        type(x) is ndarray
        and x.dtype.char in COMPUTED
        and x.dtype.isnative
        and (not char or x.dtype.char == char)
    )


def or_null(x: Any) -> Any:
    """Return what a kernel takes for an array that there may not be."""
    return 0 if x is None else x


def dense(x: Any) -> Any:
    """Return the array, or a copy, whose elements lie one after the other."""
    return x if x._c_contiguous else library.ascontiguousarray(x)


__all__ = [
    "BLOCK",
    "PROCESSORS",
    "WARP",
    "WIDTH",
    "Shape",
    "accumulated",
    "dense",
    "is_float",
    "or_null",
    "power",
    "shape_of",
    "source",
    "widest",
]
