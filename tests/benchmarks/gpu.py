"""What the benchmarks on a GPU share: which GPU it is, and waiting for it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any


def print_gpu() -> None:
    """Print the GPU, and the versions that decide how fast it is."""
    cupy = importlib.import_module("cupy")
    runtime = cupy.cuda.runtime
    found = runtime.getDeviceProperties(runtime.getDevice())
    print(
        f"{found['name'].decode()}, {found['multiProcessorCount']} multiprocessors, "
        f"{found['totalGlobalMem'] / 2**30:.0f} GiB, driver for CUDA {_version(runtime)}, "
        f"runtime {_version(runtime, of='runtime')}, CuPy {cupy.__version__}"
    )


def _version(runtime: Any, of: str = "driver") -> str:
    number = getattr(runtime, f"{of}GetVersion")()
    return f"{number // 1000}.{number % 1000 // 10}"


def wait() -> Callable[[], object]:
    """Return the function that waits until the GPU has done all that this process gave it."""
    found: Callable[[], object] = importlib.import_module("cupy").cuda.runtime.deviceSynchronize
    return found
