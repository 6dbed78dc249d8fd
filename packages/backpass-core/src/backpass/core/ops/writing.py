"""NumPy's functions that write into their argument: as assignments, which a Tensor records.

An array that is no Tensor is written into as NumPy does it, if nothing tracked is written: it has
no place for a gradient.
"""

from __future__ import annotations

import math
from typing import Any

import numpy

from backpass.core.backends import backend_of
from backpass.core.ops.indexing import assign, getitem
from backpass.core.ops.picking import along, as_places, places_along, within
from backpass.core.ops.shaping import as_operand, broadcast_to, normalize_axis, ravel, reshape
from backpass.core.tensor import Tensor
from backpass.core.values import plain


def _is_plain(name: str, target: Any, values: Any, *args: Any, **kwargs: Any) -> bool:
    """Write into an array that is no Tensor, `args` in NumPy's order; tell whether it was one."""
    if isinstance(target, Tensor):
        return False
    if isinstance(values, list | tuple):
        values = as_operand(values)
    if isinstance(values, Tensor) and values.tracked:
        raise TypeError(
            f"{name} of a tracked value into an array that is no Tensor would lose its gradient: "
            "make a Tensor of the array first, or write stop_gradient(values)"
        )
    backend = backend_of((target,))
    options = {key: plain(x) for key, x in kwargs.items()}
    backend.function(name, "numpy")(*map(plain, args), **options)
    return True


def _repeated(values: Any, places: Any) -> Any:
    """Return the values at places of their endless repetition."""
    return getitem.op(ravel(values), index=places % values.size)


def put_along_axis(arr: Any, indices: Any, values: Any, axis: int | None) -> None:
    """Write values at indices along an axis, each row its own: an assignment, with its gradient.

    Of elements that are written twice the last value stands, and gets the g.

    Raises
    ------
    IndexError
        If an index is out of range, or no integer.
    ValueError
        If there are not as many axes of indices as of the array.
    TypeError
        If a tracked value would be written into an array that is no Tensor.
    """
    if _is_plain("put_along_axis", arr, values, arr, indices, values, axis):
        return
    ndim = 1 if axis is None else arr.ndim
    places = places_along("put_along_axis", indices, ndim)
    if axis is None:
        index = _unraveled("put_along_axis", places, arr)
    else:
        xp = backend_of((arr.value,)).library
        axis = normalize_axis(axis, ndim, "put_along_axis")
        index = along(xp, xp.asarray(places), axis, arr.shape)
    assign(arr, index, values)


def _unraveled(name: str, places: Any, arr: Tensor) -> Any:
    """Return flat places as an index; negative ones count from the end."""
    if arr.ndim == 1:
        return places
    xp = backend_of((arr.value,)).library
    places = xp.asarray(places)
    try:
        return xp.unravel_index(places + arr.size * (places < 0), arr.shape)
    except ValueError as error:
        raise IndexError(f"{name}: {error}") from error


def put(a: Any, ind: Any, v: Any, mode: str = "raise") -> None:
    """Write values at flat indices: an assignment, with its gradient.

    Too few values are repeated.

    Raises
    ------
    IndexError
        If an index is out of range and `mode` is "raise".
    TypeError
        If the indices are not integers, or a tracked value would be written into an array that is
        no Tensor.
    """
    if _is_plain("put", a, v, a, ind, v, mode=mode):
        return
    places = within("put", as_places("put", ind), a.size, mode)
    xp = backend_of((a.value,)).library
    places = xp.asarray(places).reshape(-1)
    v = as_operand(v)
    if not v.size:
        return
    v = _repeated(v, xp.arange(places.size)) if v.size > 1 else reshape.op(v, shape=())
    assign(a, _unraveled("put", places, a), v)


def place(arr: Any, mask: Any, vals: Any) -> None:
    """Write values, one after the other, where a mask holds: an assignment, with its gradient.

    Too few values are repeated.

    Raises
    ------
    ValueError
        If there is no value, or not one truth value for each element.
    TypeError
        If a tracked value would be written into an array that is no Tensor.
    """
    if _is_plain("place", arr, vals, arr, mask, vals):
        return
    mask, vals = _mask("place", mask, arr), as_operand(vals)
    if not vals.size and mask.any():
        raise ValueError("place: there are no values to write")
    if vals.size:
        xp = backend_of((mask,)).library
        assign(arr, mask, _repeated(vals, xp.arange(int(mask.sum()))))


def putmask(a: Any, /, mask: Any, values: Any) -> None:
    """Write where a mask holds what stands at the same place: an assignment, with its gradient.

    Too few values are repeated.

    Raises
    ------
    ValueError
        If there is not one truth value for each element.
    TypeError
        If a tracked value would be written into an array that is no Tensor.
    """
    if _is_plain("putmask", a, values, a, mask, values):
        return
    mask, values = _mask("putmask", mask, a), as_operand(values)
    if values.size:
        xp = backend_of((mask,)).library
        assign(a, mask, _repeated(values, xp.flatnonzero(mask)))


def _mask(name: str, mask: Any, arr: Tensor) -> Any:
    found = plain(as_operand(mask))
    if found.size != arr.size:
        raise ValueError(
            f"{name}: mask of shape {found.shape} for an array of shape {arr.shape}: there must be "
            "a truth value for each element"
        )
    return backend_of((arr.value,)).library.asarray(found, dtype=bool).reshape(arr.shape)


def copyto(dst: Any, src: Any, casting: str = "same_kind", where: Any = True) -> None:
    """Write an array into another, where a mask holds: an assignment, with its gradient.

    Raises
    ------
    TypeError
        If `casting` does not allow it, or a tracked value would be written into an array that is
        no Tensor.
    """
    if _is_plain("copyto", dst, src, dst, src, casting=casting, where=where):
        return
    kind = as_operand(src).dtype
    # Python's numbers take the array's dtype where they can.
    weak = type(src) in (int, float, complex) and numpy.result_type(src, dst.dtype) == dst.dtype
    if not (weak or numpy.can_cast(kind, dst.dtype, casting)):  # type: ignore[arg-type]
        raise TypeError(f"copyto: {kind} is not cast to {dst.dtype} by casting={casting!r}")
    if where is True:
        assign(dst, ..., src)
        return
    xp = backend_of((dst.value,)).library
    mask = xp.broadcast_to(xp.asarray(plain(as_operand(where)), dtype=bool), dst.shape)
    spread = broadcast_to.op(as_operand(src), shape=dst.shape)
    assign(dst, mask, getitem.op(spread, index=mask))


def fill_diagonal(a: Any, val: Any, wrap: bool = False) -> None:
    """Write values on the main diagonal: an assignment, with its gradient.

    With `wrap` a tall matrix gets another diagonal below.

    Raises
    ------
    ValueError
        If the array has fewer than two axes, or more of different lengths.
    TypeError
        If a tracked value would be written into an array that is no Tensor.
    """
    if _is_plain("fill_diagonal", a, val, a, val, wrap):
        return
    if a.ndim < 2:
        raise ValueError(f"fill_diagonal: the array must have two axes, it has {a.ndim}")
    end = a.size
    if a.ndim == 2:
        step = a.shape[1] + 1
        end = end if wrap else min(end, a.shape[1] ** 2)
    elif len(set(a.shape)) > 1:
        raise ValueError(f"fill_diagonal: the axes of {a.shape} must be of equal length")
    else:
        step = sum(math.prod(a.shape[:i]) for i in range(a.ndim))
    put(a, numpy.arange(0, end, step), val)
