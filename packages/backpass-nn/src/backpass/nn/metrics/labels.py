"""What predictions and targets say: which class, out of how many."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy

from backpass.core.backends import backend_of
from backpass.core.devices import beside
from backpass.core.dtypes import kind_of
from backpass.core.values import plain


class Labels(NamedTuple):
    """Targets as classes, and predictions as they were given, on one device.

    Attributes
    ----------
    xp
        The library of the arrays.
    scores
        The predictions with the classes along `axis`; `None` if they were classes already.
    predicted
        The predictions as classes.
    target
        The targets as classes, of the shape of `predicted`.
    classes
        How many classes there are scores or one-hot targets for; `None` where neither is given.
    """

    xp: Any
    scores: Any
    predicted: Any
    target: Any
    classes: int | None


def read(metric: str, prediction: Any, target: Any, axis: int) -> Labels:
    """Return predictions and targets as classes.

    Parameters
    ----------
    metric : str
        Who asks, for messages.
    prediction : array_like
        Floats: scores (logits, log-probabilities or probabilities) with the classes along `axis`.
        Integers or booleans: classes.
    target : array_like
        Integers of the shape of the predictions without `axis`: classes. Or of the shape with it:
        one-hot, or probabilities, of which the greatest counts.
    axis : int
        The axis of the classes.

    Raises
    ------
    TypeError
        If targets that must be classes are not integers.
    ValueError
        If the shapes do not fit.
    """
    prediction = _array(prediction)
    target = beside(_array(target), prediction)
    backend = backend_of((prediction, target))
    p, t = tuple(prediction.shape), tuple(target.shape)
    scored = kind_of(prediction.dtype) == "f"
    if scored and not -len(p) <= axis < len(p):
        raise ValueError(
            f"{metric}: `prediction` has the shape {p} and no axis {axis} for the classes: give "
            "scores of shape (examples, classes), or classes as integers"
        )
    scores = prediction if scored else None
    if scored and not p[axis]:
        raise ValueError(f"{metric}: `prediction` has the shape {p}: scores for no class")
    predicted = prediction.argmax(axis) if scored else prediction
    classes = p[axis] if scored else None
    of_classes = tuple(predicted.shape)
    if t == of_classes:
        if target.dtype.kind not in "iub":
            raise TypeError(
                f"{metric}: `target` holds {target.dtype}, but classes are integers: use "
                ".astype(int)"
            )
    elif len(t) == len(of_classes) + 1 and t[:axis] + t[axis:][1:] == of_classes and t[axis]:
        if classes is not None and t[axis] != classes:
            raise ValueError(_misfit(metric, p, t))
        classes = t[axis]
        target = target.argmax(axis)
    else:
        raise ValueError(_misfit(metric, p, t))
    return Labels(backend.library, scores, _signed(predicted), _signed(target), classes)


def _signed(labels: Any) -> Any:
    """Return labels in a dtype in which they can be multiplied and compared with negative ones."""
    return labels.astype("int64") if labels.dtype.kind != "i" or labels.itemsize < 8 else labels


def _array(x: Any) -> Any:
    x = plain(x)
    return x if hasattr(x, "dtype") else numpy.asarray(x)


def _misfit(metric: str, prediction: tuple[int, ...], target: tuple[int, ...]) -> str:
    return (
        f"{metric}: `prediction` has the shape {prediction} and `target` {target}: targets are "
        "classes, of the shape of the predictions without the axis of the classes, or one-hot, "
        "with that axis"
    )


__all__ = ["Labels", "read"]
