"""cuBLAS by ctypes: the library, a handle for each thread and device, and what errors mean.

CuPy's own way to cuBLAS refuses to be captured in a CUDA graph.  A handle must not be used by two
threads at once, and a workspace not by two streams: so each thread has a handle for each device,
and that one workspace for each stream.  Handles of threads that have ended serve the next ones.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import threading
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from backpass.cupy.library import library

#: What NVIDIA recommends for its newer devices.
WORKSPACE = 32 * 2**20
#: A thread keeps workspaces for so many streams of a device.
STREAMS = 16
#: The names to try where CuPy's search finds nothing.
_NAMES = ("libcublas.so.13", "libcublas.so.12", "cublas64_13.dll", "cublas64_12.dll")
#: What is called; those that end in _64 came with CUDA 12.
_ROUTINES = (
    "cublasCreate_v2 cublasSetMathMode cublasSetStream_v2 cublasSetWorkspace_v2 cublasGemmEx "
    "cublasGemmEx_64 cublasGemmStridedBatchedEx cublasGemmStridedBatchedEx_64 cublasGemmBatchedEx "
    "cublasGemmBatchedEx_64"
).split()
#: CUBLAS_MATH_DISALLOW_REDUCED_PRECISION_REDUCTION: partial sums are never added in half precision.
_MATH = 16
#: The stream that stands for another one in each thread.
_PER_THREAD = 2

_STATUSES = {
    1: "CUBLAS_STATUS_NOT_INITIALIZED",
    3: "CUBLAS_STATUS_ALLOC_FAILED",
    7: "CUBLAS_STATUS_INVALID_VALUE",
    8: "CUBLAS_STATUS_ARCH_MISMATCH",
    11: "CUBLAS_STATUS_MAPPING_ERROR",
    13: "CUBLAS_STATUS_EXECUTION_FAILED",
    14: "CUBLAS_STATUS_INTERNAL_ERROR",
    15: "CUBLAS_STATUS_NOT_SUPPORTED",
    16: "CUBLAS_STATUS_LICENSE_ERROR",
}
_ALLOC_FAILED = 3

#: Makes a pointer's argument, at a quarter of the cost of a `c_void_p`.
pointer = ctypes.c_void_p.from_param
#: The same for an integer of 64 bits; Python's own are passed with 32.
wide = ctypes.c_longlong.from_param


@functools.cache
def load() -> Any:
    """Return cuBLAS; `None`, and one warning, where it cannot be loaded.

    It is loaded as `CDLL`, which releases the GIL: a launch waits while the queue of the device is
    full, and what it waits for may be a Python function that was put into a stream.
    """
    problems = []
    for name in _paths():
        try:
            found = ctypes.CDLL(name)
            for routine in _ROUTINES:
                getattr(found, routine)
        except (OSError, AttributeError) as error:
            problems.append(str(error))
        else:
            return found
    warnings.warn(
        f"cuBLAS cannot be loaded ({'; '.join(problems)}): CuPy computes matrix products, without "
        "bfloat16 and TF32, and not in CUDA graphs. pip install 'backpass-core[cuda]' brings it",
        RuntimeWarning,
        stacklevel=2,
    )
    return None


def _paths() -> Iterator[str]:
    """Yield where cuBLAS may be: what CuPy has loaded comes first."""
    with contextlib.suppress(Exception):  # the search raises errors of many kinds
        pathfinder = importlib.import_module("cuda.pathfinder")
        yield pathfinder.load_nvidia_dynamic_lib("cublas").abs_path
    yield from _NAMES


def failure(routine: str, status: int, operands: Sequence[Any] = ()) -> Exception:
    """Return the error for a status that is not 0."""
    described = " and ".join(f"{x.dtype} of shape {x.shape}" for x in operands)
    message = (
        f"{routine} failed{' for ' if described else ''}{described}: "
        f"{_STATUSES.get(status, 'an unknown status')} ({status})"
    )
    if status == _ALLOC_FAILED:
        return MemoryError(
            f"{message}: there is no memory left on the device outside of CuPy's pool; "
            "backpass.core.empty_cache() gives back what waits there"
        )
    return RuntimeError(message)


def _check(routine: str, *arguments: Any) -> None:
    status = getattr(load(), routine)(*arguments)
    if status:
        raise failure(routine, status)


# ----- handles -----------------------------------------------------------------------------------


class _Handle:
    """A handle of one device, and the workspaces of the streams it has worked in."""

    __slots__ = ("argument", "stream", "workspace", "workspaces")

    def __init__(self) -> None:
        made = ctypes.c_void_p()
        _check("cublasCreate_v2", ctypes.byref(made))
        self.argument = pointer(made.value)
        self.stream: int | None = None
        self.workspaces: dict[int, Any] = {}
        #: Of the stream that it works in.
        self.workspace: Any = None
        _check("cublasSetMathMode", self.argument, _MATH)

    def enter(self, stream: int, workspaces: dict[Any, Any], key: Any) -> None:
        """Work in a stream from now on."""
        workspace = workspaces.get(key)
        keep = workspace is not None or len(workspaces) < STREAMS
        if workspace is None:
            if keep:
                # Not from the current allocator: that of a graph's capture ends with the graph.
                workspace = library.get_default_memory_pool().malloc(WORKSPACE)
                workspaces[key] = workspace
            else:
                workspace = library.cuda.alloc(WORKSPACE)
        self.stream = None
        _check("cublasSetStream_v2", self.argument, pointer(stream))
        # Setting the stream has reset the workspace.
        _check("cublasSetWorkspace_v2", self.argument, pointer(workspace.ptr), wide(WORKSPACE))
        # A workspace that is not kept is for one product, as its operands' memory may be.
        self.workspace = workspace
        if keep:
            self.stream = stream


#: Handles of threads that have ended, by device.
_idle: dict[int, list[_Handle]] = {}


class _Handles(dict[int, _Handle]):
    """A thread's handles by device: when it ends, they wait for another thread."""

    __slots__ = ()

    def __del__(self, idle: dict[int, list[_Handle]] = _idle) -> None:
        # At the interpreter's end the module may be empty already.
        for device, handle in self.items():
            handle.workspaces.pop(_PER_THREAD, None)
            handle.stream = handle.workspace = None
            idle.setdefault(device, []).append(handle)


class _Thread(threading.local):
    def __init__(self) -> None:
        self.handles = _Handles()
        #: By device and stream, while a graph is captured.
        self.own: dict[tuple[int, int], Any] | None = None


_thread = _Thread()


def handle(device: int, stream: int) -> Any:
    """Return this thread's handle, as an argument, ready for the current device and stream."""
    handles = _thread.handles
    found = handles.get(device)
    if found is None:
        found = handles[device] = _adopt(device)
    if found.stream != stream:
        own = _thread.own
        if own is None:
            found.enter(stream, found.workspaces, stream)
        else:
            found.enter(stream, own, (device, stream))
    return found.argument


def workspace(device: int) -> int:
    """Return the address of the workspace of this thread's handle, as `handle` has left it."""
    return _thread.handles[device].workspace.ptr  # type: ignore[no-any-return]


def _adopt(device: int) -> _Handle:
    try:
        return _idle[device].pop()
    except (KeyError, IndexError):
        return _Handle()


@contextlib.contextmanager
def own_workspaces() -> Iterator[object]:
    """Let this thread's products use workspaces that nothing else uses: for a CUDA graph.

    A graph writes to the workspaces that were used when it was captured, at each replay.  What is
    yielded keeps them alive.
    """
    before = _thread.own
    made: dict[tuple[int, int], Any] = {}
    _thread.own = made
    _leave_streams()
    try:
        yield made
    finally:
        _thread.own = before
        _leave_streams()


def _leave_streams() -> None:
    for found in _thread.handles.values():
        found.stream = None
