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


class Argument(NamedTuple):
    """The bytes of an argument, and what it is: p, f, i, b, s."""

    data: bytes
    kind: str
    #: The dtype of the array that a pointer points to.
    dtype: numpy.dtype | None = None


def argument(x: Any) -> Argument:
    """Return an argument as the driver gets it."""
    if x is None:
        return Argument(bytes(8), "p")
    if hasattr(x, "data") and hasattr(x.data, "ptr"):
        return Argument(x.data.ptr.to_bytes(8, "little"), "p", x.dtype)
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
        for end in ("start", "stop"):
            getattr(self._library, f"emulator_shared_{end}").restype = ctypes.c_void_p
        self._shared = self._library.emulator_shared_start()
        self.shared_size_bytes = (self._library.emulator_shared_stop() or 0) - (self._shared or 0)
        self.max_dynamic_shared_size_bytes = _SHARED - self.shared_size_bytes
        self._run = runtime().emulator_run
        self._seed = 0

    def __call__(self, grid, block, args, shared_mem=0) -> None:
        """Run the kernel."""
        self.prepare(grid, block, args, shared_mem)()

    def prepare(self, grid, block, args, shared_mem=0) -> Callable[[], None]:
        """Check a launch, and return what does it: with the arguments as they are now."""
        blocks, threads = (tuple(map(int, (*x, 1, 1)))[:3] for x in (grid, block))
        self._check_shape(blocks, threads, shared_mem)
        arguments = [argument(x) for x in args]
        self._check_arguments(arguments)
        kept = [ctypes.create_string_buffer(a.data, len(a.data)) for a in arguments]
        pointers = (ctypes.c_void_p * max(len(kept), 1))(*map(ctypes.addressof, kept))
        numbers = (ctypes.c_uint * 6)(*blocks, *threads)
        return functools.partial(self._launch, numbers, shared_mem, pointers, kept)

    def _launch(self, numbers, shared_mem, pointers, kept) -> None:
        told = ctypes.create_string_buffer(1000)
        self._seed += 1
        failed = self._run(
            self._invoke,
            pointers,
            numbers,
            ctypes.byref(numbers, 12),
            int(self._waits),
            ctypes.c_void_p(self._shared),
            ctypes.c_size_t(self.shared_size_bytes),
            ctypes.c_size_t(shared_mem),
            ctypes.c_ulonglong(self._seed),
            told,
            ctypes.c_size_t(len(told)),
        )
        if failed:
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
