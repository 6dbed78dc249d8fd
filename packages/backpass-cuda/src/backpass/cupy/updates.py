"""The optimizers' steps in place, and copies: one launch for many arrays, whatever their shapes.

The addresses and lengths of the arrays go to the kernel by value, in a table among its parameters.
Nothing is copied to the GPU for them, so a captured graph keeps them, too.  A block looks up in the
table to which array it belongs, and where in it.

A number is compiled into a graph that captures the launch.  One that is to change from replay to
replay is given as an array of shape () on the device, and read there when the kernel runs.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy

from backpass.cupy import devices
from backpass.cupy.formulas import COMPUTED, STORED, kept, loaded
from backpass.cupy.launching import THREADS, Kernel
from backpass.cupy.library import ndarray

#: How many weights fit into one table: beyond the last, there is a launch for each so many.  A
#: kernel's parameters may have 4096 bytes, and a table for few is passed faster than one for many.
CAPACITIES = (8, 32, 96)
#: Tables are kept for so many sets of arrays: weights stay where they are, and so do gradients
#: mostly, whose memory comes from a pool.
TABLES = 64
#: A thread loads and stores so many bytes of each array at once.
WIDTH = 16


class Step(NamedTuple):
    """What is done to each element of a weight.

    Attributes
    ----------
    name
        The kernel's name.
    roles
        The names of the arrays that belong to a weight, in the order of the call.  All but the
        last, the gradient, are written.
    numbers
        The names of the numbers.
    lines
        Statements on the elements, in the type `T` in which is computed; the numbers are doubles.
    """

    name: str
    roles: tuple[str, ...]
    numbers: tuple[str, ...]
    lines: tuple[str, ...]


SGD = Step("sgd_update", ("w", "g"), ("learning_rate",), ("w -= T(learning_rate) * g;",))
MOMENTUM = Step(
    "momentum_update",
    ("w", "v", "g"),
    ("learning_rate", "momentum"),
    ("v = T(momentum) * v + T(1.0 - momentum) * g;", "w -= T(learning_rate) * v;"),
)
COPY = Step("copies", ("copy", "x"), (), ("copy = x;",))


class Table(NamedTuple):
    """The arrays of one launch.

    Attributes
    ----------
    capacity
        How many weights the table has places for.
    used
        How many there are.
    blocks
        How many blocks of threads they need.
    packed
        The struct that the kernel takes.
    """

    capacity: int
    used: int
    blocks: int
    packed: Any


def sgd_update(*arrays: Any, learning_rate: Any, weight_decay: Any = None) -> Any:
    """Subtract `learning_rate` times each gradient from its weight."""
    if weight_decay is not None:
        return NotImplemented
    return _take(SGD, arrays, (learning_rate,))


def momentum_update(*arrays: Any, learning_rate: Any, momentum: Any) -> Any:
    """Take a step along the running mean of each weight's gradients."""
    return _take(MOMENTUM, arrays, (learning_rate, momentum))


def copies(*xs: Any) -> Any:
    """Return a copy of each array, all made in one launch."""
    if not xs or any(type(x) is not ndarray for x in xs):
        return NotImplemented
    if devices.count() > 1 and len({x.data.device_id for x in xs}) > 1:
        return NotImplemented
    return _copies_there()(*xs)


@functools.cache
def _copies_there() -> Callable[..., Any]:
    """Return `_copies` for the arrays' device; how many there are is asked when it is needed."""
    return devices.place(_copies, "copies")


def _copies(*xs: Any) -> Any:
    made = [ndarray(x.shape, x.dtype) for x in xs]
    return NotImplemented if _take(COPY, (*made, *xs), ()) is NotImplemented else made


def _take(step: Step, arrays: Sequence[Any], numbers: Sequence[Any]) -> Any:
    """Launch a step; `NotImplemented`, and nothing done, for what is left to CuPy."""
    roles = len(step.roles)
    count, rest = divmod(len(arrays), roles)
    if rest or not count or type(arrays[0]) is not ndarray:
        return NotImplemented
    dtype = arrays[0].dtype
    if dtype.char not in COMPUTED:
        return NotImplemented
    for x in arrays:
        if type(x) is not ndarray or x.dtype != dtype or not x._c_contiguous:
            return NotImplemented
    shapes = [x.shape for x in arrays]
    if shapes[count:] != shapes[:count] * (roles - 1):
        return NotImplemented
    kinds = tuple([_kind(x) for x in numbers])
    if None in kinds:
        return NotImplemented
    held = [x for x in numbers if type(x) is ndarray]
    key = (
        roles,
        dtype.char,
        *[x.data.ptr for x in (*arrays, *held)],
        *[x.size for x in arrays[:count]],
    )
    tables = _tables.get(key)
    if tables is None:
        tables = _arrange(arrays, roles, held)
        if len(_tables) >= TABLES:
            _tables.clear()
        _tables[key] = tables
    if tables is NotImplemented:
        return NotImplemented
    for table in tables:
        kernel = _kernel(step, dtype.char, kinds, table.capacity)
        kernel.launch(table.blocks, THREADS, (table.packed, table.used, *numbers))
    return None


_tables: dict[tuple[Any, ...], Any] = {}


def _kind(number: Any) -> str | None:
    """Return how a number is passed: `"number"`, or the type of the array that holds it."""
    if type(number) is float:
        return "number"
    if type(number) is not ndarray or number.ndim or number.dtype.char not in "efd":
        return None
    return str(number.dtype.char)


def _arrange(arrays: Sequence[Any], roles: int, numbers: Sequence[Any]) -> Any:
    """Return the tables of arrays that fit together; `NotImplemented` if they share memory."""
    count = len(arrays) // roles
    if _overlap([*arrays, *numbers], len(arrays) - count):
        return NotImplemented
    chunk = THREADS * (WIDTH // arrays[0].itemsize)
    filled = [i for i in range(count) if arrays[i].size]
    tables = []
    for start in range(0, len(filled), CAPACITIES[-1]):
        part = filled[start : start + CAPACITIES[-1]]
        capacity = next(n for n in CAPACITIES if n >= len(part))
        places, lengths, firsts, blocks = [], [], [], 0
        for i in part:
            lengths.append(arrays[i].size)
            firsts.append(blocks)
            blocks += -(-arrays[i].size // chunk)
        for role in range(roles):
            places += [arrays[role * count + i].data.ptr for i in part]
            places += [0] * (capacity - len(part))
        packed = bytearray(_layout(roles, capacity).itemsize)
        struct.pack_into(f"{len(places)}Q{len(part)}q", packed, 0, *places, *lengths)
        struct.pack_into(f"{len(part)}i", packed, 8 * (roles + 1) * capacity, *firsts)
        table = numpy.frombuffer(packed, _layout(roles, capacity))[0]
        tables.append(Table(capacity, len(part), blocks, table))
    return tables


@functools.cache
def _layout(roles: int, capacity: int) -> Any:
    """Return the struct `Table` of a kernel as a dtype."""
    return numpy.dtype(
        [
            ("places", "u8", (roles, capacity)),
            ("lengths", "i8", (capacity,)),
            ("firsts", "i4", (capacity,)),
        ]
    )


def _overlap(arrays: Sequence[Any], written: int) -> bool:
    """Tell whether one of the first `written` arrays shares memory with another array."""
    spans = sorted(
        (x.data.ptr, x.data.ptr + x.nbytes, i < written) for i, x in enumerate(arrays) if x.size
    )
    end = written_end = 0
    for start, stop, writes in spans:
        if start < written_end or (writes and start < end):
            return True
        end = max(end, stop)
        if writes:
            written_end = max(written_end, stop)
    return False


@functools.cache
def _kernel(step: Step, char: str, kinds: tuple[str, ...], capacity: int) -> Kernel:
    """Return the kernel of a step for arrays of a type, and numbers of some kinds."""
    stored, lanes = STORED[char], WIDTH // numpy.dtype(char).itemsize
    given = ["const Table table", "long long count"]
    given += [
        f"double {name}" if kind == "number" else f"const {STORED[kind]}* {name}_"
        for name, kind in zip(step.numbers, kinds, strict=True)
    ]
    held = {name: f"*{name}_" for name, kind in zip(step.numbers, kinds) if kind != "number"}
    halves = {name for name, kind in zip(step.numbers, kinds) if kind == "e"}
    read = "\n".join(
        f"    const double {name} = {f'__half2float({code})' if name in halves else code};"
        for name, code in held.items()
    )
    written = step.roles[:-1]
    places = "\n".join(
        f"    {stored}* {x}_ = table.places[{i}][own];" for i, x in enumerate(step.roles)
    )
    aligned = " && ".join(f"(size_t){x}_ % sizeof(Pack) == 0" for x in step.roles)
    packs = "\n".join(f"        Pack {x}_pack = *(const Pack*)({x}_ + at);" for x in step.roles)

    def element(place: Callable[[str], str]) -> str:
        """Return the statements for one element of each array."""
        loads = [f"T {x} = {loaded(place(x), char)};" for x in step.roles]
        stores = [f"{place(x)} = {kept(x, char)};" for x in written]
        return "\n".join(f"            {line}" for line in (*loads, *step.lines, *stores))

    stores = "\n".join(f"        *(Pack*)({x}_ + at) = {x}_pack;" for x in written)
    name = f"backpass_{step.name}"
    source = f"""{"#include <cuda_fp16.h>" if "e" in (char, *kinds) else ""}
typedef {COMPUTED[char]} T;
struct alignas({WIDTH}) Pack {{ {stored} v[{lanes}]; }};
struct Table {{
    {stored}* places[{len(step.roles)}][{capacity}];
    long long lengths[{capacity}];
    int firsts[{capacity}];
}};

extern "C" __global__ void {name}({", ".join(given)}) {{
    // The last array whose first block is not after this one.
    int own = 0;
    for (int end = (int)count; end - own > 1;) {{
        const int middle = (own + end) / 2;
        if (table.firsts[middle] <= (int)blockIdx.x) own = middle; else end = middle;
    }}
    const long long n = table.lengths[own];
    const long long block = (int)blockIdx.x - table.firsts[own];
    const long long at = (block * blockDim.x + threadIdx.x) * {lanes};
{places}
{read}
    if (at + {lanes} <= n && {aligned}) {{
{packs}
        #pragma unroll
        for (int k = 0; k < {lanes}; ++k) {{
{element(lambda x: f"{x}_pack.v[k]")}
        }}
{stores}
    }} else {{
        for (long long i = at; i < n && i < at + {lanes}; ++i) {{
{element(lambda x: f"{x}_[i]")}
        }}
    }}
}}
"""
    return Kernel(name, source)


KERNELS: dict[str, Callable[..., Any]] = {
    "copies": copies,
    "momentum_update": momentum_update,
    "sgd_update": sgd_update,
}
