"""Kernels of batch norm and of its rule: one launch each way, in which most is read once.

The statistics of a channel need all of it before its first element can be normalised, and a batch
is larger than the GPU's cache.  Where the elements of a channel lie side by side, the work is cut
so that it need not leave the cache in between: a few channels are summed up while those before them
are normalised.  Blocks take their pieces of work in order, by a counter, so that what a piece waits
for has been begun before it, and ends.

Where the channels lie innermost all of the batch is summed up first.

A piece leaves its sums to the last one of its channels, which puts them together in their order.
The variance is put together from those of parts, with their means (Chan, Golub, LeVeque: Algorithms
for computing the sample variance, The American Statistician 37, 1983).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy

from backpass.cupy.formulas import SIZES
from backpass.cupy.launching import Kernel
from backpass.cupy.library import library, ndarray
from backpass.cupy.network_text import (
    BLOCK,
    WARP,
    Shape,
    accumulated,
    dense,
    is_float,
    or_null,
    power,
    source,
    widest,
)
from backpass.cupy.partials import COUNTERS, workspace

#: What is summed up while what is before it is normalised: a part of the cache, in bytes.
GROUP = 12 << 20
#: A piece of work, in bytes.
PIECE = 48 << 10
#: Loads of a thread that are on their way at once.
UNROLLED = 4

_HEAD = """
#define CHANNELS {channels}
// Packs of a channel's run, where they lie side by side; else 0.
#define RUN {run}
// Threads side by side, each with its own channels, and how many of these sum up one.
#define ACROSS {across}
#define DOWN (256 / ACROSS)
#define STATES {states}
#define UNROLLED {unrolled}
#define WEIGHTED {weighted}
#define BIASED {biased}

{state}

struct Work {{ long long length, share; int tiles, parts, group, groups; }};

// Where pack i of a channel lies.
__device__ __forceinline__ long long place_of(long long i, int tile, int column) {{
    if (RUN) {{
        const long long image = i / (RUN ? RUN : 1);
        return (image * CHANNELS + tile) * RUN + (i - image * RUN);
    }}
    return i * (CHANNELS / WIDTH) + tile * ACROSS + column;
}}

__device__ __forceinline__ int state_of(int j) {{ return STATES == 1 ? 0 : j; }}

// Put together what the threads have that sum up the same; the first of them gets it.
__device__ __forceinline__ void folded(State (&state)[STATES], State (*shared)[STATES]) {{
    #pragma unroll
    for (int k = 0; k < STATES; ++k) shared[threadIdx.x][k] = state[k];
    for (int half = DOWN / 2; half > 0; half /= 2) {{
        __syncthreads();
        if (threadIdx.x < half * ACROSS) {{
            #pragma unroll
            for (int k = 0; k < STATES; ++k) {{
                merge(state[k], shared[threadIdx.x + half * ACROSS][k]);
                shared[threadIdx.x][k] = state[k];
            }}
        }}
    }}
    __syncthreads();
}}
"""

#: A mean and a variance; the sum beside them has infinities as the mean has them.
_MOMENTS = """
struct State { T count, sum, mean, squares; };
__device__ __forceinline__ State start() { return {T(0), T(0), T(0), T(0)}; }
__device__ __forceinline__ void merge(State &state, const State &other) {
    if (other.count == T(0)) return;
    const T count = state.count + other.count, share = other.count / count;
    const T d = other.mean - state.mean;
    state.mean += d * share;
    state.squares += other.squares + d * d * (state.count * share);
    state.count = count;
    state.sum += other.sum;
}
"""
_SUMS = """
struct State { T g, along; };
__device__ __forceinline__ State start() { return {T(0), T(0)}; }
__device__ __forceinline__ void merge(State &state, const State &other) {
    state.g += other.g;
    state.along += other.along;
}
"""

_BODY = """
extern "C" __global__ void __launch_bounds__(256, {resident}) {name}(
    {signature}, State *parts_, unsigned int *counters_, const Work work, double eps
) {{
    __shared__ State shared[256][STATES];
    __shared__ unsigned int taken;
    __shared__ bool is_last;
    // The pieces that have been taken, those that have ended; of each tile: those that have been
    // summed up, and whether all have.
    unsigned int *ready_ = counters_ + 2 + work.tiles;
    if (threadIdx.x == 0) taken = atomicAdd(counters_, 1u);
    __syncthreads();
    const int size = work.group * work.parts, slot = taken / size, rest = taken % size;
    const int last_slot = 2 * work.groups - 1;
    const bool is_sum = slot == 0 || (slot % 2 == 1 && slot != last_slot);
    const int group = is_sum ? (slot + 1) / 2 : slot == last_slot ? work.groups - 1 : slot / 2 - 1;
    const int tile = group * work.group + rest % work.group, part = rest / work.group;
    const int column = threadIdx.x % ACROSS, down = threadIdx.x / ACROSS;
    const int channel = RUN ? tile : (tile * ACROSS + column) * WIDTH;
    const bool live = tile < work.tiles && channel < CHANNELS;
    const long long first = part * work.share;
    const long long end = first + work.share < work.length ? first + work.share : work.length;
    const long long stop = live ? end : first;
    if (tile < work.tiles && is_sum) {{
        State state[STATES];
        #pragma unroll
        for (int k = 0; k < STATES; ++k) state[k] = start();
        {prepare_sum}
        #pragma unroll 1
        for (long long i = first + down; i < stop; i += DOWN * UNROLLED) {{
            {sum}
        }}
        folded(state, shared);
        // Those before the last leave what they have.
        State *own = parts_ + (long long)tile * work.parts * (ACROSS * STATES);
        if (down == 0) {{
            #pragma unroll
            for (int k = 0; k < STATES; ++k) {{
                own[(part * ACROSS + column) * STATES + k] = state[k];
            }}
            __threadfence();
        }}
        __syncthreads();
        if (threadIdx.x == 0) {{
            is_last = atomicAdd(counters_ + 2 + tile, 1u) == (unsigned)work.parts - 1;
        }}
        __syncthreads();
        if (is_last) {{
            __threadfence();
            #pragma unroll
            for (int k = 0; k < STATES; ++k) state[k] = start();
            for (int p = down; p < work.parts; p += DOWN) {{
                #pragma unroll
                for (int k = 0; k < STATES; ++k) {{
                    const State *from = own + (p * ACROSS + column) * STATES + k;
                    State other;
                    {fetch}
                    merge(state[k], other);
                }}
            }}
            folded(state, shared);
            if (down == 0 && live) {{
                #pragma unroll
                for (int k = 0; k < STATES; ++k) {{
                    const int c = channel + k;
                    {finish}
                }}
                __threadfence();
            }}
            __syncthreads();
            if (threadIdx.x == 0) atomicExch(ready_ + tile, 1u);
        }}
    }} else if (tile < work.tiles) {{
        if (threadIdx.x == 0) {{
            while (atomicAdd(ready_ + tile, 0u) == 0u) __nanosleep(100);
            __threadfence();
        }}
        __syncthreads();
        if (live) {{
            {prepare}
            #pragma unroll 1
            for (long long i = first + down; i < stop; i += DOWN * UNROLLED) {{
                {apply}
            }}
        }}
    }}
    // The last piece of all leaves the counters as they were.
    __syncthreads();
    if (threadIdx.x == 0) is_last = atomicAdd(counters_ + 1, 1u) == gridDim.x - 1;
    __syncthreads();
    if (is_last) {{
        for (int i = threadIdx.x; i < 2 + 2 * work.tiles; i += 256) atomicExch(counters_ + i, 0u);
    }}
}}
"""

_LOADED = """Pack packs[UNROLLED];
            long long at[UNROLLED];
            #pragma unroll
            for (int u = 0; u < UNROLLED; ++u) {
                if (i + u * DOWN < stop) {
                    at[u] = place_of(i + u * DOWN, tile, column);
                    packs[u] = *(const Pack *)(x_ + at[u] * WIDTH);
                }
            }"""
_LOADED_BOTH = """Pack packs[UNROLLED], gs[UNROLLED];
            long long at[UNROLLED];
            #pragma unroll
            for (int u = 0; u < UNROLLED; ++u) {
                if (i + u * DOWN < stop) {
                    at[u] = place_of(i + u * DOWN, tile, column);
                    packs[u] = *(const Pack *)(x_ + at[u] * WIDTH);
                    gs[u] = *(const Pack *)(g_ + at[u] * WIDTH);
                }
            }"""
#: A chunk's mean, its squares around it, and then the chunk to what was before.
_SUM_MOMENTS = (
    _LOADED
    + """
            State chunk[STATES];
            #pragma unroll
            for (int k = 0; k < STATES; ++k) chunk[k] = start();
            #pragma unroll
            for (int u = 0; u < UNROLLED; ++u) if (i + u * DOWN < stop) {
                #pragma unroll
                for (int j = 0; j < WIDTH; ++j) {
                    chunk[state_of(j)].sum += load(packs[u].v[j]);
                    chunk[state_of(j)].count += T(1);
                }
            }
            #pragma unroll
            for (int k = 0; k < STATES; ++k) chunk[k].mean = chunk[k].sum / chunk[k].count;
            #pragma unroll
            for (int u = 0; u < UNROLLED; ++u) if (i + u * DOWN < stop) {
                #pragma unroll
                for (int j = 0; j < WIDTH; ++j) {
                    const T d = load(packs[u].v[j]) - chunk[state_of(j)].mean;
                    chunk[state_of(j)].squares += d * d;
                }
            }
            #pragma unroll
            for (int k = 0; k < STATES; ++k) merge(state[k], chunk[k]);"""
)
_FORWARD = {
    "name": "backpass_batch_norm",
    "signature": """const Stored *__restrict__ x_, const Stored *__restrict__ weight_,
    const Stored *__restrict__ bias_, Stored *__restrict__ out_, T *mean_, T *variance_""",
    "prepare_sum": "",
    "sum": _SUM_MOMENTS,
    "fetch": """other.count = ((const volatile State *)from)->count;
                    other.sum = ((const volatile State *)from)->sum;
                    other.mean = ((const volatile State *)from)->mean;
                    other.squares = ((const volatile State *)from)->squares;""",
    "finish": """mean_[c] = state[k].sum / state[k].count;
                    variance_[c] = state[k].squares / state[k].count;""",
    "prepare": """T mean[STATES], scale[STATES], shift[STATES];
            #pragma unroll
            for (int k = 0; k < STATES; ++k) {
                const int c = channel + k;
                mean[k] = ((volatile T *)mean_)[c];
                scale[k] = T(1) / SQRT(((volatile T *)variance_)[c] + T(eps));
                if (WEIGHTED) scale[k] *= load(weight_[c]);
                shift[k] = BIASED ? load(bias_[c]) : T(0);
            }""",
    "apply": _LOADED
    + """
            #pragma unroll
            for (int u = 0; u < UNROLLED; ++u) if (i + u * DOWN < stop) {
                Pack made;
                #pragma unroll
                for (int j = 0; j < WIDTH; ++j) {
                    const int k = state_of(j);
                    made.v[j] = keep((load(packs[u].v[j]) - mean[k]) * scale[k] + shift[k]);
                }
                *(Pack *)(out_ + at[u] * WIDTH) = made;
            }""",
}
_STATISTICS = """T mean[STATES], rstd[STATES];
        #pragma unroll
        for (int k = 0; k < STATES; ++k) {
            const int c = channel + k;
            mean[k] = live ? mean_[c] : T(0);
            rstd[k] = live ? T(1) / SQRT(variance_[c] + T(eps)) : T(0);
        }"""
_BACK = {
    "name": "backpass_batch_norm_back",
    "signature": """const Stored *__restrict__ x_, const Stored *__restrict__ g_,
    const Stored *__restrict__ weight_, const T *__restrict__ mean_,
    const T *__restrict__ variance_, const T *__restrict__ to_mean_,
    const T *__restrict__ to_variance_, Stored *__restrict__ out_, T *sums_,
    Stored *to_weight_, Stored *to_bias_, double n""",
    "prepare_sum": _STATISTICS,
    "sum": _LOADED_BOTH
    + """
            #pragma unroll
            for (int u = 0; u < UNROLLED; ++u) if (i + u * DOWN < stop) {
                #pragma unroll
                for (int j = 0; j < WIDTH; ++j) {
                    const int k = state_of(j);
                    const T g = load(gs[u].v[j]);
                    state[k].g += g;
                    state[k].along += g * ((load(packs[u].v[j]) - mean[k]) * rstd[k]);
                }
            }""",
    "fetch": """other.g = ((const volatile State *)from)->g;
                    other.along = ((const volatile State *)from)->along;""",
    "finish": """sums_[2 * c] = state[k].g;
                    sums_[2 * c + 1] = state[k].along;
                    if (WEIGHTED) to_weight_[c] = keep(state[k].along);
                    if (BIASED) to_bias_[c] = keep(state[k].g);""",
    "prepare": _STATISTICS
    + """
            T scale[STATES], all[STATES], along[STATES], slope[STATES];
            #pragma unroll
            for (int k = 0; k < STATES; ++k) {
                const int c = channel + k;
                const T weight = WEIGHTED ? load(weight_[c]) : T(1);
                scale[k] = weight * rstd[k];
                all[k] = scale[k] * ((volatile T *)sums_)[2 * c] / T(n);
                along[k] = scale[k] * ((volatile T *)sums_)[2 * c + 1] / T(n);
                if (to_mean_) all[k] -= to_mean_[c] / T(n);
                slope[k] = to_variance_ ? to_variance_[c] * T(2) / (T(n) * rstd[k]) : T(0);
            }""",
    "apply": _LOADED_BOTH
    + """
            #pragma unroll
            for (int u = 0; u < UNROLLED; ++u) if (i + u * DOWN < stop) {
                Pack made;
                #pragma unroll
                for (int j = 0; j < WIDTH; ++j) {
                    const int k = state_of(j);
                    const T hat = (load(packs[u].v[j]) - mean[k]) * rstd[k];
                    T y = scale[k] * load(gs[u].v[j]) - all[k] - hat * along[k];
                    if (to_variance_) y += hat * slope[k];
                    made.v[j] = keep(y);
                }
                *(Pack *)(out_ + at[u] * WIDTH) = made;
            }""",
}


class Cut(NamedTuple):
    """How the work is cut.

    Attributes
    ----------
    width
        Elements that are loaded at once.
    run
        Packs of a channel that lie side by side; 0 if the channels lie innermost.
    across
        Threads of a block that have different channels.
    length, tiles, parts
        Packs of a channel; how many channels, or groups of them that lie innermost, a block has
        one of; in how many pieces each is cut.
    group
        How many of them are summed up while those before are normalised.
    """

    width: int
    run: int
    across: int
    length: int
    tiles: int
    parts: int
    group: int

    @property
    def groups(self) -> int:
        """Return how many groups there are."""
        return -(-self.tiles // self.group)

    @property
    def states(self) -> int:
        """Return how many channels a thread has."""
        return 1 if self.run else self.width

    def struct(self) -> Any:
        """Return the struct `Work` of the kernel."""
        integers = (self.length, -(-self.length // self.parts))
        return _struct(*integers, self.tiles, self.parts, self.group, self.groups)


@functools.cache
def _struct(*numbers: int) -> Any:
    dtype = [("long", "i8", 2), ("short", "i4", 4)]
    made = numpy.zeros((), dtype)
    made["long"], made["short"] = numbers[:2], numbers[2:]
    return made[()]


def _cut(x: Any, channels: int, is_innermost: bool, arrays: int, width: int) -> Cut:
    """Return how to cut the work on `arrays` arrays like x."""
    itemsize = SIZES[x.dtype.char]
    if is_innermost:
        across = min(WARP, power(channels // width))
        tiles = -(-channels // (width * across))
        length = x.size // channels
        own = length * across * width * itemsize * arrays
        run, group = 0, tiles
    else:
        run = x.size // (x.shape[0] * channels) // width
        across, tiles = 1, channels
        length = x.shape[0] * run
        own = length * width * itemsize * arrays
        group = min(channels, max(1, GROUP // own))
    parts = max(1, min(-(-own // PIECE), -(-length // (BLOCK // across)), 4096))
    return Cut(width, run, across, length, tiles, parts, group)


@functools.cache
def _kernel(which: str, char: str, cut: Cut, channels: int, weighted: bool, biased: bool) -> Kernel:
    texts = _FORWARD if which == "forward" else _BACK
    head = _HEAD.format(
        channels=channels,
        run=cut.run,
        across=cut.across,
        states=cut.states,
        unrolled=UNROLLED,
        weighted=int(weighted),
        biased=int(biased),
        state=_MOMENTS if which == "forward" else _SUMS,
    )
    body = _BODY.format(resident=4 if cut.states == 1 and char != "d" else 2, **texts)
    shape = Shape(1, cut.width, 1, 1, BLOCK)
    return Kernel(texts["name"], source(char, shape, head + body))


def _launch(
    which: str, cut: Cut, channels: int, weighted: bool, biased: bool, char: str,
    arguments: tuple[Any, ...], eps: float,
) -> None:  # fmt: skip
    compiled = cut._replace(length=0, tiles=0, parts=0, group=0)
    kernel = _kernel(which, char, compiled, channels, weighted, biased)
    size = 4 if which == "forward" else 2
    states = cut.tiles * cut.parts * cut.across * cut.states
    parts = ndarray((states * size,), accumulated(char))
    counters = 2 + 2 * cut.tiles
    if counters <= COUNTERS:
        tickets = workspace(16, counters).tickets
    else:
        tickets = library.zeros(counters, "uint32")
    blocks = 2 * cut.groups * cut.group * cut.parts
    kernel.launch(blocks, BLOCK, (*arguments, parts.data.ptr, tickets, cut.struct(), eps))


def _is_innermost(x: Any) -> bool:
    """Tell whether the channels of a batch lie innermost."""
    if x.ndim == 2:
        return True
    order = (0, *range(2, x.ndim), 1)
    return not x._c_contiguous and bool(x.transpose(order)._c_contiguous)


def _laid(x: Any, is_innermost: bool) -> Any:
    if x.ndim == 2 or not is_innermost:
        return dense(x)
    return dense(x.transpose(0, *range(2, x.ndim), 1))


def _made(x: Any, is_innermost: bool) -> tuple[Any, Any]:
    """Return a new array like x, and the same as it lies."""
    if x.ndim == 2 or not is_innermost:
        out = ndarray(x.shape, x.dtype)
        return out, out
    laid = ndarray((x.shape[0], *x.shape[2:], x.shape[1]), x.dtype)
    return laid.transpose(0, x.ndim - 1, *range(1, x.ndim - 1)), laid


def _width(is_innermost: bool, x: Any, *laid: Any) -> int:
    channels = x.shape[1]
    return widest(channels if is_innermost else math.prod(x.shape[2:]), *laid)


def _taken(x: Any, *parameters: Any) -> bool:
    if not is_float(x) or x.ndim < 2 or not x.size:
        return False
    return all(
        p is None or (is_float(p, x.dtype.char) and p.shape == (x.shape[1],)) for p in parameters
    )


def batch_norm(x: Any, weight: Any, bias: Any, *, eps: float) -> Any:
    """Normalise each channel over the batch; give its mean and variance, too."""
    if not _taken(x, weight, bias):
        return NotImplemented
    char, channels = x.dtype.char, x.shape[1]
    is_innermost = _is_innermost(x)
    laid = _laid(x, is_innermost)
    weight, bias = (None if p is None else dense(p) for p in (weight, bias))
    out, placed = _made(x, is_innermost)
    cut = _cut(x, channels, is_innermost, 1, _width(is_innermost, x, laid))
    mean, variance = (ndarray((channels,), accumulated(char)) for _ in range(2))
    arguments = (laid, or_null(weight), or_null(bias), placed, mean, variance)
    given = (weight is not None, bias is not None)
    _launch("forward", cut, channels, *given, char, arguments, eps)
    return out, mean, variance


def batch_norm_back(
    x: Any,
    weight: Any,
    bias: Any,
    mean: Any,
    variance: Any,
    g: Any,
    to_mean: Any,
    to_variance: Any,
    *,
    eps: float,
) -> Any:
    """Return the cotangents of x, weight and bias for those of the outputs."""
    if not _taken(x, weight, bias) or not is_float(g, x.dtype.char) or g.shape != x.shape:
        return NotImplemented
    char, channels = x.dtype.char, x.shape[1]
    wide = accumulated(char)
    for p in (mean, variance, to_mean, to_variance):
        if p is not None and (not is_float(p) or p.shape != (channels,)):
            return NotImplemented
    mean, variance, to_mean, to_variance = (
        None if p is None else dense(p.astype(wide, copy=False))
        for p in (mean, variance, to_mean, to_variance)
    )
    is_innermost = _is_innermost(x)
    laid, laid_g = _laid(x, is_innermost), _laid(g, is_innermost)
    weight = None if weight is None else dense(weight)
    out, placed = _made(x, is_innermost)
    cut = _cut(x, channels, is_innermost, 2, _width(is_innermost, x, laid, laid_g))
    to_weight, to_bias = (
        None if p is None else ndarray((channels,), x.dtype) for p in (weight, bias)
    )
    sums = ndarray((2 * channels,), wide)
    arguments = (
        *(laid, laid_g, or_null(weight), mean, variance, or_null(to_mean), or_null(to_variance)),
        *(placed, sums, or_null(to_weight), or_null(to_bias), float(x.size // channels)),
    )
    given = (weight is not None, bias is not None)
    _launch("back", cut, channels, *given, char, arguments, eps)
    return out, to_weight, to_bias


KERNELS: dict[str, Callable[..., Any]] = {
    "batch_norm": batch_norm,
    "batch_norm_back": batch_norm_back,
}
