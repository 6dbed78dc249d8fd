"""The kernels of convolution: each geometry goes the way that is best for it.

Results are images in the order of the reference's axes, whose channels lie next to each other in
memory.  So they go from layer to layer without being copied: what comes in otherwise is copied
once.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from backpass.cupy import blas, cudnn, precision
from backpass.cupy.convolution import by_cudnn, depthwise, direct, own, sums
from backpass.cupy.convolution.columns import NUMBERS, WIDTH
from backpass.cupy.convolution.geometry import Geometry, Pair, is_channels_last, placed
from backpass.cupy.library import library, ndarray
from backpass.cupy.plans import Plans
from backpass.cupy.reductions import KERNELS as REDUCTIONS

Widths = tuple[Pair, Pair]

_plans = Plans()
_LAST = (0, 2, 3, 1)
_FIRST = (0, 3, 1, 2)


# ----- operands -----------------------------------------------------------------------------------


def _fit(*operands: Any) -> bool:
    """Tell whether operands are arrays of one dtype, on the current device."""
    if type(operands[0]) is not ndarray:
        return False
    dtype = operands[0].dtype
    if dtype.name not in NUMBERS or not dtype.isnative:
        return False
    device = library.cuda.device.get_device_id()
    return all(
        type(x) is ndarray and x.dtype == dtype and x.data.device_id == device for x in operands
    )


def _channels_last(x: Any) -> Any:
    """Return images whose channels lie next to each other, copied if they do not."""
    if is_channels_last(x) and x.data.ptr % WIDTH == 0:
        return x
    return x.transpose(*_LAST).copy().transpose(*_FIRST)


def _in_order(x: Any) -> Any:
    return x if x._c_contiguous and x.data.ptr % WIDTH == 0 else x.copy()


# ----- plans --------------------------------------------------------------------------------------


def _ways(name: str, geometry: Geometry, dtype: Any) -> Iterator[Any]:
    """Yield the modules that may have a plan, the best first."""
    if name != "to_input" and direct.takes(geometry, dtype):
        yield direct
    if cudnn.is_there():
        yield by_cudnn
    if depthwise.takes(geometry):
        yield depthwise
    if own.takes(geometry) and blas.load() is not None:
        yield own


def _plan(name: str, geometry: Geometry, dtype: Any, *options: Any) -> Any:
    """Return the plan of a convolution; `NotImplemented` for what is left to the reference."""
    for way in _ways(name, geometry, dtype):
        with contextlib.suppress(cudnn.Unsupported):
            return getattr(way, name)(geometry, dtype, *options)
    return NotImplemented


def _nothing(*shape: int, dtype: Any) -> Callable[..., Any]:
    """Return the plan for a batch of no images."""
    return lambda *operands: library.zeros(shape, dtype)


# ----- kernels ------------------------------------------------------------------------------------


def conv2d(
    x: Any,
    weight: Any,
    bias: Any,
    *,
    size: Pair,
    window: Pair,
    stride: Pair,
    padding: Widths,
    dilation: Pair,
    groups: int,
) -> Any:
    """Correlate x with weight, and add the bias."""
    if not (_fit(x, weight) if bias is None else _fit(x, weight, bias)):
        return NotImplemented
    how, biased = precision.current, bias is not None
    key = (
        conv2d, x.dtype, x.shape, weight.shape, stride, padding, dilation, groups, biased, how,
        cudnn.is_there(),
    )  # fmt: skip
    plan = _plans.get(key)
    if plan is None:
        batch, channels = x.shape[:2]
        out, counts = weight.shape[0], placed(size, window, stride, padding, dilation)
        if batch:
            geometry = Geometry(
                batch, channels, out, size, counts, window, stride, padding, dilation, groups
            )
            plan = _plan("forward", geometry, x.dtype, how, biased)
        else:
            plan = _nothing(0, *counts, out, dtype=x.dtype)
        _plans.keep(key, plan)
    if plan is NotImplemented:
        return NotImplemented
    bias = _in_order(bias) if biased else None
    return plan(_channels_last(x), _in_order(weight), bias).transpose(*_FIRST)


def conv2d_input(
    y: Any,
    weight: Any,
    *,
    size: Pair,
    window: Pair,
    stride: Pair,
    padding: Widths,
    dilation: Pair,
    groups: int,
) -> Any:
    """Spread y over an input by the weight."""
    if not _fit(y, weight):
        return NotImplemented
    how = precision.current
    key = (
        conv2d_input, y.dtype, y.shape, weight.shape, size, stride, padding, dilation, groups, how,
        cudnn.is_there(),
    )  # fmt: skip
    plan = _plans.get(key)
    if plan is None:
        batch, out, *counts = y.shape
        channels = weight.shape[1] * groups
        if batch:
            geometry = Geometry(
                batch, channels, out, size, (counts[0], counts[1]), window, stride, padding,
                dilation, groups,
            )  # fmt: skip
            plan = _plan("to_input", geometry, y.dtype, how)
        else:
            plan = _nothing(0, *size, channels, dtype=y.dtype)
        _plans.keep(key, plan)
    if plan is NotImplemented:
        return NotImplemented
    return plan(_channels_last(y), _in_order(weight)).transpose(*_FIRST)


def conv2d_weight(
    y: Any,
    x: Any,
    *,
    size: Pair,
    window: Pair,
    stride: Pair,
    padding: Widths,
    dilation: Pair,
    groups: int,
) -> Any:
    """Correlate y with what the window has seen of x."""
    if not _fit(y, x):
        return NotImplemented
    how = precision.current
    key = (
        conv2d_weight, y.dtype, y.shape, x.shape, window, stride, padding, dilation, groups, how,
        cudnn.is_there(),
    )  # fmt: skip
    plan = _plans.get(key)
    if plan is None:
        batch, out, *counts = y.shape
        channels = x.shape[1]
        if batch:
            geometry = Geometry(
                batch, channels, out, size, (counts[0], counts[1]), window, stride, padding,
                dilation, groups,
            )  # fmt: skip
            plan = _plan("to_weight", geometry, y.dtype, how)
        else:
            plan = _nothing(out, channels // groups, *window, dtype=y.dtype)
        _plans.keep(key, plan)
    if plan is NotImplemented:
        return NotImplemented
    return plan(_channels_last(y), _channels_last(x))


def conv2d_bias(g: Any, **windows: Any) -> Any:
    """Add a cotangent up for each output channel."""
    found = REDUCTIONS["sum"](g, axis=(0, 2, 3))
    if found is not NotImplemented or not _fit(g) or not g.size:
        return found
    found = sums.sum_of_pixels(_channels_last(g), g.shape[1])
    return NotImplemented if found is None else found


KERNELS: dict[str, Callable[..., Any]] = {
    "conv2d": conv2d,
    "conv2d_input": conv2d_input,
    "conv2d_weight": conv2d_weight,
    "conv2d.vjp2": conv2d_bias,
}
