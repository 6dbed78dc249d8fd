"""Shorter ways to what NumPy computes: kernels in Python that stand before NumPy's functions.

On small arrays NumPy's own functions spend most of their time in general machinery written in
Python.  Each of these handles the usual case and returns `NotImplemented` for the rest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy

Kernel = Callable[..., Any]

_FLOATS = (numpy.dtype(numpy.float64), numpy.dtype(numpy.float32))


def broadcast_to(x: Any, *, shape: tuple[int, ...]) -> Any:
    """Broadcast by strides of 0."""
    kind = type(x)
    if kind is numpy.float64 or kind is numpy.float32:
        return numpy.ndarray(shape, x.dtype, x, 0, (0,) * len(shape))
    if kind is not numpy.ndarray or not x.flags.c_contiguous or len(shape) < x.ndim:
        return NotImplemented
    strides = [0] * (len(shape) - x.ndim)
    for n, stride, wanted in zip(x.shape, x.strides, shape[len(strides) :]):
        if n == wanted:
            strides.append(stride)
        elif n == 1:
            strides.append(0)
        else:
            return NotImplemented
    return _laid_out(x, shape, strides)


def _laid_out(x: Any, shape: tuple[int, ...], strides: Sequence[int]) -> Any:
    """Return a read-only view of a contiguous array by strides."""
    made = numpy.ndarray(shape, x.dtype, x, 0, strides)
    made.flags.writeable = False
    return made


def reshape(x: Any, *, shape: tuple[int, ...]) -> Any:
    """Reshape by the array's own method."""
    made = x.reshape(shape) if isinstance(x, numpy.ndarray) else numpy.reshape(x, shape)
    return made if made.ndim else made[()]


def axes_from_0(axis: Any, ndim: int) -> Sequence[int] | None:
    """Return axes as numbers from 0 on; `None` for what is left to the library to understand."""
    if type(axis) is int:
        return (axis % ndim,) if -ndim <= axis < ndim else None
    if axis is None:
        return range(ndim)
    if type(axis) is not tuple or not all(type(i) is int and -ndim <= i < ndim for i in axis):
        return None
    axes = tuple(i % ndim for i in axis)
    return axes if len(set(axes)) == len(axes) else None


def flip(x: Any, *, axis: Any = None) -> Any:
    """Reverse by a slice."""
    if type(x) is not numpy.ndarray:
        return NotImplemented
    axes = axes_from_0(axis, x.ndim)
    if axes is None:
        return NotImplemented
    back, whole = slice(None, None, -1), slice(None)
    return x[tuple([back if i in axes else whole for i in range(x.ndim)])]


def sum_vjp(
    g: Any,
    x: Any,
    *,
    axis: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Any:
    """Spread a cotangent over the axes that were summed, by strides of 0."""
    if where is not None:
        return NotImplemented
    shape = x.shape
    kind = type(g)
    if kind is numpy.float64 or kind is numpy.float32:
        return numpy.ndarray(shape, g.dtype, g, 0, (0,) * len(shape))
    if kind is not numpy.ndarray or not g.flags.c_contiguous:
        return NotImplemented
    ndim = len(shape)
    axes = axes_from_0(axis, ndim)
    if axes is None or g.ndim != (ndim if keepdims else ndim - len(axes)):
        return NotImplemented
    return _laid_out(g, shape, spread_strides(g.strides, ndim, axes, keepdims))


def spread_strides(
    strides: Sequence[int], ndim: int, axes: Sequence[int], keepdims: bool
) -> tuple[int, ...]:
    """Return the strides by which what axes were reduced to covers them again."""
    left = iter(strides)
    spread = []
    for i in range(ndim):
        stride = 0 if i in axes and not keepdims else next(left)
        spread.append(0 if i in axes else stride)
    return tuple(spread)


def mean_vjp(g: Any, x: Any, *, axis: Any = None, keepdims: bool = False, where: Any = None) -> Any:
    """Spread a cotangent, divided by their number, over the axes that were averaged."""
    size = math.prod(x.shape)
    if where is not None or not size or not g.size:
        return NotImplemented
    return sum_vjp(g / g.dtype.type(size // g.size), x, axis=axis, keepdims=keepdims)


def cardinal_sine(compiled: Mapping[str, Kernel]) -> dict[str, Kernel]:
    """Return a kernel for `sinc`, on the compiled sine."""
    sin, multiply, divide = compiled["sin"], compiled["multiply"], compiled["divide"]

    def sinc(x: Any) -> Any:
        """Divide sin(u) by u; next to 0 both are as small."""
        if type(x) is not numpy.ndarray or x.dtype not in _FLOATS:
            return NotImplemented
        u = multiply(numpy.where(x == 0, x.dtype.type(1e-20), x), math.pi)
        return NotImplemented if u is NotImplemented else divide(sin(u), u)

    return {"sinc": sinc}


def kernels(compiled: Mapping[str, Kernel]) -> dict[str, Kernel]:
    """Return the kernels, those that are made of compiled ones where there are such."""
    made: dict[str, Kernel] = {
        "broadcast_to": broadcast_to,
        "reshape": reshape,
        "flip": flip,
        "sum.vjp": sum_vjp,
        "mean.vjp": mean_vjp,
    }
    return {**made, **cardinal_sine(compiled)} if compiled else made
