"""cuDNN by ctypes: the library, handles, and graphs of its backend API, built once and executed.

It is an optional library: `pip install "backpass-cuda[cudnn13]"`, or the one that PyTorch brought.
It is not looked for before the first convolution; what it does not do is left to the caller.  The
backend API ("descriptors" with numbered attributes) is the C interface that NVIDIA's own front ends
stand on; the numbers are those of `cudnn_graph.h`.

With BACKPASS_CUDNN=0 in the environment, or inside `without_cudnn()`, there is no cuDNN.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from backpass.cupy.library import library, ndarray
from backpass.cupy.plans import Plans

#: Major versions of other numbers might have other numbers for their attributes.
_MAJOR = 9
_NAMES = ("libcudnn.so.9", "cudnn64_9.dll")
_ROUTINES = (
    "cudnnGetVersion cudnnCreate cudnnSetStream cudnnBackendCreateDescriptor "
    "cudnnBackendDestroyDescriptor cudnnBackendSetAttribute cudnnBackendGetAttribute "
    "cudnnBackendFinalize cudnnBackendExecute"
).split()
#: A graph that wants a larger workspace is passed over.
WORKSPACE = 256 * 2**20

#: Data types by the dtype's name.
TYPES = {"float32": 0, "float64": 1, "float16": 2, "bfloat16": 9}

# Kinds of descriptors.
CONVOLUTION, ENGINE, ENGINECFG, ENGINEHEUR, EXECUTION_PLAN = 1, 2, 3, 4, 5
FORWARD, BACKWARD_FILTER, BACKWARD_DATA = 10, 11, 12
OPERATION_GRAPH, VARIANT_PACK, TENSOR = 15, 16, 17

# Types of attributes, and how they are stored.
_HANDLE, DATA_TYPE, INT64, FLOAT, _VOID_PTR, CONVOLUTION_MODE = 0, 1, 3, 4, 6, 7
_HEUR_MODE, _NUMERICAL_NOTE, DESCRIPTOR = 8, 11, 15
_STORED: dict[int, Any] = {
    _HANDLE: ctypes.c_void_p,
    DATA_TYPE: ctypes.c_int,
    INT64: ctypes.c_int64,
    FLOAT: ctypes.c_float,
    _VOID_PTR: ctypes.c_void_p,
    CONVOLUTION_MODE: ctypes.c_int,
    _HEUR_MODE: ctypes.c_int,
    _NUMERICAL_NOTE: ctypes.c_int,
    DESCRIPTOR: ctypes.c_void_p,
}

# Attributes.
_TENSOR_ALIGNMENT, _TENSOR_TYPE, _TENSOR_LENGTHS, _TENSOR_STRIDES, _TENSOR_ID = (
    900, 901, 902, 903, 906,
)  # fmt: skip
_GRAPH_HANDLE, _GRAPH_OPERATIONS = 800, 801
_HEUR_MODE_, _HEUR_GRAPH, _HEUR_RESULTS = 200, 201, 202
_CONFIG_ENGINE, _ENGINE_NOTES = 300, 1303
_PLAN_HANDLE, _PLAN_CONFIG, _PLAN_WORKSPACE = 400, 401, 402
_PACK_IDS, _PACK_POINTERS, _PACK_WORKSPACE = 1000, 1001, 1003

#: Ways to choose an engine: by what is known of the device, then whatever works.
_HEURISTICS, _FALLBACK = 3, 2

# Numerical notes of an engine.
TENSOR_CORE, DOWN_CONVERT_INPUTS, REDUCED_PRECISION_REDUCTION, FFT, NONDETERMINISTIC = range(5)
WINOGRAD = (5, 6, 7, 8)

_allowed = os.environ.get("BACKPASS_CUDNN", "1") != "0"


class Unsupported(Exception):
    """cuDNN does not do it."""


@contextlib.contextmanager
def without_cudnn() -> Iterator[None]:
    """Do without cuDNN for a while, in the whole process."""
    global _allowed
    before, _allowed = _allowed, False
    try:
        yield
    finally:
        _allowed = before


def is_there() -> bool:
    """Tell whether cuDNN may be used, and can."""
    return _allowed and _load() is not None


@functools.cache
def _load() -> Any:
    """Return cuDNN; `None` where it cannot be loaded."""
    for name in _paths():
        try:
            found = ctypes.CDLL(name)
            for routine in _ROUTINES:
                getattr(found, routine)
        except (OSError, AttributeError):
            continue
        found.cudnnGetVersion.restype = ctypes.c_size_t
        if found.cudnnGetVersion() // 10_000 == _MAJOR:
            return found
    return None


def _paths() -> Iterator[str]:
    """Yield where cuDNN may be."""
    with contextlib.suppress(Exception):  # the search raises errors of many kinds
        pathfinder = importlib.import_module("cuda.pathfinder")
        yield pathfinder.load_nvidia_dynamic_lib("cudnn").abs_path
    with contextlib.suppress(ImportError):
        for folder in importlib.import_module("nvidia.cudnn").__path__:
            yield from map(str, sorted(Path(folder).glob("lib/libcudnn.so.*")))
    yield from _NAMES


def _check(status: int) -> None:
    if status:
        raise Unsupported(f"status {status}")


# ----- handles -----------------------------------------------------------------------------------


class _Handle:
    """A handle of one device, and the stream that it works in."""

    __slots__ = ("stream", "value")

    def __init__(self) -> None:
        made = ctypes.c_void_p()
        _check(_load().cudnnCreate(ctypes.byref(made)))
        self.value = made
        self.stream: int | None = None


#: Handles of threads that have ended, by device.
_idle: dict[int, list[_Handle]] = {}


class _Handles(dict[int, _Handle]):
    """A thread's handles by device: when it ends, they wait for another thread."""

    __slots__ = ()

    def __del__(self, idle: dict[int, list[_Handle]] = _idle) -> None:
        for device, handle in self.items():
            handle.stream = None
            idle.setdefault(device, []).append(handle)


class _Thread(threading.local):
    def __init__(self) -> None:
        self.handles = _Handles()


_thread = _Thread()


def _handle() -> Any:
    """Return this thread's handle, ready for the current device and stream."""
    device, stream = library.cuda.device.get_device_id(), library.cuda.get_current_stream().ptr
    found = _thread.handles.get(device)
    if found is None:
        waiting = _idle.get(device)
        found = _thread.handles[device] = waiting.pop() if waiting else _Handle()
    if found.stream != stream:
        _check(_load().cudnnSetStream(found.value, ctypes.c_void_p(stream)))
        found.stream = stream
    return found.value


# ----- descriptors --------------------------------------------------------------------------------

#: An attribute: its number, its type, and its values.
Attribute = tuple[int, int, Sequence[Any]]


class Descriptor:
    """A descriptor of the backend API."""

    __slots__ = ("held", "value")

    def __init__(self, kind: int, attributes: Sequence[Attribute] = ()) -> None:
        made = ctypes.c_void_p()
        _check(_load().cudnnBackendCreateDescriptor(kind, ctypes.byref(made)))
        self.value = made
        #: What it is made of has to stay.
        self.held: list[Any] = []
        if attributes:
            for number, type_, values in attributes:
                self._set(number, type_, values)
            _check(_load().cudnnBackendFinalize(made))

    def __del__(self) -> None:
        value = getattr(self, "value", None)
        if value is not None:
            _load().cudnnBackendDestroyDescriptor(value)

    def _set(self, number: int, type_: int, values: Sequence[Any]) -> None:
        if type_ == DESCRIPTOR:
            self.held += values
            values = [x.value for x in values]
        if type_ in (DESCRIPTOR, _HANDLE):
            values = [x.value if isinstance(x, ctypes.c_void_p) else x for x in values]
        array = (_STORED[type_] * len(values))(*values)
        count = ctypes.c_int64(len(values))
        _check(_load().cudnnBackendSetAttribute(self.value, number, type_, count, array))

    def numbers(self, number: int, type_: int, most: int) -> list[int]:
        """Return the numbers of an attribute."""
        array, count = (_STORED[type_] * most)(), ctypes.c_int64()
        get = _load().cudnnBackendGetAttribute
        arguments = ctypes.c_int64(most), ctypes.byref(count), array
        _check(get(self.value, number, type_, *arguments))
        return list(array[: min(count.value, most)])

    def descriptors(self, number: int, kind: int, most: int) -> list[Descriptor]:
        """Return the descriptors of an attribute."""
        made = [Descriptor(kind) for _ in range(most)]
        array, count = (ctypes.c_void_p * most)(*[x.value.value for x in made]), ctypes.c_int64()
        get = _load().cudnnBackendGetAttribute
        arguments = ctypes.c_int64(most), ctypes.byref(count), array
        _check(get(self.value, number, DESCRIPTOR, *arguments))
        return made[: min(count.value, most)]


def tensor(number: int, dtype: Any, lengths: Sequence[int], strides: Sequence[int]) -> Descriptor:
    """Describe an array of this number, with its strides in elements, aligned to 16 bytes."""
    return Descriptor(
        TENSOR,
        [
            (_TENSOR_TYPE, DATA_TYPE, [TYPES[dtype.name]]),
            (_TENSOR_LENGTHS, INT64, lengths),
            (_TENSOR_STRIDES, INT64, strides),
            (_TENSOR_ID, INT64, [number]),
            (_TENSOR_ALIGNMENT, INT64, [16]),
        ],
    )


# ----- graphs -------------------------------------------------------------------------------------


class Graph:
    """An operation, with the first engine that does it as it should.

    Parameters
    ----------
    operation
        Of arrays that are numbered from 1 on.
    refused
        Numerical notes that the engine must not have.

    Raises
    ------
    Unsupported
        If no engine is left.
    """

    def __init__(self, operation: Descriptor, refused: frozenset[int]) -> None:
        handle = _handle()
        graph = Descriptor(
            OPERATION_GRAPH,
            [(_GRAPH_OPERATIONS, DESCRIPTOR, [operation]), (_GRAPH_HANDLE, _HANDLE, [handle])],
        )
        for mode in (_HEURISTICS, _FALLBACK):
            for config in _configurations(graph, mode):
                if refused & _notes(config):
                    continue
                try:
                    plan = Descriptor(
                        EXECUTION_PLAN,
                        [(_PLAN_HANDLE, _HANDLE, [handle]), (_PLAN_CONFIG, DESCRIPTOR, [config])],
                    )
                except Unsupported:
                    continue
                (self._workspace,) = plan.numbers(_PLAN_WORKSPACE, INT64, 1)
                if self._workspace <= WORKSPACE:
                    self._plan, self._packs = plan, Plans()
                    return
        raise Unsupported("no engine does this")

    def __call__(self, *arrays: Any) -> None:
        """Execute it, in the current stream."""
        workspace = ndarray((self._workspace,), "uint8")
        addresses = (*[x.data.ptr for x in arrays], workspace.data.ptr)
        pack = self._packs.get(addresses)
        if pack is None:
            pack = self._packs.keep(addresses, self._pack(*addresses))
        status = _load().cudnnBackendExecute(_handle(), self._plan.value, pack.value)
        if status:
            raise RuntimeError(f"cuDNN failed with status {status}")

    def _pack(self, *addresses: int) -> Descriptor:
        """Describe arrays and a workspace by their addresses; a pool gives the same ones often."""
        *arrays, workspace = addresses
        return Descriptor(
            VARIANT_PACK,
            [
                (_PACK_IDS, INT64, range(1, len(arrays) + 1)),
                (_PACK_POINTERS, _VOID_PTR, arrays),
                (_PACK_WORKSPACE, _VOID_PTR, [workspace or None]),
            ],
        )


def _configurations(graph: Descriptor, mode: int) -> list[Descriptor]:
    """Return configurations of engines, the best first."""
    try:
        found = Descriptor(
            ENGINEHEUR, [(_HEUR_GRAPH, DESCRIPTOR, [graph]), (_HEUR_MODE_, _HEUR_MODE, [mode])]
        )
        made = found.descriptors(_HEUR_RESULTS, ENGINECFG, 24)
    except Unsupported:
        return []
    for config in made:
        config.held.append(found)
    return made


def _notes(config: Descriptor) -> frozenset[int]:
    """Return the numerical notes of an engine."""
    (engine,) = config.descriptors(_CONFIG_ENGINE, ENGINE, 1)
    return frozenset(engine.numbers(_ENGINE_NOTES, _NUMERICAL_NOTE, 32))
