"""Elements picked from arrays: by their places, by a condition, or from one of several arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.backends import PYTHON_SCALARS, backend_of
from backpass.core.ops.elementwise import where
from backpass.core.ops.indexing import getitem, scatter
from backpass.core.ops.questions import result_type
from backpass.core.ops.reductions import refuse_out
from backpass.core.ops.shaping import as_operand, flattened, normalize_axis, ravel, reshape
from backpass.core.rules import linear
from backpass.core.tensor import Tensor
from backpass.core.values import plain

# ----- places -----------------------------------------------------------------------------------


def as_places(name: str, indices: Any) -> Any:
    """Return indices as plain integers: NumPy's functions take truth values for 0 and 1."""
    if type(indices) in (int, bool):
        return int(indices)
    places = plain(as_operand(indices))
    if places.dtype.kind not in "iub" and places.size:
        raise TypeError(f"{name}: indices must be integers, they are {places.dtype}")
    return places if places.dtype == numpy.intp else places.astype(numpy.intp)


def within(name: str, places: Any, length: int, mode: str) -> Any:
    """Return places brought into range by one of NumPy's modes; "raise" leaves them as they are."""
    if mode not in ("raise", "wrap", "clip"):
        raise ValueError(f"{name}: mode must be 'raise', 'wrap' or 'clip', it is {mode!r}")
    if not length and numpy.size(places):
        raise IndexError(f"{name}: there is nothing to index along an axis of length 0")
    if mode == "raise" or not length:
        return places
    if mode == "wrap":
        return places % length
    return backend_of((places,)).library.clip(places, 0, length - 1)


def along(xp: Any, places: Any, axis: int, shape: Sequence[int]) -> tuple[Any, ...]:
    """Return the index that takes `places` along an axis of `shape`, beside those of the others."""
    index = [xp.arange(n).reshape((-1, *(1,) * (len(shape) - i - 1))) for i, n in enumerate(shape)]
    index[axis] = places
    return tuple(index)


# ----- along an axis ----------------------------------------------------------------------------


def take(
    a: Any, indices: Any, axis: int | None = None, out: Any = None, mode: str = "raise"
) -> Tensor:
    """Take elements at indices along an axis, or of all; what is taken twice gets both g.

    `out` is refused.

    Raises
    ------
    IndexError
        If an index is out of range and `mode` is "raise".
    TypeError
        If the indices are not integers.
    """
    refuse_out("take", out)
    a = as_operand(a)
    if axis is None or not a.shape:
        axis, a = normalize_axis(axis or 0, 1, "take"), ravel(a)
    axis = normalize_axis(axis, len(a.shape), "take")
    places = within("take", as_places("take", indices), a.shape[axis], mode)
    # One row of places has a kernel of its own.
    index = (*(slice(None),) * axis, places) if axis else places
    return getitem(a, index=index)  # type: ignore[no-any-return]


@primitive(name="take_along_axis")
def take_along(xp: Any, x: Any, *, indices: Any, axis: int) -> Any:
    """Take elements at indices along an axis, each row its own."""
    return xp.take_along_axis(x, xp.asarray(indices), axis)


def _flat(xp: Any, places: Any, axis: int, shape: Sequence[int]) -> Any:
    """Return the places along an axis as those in the flattened array."""
    n = shape[axis]
    # Faster than the remainder.
    made: Any = (places - places // n * n) * math.prod(shape[axis + 1 :])
    starts: Any = 0
    for i, length in enumerate(shape):
        if i != axis:
            step = math.prod(shape[i + 1 :])
            grid = xp.arange(0, length * step, step) if step else xp.zeros(length, numpy.intp)
            starts = starts + grid.reshape((-1, *(1,) * (len(shape) - i - 1)))
    return (made + starts).reshape(-1)


def _take_along_vjp(g: Any, x: Any, *, indices: Any, axis: int) -> Any:
    xp = backend_of((plain(g),)).library
    flat = _flat(xp, xp.asarray(indices), axis, x.shape)
    summed = scatter.op(reshape.op(g, shape=(-1,)), index=flat, shape=(math.prod(x.shape),))
    return reshape.op(summed, shape=x.shape)


linear(take_along, _take_along_vjp)


def take_along_axis(arr: Any, indices: Any, axis: int | None = -1) -> Tensor:
    """Take elements at indices along an axis, each row its own; what is taken twice gets both g.

    Raises
    ------
    IndexError
        If an index is out of range, or no integer.
    ValueError
        If there are not as many axes of indices as of the array.
    """
    arr, axis = flattened("take_along_axis", arr, axis)
    places = places_along("take_along_axis", indices, len(arr.shape))
    return take_along(arr, indices=places, axis=axis)  # type: ignore[no-any-return]


def places_along(name: str, indices: Any, ndim: int) -> Any:
    """Return the indices of `take_along_axis` and its like as plain integers."""
    places = plain(as_operand(indices))
    if places.dtype.kind not in "iu":
        raise IndexError(f"{name}: indices must be integers, they are {places.dtype}")
    if places.ndim != ndim:
        raise ValueError(
            f"{name}: indices of shape {places.shape} for {ndim} axes: they must have as many, one "
            "for axis=None"
        )
    return places.astype(numpy.intp, copy=False)


# ----- by a condition ---------------------------------------------------------------------------


def compress(condition: Any, a: Any, axis: int | None = None, out: Any = None) -> Tensor:
    """Take the slices along an axis where a condition holds; they get g, the others 0.

    A condition that is shorter than the axis holds nowhere beyond its end.  `out` is refused.

    Raises
    ------
    ValueError
        If the condition has not one axis.
    """
    refuse_out("compress", out)
    condition = plain(as_operand(condition))
    if condition.ndim != 1:
        raise ValueError(f"compress: condition of shape {condition.shape} must have one axis")
    return take(a, backend_of((condition,)).library.flatnonzero(condition), axis)


def extract(condition: Any, arr: Any) -> Tensor:
    """Take the elements where a condition holds, flattened; they get g, the others 0."""
    return compress(plain(ravel(condition)), ravel(arr))


# ----- from one of several ----------------------------------------------------------------------


@primitive(name="choose")
def choose_(xp: Any, *xs: Any, places: Any) -> Any:
    """Take each element from the array whose number stands in its place."""
    places = xp.asarray(places)
    shape = numpy.broadcast_shapes(places.shape, *map(numpy.shape, xs))
    made = xp.broadcast_to(xp.asarray(xs[0], dtype=result_type(*xs)), shape)
    # Faster than NumPy's `choose`, which takes no more than 64 arrays; CuPy's takes a single one.
    for i, x in enumerate(xs[1:], 1):
        made = where.op(places == i, x, made)
    return made[()] if len(xs) > 1 else xp.array(made)[()]


def _choose_vjp(g: Any, *xs: Any, places: Any, needs: Sequence[bool]) -> list[Any]:
    places = backend_of((plain(g),)).library.asarray(places)
    return [where.op(places == i, g, 0.0) if need else None for i, need in enumerate(needs)]


linear(choose_, joint=_choose_vjp)


def choose(a: Any, choices: Any, out: Any = None, mode: str = "raise") -> Tensor:
    """Take each element from the array whose number stands in its place; g goes there.

    `choices` is a sequence of arrays, or one array whose first axis counts them.  `out` is refused.

    Raises
    ------
    ValueError
        If a number is out of range and `mode` is "raise", or there are no choices.
    TypeError
        If the numbers are not integers.
    """
    refuse_out("choose", out)
    parts = [choices[i] for i in range(len(choices))]
    if not parts:
        raise ValueError("choose: there is nothing to choose from")
    parts = [x if type(x) in PYTHON_SCALARS else as_operand(x) for x in parts]
    places = within("choose", as_places("choose", a), len(parts), mode)
    if mode == "raise" and numpy.any((places < 0) | (places >= len(parts))):
        raise ValueError(f"choose: a number is out of range: there are {len(parts)} choices")
    return choose_(*parts, places=places)  # type: ignore[no-any-return]
