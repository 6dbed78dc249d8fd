"""Kernels of the cross-entropy against labels and of the negative log-likelihood, and their rules.

The logits are read once, and no probabilities are kept: the rule finds them again.  Where the
classes lie side by side, as many threads share a row as its length asks for, and hold it; where
positions do, each thread has one and goes through its classes.  The blocks leave their sums to the
last of them, which adds them up in the blocks' order.

A label that is no class makes its loss and its gradient nan, and is reported: `faults`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from backpass.cupy.faults import TEXT, faults
from backpass.cupy.formulas import SIZES
from backpass.cupy.launching import Kernel
from backpass.cupy.library import ndarray
from backpass.cupy.network_text import (
    BLOCK,
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
from backpass.cupy.partials import workspace

#: How labels are stored.
LABELS = {
    "b": "signed char",
    "B": "unsigned char",
    "h": "short",
    "i": "int",
    "l": "long long",
    "q": "long long",
}
#: A thread holds so many elements of a row at most, by the type in which is computed.
MOST = {"f": 32, "d": 16}
#: So many labels are counted again by each block of the rule; for more there is a kernel.
FEW = 1024
#: Blocks of a grid that goes from row to row: so many that the last of them to begin end soon.
BLOCKS = 32 * PROCESSORS
#: A thread alone goes through rows of so few packs: it has all of them on their way at once.
SHORT = 8
NO_LABEL = -(2**63)

HEAD = """
#define WEIGHTED {weighted}
#define SMOOTHED {smoothed}
#define REDUCED {reduced}
typedef {label} Label;

// What is at most 0, to the power of e: as a power of 2, whose error is none in a sum with a 1.
__device__ __forceinline__ T power(T x) {{ return EXP2(x * T(1.4426950408889634)); }}

// How much a place counts: nan for a label that is no class.
__device__ __forceinline__ T count_of(
    long long label, const Stored *weight_, long long ignored, long long place,
    unsigned long long *fault
) {{
    if (label == ignored) return T(0);
    if (label < 0 || label >= LENGTH) {{
        complain(fault, place, label);
        return T(NAN);
    }}
    return WEIGHTED ? load(weight_[label]) : T(1);
}}

// The sum of what all threads of the block have, for each of them.
__device__ __forceinline__ T whole(T x, T *shared) {{
    #pragma unroll
    for (int offset = 16; offset > 0; offset /= 2) x += __shfl_xor_sync(0xffffffffu, x, offset);
    __syncthreads();
    if (threadIdx.x % 32 == 0) shared[threadIdx.x / 32] = x;
    __syncthreads();
    x = shared[0];
    for (int w = 1; w < WARPS; ++w) x += shared[w];
    return x;
}}

struct Sums {{ T terms, counts; }};

// Add up what the blocks have found; the last of them gets true, and the sums.
__device__ __forceinline__ bool collected(
    T &terms, T &counts, Sums *parts, unsigned int *tickets, T *shared
) {{
    __shared__ bool is_last;
    terms = whole(terms, shared);
    counts = whole(counts, shared);
    if (threadIdx.x == 0) {{
        parts[blockIdx.x] = {{terms, counts}};
        __threadfence();
        is_last = atomicInc(tickets, gridDim.x - 1) == gridDim.x - 1;
    }}
    __syncthreads();
    if (!is_last) return false;
    __threadfence();
    terms = counts = T(0);
    for (int b = threadIdx.x; b < gridDim.x; b += BLOCK) {{
        terms += ((volatile Sums *)parts)[b].terms;
        counts += ((volatile Sums *)parts)[b].counts;
    }}
    terms = whole(terms, shared);
    counts = whole(counts, shared);
    return true;
}}

// The largest of a row's elements, and the logarithm of the sum of exp(x - top).
struct Peak {{ T top, total; }};

__device__ __forceinline__ void absorb(Peak &peak, T x) {{
    const T top = FMIN(FMAX(peak.top, x), LARGEST);
    peak.total = peak.total * power(peak.top - top) + power(x - top);
    peak.top = top;
}}

__device__ __forceinline__ void merge(Peak &peak, Peak other) {{
    const T top = FMAX(peak.top, other.top);
    peak.total = peak.total * power(peak.top - top) + other.total * power(other.top - top);
    peak.top = top;
}}
"""

#: Reading a row: `peak` of it, and with smoothing `smooth`, the weighted sum of its logarithms.
_ALONG = """
// All elements that a thread holds, and then those of the row.
#define PACK_LOOP(first) _Pragma("unroll") for (int i = 0; i < PACKS; ++i) \\
    if ((first) + i * THREADS + t < LENGTH / WIDTH)

__device__ __forceinline__ Peak peak_of(const Stored *own, int t, T (*shared)[2 * WARPS]) {
    Peak peak = {-LARGEST, T(0)};
    #pragma unroll 1
    for (int first = 0; first < LENGTH / WIDTH; first += THREADS * PACKS) {
        Pack packs[PACKS];
        PACK_LOOP(first) packs[i] = ((const Pack *)own)[first + i * THREADS + t];
        T top = peak.top;
        PACK_LOOP(first) {
            #pragma unroll
            for (int j = 0; j < WIDTH; ++j) top = FMAX(top, load(packs[i].v[j]));
        }
        top = FMIN(top, LARGEST);
        peak.total *= power(peak.top - top);
        PACK_LOOP(first) {
            #pragma unroll
            for (int j = 0; j < WIDTH; ++j) peak.total += power(load(packs[i].v[j]) - top);
        }
        peak.top = top;
    }
    T tops[1] = {peak.top}, totals[1];
    together<Most>(tops, shared[0]);
    totals[0] = peak.total * power(peak.top - tops[0]);
    together<Plus>(totals, shared[1]);
    return {tops[0], totals[0]};
}
"""

_FORWARD = """
extern "C" __global__ void __launch_bounds__(BLOCK) backpass_cross_entropy(
    const Stored *__restrict__ x_, const Label *__restrict__ labels_,
    const Stored *__restrict__ weight_, Stored *__restrict__ out_, Sums *parts,
    unsigned int *tickets, long long rows, long long inner, long long ignored, double smoothing,
    unsigned long long *fault
) {{
    __shared__ T shared[3][2 * WARPS];
    const int t = threadIdx.x % THREADS;
    const long long stride = (long long)gridDim.x * LANES;
    long long row = (long long)blockIdx.x * LANES + threadIdx.x / THREADS;
    T terms = T(0), counts = T(0);
    for (long long first = (long long)blockIdx.x * LANES; first < rows; first += stride) {{
        const bool live = row < rows;
        {read}
        if (t == 0 && live) {{
            const long long label = labels_[row];
            const T count = count_of(label, weight_, ignored, row, fault);
            T term = T(0);
            if (count != T(0)) {{
                term = isnan(count) ? count : count * (T(smoothing) - T(1))
                    * (load({chosen}) - peak.top - LOG(peak.total));
            }}
            if (SMOOTHED && label != ignored) term -= T(smoothing) / T(LENGTH) * smooth;
            if (REDUCED) {{
                terms += term;
                counts += count;
            }} else {{
                out_[row] = keep(term);
            }}
        }}
        row += stride;
    }}
    if (REDUCED) {{
        if (collected(terms, counts, parts, tickets, shared[0]) && threadIdx.x == 0) {{
            out_[0] = keep(REDUCED == 2 ? terms / counts : terms);
        }}
    }}
}}
"""

_READ_ALONG = """
        const Stored *own = x_ + (live ? row : 0) * LENGTH;
        const Peak peak = peak_of(own, t, shared);
        T smooth = T(0);
        if (SMOOTHED) {
            const T logarithm = LOG(peak.total);
            T sum[1] = {T(0)};
            for (int c = t; c < LENGTH; c += THREADS) {
                const T logit = load(own[c]) - peak.top - logarithm;
                sum[0] += WEIGHTED ? zero_multiply(load(weight_[c]), logit) : logit;
            }
            together<Plus>(sum, shared[2]);
            smooth = sum[0];
        }"""
_READ_ACROSS = """
        const long long outer = (live ? row : 0) / inner;
        const Stored *own = x_ + outer * (LENGTH - 1) * inner + (live ? row : 0);
        Peak peak = {-LARGEST, T(0)};
        #pragma unroll 8
        for (int c = 0; c < LENGTH; ++c) absorb(peak, load(own[c * inner]));
        T smooth = T(0);
        if (SMOOTHED) {
            const T logarithm = LOG(peak.total);
            for (int c = 0; c < LENGTH; ++c) {
                const T logit = load(own[c * inner]) - peak.top - logarithm;
                smooth += WEIGHTED ? zero_multiply(load(weight_[c]), logit) : logit;
            }
        }"""

#: `COUNTED`: 0 for nothing to divide by, 1 for as many as there are rows, 2 for what each block
#: counts, 3 for what another kernel has counted.
_BACK = """
extern "C" __global__ void __launch_bounds__(BLOCK) backpass_cross_entropy_vjp(
    const Stored *__restrict__ g_, const Stored *__restrict__ x_,
    const Label *__restrict__ labels_, const Stored *__restrict__ weight_,
    Stored *__restrict__ out_, const T *counted_, long long rows, long long inner,
    long long ignored, double smoothing, unsigned long long *fault
) {{
    __shared__ T shared[2][2 * WARPS];
    const int t = threadIdx.x % THREADS;
    const long long stride = (long long)gridDim.x * LANES;
    long long row = (long long)blockIdx.x * LANES + threadIdx.x / THREADS;
    T all = T(LENGTH);
    if (SMOOTHED && WEIGHTED) {{
        all = T(0);
        for (int c = threadIdx.x; c < LENGTH; c += BLOCK) all += load(weight_[c]);
        all = whole(all, shared[0]);
    }}
    T g = REDUCED ? load(g_[0]) : T(0);
    if ({counted} == 1) g /= T(rows);
    if ({counted} == 2) {{
        T counts = T(0);
        for (int k = threadIdx.x; k < rows; k += BLOCK) {{
            counts += count_of(labels_[k], weight_, ignored, k, fault);
        }}
        g /= whole(counts, shared[0]);
    }}
    if ({counted} == 3) g /= counted_[0];
    __syncthreads();
    for (long long first = (long long)blockIdx.x * LANES; first < rows; first += stride) {{
        const bool live = row < rows;
        const long long label = labels_[live ? row : 0];
        const T count = count_of(label, weight_, ignored, row, fault);
        if (!REDUCED) g = load(g_[live ? row : 0]);
        // What is ignored gets 0, even if the mean is over nothing.
        const T chosen = zero_multiply((T(smoothing) - T(1)) * count, g);
        const T every = SMOOTHED && label != ignored
            ? zero_multiply(-T(smoothing) / T(LENGTH), g) : T(0);
        // The sum over the classes, without adding it up.
        const T sum = SMOOTHED ? chosen + every * all : chosen;
        {body}
        row += stride;
    }}
}}
"""

#: What an element's cotangent is.
_ELEMENT = """
__device__ __forceinline__ T element(
    T probability, bool is_label, T chosen, T every, T sum, const Stored *weight_, int c
) {
    T r = is_label ? chosen : T(0);
    if (SMOOTHED) r += WEIGHTED ? every * load(weight_[c]) : every;
    return r - zero_multiply(sum, probability);
}
"""
#: A row that is held is read once.
_HELD = """
        const Stored *own = x_ + (live ? row : 0) * LENGTH;
        T x[PACKS][WIDTH], tops[1] = {-LARGEST}, totals[1] = {T(0)};
        {
            Pack packs[PACKS];
            PACK packs[i] = *(const Pack *)(own + AT);
            EACH x[i][j] = load(packs[i].v[j]);
        }
        EACH tops[0] = FMAX(tops[0], x[i][j]);
        tops[0] = FMIN(tops[0], LARGEST);
        together<Most>(tops, shared[0]);
        EACH {
            x[i][j] = EXP(x[i][j] - tops[0]);
            totals[0] += x[i][j];
        }
        together<Plus>(totals, shared[1]);
        const T factor = T(1) / (isinf(totals[0]) ? T(NAN) : totals[0]);
        if (live) { PACK {
            Pack made;
            #pragma unroll
            for (int j = 0; j < WIDTH; ++j) {
                const int c = AT + j;
                made.v[j] = keep(
                    element(x[i][j] * factor, c == label, chosen, every, sum, weight_, c));
            }
            *(Pack *)(out_ + row * LENGTH + AT) = made;
        } }"""
_TWICE = """
        const Stored *own = x_ + (live ? row : 0) * LENGTH;
        const Peak peak = peak_of(own, t, shared);
        const T factor = T(1) / (isinf(peak.total) ? T(NAN) : peak.total);
        if (live) {
            #pragma unroll 4
            for (int p = t; p < LENGTH / WIDTH; p += THREADS) {
                const Pack pack = ((const Pack *)own)[p];
                Pack made;
                #pragma unroll
                for (int j = 0; j < WIDTH; ++j) {
                    const int c = p * WIDTH + j;
                    const T probability = EXP(load(pack.v[j]) - peak.top) * factor;
                    made.v[j] = keep(
                        element(probability, c == label, chosen, every, sum, weight_, c));
                }
                ((Pack *)(out_ + row * LENGTH))[p] = made;
            }
        }"""
_ACROSS = """
        const long long outer = (live ? row : 0) / inner;
        const long long at = outer * (LENGTH - 1) * inner + (live ? row : 0);
        Peak peak = {-LARGEST, T(0)};
        #pragma unroll 8
        for (int c = 0; c < LENGTH; ++c) absorb(peak, load(x_[at + c * inner]));
        const T factor = T(1) / (isinf(peak.total) ? T(NAN) : peak.total);
        if (live) {
            #pragma unroll 4
            for (int c = 0; c < LENGTH; ++c) {
                const T probability = EXP(load(x_[at + c * inner]) - peak.top) * factor;
                out_[at + c * inner] = keep(
                    element(probability, c == label, chosen, every, sum, weight_, c));
            }
        }"""

_NLL = """
extern "C" __global__ void __launch_bounds__(BLOCK) backpass_nll_loss(
    const Stored *__restrict__ x_, const Label *__restrict__ labels_,
    const Stored *__restrict__ weight_, Stored *__restrict__ out_, Sums *parts,
    unsigned int *tickets, long long rows, long long inner, long long ignored,
    unsigned long long *fault
) {
    __shared__ T shared[WARPS];
    T terms = T(0), counts = T(0);
    const long long stride = (long long)gridDim.x * BLOCK;
    for (long long row = (long long)blockIdx.x * BLOCK + threadIdx.x; row < rows; row += stride) {
        const long long label = labels_[row];
        const T count = count_of(label, weight_, ignored, row, fault);
        T term = count;
        if (COUNTING == 0 && count != T(0) && !isnan(count)) {
            const long long outer = row / inner;
            term = -count * load(x_[outer * (LENGTH - 1) * inner + row + label * inner]);
        }
        if (REDUCED) {
            terms += term;
            counts += count;
        } else {
            out_[row] = keep(term);
        }
    }
    if (REDUCED && collected(terms, counts, parts, tickets, shared) && threadIdx.x == 0) {
        if (COUNTING) ((T *)out_)[0] = counts;
        else out_[0] = keep(REDUCED == 2 ? terms / counts : terms);
    }
}
"""

_NLL_BACK = """
extern "C" __global__ void __launch_bounds__(BLOCK) backpass_nll_loss_vjp(
    const Stored *__restrict__ g_, const Label *__restrict__ labels_,
    const Stored *__restrict__ weight_, Stored *__restrict__ out_, const T *counted_,
    long long rows, long long inner, long long ignored, unsigned long long *fault
) {
    const long long size = rows * LENGTH;
    const long long at = ((long long)blockIdx.x * BLOCK + threadIdx.x) * WIDTH;
    if (at >= size) return;
    T share = REDUCED ? load(g_[0]) : T(0);
    if (REDUCED == 2) share /= counted_[0];
    Pack made;
    long long outer = at / (LENGTH * inner), rest = at - outer * (LENGTH * inner);
    int c = (int)(rest / inner);
    long long place = rest - c * inner;
    #pragma unroll
    for (int j = 0; j < WIDTH; ++j) {
        if (at + j < size) {
            const long long row = outer * inner + place;
            const long long label = labels_[row];
            T r = T(0);
            if (label == c || label < 0 || label >= LENGTH) {
                const T count = count_of(label, weight_, ignored, row, fault);
                r = zero_multiply(-count, REDUCED ? share : load(g_[row]));
            }
            made.v[j] = keep(r);
            if (++place == inner) {
                place = 0;
                if (++c == LENGTH) { c = 0; ++outer; }
            }
        }
    }
    if (at + WIDTH <= size) *(Pack *)(out_ + at) = made;
    else for (int j = 0; at + j < size; ++j) out_[at + j] = made.v[j];
}
"""

REDUCTIONS = {"none": 0, "sum": 1, "mean": 2}


class Call(NamedTuple):
    """Operands as the kernels take them.

    Attributes
    ----------
    x, labels, weight
        The arrays, dense.
    classes, rows, inner
        Classes; places; how many of these lie side by side.
    ignored, fault
        The label of places that do not count; where to report what is no class.
    """

    x: Any
    labels: Any
    weight: Any
    classes: int
    rows: int
    inner: int
    ignored: int
    fault: int


def _call(
    name: str, x: Any, target: Any, weight: Any, axis: int, ignore_index: int | None
) -> Call | None:
    """Return the operands, or `None` for what is left to others."""
    if not is_float(x) or not x.size or type(target) is not ndarray:
        return None
    if target.dtype.char not in LABELS or not target.dtype.isnative:
        return None
    classes = x.shape[axis]
    if target.shape != x.shape[:axis] + x.shape[axis + 1 :] or classes >= 2**31:
        return None
    if weight is not None and (not is_float(weight, x.dtype.char) or weight.shape != (classes,)):
        return None
    reason = (
        f"but labels go from 0 to {classes - 1}, one for each of {classes} classes; places that "
        "are not to count have `ignore_index`"
    )
    return Call(
        dense(x),
        dense(target),
        None if weight is None else dense(weight),
        classes,
        x.size // classes,
        math.prod(x.shape[axis + 1 :]),
        NO_LABEL if ignore_index is None else ignore_index,
        faults.place(name, "target", reason),
    )


@functools.cache
def _kernel(
    body: str, name: str, char: str, shape: Shape, label: str, flags: tuple[bool, bool, int]
) -> Kernel:
    weighted, smoothed, reduced = flags
    head = HEAD.format(
        label=LABELS[label], weighted=int(weighted), smoothed=int(smoothed), reduced=reduced
    )
    return Kernel(name, source(char, shape, TEXT + head + body))


def _along(call: Call, *others: Any) -> Shape:
    """Return threads for classes that lie side by side."""
    char = call.x.dtype.char
    most = MOST[accumulated(char)]
    return shape_of(call.classes, widest(call.classes, call.x, *others), most, most)


#: One place for each thread.
def _alone(call: Call, width: int = 1) -> Shape:
    return Shape(call.classes, width, 1, 1, BLOCK)


def cross_entropy(
    logits: Any,
    target: Any,
    weight: Any,
    *,
    axis: int,
    ignore_index: int | None,
    reduction: str,
    label_smoothing: float,
) -> Any:
    """Return the cross-entropy of softmax(logits) against labels."""
    call = _call("cross_entropy", logits, target, weight, axis, ignore_index)
    if call is None:
        return NotImplemented
    x, labels, weight, _, rows, inner, ignored, fault = call
    flags = (weight is not None, bool(label_smoothing), REDUCTIONS[reduction])
    if inner == 1:
        shape = _along(call)
        packs = shape.length // shape.width
        if packs <= SHORT:
            shape = shape._replace(packs=packs, threads=1, lanes=BLOCK)
        body = _ALONG + _FORWARD.format(read=_READ_ALONG, chosen="own[label]")
    else:
        shape = _alone(call)
        body = _FORWARD.format(read=_READ_ACROSS, chosen="own[label * inner]")
    kernel = _kernel(body, "backpass_cross_entropy", x.dtype.char, shape, labels.dtype.char, flags)
    out = ndarray(() if flags[2] else target.shape, x.dtype)
    blocks = min(-(-rows // shape.lanes), BLOCKS)
    parts = workspace(blocks * 16, 1) if flags[2] else (0, 0)
    kernel.launch(
        blocks,
        shape.block,
        (
            x,
            labels,
            or_null(weight),
            out,
            *parts,
            rows,
            inner,
            ignored,
            float(label_smoothing),
            fault,
        ),
    )
    return out


def _counted(call: Call, flags: tuple[bool, bool, int]) -> Any:
    """Return how much all places count together, as an array on the GPU."""
    x, labels, weight, _, rows, inner, ignored, fault = call
    kernel = _kernel(
        "#define COUNTING 1\n" + _NLL,
        "backpass_nll_loss",
        x.dtype.char,
        _alone(call),
        labels.dtype.char,
        (flags[0], False, 1),
    )
    out = ndarray((), accumulated(x.dtype.char))
    blocks = min(-(-rows // BLOCK), PROCESSORS)
    # The kernel casts the pointer to what it counts in.
    kernel.launch(
        blocks,
        BLOCK,
        (
            x,
            labels,
            or_null(weight),
            out.data.ptr,
            *workspace(blocks * 16, 1),
            rows,
            inner,
            ignored,
            fault,
        ),
    )
    return out


def cross_entropy_vjp(
    g: Any,
    logits: Any,
    target: Any,
    weight: Any,
    *,
    axis: int,
    ignore_index: int | None,
    reduction: str,
    label_smoothing: float,
) -> Any:
    """Carry the cotangent of `cross_entropy` to the logits."""
    call = _call("cross_entropy", logits, target, weight, axis, ignore_index)
    if call is None or not is_float(g, logits.dtype.char):
        return NotImplemented
    x, labels, weight, _, rows, inner, ignored, fault = call
    flags = (weight is not None, bool(label_smoothing), REDUCTIONS[reduction])
    if g.shape != (() if flags[2] else target.shape):
        return NotImplemented
    out = ndarray(x.shape, x.dtype)
    counted = 0
    if reduction == "mean":
        plain = weight is None and ignore_index is None
        counted = 1 if plain else 2 if rows <= FEW else 3
    if inner == 1:
        shape = _along(call)
        body = _HELD if shape.fits else _TWICE
        head = "" if shape.fits else _ALONG
    else:
        shape, body, head = _alone(call), _ACROSS, ""
    text = head + _ELEMENT + _BACK.format(body=body, counted=counted)
    kernel = _kernel(
        text, "backpass_cross_entropy_vjp", x.dtype.char, shape, labels.dtype.char, flags
    )
    total = _counted(call, flags) if counted == 3 else None
    kernel.launch(
        min(-(-rows // shape.lanes), BLOCKS),
        shape.block,
        (
            *(dense(g), x, labels, or_null(weight), out, or_null(total)),
            *(rows, inner, ignored, float(label_smoothing), fault),
        ),
    )
    return out


def nll_loss(
    x: Any,
    target: Any,
    weight: Any,
    *,
    axis: int,
    ignore_index: int | None,
    reduction: str,
    label_smoothing: float = 0.0,
) -> Any:
    """Weigh and add up -x at the labels."""
    call = _call("nll_loss", x, target, weight, axis, ignore_index)
    if call is None or label_smoothing:
        return NotImplemented
    x, labels, weight, _, rows, inner, ignored, fault = call
    flags = (weight is not None, False, REDUCTIONS[reduction])
    kernel = _kernel(
        "#define COUNTING 0\n" + _NLL,
        "backpass_nll_loss",
        x.dtype.char,
        _alone(call),
        labels.dtype.char,
        flags,
    )
    out = ndarray(() if flags[2] else target.shape, x.dtype)
    blocks = min(-(-rows // BLOCK), BLOCKS)
    parts = workspace(blocks * 16, 1) if flags[2] else (0, 0)
    kernel.launch(
        blocks, BLOCK, (x, labels, or_null(weight), out, *parts, rows, inner, ignored, fault)
    )
    return out


def nll_loss_vjp(
    g: Any,
    x: Any,
    target: Any,
    weight: Any,
    *,
    axis: int,
    ignore_index: int | None,
    reduction: str,
    label_smoothing: float = 0.0,
) -> Any:
    """Carry the cotangent of `nll_loss` to the logarithms."""
    call = _call("nll_loss", x, target, weight, axis, ignore_index)
    if call is None or label_smoothing or not is_float(g, x.dtype.char):
        return NotImplemented
    flags = (weight is not None, False, REDUCTIONS[reduction])
    if g.shape != (() if flags[2] else target.shape):
        return NotImplemented
    char = x.dtype.char
    shape = _alone(call, 16 // SIZES[char])
    kernel = _kernel(_NLL_BACK, "backpass_nll_loss_vjp", char, shape, call.labels.dtype.char, flags)
    out = ndarray(x.shape, x.dtype)
    total = _counted(call, flags) if flags[2] == 2 else None
    kernel.launch(
        -(-x.size // (BLOCK * shape.width)),
        BLOCK,
        (
            *(dense(g), call.labels, or_null(call.weight), out, or_null(total)),
            *(call.rows, call.inner, call.ignored, call.fault),
        ),
    )
    return out


KERNELS: dict[str, Callable[..., Any]] = {
    "cross_entropy": cross_entropy,
    "cross_entropy.vjp": cross_entropy_vjp,
    "nll_loss": nll_loss,
    "nll_loss.vjp": nll_loss_vjp,
}
