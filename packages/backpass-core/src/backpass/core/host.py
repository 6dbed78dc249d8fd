"""Shorter ways to what NumPy computes: kernels in Python that stand before NumPy's functions.

On small arrays NumPy's own functions spend most of their time in general machinery written in
Python.  Each of these handles the usual case and returns `NotImplemented` for the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    made = numpy.ndarray(shape, x.dtype, x, 0, strides)
    made.flags.writeable = False
    return made


def reshape(x: Any, *, shape: tuple[int, ...]) -> Any:
    """Reshape by the array's own method."""
    made = x.reshape(shape) if isinstance(x, numpy.ndarray) else numpy.reshape(x, shape)
    return made if made.ndim else made[()]


def flip(x: Any, *, axis: Any = None) -> Any:
    """Reverse by a slice."""
    if type(x) is not numpy.ndarray:
        return NotImplemented
    back, ndim = slice(None, None, -1), x.ndim
    if type(axis) is int and -ndim <= axis < ndim:
        return x[(*(slice(None),) * (axis % ndim), back)]
    if axis is None:
        return x[(back,) * ndim]
    if type(axis) is not tuple or not all(type(i) is int and -ndim <= i < ndim for i in axis):
        return NotImplemented
    axes = {i % ndim for i in axis}
    if len(axes) != len(axis):
        return NotImplemented
    return x[tuple([back if i in axes else slice(None) for i in range(ndim)])]


def variance(compiled: Mapping[str, Kernel]) -> dict[str, Kernel]:
    """Return kernels for `var` and `std` that are made of compiled ones."""
    mean, subtract, square = compiled["mean"], compiled["subtract"], compiled["square"]
    total = compiled["sum"]

    def var(x: Any, *, axis: Any = None, keepdims: bool = False, ddof: float = 0) -> Any:
        """Mean of the squared distances from the mean."""
        if type(x) is not numpy.ndarray or x.dtype not in _FLOATS or not x.size:
            return NotImplemented
        middle = mean(x, axis=axis, keepdims=True)
        if middle is NotImplemented:
            return NotImplemented
        distances = subtract(x, middle)
        if distances is NotImplemented:
            return NotImplemented
        ans = total(square(distances), axis=axis, keepdims=keepdims)
        # As many are summed as there are for each mean.
        n = x.size // middle.size - ddof
        return NotImplemented if ans is NotImplemented or n <= 0 else ans / ans.dtype.type(n)

    def std(x: Any, **keywords: Any) -> Any:
        """Square root of the variance."""
        ans = NotImplemented if "where" in keywords else var(x, **keywords)
        return ans if ans is NotImplemented else numpy.sqrt(ans)

    return {"std": std, "var": lambda x, **k: NotImplemented if "where" in k else var(x, **k)}


def choices(compiled: Mapping[str, Kernel]) -> dict[str, Kernel]:
    """Return kernels for the rules of `fmax` and `fmin`: without a nan, those of `maximum`."""

    def without_nan(rule: Kernel) -> Kernel:
        def kernel(g: Any, x: Any, y: Any) -> Any:
            gx = rule(g, x, y)
            if gx is NotImplemented or numpy.isnan(x).any() or numpy.isnan(y).any():
                return NotImplemented
            return gx

        return kernel

    pairs = {"fmax": "maximum", "fmin": "minimum"}
    return {
        f"{name}.{rule}": without_nan(compiled[f"{like}.{rule}"])
        for name, like in pairs.items()
        for rule in ("vjp0", "vjp1")
    }


def kernels(compiled: Mapping[str, Kernel]) -> dict[str, Kernel]:
    """Return the kernels, those that are made of compiled ones where there are such."""
    made: dict[str, Kernel] = {
        "broadcast_to": broadcast_to,
        "reshape": reshape,
        "flip": flip,
    }
    return {**made, **variance(compiled), **choices(compiled)} if compiled else made
