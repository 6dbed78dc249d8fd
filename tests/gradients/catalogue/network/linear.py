"""The dense layer's arithmetic."""

from typing import Any

import numpy

from ...cases import Case, case

_ACTIVATIONS: dict[Any, Any] = {
    None: lambda x: x,
    "relu": lambda x: x * (x > 0),
    "tanh": numpy.tanh,
    "sigmoid": lambda x: 1 / (1 + numpy.exp(-x)),
}


def linear(x: Any, weight: Any, bias: Any = None, activation: str | None = None) -> Any:
    """Add up the products one by one."""
    made = numpy.zeros((*x.shape[:-1], len(weight)), x.dtype)
    for place in numpy.ndindex(made.shape):
        row = weight[place[-1]]
        total = sum(x[(*place[:-1], i)] * row[i] for i in range(len(row)))
        made[place] = total if bias is None else total + bias[place[-1]]
    return _ACTIVATIONS[activation](made)


REFERENCES = {"linear": linear}

_SHAPES = {"": (4, 3), "vector": (3,), "batches": (2, 2, 3), "no_rows": (0, 3), "one": (1, 3)}

CASES: list[Case] = [
    *(
        case(
            "linear",
            lambda nn, *xs, activation=activation: nn.linear(*xs, activation=activation),
            shape,
            (2, 3),
            *([(2,)] if biased else []),
            label="_".join([label, activation or "", "bias" if biased else ""]).strip("_"),
            module="nn.functional",
            complex=activation is None,
        )
        for label, shape in _SHAPES.items()
        for activation in (_ACTIVATIONS if label in ("", "batches") else (None, "tanh"))
        for biased in (True, False)
    ),
    case(
        "linear",
        lambda nn, x: nn.linear(x, x, activation="tanh"),
        (3, 3),
        label="itself",
        module="nn.functional",
    ),
]
