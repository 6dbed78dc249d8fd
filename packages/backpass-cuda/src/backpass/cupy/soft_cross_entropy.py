"""Kernels of the cross-entropy against probabilities, and of its rules: one launch each.

The threads of a row go through its classes two or three times: once for the largest logit and the
sum of exponentials, and then for what follows from them, which comes from the cache.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from backpass.cupy.cross_entropy import BLOCKS, HEAD, REDUCTIONS
from backpass.cupy.faults import TEXT
from backpass.cupy.launching import Kernel
from backpass.cupy.library import ndarray
from backpass.cupy.network_text import (
    BLOCK,
    Shape,
    dense,
    is_float,
    or_null,
    shape_of,
    source,
)
from backpass.cupy.partials import workspace

#: Elements of a row for each thread that shares it.
_EACH = 8

_ROW = """
#define CLASSES for (int c = t; c < LENGTH; c += THREADS)
// How much the logarithm of a class counts.
__device__ __forceinline__ T share_of(T target, const Stored *weight_, int c, double smoothing) {
    if (SMOOTHED) target = T(1.0 - smoothing) * target + T(smoothing) / T(LENGTH);
    return WEIGHTED ? zero_multiply(load(weight_[c]), target) : target;
}
"""
#: What all three begin with.
_BEGIN = """
    __shared__ T shared[3][2 * WARPS];
    const int t = threadIdx.x % THREADS;
    const long long stride = (long long)gridDim.x * LANES;
    long long row = (long long)blockIdx.x * LANES + threadIdx.x / THREADS;
    const T scale = REDUCED == 2 ? T(-1) / T(rows) : T(-1);
    T terms = T(0), none = T(0);
    for (long long first = (long long)blockIdx.x * LANES; first < rows; first += stride) {
        const bool live = row < rows;
        const long long base = (live ? row : 0) / inner * (LENGTH - 1) * inner + (live ? row : 0);
        Peak peak = {-LARGEST, T(0)};
        #pragma unroll 4
        CLASSES absorb(peak, load(x_[base + c * inner]));
        T tops[1] = {peak.top}, totals[1];
        together<Most>(tops, shared[0]);
        totals[0] = peak.total * power(peak.top - tops[0]);
        together<Plus>(totals, shared[1]);
        const T top = tops[0];
"""
_OPERANDS = """const Stored *__restrict__ x_, const Stored *__restrict__ target_,
    const Stored *__restrict__ weight_, Stored *__restrict__ out_"""
_SIZES = "long long rows, long long inner, double smoothing"

_FORWARD = f"""
extern "C" __global__ void __launch_bounds__(BLOCK) backpass_soft_cross_entropy(
    {_OPERANDS}, Sums *parts, unsigned int *tickets, {_SIZES}
) {{{_BEGIN}
        const T logarithm = LOG(totals[0]);
        T sum[1] = {{T(0)}};
        #pragma unroll 4
        CLASSES {{
            const long long at = base + c * inner;
            const T share = share_of(load(target_[at]), weight_, c, smoothing);
            sum[0] += zero_multiply(share, load(x_[at]) - top - logarithm);
        }}
        together<Plus>(sum, shared[2]);
        if (t == 0 && live) {{
            if (REDUCED) terms += sum[0]; else out_[row] = keep(-sum[0]);
        }}
        row += stride;
    }}
    if (REDUCED && collected(terms, none, parts, tickets, shared[0]) && threadIdx.x == 0) {{
        out_[0] = keep(terms * scale);
    }}
}}
"""
_TO_LOGITS = f"""
extern "C" __global__ void __launch_bounds__(BLOCK) backpass_soft_cross_entropy_vjp0(
    const Stored *__restrict__ g_, {_OPERANDS}, {_SIZES}
) {{{_BEGIN}
        const T factor = T(1) / (isinf(totals[0]) ? T(NAN) : totals[0]);
        const T g = load(g_[REDUCED || !live ? 0 : row]) * scale;
        T sum[1] = {{T(0)}};
        #pragma unroll 4
        CLASSES {{
            const T share = share_of(load(target_[base + c * inner]), weight_, c, smoothing);
            sum[0] += zero_multiply(share, g);
        }}
        together<Plus>(sum, shared[2]);
        #pragma unroll 4
        CLASSES {{
            const long long at = base + c * inner;
            const T share = share_of(load(target_[at]), weight_, c, smoothing);
            const T probability = EXP(load(x_[at]) - top) * factor;
            const T r = zero_multiply(share, g) - zero_multiply(sum[0], probability);
            if (live) out_[at] = keep(r);
        }}
        row += stride;
    }}
}}
"""
_TO_TARGET = f"""
extern "C" __global__ void __launch_bounds__(BLOCK) backpass_soft_cross_entropy_vjp1(
    const Stored *__restrict__ g_, const Stored *__restrict__ x_,
    const Stored *__restrict__ weight_, Stored *__restrict__ out_, {_SIZES}
) {{{_BEGIN}
        const T logarithm = LOG(totals[0]);
        const T g = load(g_[REDUCED || !live ? 0 : row]) * scale * T(1.0 - smoothing);
        #pragma unroll 4
        CLASSES {{
            const long long at = base + c * inner;
            T logit = load(x_[at]) - top - logarithm;
            if (WEIGHTED) logit = zero_multiply(load(weight_[c]), logit);
            if (live) out_[at] = keep(zero_multiply(g, logit));
        }}
        row += stride;
    }}
}}
"""


@functools.cache
def _kernel(
    name: str, body: str, char: str, shape: Shape, weighted: bool, smoothed: bool, reduced: int
) -> Kernel:
    head = HEAD.format(label="int", weighted=int(weighted), smoothed=int(smoothed), reduced=reduced)
    return Kernel(f"backpass_{name}", source(char, shape, TEXT + head + _ROW + body))


def _shape(x: Any, axis: int) -> tuple[Shape, int]:
    """Return the threads, and how many places lie side by side."""
    classes, inner = x.shape[axis], math.prod(x.shape[axis + 1 :])
    if inner > 1:
        return Shape(classes, 1, 1, 1, BLOCK), inner
    return shape_of(classes, 1, _EACH, _EACH), inner


def _run(
    name: str,
    body: str,
    g: Any,
    x: Any,
    target: Any,
    weight: Any,
    axis: int,
    reduction: str,
    label_smoothing: float,
    only_x: bool = False,
) -> Any:
    if not is_float(x) or not x.size:
        return NotImplemented
    char, places = x.dtype.char, x.shape[:axis] + x.shape[axis + 1 :]
    shapes = (
        (target, x.shape),
        (weight, (x.shape[axis],)),
        (g, () if reduction != "none" else places),
    )
    if any(a is not None and (not is_float(a, char) or a.shape != shape) for a, shape in shapes):
        return NotImplemented
    shape, inner = _shape(x, axis)
    reduced = REDUCTIONS[reduction]
    rows = x.size // x.shape[axis]
    kernel = _kernel(name, body, char, shape, weight is not None, bool(label_smoothing), reduced)
    blocks = min(-(-rows // shape.lanes), BLOCKS)
    laid = [dense(a) for a in ((x,) if only_x else (x, target))]
    weight = or_null(None if weight is None else dense(weight))
    sizes = (rows, inner, float(label_smoothing))
    if g is None:
        out = ndarray(() if reduced else places, x.dtype)
        parts = workspace(blocks * 16, 1) if reduced else (0, 0)
        kernel.launch(blocks, shape.block, (*laid, weight, out, *parts, *sizes))
    else:
        out = ndarray(x.shape, x.dtype)
        kernel.launch(blocks, shape.block, (dense(g), *laid, weight, out, *sizes))
    return out


def soft_cross_entropy(
    logits: Any, target: Any, weight: Any, *, axis: int, reduction: str, label_smoothing: float
) -> Any:
    """Return -sum(weight * target * log_softmax(logits)), for probabilities."""
    options = (axis, reduction, label_smoothing)
    return _run("soft_cross_entropy", _FORWARD, None, logits, target, weight, *options)


def to_logits(
    g: Any,
    logits: Any,
    target: Any,
    weight: Any,
    *,
    axis: int,
    reduction: str,
    label_smoothing: float,
) -> Any:
    """Carry the cotangent of `soft_cross_entropy` to the logits."""
    if not is_float(g):
        return NotImplemented
    options = (axis, reduction, label_smoothing)
    return _run("soft_cross_entropy_vjp0", _TO_LOGITS, g, logits, target, weight, *options)


def to_target(
    g: Any, logits: Any, weight: Any, *, axis: int, reduction: str, label_smoothing: float
) -> Any:
    """Carry the cotangent of `soft_cross_entropy` to the probabilities."""
    if not is_float(g):
        return NotImplemented
    options = (axis, reduction, label_smoothing)
    return _run("soft_cross_entropy_vjp1", _TO_TARGET, g, logits, None, weight, *options, True)


KERNELS: dict[str, Callable[..., Any]] = {
    "soft_cross_entropy": soft_cross_entropy,
    "soft_cross_entropy.vjp0": to_logits,
    "soft_cross_entropy.vjp1": to_target,
}
