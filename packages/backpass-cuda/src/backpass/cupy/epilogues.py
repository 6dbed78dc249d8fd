"""Matrix products with an epilogue, by cuBLASLt: what belongs to a product, in the same launch.

After the product a bias is added to each row; or the rows of the left factor, transposed, are added
up on the way: the cotangents of a weight and of its bias.  Where cuBLASLt cannot be loaded, or
knows no kernel, there are none, and others compute it.

A handle of cuBLAS is one of cuBLASLt, too, and so its workspaces serve both.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import threading
from collections.abc import Callable, Iterator
from typing import Any

from backpass.cupy import blas
from backpass.cupy.blas import WORKSPACE, pointer
from backpass.cupy.library import library
from backpass.cupy.products import WIDE, Factor, Kind

#: CUBLASLT_EPILOGUE_BIAS, and _BGRADB: the second factor's sums.
BIAS, SUMS = 4, 512
#: The names to try where CuPy's search finds nothing.
_NAMES = ("libcublasLt.so.13", "libcublasLt.so.12", "cublasLt64_13.dll", "cublasLt64_12.dll")
_ROUTINES = (
    "cublasLtMatmulDescCreate cublasLtMatmulDescSetAttribute cublasLtMatrixLayoutCreate "
    "cublasLtMatmulPreferenceCreate cublasLtMatmulPreferenceSetAttribute "
    "cublasLtMatmulAlgoGetHeuristic cublasLtMatmul"
).split()
#: CUBLASLT_MATMUL_DESC_TRANSA, _TRANSB, _EPILOGUE, _BIAS_POINTER.
_TRANSPOSED_1, _TRANSPOSED_2, _EPILOGUE, _VECTOR = 3, 4, 7, 8
#: CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, _REDUCTION_SCHEME_MASK, _MIN_ALIGNMENT_A_BYTES and on.
_SPACE, _REDUCTIONS, _ALIGNMENTS = 1, 3, (5, 6, 7, 8)
#: CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE: partial sums are not rounded, and added in one order.
_IN_ORDER = 2
#: Operands must lie at multiples of so many bytes.
ALIGNMENT = 16
#: CUDA_R_32F.
_SINGLE = 0

#: From a handle, a stream, the workspace and the addresses of x, y, the result and the vector to
#: cuBLASLt's status.
Launch = Callable[[Any, int, int, int, int, int, int], int]


class _Found(ctypes.Structure):
    """A cublasLtMatmulHeuristicResult_t."""

    _fields_ = (
        ("algorithm", ctypes.c_uint64 * 8),
        ("workspace", ctypes.c_size_t),
        ("status", ctypes.c_int),
        ("waves", ctypes.c_float),
        ("reserved", ctypes.c_int * 4),
    )


@functools.cache
def load() -> Any:
    """Return cuBLASLt; `None` where it cannot be loaded."""
    if blas.load() is None:
        return None
    for name in _paths():
        with contextlib.suppress(OSError, AttributeError):
            found = ctypes.CDLL(name)
            for routine in _ROUTINES:
                getattr(found, routine)
            return found
    return None


def _paths() -> Iterator[str]:
    with contextlib.suppress(Exception):  # the search raises errors of many kinds
        pathfinder = importlib.import_module("cuda.pathfinder")
        yield pathfinder.load_nvidia_dynamic_lib("cublasLt").abs_path
    yield from _NAMES


class _Refused(Exception):
    """CuBLASLt does not do what it is asked for."""


def _call(routine: str, *arguments: Any) -> None:
    if getattr(load(), routine)(*arguments):
        raise _Refused(routine)


def _made(routine: str, *arguments: Any) -> Any:
    made = ctypes.c_void_p()
    _call(routine, ctypes.byref(made), *arguments)
    return pointer(made.value)


def _layout(kind: int, factor: Factor) -> tuple[Any, int]:
    """Return how a factor lies, by columns, and whether it is transposed."""
    stored = factor.stored()
    if stored is None or factor.stack:
        raise _Refused
    transposed, step = stored
    # By columns, an array in C order is its own transpose.
    down, right = factor.columns, factor.rows
    if transposed:
        down, right = right, down
    wide = ctypes.c_longlong
    return (
        _made("cublasLtMatrixLayoutCreate", kind, wide(down), wide(right), wide(step)),
        transposed,
    )


def product(kind: Kind, how: str, left: Factor, right: Factor, epilogue: int) -> Launch | None:
    """Return what multiplies matrices of this kind, and applies the epilogue; `None` for others."""
    sizes = left.rows, left.columns, right.columns
    if load() is None or kind.data not in _KINDS or min(sizes) < 1 or max(sizes) >= WIDE:
        return None
    try:
        return _planned(kind, how, left, right, epilogue)
    except _Refused:
        return None


#: CUDA_R_16F, _16BF, _32F: cuBLASLt has no epilogues in double precision.
_KINDS = (2, 14, 0)


def _planned(kind: Kind, how: str, left: Factor, right: Factor, epilogue: int) -> Launch:
    device = library.cuda.device.get_device_id()
    handle = blas.handle(device, library.cuda.get_current_stream().ptr)
    operation = _made("cublasLtMatmulDescCreate", kind.compute[how], _SINGLE)
    first, first_transposed = _layout(kind.data, right)
    second, second_transposed = _layout(kind.data, left)
    whole = Factor((), (), left.rows, right.columns, right.columns, 1)
    result, _ = _layout(kind.data, whole)

    def put(attribute: int, value: Any) -> None:
        size = ctypes.c_size_t(ctypes.sizeof(value))
        _call("cublasLtMatmulDescSetAttribute", operation, attribute, ctypes.byref(value), size)

    put(_TRANSPOSED_1, ctypes.c_int(first_transposed))
    put(_TRANSPOSED_2, ctypes.c_int(second_transposed))
    put(_EPILOGUE, ctypes.c_int(epilogue))
    put(_VECTOR, ctypes.c_void_p(WORKSPACE))  # any address, for the choice below
    preference = _made("cublasLtMatmulPreferenceCreate")
    wishes = [(_SPACE, ctypes.c_size_t(WORKSPACE)), (_REDUCTIONS, ctypes.c_uint32(_IN_ORDER))]
    wishes += [(attribute, ctypes.c_uint32(ALIGNMENT)) for attribute in _ALIGNMENTS]
    for attribute, value in wishes:
        size = ctypes.c_size_t(ctypes.sizeof(value))
        _call(
            "cublasLtMatmulPreferenceSetAttribute", preference, attribute, ctypes.byref(value), size
        )
    found, count = _Found(), ctypes.c_int()
    _call(
        "cublasLtMatmulAlgoGetHeuristic", handle, operation, first, second, result, result,
        preference, 1, ctypes.byref(found), ctypes.byref(count),
    )  # fmt: skip
    if not count.value or found.status:
        raise _Refused
    matmul, algorithm = load().cublasLtMatmul, ctypes.byref(found)
    attach, lock = load().cublasLtMatmulDescSetAttribute, threading.Lock()
    space, eight = ctypes.c_size_t(WORKSPACE), ctypes.c_size_t(8)
    _, _, one, zero = kind

    def launch(
        handle: Any, stream: int, workspace: int, x: int, y: int, ans: int, vector: int
    ) -> int:
        there = ctypes.c_uint64(vector)
        with lock:  # the operation holds the vector's address
            attach(operation, _VECTOR, ctypes.byref(there), eight)
            return matmul(  # type: ignore[no-any-return]
                handle, operation, one, pointer(y), first, pointer(x), second, zero, pointer(ans),
                result, pointer(ans), result, algorithm, pointer(workspace), space,
                pointer(stream),
            )  # fmt: skip

    return launch
