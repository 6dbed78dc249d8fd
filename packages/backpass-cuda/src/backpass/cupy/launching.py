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
_SEPARATE = "--fmad=false"
_OPTIONS = ("--std=c++17",)
#: So much shared memory a kernel has without asking for more.
_SHARED = 48 * 1024


class Kernel:
    """A kernel: the `extern "C" __global__` function of that name in a piece of CUDA C++.

    It takes arrays as pointers, Python's ints as `long long`, its floats as `double`, and a NumPy
    structured scalar as a struct by value.

    Parameters
    ----------
    name, source
        The function, and all of the text.
    shared
        Bytes of shared memory, besides what the text declares.
    fused
        Whether products and sums may be rounded together, once.
    """

    __slots__ = ("_functions", "_options", "name", "shared", "source")

    def __init__(self, name: str, source: str, *, shared: int = 0, fused: bool = False) -> None:
        self.name = name
        self.source = source
        self.shared = shared
        self._options = _OPTIONS if fused else (*_OPTIONS, _SEPARATE)
        #: A module belongs to a device.
        self._functions: dict[int, Any] = {}

    def __repr__(self) -> str:
        return f"<CUDA kernel {self.name}>"

    def launch(self, blocks: int, threads: int, arguments: tuple[Any, ...]) -> None:
        """Run the kernel on the current device, in the current stream."""
        function = self._functions.get(library.cuda.device.get_device_id())
        if function is None:
            function = self._compile()
        function((blocks,), (threads,), arguments, self.shared)

    def _compile(self) -> Any:
        """Compile for the current device; CuPy keeps the result on disk."""
        raw = library.RawKernel(self.source, self.name, options=self._options)
        if self.shared > _SHARED:
            raw.max_dynamic_shared_size_bytes = self.shared
        # What a RawKernel looks up at each call.
        found = self._functions[library.cuda.device.get_device_id()] = raw.kernel
        return found
