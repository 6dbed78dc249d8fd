"""The dense layer: a product with the bias in its epilogue; backward, two, one with its cotangent.

The transposes are read where they lie.  Where cuBLASLt has no such epilogue, and for activations
other than ReLU, one pass over the product adds the bias and applies the activation.  Backward, one
pass takes the cotangent through the activation and adds up the bias's.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from backpass.cupy import blas, precision
from backpass.cupy.epilogues import ALIGNMENT, BIAS, SUMS, product
from backpass.cupy.formulas import COMPUTED, STORED, kept, loaded, prelude
from backpass.cupy.launching import THREADS, Kernel
from backpass.cupy.library import library, ndarray
from backpass.cupy.partials import COUNTERS, SPACE, workspace
from backpass.cupy.plans import Plans
from backpass.cupy.products import KINDS, Factor, below_each_other, factor, product_of, stack_axes

#: What is loaded and stored at once, in bytes.
WIDTH = 16
#: Blocks that keep a large GPU busy.
BUSY = 512
#: Elements are counted in 32 bits.
MOST = 2**31
#: Activations, from `x`; and the derivatives times the cotangent, from the output.  The strong zero
#: is the cotangent's; of what chooses, the derivative's.
ACTIVATIONS = {
    "relu": ("(x > T(0) || isnan(x)) ? x : T(0)", "(ans > T(0) || isnan(ans)) ? g : T(0)"),
    "tanh": ("tanh{f}(x)", "zero_multiply(g, T(1) - ans * ans)"),
    "sigmoid": ("logistic(x)", "zero_multiply(g, ans * (T(1) - ans))"),
}


# ----- products ----------------------------------------------------------------------------------


def _rows(x: Any) -> Factor | None:
    """Return all rows of an array without gaps, as one matrix; `None` for another."""
    if not x._c_contiguous or x.ndim < 2:
        return None
    columns = x.shape[-1]
    return Factor((), (), x.size // columns if columns else 0, columns, columns, 1)


def _forwards(x: Any, weight: Any) -> tuple[Factor, Factor]:
    return factor(x, True), factor(weight, False).transposed()


def _across_rows(g: Any, x: Any) -> tuple[Factor, Factor] | None:
    left, right = _rows(g), _rows(x)
    return None if left is None or right is None else (left.transposed(), right)


def _backwards(g: Any, weight: Any) -> tuple[Factor, Factor]:
    return factor(g, True), factor(weight, False)


_product = product_of(_forwards, "Multiply x by the weight, transposed.")
_to_x = product_of(_backwards, "Multiply the cotangent by the weight.")
_to_weight = product_of(_across_rows, "Multiply the cotangent's rows, transposed, by those of x.")


class Joined:
    """A product whose epilogue reads, or makes, a vector: `NotImplemented` where there is none."""

    __slots__ = ("_arrange", "_epilogue", "_plans")

    def __init__(
        self, arrange: Callable[[Any, Any], tuple[Factor, Factor] | None], epilogue: int
    ) -> None:
        self._arrange = arrange
        self._epilogue = epilogue
        self._plans = Plans()

    def __call__(self, x: Any, y: Any, vector: Any, shape: tuple[int, ...]) -> Any:
        """Return the product of two arrays, in a shape of as many elements."""
        device = library.cuda.device.get_device_id()
        there, other, third = x.data, y.data, vector.data
        at, other_at, vector_at = there.ptr, other.ptr, third.ptr
        key = (
            x.dtype, x.shape, x._c_contiguous or x.strides, y.shape, y._c_contiguous or y.strides,
            (at | other_at | vector_at) % ALIGNMENT, precision.current, device,
        )  # fmt: skip
        plan = self._plans.get(key)
        if plan is None:
            plan = self._plans.keep(key, self._plan(x, y, vector_at) or NotImplemented)
        if plan is NotImplemented or {there.device_id, other.device_id, third.device_id} != {
            device
        }:
            return NotImplemented
        ans = ndarray(shape, x.dtype)
        stream = library.cuda.get_current_stream().ptr
        handle = blas.handle(device, stream)
        space = blas.workspace(device)
        status = plan(handle, stream, space, at, other_at, ans.data.ptr, vector_at)
        if status:
            raise blas.failure("cublasLtMatmul", status, (x, y))
        return ans

    def _plan(self, x: Any, y: Any, vector: int) -> Any:
        if not x.size or not y.size or any((a.data.ptr | vector) % ALIGNMENT for a in (x, y)):
            return None
        factors = self._arrange(x, y)
        found = factors and stack_axes(*factors)
        if factors is None or found is None or factors[0].columns != factors[1].rows:
            return None
        left, right = factors
        axes = found[1]
        if any(a.stored() is None for a in factors):
            return None
        left = below_each_other(left, axes)
        if axes:
            return None
        flat = left._replace(stack=(), stack_steps=())
        return product(KINDS[x.dtype.name], precision.current, flat, right, self._epilogue)


#: Its epilogue with ReLU is left alone: of halves, it makes 0 of nan.
_product_and_bias = Joined(_forwards, BIAS)
_to_weight_and_bias = Joined(_across_rows, SUMS)


# ----- bias and activation -----------------------------------------------------------------------

_HEAD = """
typedef {stored} Stored;
#define WIDTH {width}
struct alignas(WIDTH * sizeof(Stored)) Pack {{ Stored v[WIDTH]; }};
#define EACH _Pragma("unroll") for (int k = 0; k < WIDTH; ++k)
__device__ __forceinline__ T load(Stored x) {{ return {load}; }}
__device__ __forceinline__ Stored keep(T x) {{ return {keep}; }}
__device__ __forceinline__ T zero_multiply(T g, T slope) {{ return g == T(0) ? T(0) : g * slope; }}
"""

_FINISH = """
// In place: each row has `packs` packs.
extern "C" __global__ void __launch_bounds__({threads}) linear_finish(
    Stored *__restrict__ made, const Stored *__restrict__ bias, const long long count,
    const long long packs
) {{
    const unsigned i = blockIdx.x * {threads}u + threadIdx.x;
    if (i >= count) return;
    Pack pack = ((const Pack *)made)[i];
#if {has_bias}
    const Pack own = ((const Pack *)bias)[i % (unsigned)packs];
#endif
    EACH {{
        T x = load(pack.v[k]);
#if {has_bias}
        x = x + load(own.v[k]);
#endif
        pack.v[k] = keep({activated});
    }}
    ((Pack *)made)[i] = pack;
}}
"""

#: `lanes` threads side by side take packs of columns, and the others of a block other rows.  The
#: last block of a strip of columns adds up what all have found, in their order.
_TURN = """
extern "C" __global__ void __launch_bounds__({threads}) linear_turn(
    const Stored *__restrict__ g_, const Stored *__restrict__ ans_, Stored *__restrict__ turned,
    Stored *__restrict__ sums_, void *space, unsigned *tickets, const long long rows,
    const long long packs, const long long lanes, const long long splits
) {{
    T *parts = (T *)space;
    __shared__ T held[{threads}][WIDTH];
    const unsigned lane = threadIdx.x % (unsigned)lanes, group = threadIdx.x / (unsigned)lanes;
    const unsigned groups = {threads}u / (unsigned)lanes;
    const unsigned strip = blockIdx.x / (unsigned)splits, split = blockIdx.x % (unsigned)splits;
    const unsigned column = strip * (unsigned)lanes + lane;
    const long long share = (rows + splits - 1) / splits, first = split * share;
    const long long last = first + share < rows ? first + share : rows;
    T sums[WIDTH] = {{}};
    if (column < packs) {{
        #pragma unroll 4
        for (long long row = first + group; row < last; row += groups) {{
            const long long at = row * packs + column;
            const Pack gs = ((const Pack *)g_)[at];
#if {has_activation}
            const Pack answers = ((const Pack *)ans_)[at];
            Pack made;
#endif
            EACH {{
                const T g = load(gs.v[k]);
#if {has_activation}
                const T ans = load(answers.v[k]);
                made.v[k] = keep({pulled});
                sums[k] += load(made.v[k]);
#else
                sums[k] += g;
#endif
            }}
#if {has_activation}
            ((Pack *)turned)[at] = made;
#endif
        }}
    }}
    EACH held[threadIdx.x][k] = sums[k];
    for (unsigned half = groups / 2; half > 0; half /= 2) {{
        __syncthreads();
        if (group < half) EACH held[threadIdx.x][k] += held[threadIdx.x + half * lanes][k];
    }}
    const long long width = packs * WIDTH;
    if (splits > 1) {{
        if (group == 0 && column < packs) EACH {{
            parts[split * width + column * WIDTH + k] = held[lane][k];
        }}
        __threadfence();
        __syncthreads();
        __shared__ bool is_last;
        if (threadIdx.x == 0) {{
            is_last = atomicInc(tickets + strip, (unsigned)splits - 1) == (unsigned)splits - 1;
        }}
        __syncthreads();
        if (!is_last || group != 0 || column >= packs) return;
        __threadfence();
        EACH {{
            T sum = 0;
            for (int s = 0; s < splits; ++s) {{
                sum += ((volatile T *)parts)[s * width + column * WIDTH + k];
            }}
            held[lane][k] = sum;
        }}
    }}
    if (group == 0 && column < packs) {{
        Pack made;
        EACH made.v[k] = keep(held[lane][k]);
        ((Pack *)sums_)[column] = made;
    }}
}}
"""


@functools.cache
def _kernel(name: str, stored: str, width: int, activation: str | None, has_bias: bool) -> Kernel:
    computed = "d" if stored == "d" else "f"
    forward, backward = ("x", "g") if activation is None else ACTIVATIONS[activation]
    head = _HEAD.format(
        stored=STORED[stored], width=width, load=loaded("x", stored), keep=kept("x", stored)
    )
    body = {"linear_finish": _FINISH, "linear_turn": _TURN}[name].format(
        threads=THREADS,
        has_bias=int(has_bias),
        has_activation=int(activation is not None),
        activated=forward.format(f="f" if computed == "f" else ""),
        pulled=backward,
    )
    return Kernel(name, prelude(computed, stored, head + body) + head + body)


def _width(columns: int, *arrays: Any) -> int:
    """Return how many elements can be loaded at once from all arrays, with rows of this length."""
    width: int = WIDTH // arrays[0].itemsize
    while columns % width or any(x.data.ptr % (width * x.itemsize) for x in arrays):
        width //= 2
    return width


# ----- the kernels -------------------------------------------------------------------------------


def _fits(x: Any, *others: Any) -> bool:
    return (
        type(x) is ndarray
        and x.dtype.char in COMPUTED
        and x.dtype.isnative
        and all(type(y) is ndarray and y.dtype == x.dtype for y in others)
    )


def linear(x: Any, weight: Any, bias: Any, *, activation: str | None = None) -> Any:
    """Compute activation(x @ weight.T + bias)."""
    if (
        not _fits(x, weight, *(() if bias is None else (bias,)))
        or not (activation is None or activation in ACTIVATIONS)
        or not x.ndim
        or weight.ndim != 2
        or x.shape[-1] != weight.shape[1]
        or not (bias is None or (bias.shape == weight.shape[:1] and bias._c_contiguous))
        or math.prod(x.shape[:-1]) * len(weight) >= MOST
    ):
        return NotImplemented
    if bias is not None and activation is None:
        made = _product_and_bias(x, weight, bias, (*x.shape[:-1], len(weight)))
        if made is not NotImplemented:
            return made
    made = _product(x, weight)
    if made is NotImplemented or (bias is None and activation is None):
        return made
    if not made.size:
        return made
    columns = weight.shape[0]
    width = _width(columns, made, *(() if bias is None else (bias,)))
    count = made.size // width
    kernel = _kernel("linear_finish", x.dtype.char, width, activation, bias is not None)
    given = 0 if bias is None else bias
    kernel.launch(-(-count // THREADS), THREADS, (made, given, count, columns // width))
    return made


def pull(
    g: Any,
    ans: Any,
    x: Any,
    weight: Any,
    *,
    needs: Sequence[bool],
    activation: str | None = None,
) -> Any:
    """Give the cotangents of x, weight and bias."""
    if (
        not _fits(g, ans, x, weight)
        or not (activation is None or activation in ACTIVATIONS)
        or not (g._c_contiguous and ans._c_contiguous and x._c_contiguous)
        or g.shape != ans.shape
        or not g.size
        or not x.size
        or g.size >= MOST
    ):
        return NotImplemented
    if g.ndim == 1:  # of one row
        rows = [made.reshape(1, -1) for made in (g, ans, x)]
        pulled = pull(rows[0], rows[1], rows[2], weight, needs=needs, activation=activation)
        if pulled is NotImplemented or pulled[0] is None:
            return pulled
        return (pulled[0].reshape(-1), *pulled[1:])
    to_weight = to_bias = None
    if activation is not None:
        g, to_bias = _turned(g, ans, activation)
    elif needs[2]:
        if needs[1]:
            to_bias = ndarray(g.shape[-1:], g.dtype)
            to_weight = _to_weight_and_bias(g, x, to_bias, weight.shape)
        if to_weight is None or to_weight is NotImplemented:
            to_weight, to_bias = None, _turned(g, ans, None)[1]
    if needs[1] and to_weight is None:
        to_weight = _to_weight(g, x)
    to_x = _to_x(g, weight) if needs[0] else None
    if to_x is NotImplemented or to_weight is NotImplemented:
        return NotImplemented
    return to_x, to_weight, to_bias if needs[2] else None


def _turned(g: Any, ans: Any, activation: str | None) -> tuple[Any, Any]:
    """Return the cotangent before the activation, and its sum over the rows."""
    columns = g.shape[-1]
    width = _width(columns, g, ans)
    packs, rows = columns // width, g.size // columns
    lanes = min(32, 1 << (packs - 1).bit_length())
    strips = -(-packs // lanes)
    # Each thread has 4 rows at least.
    size = 8 if g.itemsize == 8 else 4
    splits = max(
        1,
        min(
            -(-rows // (THREADS // lanes * 4)),
            -(-BUSY // strips),
            SPACE // (columns * size) if strips <= COUNTERS else 1,
        ),
    )
    made = g if activation is None else ndarray(g.shape, g.dtype)
    sums = ndarray((columns,), g.dtype)
    parts = workspace(splits * columns * size, strips) if splits > 1 else (0, 0)
    kernel = _kernel("linear_turn", g.dtype.char, width, activation, True)
    kernel.launch(
        strips * splits,
        THREADS,
        (g, ans, 0 if activation is None else made, sums, *parts, rows, packs, lanes, splits),
    )
    return made, sums


KERNELS: dict[str, Callable[..., Any]] = {"linear": linear, "linear.vjp": pull}
