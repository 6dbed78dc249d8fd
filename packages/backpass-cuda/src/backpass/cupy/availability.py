"""Whether there is a GPU to compute on, and if not, which part of the way to it is missing.

CuPy, the driver, a device and the CUDA toolkit's libraries fail at different times and in words of
their own.  Here they are tried in that order, once, when the GPU is first used.
"""

from __future__ import annotations

import functools
import os
from types import ModuleType
from typing import Any

from backpass.cupy.exceptions import DeviceUnavailable

try:
    import cupy
except Exception as error:  # whatever is broken in it must not break the import of this package
    _cupy: Any = None
    _cause: Exception | None = error
else:
    _cupy, _cause = cupy, None

_INSTALL = (
    "pip install 'backpass-core[cuda]' (or [cuda12], for drivers that support CUDA 12 at most)"
)
#: The toolkit's libraries that arrays, random numbers and matrix products need.
_LIBRARIES = ("nvrtc", "curand", "cublas")


def array_types() -> tuple[type, ...]:
    """Return the type of CuPy's arrays; none where CuPy cannot be imported."""
    return () if _cupy is None else (_cupy.ndarray,)


@functools.cache  # an exception is not kept: what is mended later is found
def require() -> ModuleType:
    """Return CuPy.

    Raises
    ------
    DeviceUnavailable
        If it cannot be imported, or cannot compute here.
    """
    if isinstance(_cause, ModuleNotFoundError) and _cause.name == "cupy":
        raise DeviceUnavailable(f"CuPy is not installed: {_INSTALL}") from _cause
    if _cause is not None:
        raise DeviceUnavailable(
            f"CuPy cannot be imported ({type(_cause).__name__}: {_cause}): if it is a library of "
            f"the CUDA toolkit that it misses, {_INSTALL} brings that, too; otherwise uninstall "
            "every CuPy that pip list shows, and install it anew"
        ) from _cause
    _require_device(_cupy.cuda.runtime)
    for name in _LIBRARIES:
        try:
            getattr(_cupy.cuda, name)
        except (ImportError, RuntimeError) as error:
            raise DeviceUnavailable(
                f"the CUDA toolkit's library {name} cannot be loaded ({error}): "
                f"{_INSTALL} brings the toolkit's libraries; a toolkit of the system's is found by "
                "CUDA_PATH"
            ) from error
    return _cupy  # type: ignore[no-any-return]


def _require_device(runtime: Any) -> None:
    """Raise unless the driver is there, new enough, and shows a device."""
    try:
        count, problem = runtime.getDeviceCount(), None
    except RuntimeError as error:
        count, problem = 0, error
    if count:
        return
    driver = runtime.driverGetVersion()
    if driver == 0:
        raise DeviceUnavailable(
            "the NVIDIA driver is not installed, or not visible: install it from "
            "https://www.nvidia.com/drivers; a container must be started with the GPU "
            "(docker run --gpus all)"
        ) from problem
    built = runtime.runtimeGetVersion()
    if driver // 1000 < built // 1000:
        raise DeviceUnavailable(
            f"the NVIDIA driver supports CUDA {_version(driver)}, CuPy is built for "
            f"{_version(built)}: update the driver, or install CuPy for the older one, "
            f"{_INSTALL}"
        ) from problem
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    hint = "" if visible is None else f" (CUDA_VISIBLE_DEVICES is {visible!r})"
    raise DeviceUnavailable(
        f"the NVIDIA driver shows no device{hint}: nvidia-smi lists what it sees"
        + ("" if problem is None else f"; CUDA says: {problem}")
    ) from problem


def _version(number: int) -> str:
    """Return CUDA's version number, such as 13020, as people write it."""
    return f"{number // 1000}.{number % 1000 // 10}"
