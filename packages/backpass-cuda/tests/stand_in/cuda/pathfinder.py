"""Finds the stand-in's cuBLAS, and its cuDNN."""

import ctypes
import functools
from pathlib import Path
from types import SimpleNamespace

import cupy
from cuda_emulator.compiling import build

_device = ctypes.CFUNCTYPE(ctypes.c_int)
_record = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_size_t, ctypes.c_void_p)


def load_nvidia_dynamic_lib(libname):
    """Return where a library lies; cuDNN, which not everybody has, is for the tests to load."""
    if libname == "cublasLt":  # in one file with cuBLAS
        return load_nvidia_dynamic_lib("cublas")
    if libname != "cublas":
        raise RuntimeError(f"the stand-in has no library {libname}")
    return load(libname)


@functools.cache
def load(libname):
    """Build a library, and connect it with the stand-in for CuPy."""
    path = str(build(Path(__file__).with_name(f"{libname}.cpp").read_text(), ("-O3",)))
    made = ctypes.PyDLL(path)

    def record(stream, work):
        current = cupy.cuda.get_current_stream()
        if current.ptr != stream:
            return -1
        if not current.is_capturing():
            return 0
        cupy.cuda.stream.do(lambda: getattr(made, f"{libname}_stand_in_do")(ctypes.c_void_p(work)))
        return 1

    hooks = {"device": _device(cupy.cuda.get_device_id), "record": _record(record)}
    for name, hook in hooks.items():
        where = ctypes.c_void_p.in_dll(made, f"{libname}_stand_in_{name}")
        where.value = ctypes.cast(hook, ctypes.c_void_p).value
    return SimpleNamespace(abs_path=path, hooks=hooks)
