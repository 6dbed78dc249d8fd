"""What a Tensor does by itself: the array methods whose signature is not the function's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from backpass.core.backends import backend_of
from backpass.core.devices import to_device as move_all
from backpass.core.operators import operators
from backpass.core.ops import indexing, picking, shaping, sorting
from backpass.core.tensor import Tensor


def reshape(t: Tensor, *shape: Any, order: str = "C", copy: bool | None = None) -> Tensor:
    """Give the elements another shape, as one tuple or as several numbers."""
    return shaping.reshape_(t, shape[0] if len(shape) == 1 else shape, order, copy=copy)


def transpose(t: Tensor, *axes: Any) -> Tensor:
    """Permute the axes, as one tuple or as several numbers."""
    given = axes[0] if len(axes) == 1 and not isinstance(axes[0], int) else axes
    return shaping.transpose(t, given or None)


def flatten(t: Tensor, order: str = "C") -> Tensor:
    """Return a flat copy."""
    return shaping.copy(shaping.ravel(t, order))


def copy(t: Tensor, order: str = "C") -> Tensor:
    """Copy; g flows through."""
    return shaping.copy(t, order)


def astype(
    t: Tensor,
    dtype: Any,
    order: str = "K",
    casting: str = "unsafe",
    subok: bool = True,
    copy: bool = True,
) -> Tensor:
    """Convert the elements, if `casting` allows it; g is converted back."""
    if casting != "unsafe" and not numpy.can_cast(t.dtype, dtype, casting):  # type: ignore[arg-type]
        raise TypeError(f"astype: {t.dtype} is not cast to {dtype} by casting={casting!r}")
    made = shaping.astype_(t, dtype)
    return made if order == "K" else shaping.copy(made, order)


def sort(
    t: Tensor, axis: int = -1, kind: Any = None, order: Any = None, *, stable: Any = None
) -> None:
    """Sort in place along `axis`: an assignment of `sort(t)` to t, with its gradient."""
    indexing.assign(t, ..., sorting.sort(t, axis, kind, order, stable=stable))


def partition(
    t: Tensor, kth: Any, axis: int = -1, kind: str = "introselect", order: Any = None
) -> None:
    """Partition in place along `axis`: an assignment of `partition(t)` to t, with its gradient."""
    indexing.assign(t, ..., sorting.partition(t, kth, axis, kind, order))


def fill(t: Tensor, value: Any) -> None:
    """Write one value everywhere: `t[...] = value`."""
    indexing.assign(t, ..., value)


def compress(t: Tensor, condition: Any, axis: int | None = None, out: Any = None) -> Tensor:
    """Take the slices along an axis where a condition holds; they get g, the others 0."""
    return picking.compress(condition, t, axis, out)


def to_device(t: Tensor, device: str, /, *, stream: Any = None) -> Tensor:
    """Return a Tensor on a device, `"cpu"` or `"cuda"`; g is moved back."""
    if stream is not None:
        raise TypeError("to_device: stream= is not supported: use CuPy's streams around the call")
    return move_all(t, device)  # type: ignore[no-any-return]


def _leaving(name: str) -> Callable[..., Any]:
    """Return a method that gives what is no Tensor: only of an untracked one."""

    def method(t: Tensor, *args: Any, **kwargs: Any) -> Any:
        value = t._plain(f"{name}()")
        return getattr(backend_of((value,)).to_host(value), name)(*args, **kwargs)

    method.__name__ = name
    method.__doc__ = f"{name} of the value; only of an untracked Tensor."
    return method


METHODS: dict[str, Callable[..., Any]] = {
    "astype": astype,
    "compress": compress,
    "copy": copy,
    "dump": _leaving("dump"),
    "dumps": _leaving("dumps"),
    "fill": fill,
    "flatten": flatten,
    "partition": partition,
    "reshape": reshape,
    "sort": sort,
    "to_device": to_device,
    "tobytes": _leaving("tobytes"),
    "tofile": _leaving("tofile"),
    "transpose": transpose,
}

_MEMORY = "it is about memory, which Tensors never share observably: use t.value.{name}"
#: What an array has and a Tensor has not, and what to use instead.
HINTS: dict[str, str] = {
    **{
        name: _MEMORY.format(name=name)
        for name in ("base", "ctypes", "data", "flags", "setflags", "strides")
    },
    "byteswap": "use t.value.byteswap()",
    "getfield": "use t.value.getfield(), or t.astype(dtype)",
    "setfield": "write by assignment: t[...] = values",
    "itemset": "use t[index] = value",
    "newbyteorder": "use t.value.view(t.dtype.newbyteorder())",
    "ptp": "use t.max() - t.min()",
    "tostring": "use t.tobytes()",
    "resize": "it is in place: use t = backpass.numpy.resize(t, shape), which repeats, or pad",
    "view": "reinterpreting memory has no derivative: use t.astype(dtype), t.reshape(shape), or "
    "t.value.view(dtype)",
}

operators.hints = HINTS
