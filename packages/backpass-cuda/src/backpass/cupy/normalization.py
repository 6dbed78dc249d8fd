"""Kernels of layer norm and RMS norm, and of their rule.

The threads of a row hold it in registers, where its mean is found and then its variance, as the
reference does.  Blocks are as many as the GPU runs at once, and go from row to row: a thread meets
the same columns of each, whose weights it keeps in registers.  There it also adds up their
gradients; what the blocks have found is put together, in their order, by a second small kernel.  So
the rule reads x and g once and writes once, and gives the same bits each time.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from backpass.cupy.formulas import SIZES
from backpass.cupy.launching import Kernel
from backpass.cupy.library import ndarray
from backpass.cupy.network_text import (
    PROCESSORS,
    Shape,
    accumulated,
    dense,
    is_float,
    or_null,
    shape_of,
    source,
    widest,
)

#: A multiprocessor has so many registers, and threads.
REGISTERS, RESIDENT = 65536, 2048
#: A thread holds so many elements of a row at most.
MOST = 16
#: Up to so many it keeps the weights of, too; those of more come from the cache for each row.
KEEPS = 8

_FORWARD = """
extern "C" __global__ void __launch_bounds__(BLOCK, {resident}) backpass_layer_norm(
    const Stored *__restrict__ x_, const Stored *__restrict__ weight_,
    const Stored *__restrict__ bias_, Stored *__restrict__ out_, long long rows, double eps
) {{
    __shared__ T shared[2][WARPS];
    const int t = threadIdx.x % THREADS;
    const long long stride = (long long)gridDim.x * LANES;
    long long row = (long long)blockIdx.x * LANES + threadIdx.x / THREADS;
    Pack next[PACKS], weight[PACKS], bias[PACKS];
    PACK {{
        if ({weighted} && {keeps}) weight[i] = *(const Pack *)(weight_ + AT);
        if ({biased} && {keeps}) bias[i] = *(const Pack *)(bias_ + AT);
        if (row < rows) next[i] = *(const Pack *)(x_ + row * LENGTH + AT);
    }}
    for (long long first = (long long)blockIdx.x * LANES; first < rows; first += stride) {{
        T x[PACKS][WIDTH], sum[1] = {{T(0)}};
        EACH x[i][j] = load(next[i].v[j]);
        // The next row is on its way while this one is computed.
        if (row + stride < rows) {{
            PACK next[i] = *(const Pack *)(x_ + (row + stride) * LENGTH + AT);
        }}
        if ({centred}) {{
            EACH sum[0] += x[i][j];
            together<Plus>(sum, shared[0]);
            const T mean = sum[0] / T(LENGTH);
            EACH x[i][j] -= mean;
        }}
        T squares[1] = {{T(0)}};
        EACH squares[0] += x[i][j] * x[i][j];
        together<Plus>(squares, shared[1]);
        const T rstd = T(1) / SQRT(squares[0] / T(LENGTH) + T(eps));
        if (row < rows) {{ PACK {{
            Pack made;
            if ({weighted} && !{keeps}) weight[i] = *(const Pack *)(weight_ + AT);
            if ({biased} && !{keeps}) bias[i] = *(const Pack *)(bias_ + AT);
            #pragma unroll
            for (int j = 0; j < WIDTH; ++j) {{
                T y = x[i][j] * rstd;
                if ({weighted}) y *= load(weight[i].v[j]);
                if ({biased}) y += load(bias[i].v[j]);
                made.v[j] = keep(y);
            }}
            *(Pack *)(out_ + row * LENGTH + AT) = made;
        }} }}
        row += stride;
        {wait}
    }}
}}
"""

#: Rows that are too long to be held are read three times.
_LONG = """
#define EVERY for (int p = t; p < LENGTH / WIDTH; p += THREADS)
extern "C" __global__ void __launch_bounds__(BLOCK) backpass_layer_norm(
    const Stored *__restrict__ x_, const Stored *__restrict__ weight_,
    const Stored *__restrict__ bias_, Stored *__restrict__ out_, long long rows, double eps
) {{
    __shared__ T shared[2][WARPS];
    const int t = threadIdx.x;
    const Pack *own = (const Pack *)(x_ + blockIdx.x * LENGTH);
    T sum[1] = {{T(0)}}, squares[1] = {{T(0)}}, mean = T(0);
    if ({centred}) {{
        _Pragma("unroll 4") EVERY {{
            const Pack pack = own[p];
            _Pragma("unroll") for (int j = 0; j < WIDTH; ++j) sum[0] += load(pack.v[j]);
        }}
        together<Plus>(sum, shared[0]);
        mean = sum[0] / T(LENGTH);
    }}
    _Pragma("unroll 4") EVERY {{
        const Pack pack = own[p];
        _Pragma("unroll") for (int j = 0; j < WIDTH; ++j) {{
            const T d = load(pack.v[j]) - mean;
            squares[0] += d * d;
        }}
    }}
    together<Plus>(squares, shared[1]);
    const T rstd = T(1) / SQRT(squares[0] / T(LENGTH) + T(eps));
    _Pragma("unroll 2") EVERY {{
        const Pack pack = own[p];
        Pack weight, bias, made;
        if ({weighted}) weight = ((const Pack *)weight_)[p];
        if ({biased}) bias = ((const Pack *)bias_)[p];
        _Pragma("unroll") for (int j = 0; j < WIDTH; ++j) {{
            T y = (load(pack.v[j]) - mean) * rstd;
            if ({weighted}) y *= load(weight.v[j]);
            if ({biased}) y += load(bias.v[j]);
            made.v[j] = keep(y);
        }}
        ((Pack *)(out_ + blockIdx.x * LENGTH))[p] = made;
    }}
}}
"""

_BACK = """
extern "C" __global__ void __launch_bounds__(BLOCK, {resident}) backpass_layer_norm_back(
    const Stored *__restrict__ g_, const Stored *__restrict__ x_,
    const Stored *__restrict__ weight_, Stored *__restrict__ out_, T *__restrict__ parts,
    long long rows, double eps
) {{
    __shared__ T shared[2][2 * WARPS];
    const int t = threadIdx.x % THREADS;
    const long long stride = (long long)gridDim.x * LANES;
    long long row = (long long)blockIdx.x * LANES + threadIdx.x / THREADS;
    Pack next_x[PACKS], next_g[PACKS], weight[PACKS];
    T to_weight[PACKS][WIDTH], to_bias[PACKS][WIDTH];
    EACH to_weight[i][j] = to_bias[i][j] = T(0);
    PACK {{
        if ({weighted}) weight[i] = *(const Pack *)(weight_ + AT);
        if (row < rows) {{
            next_x[i] = *(const Pack *)(x_ + row * LENGTH + AT);
            next_g[i] = *(const Pack *)(g_ + row * LENGTH + AT);
        }}
    }}
    for (long long first = (long long)blockIdx.x * LANES; first < rows; first += stride) {{
        T x[PACKS][WIDTH], g[PACKS][WIDTH];
        const bool live = row < rows;
        EACH {{
            x[i][j] = load(next_x[i].v[j]);
            g[i][j] = live ? load(next_g[i].v[j]) : T(0);
        }}
        // The next row is on its way while this one is computed.
        if (row + stride < rows) {{ PACK {{
            next_x[i] = *(const Pack *)(x_ + (row + stride) * LENGTH + AT);
            next_g[i] = *(const Pack *)(g_ + (row + stride) * LENGTH + AT);
        }} }}
        T mean = T(0), all = T(0);
        if ({centred}) {{
            T sums[2] = {{T(0), T(0)}};
            EACH {{
                sums[0] += x[i][j];
                sums[1] += {scaled};
            }}
            together<Plus>(sums, shared[0]);
            mean = sums[0] / T(LENGTH);
            all = sums[1] / T(LENGTH);
        }}
        T squares[2] = {{T(0), T(0)}};
        EACH {{
            x[i][j] -= mean;
            squares[0] += x[i][j] * x[i][j];
            squares[1] += {scaled} * x[i][j];
        }}
        together<Plus>(squares, shared[1]);
        const T rstd = T(1) / SQRT(squares[0] / T(LENGTH) + T(eps));
        const T along = squares[1] * rstd / T(LENGTH);
        if (live) {{ PACK {{
            Pack made;
            #pragma unroll
            for (int j = 0; j < WIDTH; ++j) {{
                const T hat = x[i][j] * rstd;
                if ({weighted}) to_weight[i][j] += g[i][j] * hat;
                if ({biased}) to_bias[i][j] += g[i][j];
                made.v[j] = keep(({scaled} - all - hat * along) * rstd);
            }}
            *(Pack *)(out_ + row * LENGTH + AT) = made;
        }} }}
        row += stride;
        {wait}
    }}
    // The rows of a block, one after the other, column by column.
    T *own = parts + blockIdx.x * (LENGTH * ({weighted} + {biased}));
    __shared__ T columns[LANES > 1 ? LANES * LENGTH : 1];
    #pragma unroll
    for (int which = 0; which < 2; ++which) {{
        if (!(which ? {biased} : {weighted})) continue;
        if (LANES == 1) {{
            EACH own[AT + j] = which ? to_bias[i][j] : to_weight[i][j];
        }} else {{
            __syncthreads();
            EACH {{
                columns[threadIdx.x / THREADS * LENGTH + AT + j] =
                    which ? to_bias[i][j] : to_weight[i][j];
            }}
            __syncthreads();
            for (int column = threadIdx.x; column < LENGTH; column += BLOCK) {{
                T sum = T(0);
                for (int lane = 0; lane < LANES; ++lane) sum += columns[lane * LENGTH + column];
                own[column] = sum;
            }}
        }}
        own += LENGTH;
    }}
}}
"""

#: A warp of columns a block, and as many threads for each.
_FOLD = """
extern "C" __global__ void __launch_bounds__(1024) backpass_layer_norm_fold(
    const T *__restrict__ parts, Stored *first_, Stored *second_, long long count,
    long long columns, long long length
) {
    __shared__ T held[32][33];
    const int c = threadIdx.x % 32, r = threadIdx.x / 32;
    long long column = blockIdx.x * 32LL + c;
    T sum = T(0);
    if (column < columns) {
        #pragma unroll 4
        for (long long p = r; p < count; p += 32) sum += parts[p * columns + column];
    }
    held[r][c] = sum;
    __syncthreads();
    sum = held[c][r];
    #pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, offset);
    column = blockIdx.x * 32LL + r;
    if (c == 0 && column < columns) {
        if (column < length) first_[column] = keep(sum); else second_[column - length] = keep(sum);
    }
}
"""


def _resident(registers: int, shape: Shape) -> int:
    """Return how many blocks a multiprocessor holds at once."""
    return max(1, min(RESIDENT // shape.block, REGISTERS // (registers * shape.block)))


def _wait(shape: Shape, centred: bool) -> str:
    """Return what keeps a row's sums until all have read them: of two in turn, the other does."""
    return "" if centred or shape.threads <= 32 else "__syncthreads();"


@functools.cache
def _forward(
    char: str, shape: Shape, weighted: bool, biased: bool, centred: bool
) -> tuple[Kernel, int]:
    """Return the kernel, and of how many blocks at most."""
    words = shape.held * max(SIZES[char], 4) // 4
    raw = shape.held * SIZES[char] // 4
    keeps = shape.held <= KEEPS
    resident = _resident(24 + words + raw * (1 + keeps * (weighted + biased)), shape)
    body = (_FORWARD if shape.fits else _LONG).format(
        resident=resident,
        weighted=int(weighted),
        biased=int(biased),
        centred=int(centred),
        keeps=int(keeps),
        wait=_wait(shape, centred),
    )
    kernel = Kernel("backpass_layer_norm", source(char, shape, body))
    return kernel, resident * PROCESSORS if shape.fits else 2**31 - 1


@functools.cache
def _back(
    char: str, shape: Shape, weighted: bool, biased: bool, centred: bool
) -> tuple[Kernel, int]:
    """Return the kernel, and of how many blocks at most."""
    words = shape.held * max(SIZES[char], 4) // 4
    raw = shape.held * SIZES[char] // 4
    registers = 30 + words * (2 + weighted + biased) + raw * (2 + weighted)
    resident = _resident(registers, shape)
    body = _BACK.format(
        resident=resident,
        weighted=int(weighted),
        biased=int(biased),
        centred=int(centred),
        scaled="(g[i][j] * load(weight[i].v[j]))" if weighted else "g[i][j]",
        wait=_wait(shape, centred),
    )
    return Kernel("backpass_layer_norm_back", source(char, shape, body)), resident * PROCESSORS


@functools.cache
def _fold(char: str) -> Kernel:
    return Kernel("backpass_layer_norm_fold", source(char, Shape(1, 1, 1, 1, 1), _FOLD))


def _taken(axes: Any, x: Any, *parameters: Any) -> int:
    """Return the length of a row; 0 for what is left to others."""
    if not is_float(x) or not x.size or axes != tuple(range(axes[0], x.ndim)):
        return 0
    shape = x.shape[axes[0] :]
    if any(
        p is not None and (not is_float(p, x.dtype.char) or p.shape != shape) for p in parameters
    ):
        return 0
    return math.prod(shape)


def layer_norm(
    x: Any, weight: Any, bias: Any, *, axes: tuple[int, ...], eps: float, centred: bool
) -> Any:
    """Normalise over the last axes, scale and shift."""
    length = _taken(axes, x, weight, bias)
    if not length:
        return NotImplemented
    x = dense(x)
    weight, bias = (None if p is None else dense(p) for p in (weight, bias))
    out = ndarray(x.shape, x.dtype)
    width = widest(length, *[a for a in (x, weight, bias) if a is not None])
    char = x.dtype.char
    shape = shape_of(length, width, _alone(char), MOST)
    rows = x.size // length
    kernel, most = _forward(char, shape, weight is not None, bias is not None, centred)
    blocks = min(-(-rows // shape.lanes), most) if shape.fits else rows
    kernel.launch(blocks, shape.block, (x, or_null(weight), or_null(bias), out, rows, eps))
    return out


def _alone(char: str) -> int:
    """Return how many elements a thread holds where there are threads for all."""
    return 16 // SIZES[char]


def _cotangents(
    g: Any,
    x: Any,
    weight: Any,
    bias: Any,
    axes: tuple[int, ...],
    eps: float,
    centred: bool,
    to_weight: bool,
    to_bias: bool,
) -> Any:
    length = _taken(axes, x, weight, bias)
    if not length or not is_float(g, x.dtype.char) or g.shape != x.shape:
        return NotImplemented
    char = x.dtype.char
    g, x = dense(g), dense(x)
    weight = None if weight is None else dense(weight)
    width = widest(length, *[a for a in (g, x, weight) if a is not None])
    shape = shape_of(length, width, _alone(char), MOST)
    if not shape.fits:
        return NotImplemented
    rows = x.size // length
    kernel, most = _back(char, shape, weight is not None, to_bias, centred)
    blocks = min(-(-rows // shape.lanes), most)
    out = ndarray(x.shape, x.dtype)
    columns = length * ((weight is not None) + to_bias)
    parts = ndarray((blocks * columns,), accumulated(char)) if columns else None
    kernel.launch(blocks, shape.block, (g, x, or_null(weight), out, or_null(parts), rows, eps))
    made = [None if p is None else ndarray(p.shape, x.dtype) for p in (weight, bias)]
    if not to_bias:
        made[1] = None
    if columns:
        first, second = (made[0], made[1]) if made[0] is not None else (made[1], None)
        _fold(char).launch(
            -(-columns // 32), 1024, (parts, first, or_null(second), blocks, columns, length)
        )
    return out, made[0] if to_weight else None, made[1]


def layer_norm_back(
    g: Any, x: Any, weight: Any, bias: Any, *, axes: tuple[int, ...], eps: float, centred: bool
) -> Any:
    """Return the cotangents of x, weight and bias."""
    return _cotangents(g, x, weight, bias, axes, eps, centred, weight is not None, bias is not None)


def layer_norm_vjp(
    g: Any,
    x: Any,
    weight: Any,
    bias: Any,
    *,
    needs: tuple[bool, ...],
    axes: tuple[int, ...],
    eps: float,
    centred: bool,
) -> Any:
    """Return the cotangents that are needed."""
    found = _cotangents(
        g, x, weight, bias, axes, eps, centred, weight is not None and needs[1], needs[2]
    )
    if found is NotImplemented:
        return found
    return (found[0] if needs[0] else None, *found[1:])


KERNELS: dict[str, Callable[..., Any]] = {
    "layer_norm": layer_norm,
    "layer_norm.vjp": layer_norm_vjp,
    "layer_norm_back": layer_norm_back,
}
