"""The kernels of attention, in CUDA C++: a tile of scores at a time, in registers.

A block has 64 rows of the matrix of scores, 16 for each of its four warps, and goes through the
columns in tiles.  Forward, and for the queries' cotangent, rows are queries; for those of keys and
values rows are keys and columns queries.  So every sum lies in one block's registers, and is
always added up in the same order.  The next tile is copied while one is worked on.

References
----------
T. Dao: FlashAttention-2: faster attention with better parallelism and work partitioning, ICLR 2024.
"""

from __future__ import annotations

from typing import NamedTuple

from backpass.cupy import tensor_cores
from backpass.cupy.formulas import STORED, included, loaded
from backpass.cupy.tensor_cores import NUMBERS

#: Rows of a block, and its threads.
ROWS, THREADS = 64, 128
#: So many batch axes of different strides at most: more are left to the reference.
AXES = 4
#: The operands of both kernels, in the order of their strides.
FORWARD = "query key value mask out".split()
BACKWARD = "query key value mask out g to_query to_key to_value".split()


class Source(NamedTuple):
    """What the kernels' text depends on.

    Attributes
    ----------
    dtype
        The name of the operands' dtype.
    width
        The features, up to a multiple of 16.
    columns
        Of a tile; a multiple of 16.
    mask
        The name of the mask's dtype, or nothing.
    dropout
        Whether weights are dropped: `""`, `"key"` by a key of two numbers, `"array"` by one that
        lies on the device.
    aligned
        Whether 16 bytes can be copied at once.
    exact
        Whether products of float32 are more than TF32.
    pulls_mask
        Whether the scores' cotangents are stored: those of an added mask.
    """

    dtype: str
    width: int
    columns: int
    mask: str
    dropout: str
    aligned: bool
    exact: bool
    pulls_mask: bool = False

    @property
    def pitch(self) -> int:
        """Return the distance of rows in shared memory: no two of a column in one bank."""
        return self.width + 16 // NUMBERS[self.dtype].size * (2 if self.dtype == "float64" else 1)

    @property
    def holds(self) -> bool:
        """Return whether the rows' operands are held in registers backward."""
        return self.width * NUMBERS[self.dtype].size <= 256 and self.dtype != "float64"

    def shared(self, backward: bool) -> int:
        """Return the bytes of shared memory."""
        rows = max(4 * self.columns, ROWS)
        if backward and not self.holds:
            rows += 2 * ROWS
        row = self.pitch * NUMBERS[self.dtype].size
        sums = 4 * self.columns * (8 if self.dtype == "float64" else 4) if backward else 0
        return rows * row + sums

    def text(self, which: str) -> str:
        """Return a kernel's text: `"forward"`, `"backward"`, or the `"products"` before it."""
        numbers = NUMBERS[self.dtype]
        mask = NUMBERS[self.mask].stored if self.mask in NUMBERS else "?"
        operands = FORWARD if which == "forward" else BACKWARD
        signature, read = _KEYS[self.dropout]
        return "\n".join(
            [
                included(numbers.stored + mask),
                f"#define D {self.width}",
                f"#define LD {self.pitch}",
                f"#define ROWS {ROWS}",
                f"#define COLUMNS {self.columns}",
                f"#define THREADS {THREADS}",
                f"#define AXES {AXES}",
                f"#define OPERANDS {len(operands)}",
                f"enum {{ {', '.join(f'OF_{x.upper()}' for x in operands)} }};",
                f"#define HAS_MASK {int(bool(self.mask))}",
                f"#define ADDS_MASK {int(mask != '?')}",
                f"#define DROPS {int(bool(self.dropout))}",
                f"#define IS_ALIGNED {int(self.aligned)}",
                f"#define HOLDS {int(self.holds)}",
                f"#define SPLITS {int(self.dtype == 'float32' and self.exact)}",
                f"#define PULLS_MASK {int(self.pulls_mask)}",
                tensor_cores.text(self.dtype, self.exact),
                f"typedef {STORED[mask]} Mask;",
                f"#define ADDED(x) {loaded('x', mask)}",
                f"#define EXP2 exp2{'f' if numbers.computed == 'float' else ''}",
                f"#define LOG2 log2{'f' if numbers.computed == 'float' else ''}",
                f"#define DROPOUT_KEY {signature}",
                f"#define READ_KEY {read}",
                f"#define SEED {', const long long seed, const long long count' * bool(read)}",
                f"#define PASSED {', seed, count' * bool(read)}",
                _COMMON,
                _TEXTS[which],
            ]
        )


#: How a key of dropout comes, and is read.
_KEYS = {
    "": ("", ""),
    "key": (", const long long seed, const long long count", ";"),
    "array": (
        ", const long long *__restrict__ words",
        "const long long seed = words[0], count = words[1];",
    ),
}

_COMMON = """
#ifndef INFINITY
#define INFINITY __int_as_float(0x7f800000)
#endif
#define PER_BIT Sum(1.4426950408889634)
#define UNROLL _Pragma("unroll")

struct Call {
    long long n, m, d, e, causal;
    long long lengths[AXES], steps[OPERANDS][AXES], down[OPERANDS], right[OPERANDS];
    double scale, rate, kept;
};

// Where a matrix of the batch begins.
__device__ __forceinline__ long long offset(const Call &call, unsigned batch, int operand) {
    long long at = 0;
    for (int axis = AXES - 1; axis >= 0; --axis) {
        if (call.lengths[axis] == 1) continue;
        const unsigned length = (unsigned)call.lengths[axis];
        const unsigned next = batch / length;
        at += (batch - next * length) * call.steps[operand][axis];
        batch = next;
    }
    return at;
}

// Rows of a matrix from `first` on, to shared memory; zeros where there are none.
template <int COUNT> __device__ __forceinline__ void load(
    Stored *tile, const Stored *from, int first, int rows, int width, long long down,
    long long right
) {
#if IS_ALIGNED
    constexpr int PIECE = 16 / sizeof(Stored), PIECES = D / PIECE;
    UNROLL for (int i = threadIdx.x; i < COUNT * PIECES; i += THREADS) {
        const int row = i / PIECES, column = i % PIECES * PIECE;
        const bool there = first + row < rows && column < width;
        const Stored *piece = there ? from + (first + row) * down + column : from;
        copy_16_bytes(tile + row * LD + column, piece, there);
    }
#else
    for (int i = threadIdx.x; i < COUNT * D; i += THREADS) {
        const int row = i / D, column = i % D;
        const bool there = first + row < rows && column < width;
        tile[row * LD + column] = there ? from[(first + row) * down + column * right] : kept(0);
    }
#endif
}

#if DROPS
struct Drop { unsigned counts[2], seeds[2]; unsigned long long quarter, threshold; };

__device__ __forceinline__ Drop dropping(
    unsigned long long seed, unsigned long long count, unsigned long long total, double rate
) {
    return {{(unsigned)count, (unsigned)(count >> 32)}, {(unsigned)seed, (unsigned)(seed >> 32)},
            (total + 3) / 4, (unsigned long long)rint(rate * 4294967296.0)};
}

// Whether dropout keeps a place: `functional.philox.bernoulli`.
__device__ __forceinline__ bool keeps(const Drop &drop, unsigned long long place) {
    const unsigned which = (place >= drop.quarter) + (place >= 2 * drop.quarter) +
        (place >= 3 * drop.quarter);
    const unsigned long long index = place - which * drop.quarter;
    unsigned c0 = (unsigned)index, c1 = (unsigned)(index >> 32);
    unsigned c2 = drop.counts[0], c3 = drop.counts[1], k0 = drop.seeds[0], k1 = drop.seeds[1];
    #pragma unroll 1
    for (int i = 0; i < 10; ++i) {
        const unsigned high0 = __umulhi(c0, 0xD2511F53u), low0 = c0 * 0xD2511F53u;
        const unsigned high1 = __umulhi(c2, 0xCD9E8D57u), low1 = c2 * 0xCD9E8D57u;
        c0 = high1 ^ c1 ^ k0;
        c1 = low1;
        c2 = high0 ^ c3 ^ k1;
        c3 = low0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return (which == 0 ? c0 : which == 1 ? c1 : which == 2 ? c2 : c3) >= drop.threshold;
}
#endif

// The scores of 16 rows, in powers of 2, from the products; -infinity where nobody attends.
// `i`, `j` are the query and the key of the thread's first score.
template <bool BY_KEY> __device__ __forceinline__ void score(
    Sum (&scores)[COLUMNS / 8][4], int i, int j, bool all, const Mask *mask, const Call &call
) {
    const Sum scale = Sum(call.scale) * PER_BIT;
    UNROLL for (int c = 0; c < COLUMNS / 8; ++c) UNROLL for (int k = 0; k < 4; ++k) {
        const int down = k / 2 * 8, right = c * 8 + k % 2;
        const int query = i + (BY_KEY ? right : down), key = j + (BY_KEY ? down : right);
        Sum value = scores[c][k] * scale;
        if (HAS_MASK || !all) {
            bool attends = query < call.n && key < call.m && !(call.causal && key > query);
#if HAS_MASK
            if (attends) {
                const Mask own = mask[query * call.down[OF_MASK] + key * call.right[OF_MASK]];
#if ADDS_MASK
                value += PER_BIT * ADDED(own);
#else
                attends = own;
#endif
            }
#endif
            if (!attends) value = -INFINITY;
        }
        scores[c][k] = value;
    }
}

// Scores += rows of the left matrix times rows of a tile.
__device__ __forceinline__ void multiply_rows(
    Sum (&scores)[COLUMNS / 8][4], const Part (&left)[4], const Stored *tile, int chunk
) {
    UNROLL for (int j = 0; j < COLUMNS / 16; ++j) {
        Part b[4];
        load_right(b, tile, 16 * j, chunk * CHUNK);
        multiply_add(scores[2 * j], left, b[0], b[1]);
        multiply_add(scores[2 * j + 1], left, b[2], b[3]);
    }
}

#if SPLITS
// Infinite numbers have no parts, and their scores are nan: the first parts tell which those are.
__device__ __forceinline__ void mend(
    Sum (&scores)[COLUMNS / 8][4], const Part (&left)[D / CHUNK][4], const Stored *tile
) {
    bool odd = false;
    UNROLL for (int c = 0; c < COLUMNS / 8; ++c) UNROLL for (int k = 0; k < 4; ++k) {
        odd |= scores[c][k] != scores[c][k];
    }
    if (!__any_sync(0xffffffffu, odd)) return;
    UNROLL for (int j = 0; j < COLUMNS / 16; ++j) {
        Sum firsts[2][4] = {};
        UNROLL for (int chunk = 0; chunk < D / CHUNK; ++chunk) {
            Part b[4];
            load_right(b, tile, 16 * j, chunk * CHUNK);
            multiply_firsts(firsts[0], left[chunk], b[0], b[1]);
            multiply_firsts(firsts[1], left[chunk], b[2], b[3]);
        }
        UNROLL for (int c = 0; c < 2; ++c) UNROLL for (int k = 0; k < 4; ++k) {
            Sum &score = scores[2 * j + c][k];
            if (score != score) score = firsts[c][k];
        }
    }
}
#endif

// Sums += scores times a tile.
__device__ __forceinline__ void multiply_tile(
    Sum (&sums)[D / 8][4], const Sum (&scores)[COLUMNS / 8][4], const Stored *tile
) {
    UNROLL for (int chunk = 0; chunk < COLUMNS / CHUNK; ++chunk) {
        Part a[4];
        as_left(a, scores, chunk);
        UNROLL for (int j = 0; j < D / 16; ++j) {
            Part b[4];
            load_right_by_rows(b, tile, chunk * CHUNK, 16 * j);
            multiply_add(sums[2 * j], a, b[0], b[1]);
            multiply_add(sums[2 * j + 1], a, b[2], b[3]);
        }
    }
}

// Two rows of sums, times factors, to a matrix.
__device__ __forceinline__ void store(
    const Sum (&sums)[D / 8][4], const Sum (&factors)[2], Stored *to, int row, int rows, int width,
    long long down
) {
    UNROLL for (int half = 0; half < 2; ++half) {
        const int own = row + 8 * half;
        if (own >= rows) continue;
        UNROLL for (int c = 0; c < D / 8; ++c) {
            const int column = c * 8 + (threadIdx.x & 3) * 2;
            const Stored x = kept(sums[c][2 * half] * factors[half]);
            const Stored y = kept(sums[c][2 * half + 1] * factors[half]);
            Stored *at = to + own * down + column;
#if IS_ALIGNED
            struct alignas(2 * sizeof(Stored)) Pair { Stored x, y; };
            if (column < width) *(Pair *)at = {x, y};
#else
            if (column < width) at[0] = x;
            if (column + 1 < width) at[1] = y;
#endif
        }
    }
}
"""

_FORWARD = """
extern __shared__ uint4 memory[];

extern "C" __global__ void __launch_bounds__(THREADS) attention(
    const Stored *__restrict__ query, const Stored *__restrict__ key,
    const Stored *__restrict__ value, const Mask *__restrict__ mask, Stored *__restrict__ out,
    Sum *__restrict__ logsumexp, const Call call DROPOUT_KEY
) {
    READ_KEY
    const int n = (int)call.n, m = (int)call.m, d = (int)call.d, e = (int)call.e;
    const unsigned blocks = (n + ROWS - 1) / ROWS, batch = blockIdx.x / blocks;
    // The long rows of causal attention come first.
    const int first = (int)(blocks - 1 - (blockIdx.x - batch * blocks)) * ROWS;
    const int lane = threadIdx.x & 31, row = first + (int)threadIdx.x / 32 * 16 + lane / 4;
    query += offset(call, batch, OF_QUERY);
    key += offset(call, batch, OF_KEY);
    value += offset(call, batch, OF_VALUE);
    if (HAS_MASK) mask += offset(call, batch, OF_MASK);
    out += offset(call, batch, OF_OUT);
    Stored *tiles = (Stored *)memory;

    load<ROWS>(tiles, query, first, n, d, call.down[OF_QUERY], call.right[OF_QUERY]);
    close_copies();
    wait_for_copies<0>();
    __syncthreads();
    Part left[D / CHUNK][4];
    UNROLL for (int chunk = 0; chunk < D / CHUNK; ++chunk) {
        load_left(left[chunk], tiles, (int)threadIdx.x / 32 * 16, chunk * CHUNK);
    }
    __syncthreads();

    const int last = call.causal ? min(m, first + ROWS) : m;
    const auto load_pair = [&](int tile) {
        Stored *keys = tiles + (tile & 1) * 2 * COLUMNS * LD;
        const int at = tile * COLUMNS;
        load<COLUMNS>(keys, key, at, m, d, call.down[OF_KEY], call.right[OF_KEY]);
        load<COLUMNS>(
            keys + COLUMNS * LD, value, at, m, e, call.down[OF_VALUE], call.right[OF_VALUE]);
    };
#if DROPS
    const Drop drop = dropping(seed, count, call.n * call.m * (gridDim.x / blocks), call.rate);
#endif
    Sum sums[D / 8][4] = {};
    Sum top[2] = {-INFINITY, -INFINITY}, mass[2] = {0, 0};
    load_pair(0);
    close_copies();
    for (int tile = 0; tile * COLUMNS < last; ++tile) {
        const Stored *keys = tiles + (tile & 1) * 2 * COLUMNS * LD;
        const int at = tile * COLUMNS;
        if (at + COLUMNS < last) load_pair(tile + 1);
        close_copies();
        wait_for_copies<1>();
        __syncthreads();
        Sum scores[COLUMNS / 8][4] = {};
        UNROLL for (int chunk = 0; chunk < D / CHUNK; ++chunk) {
            multiply_rows(scores, left[chunk], keys, chunk);
        }
#if SPLITS
        mend(scores, left, keys);
#endif
        const bool all = at + COLUMNS <= m && !(call.causal && at + COLUMNS - 1 > first);
        score<false>(scores, row, at + (lane & 3) * 2, all, mask, call);

        UNROLL for (int half = 0; half < 2; ++half) {
            Sum highest = top[half];
            UNROLL for (int c = 0; c < COLUMNS / 8; ++c) {
                highest = max(highest, max(scores[c][2 * half], scores[c][2 * half + 1]));
            }
            highest = max(highest, __shfl_xor_sync(0xffffffffu, highest, 1));
            highest = max(highest, __shfl_xor_sync(0xffffffffu, highest, 2));
            const Sum taken = highest == -INFINITY ? Sum(0) : highest;
            const Sum factor = EXP2(top[half] - taken);
            top[half] = highest;
            mass[half] *= factor;
            UNROLL for (int c = 0; c < D / 8; ++c) {
                sums[c][2 * half] *= factor;
                sums[c][2 * half + 1] *= factor;
            }
            UNROLL for (int c = 0; c < COLUMNS / 8; ++c) UNROLL for (int k = 0; k < 2; ++k) {
                Sum &weight = scores[c][2 * half + k];
                weight = EXP2(weight - taken);
                mass[half] += weight;
#if DROPS
                const int column = at + c * 8 + (lane & 3) * 2 + k;
                const long long place = (batch * call.n + row + 8 * half) * call.m + column;
                weight = keeps(drop, place) ? weight * Sum(call.kept) : Sum(0);
#endif
            }
        }
        multiply_tile(sums, scores, keys + COLUMNS * LD);
        __syncthreads();
    }
    UNROLL for (int half = 0; half < 2; ++half) {
        mass[half] += __shfl_xor_sync(0xffffffffu, mass[half], 1);
        mass[half] += __shfl_xor_sync(0xffffffffu, mass[half], 2);
        const int own = row + 8 * half;
        if ((lane & 3) == 0 && own < n) {
            const Sum bits = mass[half] == 0 ? -INFINITY : top[half] + LOG2(mass[half]);
            logsumexp[batch * call.n + own] = bits * Sum(0.6931471805599453);
        }
        // A row that may attend nowhere has a mass of 0.
        mass[half] = mass[half] == 0 ? Sum(0) : 1 / mass[half];
    }
    store(sums, mass, out, row, n, e, call.down[OF_OUT]);
}
"""

_BACKWARD = """
extern __shared__ uint4 memory[];

// For 64 rows, which are keys or queries.
template <bool BY_KEY> __device__ __forceinline__ void pull(
    const Stored *query, const Stored *key, const Stored *value, const Mask *mask,
    const Sum *logsumexp, const Sum *products, const Stored *g, Stored *to_query, Stored *to_key,
    Stored *to_value, Sum *to_mask, unsigned batch, int first, unsigned batches,
    const Call &call SEED
) {
    const int n = (int)call.n, m = (int)call.m, d = (int)call.d, e = (int)call.e;
    const int lane = threadIdx.x & 31, warp_row = (int)threadIdx.x / 32 * 16;
    const int row = first + warp_row + lane / 4;
    query += offset(call, batch, OF_QUERY);
    key += offset(call, batch, OF_KEY);
    value += offset(call, batch, OF_VALUE);
    g += offset(call, batch, OF_G);
    if (HAS_MASK) mask += offset(call, batch, OF_MASK);
    logsumexp += batch * call.n;
    products += batch * call.n;

    Stored *tiles = (Stored *)memory;
    constexpr int SPACE = 4 * COLUMNS < ROWS ? ROWS : 4 * COLUMNS;
    Stored *rows_there = tiles + SPACE * LD;
    Sum *of_columns = (Sum *)(rows_there + (HOLDS ? 0 : 2 * ROWS * LD));
    const int rows = BY_KEY ? m : n, columns = BY_KEY ? n : m;

#if HOLDS
    Part left[D / CHUNK][4], left_g[D / CHUNK][4];
#else
    const Stored *const own = rows_there, *const own_g = rows_there + ROWS * LD;
#endif
    UNROLL for (int k = 0; k < 2; ++k) {
        const int operand = BY_KEY ? (k ? OF_VALUE : OF_KEY) : (k ? OF_G : OF_QUERY);
        const Stored *from = BY_KEY ? (k ? value : key) : (k ? g : query);
        Stored *to = HOLDS ? tiles : rows_there + k * ROWS * LD;
        load<ROWS>(to, from, first, rows, k ? e : d, call.down[operand], call.right[operand]);
        close_copies();
#if HOLDS
        wait_for_copies<0>();
        __syncthreads();
        UNROLL for (int chunk = 0; chunk < D / CHUNK; ++chunk) {
            load_left(k ? left_g[chunk] : left[chunk], tiles, warp_row, chunk * CHUNK);
        }
        __syncthreads();
#endif
    }

    const auto load_pair = [&](int tile) {
        Stored *to = tiles + (tile & 1) * 2 * COLUMNS * LD;
        const int at = tile * COLUMNS;
        const int one = BY_KEY ? OF_QUERY : OF_KEY, other = BY_KEY ? OF_G : OF_VALUE;
        load<COLUMNS>(
            to, BY_KEY ? query : key, at, columns, d, call.down[one], call.right[one]);
        load<COLUMNS>(to + COLUMNS * LD, BY_KEY ? g : value, at, columns, e, call.down[other],
                      call.right[other]);
        if (BY_KEY && threadIdx.x < COLUMNS) {
            Sum *sums = of_columns + (tile & 1) * 2 * COLUMNS + threadIdx.x;
            const int own = at + threadIdx.x;
            sums[0] = own < n ? logsumexp[own] * PER_BIT : Sum(0);
            sums[COLUMNS] = own < n ? products[own] : Sum(0);
        }
    };
    Sum own_heights[2] = {0, 0}, own_products[2] = {0, 0};
    UNROLL for (int half = 0; half < 2; ++half) {
        if (BY_KEY || row + 8 * half >= n) continue;
        const Sum bits = logsumexp[row + 8 * half] * PER_BIT;
        own_heights[half] = bits == -INFINITY ? Sum(0) : bits;
        own_products[half] = products[row + 8 * half];
    }
#if DROPS
    const Drop drop = dropping(seed, count, call.n * call.m * batches, call.rate);
#endif
    // Causal attention: from the first query that sees these keys on, to the last key seen.
    const int start = call.causal && BY_KEY ? first / COLUMNS : 0;
    const int last = call.causal && !BY_KEY && !PULLS_MASK ? min(m, first + ROWS) : columns;
    Sum sums[D / 8][4] = {}, sums_of_values[BY_KEY ? D / 8 : 1][4] = {};
    if (start * COLUMNS < last) load_pair(start);
    close_copies();
    for (int tile = start; tile * COLUMNS < last; ++tile) {
        const Stored *right = tiles + (tile & 1) * 2 * COLUMNS * LD;
        const Stored *right_g = right + COLUMNS * LD;
        const int at = tile * COLUMNS;
        if (at + COLUMNS < last) load_pair(tile + 1);
        close_copies();
        wait_for_copies<1>();
        __syncthreads();
        Sum weights[COLUMNS / 8][4] = {}, pulled[COLUMNS / 8][4] = {};
        UNROLL for (int chunk = 0; chunk < D / CHUNK; ++chunk) {
#if HOLDS
            multiply_rows(weights, left[chunk], right, chunk);
            multiply_rows(pulled, left_g[chunk], right_g, chunk);
#else
            Part a[4];
            load_left(a, own, warp_row, chunk * CHUNK);
            multiply_rows(weights, a, right, chunk);
            load_left(a, own_g, warp_row, chunk * CHUNK);
            multiply_rows(pulled, a, right_g, chunk);
#endif
        }
        const int column = at + (lane & 3) * 2;
        const bool all = first + ROWS <= rows && at + COLUMNS <= columns &&
            !(call.causal && (BY_KEY ? at < first + ROWS - 1 : at + COLUMNS - 1 > first));
        score<BY_KEY>(
            weights, BY_KEY ? column : row, BY_KEY ? row : column, all, mask, call);
        const Sum *heights = of_columns + (tile & 1) * 2 * COLUMNS;
        UNROLL for (int c = 0; c < COLUMNS / 8; ++c) UNROLL for (int k = 0; k < 4; ++k) {
            const int place = c * 8 + (lane & 3) * 2 + k % 2, half = k / 2;
            Sum height = BY_KEY ? heights[place] : own_heights[half];
            if (BY_KEY && height == -INFINITY) height = 0;
            const Sum product = BY_KEY ? heights[COLUMNS + place] : own_products[half];
            const Sum weight = EXP2(weights[c][k] - height);
            Sum from_values = pulled[c][k], dropped = weight;
#if DROPS
            const long long i = BY_KEY ? at + place : row + 8 * half;
            const long long j = BY_KEY ? row + 8 * half : at + place;
            const bool stays = keeps(drop, (batch * call.n + i) * call.m + j);
            from_values = stays ? from_values * Sum(call.kept) : Sum(0);
            dropped = stays ? weight * Sum(call.kept) : Sum(0);
#endif
            weights[c][k] = dropped;
            pulled[c][k] = weight * (from_values - product);
#if PULLS_MASK
            const int own = row + 8 * half;
            if (!BY_KEY && own < n && at + place < m) {
                to_mask[(batch * call.n + own) * call.m + at + place] = pulled[c][k];
            }
#endif
        }
        multiply_tile(sums, pulled, right);
        if constexpr (BY_KEY) multiply_tile(sums_of_values, weights, right_g);
        __syncthreads();
    }
    const Sum scales[2] = {Sum(call.scale), Sum(call.scale)}, ones[2] = {1, 1};
    const int operand = BY_KEY ? OF_TO_KEY : OF_TO_QUERY;
    Stored *to = (BY_KEY ? to_key : to_query) + offset(call, batch, operand);
    store(sums, scales, to, row, rows, d, call.down[operand]);
    if constexpr (BY_KEY) {
        store(sums_of_values, ones, to_value + offset(call, batch, OF_TO_VALUE), row, rows, e,
              call.down[OF_TO_VALUE]);
    }
}

extern "C" __global__ void __launch_bounds__(THREADS) attention_back(
    const Stored *__restrict__ query, const Stored *__restrict__ key,
    const Stored *__restrict__ value, const Mask *__restrict__ mask,
    const Sum *__restrict__ logsumexp, const Sum *__restrict__ products,
    const Stored *__restrict__ g, Stored *__restrict__ to_query, Stored *__restrict__ to_key,
    Stored *__restrict__ to_value, Sum *__restrict__ to_mask, const long long batches,
    const long long of_keys, const Call call DROPOUT_KEY
) {
    READ_KEY
    // The blocks of keys come first: they have more to do.
    if (blockIdx.x < of_keys) {
        const unsigned blocks = ((int)call.m + ROWS - 1) / ROWS, batch = blockIdx.x / blocks;
        const int first = (int)(blockIdx.x - batch * blocks) * ROWS;
        pull<true>(query, key, value, mask, logsumexp, products, g, to_query, to_key, to_value,
                   to_mask, batch, first, (unsigned)batches, call PASSED);
    } else {
        const unsigned own = blockIdx.x - (unsigned)of_keys;
        const unsigned blocks = ((int)call.n + ROWS - 1) / ROWS, batch = own / blocks;
        const int first = (int)(blocks - 1 - (own - batch * blocks)) * ROWS;
        pull<false>(query, key, value, mask, logsumexp, products, g, to_query, to_key, to_value,
                    to_mask, batch, first, (unsigned)batches, call PASSED);
    }
}
"""

#: The sums over the features of the output times its cotangent, less that of the logsumexp: a warp
#: for each row.
PRODUCTS = """
extern "C" __global__ void __launch_bounds__(THREADS) attention_products(
    const Stored *__restrict__ out, const Stored *__restrict__ g,
    const Sum *__restrict__ to_logsumexp, Sum *__restrict__ products, const long long rows,
    const Call call
) {
    const long long own = (long long)blockIdx.x * (THREADS / 32) + threadIdx.x / 32;
    if (own >= rows) return;
    const unsigned batch = (unsigned)(own / call.n);
    const long long row = own - batch * call.n;
    out += offset(call, batch, OF_OUT) + row * call.down[OF_OUT];
    g += offset(call, batch, OF_G) + row * call.down[OF_G];
    Sum sum = 0;
    for (int i = threadIdx.x & 31; i < call.e; i += 32) {
        sum += loaded(out[i * call.right[OF_OUT]]) * loaded(g[i * call.right[OF_G]]);
    }
    UNROLL for (int offset = 16; offset > 0; offset /= 2) {
        sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    }
    if ((threadIdx.x & 31) == 0) products[own] = to_logsumexp ? sum - to_logsumexp[own] : sum;
}
"""

_TEXTS = {"forward": _FORWARD, "backward": _BACKWARD, "products": PRODUCTS}
