"""Arrays with elements left out, put in, or repeated to fill a shape."""

from __future__ import annotations

import math
import operator
from typing import Any

import numpy

from backpass.core.backends import backend_of, on_host
from backpass.core.ops.indexing import cut, getitem
from backpass.core.ops.picking import take
from backpass.core.ops.shaping import (
    as_operand,
    as_operand_beside,
    astype,
    broadcast_to,
    concatenate_arrays,
    copy_,
    flattened,
    moveaxis,
    normalize_axis,
    ravel,
    reshape,
    tile_,
)
from backpass.core.tensor import Tensor, is_inexact
from backpass.core.values import as_tensors, plain


def _places(obj: Any) -> Any:
    """Return what says where an array is edited: an integer, integers, truth values or a slice."""
    if isinstance(obj, list | tuple):
        obj = as_operand(obj) if len(obj) else numpy.zeros(0, numpy.intp)
    obj = on_host(plain(obj))
    single = getattr(obj, "shape", None) == () and obj.dtype.kind in "iu"
    return int(obj) if single else obj


def _checked(name: str, place: int, n: int, end: int) -> int:
    """Return a place counted from the start."""
    if not -n <= place < end:
        raise IndexError(f"{name}: index {place} is out of bounds for an axis of length {n}")
    return place + n if place < 0 else place


def delete(arr: Any, obj: Any, axis: int | None = None) -> Tensor:
    """Leave out the elements at indices along an axis, or of all; the others get g.

    `obj` is an integer, a slice, integers or truth values.

    Raises
    ------
    IndexError
        If an index is out of range.
    """
    arr, axis = flattened("delete", arr, axis)
    n, obj = arr.shape[axis], _places(obj)
    if type(obj) is not int:
        return take(arr, numpy.delete(numpy.arange(n), obj), axis)
    place = _checked("delete", obj, n, n)
    return _joined([cut(arr, axis, None, place), cut(arr, axis, place + 1, None)], axis)


def _joined(parts: list[Any], axis: int) -> Tensor:
    return as_tensors(concatenate_arrays(parts, axis=axis))  # type: ignore[no-any-return]


def insert(arr: Any, obj: Any, values: Any, axis: int | None = None) -> Tensor:
    """Put values in before indices along an axis, or of all; they get their g, the others theirs.

    `obj` is an integer, before which all values come, or a slice, integers or truth values, each
    for one.  The values are cast to the array's dtype.

    Raises
    ------
    IndexError
        If an index is out of range.
    TypeError
        If tracked values would be cast to integers.
    """
    arr, axis = flattened("insert", arr, axis)
    values = as_operand_beside(values, arr)
    if isinstance(values, Tensor) and values.tracked and not is_inexact(arr):
        raise TypeError(
            f"insert of tracked values into an array of {arr.dtype} would lose their gradient: "
            "make the array with dtype=float"
        )
    if values.dtype != arr.dtype:
        values = astype.op(values, dtype=arr.dtype)
    shape, obj = tuple(arr.shape), _places(obj)
    missing = len(shape) - len(values.shape)
    if missing > 0:
        values = reshape.op(values, shape=(1,) * missing + tuple(values.shape))
    n = shape[axis]
    if type(obj) is int:
        # NumPy's rule for a single place: the first axis of the values counts them.
        values = moveaxis(values, 0, axis)
        count = values.shape[axis]
    else:
        count = numpy.insert(numpy.zeros(n, bool), obj, False).size - n
        count = values.shape[axis] if count == 1 else count
    if missing < 0 and set(values.shape[:-missing]) == {1}:
        # As in an assignment, axes of length 1 too many do no harm.
        values = reshape.op(values, shape=values.shape[-missing:])
    values = broadcast_to.op(values, shape=(*shape[:axis], count, *shape[axis + 1 :]))
    if type(obj) is int:
        place = _checked("insert", obj, n, n + 1)
        return _joined([cut(arr, axis, None, place), values, cut(arr, axis, place, None)], axis)
    order = numpy.insert(numpy.arange(n), obj, numpy.arange(n, n + count))
    return take(concatenate_arrays([arr, values], axis=axis), order, axis)


def resize(a: Any, new_shape: Any) -> Tensor:
    """Fill a shape with the elements, from the first again if they are too few; each sums its g.

    Raises
    ------
    ValueError
        If a length is negative.
    """
    shape = plain(new_shape)
    shape = tuple(map(operator.index, shape if numpy.ndim(shape) else (shape,)))
    if min(shape, default=0) < 0:
        raise ValueError(f"resize: new_shape={shape} has a negative length")
    flat, size = ravel(a), math.prod(shape)
    if not flat.size:
        xp = backend_of((flat.value,)).library
        return Tensor(xp.zeros(shape, flat.dtype))
    if size > flat.size:
        flat = tile_(flat, counts=(-(-size // flat.size),))
    if size != flat.size:
        flat = getitem(flat, index=slice(0, size))
    return reshape(flat, shape=shape)  # type: ignore[no-any-return]


def trim_zeros(filt: Any, trim: str = "fb", axis: Any = None) -> Tensor:
    """Leave out the zeros at the ends of each axis; what remains gets g.

    Raises
    ------
    ValueError
        If `trim` has other letters than f, for the front, and b, for the back.
    """
    filt, trim = as_operand(filt), trim.lower()
    if trim not in ("fb", "bf", "f", "b"):
        raise ValueError(f"trim_zeros: trim must be 'fb', 'f' or 'b', it is {trim!r}")
    ndim = len(filt.shape)
    given: Any = range(ndim) if axis is None else axis
    axes = [
        normalize_axis(i, ndim, "trim_zeros") for i in (given if numpy.ndim(given) else (given,))
    ]
    if not axes:
        return copy_(filt)  # type: ignore[no-any-return]
    index = [slice(None)] * ndim
    places = backend_of((plain(filt),)).library.nonzero(plain(filt))
    for i in axes:
        if not places[i].size:
            index[i] = slice(0, 0)
            continue
        start = int(places[i].min()) if "f" in trim else None
        stop = int(places[i].max()) + 1 if "b" in trim else None
        index[i] = slice(start, stop)
    return getitem(filt, index=tuple(index))  # type: ignore[no-any-return]
