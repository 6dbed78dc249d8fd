"""Kernels of embedding: rows that are taken, and rows that are added at their indices.

What is added is added without atomic additions and without sorting, so that the same bits come each
time: a block owns some rows of the table, looks through all indices for them, and gathers the
places that it finds in their order; then each of its warps adds up one row after the other.
Looking through some thousands of indices takes less than adding their rows does.

An index that is out of range gives a row of nan, and is reported: `faults`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from backpass.cupy.cross_entropy import LABELS
from backpass.cupy.faults import TEXT, faults
from backpass.cupy.launching import Kernel
from backpass.cupy.library import ndarray
from backpass.cupy.network_text import (
    BLOCK,
    PROCESSORS,
    WARP,
    Shape,
    dense,
    is_float,
    source,
    widest,
)

#: An index's own type: labels' and the unsigned ones.
INDICES = {**LABELS, "B": "unsigned char", "H": "unsigned short", "I": "unsigned int"}
INDICES |= {"L": "unsigned long long", "Q": "unsigned long long"}
#: A block gathers so many places before it adds up what stands there.
GATHERED = 2048
#: Blocks that own rows of the table: more of them look through the indices more often.
OWNERS = 4 * PROCESSORS

_TAKE = """
extern "C" __global__ void __launch_bounds__(256) backpass_embedding(
    const Index *__restrict__ indices_, const Stored *__restrict__ weight_,
    Stored *__restrict__ out_, long long total, long long count, long long padding,
    unsigned long long *fault
) {
    const long long at = (long long)blockIdx.x * 256 + threadIdx.x;
    if (at >= total) return;
    const long long place = at / (LENGTH / WIDTH);
    const int pack = (int)(at - place * (LENGTH / WIDTH));
    const long long index = (long long)indices_[place];
    Pack made;
    if (index < 0 || index >= count || index == padding) {
        const bool is_bad = index < 0 || index >= count;
        if (is_bad && pack == 0) complain(fault, place, index);
        #pragma unroll
        for (int j = 0; j < WIDTH; ++j) made.v[j] = keep(is_bad ? T(NAN) : T(0));
    } else {
        made = ((const Pack *)weight_)[index * (LENGTH / WIDTH) + pack];
    }
    ((Pack *)out_)[at] = made;
}
"""

_ADD = """
#define GATHERED {gathered}
// So many indices a thread looks at in a round.
#define EACH_TIME 4
// So many packs of a row a lane adds up at once.
#define HELD_PACKS {packs}
extern "C" __global__ void __launch_bounds__(256) backpass_embedding_weight(
    const Index *__restrict__ indices_, const Stored *__restrict__ y_, Stored *__restrict__ out_,
    long long places, long long count, long long own, long long padding
) {{
    __shared__ long long where[GATHERED];
    __shared__ int whose[GATHERED];
    __shared__ int counts[EACH_TIME * 8];
    const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    const long long first = blockIdx.x * own;
    const int mine = (int)(first + own < count ? own : count - first);
    int found = 0;
    bool is_new = true;
    for (long long start = 0; start < places || is_new; start += 256 * EACH_TIME) {{
        // Gather in order: after those of the warps before, and in a warp by the bits.
        int rows[EACH_TIME], before[EACH_TIME];
        bool is_any = false;
        #pragma unroll
        for (int k = 0; k < EACH_TIME; ++k) {{
            const long long place = start + k * 256 + threadIdx.x;
            const long long index = place < places ? (long long)indices_[place] : -1;
            const bool is_mine = index >= first && index < first + mine && index != padding;
            rows[k] = is_mine ? (int)(index - first) : -1;
            is_any |= is_mine;
        }}
        if (__syncthreads_or(is_any)) {{
            #pragma unroll
            for (int k = 0; k < EACH_TIME; ++k) {{
                const unsigned bits = __ballot_sync(0xffffffffu, rows[k] >= 0);
                before[k] = __popc(bits & ((1u << lane) - 1u));
                if (lane == 0) counts[k * 8 + warp] = __popc(bits);
            }}
            __syncthreads();
            int at = found;
            #pragma unroll
            for (int k = 0; k < EACH_TIME; ++k) {{
                for (int w = 0; w < 8; ++w) {{
                    if (w == warp && rows[k] >= 0) {{
                        where[at + before[k]] = start + k * 256 + threadIdx.x;
                        whose[at + before[k]] = rows[k];
                    }}
                    at += counts[k * 8 + w];
                }}
            }}
            found = at;
        }}
        if (found + 256 * EACH_TIME <= GATHERED && start + 256 * EACH_TIME < places) continue;
        __syncthreads();
        // Each warp has a row of the table.
        for (int row = warp; row < mine; row += 8) {{
            Pack *target = (Pack *)(out_ + (first + row) * LENGTH);
            for (int begin = 0; begin < LENGTH / WIDTH; begin += 32 * HELD_PACKS) {{
                T sum[HELD_PACKS][WIDTH];
                #pragma unroll
                for (int i = 0; i < HELD_PACKS; ++i) {{
                    const int p = begin + i * 32 + lane;
                    Pack old;
                    if (!is_new && p < LENGTH / WIDTH) old = target[p];
                    #pragma unroll
                    for (int j = 0; j < WIDTH; ++j) sum[i][j] = is_new ? T(0) : load(old.v[j]);
                }}
                for (int k = 0; k < found; k += 32) {{
                    const bool is_here = k + lane < found && whose[k + lane] == row;
                    unsigned same = __ballot_sync(0xffffffffu, is_here);
                    while (same) {{
                        const int next = __ffs(same) - 1;
                        same &= same - 1;
                        const Pack *from = (const Pack *)(y_ + where[k + next] * LENGTH);
                        #pragma unroll
                        for (int i = 0; i < HELD_PACKS; ++i) {{
                            const int p = begin + i * 32 + lane;
                            if (p < LENGTH / WIDTH) {{
                                const Pack pack = from[p];
                                #pragma unroll
                                for (int j = 0; j < WIDTH; ++j) sum[i][j] += load(pack.v[j]);
                            }}
                        }}
                    }}
                }}
                #pragma unroll
                for (int i = 0; i < HELD_PACKS; ++i) {{
                    const int p = begin + i * 32 + lane;
                    Pack made;
                    #pragma unroll
                    for (int j = 0; j < WIDTH; ++j) made.v[j] = keep(sum[i][j]);
                    if (p < LENGTH / WIDTH) target[p] = made;
                }}
            }}
        }}
        is_new = false;
        found = 0;
        __syncthreads();
    }}
}}
"""


@functools.cache
def _kernel(name: str, body: str, char: str, width: int, length: int, index: str) -> Kernel:
    text = TEXT + f"typedef {INDICES[index]} Index;\n" + body
    return Kernel(name, source(char, Shape(length, width, 1, 1, 1), text))


def _is_index(indices: Any) -> bool:
    return type(indices) is ndarray and indices.dtype.char in INDICES and indices.dtype.isnative


def _taken(indices: Any, weight: Any, count: int, padding: int) -> Any:
    if not _is_index(indices) or not is_float(weight) or weight.ndim != 2:
        return NotImplemented
    if weight.shape[0] != count or not weight.size or not indices.size:
        return NotImplemented
    indices, weight = dense(indices), dense(weight)
    length = weight.shape[1]
    width = widest(length, weight)
    kernel = _kernel(
        "backpass_embedding", _TAKE, weight.dtype.char, width, length, indices.dtype.char
    )
    out = ndarray((*indices.shape, length), weight.dtype)
    reason = f"but `weight` has {count} rows: an index is at least 0 and at most {count - 1}"
    fault = faults.place("embedding", "indices", reason)
    total = out.size // width
    kernel.launch(-(-total // BLOCK), BLOCK, (indices, weight, out, total, count, padding, fault))
    return out


def embedding(indices: Any, weight: Any, *, count: int, padding_idx: int | None) -> Any:
    """Return the rows of weight at some indices."""
    return _taken(indices, weight, count, -1)


def embedding_rows(indices: Any, weight: Any, *, count: int, padding_idx: int | None) -> Any:
    """Return the rows of weight at some indices, and zeros for the padding index."""
    return _taken(indices, weight, count, -1 if padding_idx is None else padding_idx)


def embedding_weight(indices: Any, y: Any, *, count: int, padding_idx: int | None) -> Any:
    """Return a table in which each row of y is added at its index; the padding's row is zero."""
    if not _is_index(indices) or not is_float(y) or not y.size or not count:
        return NotImplemented
    if y.shape[:-1] != indices.shape:
        return NotImplemented
    indices, y = dense(indices), dense(y)
    length = y.shape[-1]
    width = widest(length, y)
    packs = min(4, -(-length // (WARP * width)))
    body = _ADD.format(gathered=GATHERED, packs=packs)
    kernel = _kernel(
        "backpass_embedding_weight", body, y.dtype.char, width, length, indices.dtype.char
    )
    out = ndarray((count, length), y.dtype)
    own = -(-count // min(count, OWNERS))
    kernel.launch(
        -(-count // own),
        BLOCK,
        (indices, y, out, indices.size, count, own, -1 if padding_idx is None else padding_idx),
    )
    return out


KERNELS: dict[str, Callable[..., Any]] = {
    "embedding": embedding,
    "embedding_rows": embedding_rows,
    "embedding_weight": embedding_weight,
}
