"""Memory of the devices: NumPy's, with a border on both sides that nobody may write to.

What is new holds nan, or numbers as odd, until it is written.
"""

import collections
import contextlib
import ctypes
import threading
import weakref

import numpy

from cupy.cuda import device as _device
from cupy.cuda import pinned_memory as _pinned_memory

_UNIT = 512
_BORDER = 0xA5
_INTACT = bytes([_BORDER] * _UNIT)
#: Bytes on each device.
allocated = collections.Counter()
_live = weakref.WeakSet()


class OutOfMemoryError(MemoryError):
    def __init__(self, size, total, limit=0):
        limited = f", limit set to: {limit:,} bytes" if limit else ""
        super().__init__(
            f"Out of memory allocating {size:,} bytes (allocated so far: {total:,} bytes{limited})."
        )


def _round_size(size):
    return -(-size // _UNIT) * _UNIT


class BaseMemory:
    """A piece of memory: `ptr`, `size` and `device_id`."""

    @property
    def device(self):
        return _device.Device(self.device_id)


class Memory(BaseMemory):
    """Memory from the device itself."""

    def __init__(self, size):
        from cupy.cuda import runtime

        self.device_id, self.size, self.ptr = _device.get_device_id(), size, 0
        if not size:
            return
        if allocated[self.device_id] + size > runtime.MEMORY:
            raise runtime.CUDARuntimeError(2)
        whole = numpy.empty(size + 3 * _UNIT, numpy.uint8)
        skipped = -whole.ctypes.data % _UNIT + _UNIT
        self._borders = whole[skipped - _UNIT : skipped], whole[skipped + size :][:_UNIT]
        for border in self._borders:
            border.fill(_BORDER)
        self.bytes = whole[skipped : skipped + size]
        self.ptr = self.bytes.ctypes.data
        allocated[self.device_id] += size
        _live.add(self)
        weakref.finalize(self, allocated.subtract, {self.device_id: size}).atexit = False

    def check(self):
        """Raise if a kernel wrote next to it."""
        for border in self._borders if self.size else ():
            if border.tobytes() != _INTACT:
                border.fill(_BORDER)
                raise RuntimeError("a kernel wrote outside of the memory that it was given")


def extents():
    """Return the addresses and the sizes of all memory that the current device reaches."""
    number = _device.get_device_id()
    own = [(memory.ptr, memory.size) for memory in list(_live) if memory.device_id == number]
    return own + _pinned_memory.extents()


class UnownedMemory(BaseMemory):
    """Memory that somebody else keeps."""

    def __init__(self, ptr, size, owner, device_id=-1):
        self.ptr, self.size, self._owner = ptr, size, owner
        self.device_id = device_id if device_id >= 0 else _device.get_device_id()
        self.bytes = numpy.ctypeslib.as_array((ctypes.c_ubyte * size).from_address(ptr))

    def check(self):
        """There is no border."""


class PooledMemory(BaseMemory):
    """Memory that goes back to its pool.

    Of a pool it has a weak reference only, as CuPy's.
    """

    def __init__(self, block, size, pool):
        self._block = block
        self.device_id, self.ptr, self.size = block.device_id, block.ptr, size
        self.bytes = block.bytes if block.size else None
        self.check = block.check
        # Not in __del__: garbage that is collected may hold this, and the block must outlive it.
        weakref.finalize(self, _give_back, weakref.ref(pool), block).atexit = False


def _give_back(pool, block):
    if (found := pool()) is not None:
        found._give_back(block)


class MemoryPointer:
    """A place in a piece of memory."""

    def __init__(self, mem, offset):
        self.mem, self.offset = mem, offset
        self.ptr, self.device_id = mem.ptr + offset, mem.device_id

    @property
    def device(self):
        return self.mem.device

    def __int__(self):
        return self.ptr

    def __add__(self, offset):
        return MemoryPointer(self.mem, self.offset + offset)

    __radd__ = __add__

    def __sub__(self, offset):
        return self + -offset

    def memset(self, value, size):
        from cupy.cuda import runtime

        runtime.memset(self.ptr, value, size)

    def memset_async(self, value, size, stream=None):
        self.memset(value, size)

    def _copy(self, target, source, size, kind):
        from cupy.cuda import runtime

        addresses = [
            x if isinstance(x, int) else getattr(x, "ptr", None) or x.value
            for x in (target, source)
        ]
        runtime.memcpy(*addresses, size, kind)

    def copy_from_device(self, src, size):
        self._copy(self, src, size, 3)

    def copy_from_device_async(self, src, size, stream=None):
        self._copy(self, src, size, 3)

    def copy_from_host(self, mem, size):
        self._copy(self, mem, size, 1)

    def copy_from_host_async(self, mem, size, stream=None):
        self._copy(self, mem, size, 1)

    def copy_to_host(self, mem, size):
        self._copy(mem, self, size, 2)

    def copy_to_host_async(self, mem, size, stream=None):
        self._copy(mem, self, size, 2)


class MemoryPool:
    """Keeps what has been given back, for what has the same size."""

    def __init__(self, allocator=None):
        self._free = collections.defaultdict(list)
        self._total, self._used = collections.Counter(), collections.Counter()
        self._limits = collections.Counter()
        self._allocator = allocator

    def malloc(self, size):
        from cupy.cuda import runtime

        number, size = _device.get_device_id(), int(size)
        rounded = _round_size(size)
        free = self._free[number, rounded]
        if free:
            block = free.pop()
        else:
            limit = self._limits[number]
            try:
                if limit and self._total[number] + rounded > limit:
                    raise runtime.CUDARuntimeError(2)
                block = Memory(rounded)
            except (runtime.CUDARuntimeError, MemoryError):
                self.free_all_blocks()
                try:
                    if limit and self._total[number] + rounded > limit:
                        raise runtime.CUDARuntimeError(2)
                    block = Memory(rounded)
                except (runtime.CUDARuntimeError, MemoryError):
                    raise OutOfMemoryError(rounded, self._total[number], limit) from None
            self._total[number] += rounded
        self._used[number] += rounded
        return MemoryPointer(PooledMemory(block, size, self), 0)

    def _give_back(self, block):
        self._used[block.device_id] -= block.size
        self._free[block.device_id, block.size].append(block)

    def _blocks(self):
        number = _device.get_device_id()
        return [b for (n, size), found in self._free.items() if n == number and size for b in found]

    def free_all_blocks(self, stream=None):
        number = _device.get_device_id()
        self._total[number] -= self.free_bytes()
        for key in [key for key in self._free if key[0] == number]:
            del self._free[key]

    def n_free_blocks(self):
        return len(self._blocks())

    def used_bytes(self):
        return self._used[_device.get_device_id()]

    def free_bytes(self):
        return sum(block.size for block in self._blocks())

    def total_bytes(self):
        return self._total[_device.get_device_id()]

    def set_limit(self, size=None, fraction=None):
        from cupy.cuda import runtime

        limit = int(fraction * runtime.MEMORY) if fraction is not None else int(size or 0)
        self._limits[_device.get_device_id()] = limit

    def get_limit(self):
        return self._limits[_device.get_device_id()]


def _malloc(size):
    from cupy.cuda import runtime

    try:
        return MemoryPointer(Memory(int(size)), 0)
    except (runtime.CUDARuntimeError, MemoryError):
        raise OutOfMemoryError(size, allocated[_device.get_device_id()]) from None


default_pool = MemoryPool()
_current = default_pool.malloc
_own = threading.local()


def get_allocator():
    return getattr(_own, "allocator", None) or _current


def set_allocator(allocator=None):
    global _current
    if getattr(_own, "allocator", None) is not None:
        raise ValueError("Can't change the allocator inside `using_allocator` context manager")
    _current = _malloc if allocator is None else allocator


@contextlib.contextmanager
def using_allocator(allocator=None):
    before = getattr(_own, "allocator", None)
    _own.allocator = _malloc if allocator is None else allocator
    try:
        yield
    finally:
        _own.allocator = before


def alloc(size):
    return get_allocator()(size)
