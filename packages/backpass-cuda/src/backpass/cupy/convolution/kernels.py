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
from backpass.cupy.convolution import by_cudnn, depthwise, direct, own, strips, sums
from backpass.cupy.convolution.columns import NUMBERS, WIDTH
from backpass.cupy.convolution.geometry import Geometry, Pair, is_channels_last, placed
from backpass.cupy.library import library, ndarray
from backpass.cupy.plans import Plans
from backpass.cupy.reductions import KERNELS as REDUCTIONS

#: Windows of so few elements are hard for others to multiply.
FEW = 64

_plans = Plans()
_LAST = (0, 2, 3, 1)
_FIRST = (0, 3, 1, 2)


# ----- operands -----------------------------------------------------------------------------------


def _aligned(x: Any) -> bool:
    return bool(x.data.ptr % WIDTH == 0)


def _with_channels_last(x: Any) -> Any:
    return x.transpose(*_LAST).copy().transpose(*_FIRST)


def _in_order(x: Any) -> Any:
    return x.copy()


def _preparation(x: Any, is_images: bool) -> Callable[[Any], Any] | None:
    """Return what copies such an array to where a plan can read it; `None` where that is needless.

    Plans take images whose channels lie next to each other, and weights and biases in C order.
    """
    if x is None or (_aligned(x) and (is_channels_last(x) if is_images else x._c_contiguous)):
        return None
    return _with_channels_last if is_images else _in_order


def _fit(operands: tuple[Any, ...]) -> bool:
    """Tell whether arrays are of one dtype that is computed with, on the current device."""
    arrays = [x for x in operands if x is not None]
    dtype, device = arrays[0].dtype, library.cuda.device.get_device_id()
    known = dtype.name in NUMBERS and dtype.isnative
    return known and all(x.dtype == dtype and x.data.device_id == device for x in arrays)


# ----- plans --------------------------------------------------------------------------------------


def _ways(name: str, geometry: Geometry, dtype: Any, how: str) -> Iterator[Any]:
    """Yield the modules that may have a plan, the best first.

    Without tensor cores cuDNN is slow where channels are last, but for channels that are alone; in
    groups it multiplies what belongs to others by 0, which spreads nan.  Strips overlap, which
    cuBLAS reads slowly without tensor cores, except where pixels are added up.
    """
    g = geometry
    is_exact = dtype.name == "float64" or (dtype.name == "float32" and how == "highest")
    at_once = name == "forward" or (name == "to_weight" and dtype.itemsize > 2)
    if at_once and direct.takes(g, dtype):
        yield direct
    ours = own.takes_numbers(g) and blas.load() is not None
    few = name != "forward" and g.groups == 1 and g.elements <= FEW
    if ours and (g.is_a_product or few):
        yield own
    alone = depthwise.takes(g)
    if cudnn.is_there() and (alone or (g.groups == 1 and not is_exact)):
        yield by_cudnn
    if alone:
        yield depthwise
    if ours:
        if strips.takes(name, g, dtype) and (name == "to_weight" or not is_exact):
            yield strips
        yield own


def _plan(name: str, geometry: Geometry, dtype: Any, *options: Any) -> Any:
    """Return the plan of a convolution; `NotImplemented` for what is left to the reference."""
    how = precision.current
    for way in _ways(name, geometry, dtype, how):
        with contextlib.suppress(cudnn.Unsupported):
            return getattr(way, name)(geometry, dtype, how, *options)
    return NotImplemented


def _forward(x: Any, weight: Any, bias: Any, *, size: Pair, **windows: Any) -> Any:
    batch, channels = x.shape[:2]
    out, dtype = weight.shape[0], x.dtype
    words = {name: windows[name] for name in ("window", "stride", "padding", "dilation")}
    counts = placed(size, **words)
    if not batch:
        return lambda *operands: library.zeros((0, *counts, out), dtype)
    geometry = Geometry(batch, channels, out, size, counts, **windows)
    return _plan("forward", geometry, dtype, bias is not None)


def _to_input(y: Any, weight: Any, *, size: Pair, groups: int, **windows: Any) -> Any:
    (batch, out, *counts), dtype = y.shape, y.dtype
    channels = weight.shape[1] * groups
    if not batch:
        return lambda *operands: library.zeros((0, *size, channels), dtype)
    there = (counts[0], counts[1])
    geometry = Geometry(batch, channels, out, size, there, groups=groups, **windows)
    return _plan("to_input", geometry, dtype)


def _to_weight(y: Any, x: Any, *, size: Pair, groups: int, **windows: Any) -> Any:
    (batch, out, *counts), channels, dtype = y.shape, x.shape[1], y.dtype
    if not batch:
        shape = (out, channels // groups, *windows["window"])
        return lambda *operands: library.zeros(shape, dtype)
    there = (counts[0], counts[1])
    geometry = Geometry(batch, channels, out, size, there, groups=groups, **windows)
    return _plan("to_weight", geometry, dtype)


def _prepared(plan: Any, operands: tuple[Any, ...], images: tuple[bool, ...]) -> Any:
    """Return the plan as one that takes operands laid out like these."""
    ways = [_preparation(x, is_images) for x, is_images in zip(operands, images)]
    if plan is NotImplemented or not any(ways):
        return plan

    def prepared(*operands: Any) -> Any:
        return plan(*[x if way is None else way(x) for x, way in zip(operands, ways)])

    return prepared


def _found(
    make: Callable[..., Any],
    images: tuple[bool, ...],
    operands: tuple[Any, ...],
    windows: dict[str, Any],
) -> Any:
    """Return the plan that `make` gives for such operands; some of them are images."""
    key = [make, *windows.values(), precision.current, cudnn.is_there()]
    key.append(library.cuda.device.get_device_id())
    for x in operands:
        if type(x) is ndarray:
            place = x.data
            key += (x.dtype, x.shape, x.strides, place.ptr % WIDTH == 0, place.device_id)
        elif x is None:
            key.append(None)
        else:
            return NotImplemented
    known = tuple(key)
    plan = _plans.get(known)
    if plan is None:
        plan = make(*operands, **windows) if _fit(operands) else NotImplemented
        plan = _plans.keep(known, _prepared(plan, operands, images))
    return plan


# ----- kernels ------------------------------------------------------------------------------------


def conv2d(x: Any, weight: Any, bias: Any, **windows: Any) -> Any:
    """Correlate x with weight, and add the bias."""
    plan = _found(_forward, (True, False, False), (x, weight, bias), windows)
    return plan if plan is NotImplemented else plan(x, weight, bias).transpose(*_FIRST)


def conv2d_input(y: Any, weight: Any, **windows: Any) -> Any:
    """Spread y over an input by the weight."""
    plan = _found(_to_input, (True, False), (y, weight), windows)
    return plan if plan is NotImplemented else plan(y, weight).transpose(*_FIRST)


def conv2d_weight(y: Any, x: Any, **windows: Any) -> Any:
    """Correlate y with what the window has seen of x."""
    plan = _found(_to_weight, (True, True), (y, x), windows)
    return plan if plan is NotImplemented else plan(y, x)


def conv2d_bias(g: Any, **windows: Any) -> Any:
    """Add a cotangent up for each output channel."""
    if type(g) is not ndarray or not g.size or not _fit((g,)):
        return NotImplemented
    if not is_channels_last(g):
        found = REDUCTIONS["sum"](g, axis=(0, 2, 3))
        if found is not NotImplemented:
            return found
        g = _with_channels_last(g)
    found = sums.sum_of_pixels(g, g.shape[1])
    return NotImplemented if found is None else found


KERNELS: dict[str, Callable[..., Any]] = {
    "conv2d": conv2d,
    "conv2d_input": conv2d_input,
    "conv2d_weight": conv2d_weight,
    "conv2d.vjp2": conv2d_bias,
}
