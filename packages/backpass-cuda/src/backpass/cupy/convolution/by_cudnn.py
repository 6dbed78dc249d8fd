"""The three convolutions by cuDNN: an engine for each kind of operands, chosen once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from backpass.cupy import cudnn
from backpass.cupy.convolution.columns import Columns
from backpass.cupy.convolution.geometry import Geometry
from backpass.cupy.convolution.sums import add_bias
from backpass.cupy.library import ndarray

#: Takes the operands, channels last (a weight in C order), and returns an array (batch, height,
#: width, channels), or a weight.
Plan = Callable[..., Any]

#: What no engine may be: sums must not depend on chance, nor halves be added up as such.
_NEVER = frozenset(
    {
        cudnn.DOWN_CONVERT_INPUTS, cudnn.REDUCED_PRECISION_REDUCTION, cudnn.FFT,
        cudnn.NONDETERMINISTIC, *cudnn.WINOGRAD,
    }
)  # fmt: skip
#: The number of an operation's first attribute.
_FIRST = {cudnn.FORWARD: 700, cudnn.BACKWARD_DATA: 706, cudnn.BACKWARD_FILTER: 712}


def _images(number: int, dtype: Any, batch: int, channels: int, size: Sequence[int]) -> Any:
    """Describe images whose channels are last."""
    height, width = size
    strides = (channels * height * width, 1, channels * width, channels)
    return cudnn.tensor(number, dtype, (batch, channels, height, width), strides)


def _graph(geometry: Geometry, dtype: Any, how: str, kind: int) -> cudnn.Graph:
    """Return the graph of an operation, of images, a weight and an output."""
    g = geometry
    if dtype.name not in ("float16", "bfloat16", "float32"):
        raise cudnn.Unsupported("double precision is left to cuBLAS")
    if min(map(min, g.padding)) < 0:
        raise cudnn.Unsupported("a border that is cut away")
    windows = cudnn.Descriptor(
        cudnn.CONVOLUTION,
        [
            (100, cudnn.DATA_TYPE, [cudnn.TYPES["float32"]]),  # sums
            (101, cudnn.CONVOLUTION_MODE, [1]),  # the window is not turned round
            (102, cudnn.INT64, g.dilation),
            (103, cudnn.INT64, g.stride),
            (104, cudnn.INT64, [after for _, after in g.padding]),
            (105, cudnn.INT64, [before for before, _ in g.padding]),
            (106, cudnn.INT64, [2]),
        ],
    )
    x = _images(1, dtype, g.batch, g.channels, g.size)
    w = _images(2, dtype, g.out, g.inner, g.window)
    y = _images(3, dtype, g.batch, g.out, g.counts)
    # The attributes of each kind follow each other in this order.
    first = _FIRST[kind]
    operation = cudnn.Descriptor(
        kind,
        [
            (first, cudnn.FLOAT, [1.0]),
            (first + 1, cudnn.FLOAT, [0.0]),
            (first + 2, cudnn.DESCRIPTOR, [windows]),
            (first + 3, cudnn.DESCRIPTOR, [w]),
            (first + 4, cudnn.DESCRIPTOR, [x]),
            (first + 5, cudnn.DESCRIPTOR, [y]),
        ],
    )
    refused = _NEVER
    if dtype.name == "float32" and how != "tf32":
        refused |= {cudnn.TENSOR_CORE}
    return cudnn.Graph(operation, refused)


def forward(geometry: Geometry, dtype: Any, how: str, biased: bool) -> Plan:
    """Return the plan of `conv2d`: of x, weight and bias."""
    g = geometry
    graph = _graph(g, dtype, how, cudnn.FORWARD)
    shape = (g.batch, *g.counts, g.out)
    arranged = _arranging(g, dtype)

    def compute(x: Any, weight: Any, bias: Any) -> Any:
        made = ndarray(shape, dtype)
        graph(x, arranged(weight), made)
        if bias is not None:
            add_bias(made, bias, 1)
        return made

    return compute


def to_input(geometry: Geometry, dtype: Any, how: str) -> Plan:
    """Return the plan of `conv2d_input`: of y and weight."""
    g = geometry
    graph = _graph(g, dtype, how, cudnn.BACKWARD_DATA)
    shape = (g.batch, *g.size, g.channels)
    arranged = _arranging(g, dtype)

    def compute(y: Any, weight: Any) -> Any:
        made = ndarray(shape, dtype)
        graph(made, arranged(weight), y)
        return made

    return compute


def to_weight(geometry: Geometry, dtype: Any, how: str) -> Plan:
    """Return the plan of `conv2d_weight`: of y and x."""
    g = geometry
    graph = _graph(g, dtype, how, cudnn.BACKWARD_FILTER)
    shape = (g.out, g.inner, *g.window)

    def compute(y: Any, x: Any) -> Any:
        made = ndarray(shape, dtype)
        if _is_arranged(g):
            graph(x, made, y)
            return made
        last = ndarray((made.size,), dtype)
        graph(x, last, y)
        Columns(g, dtype, tight=True).unpack_weight(last, made)
        return made

    return compute


def _is_arranged(geometry: Geometry) -> bool:
    return geometry.inner == 1 or geometry.window == (1, 1)


def _arranging(geometry: Geometry, dtype: Any) -> Callable[[Any], Any]:
    """Return what puts the channels of a weight last."""
    if _is_arranged(geometry):
        return lambda weight: weight
    columns = Columns(geometry, dtype, tight=True)

    def arrange(weight: Any) -> Any:
        made = ndarray((weight.size,), dtype)
        columns.pack_weight(weight, made)
        return made

    return arrange
