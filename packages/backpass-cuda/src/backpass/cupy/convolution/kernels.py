"""The kernels of convolution: by cuDNN where it can be loaded and does it, by products elsewhere.

Results are images in the order of the reference's axes, whose channels lie next to each other in
memory.  So they go from layer to layer without being copied: what comes in otherwise is copied
once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backpass.cupy import blas, precision
from backpass.cupy.convolution import biases, own
from backpass.cupy.convolution.columns import NUMBERS
from backpass.cupy.convolution.geometry import Geometry, Pair, is_channels_last, placed
from backpass.cupy.library import library, ndarray
from backpass.cupy.plans import Plans
from backpass.cupy.reductions import KERNELS as REDUCTIONS

_plans = Plans()
_LAST = (0, 2, 3, 1)
_FIRST = (0, 3, 1, 2)


def _channels_last(x: Any) -> Any:
    """Return images whose channels lie next to each other, copied if they do not."""
    if is_channels_last(x):
        return x
    return x.transpose(*_LAST).copy().transpose(*_FIRST)


def _in_order(x: Any) -> Any:
    return x if x._c_contiguous else x.copy()


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


def conv2d(
    x: Any,
    weight: Any,
    bias: Any,
    *,
    size: Pair,
    window: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    dilation: Pair,
    groups: int,
) -> Any:
    """Correlate x with weight, and add the bias."""
    if not (_fit(x, weight) if bias is None else _fit(x, weight, bias)):
        return NotImplemented
    how, dtype = precision.current, x.dtype
    key = (
        "conv2d", dtype, x.shape, weight.shape, window, stride, padding, dilation, groups,
        bias is None, how,
    )  # fmt: skip
    plan = _plans.get(key)
    if plan is None:
        counts = placed(size, window, stride, padding, dilation)
        geometry = Geometry(
            *x.shape[:2], weight.shape[0], size, counts, window, stride, padding, dilation, groups
        )
        plan = _plans.keep(key, _forward(geometry, dtype, how, bias is not None))
    if plan is NotImplemented:
        return NotImplemented
    weight = _in_order(weight)
    if bias is not None:
        bias = _in_order(bias)
    return plan(_channels_last(x), weight, bias).transpose(*_FIRST)


def _forward(geometry: Geometry, dtype: Any, how: str, biased: bool) -> Any:
    g = geometry
    if not g.batch:
        return own.empty((0, *g.counts, g.out), dtype)
    if blas.load() is None or not own.takes(g):
        return NotImplemented
    return own.forward(g, dtype, how, biased)


def conv2d_input(
    y: Any,
    weight: Any,
    *,
    size: Pair,
    window: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    dilation: Pair,
    groups: int,
) -> Any:
    """Spread y over an input by the weight."""
    if not _fit(y, weight):
        return NotImplemented
    how, dtype = precision.current, y.dtype
    key = (
        "conv2d_input", dtype, y.shape, weight.shape, size, window, stride, padding, dilation,
        groups, how,
    )  # fmt: skip
    plan = _plans.get(key)
    if plan is None:
        batch, out, *counts = y.shape
        geometry = Geometry(
            batch, weight.shape[1] * groups, out, size, (counts[0], counts[1]), window, stride,
            padding, dilation, groups,
        )  # fmt: skip
        plan = _plans.keep(key, _to_input(geometry, dtype, how))
    if plan is NotImplemented:
        return NotImplemented
    return plan(_channels_last(y), _in_order(weight)).transpose(*_FIRST)


def _to_input(geometry: Geometry, dtype: Any, how: str) -> Any:
    g = geometry
    if not g.batch:
        return own.empty((0, *g.size, g.channels), dtype)
    if blas.load() is None or not own.takes(g):
        return NotImplemented
    return own.to_input(g, dtype, how)


def conv2d_weight(
    y: Any,
    x: Any,
    *,
    size: Pair,
    window: Pair,
    stride: Pair,
    padding: tuple[Pair, Pair],
    dilation: Pair,
    groups: int,
) -> Any:
    """Correlate y with what the window has seen of x."""
    if not _fit(y, x):
        return NotImplemented
    how, dtype = precision.current, y.dtype
    key = (
        "conv2d_weight", dtype, y.shape, x.shape, size, window, stride, padding, dilation, groups,
        how,
    )  # fmt: skip
    plan = _plans.get(key)
    if plan is None:
        batch, out, *counts = y.shape
        geometry = Geometry(
            batch, x.shape[1], out, size, (counts[0], counts[1]), window, stride, padding, dilation,
            groups,
        )  # fmt: skip
        plan = _plans.keep(key, _to_weight(geometry, dtype, how))
    if plan is NotImplemented:
        return NotImplemented
    return plan(_channels_last(y), _channels_last(x))


def _to_weight(geometry: Geometry, dtype: Any, how: str) -> Any:
    g = geometry
    if not g.batch:
        return own.empty((g.out, g.inner, *g.window), dtype)
    if blas.load() is None or not own.takes(g):
        return NotImplemented
    return own.to_weight(g, dtype, how)


def conv2d_bias(g: Any, **windows: Any) -> Any:
    """Add a cotangent up for each output channel."""
    found = REDUCTIONS["sum"](g, axis=(0, 2, 3))
    if found is not NotImplemented or not _fit(g) or not g.size:
        return found
    found = biases.sum_of_pixels(_channels_last(g), g.shape[1])
    return NotImplemented if found is None else found


KERNELS: dict[str, Callable[..., Any]] = {
    "conv2d": conv2d,
    "conv2d_input": conv2d_input,
    "conv2d_weight": conv2d_weight,
    "conv2d.vjp2": conv2d_bias,
}
