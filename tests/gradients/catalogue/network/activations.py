"""Activations: functions of one number, and the softmax."""

import math
from collections.abc import Callable
from typing import Any

import numpy
from scipy import special

from ...cases import Argument, Case, case

_ROOT = math.sqrt(2 / math.pi)


def _where(condition: Any, yes: Any, no: Any, like: Any) -> Any:
    return numpy.where(condition, yes, no).astype(numpy.asarray(like).dtype)[()]


def _elu(x: Any, alpha: float = 1.0) -> Any:
    return _where(x > 0, x, alpha * (numpy.exp(x) - 1), x)


def _celu(x: Any, alpha: float = 1.0) -> Any:
    return _where(x > 0, x, alpha * (numpy.exp(x / alpha) - 1), x)


def _gelu(x: Any, approximate: str = "none") -> Any:
    if approximate == "tanh":
        return x * (1 + numpy.tanh(_ROOT * (x + 0.044715 * x**3))) / 2
    return x * special.ndtr(x)


def _prelu(x: Any, weight: Any) -> Any:
    made = numpy.array(x)
    for place in numpy.ndindex(x.shape):
        if x[place] < 0:
            made[place] *= weight[place[min(1, x.ndim - 1)] % len(weight)]
    return made


def _softplus(x: Any, beta: float = 1.0, threshold: float = 20.0) -> Any:
    return _where(beta * x > threshold, x, numpy.log(1 + numpy.exp(beta * x)) / beta, x)


def _glu(x: Any, axis: int = -1) -> Any:
    a, b = numpy.split(x, 2, axis)
    return a / (1 + numpy.exp(-b))


REFERENCES: dict[str, Callable[..., Any]] = {
    "celu": _celu,
    "elu": _elu,
    "gelu": _gelu,
    "glu": _glu,
    "hardsigmoid": lambda x: numpy.clip(x / 6 + 0.5, 0, 1),
    "hardswish": lambda x: x * numpy.clip(x / 6 + 0.5, 0, 1),
    "hardtanh": lambda x, min_val=-1.0, max_val=1.0: numpy.clip(x, min_val, max_val),
    "leaky_relu": lambda x, negative_slope=0.01: _where(x > 0, x, negative_slope * x, x),
    "log_softmax": lambda x, axis=-1: special.log_softmax(x, axis),
    "logsigmoid": lambda x: -numpy.log(1 + numpy.exp(-x)),
    "mish": lambda x: x * numpy.tanh(numpy.log(1 + numpy.exp(x))),
    "prelu": _prelu,
    "relu": lambda x: _where(x > 0, x, 0, x),
    "relu6": lambda x: numpy.clip(x, 0, 6),
    "selu": lambda x: 1.0507009873554805 * _elu(x, 1.6732632423543772),
    "sigmoid": lambda x: 1 / (1 + numpy.exp(-x)),
    "silu": lambda x: x / (1 + numpy.exp(-x)),
    "softmax": lambda x, axis=-1: special.softmax(x, axis),
    "softmin": lambda x, axis=-1: special.softmax(-x, axis),
    "softplus": _softplus,
    "softsign": lambda x: x / (1 + abs(x)),
    "tanh": numpy.tanh,
}

#: Label: the name, and its other arguments.
_OF_NUMBERS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in REFERENCES if name not in ("glu", "prelu")},
    "celu-wide": ("celu", {"alpha": 2.5}),
    "elu-steep": ("elu", {"alpha": 2.5}),
    "elu-rising": ("elu", {"alpha": -0.5}),
    "gelu-tanh": ("gelu", {"approximate": "tanh"}),
    "hardtanh-bounds": ("hardtanh", {"min_val": -0.7, "max_val": 2.2}),
    "leaky_relu-slope": ("leaky_relu", {"negative_slope": 0.3}),
    "leaky_relu-falling": ("leaky_relu", {"negative_slope": -0.3}),
    "leaky_relu-steep": ("leaky_relu", {"negative_slope": 1.5}),
    "log_softmax-axis": ("log_softmax", {"axis": 0}),
    "softmax-axis": ("softmax", {"axis": 0}),
    "softmin-axis": ("softmin", {"axis": 0}),
    "softplus-beta": ("softplus", {"beta": 2.0}),
    "softplus-threshold": ("softplus", {"threshold": 1.1}),
}
# The kinks are at 0, 1, 3, 6, and at the bounds above; the numbers lie between.
_NUMBERS = Argument((3, 5), -4.0, 7.1, 0.2)


def _call(name: str, options: dict[str, Any]) -> Callable[..., Any]:
    return lambda nn, *xs: getattr(nn, name)(*xs, **options)


def _network(name: str, options: dict[str, Any], *args: Any, label: str = "") -> Case:
    return case(name, _call(name, options), *args, label=label, module="nn.functional")


CASES: list[Case] = [
    *(
        _network(name, options, _NUMBERS, label=label.partition("-")[2])
        for label, (name, options) in _OF_NUMBERS.items()
    ),
    *(
        _network(name, {}, Argument((), 0.3, 0.9), label="0d")
        for name in (
            "relu",
            "leaky_relu",
            "elu",
            "gelu",
            "silu",
            "softplus",
            "softsign",
            "hardtanh",
        )
    ),
    _network("gelu", {}, (0, 2), label="empty"),
    _network("glu", {}, (3, 4)),
    _network("glu", {"axis": 1}, (2, 4, 3), label="axis"),
    _network("prelu", {}, Argument((2, 3), gap=0.1), Argument((3,), 0.1, 0.9)),
    _network("prelu", {}, Argument((2, 3, 2, 2), gap=0.1), Argument((3,), 0.1, 1.9), label="4d"),
    _network("prelu", {}, Argument((2, 3), gap=0.1), Argument((1,), -0.9, 0.9), label="one"),
    _network("prelu", {}, Argument((4,), gap=0.1), Argument((4,), 0.1, 0.9), label="1d"),
]
