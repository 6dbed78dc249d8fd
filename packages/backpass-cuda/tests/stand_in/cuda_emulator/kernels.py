"""A compiled kernel, called as CuPy calls it: `f((blocks,), (threads,), arguments)`."""

import ctypes
import functools
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy

from cuda_emulator.compiling import load, runtime

#: Whatever makes threads wait for each other.
_WAITS = re.compile(r"__sync|_sync\s*\(|__activemask|__reduce_|cooperative_groups")
_BOUNDS = r"__launch_bounds__\s*\(\s*(\d+)[^)]*\)\s*(?:void\s+)?{}\s*\("
_LIMITS = (2**31 - 1, 65535, 65535)
_THREADS = 1024
_SHARED = 48 * 1024


class LaunchError(RuntimeError):
    """A kernel cannot be launched, or failed."""


class Struct(ctypes.Structure):
    """A parameter, as the compiled kernel describes it."""

    _fields_ = (("size", ctypes.c_uint), ("kind", ctypes.c_char), ("pointee", ctypes.c_char))


class Range(ctypes.Structure):
    """Memory that a kernel may touch, and the argument's number: -1 for what lies in none."""

    _fields_ = (("start", ctypes.c_size_t), ("size", ctypes.c_size_t), ("argument", ctypes.c_int))


class Launch(ctypes.Structure):
    """What the runtime runs: runtime.h has the same."""

    _fields_ = (
        ("kernel", ctypes.c_void_p),
        ("arguments", ctypes.c_void_p),
        ("blocks", ctypes.c_void_p),
        ("threads", ctypes.c_void_p),
        ("with_fibers", ctypes.c_int),
        ("shared", ctypes.c_void_p),
        ("shared_size", ctypes.c_size_t),
        ("dynamic_size", ctypes.c_size_t),
        ("image", ctypes.c_void_p),
        ("image_size", ctypes.c_size_t),
        ("ranges", ctypes.c_void_p),
        ("range_count", ctypes.c_size_t),
        ("seed", ctypes.c_uint64),
        ("message", ctypes.c_void_p),
        ("message_size", ctypes.c_size_t),
    )


class Argument(NamedTuple):
    """The bytes of an argument, and what it is: p, f, i, b, s."""

    data: bytes
    kind: str
    #: The dtype of the array that a pointer points to, and the memory of its elements.
    dtype: numpy.dtype | None = None
    extent: tuple[int, int] | None = None


def argument(x: Any) -> Argument:
    """Return an argument as the driver gets it."""
    if x is None:
        return Argument(bytes(8), "p")
    if hasattr(x, "data") and hasattr(x.data, "ptr"):
        pointer = x.data.ptr
        return Argument(pointer.to_bytes(8, "little"), "p", x.dtype, _extent(pointer, x))
    if hasattr(x, "ptr"):
        return Argument(int(x.ptr).to_bytes(8, "little"), "p")
    if isinstance(x, numpy.void):
        return Argument(x.tobytes(), "s")
    if isinstance(x, bool | numpy.bool_):
        return Argument(bytes([bool(x)]), "b")
    if isinstance(x, int):
        return Argument(numpy.int64(x).tobytes(), "i")
    if isinstance(x, float):
        return Argument(numpy.float64(x).tobytes(), "f")
    if isinstance(x, numpy.generic):
        kind = {"f": "f", "i": "i", "u": "i"}.get(x.dtype.kind, "s")
        return Argument(x.tobytes(), "s" if x.dtype == "float16" else kind)
    raise TypeError(f"Unsupported type {type(x)}")


def _extent(pointer: int, x: Any) -> tuple[int, int]:
    """Return the address of an array's memory, and its bytes."""
    if not x.size:
        return pointer, 0
    steps = [(n - 1) * stride for n, stride in zip(x.shape, x.strides, strict=True)]
    first = sum(step for step in steps if step < 0)
    return pointer + first, sum(map(abs, steps)) + x.itemsize


class Function:
    """A kernel."""

    def __init__(self, source: str, name: str, options: tuple[str, ...] = ()) -> None:
        self.name = name
        self._library = load(source, name, options)
        self._invoke = ctypes.cast(self._library.emulator_invoke, ctypes.c_void_p)
        self._waits = bool(_WAITS.search(source))
        found = (Struct * self._library.emulator_parameters(None))()
        self._library.emulator_parameters(found)
        self.parameters = list(found)
        bounds = re.search(_BOUNDS.format(re.escape(name)), source)
        self.max_threads_per_block = int(bounds[1]) if bounds else _THREADS
        self._image, self._image_size = self._ends("image")
        self._shared, self.shared_size_bytes = self._ends("shared")
        self.max_dynamic_shared_size_bytes = _SHARED - self.shared_size_bytes
        self._run = runtime().emulator_run
        self._seed = 0

    def _ends(self, name: str) -> tuple[int, int]:
        """Return where a part of the library begins, and its bytes."""
        ends = [getattr(self._library, f"emulator_{name}_{end}") for end in ("start", "stop")]
        for end in ends:
            end.restype = ctypes.c_void_p
        start, stop = (end() or 0 for end in ends)
        return start, stop - start

    def __call__(self, grid, block, args, shared_mem=0) -> None:
        """Run the kernel."""
        self.prepare(grid, block, args, shared_mem)()

    def prepare(self, grid, block, args, shared_mem=0, memory=None) -> Callable[[], None]:
        """Check a launch, and return what does it: with the arguments as they are now.

        `memory` gives the addresses and sizes of all memory, for kernels that get pointers
        elsewhere than in arrays.
        """
        blocks, threads = (tuple(map(int, (*x, 1, 1)))[:3] for x in (grid, block))
        self._check_shape(blocks, threads, shared_mem)
        arguments = [argument(x) for x in args]
        self._check_arguments(arguments)
        kept = [ctypes.create_string_buffer(a.data, len(a.data)) for a in arguments]
        pointers = (ctypes.c_void_p * max(len(kept), 1))(*map(ctypes.addressof, kept))
        numbers = (ctypes.c_uint * 6)(*blocks, *threads)
        ranges = [(*a.extent, i) for i, a in enumerate(arguments) if a.extent and a.extent[1]]
        bare = any(
            a.kind == "s" or (p.kind == b"p" and a.extent is None)
            for a, p in zip(arguments, self.parameters, strict=True)
        )
        return functools.partial(
            self._launch, numbers, shared_mem, pointers, kept, ranges, memory if bare else None
        )

    def _launch(self, numbers, shared_mem, pointers, kept, ranges, memory) -> None:
        if memory is not None:
            ranges = [*ranges, *((start, size, -1) for start, size in memory())]
        told = ctypes.create_string_buffer(1000)
        listed = (Range * len(ranges))(*ranges)
        self._seed += 1
        launch = Launch(
            kernel=self._invoke.value,
            arguments=ctypes.addressof(pointers),
            blocks=ctypes.addressof(numbers),
            threads=ctypes.addressof(numbers) + 12,
            with_fibers=self._waits,
            shared=self._shared,
            shared_size=self.shared_size_bytes,
            dynamic_size=shared_mem,
            image=self._image,
            image_size=self._image_size,
            ranges=ctypes.addressof(listed),
            range_count=len(ranges),
            seed=self._seed,
            message=ctypes.addressof(told),
            message_size=len(told),
        )
        if self._run(ctypes.byref(launch)):
            raise LaunchError(f"{self.name}: {told.value.decode()}")

    def _check_shape(self, blocks, threads, shared_mem) -> None:
        if not all(0 < n <= limit for n, limit in zip(blocks, _LIMITS, strict=True)):
            raise LaunchError(f"CUDA_ERROR_INVALID_VALUE: {self.name}: a grid of {blocks} blocks")
        count = threads[0] * threads[1] * threads[2]
        if not 0 < count <= self.max_threads_per_block:
            raise LaunchError(
                f"CUDA_ERROR_INVALID_VALUE: {self.name}: a block of {threads} threads, where "
                f"{self.max_threads_per_block} is the most"
            )
        if not 0 <= shared_mem <= self.max_dynamic_shared_size_bytes:
            raise LaunchError(
                f"CUDA_ERROR_INVALID_VALUE: {self.name}: {shared_mem} bytes of dynamic and "
                f"{self.shared_size_bytes} of static shared memory"
            )

    def _check_arguments(self, arguments: list[Argument]) -> None:
        """Refuse what a GPU would read wrongly without a word."""
        if len(arguments) != len(self.parameters):
            raise LaunchError(
                f"{self.name} takes {len(self.parameters)} arguments, got {len(arguments)}"
            )
        for i, (given, parameter) in enumerate(zip(arguments, self.parameters, strict=True)):
            kind, pointee = parameter.kind.decode(), parameter.pointee.decode()
            fits = given.kind == kind or kind == "s" or (kind == "p" and given.kind == "i")
            if not fits or len(given.data) != parameter.size:
                raise LaunchError(
                    f"{self.name}: argument {i} is {len(given.data)} bytes of kind "
                    f"{given.kind!r}, the parameter {parameter.size} bytes of kind {kind!r} "
                    "(p pointer, i integer, f floating, b bool, s struct)"
                )
            if given.dtype is not None and pointee != "?":
                dtype = given.dtype.char.lower() if given.dtype.kind == "c" else given.dtype.char
                if dtype.replace("?", "b") != pointee:
                    raise LaunchError(
                        f"{self.name}: argument {i} is an array of {given.dtype}, the parameter "
                        f"a pointer to type {pointee!r}"
                    )
