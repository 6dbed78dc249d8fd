"""Losses of predictions beside targets, and of vectors."""

import math
from collections.abc import Callable
from typing import Any

import numpy

from ...cases import Argument, Case, case


def _each(term: Callable[..., float]) -> Callable[..., Any]:
    """Make a loss of a function of a prediction, a target, and further arrays and options."""

    def loss(
        x: Any,
        target: Any,
        *,
        weight: Any = None,
        reduction: str = "mean",
        by_weight: bool = False,
        **options: Any,
    ) -> Any:
        spread = {k: numpy.broadcast_to(v, x.shape) for k, v in options.items()}
        weights = numpy.broadcast_to(1.0 if weight is None else weight, x.shape)
        terms = numpy.zeros(x.shape, numpy.result_type(x, target))
        for i in numpy.ndindex(x.shape):
            terms[i] = weights[i] * term(
                float(x[i]), float(target[i]), **{k: v[i] for k, v in spread.items()}
            )
        if reduction == "none":
            return terms
        count = weights.sum() if by_weight else x.size
        if reduction == "batchmean":
            count = len(x)
        return terms.dtype.type(terms.sum() / (1 if reduction == "sum" else count))

    return loss


def _by_weight(term: Callable[..., float]) -> Callable[..., Any]:
    loss = _each(term)
    return lambda *xs, **options: loss(*xs, by_weight=True, **options)


def _huber(x: float, t: float, delta: float = 1.0) -> float:
    d = abs(x - t)
    return d * d / 2 if d <= delta else delta * (d - delta / 2)


def _smooth(x: float, t: float, beta: float = 1.0) -> float:
    d = abs(x - t)
    return d * d / 2 / beta if d < beta else d - beta / 2


def _entropy(p: float, t: float) -> float:
    return -t * math.log(p) - (1 - t) * math.log(1 - p)


def _logits(x: float, t: float, pos_weight: float = 1.0) -> float:
    p = 1 / (1 + math.exp(-x))
    return -pos_weight * t * math.log(p) - (1 - t) * math.log(1 - p)


def _kl(x: float, t: float, log_target: bool = False) -> float:
    return math.exp(t) * (t - x) if log_target else t * (math.log(t) - x)


def _cosine(x1: Any, x2: Any, target: Any, *, margin: float = 0.0, reduction: str = "mean") -> Any:
    cosine = (x1 * x2).sum(-1) / numpy.sqrt((x1 * x1).sum(-1) * (x2 * x2).sum(-1))
    far = numpy.maximum(cosine - margin, numpy.zeros_like(cosine))
    return _total(numpy.where(numpy.asarray(target) == 1, 1 - cosine, far), reduction)


def _triplet(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    def distance(x: Any, y: Any) -> Any:
        return (abs(x - y + eps) ** p).sum(-1) ** (1 / p)

    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = numpy.minimum(far, distance(positive, negative))
    return _total(numpy.maximum(near - far + margin, numpy.zeros_like(far)), reduction)


def _total(terms: Any, reduction: str) -> Any:
    return terms if reduction == "none" else getattr(terms, reduction)()


REFERENCES: dict[str, Callable[..., Any]] = {
    "binary_cross_entropy": _each(_entropy),
    "binary_cross_entropy_with_logits": _each(_logits),
    "cosine_embedding_loss": _cosine,
    "huber_loss": _each(_huber),
    "kl_div": _each(_kl),
    "l1_loss": _by_weight(lambda x, t: abs(x - t)),
    "mse_loss": _by_weight(lambda x, t: (x - t) ** 2),
    "smooth_l1_loss": _each(_smooth),
    "triplet_margin_loss": _triplet,
}

_SHAPE = (2, 3)
_NUMBERS = Argument(_SHAPE)
_CHANCES = Argument(_SHAPE, 0.1, 0.9)
_WEIGHTS = Argument(_SHAPE, 0.5, 1.5)
_LOGARITHMS = Argument(_SHAPE, -3.0, -0.1)

#: The name: predictions and targets, further keywords that are differentiated, and options.
_TABLE: list[tuple[str, str, tuple[Any, Any], dict[str, Any], dict[str, Any]]] = [
    ("mse_loss", "", (_NUMBERS, _NUMBERS), {}, {}),
    ("mse_loss", "weights", (_NUMBERS, _NUMBERS), {"weight": _WEIGHTS}, {}),
    ("mse_loss", "sum", (_NUMBERS, _NUMBERS), {"weight": _WEIGHTS}, {"reduction": "sum"}),
    ("mse_loss", "none", (_NUMBERS, _NUMBERS), {}, {"reduction": "none"}),
    ("l1_loss", "", (_NUMBERS, _NUMBERS), {}, {}),
    ("l1_loss", "weights", (_NUMBERS, _NUMBERS), {"weight": _WEIGHTS}, {}),
    ("l1_loss", "none", (_NUMBERS, _NUMBERS), {}, {"reduction": "none"}),
    ("huber_loss", "", (_NUMBERS, _NUMBERS), {}, {}),
    ("huber_loss", "delta", (_NUMBERS, _NUMBERS), {}, {"delta": 0.6, "reduction": "none"}),
    ("huber_loss", "weights", (_NUMBERS, _NUMBERS), {"weight": _WEIGHTS}, {"delta": 1.3}),
    ("smooth_l1_loss", "", (_NUMBERS, _NUMBERS), {}, {}),
    ("smooth_l1_loss", "beta", (_NUMBERS, _NUMBERS), {}, {"beta": 0.6, "reduction": "none"}),
    ("smooth_l1_loss", "sum", (_NUMBERS, _NUMBERS), {}, {"beta": 1.7, "reduction": "sum"}),
    ("binary_cross_entropy", "", (_CHANCES, _CHANCES), {}, {}),
    ("binary_cross_entropy", "none", (_CHANCES, _CHANCES), {}, {"reduction": "none"}),
    ("binary_cross_entropy", "weights", (_CHANCES, _CHANCES), {"weight": (3,)}, {}),
    ("binary_cross_entropy_with_logits", "", (_NUMBERS, _CHANCES), {}, {}),
    ("binary_cross_entropy_with_logits", "sum", (_NUMBERS, _CHANCES), {}, {"reduction": "sum"}),
    (
        "binary_cross_entropy_with_logits",
        "weights",
        (_NUMBERS, _CHANCES),
        {"weight": _WEIGHTS, "pos_weight": Argument((3,), 0.5, 2.0)},
        {"reduction": "none"},
    ),
    ("kl_div", "", (_LOGARITHMS, _CHANCES), {}, {}),
    ("kl_div", "batchmean", (_LOGARITHMS, _CHANCES), {}, {"reduction": "batchmean"}),
    ("kl_div", "log_target", (_LOGARITHMS, _LOGARITHMS), {}, {"log_target": True}),
    (
        "kl_div",
        "log_target_none",
        (_LOGARITHMS, _LOGARITHMS),
        {},
        {"log_target": True, "reduction": "none"},
    ),
]


def _call(name: str, keys: list[str], options: dict[str, Any]) -> Callable[..., Any]:
    def call(nn: Any, x: Any, target: Any, *others: Any) -> Any:
        return getattr(nn, name)(x, target, **dict(zip(keys, others, strict=True)), **options)

    return call


#: Options of the losses of vectors, which have a margin that no pair or triplet is near.
_COSINE: dict[str, tuple[Any, dict[str, Any]]] = {
    "": ([1, -1, 1], {}),
    "margin": ([-1, -1, 1], {"margin": 0.3, "reduction": "sum"}),
    "none": ([1, -1, -1], {"margin": -0.5, "reduction": "none"}),
}
_TRIPLET: dict[str, dict[str, Any]] = {
    "": {},
    "margin": {"margin": 3.0, "reduction": "sum"},
    "p": {"p": 3.0, "reduction": "none"},
    "swap": {"swap": True, "margin": 2.0},
}

CASES: list[Case] = [
    *(
        case(
            name,
            _call(name, [*others], options),
            *pair,
            *others.values(),
            label=label,
            module="nn.functional",
        )
        for name, label, pair, others, options in _TABLE
    ),
    *(
        case(
            "cosine_embedding_loss",
            lambda nn, x, y, target=target, options=options: nn.cosine_embedding_loss(
                x, y, target, **options
            ),
            (3, 4),
            (3, 4),
            label=label,
            module="nn.functional",
        )
        for label, (target, options) in _COSINE.items()
    ),
    case(
        "cosine_embedding_loss",
        lambda nn, x, y: nn.cosine_embedding_loss(x, y, 1),
        (4,),
        (4,),
        label="vectors",
        module="nn.functional",
    ),
    *(
        case(
            "triplet_margin_loss",
            lambda nn, *xs, options=options: nn.triplet_margin_loss(*xs, **options),
            (3, 4),
            (3, 4),
            (3, 4),
            label=label,
            module="nn.functional",
        )
        for label, options in _TRIPLET.items()
    ),
]
