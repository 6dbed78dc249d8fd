"""Softmax cross-entropy and the negative log-likelihood, for labels and for probabilities.

Both are linear in the logarithms of the probabilities, which the rules make use of: a cotangent
goes back through the loss, and then through `log_softmax`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy

from backpass.core import Tensor
from backpass.core.backends import made_beside
from backpass.core.dtypes import kind_of
from backpass.core.extend import defjvp, defvjp, linear, primitive
from backpass.core.ops.elementwise import multiply, subtract, zero_multiply
from backpass.core.ops.indexing import scatter
from backpass.core.ops.reductions import sum_
from backpass.core.ops.shaping import reshape
from backpass.core.ops.special.exponential_sums import log_softmax_, softmax_
from backpass.core.values import plain
from backpass.nn.functional.checking import beside, check_shape, predictions
from backpass.nn.functional.labels import Places, check_labels, places
from backpass.nn.functional.reducing import check_reduction

# ----- labels -----------------------------------------------------------------------------------


def _along(x: Any, axis: int) -> Any:
    """Return an array with a new axis of length 1."""
    return reshape.op(x, shape=(*x.shape[:axis], 1, *x.shape[axis:]))


def _for_classes(weight: Any, ndim: int, axis: int) -> Any:
    """Return what belongs to the classes in a shape that is broadcast along their axis."""
    return weight.reshape((-1,) + (1,) * (ndim - axis - 1))


@primitive(name="nll_loss")
def nll_loss_(
    xp: Any,
    x: Any,
    target: Any,
    weight: Any,
    *,
    axis: int,
    ignore_index: int | None,
    reduction: str,
    label_smoothing: float = 0.0,
) -> Any:
    """Weigh and add up -x at the labels; smoothed, a part is -x at all classes alike."""
    chosen, counts, here = places(target, weight, x.dtype, axis, ignore_index)
    terms = zero_multiply.op(counts, (label_smoothing - 1) * x[chosen])
    if label_smoothing:
        weighted = _weighted(x, weight, axis)
        share = label_smoothing / x.shape[axis]
        terms = terms - zero_multiply.op(here, share * weighted.sum(axis=axis))
    if reduction == "none":
        return terms
    if reduction == "sum":
        return sum_.op(terms)
    with numpy.errstate(invalid="ignore"):
        return sum_.op(terms) / sum_.op(counts)


def _back(
    g: Any, at: Places, classes: int, reduction: str, label_smoothing: float
) -> tuple[Any, Any]:
    """Return the cotangents of the logarithms: those at the labels, and those at all classes."""
    if reduction == "mean":
        g = g / sum_.op(at.counts)
    # What is ignored gets 0, even if the mean is over nothing.
    chosen = zero_multiply.op((label_smoothing - 1) * at.counts, g)
    if not label_smoothing:
        return chosen, None
    return chosen, zero_multiply.op(-label_smoothing / classes * at.here, g)


def _spread_out(x: Any, chosen: Any, every: Any, at: Places, weight: Any, axis: int) -> Any:
    """Return the cotangents of the logarithms in the shape of all of them."""
    made = scatter.op(chosen, index=at.chosen, shape=x.shape)
    if every is None:
        return made
    every = _along(every, axis)
    if weight is not None:
        every = multiply.op(every, _for_classes(weight, len(x.shape), axis))
    return made + every


def _nll_loss_vjp(
    g: Any,
    x: Any,
    target: Any,
    weight: Any,
    *,
    axis: int,
    ignore_index: int | None,
    reduction: str,
    label_smoothing: float = 0.0,
) -> Any:
    at = places(target, weight, x.dtype, axis, ignore_index)
    chosen, every = _back(g, at, x.shape[axis], reduction, label_smoothing)
    return _spread_out(x, chosen, every, at, weight, axis)


linear(nll_loss_, _nll_loss_vjp, None, None)


def _to_logits(r: Any, logits: Any, axis: int) -> Any:
    """Carry the cotangent of log_softmax(logits) to the logits."""
    whole = sum_.op(r, axis=axis, keepdims=True)
    return r - zero_multiply.op(whole, softmax_.op(logits, axis=axis))


def _from_logits(t: Any, logits: Any, axis: int) -> Any:
    """Carry the tangent of the logits to log_softmax(logits)."""
    mean = sum_.op(zero_multiply.op(t, softmax_.op(logits, axis=axis)), axis=axis, keepdims=True)
    return t - mean


@primitive(name="cross_entropy")
def cross_entropy_(
    xp: Any,
    logits: Any,
    target: Any,
    weight: Any,
    *,
    axis: int,
    ignore_index: int | None,
    reduction: str,
    label_smoothing: float,
) -> Any:
    """Return nll_loss(log_softmax(logits)), for labels."""
    return nll_loss_.op(
        log_softmax_.op(logits, axis=axis),
        target,
        weight,
        axis=axis,
        ignore_index=ignore_index,
        reduction=reduction,
        label_smoothing=label_smoothing,
    )


def _cross_entropy_vjp(
    g: Any,
    logits: Any,
    target: Any,
    weight: Any,
    *,
    axis: int,
    ignore_index: int | None,
    reduction: str,
    label_smoothing: float,
) -> Any:
    at = places(target, weight, logits.dtype, axis, ignore_index)
    classes = logits.shape[axis]
    chosen, every = _back(g, at, classes, reduction, label_smoothing)
    r = _spread_out(logits, chosen, every, at, weight, axis)
    # Its sum over the classes, without adding it up.
    whole = chosen
    if every is not None:
        whole = whole + multiply.op(every, float(classes) if weight is None else weight.sum())
    softmax = softmax_.op(logits, axis=axis)
    return subtract.op(r, zero_multiply.op(_along(whole, axis), softmax))


def _cross_entropy_jvp(
    t: Any, logits: Any, target: Any, weight: Any, *, axis: int, **options: Any
) -> Any:
    moved = _from_logits(t, logits, axis)
    return nll_loss_.op(moved, target, weight, axis=axis, **options)


defvjp(cross_entropy_, _cross_entropy_vjp, None, None)
defjvp(cross_entropy_, _cross_entropy_jvp, None, None)

# ----- probabilities ----------------------------------------------------------------------------


def _smoothed(target: Any, weight: Any, axis: int, label_smoothing: float) -> Any:
    """Return the weight of each logarithm."""
    if label_smoothing:
        target = (1 - label_smoothing) * target + label_smoothing / target.shape[axis]
    return target if weight is None else _weighted(target, weight, axis)


def _weighted(x: Any, weight: Any, axis: int) -> Any:
    if weight is None:
        return x
    return zero_multiply.op(_for_classes(weight, len(x.shape), axis), x)


def _collected(terms: Any, axis: int, reduction: str) -> Any:
    """Return minus the sum of terms: along the axis of the classes, or of all."""
    if reduction == "none":
        return -sum_.op(terms, axis=axis)
    return sum_.op(terms) * _scale(terms, axis, reduction)


def _spread(g: Any, logits: Any, axis: int, reduction: str) -> Any:
    """Return the cotangent of the terms that `_collected` collects."""
    return -_along(g, axis) if reduction == "none" else g * _scale(logits, axis, reduction)


def _scale(terms: Any, axis: int, reduction: str) -> float:
    places = math.prod(terms.shape[:axis] + terms.shape[axis + 1 :])
    if reduction == "sum":
        return -1.0
    return -1 / places if places else math.nan


@primitive(name="soft_cross_entropy")
def soft_cross_entropy(
    xp: Any,
    logits: Any,
    target: Any,
    weight: Any,
    *,
    axis: int,
    reduction: str,
    label_smoothing: float,
) -> Any:
    """Return -sum(weight * target * log_softmax(logits)), for probabilities."""
    shares = _smoothed(target, weight, axis, label_smoothing)
    terms = zero_multiply.op(shares, log_softmax_.op(logits, axis=axis))
    return _collected(terms, axis, reduction)


def _soft_to_logits(
    g: Any,
    logits: Any,
    target: Any,
    weight: Any,
    *,
    axis: int,
    reduction: str,
    label_smoothing: float,
) -> Any:
    shares = _smoothed(target, weight, axis, label_smoothing)
    r = zero_multiply.op(shares, _spread(g, logits, axis, reduction))
    return _to_logits(r, logits, axis)


def _soft_to_target(
    g: Any, logits: Any, weight: Any, *, axis: int, reduction: str, label_smoothing: float
) -> Any:
    logs = _weighted(log_softmax_.op(logits, axis=axis), weight, axis)
    return zero_multiply.op((1 - label_smoothing) * _spread(g, logits, axis, reduction), logs)


def _soft_from_logits(
    t: Any,
    logits: Any,
    target: Any,
    weight: Any,
    *,
    axis: int,
    reduction: str,
    label_smoothing: float,
) -> Any:
    shares = _smoothed(target, weight, axis, label_smoothing)
    return _collected(zero_multiply.op(shares, _from_logits(t, logits, axis)), axis, reduction)


def _soft_from_target(
    t: Any, logits: Any, weight: Any, *, axis: int, reduction: str, label_smoothing: float
) -> Any:
    logs = _weighted(log_softmax_.op(logits, axis=axis), weight, axis)
    return _collected(zero_multiply.op((1 - label_smoothing) * t, logs), axis, reduction)


defvjp(soft_cross_entropy, _soft_to_logits, _soft_to_target, None)
defjvp(soft_cross_entropy, _soft_from_logits, _soft_from_target, None)

# ----- the functions ----------------------------------------------------------------------------


def _class_axis(name: str, x: Any, of: str) -> int:
    if not x.shape:
        raise ValueError(f"{name}: `{of}` is a number: it must have an axis of classes")
    return 1 if len(x.shape) > 1 else 0


def _class_weights(name: str, weight: Any, x: Any, classes: int) -> Any:
    """Return the weights of the classes as an array in the dtype of `x`."""
    if weight is None:
        return None
    if isinstance(weight, Tensor) and weight.tracked:
        raise TypeError(
            f"{name}: `weight` is being differentiated, but class weights are constants: "
            "pass stop_gradient(weight)"
        )
    made = beside(plain(weight), x)
    if made.shape != (classes,):
        raise ValueError(
            f"{name}: `weight` has shape {tuple(made.shape)}, but there are {classes} classes: it "
            f"must have shape ({classes},)"
        )
    return made


def _labels(
    name: str, target: Any, x: Any, axis: int, ignore_index: int, of: str
) -> tuple[Any, int | None]:
    """Return the labels, checked, and which of them do not count; `None`: all do."""
    wanted = x.shape[:axis] + x.shape[axis + 1 :]
    if target.shape != wanted:
        raise ValueError(
            f"{name}: `{of}` has shape {tuple(x.shape)}, with the classes along axis {axis}, so "
            f"`target` must have shape {tuple(wanted)} as labels, but has {tuple(target.shape)}"
        )
    some = check_labels(name, target, x.shape[axis], ignore_index)
    labels = plain(target)
    labels = labels.astype("int64") if labels.dtype.kind == "u" else labels
    return labels, ignore_index if some else None


def _target(target: Any, x: Any) -> Any:
    """Return labels or probabilities as an operand, where `x` lies."""
    if hasattr(target, "dtype"):
        return beside(target, x) if kind_of(target.dtype) == "f" else target
    made = numpy.asarray(target)
    if made.dtype.kind == "f" and made.size:
        return beside(target, x)
    # An empty list is one of no labels, though NumPy takes it for floats.
    dtype = made.dtype if made.size else numpy.intp
    return made_beside((plain(x),), lambda xp: xp.asarray(target, dtype=dtype))


def nll_loss(
    x: Any,
    target: Any,
    *,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Return the negative log-likelihood of labels: minus the log-probability of each.

    Parameters
    ----------
    x : array_like, shape (N, C), (N, C, d1, ...) or (C,)
        Logarithms of the probabilities of C classes, such as from `log_softmax`.
    target : array_like of int, shape (N,), (N, d1, ...) or ()
        Labels from 0 to C - 1.
    weight : array_like, shape (C,), optional
        How much each class counts: a constant.
    ignore_index : int
        Places with this label do not count.
    reduction : {"mean", "sum", "none"}
        "mean" divides the sum by the sum of the weights of the labels; where nothing counts it is
        nan, with a gradient of 0.

    Returns
    -------
    Tensor
        A number; with "none" in the shape of `target`, 0 where it is ignored.

    Raises
    ------
    ValueError
        If shapes do not fit, or a label is out of range: says which, where, and the range.
    TypeError
        If the labels are not integers, or `weight` is being differentiated.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> nll_loss(np.log([[0.5, 0.5], [0.25, 0.75]]), [0, 1], reduction="none")
    Tensor([0.69314718, 0.28768207])
    """
    check_reduction("nll_loss", reduction)
    x = predictions(x)
    axis = _class_axis("nll_loss", x, "x")
    labels, ignored = _labels("nll_loss", _target(target, x), x, axis, ignore_index, "x")
    weights = _class_weights("nll_loss", weight, x, x.shape[axis])
    return nll_loss_(  # type: ignore[no-any-return]
        x, labels, weights, axis=axis, ignore_index=ignored, reduction=reduction
    )


def cross_entropy(
    logits: Any,
    target: Any,
    *,
    weight: Any = None,
    ignore_index: int = -100,
    label_smoothing: float = 0.0,
    reduction: str = "mean",
) -> Tensor:
    """Return the cross-entropy of softmax(logits), against labels or probabilities.

    It is the sum of ``-p * log(q)`` over the classes, where q is the softmax of the logits and p
    the target: 1 for the label and 0 for the others, or probabilities. Loss and gradient are finite
    for all finite logits.

    Parameters
    ----------
    logits : array_like, shape (N, C), (N, C, d1, ...) or (C,)
        For C classes, along axis 1; of any size.
    target : array_like
        Integers: labels from 0 to C - 1, in the shape of `logits` without the axis of the classes.
        Floats: probabilities, in the shape of `logits`; these are differentiated, too.
    weight : array_like, shape (C,), optional
        How much each class counts: a constant.
    ignore_index : int
        Places with this label do not count; of labels only.
    label_smoothing : float
        From 0 to 1: p is mixed with so much of the uniform distribution.
    reduction : {"mean", "sum", "none"}
        "mean" divides the sum by the sum of the weights of the labels, or, of probabilities, by the
        number of places. Where nothing counts it is nan, with a gradient of 0.

    Returns
    -------
    Tensor
        A number; with "none" in the shape of `logits` without the axis of the classes.

    Raises
    ------
    ValueError
        If shapes do not fit, or a label is out of range: says which, where, and the range.
    TypeError
        If `target` is boolean or complex, or `weight` is being differentiated.

    Notes
    -----
    C. Szegedy et al., "Rethinking the inception architecture for computer vision", CVPR 2016,
    section 7: label smoothing.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import value_and_grad
    >>> logits = np.array([[0.0, 0.0], [-1000.0, 1000.0]])
    >>> value_and_grad(cross_entropy)(logits, [0, 1])
    (Tensor(0.34657359027997264), array([[-0.25,  0.25],
           [ 0.  ,  0.  ]]))
    >>> cross_entropy(logits, [[0.5, 0.5], [0.0, 1.0]], reduction="sum")
    Tensor(0.6931471805599453)
    """
    name = "cross_entropy"
    check_reduction(name, reduction)
    if not 0 <= label_smoothing <= 1:
        raise ValueError(f"{name}: `label_smoothing` is {label_smoothing}: it is from 0 to 1")
    logits = predictions(logits)
    axis = _class_axis(name, logits, "logits")
    weights = _class_weights(name, weight, logits, logits.shape[axis])
    target = _target(target, logits)
    options = {"axis": axis, "reduction": reduction, "label_smoothing": float(label_smoothing)}
    if kind_of(target.dtype) != "f":
        labels, ignored = _labels(name, target, logits, axis, ignore_index, "logits")
        return cross_entropy_(  # type: ignore[no-any-return]
            logits, labels, weights, ignore_index=ignored, **options
        )
    if target.shape == logits.shape[:axis] + logits.shape[axis + 1 :]:
        raise ValueError(
            f"{name}: `target` holds {target.dtype} in the shape of labels: labels are integers, "
            "use .astype(int)"
        )
    check_shape(name, logits, target, of="logits")
    if ignore_index != -100:
        raise ValueError(
            f"{name}: `ignore_index` is {ignore_index}, but `target` holds probabilities: give "
            "places that are not to count probabilities of 0"
        )
    return soft_cross_entropy(logits, target, weights, **options)  # type: ignore[no-any-return]


__all__ = ["cross_entropy", "nll_loss"]
