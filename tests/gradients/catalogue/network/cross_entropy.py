"""Softmax cross-entropy and the negative log-likelihood."""

import math
from collections.abc import Callable
from typing import Any

import numpy

from ...cases import Argument, Case, case


def _reduced(terms: Any, total: float, reduction: str) -> Any:
    if reduction == "none":
        return terms
    added = terms.sum()
    return terms.dtype.type(added if reduction == "sum" else added / total)


def _weights(weight: Any, classes: int) -> list[float]:
    return [1.0] * classes if weight is None else [float(w) for w in weight]


def nll_loss(
    x: Any,
    target: Any,
    *,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    """Walk through the labels one by one."""
    axis = min(1, x.ndim - 1)
    target = numpy.asarray(target)
    weights = _weights(weight, x.shape[axis])
    terms = numpy.zeros(target.shape, x.dtype)
    total = 0.0
    for place in numpy.ndindex(target.shape):
        label = int(target[place])
        if label == ignore_index:
            continue
        total += weights[label]
        row = x[(*place[:axis], slice(None), *place[axis:])]
        every = sum(w * v for w, v in zip(weights, row, strict=True)) / len(row)
        terms[place] = -(1 - label_smoothing) * weights[label] * row[label]
        terms[place] -= label_smoothing * every
    return _reduced(terms, total, reduction)


def cross_entropy(
    logits: Any,
    target: Any,
    *,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Any:
    """Take the logarithms of the probabilities, place by place."""
    axis = min(1, logits.ndim - 1)
    logs = numpy.zeros_like(logits)
    places = [*numpy.ndindex(logits.shape[:axis] + logits.shape[axis + 1 :])]
    for place in places:
        index = (*place[:axis], slice(None), *place[axis:])
        row = [math.exp(v) for v in logits[index]]
        logs[index] = [math.log(v / sum(row)) for v in row]
    target = numpy.asarray(target)
    if target.dtype.kind in "iu" or not target.size:
        return nll_loss(
            logs,
            target,
            weight=weight,
            ignore_index=ignore_index,
            label_smoothing=label_smoothing,
            reduction=reduction,
        )
    classes = logits.shape[axis]
    terms = numpy.zeros(logits.shape[:axis] + logits.shape[axis + 1 :], logits.dtype)
    for place in places:
        index = (*place[:axis], slice(None), *place[axis:])
        for w, p, v in zip(_weights(weight, classes), target[index], logs[index], strict=True):
            terms[place] -= w * ((1 - label_smoothing) * p + label_smoothing / classes) * v
    return _reduced(terms, len(places), reduction)


REFERENCES = {"cross_entropy": cross_entropy, "nll_loss": nll_loss}

#: Label: the shape of the logits, the labels, and the options.
_LABELS: dict[str, tuple[tuple[int, ...], Any, dict[str, Any]]] = {
    "": ((4, 3), [0, 2, 1, 2], {}),
    "sum": ((4, 3), [0, 2, 1, 2], {"reduction": "sum"}),
    "none": ((4, 3), [0, 2, 1, 2], {"reduction": "none"}),
    "ignored": ((4, 3), [0, -100, 1, -100], {}),
    "ignored_one": ((4, 3), [0, 1, 1, 2], {"ignore_index": 1, "reduction": "none"}),
    "weights": ((4, 3), [0, 2, 1, -100], {"weight": [0.5, 2.0, 0.0]}),
    "places": ((2, 3, 2), [[0, 2], [1, -100]], {"weight": [0.5, 2.0, 1.5]}),
    "images": ((2, 3, 1, 2), [[[0, 2]], [[1, 1]]], {"reduction": "none"}),
    "vector": ((3,), 1, {}),
    "no_rows": ((0, 3), [], {"reduction": "sum"}),
}
_SMOOTHED: dict[str, tuple[tuple[int, ...], Any, dict[str, Any]]] = {
    "smoothed": ((4, 3), [0, 2, -100, 2], {}),
    "smoothed_none": ((4, 3), [0, 2, -100, 2], {"reduction": "none"}),
    "smoothed_weights": ((2, 3, 2), [[0, 2], [1, -100]], {"weight": [0.5, 2.0, 1.5]}),
    "smoothed_sum": ((3,), 2, {"weight": [0.5, 2.0, 1.5], "reduction": "sum"}),
}
#: Label: the shape, and the options.
_PROBABILITIES: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "": ((4, 3), {}),
    "sum": ((4, 3), {"reduction": "sum"}),
    "none": ((2, 3, 2), {"reduction": "none"}),
    "weights": ((2, 3, 2), {"weight": [0.5, 2.0, 1.5]}),
    "smoothed": ((4, 3), {"label_smoothing": 0.2, "weight": [0.5, 2.0, 1.5]}),
    "smoothed_none": ((3,), {"label_smoothing": 0.2, "reduction": "none"}),
}


def _call(name: str, target: Any, options: dict[str, Any]) -> Callable[..., Any]:
    return lambda nn, x: getattr(nn, name)(x, target, **options)


CASES: list[Case] = [
    *(
        case(name, _call(name, target, options), shape, label=label, module="nn.functional")
        for name in ("cross_entropy", "nll_loss")
        for label, (shape, target, options) in _LABELS.items()
    ),
    *(
        case(
            "cross_entropy",
            _call("cross_entropy", target, {"label_smoothing": 0.3, **options}),
            shape,
            label=label,
            module="nn.functional",
        )
        for label, (shape, target, options) in _SMOOTHED.items()
    ),
    *(
        case(
            "cross_entropy",
            lambda nn, x, target, options=options: nn.cross_entropy(x, target, **options),
            shape,
            Argument(shape, 0.1, 0.8),
            label=f"probabilities_{label}".strip("_"),
            module="nn.functional",
        )
        for label, (shape, options) in _PROBABILITIES.items()
    ),
]
