"""Sums of exponentials: logsumexp with all its keywords, the softmax."""

from typing import Any

import numpy

from ...cases import Argument, Case
from .making import special

#: Label: the keywords of a reduction, and the shape of what is reduced.
AXES: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "": ({}, (2, 3)),
    "axis_0": ({"axis": 0}, (2, 3)),
    "axis_-1": ({"axis": -1}, (2, 3)),
    "axes": ({"axis": (0, 2)}, (2, 3, 2)),
    "axes_negative": ({"axis": (-1, 0)}, (2, 3)),
    "1d": ({}, (4,)),
    "one": ({"axis": 1}, (3, 1)),
    "empty_result": ({"axis": 1}, (0, 3)),
}
#: Label: keywords, the shapes of exponents and weights.
WEIGHTED: dict[str, tuple[dict[str, Any], tuple[int, ...], tuple[int, ...]]] = {
    "": ({}, (2, 3), (2, 3)),
    "row": ({"axis": 0}, (2, 3), (3,)),
    "row_of_exponents": ({"axis": -1}, (3,), (2, 3)),
    "axes_kept": ({"axis": (0, -1), "keepdims": True}, (2, 3, 2), (3, 1)),
    "0d": ({}, (), ()),
    "empty_result": ({"axis": 1}, (0, 3), (3,)),
}


def _reduction(name: str, keywords: dict[str, Any]) -> Any:
    return lambda sp, x: getattr(sp, name)(x, **keywords)


CASES: list[Case] = [
    *(
        special(name, _reduction(name, keywords), shape, label=label)
        for name in ("logsumexp", "softmax", "log_softmax")
        for label, (keywords, shape) in AXES.items()
        # SciPy refuses what it makes of no elements.
        if not (label == "empty_result" and name == "logsumexp")
    ),
    special("logsumexp", _reduction("logsumexp", {"keepdims": True}), (2, 3), label="kept"),
    special(
        "logsumexp",
        _reduction("logsumexp", {"axis": 1, "keepdims": True}),
        (2, 3),
        label="axis_1_kept",
    ),
    special(
        "logsumexp",
        _reduction("logsumexp", {"axis": (0, -1), "keepdims": True}),
        (2, 3, 2),
        label="axes_kept",
    ),
    special("logsumexp", _reduction("logsumexp", {}), (2, 3), label="complex", complex=True),
    special("logsumexp", _reduction("logsumexp", {}), (), label="0d"),
    special("logsumexp", _reduction("logsumexp", {}), Argument((3,), 800, 900), label="large"),
    special("softmax", _reduction("softmax", {}), Argument((3,), 800, 803), label="large"),
    special("log_softmax", _reduction("log_softmax", {}), Argument((3,), 800, 803), label="large"),
    special("softmax", _reduction("softmax", {"axis": 1}), (2, 3), label="analytic", complex=True),
    special(
        "log_softmax",
        _reduction("log_softmax", {"axis": 0}),
        (2, 3),
        label="analytic",
        complex=True,
    ),
    special("gpu_logsumexp", lambda sp, x: sp.gpu_logsumexp(x, 1), (2, 3)),
    special(
        "logsumexp",
        lambda sp, x: sp.logsumexp([x[0], x[1], 0.3]),
        (2,),
        label="list",
        without="jax",
    ),
    # Weights: positive, of both signs, broadcast, a mask, complex.
    *(
        special(
            "logsumexp",
            lambda sp, a, b, keywords=keywords: sp.logsumexp(a, b=b, **keywords),
            Argument(shape, -1, 1),
            Argument(weights, 0.3, 2),
            label=f"weighted_{label}",
            complex=True,
        )
        for label, (keywords, shape, weights) in WEIGHTED.items()
    ),
    special(
        "logsumexp",
        lambda sp, a: sp.logsumexp(a, b=numpy.array([2.0, 0.0, -0.1])),
        Argument((2, 3), 0, 0.5),
        label="constant_weights",
        without="cupy",
    ),
    special("logsumexp", lambda sp, a: sp.logsumexp(a, 0, 2.5), (3,), label="one_weight"),
    special(
        "logsumexp",
        lambda sp, b: sp.logsumexp(numpy.array([[0.3], [0.7]]), axis=0, b=b),
        Argument((2, 3), 0.3, 2),
        label="of_constants",
        without="cupy",
    ),
    special(
        "logsumexp",
        lambda sp, a, b: sp.logsumexp(a, axis=-1, b=b, return_sign=True)[0],
        (3, 4),
        Argument((3, 4), -2, 2, 0.3),
        label="signed",
    ),
    special(
        "logsumexp",
        lambda sp, a: sp.logsumexp(a, return_sign=True)[0],
        (3,),
        label="signed_unweighted",
    ),
    special(
        "logsumexp",
        lambda sp, a, b: sp.logsumexp(a, axis=0, b=b, keepdims=True, return_sign=True),
        Argument((3, 2), -1, 1),
        Argument((2,), 0.3, 2),
        label="phase",
        complex=True,
    ),
]
LIMITS = {
    "jax": {"logsumexp-phase": "the phase has no derivative there"},
    "autograd": {},
}
