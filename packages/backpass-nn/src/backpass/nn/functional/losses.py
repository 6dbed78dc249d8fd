"""Losses of predictions beside targets of the same shape, and of pairs and triplets of vectors.

Nothing is broadcast: predictions of shape (N, 1) beside targets of shape (N,) are an error, not a
table of all differences.  Each loss is finite for all finite predictions.
"""

from __future__ import annotations

from typing import Any

import numpy

import backpass.numpy as np
from backpass.core import Tensor
from backpass.core.extend import elementwise, primitive
from backpass.core.ops.elementwise import (
    absolute,
    divide,
    equal,
    exp,
    log,
    log1p,
    maximum,
    minimum,
    multiply,
    sqrt,
    square,
    subtract,
    where,
    zero_multiply,
)
from backpass.core.ops.reductions import sum_
from backpass.core.ops.special.logistic import log_expit
from backpass.core.ops.special.losses import huber
from backpass.nn.functional.activations import relu, sigmoid
from backpass.nn.functional.checking import (
    beside,
    check_shape,
    check_spread,
    check_values,
    predictions,
)
from backpass.nn.functional.reducing import REDUCTIONS, check_reduction, reduced

# ----- distances of numbers ---------------------------------------------------------------------


def _difference(name: str, x: Any, target: Any, reduction: str) -> Any:
    """Return x - target, of operands that have been checked."""
    check_reduction(name, reduction)
    x = predictions(x)
    target = beside(target, x)
    check_shape(name, x, target)
    return subtract.op(x, target)


def _averaged(name: str, terms: Any, weight: Any, reduction: str) -> Tensor:
    """Return the terms reduced; a mean is weighted by `weight`."""
    if weight is None:
        return reduced(terms, reduction)
    weight = beside(weight, terms)
    check_shape(name, terms, weight, "weight")
    made = reduced(multiply.op(terms, weight), "sum" if reduction == "mean" else reduction)
    return divide(made, sum_.op(weight)) if reduction == "mean" else made


def mse_loss(x: Any, target: Any, *, weight: Any = None, reduction: str = "mean") -> Tensor:
    """Return the mean squared error: the mean of ``(x - target)**2``.

    Parameters
    ----------
    x : array_like
        Predictions, of any shape.
    target : array_like
        What they should be, in the same shape.
    weight : array_like, optional
        How much each counts, in the same shape.
    reduction : {"mean", "sum", "none"}
        "mean" divides the weighted sum by the sum of the weights.

    Returns
    -------
    Tensor
        A number; with "none" in the shape of `x`.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> mse_loss(np.array([1.0, 2.0]), [0.0, 0.0])
    Tensor(2.5)
    """
    difference = _difference("mse_loss", x, target, reduction)
    return _averaged("mse_loss", square.op(difference), weight, reduction)


def l1_loss(x: Any, target: Any, *, weight: Any = None, reduction: str = "mean") -> Tensor:
    """Return the mean absolute error: the mean of ``abs(x - target)``.

    Its derivative is 0 where they are equal.

    Parameters
    ----------
    x : array_like
        Predictions, of any shape.
    target : array_like
        What they should be, in the same shape.
    weight : array_like, optional
        How much each counts, in the same shape.
    reduction : {"mean", "sum", "none"}
        "mean" divides the weighted sum by the sum of the weights.

    Returns
    -------
    Tensor
        A number; with "none" in the shape of `x`.

    Raises
    ------
    ValueError
        If the shapes differ.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> l1_loss(np.array([1.0, -2.0]), [0.0, 0.0], reduction="sum")
    Tensor(3.0)
    """
    difference = _difference("l1_loss", x, target, reduction)
    return _averaged("l1_loss", absolute.op(difference), weight, reduction)


def huber_loss(
    x: Any, target: Any, *, delta: float = 1.0, weight: Any = None, reduction: str = "mean"
) -> Tensor:
    """Return Huber's loss: half the squared error up to `delta`, a straight line beyond.

    With d = x - target it is ``d**2 / 2`` where ``abs(d) <= delta``, and
    ``delta * (abs(d) - delta / 2)`` elsewhere; its derivative is d, clipped to ``[-delta, delta]``.

    Parameters
    ----------
    x : array_like
        Predictions, of any shape.
    target : array_like
        What they should be, in the same shape.
    delta : float
        Where the line begins; positive.
    weight : array_like, optional
        By what each loss is multiplied, in the same shape.
    reduction : {"mean", "sum", "none"}
        "mean" divides by the number of predictions, whatever the weights: as in PyTorch.

    Returns
    -------
    Tensor
        A number; with "none" in the shape of `x`.

    Raises
    ------
    ValueError
        If the shapes differ, or `delta` is not positive.

    Notes
    -----
    P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics
    35 (1), 1964, pp. 73-101.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> huber_loss(np.array([0.5, 3.0]), [0.0, 0.0], reduction="none")
    Tensor([0.125, 2.5  ])
    """
    if not delta > 0:
        raise ValueError(f"huber_loss: `delta` is {delta}, but it must be positive; 1 is usual")
    difference = _difference("huber_loss", x, target, reduction)
    terms = huber.op(float(delta), difference)
    if weight is not None:
        weight = beside(weight, terms)
        check_shape("huber_loss", terms, weight, "weight")
        terms = multiply.op(terms, weight)
    return reduced(terms, reduction)


def smooth_l1_loss(x: Any, target: Any, *, beta: float = 1.0, reduction: str = "mean") -> Tensor:
    """Return the absolute error, with its kink rounded off: Huber's loss over `beta`.

    With d = x - target it is ``d**2 / (2 * beta)`` where ``abs(d) < beta``, and
    ``abs(d) - beta / 2`` elsewhere.

    Parameters
    ----------
    x : array_like
        Predictions, of any shape.
    target : array_like
        What they should be, in the same shape.
    beta : float
        How far it is rounded off; with 0 it is `l1_loss`.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor
        A number; with "none" in the shape of `x`.

    Raises
    ------
    ValueError
        If the shapes differ, or `beta` is negative.

    Notes
    -----
    R. Girshick, "Fast R-CNN", ICCV 2015, equation 3.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> smooth_l1_loss(np.array([0.5, 3.0]), [0.0, 0.0], reduction="none")
    Tensor([0.125, 2.5  ])
    """
    if not beta >= 0:
        raise ValueError(f"smooth_l1_loss: `beta` is {beta}, but it must not be negative")
    difference = _difference("smooth_l1_loss", x, target, reduction)
    if beta == 0:
        return reduced(absolute.op(difference), reduction)
    return reduced(divide.op(huber.op(float(beta), difference), float(beta)), reduction)


# ----- probabilities ----------------------------------------------------------------------------

#: The logarithm of a probability is taken to be no less: that of 0, too.
_LOWEST = -100.0
#: What the derivative divides by is no less.
_SMALLEST = 1e-12


def _log(x: Any) -> Any:
    return maximum.op(log.op(x), _LOWEST)


def _log1m(x: Any) -> Any:
    return maximum.op(log1p.op(-x), _LOWEST)


@primitive(name="binary_cross_entropy")
def binary_cross_entropy_(xp: Any, x: Any, target: Any) -> Any:
    """Return -(target * log(x) + (1 - target) * log(1 - x)), with logarithms of at least -100."""
    with numpy.errstate(divide="ignore"):
        return -(target * _log(x) + (1 - target) * _log1m(x))


elementwise(
    binary_cross_entropy_,
    lambda x, target: (x - target) / maximum.op(x * (1 - x), _SMALLEST),
    lambda x: _log1m(x) - _log(x),
)


def _weighted(name: str, terms: Any, weight: Any) -> Any:
    """Return terms times weights, which may be broadcast to their shape."""
    if weight is None:
        return terms
    weight = beside(weight, terms)
    check_spread(name, "weight", weight, terms)
    return multiply.op(terms, weight)


def binary_cross_entropy(
    x: Any, target: Any, *, weight: Any = None, reduction: str = "mean"
) -> Tensor:
    """Return the cross-entropy of probabilities: ``-(t * log(x) + (1 - t) * log(1 - x))``.

    As in PyTorch, a logarithm is no less than -100, and the derivative
    ``(x - t) / max(x * (1 - x), 1e-12)``: both are finite where x is 0 or 1.

    Parameters
    ----------
    x : array_like
        Probabilities, of any shape, such as from `sigmoid`.
    target : array_like
        0 or 1, or probabilities t, in the same shape.
    weight : array_like, optional
        By what each loss is multiplied, in a shape that is broadcast to that of `x`.
    reduction : {"mean", "sum", "none"}
        "mean" divides by the number of probabilities, whatever the weights.

    Returns
    -------
    Tensor
        A number; with "none" in the shape of `x`.

    Raises
    ------
    ValueError
        If the shapes differ, or `x` is not between 0 and 1.

    See Also
    --------
    binary_cross_entropy_with_logits : Exact for extreme probabilities.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> binary_cross_entropy(np.array([0.5, 0.0]), [1, 1], reduction="none")
    Tensor([  0.69314718, 100.        ])
    """
    name = "binary_cross_entropy"
    check_reduction(name, reduction)
    x = predictions(x)
    target = beside(target, x)
    check_shape(name, x, target)
    check_values(
        name,
        "x",
        x,
        lambda v: (v < 0) | (v > 1),
        "but a probability is from 0 to 1: use sigmoid, or, better, "
        "binary_cross_entropy_with_logits",
    )
    return reduced(_weighted(name, binary_cross_entropy_.op(x, target), weight), reduction)


@primitive(name="binary_cross_entropy_with_logits")
def binary_cross_entropy_with_logits_(xp: Any, x: Any, target: Any, pos_weight: Any) -> Any:
    """Return -(pos_weight * target * log(s) + (1 - target) * log(1 - s)), s = sigmoid(x)."""
    ones = zero_multiply.op(pos_weight * target, log_expit.op(x))
    return -(ones + zero_multiply.op(1 - target, log_expit.op(-x)))


def _logit_slope(x: Any, target: Any, pos_weight: Any) -> Any:
    # Without a difference: s - 1 has lost all digits where s is nearly 1.
    return (1 - target) * sigmoid.op(x) - pos_weight * target * sigmoid.op(-x)


elementwise(
    binary_cross_entropy_with_logits_,
    lambda x, target, pos_weight: _logit_slope(x, target, pos_weight),
    lambda x, pos_weight: log_expit.op(-x) - pos_weight * log_expit.op(x),
    lambda x, target: -zero_multiply.op(target, log_expit.op(x)),
)


def binary_cross_entropy_with_logits(
    x: Any,
    target: Any,
    *,
    weight: Any = None,
    pos_weight: Any = None,
    reduction: str = "mean",
) -> Tensor:
    """Return the cross-entropy of sigmoid(x), exact for logits of any size.

    With s = sigmoid(x) it is ``-(pos_weight * t * log(s) + (1 - t) * log(1 - s))``.

    Parameters
    ----------
    x : array_like
        Logits, of any shape.
    target : array_like
        0 or 1, or probabilities t, in the same shape.
    weight : array_like, optional
        By what each loss is multiplied, in a shape that is broadcast to that of `x`.
    pos_weight : array_like, optional
        How much more the targets of 1 count, in a shape that is broadcast to that of `x`: one
        number for each class along the last axis, mostly.
    reduction : {"mean", "sum", "none"}
        "mean" divides by the number of logits, whatever the weights.

    Returns
    -------
    Tensor
        A number; with "none" in the shape of `x`.

    Raises
    ------
    ValueError
        If the shapes do not fit.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> binary_cross_entropy_with_logits(np.array([0.0, 1000.0]), [1, 0], reduction="none")
    Tensor([6.93147181e-01, 1.00000000e+03])
    """
    name = "binary_cross_entropy_with_logits"
    check_reduction(name, reduction)
    x = predictions(x)
    target = beside(target, x)
    check_shape(name, x, target)
    if pos_weight is None:
        pos_weight = 1.0
    else:
        pos_weight = beside(pos_weight, x)
        check_spread(name, "pos_weight", pos_weight, x)
    terms = binary_cross_entropy_with_logits_.op(x, target, pos_weight)
    return reduced(_weighted(name, terms, weight), reduction)


@primitive
def kl_divergence(xp: Any, x: Any, target: Any) -> Any:
    """Return target * (log(target) - x), 0 where target is 0."""
    with numpy.errstate(divide="ignore", invalid="ignore"):
        return zero_multiply.op(target, log.op(target) - x)


@primitive
def log_kl_divergence(xp: Any, x: Any, target: Any) -> Any:
    """Return exp(target) * (target - x), 0 where exp(target) is 0."""
    with numpy.errstate(invalid="ignore"):
        return zero_multiply.op(exp.op(target), target - x)


elementwise(kl_divergence, lambda target: -target, lambda x, target: log.op(target) + 1 - x)
elementwise(
    log_kl_divergence,
    lambda target: -exp.op(target),
    lambda x, target: zero_multiply.op(exp.op(target), target - x + 1),
)


def kl_div(x: Any, target: Any, *, log_target: bool = False, reduction: str = "mean") -> Tensor:
    """Return the Kullback-Leibler divergence of log-probabilities from the target.

    Its terms are ``target * (log(target) - x)``, 0 where the target is 0. Note the order: x are
    the logarithms of what the model takes the probabilities to be.

    Parameters
    ----------
    x : array_like
        Logarithms of probabilities, of any shape, such as from `log_softmax`.
    target : array_like
        Probabilities, in the same shape.
    log_target : bool
        Whether `target` are logarithms of probabilities instead.
    reduction : {"mean", "batchmean", "sum", "none"}
        "batchmean" divides the sum by the length of the first axis, which gives the mean
        divergence of distributions; "mean" divides it by the number of terms.

    Returns
    -------
    Tensor
        A number; with "none" in the shape of `x`.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    S. Kullback and R. A. Leibler, "On information and sufficiency", Annals of Mathematical
    Statistics 22 (1), 1951, pp. 79-86.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> kl_div(np.log([[0.5, 0.5]]), [[1.0, 0.0]], reduction="batchmean")
    Tensor(0.6931471805599453)
    """
    check_reduction("kl_div", reduction, (*REDUCTIONS, "batchmean"))
    x = predictions(x)
    target = beside(target, x)
    check_shape("kl_div", x, target)
    terms = (log_kl_divergence if log_target else kl_divergence).op(x, target)
    if reduction != "batchmean":
        return reduced(terms, reduction)
    if not x.shape:
        raise ValueError("kl_div: `reduction` is 'batchmean', but `x` is a number: it has no batch")
    count = x.shape[0]
    return multiply(sum_.op(terms), 1 / count if count else float("nan"))  # type: ignore[no-any-return]


# ----- distances of vectors ---------------------------------------------------------------------


def cosine_embedding_loss(
    x1: Any, x2: Any, target: Any, *, margin: float = 0.0, reduction: str = "mean"
) -> Tensor:
    """Return a loss that makes vectors parallel, or not, by the cosine c of their angle.

    It is ``1 - c`` for pairs that belong together, and ``max(0, c - margin)`` for others.

    Parameters
    ----------
    x1, x2 : array_like, shape (N, D) or (D,)
        Vectors.
    target : array_like of int, shape (N,) or ()
        1 for pairs that belong together, -1 for others.
    margin : float
        Which cosine others may have; from -1 to 1.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor
        A number; with "none" in the shape of `target`.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a target is neither 1 nor -1.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> x1, x2 = np.array([[2.0, 0.0], [1.0, 1.0]]), np.array([[0.0, 1.0], [1.0, 1.0]])
    >>> cosine_embedding_loss(x1, x2, [1, -1], margin=0.5, reduction="none")
    Tensor([1. , 0.5])
    """
    name = "cosine_embedding_loss"
    check_reduction(name, reduction)
    x1 = predictions(x1)
    x2, target = beside(x2, x1), beside(target, x1)
    check_shape(name, x1, x2, "x2", "x1")
    if x1.ndim not in (1, 2) or target.shape != x1.shape[:-1]:
        raise ValueError(
            f"{name}: `x1` has shape {tuple(x1.shape)} and `target` {tuple(target.shape)}: they "
            "must be (N, D) and (N,), or (D,) and ()"
        )
    check_values(
        name,
        "target",
        target,
        lambda v: abs(v) != 1,
        "but it must be 1, for pairs that belong together, or -1",
    )
    # As in PyTorch: the smallest squared length keeps the cosine of a zero vector at 0.
    lengths = [np.sum(square.op(x), axis=-1) + _SMALLEST for x in (x1, x2)]
    cosine = np.sum(x1 * x2, axis=-1) / sqrt.op(lengths[0] * lengths[1])
    terms = where.op(equal.op(target, 1), 1 - cosine, relu.op(cosine - float(margin)))
    return reduced(terms, reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    margin: float = 1.0,
    p: float = 2.0,
    eps: float = 1e-6,
    swap: bool = False,
    reduction: str = "mean",
) -> Tensor:
    """Return a loss that puts an anchor nearer to one vector than to another.

    It is ``max(0, margin + d(anchor, positive) - d(anchor, negative))``, where d is the p-norm of
    the difference.

    Parameters
    ----------
    anchor, positive, negative : array_like, shape (..., D)
        Vectors.
    margin : float
        How much nearer.
    p : float
        Which norm.
    eps : float
        What is added to each difference, as in PyTorch, lest a distance be 0.
    swap : bool
        Whether the negative's distance is that from `positive`, where that is less.
    reduction : {"mean", "sum", "none"}

    Returns
    -------
    Tensor
        A number; with "none" in the shape of `anchor` without the last axis.

    Raises
    ------
    ValueError
        If the shapes differ.

    Notes
    -----
    V. Balntas, E. Riba, D. Ponsa and K. Mikolajczyk, "Learning local feature descriptors with
    triplets and shallow convolutional neural networks", BMVC 2016.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> anchor, positive, negative = np.array([[0.0, 0.0]]), [[3.0, 4.0]], [[0.0, 2.0]]
    >>> float(triplet_margin_loss(anchor, positive, negative, eps=0.0))
    4.0
    """
    name = "triplet_margin_loss"
    check_reduction(name, reduction)
    anchor = predictions(anchor)
    positive, negative = beside(positive, anchor), beside(negative, anchor)
    check_shape(name, anchor, positive, "positive", "anchor")
    check_shape(name, anchor, negative, "negative", "anchor")
    if not anchor.shape:
        raise ValueError(f"{name}: `anchor` is a number: it must have an axis of components")

    def distance(x: Any, y: Any) -> Any:
        return np.linalg.norm(x - y + float(eps), ord=float(p), axis=-1)

    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum.op(far, distance(positive, negative))
    return reduced(relu.op(near - far + float(margin)), reduction)


__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cosine_embedding_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "smooth_l1_loss",
    "triplet_margin_loss",
]
