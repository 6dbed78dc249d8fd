"""Memory of the host that the device can reach: any, here."""

import numpy


class PinnedMemoryPointer(numpy.ndarray):
    """A buffer, with CuPy's `ptr`."""

    @property
    def ptr(self):
        return self.ctypes.data

    def mem(self):
        return self


class PinnedMemoryPool:
    def malloc(self, size):
        return numpy.empty(int(size), numpy.uint8).view(PinnedMemoryPointer)

    def free_all_blocks(self):
        """Nothing is kept."""

    def n_free_blocks(self):
        return 0


default_pool = PinnedMemoryPool()
_current = default_pool.malloc


def set_pinned_memory_allocator(allocator=None):
    global _current
    _current = default_pool.malloc if allocator is None else allocator


def alloc_pinned_memory(size):
    return _current(size)
