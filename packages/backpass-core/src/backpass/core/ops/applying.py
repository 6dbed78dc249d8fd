"""Functions of Python's applied to parts of an array: their derivatives follow by themselves."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy

from backpass.core.backends import backend_of
from backpass.core.ops.indexing import assign, getitem
from backpass.core.ops.shaping import (
    as_operand,
    expand_dims,
    moveaxis,
    normalize_axis,
    reshape,
    stack,
    transpose_,
)
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors, plain, zeros_beside

Function = Callable[..., Any]


def apply_along_axis(func1d: Function, axis: int, arr: Any, *args: Any, **kwargs: Any) -> Tensor:
    """Apply a function to each row along an axis; its results stand where the axis was.

    `func1d(row, *args, **kwargs)` gets Tensors of one axis, and may return arrays of any shape, all
    of one.  They are joined as by `stack`, and not cast to the type of the first.

    Raises
    ------
    ValueError
        If there is no row, or the results have different shapes.
    """
    arr = as_operand(arr)
    axis = normalize_axis(axis, len(arr.shape), "apply_along_axis")
    others = (*arr.shape[:axis], *arr.shape[axis + 1 :])
    if 0 in others:
        raise ValueError(
            f"apply_along_axis: an array of shape {arr.shape} has no row along axis {axis}"
        )
    rows = reshape(moveaxis(arr, axis, -1), shape=(math.prod(others), arr.shape[axis]))
    found = stack([func1d(row, *args, **kwargs) for row in rows])
    inner = found.shape[1:]
    made = reshape(found, shape=(*others, *inner))
    # The axes of the results go from the end to where the axis was.
    behind, n = len(others) - axis, len(others)
    axes = (*range(axis), *range(n, n + len(inner)), *range(axis, n))
    return transpose_(made, axes=axes) if behind and inner else made  # type: ignore[no-any-return]


def apply_over_axes(func: Function, a: Any, axes: Any) -> Tensor:
    """Apply a function `func(a, axis)` along several axes, one after the other.

    Raises
    ------
    ValueError
        If the function returns neither as many axes as it got, nor one less.
    """
    a = made = as_tensors(as_operand(a))
    for axis in axes if numpy.ndim(axes) else (axes,):
        axis = normalize_axis(int(axis), a.ndim, "apply_over_axes")
        found = as_tensors(as_operand(func(made, axis)))
        if found.ndim == a.ndim - 1:
            found = expand_dims(found, axis)
        if found.ndim != a.ndim:
            raise ValueError(
                f"apply_over_axes: the function returned an array of shape {found.shape} for one "
                f"of shape {made.shape}: it must have as many axes, or one less"
            )
        made = found
    return made  # type: ignore[no-any-return]


def piecewise(x: Any, condlist: Any, funclist: Sequence[Any], *args: Any, **kw: Any) -> Tensor:
    """Apply to each element the function, or write the constant, whose condition holds.

    Each function is called as `f(x[condition], *args, **kw)`, so that what it does elsewhere is
    never met; functions and constants may be tracked.  Where no condition holds there is 0, or what
    the last function gives if there is one more than conditions; where several hold, the last
    counts.  The result has the dtype of x.

    Raises
    ------
    ValueError
        If there are neither as many functions as conditions, nor one more.
    TypeError
        If a tracked value would be written into integers.
    """
    x = as_operand(x)
    shape = tuple(x.shape)
    xp = backend_of((plain(x),)).library
    conditions = _conditions(condlist, len(shape))
    conditions = [xp.asarray(plain(as_operand(c)), dtype=bool) for c in conditions]
    if len(conditions) == len(funclist) - 1:
        none: Any = False
        for c in conditions:
            none = none | c
        conditions.append(~xp.asarray(none))
    elif len(conditions) != len(funclist):
        raise ValueError(
            f"piecewise: {len(funclist)} functions for {len(conditions)} conditions: there must "
            "be as many, or one more"
        )
    if not shape:
        x, conditions = reshape.op(x, shape=(1,)), [c.reshape(1) for c in conditions]
    made = Tensor(zeros_beside(x, [x]))
    for condition, function in zip(conditions, funclist):
        if not callable(function):
            assign(made, condition, function)
            continue
        part = getitem(x, index=condition)
        if part.size:
            assign(made, condition, function(part, *args, **kw))
    return made if shape else made[0]


def _conditions(condlist: Any, ndim: int) -> list[Any]:
    """Return the conditions; a single one need not be in a list."""
    if not isinstance(condlist, list | tuple) and not numpy.ndim(plain(condlist)):
        return [condlist]
    parts = [condlist[i] for i in range(len(condlist))]
    several = parts and (isinstance(parts[0], list) or len(getattr(parts[0], "shape", ())))
    return parts if several or not ndim else [condlist]
