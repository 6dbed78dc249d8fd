"""Padding: elements before and after those along each axis, by NumPy's modes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.backends import backend_of
from backpass.core.operators import operators
from backpass.core.ops.elementwise import isnan, where
from backpass.core.ops.indexing import cut, getitem
from backpass.core.ops.reductions import max_, mean_, min_
from backpass.core.ops.shaping import (
    as_operand,
    as_operand_beside,
    broadcast_to,
    concatenate_arrays,
    copy_,
    flip,
    normalize_axis,
)
from backpass.core.ops.sorting import sort_
from backpass.core.rules import linear
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors, plain

Pair = tuple[Any, Any]

# ----- a constant all around --------------------------------------------------------------------


@primitive
def pad_constant(xp: Any, x: Any, *, widths: Sequence[Pair], values: Any = 0) -> Any:
    """Surround by constants; g is cut out."""
    shape = tuple(n + before + after for n, (before, after) in zip(x.shape, widths))
    # Corners belong to the last axis, whose constants are therefore written last.
    made = xp.zeros(shape, x.dtype)
    for axis, (low, high) in enumerate(values or ()):
        whole = (slice(None),) * axis
        made[(*whole, slice(None, widths[axis][0]))] = low
        made[(*whole, slice(shape[axis] - widths[axis][1], None))] = high
    made[_inside(shape, widths)] = x
    return made


def _inside(shape: Sequence[int], widths: Sequence[Pair]) -> tuple[slice, ...]:
    return tuple(slice(before, n - after) for n, (before, after) in zip(shape, widths))


linear(
    pad_constant,
    lambda g, *, widths: getitem.op(g, index=_inside(g.shape, widths)),
    zero=("values",),
)

# ----- what stands before and after, for one axis -----------------------------------------------


def _spread(x: Any, like: Any, axis: int, length: int) -> Any:
    """Repeat a number, or a slice of length 1, along an axis."""
    return broadcast_to.op(x, shape=(*like.shape[:axis], length, *like.shape[axis + 1 :]))


def _ramps(x: Any, axis: int, widths: Pair, ends: Pair) -> Pair:
    """Return straight lines from the end values to the edges."""
    made = []
    for edge, width, end in zip((cut(x, axis, 0, 1), cut(x, axis, -1, None)), widths, ends):
        steps = backend_of((plain(x),)).library.arange(width).astype(x.dtype) / (width or 1)
        steps = steps.reshape((-1,) + (1,) * (len(x.shape) - axis - 1))
        made.append(end + (edge - end) * steps)
    return made[0], flip.op(made[1], axis=axis)


def _statistics(
    x: Any, axis: int, widths: Pair, lengths: Pair, statistic: Callable[[Any, int], Any]
) -> Pair:
    """Repeat a statistic of the first elements, and one of the last."""
    n = x.shape[axis]
    first, last = (n if k is None else min(round(k), n) for k in lengths)
    if first < 0 or last < 0:
        raise ValueError(f"pad: stat_length={lengths} must not be negative")
    before = statistic(cut(x, axis, 0, first), axis)
    same = first == last == n
    after = before if same else statistic(cut(x, axis, n - last, None), axis)
    return _spread(before, x, axis, widths[0]), _spread(after, x, axis, widths[1])


def _median(x: Any, axis: int) -> Any:
    n = x.shape[axis]
    ordered = sort_.op(x, axis=axis)
    middle = mean_.op(cut(ordered, axis, (n - 1) // 2, n // 2 + 1), axis=axis, keepdims=True)
    # A nan is sorted to the end, and makes the median nan.
    last = cut(ordered, axis, -1, None)
    return where.op(isnan.op(last), last, middle)


_STATISTICS: dict[str, Callable[[Any, int], Any]] = {
    "maximum": lambda x, axis: max_.op(x, axis=axis, keepdims=True),
    "minimum": lambda x, axis: min_.op(x, axis=axis, keepdims=True),
    "mean": lambda x, axis: mean_.op(x, axis=axis, keepdims=True),
    "median": _median,
}


def _odd(x: Any, axis: int, widths: Pair, inner: int) -> Any:
    """Mirror through the edges' points; `inner` is 1 if the edge itself is left out.

    A mirror image is at most as long as what it mirrors, so it may take several.
    """
    before, after = widths
    if x.shape[axis] <= inner:
        edge = cut(x, axis, 0, 1)
        sides = _spread(edge, x, axis, before), _spread(edge, x, axis, after)
        return concatenate_arrays([sides[0], x, sides[1]], axis=axis)
    while before or after:
        parts, room = [x], x.shape[axis] - inner
        if before:
            n = min(before, room)
            image = flip.op(cut(x, axis, inner, inner + n), axis=axis)
            parts.insert(0, 2 * cut(x, axis, 0, 1) - image)
            before -= n
        if after:
            n, end = min(after, room), x.shape[axis] - inner
            image = flip.op(cut(x, axis, end - n, end), axis=axis)
            parts.append(2 * cut(x, axis, -1, None) - image)
            after -= n
        x = concatenate_arrays(parts, axis=axis)
    return x


def _gathered(x: Any, axis: int, widths: Pair, mode: str) -> Any:
    """Take the elements along an axis that NumPy's mode puts there."""
    places = numpy.pad(numpy.arange(x.shape[axis]), widths, mode)  # type: ignore[call-overload]
    return getitem.op(x, index=(*(slice(None),) * axis, places))


# ----- the function, with NumPy's signature -----------------------------------------------------

#: The keyword of each mode, with its default.
_KEYWORDS: dict[str, dict[str, Any]] = {
    "constant": {"constant_values": 0},
    "edge": {},
    "empty": {},
    "linear_ramp": {"end_values": 0},
    "reflect": {"reflect_type": "even"},
    "symmetric": {"reflect_type": "even"},
    "wrap": {},
    **{name: {"stat_length": None} for name in _STATISTICS},
}


def pad(array: Any, pad_width: Any, mode: Any = "constant", **kwargs: Any) -> Tensor:
    """Put elements before and after those along each axis; each gives its g to where it is from.

    All modes of NumPy; a function for a mode is refused.  `constant_values` and `end_values` may be
    tracked.  "empty" gives zeros.

    Raises
    ------
    TypeError
        If `mode` is a function, or `pad_width` holds no integers.
    ValueError
        If the mode or its keywords are unknown, or a width is negative.
    """
    if callable(mode):
        raise TypeError(
            "pad: a function as mode writes into its argument: join the parts by concatenate"
        )
    if mode not in _KEYWORDS:
        raise ValueError(f"pad: mode {mode!r} is not known: {', '.join(sorted(_KEYWORDS))}")
    for name in kwargs.keys() - _KEYWORDS[mode].keys():
        raise ValueError(f"pad: mode {mode!r} takes no keyword {name!r}")
    x = as_operand(array)
    widths = _widths(pad_width, len(x.shape))
    if not widths:
        return copy_(x)  # type: ignore[no-any-return]
    if x.dtype.kind not in "fc":
        xp = backend_of((plain(x),)).library
        return Tensor(xp.pad(plain(x), widths, mode, **{k: plain(v) for k, v in kwargs.items()}))
    option = next(iter({**_KEYWORDS[mode], **kwargs}.values()), None)
    if mode in ("constant", "empty") and not _is_tracked(option):
        values = None if option is None else _pairs(plain(option), len(x.shape))
        flat = values is None or all(v == 0 for pair in values for v in pair)
        options = {} if flat else {"values": values}
        return pad_constant(x, widths=widths, **options)  # type: ignore[no-any-return]
    made = x
    pairs: Any = option if mode in ("reflect", "symmetric") else _pairs(option, len(x.shape))
    for axis, width in enumerate(widths):
        if any(width):
            made = _padded(made, axis, width, mode, pairs)
    return as_tensors(operators.positive(made) if made is x else made)  # type: ignore[no-any-return]


def _padded(x: Any, axis: int, width: Pair, mode: str, options: Any) -> Any:
    """Pad one axis; those before it are padded already, as in NumPy."""
    if x.shape[axis] == 0 and mode != "constant":
        raise ValueError(f"pad: axis {axis} is empty: mode {mode!r} has nothing to take from it")
    if mode in ("reflect", "symmetric") and options == "odd":
        return _odd(x, axis, width, int(mode == "reflect"))
    if mode in ("edge", "reflect", "symmetric", "wrap"):
        return _gathered(x, axis, width, mode)
    if mode == "constant":
        sides: Any = [
            _spread(operators.astype(as_operand_beside(v, x), dtype=x.dtype), x, axis, n)
            for v, n in zip(options[axis], width)
        ]
    elif mode == "linear_ramp":
        sides = _ramps(x, axis, width, options[axis])
    else:
        sides = _statistics(x, axis, width, options[axis], _STATISTICS[mode])
    return concatenate_arrays([sides[0], x, sides[1]], axis=axis)


def _is_tracked(option: Any) -> bool:
    if isinstance(option, tuple | list):
        return any(map(_is_tracked, option))
    return isinstance(option, Tensor) and option.tracked


def _widths(pad_width: Any, ndim: int) -> tuple[tuple[int, int], ...]:
    """Return how much comes before and after, for each axis."""
    if isinstance(pad_width, dict):
        made: list[Any] = [(0, 0)] * ndim
        for axis, width in pad_width.items():
            made[normalize_axis(axis, ndim, "pad")] = (
                width if isinstance(width, tuple | list) else (width, width)
            )
        pad_width = made
    found = numpy.asarray(plain(pad_width))
    if found.dtype.kind not in "iu" and found.size:
        raise TypeError("`pad_width` must be of integral type.")
    if (found < 0).any():
        raise ValueError("pad: a width must not be negative")
    return tuple((int(a), int(b)) for a, b in numpy.broadcast_to(found, (ndim, 2)))


def _pairs(option: Any, ndim: int) -> Sequence[Pair]:
    """Return a keyword's values before and after, for each axis, as NumPy broadcasts them."""
    rows = _parts(option)
    if not any(map(_is_sequence, rows)):
        rows = [rows]
    pairs = []
    for row in map(_parts, rows):
        if len(row) not in (1, 2):
            raise ValueError(f"pad: a value is one number or a pair, {len(row)} are given")
        pairs.append((row[0], row[-1]))
    if len(pairs) not in (1, ndim):
        raise ValueError(f"pad: {len(pairs)} pairs of values are given for {ndim} axes")
    return pairs * ndim if len(pairs) == 1 else pairs


def _is_sequence(x: Any) -> bool:
    return isinstance(x, tuple | list) or len(getattr(x, "shape", ())) > 0


def _parts(x: Any) -> list[Any]:
    return [x[i] for i in range(len(x))] if _is_sequence(x) else [x]
