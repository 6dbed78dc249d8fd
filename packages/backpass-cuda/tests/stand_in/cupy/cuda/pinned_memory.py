"""Memory of the host that the device can reach: any, here."""

import weakref

import numpy

#: Where the pieces lie: kernels may write there.
_live = {}


class PinnedMemoryPointer(numpy.ndarray):
    """A buffer, with CuPy's `ptr`."""

    @property
    def ptr(self):
        return self.ctypes.data

    def mem(self):
        return self


class PinnedMemoryPool:
    def malloc(self, size):
        made = numpy.empty(int(size), numpy.uint8).view(PinnedMemoryPointer)
        _live[id(made)] = made.ctypes.data, made.size
        weakref.finalize(made, _live.pop, id(made)).atexit = False
        return made

    def free_all_blocks(self):
        """Nothing is kept."""

    def n_free_blocks(self):
        return 0


def extents():
    """Return the addresses and the sizes of all pinned memory."""
    return list(_live.values())


default_pool = PinnedMemoryPool()
_current = default_pool.malloc


def set_pinned_memory_allocator(allocator=None):
    global _current
    _current = default_pool.malloc if allocator is None else allocator


def alloc_pinned_memory(size):
    return _current(size)
