"""Several GPUs in one process: an operation runs on that of its operands.

Arrays are made on CuPy's current device, which `cupy.cuda.Device(i)` chooses.  An operation whose
operands all lie on another one runs there, in that device's current stream, and leaves its result
there; operands of two devices are refused.  Where one GPU is visible, none of this costs anything.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

from backpass.core.complaints import complain
from backpass.cupy.library import library, ndarray

Function = Callable[..., Any]

#: The GPUs that operands have been seen on, where there are several.
_seen: set[int] = set()


@functools.cache
def count() -> int:
    """Return how many GPUs this process sees."""
    return int(library.cuda.runtime.getDeviceCount())


def in_use() -> tuple[int, ...]:
    """Return the numbers of the GPUs that have been computed on, and of the current one.

    The others are left alone: asking one for anything makes CUDA set it up.
    """
    return tuple({library.cuda.device.get_device_id(), *_seen})


def place(function: Function, name: str) -> Function:
    """Return a function as one that runs on the device of its operands.

    `name` is for the error that names operands of two devices.
    """
    if count() < 2:
        return function

    @functools.wraps(function, assigned=(), updated=())
    def placed(*operands: Any, **keywords: Any) -> Any:
        number = _common(name, (*operands, *keywords.values()))
        if number is None or number == library.cuda.device.get_device_id():
            return function(*operands, **keywords)
        with library.cuda.Device(number):
            try:
                return function(*operands, **keywords)
            except Exception as error:
                complain(error)  # in here, where the device is the one that it is about

    return placed


def _common(name: str, operands: Iterable[Any]) -> int | None:
    """Return the number of the GPU that arrays lie on; `None` without arrays.

    Raises
    ------
    TypeError
        If they lie on several.
    """
    found: dict[int, tuple[int, Any]] = {}
    for i, operand in enumerate(operands):
        # The cotangents of several outputs are one operand.
        for x in operand if type(operand) in (tuple, list) else (operand,):
            if isinstance(x, ndarray):
                found.setdefault(x.data.device_id, (i, x))
    _seen.update(found)
    if len(found) < 2:
        return next(iter(found), None)
    parts = [f"operand {i} of shape {x.shape} lies on GPU {n}" for n, (i, x) in found.items()]
    first, second, *_ = found
    raise TypeError(
        f"{name}: {', '.join(parts)}: copy one of them, such as "
        f"with cupy.cuda.Device({first}): x = backpass.core.to_device(x, 'cuda'), "
        f"which brings an array of GPU {second} to GPU {first}"
    )


def local(x: Any, device: Any = None) -> Any:
    """Return an array on a device, by default the current one; copied if it lies on another.

    The copy waits for what is under way on the array, and what comes after it on the device waits
    for the copy.
    """
    if count() < 2:
        return x
    target = library.cuda.device.get_device_id() if device is None else device.id
    source = x.data.device_id
    _seen.update((source, target))
    if source == target:
        return x
    with library.cuda.Device(source):
        if not (x._c_contiguous or x._f_contiguous):
            x = x.copy()
        ready = library.cuda.get_current_stream().record()
    with library.cuda.Device(target):
        stream = library.cuda.get_current_stream()
        stream.wait_event(ready)
        made = library.array(x)
        copied = stream.record()
    with library.cuda.Device(source):
        # Memory that the source frees must not be used again before it has been read.
        library.cuda.get_current_stream().wait_event(copied)
    return made
