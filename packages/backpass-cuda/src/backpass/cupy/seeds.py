"""The cotangent 1 that a walk starts from: made once, and not filled anew by a launch each time."""

from __future__ import annotations

from typing import Any

from backpass.cupy.library import library, ndarray
from backpass.cupy.streams import capturing

_ones: dict[tuple[Any, int], Any] = {}


def one_like(value: Any) -> Any:
    """Return 1 in the dtype of an array of shape (), on its device; nobody may write into it."""
    if type(value) is not ndarray or value.shape:
        return NotImplemented
    key = (value.dtype, value.data.device_id)
    found = _ones.get(key)
    if found is None:
        if key[1] != library.cuda.device.get_device_id() or capturing():
            # What a graph fills, it fills when it is launched.
            return NotImplemented
        found = library.ones((), value.dtype)
        # Another stream may be the next to read it.
        library.cuda.get_current_stream().synchronize()
        _ones[key] = found
    return found


KERNELS = {"one_like": one_like}
