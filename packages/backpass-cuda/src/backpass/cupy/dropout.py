"""The kernel of dropout: the mask is made where it is used, and never stored.

A counter of Philox gives four words, which belong to elements a quarter of the array apart
(`backpass.nn.functional.philox.bernoulli`): a thread takes as many neighbouring counters as it
loads elements at once, and makes four loads of it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from backpass.cupy.launching import THREADS, Kernel
from backpass.cupy.library import ndarray
from backpass.cupy.network_text import Shape, dense, is_float, source, widest

_PHILOX = """
// J. K. Salmon et al.: Parallel random numbers: as easy as 1, 2, 3, SC 2011.
struct Words { unsigned int v[4]; };
__device__ __forceinline__ Words philox(
    unsigned long long index, unsigned long long count, unsigned long long seed
) {
    unsigned int c0 = (unsigned)index, c1 = index >> 32, c2 = (unsigned)count, c3 = count >> 32;
    unsigned int k0 = (unsigned)seed, k1 = seed >> 32;
    #pragma unroll
    for (int round = 0; round < 10; ++round) {
        const unsigned long long p0 = (unsigned long long)c0 * 0xD2511F53u;
        const unsigned long long p1 = (unsigned long long)c2 * 0xCD9E8D57u;
        c0 = (unsigned)(p1 >> 32) ^ c1 ^ k0;
        c1 = (unsigned)p1;
        c2 = (unsigned)(p0 >> 32) ^ c3 ^ k1;
        c3 = (unsigned)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    return {{c0, c1, c2, c3}};
}
"""

_EACH = """
extern "C" __global__ void __launch_bounds__(256) backpass_dropout(
    const Stored *__restrict__ x_, Stored *__restrict__ out_, long long n, long long m,
    long long threshold, double scale, {key}
) {{
    {read}
    const long long first = ((long long)blockIdx.x * 256 + threadIdx.x) * WIDTH;
    if (first >= m) return;
    Pack packs[4];
    #pragma unroll
    for (int k = 0; k < 4; ++k) {{
        if (k * m + first + WIDTH <= n) packs[k] = *(const Pack *)(x_ + k * m + first);
        else if (WIDTH > 1) {{
            for (int j = 0; j < WIDTH; ++j) {{
                if (k * m + first + j < n) packs[k].v[j] = x_[k * m + first + j];
            }}
        }}
    }}
    #pragma unroll
    for (int j = 0; j < WIDTH; ++j) {{
        const Words words = philox(first + j, count, seed);
        #pragma unroll
        for (int k = 0; k < 4; ++k) {{
            const T x = load(packs[k].v[j]) * T(scale);
            packs[k].v[j] = keep(words.v[k] >= (unsigned)threshold ? x : T(0));
        }}
    }}
    #pragma unroll
    for (int k = 0; k < 4; ++k) {{
        if (k * m + first + WIDTH <= n) *(Pack *)(out_ + k * m + first) = packs[k];
        else if (WIDTH > 1) {{
            for (int j = 0; j < WIDTH; ++j) {{
                if (k * m + first + j < n) out_[k * m + first + j] = packs[k].v[j];
            }}
        }}
    }}
}}
"""

#: One number for all elements of a channel.
_CHANNELS = """
extern "C" __global__ void __launch_bounds__(256) backpass_dropout(
    const Stored *__restrict__ x_, Stored *__restrict__ out_, long long n, long long m,
    long long threshold, double scale, {key}, long long inner
) {{
    {read}
    const long long first = ((long long)blockIdx.x * 256 + threadIdx.x) * WIDTH;
    if (first >= n) return;
    const long long number = first / inner, word = number / m;
    const bool is_kept = philox(number - word * m, count, seed).v[word] >= (unsigned)threshold;
    Pack pack = *(const Pack *)(x_ + first);
    #pragma unroll
    for (int j = 0; j < WIDTH; ++j) {{
        pack.v[j] = keep(is_kept ? load(pack.v[j]) * T(scale) : T(0));
    }}
    *(Pack *)(out_ + first) = pack;
}}
"""


@functools.cache
def _kernel(char: str, width: int, by_channels: bool, held: bool) -> Kernel:
    key = "const unsigned long long *key_" if held else "long long seed_, long long count_"
    read = (
        "const unsigned long long seed = key_[0], count = key_[1];"
        if held
        else "const unsigned long long seed = seed_, count = count_;"
    )
    body = (_CHANNELS if by_channels else _EACH).format(key=key, read=read)
    return Kernel("backpass_dropout", source(char, Shape(1, width, 1, 1, 1), _PHILOX + body))


def _signed(word: int) -> int:
    """Return a word of 64 bits as a kernel takes it."""
    return (int(word) + 2**63) % 2**64 - 2**63


def dropout(x: Any, *, rate: float, key: Any, axes: int) -> Any:
    """Set elements to 0, all at once that differ after the first `axes` axes; scale the others."""
    if not is_float(x) or not x.size:
        return NotImplemented
    held = type(key) is ndarray
    if held:
        if key.dtype.char not in "lqLQ" or key.shape != (2,) or not key._c_contiguous:
            return NotImplemented
        words: tuple[Any, ...] = (key,)
    else:
        words = (_signed(key[0]), _signed(key[1]))
    threshold = round(rate * 2.0**32)
    x = dense(x)
    out = ndarray(x.shape, x.dtype)
    if threshold >= 2**32:
        out.fill(0)
        return out
    scale = 1 / (1 - rate)
    n, inner = x.size, math.prod(x.shape[axes:])
    m = -(-(n // inner) // 4)
    if inner == 1:
        width = widest(m, x)
        kernel = _kernel(x.dtype.char, width, False, held)
        blocks = -(-m // (THREADS * width))
        kernel.launch(blocks, THREADS, (x, out, n, m, threshold, scale, *words))
        return out
    width = widest(inner, x)
    kernel = _kernel(x.dtype.char, width, True, held)
    blocks = -(-n // (THREADS * width))
    kernel.launch(blocks, THREADS, (x, out, n, m, threshold, scale, *words, inner))
    return out


KERNELS: dict[str, Callable[..., Any]] = {"dropout": dropout}
