"""The GPU's memory: what CuPy's pool holds, giving it back, and what to say when none is left.

Arrays come from whatever allocator CuPy uses, its memory pool unless the program has set another.
"""

from __future__ import annotations

import re
from typing import Any

import numpy

from backpass.cupy import devices
from backpass.cupy.availability import require
from backpass.cupy.exceptions import DeviceUnavailable, OutOfMemory
from backpass.cupy.library import library

#: How the runtime, the driver and CUDA's libraries say that an allocation has failed.
_FAILED = re.compile(r"MemoryAllocation|OUT_OF_MEMORY|ALLOC(ATION)?_FAILED", re.IGNORECASE)
#: What CuPy's pool says of the failure.
_ASKED = re.compile(r"allocating ([\d,]+) bytes")
_LIMIT = re.compile(r"limit set to: ([\d,]+) bytes")
_UNSUPPORTED = re.compile(r"Unsupported dtype (\S+)")
#: What to do about a type that a GPU does not have, by NumPy's characters of types.
_INSTEAD = {
    "g": "use float64, .astype(numpy.float64)",
    "G": "use complex128, .astype(numpy.complex128)",
    "M": "use its number, .astype(numpy.int64)",
    "m": "use its number, .astype(numpy.int64)",
    "O": "make it an array of numbers, .astype(float)",
    "S": "text stays on the CPU; numbers are read from it by .astype(float)",
    "U": "text stays on the CPU; numbers are read from it by .astype(float)",
}


def memory_stats() -> dict[str, int]:
    """Return the state of the pool and of the memory of the current GPU.

    Without the pool's own numbers, where the program has set an allocator that has no pool.
    """
    pool = _pool()
    free, total = library.cuda.runtime.memGetInfo()
    own = {} if pool is None else {"in_use": pool.used_bytes(), "cached": pool.free_bytes()}
    return {**own, "device_free": free, "device_total": total}


def empty_cache() -> None:
    """Give back what the pools of all GPUs in use, and that of pinned memory, hold unused."""
    try:
        cupy = require()
    except DeviceUnavailable:
        return
    pool = _pool()
    if pool is not None:
        for number in devices.in_use():
            with cupy.cuda.Device(number):
                pool.free_all_blocks()
    cupy.get_default_pinned_memory_pool().free_all_blocks()


def _pool() -> Any:
    """Return the memory pool that arrays come from; `None` if they come from none."""
    owner = getattr(library.cuda.get_allocator(), "__self__", None)
    return owner if hasattr(owner, "used_bytes") else None


def explain(error: Exception) -> Exception | None:
    """Return the error to raise in the place of one of CuPy's: no memory, or an unknown type."""
    if isinstance(error, OutOfMemory):
        return None
    text = str(error)
    unsupported = _UNSUPPORTED.search(text)
    if unsupported and isinstance(error, TypeError | ValueError):
        return _named(unsupported[1])
    # CuPy's own error, or one that CUDA's libraries give; NumPy's is about the host's memory.
    of_the_pool = isinstance(error, MemoryError) and type(error).__module__.startswith("cupy")
    of_cuda = isinstance(error, MemoryError | RuntimeError) and _FAILED.search(text)
    if not of_the_pool and not of_cuda:
        return None
    return OutOfMemory(_account(text))


def _account(text: str) -> str:
    """Return what is said of an allocation on the current GPU that has failed with that message."""
    asked, limit = (
        None if found is None else _size(int(found[1].replace(",", "")))
        for found in (_ASKED.search(text), _LIMIT.search(text))
    )
    stats = memory_stats()
    parts = [
        f"out of memory on GPU {library.cuda.device.get_device_id()}: "
        + ("memory was asked for" if asked is None else f"{asked} were asked for")
    ]
    if "in_use" in stats:
        held = _size(stats["in_use"] + stats["cached"])
        parts.append(f"CuPy's pool holds {held}, {_size(stats['in_use'])} of them in arrays")
    if limit is not None:
        parts.append(f"its limit is {limit}")
    parts.append(
        f"the device has {_size(stats['device_total'])}, {_size(stats['device_free'])} free"
    )
    return (
        f"{'; '.join(parts)}. backpass.core.empty_cache() gives back what no array uses; "
        "backpass.core.checkpoint(fun) keeps less for the backward pass; so do smaller batches"
    )


def _size(count: int) -> str:
    """Return a number of bytes as people write it."""
    amount, unit = float(count), "bytes"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{count} bytes" if unit == "bytes" else f"{amount:.4g} {unit}"


def unsupported(dtype: Any) -> TypeError | None:
    """Return the error for a type that a GPU does not have; `None` for those that it has."""
    if not dtype.isnative:
        native = dtype.newbyteorder("=")
        return TypeError(
            f"arrays of {dtype.str} have the byte order of another machine, which a GPU does not "
            f"read: use .astype({native.name!r}) before they are moved there"
        )
    advice = _INSTEAD.get(dtype.char)
    if advice is None:
        return None
    return TypeError(f"a GPU has no arrays of {dtype}: {advice}")


def _named(name: str) -> TypeError:
    """Return the error for a type by the name that CuPy gave it."""
    try:
        found = unsupported(numpy.dtype(name.strip("'\"")))
    except TypeError:
        found = None
    return found or TypeError(
        f"a GPU has no arrays of {name}: use numbers or truth values, .astype(float) for one"
    )
