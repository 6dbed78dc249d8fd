"""CUDA's devices, memory and streams, as CuPy shows them: STAND_IN_DEVICES of them, 1 by default.

Work is done when it is asked for, so that streams and events only remember who is current.
"""

from cupy.cuda import compiler, device, function, graph, memory, pinned_memory, runtime, stream
from cupy.cuda.device import Device, get_device_id
from cupy.cuda.function import Function, Module
from cupy.cuda.graph import Graph
from cupy.cuda.memory import (
    Memory,
    MemoryPointer,
    MemoryPool,
    UnownedMemory,
    alloc,
    get_allocator,
    set_allocator,
    using_allocator,
)
from cupy.cuda.pinned_memory import (
    PinnedMemoryPointer,
    PinnedMemoryPool,
    alloc_pinned_memory,
    set_pinned_memory_allocator,
)
from cupy.cuda.stream import Event, ExternalStream, Stream, get_current_stream, get_elapsed_time

nvrtc = curand = cublas = object()


def is_available():
    return True


__all__ = [
    "Device",
    "Event",
    "ExternalStream",
    "Function",
    "Graph",
    "Memory",
    "MemoryPointer",
    "MemoryPool",
    "Module",
    "PinnedMemoryPointer",
    "PinnedMemoryPool",
    "Stream",
    "UnownedMemory",
    "alloc",
    "alloc_pinned_memory",
    "compiler",
    "cublas",
    "curand",
    "device",
    "function",
    "get_allocator",
    "get_current_stream",
    "get_device_id",
    "get_elapsed_time",
    "graph",
    "is_available",
    "memory",
    "nvrtc",
    "pinned_memory",
    "runtime",
    "set_allocator",
    "set_pinned_memory_allocator",
    "stream",
    "using_allocator",
]
