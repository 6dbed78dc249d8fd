"""Kernels in CUDA C++: compiled when they are first launched on a device, and launched cheaply.

A launch costs the host more than most kernels cost the GPU, so everything that a kernel knows of
its operands beforehand is compiled into it, and what is left goes to the driver in a short tuple.
"""

from __future__ import annotations

from typing import Any

from backpass.cupy.library import library

#: Threads in a block, where a kernel has no reason for another number.
THREADS = 256
#: Products and sums are rounded one by one: a fused rule then has the bits of its operations, and
#: `1 - x * (1 / x)` is 0 where they say so.  Kernels that wait for memory do not notice.
_OPTIONS = ("--std=c++17", "--fmad=false")


class Kernel:
    """A kernel: the `extern "C" __global__` function of that name in a piece of CUDA C++.

    It takes arrays as pointers, Python's ints as `long long`, its floats as `double`, and a NumPy
    structured scalar as a struct by value.
    """

    __slots__ = ("_functions", "name", "source")

    def __init__(self, name: str, source: str) -> None:
        self.name = name
        self.source = source
        #: A module belongs to a device.
        self._functions: dict[int, Any] = {}

    def __repr__(self) -> str:
        return f"<CUDA kernel {self.name}>"

    def launch(self, blocks: int, threads: int, arguments: tuple[Any, ...]) -> None:
        """Run the kernel on the current device, in the current stream."""
        function = self._functions.get(library.cuda.device.get_device_id())
        if function is None:
            function = self._compile()
        function((blocks,), (threads,), arguments)

    def _compile(self) -> Any:
        """Compile for the current device; CuPy keeps the result on disk."""
        raw = library.RawKernel(self.source, self.name, options=_OPTIONS)
        # What a RawKernel looks up at each call.
        found = self._functions[library.cuda.device.get_device_id()] = raw.kernel
        return found
