"""Many arrays in one launch, whatever their shapes: their addresses and lengths, in a table.

The table goes to the kernel by value, among its parameters.  Nothing is copied to the GPU for it,
so a captured graph keeps it, too.  A block looks up in the table to which array it belongs, and
where in it.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy

from backpass.cupy.formulas import COMPUTED, SIZES, STORED
from backpass.cupy.launching import THREADS
from backpass.cupy.library import ndarray

#: A kernel's parameters may have 4096 bytes; the numbers are among them, too.
LARGEST = 3840
#: Tables are kept for so many sets of arrays: weights stay where they are, and so do gradients
#: mostly, whose memory comes from a pool.
TABLES = 64
#: A thread loads and stores so many bytes at once of the array with the largest elements.
WIDTH = 16


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


def types_of(arrays: Sequence[Any], roles: int) -> str | None:
    """Return the type of each role's arrays; `None` for what no kernel takes.

    The arrays come role by role, as many of each; those of one role have one type, and those at one
    place one shape.  Half and single precision go together.
    """
    count, rest = divmod(len(arrays), roles)
    if rest or not count:
        return None
    found = ""
    for i, x in enumerate(arrays):
        if type(x) is not ndarray or not x._c_contiguous:
            return None
        if i % count == 0:
            found += x.dtype.char
        elif x.dtype.char != found[-1]:
            return None
        if x.shape != arrays[i % count].shape:
            return None
    kinds = set(found)
    return found if kinds <= COMPUTED.keys() and (len(kinds) == 1 or "d" not in kinds) else None


@functools.cache
def capacities(roles: int) -> tuple[int, ...]:
    """Return how many weights the tables have places for; beyond the last, there are several.

    A table for few is passed faster than one for many.
    """
    most = LARGEST // _layout(roles, 1).itemsize
    return 8, 32, min(96, most // 8 * 8)


def lanes(types: str) -> int:
    """Return how many elements of each array a thread loads at once."""
    return WIDTH // max(SIZES[t] for t in types)


def tables_of(
    arrays: Sequence[Any], types: str, written: int, others: Sequence[Any] = (), rounds: int = 1
) -> Any:
    """Return the tables of arrays that fit together; `NotImplemented` if they share memory.

    Parameters
    ----------
    arrays, types
        As in `types_of`.
    written
        How many roles, the first ones, are written.
    others
        Arrays that the kernel takes beside them, which must not be written.
    rounds
        How many times a thread loads.
    """
    count = len(arrays) // len(types)
    key = (
        types,
        written,
        rounds,
        *[x.data.ptr for x in (*arrays, *others)],
        *[x.size for x in arrays[:count]],
    )
    found = _tables.get(key)
    if found is None:
        found = NotImplemented
        if not _overlap([*arrays, *others], written * count):
            found = _arrange(arrays, types, rounds)
        if len(_tables) >= TABLES:
            _tables.clear()
        _tables[key] = found
    return found


_tables: dict[tuple[Any, ...], Any] = {}


def _arrange(arrays: Sequence[Any], types: str, rounds: int) -> list[Table]:
    roles = len(types)
    count = len(arrays) // roles
    chunk = THREADS * lanes(types) * rounds
    filled = [i for i in range(count) if arrays[i].size]
    tables = []
    sizes = capacities(roles)
    for start in range(0, len(filled), sizes[-1]):
        part = filled[start : start + sizes[-1]]
        capacity = next(n for n in sizes if n >= len(part))
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


def declarations(types: str, capacity: int) -> str:
    """Return a kernel's types: `T`, in which it computes, `Table`, and the packs it loads."""
    packs = "\n".join(
        f"struct alignas({SIZES[t] * lanes(types)}) {pack(t)} {{ {STORED[t]} v[{lanes(types)}]; }};"
        for t in sorted(set(types))
    )
    return f"""
typedef {"double" if "d" in types else "float"} T;
{packs}
struct Table {{
    void* places[{len(types)}][{capacity}];
    long long lengths[{capacity}];
    int firsts[{capacity}];
}};
"""


def pack(stored: str) -> str:
    """Return the name of the struct of elements that are loaded at once."""
    return f"Pack_of_{STORED[stored].strip('_')}"


#: Where a block belongs: to array `own`, of `n` elements, as its block number `block`.
LOOKUP = """
    // The last array whose first block is not after this one.
    int own = 0;
    for (int end = (int)count; end - own > 1;) {
        const int middle = (own + end) / 2;
        if (table.firsts[middle] <= (int)blockIdx.x) own = middle; else end = middle;
    }
    const long long n = table.lengths[own];
    const long long block = (int)blockIdx.x - table.firsts[own];
"""
