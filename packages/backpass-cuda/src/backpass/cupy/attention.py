"""Attention without the matrix of weights in memory: one launch forward, two backward.

Operands are read by their strides, so that heads need not be moved out of the features and back:
what is made lies in memory as the operand that it belongs to.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy

from backpass.cupy import attention_cudnn, precision
from backpass.cupy.attention_sources import AXES, BACKWARD, FORWARD, ROWS, THREADS, Source
from backpass.cupy.heads import side_by_side
from backpass.cupy.launching import Kernel
from backpass.cupy.library import library, ndarray
from backpass.cupy.plans import Plans
from backpass.cupy.streams import capturing
from backpass.cupy.tensor_cores import NUMBERS

#: So many features kernels are made for.  More are left to the reference: a thread would hold too
#: much.
WIDTHS = (16, 32, 64, 128)
#: Lengths and blocks are counted in 32 bits.
MOST = 2**31
#: What is copied at once.
PIECE = 16
#: The oldest devices whose tensor cores do all of this.
CAPABILITY = 80


class Stack(NamedTuple):
    """Where the elements of a stack of matrices are, in steps of elements."""

    batch: tuple[int, ...]
    down: int
    right: int

    @property
    def steps(self) -> tuple[int, ...]:
        """Return the steps of all axes."""
        return (*self.batch, self.down, self.right)


def _stack(x: Any, batch: Sequence[int]) -> Stack | None:
    """Return an operand, spread over a batch; `None` if it lies between elements."""
    if any(stride % x.itemsize for stride in x.strides):
        return None
    steps = [0 if n == 1 else s // x.itemsize for n, s in zip(x.shape, x.strides)]
    *outer, down, right = [0] * (len(batch) + 2 - x.ndim) + steps
    return Stack(tuple(outer), down, right)


def _like(shape: Sequence[int], model: Stack) -> Stack:
    """Return a new stack without gaps, whose axes lie as those of another; features come last."""
    axes = list(range(len(shape) - 1))
    if 0 not in [step for n, step in zip(shape, model.steps[:-1]) if n > 1]:
        axes.sort(key=lambda i: -abs(model.steps[i]) if shape[i] > 1 else 0)
    steps, step = [0] * len(shape), shape[-1]
    steps[-1] = 1
    for i in reversed(axes):
        steps[i] = step
        step *= shape[i]
    return Stack(tuple(steps[:-2]), steps[-2], 1)


def _merged(
    batch: Sequence[int], stacks: Sequence[Stack]
) -> tuple[list[int], list[tuple[int, ...]]] | None:
    """Return `AXES` batch axes, and the steps of each stack along them; `None` if it takes more."""
    axes: list[tuple[int, tuple[int, ...]]] = []
    for i, n in enumerate(batch):
        steps = tuple([stack.batch[i] for stack in stacks])
        if n == 1:
            continue
        if axes and all(a == b * n for a, b in zip(axes[-1][1], steps)):
            axes[-1] = (axes[-1][0] * n, steps)
        else:
            axes.append((n, steps))
    if len(axes) > AXES:
        return None
    axes += [(1, (0,) * len(stacks))] * (AXES - len(axes))
    return [n for n, _ in axes], list(zip(*[steps for _, steps in axes]))


class Sizes(NamedTuple):
    """The batch, queries, keys, and the features of both and of the values."""

    batch: tuple[int, ...]
    n: int
    m: int
    d: int
    e: int

    @property
    def batches(self) -> int:
        """Return how many matrices there are."""
        return math.prod(self.batch)


def _sizes(query: Any, key: Any, value: Any, mask: Any) -> Sizes | None:
    """Return the sizes; `None` if they do not fit."""
    if min(query.ndim, key.ndim, value.ndim) < 2:
        return None
    batches = [x.shape[:-2] for x in (query, key, value)]
    n, m, d, e = query.shape[-2], key.shape[-2], query.shape[-1], value.shape[-1]
    try:
        batch = numpy.broadcast_shapes(*batches, () if mask is None else mask.shape[:-2])
        if mask is not None and numpy.broadcast_shapes(mask.shape[-2:], (n, m)) != (n, m):
            return None
    except ValueError:
        return None
    if key.shape[-1] != d or value.shape[-2] != m:
        return None
    return Sizes(batch, n, m, d, e)


@functools.cache
def _is_able(device: int) -> bool:
    return int(library.cuda.Device(device).compute_capability) >= CAPABILITY


def _are_taken(xs: Sequence[Any], sizes: Sizes) -> bool:
    """Tell whether the kernels are made for such operands, all of one dtype."""
    dtype = xs[0].dtype
    return (
        dtype.name in NUMBERS
        and all(x.dtype == dtype for x in xs)
        and dtype.isnative
        and 0 < sizes.d <= WIDTHS[-1]
        and 0 < sizes.e <= WIDTHS[-1]
        and min(sizes.n, sizes.m, sizes.batches) > 0
        and max(sizes.n, sizes.m) < MOST - ROWS
        and sizes.batches * (sizes.n + sizes.m) // ROWS < MOST // 4
        and sizes.batches * sizes.n * sizes.m < 2**62
        and _is_able(library.cuda.device.get_device_id())
    )


def _columns(dtype: str, width: int, backward: bool) -> int:
    """Return how many columns a tile has: as many as a thread's registers bear."""
    size = NUMBERS[dtype].size
    if size == 8:
        return 16
    if size == 4:
        return 32 if width <= 64 else 16
    return 64 if width <= 64 or not backward else 32


def _is_aligned(x: Any, stack: Stack) -> bool:
    """Tell whether 16 bytes of a row can be copied at once."""
    return (
        stack.right == 1
        and x.data.ptr % PIECE == 0
        and x.shape[-1] * x.itemsize % PIECE == 0
        and all(step * x.itemsize % PIECE == 0 for step in stack.steps[:-1])
    )


def _packed(
    names: Sequence[str],
    sizes: Sizes,
    stacks: dict[str, Stack],
    causal: bool,
    numbers: Sequence[float],
) -> Any:
    """Return the struct `Call`; `None` for too many axes."""
    absent = Stack((0,) * len(sizes.batch), 0, 0)
    listed = [stacks.get(name, absent) for name in names]
    merged = _merged(sizes.batch, listed)
    if merged is None:
        return None
    lengths, steps = merged
    integers = numpy.array(
        [
            *(sizes.n, sizes.m, sizes.d, sizes.e, causal),
            *lengths,
            *[step for own in steps for step in own],
            *[stack.down for stack in listed],
            *[stack.right for stack in listed],
        ],
        dtype=numpy.int64,
    )
    data = integers.tobytes() + numpy.array(numbers, dtype=numpy.float64).tobytes()
    fields = [("integers", "i8", len(integers)), ("numbers", "f8", len(numbers))]
    return numpy.frombuffer(data, dtype=fields)[0]


@functools.cache
def _kernel(source: Source, which: str) -> Kernel:
    name = {"forward": "attention", "backward": "attention_back"}.get(which, f"attention_{which}")
    shared = 0 if which == "products" else source.shared(which == "backward")
    return Kernel(name, source.text(which), shared=shared, fused=True)


class New(NamedTuple):
    """An array to be made."""

    shape: tuple[int, ...]
    dtype: Any
    strides: tuple[int, ...]
    size: int

    @classmethod
    def of(cls, shape: Sequence[int], dtype: Any, stack: Stack) -> New:
        """Return it for a stack without gaps."""
        strides = tuple([step * dtype.itemsize for step in stack.steps])
        return cls(tuple(shape), dtype, strides, math.prod(shape) * dtype.itemsize)

    def made(self) -> Any:
        """Return the array."""
        return ndarray(self.shape, self.dtype, library.cuda.alloc(self.size), self.strides)


class Launch(NamedTuple):
    """What to launch."""

    kernel: Kernel
    blocks: int
    call: Any


def _key(
    xs: Sequence[Any], mask: Any, causal: Any, scale: Any, dropout: Any, dropout_key: Any
) -> tuple[Any, ...] | None:
    """Return what a plan depends on; `None` for operands of other types."""
    if mask is not None:
        xs = (*xs, mask)
    found: list[Any] = [mask is None, causal, scale, dropout, precision.current]
    for x in xs:
        if type(x) is not ndarray:
            return None
        found += (x.dtype, x.shape, x.strides, x.data.ptr % PIECE)
    if dropout:
        found.append(type(dropout_key) is tuple or dropout_key.dtype)
    return tuple(found)


def _drop(dropout: float, dropout_key: Any) -> tuple[Any, ...]:
    """Return the key of dropout as the last arguments."""
    if not dropout:
        return ()
    if type(dropout_key) is tuple:
        return tuple([(int(word) + 2**63) % 2**64 - 2**63 for word in dropout_key])
    return (dropout_key.astype(numpy.int64, copy=False),)


class Forward(NamedTuple):
    """How to attend with operands of certain types and layouts; `cudnn` does it if there is one."""

    launch: Launch
    out: New
    logsumexp: tuple[tuple[int, ...], Any]
    cudnn: attention_cudnn.Attention | None


def _is_worth_cudnn(sizes: Sizes, source: Source) -> bool:
    """Tell whether cuDNN may be faster."""
    return (
        NUMBERS[source.dtype].size == 2
        and source.aligned
        and not source.mask
        and not source.dropout
        and sizes.batches * sizes.n * sizes.m >= attention_cudnn.WORTH
        and sizes.d % attention_cudnn.FEATURES == sizes.e % attention_cudnn.FEATURES == 0
        and attention_cudnn.load() is not None
    )


def _for_cudnn(
    names: Sequence[str], sizes: Sizes, stacks: dict[str, Stack]
) -> list[attention_cudnn.Operand] | None:
    """Return operands for cuDNN; `None` if it cannot read one of them."""
    merged = _merged(sizes.batch, [stacks[name] for name in names])
    if merged is None:
        return None
    lengths, steps = merged
    found = []
    for name, own in zip(names, steps, strict=True):
        rows = sizes.m if name.removeprefix("to_") in ("key", "value") else sizes.n
        features = sizes.d if name.removeprefix("to_") in ("query", "key") else sizes.e
        made = attention_cudnn.operand(lengths, own, rows, features, stacks[name].down)
        if made is None:
            return None
        found.append(made)
    return found


_forward = Plans()


def attention(
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    *,
    causal: bool,
    scale: float,
    dropout: float,
    dropout_key: Any,
) -> Any:
    """Average the values with the softmax of the scores; give the logsumexp of the rows, too."""
    known = _key((query, key, value), mask, causal, scale, dropout, dropout_key)
    if known is None:
        return NotImplemented
    plan = _forward.get(known)
    if plan is None:
        made = _plan_forward(query, key, value, mask, causal, scale, dropout, dropout_key)
        # While a graph is captured cuDNN is not asked: the next one may.
        plan = made if capturing() else _forward.keep(known, made)
    if plan is NotImplemented:
        return NotImplemented
    (kernel, blocks, call), new, (shape, dtype), cudnn = plan
    out, logsumexp = new.made(), ndarray(shape, dtype)
    if cudnn is not None:
        cudnn(query, key, value, out, logsumexp)
        return out, logsumexp
    given = 0 if mask is None else mask
    last = _drop(dropout, dropout_key)
    kernel.launch(blocks, THREADS, (query, key, value, given, out, logsumexp, call, *last))
    return out, logsumexp


def _numbers(scale: float, dropout: float) -> tuple[float, float, float]:
    return float(scale), float(dropout), 1 / (1 - dropout) if dropout < 1 else 0.0


def _source(
    sizes: Sizes, arrays: dict[str, Any], stacks: dict[str, Stack], mask: Any, backward: bool,
    dropout: float, dropout_key: Any,
) -> Source:  # fmt: skip
    dtype = arrays["query"].dtype.name
    width = next(w for w in WIDTHS if w >= max(sizes.d, sizes.e))
    by = "" if not dropout else "key" if type(dropout_key) is tuple else "array"
    return Source(
        dtype,
        width,
        _columns(dtype, width, backward),
        "" if mask is None else mask.dtype.name,
        by,
        all(_is_aligned(x, stacks[name]) for name, x in arrays.items()),
        dtype != "float32" or precision.current == "highest",
    )


def _stacks(arrays: dict[str, Any], mask: Any, sizes: Sizes) -> dict[str, Stack] | None:
    """Return where operands and the mask lie; `None` if one of them lies between elements."""
    found = {}
    for name, x in arrays.items() if mask is None else (*arrays.items(), ("mask", mask)):
        stack = _stack(x, sizes.batch)
        if stack is None:
            return None
        found[name] = stack
    return found


def _plan_forward(
    query: Any, key: Any, value: Any, mask: Any, causal: bool, scale: float, dropout: float,
    dropout_key: Any,
) -> Any:  # fmt: skip
    arrays = {"query": query, "key": key, "value": value}
    sizes = _sizes(query, key, value, mask)
    if (
        sizes is None
        or not _are_taken(list(arrays.values()), sizes)
        or not (mask is None or mask.dtype.name in (*NUMBERS, "bool"))
    ):
        return NotImplemented
    stacks = _stacks(arrays, mask, sizes)
    if stacks is None:
        return NotImplemented
    shape = (*sizes.batch, sizes.n, sizes.e)
    stacks["out"] = _like(shape, stacks["query"])
    call = _packed(FORWARD, sizes, stacks, causal, _numbers(scale, dropout))
    if call is None:
        return NotImplemented
    source = _source(sizes, arrays, stacks, mask, False, dropout, dropout_key)
    blocks = -(-sizes.n // ROWS) * sizes.batches
    cudnn = None
    if _is_worth_cudnn(sizes, source) and not capturing():
        found = _for_cudnn(("query", "key", "value", "out"), sizes, stacks)
        if found:
            cudnn = attention_cudnn.forward(source.dtype, *found, scale=scale, causal=causal)
    return Forward(
        Launch(_kernel(source, "forward"), blocks, call),
        New.of(shape, query.dtype, stacks["out"]),
        ((*sizes.batch, sizes.n, 1), _computed(query.dtype)),
        cudnn,
    )


def _computed(dtype: Any) -> Any:
    return numpy.dtype("float64" if dtype.itemsize == 8 else "float32")


class Backward(NamedTuple):
    """How to pull a cotangent back."""

    products: Launch
    pull: Launch
    #: Of queries, keys and values, where they are needed.
    made: tuple[New | None, ...]
    rows: int
    batches: int
    of_keys: int
    #: The dtype of the products.
    computed: Any
    #: Bytes from one of the cotangents to the next, if all lie in one piece of memory.
    apart: int
    cudnn: attention_cudnn.Attention | None


_backward = Plans()


def attention_back(
    query: Any,
    key: Any,
    value: Any,
    mask: Any,
    out: Any,
    logsumexp: Any,
    g: Any,
    to_logsumexp: Any,
    *,
    needs: Sequence[bool],
    causal: bool,
    scale: float,
    dropout: float,
    dropout_key: Any,
) -> Any:
    """Give the cotangents of query, key, value and mask."""
    if g is None:
        return NotImplemented
    xs = query, key, value, out, g, logsumexp
    known = _key(xs, mask, causal, scale, dropout, dropout_key)
    if known is None:
        return NotImplemented
    packed = needs[0] and needs[1] and needs[2] and side_by_side((query, key, value), 3)
    known = (*known, *needs, packed)
    plan = _backward.get(known)
    if plan is None:
        made = _plan_backward(*xs, mask, needs, packed, causal, scale, dropout, dropout_key)
        plan = made if capturing() else _backward.keep(known, made)
    if plan is NotImplemented or not _is_like(to_logsumexp, logsumexp):
        return NotImplemented
    first, (kernel, blocks, call), new, rows, batches, of_keys, computed, apart, cudnn = plan
    if apart:
        whole = library.cuda.alloc(3 * new[0].size)
        made = [
            ndarray(one.shape, one.dtype, whole + i * apart, one.strides)
            for i, one in enumerate(new)
        ]
    else:
        made = [None if one is None else one.made() for one in new]
    if cudnn is not None and to_logsumexp is None:
        cudnn(query, key, value, out, g, logsumexp, *made)
        return (*made, None)
    products = ndarray((rows,), computed)
    given = 0 if to_logsumexp is None else to_logsumexp
    first.kernel.launch(first.blocks, THREADS, (out, g, given, products, rows, first.call))
    to_mask = ndarray((*g.shape[:-1], key.shape[-2]), computed) if needs[3] else None
    kernel.launch(
        blocks,
        THREADS,
        (
            query, key, value, 0 if mask is None else mask, logsumexp, products, g,
            *[0 if one is None else one for one in (*made, to_mask)], batches, of_keys, call,
            *_drop(dropout, dropout_key),
        ),
    )  # fmt: skip
    found = [one if need else None for one, need in zip(made, needs)]
    return (*found, to_mask)


def _is_like(x: Any, y: Any) -> bool:
    """Tell whether x is not there, or lies as y does."""
    return x is None or (
        type(x) is ndarray and x.dtype == y.dtype and x.shape == y.shape and x._c_contiguous
    )


def _plan_backward(
    query: Any, key: Any, value: Any, out: Any, g: Any, logsumexp: Any, mask: Any,
    needs: Sequence[bool], packed: bool, causal: bool, scale: float, dropout: float,
    dropout_key: Any,
) -> Any:  # fmt: skip
    arrays = {"query": query, "key": key, "value": value, "out": out, "g": g}
    sizes = _sizes(query, key, value, mask)
    if sizes is None:
        return NotImplemented
    shape = (*sizes.batch, sizes.n, sizes.e)
    if (
        not _are_taken(list(arrays.values()), sizes)
        or not (mask is None or mask.dtype.name in (*NUMBERS, "bool"))
        or out.shape != shape
        or g.shape != shape
        or logsumexp.shape != (*shape[:-1], 1)
        or logsumexp.dtype != _computed(query.dtype)
        or not logsumexp._c_contiguous
    ):
        return NotImplemented
    stacks = _stacks(arrays, mask, sizes)
    if stacks is None:
        return NotImplemented
    lengths = {
        "query": (sizes.n, sizes.d), "key": (sizes.m, sizes.d), "value": (sizes.m, sizes.e)
    }  # fmt: skip
    # Keys and values come together.
    # Where the scores' cotangents are made, those of queries are.
    wanted = {
        "query": needs[0] or needs[3],
        "key": needs[1] or needs[2],
        "value": needs[1] or needs[2],
    }
    new: list[New | None] = []
    for name, own in lengths.items():
        whole = (*sizes.batch, *own)
        # What lies side by side has the strides of the operands.
        stacks[f"to_{name}"] = stacks[name] if packed else _like(whole, stacks[name])
        made = New.of(whole, query.dtype, stacks[f"to_{name}"])
        new.append(made if wanted[name] else None)
    call = _packed(BACKWARD, sizes, stacks, causal, _numbers(scale, dropout))
    if call is None:
        return NotImplemented
    source = _source(sizes, arrays, stacks, mask, True, dropout, dropout_key)
    source = source._replace(pulls_mask=bool(needs[3]))
    of_keys = -(-sizes.m // ROWS) * sizes.batches if wanted["key"] else 0
    of_queries = -(-sizes.n // ROWS) * sizes.batches if wanted["query"] else 0
    cudnn = None
    if all(needs[:3]) and not needs[3] and _is_worth_cudnn(sizes, source) and not capturing():
        found = _for_cudnn(
            ("query", "key", "value", "out", "g", "to_query", "to_key", "to_value"), sizes, stacks
        )
        if found:
            cudnn = attention_cudnn.backward(
                source.dtype, found[:5], found[5:], scale=scale, causal=causal
            )
    rows = sizes.batches * sizes.n
    plain = source._replace(width=16, mask="", dropout="", aligned=False, pulls_mask=False)
    products = Launch(_kernel(plain, "products"), -(-rows // (THREADS // 32)), call)
    return Backward(
        products,
        Launch(_kernel(source, "backward"), of_keys + of_queries, call),
        tuple(new),
        rows,
        sizes.batches,
        of_keys,
        _computed(query.dtype),
        query.shape[-3] * query.shape[-1] * query.itemsize if packed else 0,
        cudnn,
    )


KERNELS: dict[str, Callable[..., Any]] = {
    "attention": attention,
    "attention_back": attention_back,
}
