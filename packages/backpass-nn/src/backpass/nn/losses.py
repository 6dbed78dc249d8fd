"""Losses as modules, which hold their options: `loss = CrossEntropyLoss()`, `loss(logits, labels)`.

Each is the function of `backpass.nn.functional` that its docstring names, which says more.

Examples
--------
>>> import backpass.numpy as np
>>> from backpass import nn
>>> loss = nn.CrossEntropyLoss(label_smoothing=0.1)
>>> loss
CrossEntropyLoss(label_smoothing=0.1)
>>> loss(np.zeros((2, 4)), [0, 3])
Tensor(1.3862943611198906)
"""

from __future__ import annotations

from typing import Any

from backpass.core import Tensor
from backpass.nn import functional
from backpass.nn.functional.reducing import REDUCTIONS, check_reduction
from backpass.nn.module import Module
from backpass.nn.parameter import Buffer


class Loss(Module):
    """What the losses have in common: options, which `repr` shows where they are not the usual.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
        What becomes of the terms.

    Raises
    ------
    ValueError
        If `reduction` is none of these.
    """

    #: The reductions that there are.
    reductions: tuple[str, ...] = REDUCTIONS

    def __init__(self, *, reduction: str = "mean") -> None:
        check_reduction(type(self).__name__, reduction, self.reductions)
        self.reduction = reduction

    def extra_repr(self) -> str:
        """Return the options that are not the usual ones."""
        weights = super().extra_repr()
        options = [
            f"{name}={getattr(self, name)!r}"
            for name, usual in vars(type(self)()).items()
            if usual is not None and getattr(self, name) != usual
        ]
        return ", ".join([*([weights] if weights else []), *options])


def _held(weight: Any) -> Buffer | None:
    """Return weights as a Buffer: they move with the module and are not trained."""
    return None if weight is None else Buffer(weight)


class MSELoss(Loss):
    """The mean squared error: `functional.mse_loss`.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> from backpass import nn
    >>> nn.MSELoss()([1.0, 2.0], [0.0, 0.0])
    Tensor(2.5)
    """

    def forward(self, x: Any, target: Any, *, weight: Any = None) -> Tensor:
        """Return the loss of predictions beside a target of the same shape."""
        return functional.mse_loss(x, target, weight=weight, reduction=self.reduction)


class L1Loss(Loss):
    """The mean absolute error: `functional.l1_loss`.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> from backpass import nn
    >>> nn.L1Loss()([1.0, -2.0], [0.0, 0.0])
    Tensor(1.5)
    """

    def forward(self, x: Any, target: Any, *, weight: Any = None) -> Tensor:
        """Return the loss of predictions beside a target of the same shape."""
        return functional.l1_loss(x, target, weight=weight, reduction=self.reduction)


class SmoothL1Loss(Loss):
    """The absolute error with its kink rounded off: `functional.smooth_l1_loss`.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    beta : float
        How far it is rounded off.

    Examples
    --------
    >>> from backpass import nn
    >>> nn.SmoothL1Loss(reduction="none")([0.5, 3.0], [0.0, 0.0])
    Tensor([0.125, 2.5  ])
    """

    def __init__(self, *, reduction: str = "mean", beta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.beta = beta

    def forward(self, x: Any, target: Any) -> Tensor:
        """Return the loss of predictions beside a target of the same shape."""
        return functional.smooth_l1_loss(x, target, beta=self.beta, reduction=self.reduction)


class HuberLoss(Loss):
    """Huber's loss: `functional.huber_loss`.

    Parameters
    ----------
    reduction : {"mean", "sum", "none"}
    delta : float
        Where the line begins.

    Examples
    --------
    >>> from backpass import nn
    >>> nn.HuberLoss(reduction="none", delta=2.0)([0.5, 3.0], [0.0, 0.0])
    Tensor([0.125, 4.   ])
    """

    def __init__(self, *, reduction: str = "mean", delta: float = 1.0) -> None:
        super().__init__(reduction=reduction)
        self.delta = delta

    def forward(self, x: Any, target: Any, *, weight: Any = None) -> Tensor:
        """Return the loss of predictions beside a target of the same shape."""
        return functional.huber_loss(
            x, target, delta=self.delta, weight=weight, reduction=self.reduction
        )


class CrossEntropyLoss(Loss):
    """The cross-entropy of the softmax of logits: `functional.cross_entropy`.

    Parameters
    ----------
    weight : array_like, shape (C,), optional
        How much each class counts.
    ignore_index : int
        Places with this label do not count.
    label_smoothing : float
        From 0 to 1: the target is mixed with so much of the uniform distribution.
    reduction : {"mean", "sum", "none"}

    Attributes
    ----------
    weight : Buffer or None

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> nn.CrossEntropyLoss(weight=[1.0, 3.0])(np.zeros((2, 2)), [0, 1])
    Tensor(0.6931471805599453)
    """

    def __init__(
        self,
        weight: Any = None,
        *,
        ignore_index: int = -100,
        label_smoothing: float = 0.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.weight = _held(weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, logits: Any, target: Any) -> Tensor:
        """Return the loss of logits (N, C, ...) beside labels (N, ...) or probabilities."""
        return functional.cross_entropy(
            logits,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            label_smoothing=self.label_smoothing,
            reduction=self.reduction,
        )


class NLLLoss(Loss):
    """The negative log-likelihood of labels: `functional.nll_loss`.

    Parameters
    ----------
    weight : array_like, shape (C,), optional
        How much each class counts.
    ignore_index : int
        Places with this label do not count.
    reduction : {"mean", "sum", "none"}

    Attributes
    ----------
    weight : Buffer or None

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> nn.NLLLoss()(np.log([[0.5, 0.5]]), [1])
    Tensor(0.6931471805599453)
    """

    def __init__(
        self, weight: Any = None, *, ignore_index: int = -100, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.weight = _held(weight)
        self.ignore_index = ignore_index

    def forward(self, x: Any, target: Any) -> Tensor:
        """Return the loss of log-probabilities (N, C, ...) beside labels (N, ...)."""
        return functional.nll_loss(
            x,
            target,
            weight=self.weight,
            ignore_index=self.ignore_index,
            reduction=self.reduction,
        )


class BCELoss(Loss):
    """The cross-entropy of probabilities: `functional.binary_cross_entropy`.

    Parameters
    ----------
    weight : array_like, optional
        By what each loss is multiplied.
    reduction : {"mean", "sum", "none"}

    Attributes
    ----------
    weight : Buffer or None

    Examples
    --------
    >>> from backpass import nn
    >>> nn.BCELoss()([0.5, 0.5], [1, 0])
    Tensor(0.6931471805599453)
    """

    def __init__(self, weight: Any = None, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.weight = _held(weight)

    def forward(self, x: Any, target: Any) -> Tensor:
        """Return the loss of probabilities beside a target of the same shape."""
        return functional.binary_cross_entropy(
            x, target, weight=self.weight, reduction=self.reduction
        )


class BCEWithLogitsLoss(Loss):
    """The cross-entropy of the sigmoid of logits: `functional.binary_cross_entropy_with_logits`.

    Parameters
    ----------
    weight : array_like, optional
        By what each loss is multiplied.
    pos_weight : array_like, optional
        How much more the targets of 1 count.
    reduction : {"mean", "sum", "none"}

    Attributes
    ----------
    weight, pos_weight : Buffer or None

    Examples
    --------
    >>> from backpass import nn
    >>> nn.BCEWithLogitsLoss()([0.0, -1000.0], [1, 0])
    Tensor(0.34657359027997264)
    """

    def __init__(
        self, weight: Any = None, *, pos_weight: Any = None, reduction: str = "mean"
    ) -> None:
        super().__init__(reduction=reduction)
        self.weight, self.pos_weight = _held(weight), _held(pos_weight)

    def forward(self, x: Any, target: Any) -> Tensor:
        """Return the loss of logits beside a target of the same shape."""
        return functional.binary_cross_entropy_with_logits(
            x,
            target,
            weight=self.weight,
            pos_weight=self.pos_weight,
            reduction=self.reduction,
        )


class KLDivLoss(Loss):
    """The Kullback-Leibler divergence of log-probabilities from a target: `functional.kl_div`.

    Parameters
    ----------
    reduction : {"mean", "batchmean", "sum", "none"}
    log_target : bool
        Whether targets are logarithms of probabilities, too.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass import nn
    >>> nn.KLDivLoss(reduction="batchmean")(np.log([[0.5, 0.5]]), [[1.0, 0.0]])
    Tensor(0.6931471805599453)
    """

    reductions = (*REDUCTIONS, "batchmean")

    def __init__(self, *, reduction: str = "mean", log_target: bool = False) -> None:
        super().__init__(reduction=reduction)
        self.log_target = log_target

    def forward(self, x: Any, target: Any) -> Tensor:
        """Return the loss of log-probabilities beside a target of the same shape."""
        return functional.kl_div(x, target, log_target=self.log_target, reduction=self.reduction)


class CosineEmbeddingLoss(Loss):
    """A loss that makes vectors parallel, or not: `functional.cosine_embedding_loss`.

    Parameters
    ----------
    margin : float
        Which cosine vectors may have that do not belong together.
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> from backpass import nn
    >>> nn.CosineEmbeddingLoss()([[1.0, 0.0]], [[0.0, 1.0]], [1])
    Tensor(1.0)
    """

    def __init__(self, margin: float = 0.0, *, reduction: str = "mean") -> None:
        super().__init__(reduction=reduction)
        self.margin = margin

    def forward(self, x1: Any, x2: Any, target: Any) -> Tensor:
        """Return the loss of vectors (N, D) and (N, D), by 1 or -1 for each pair."""
        return functional.cosine_embedding_loss(
            x1, x2, target, margin=self.margin, reduction=self.reduction
        )


class TripletMarginLoss(Loss):
    """A loss that puts an anchor nearer to one vector: `functional.triplet_margin_loss`.

    Parameters
    ----------
    margin : float
        How much nearer.
    p : float
        Which norm.
    eps : float
        What is added to each difference.
    swap : bool
        Whether the negative's distance is that from the positive, where that is less.
    reduction : {"mean", "sum", "none"}

    Examples
    --------
    >>> from backpass import nn
    >>> float(nn.TripletMarginLoss(eps=0.0)([[0.0, 0.0]], [[3.0, 4.0]], [[0.0, 2.0]]))
    4.0
    """

    def __init__(
        self,
        margin: float = 1.0,
        *,
        p: float = 2.0,
        eps: float = 1e-6,
        swap: bool = False,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.margin, self.p, self.eps, self.swap = margin, p, eps, swap

    def forward(self, anchor: Any, positive: Any, negative: Any) -> Tensor:
        """Return the loss of three arrays of vectors (..., D)."""
        return functional.triplet_margin_loss(
            anchor,
            positive,
            negative,
            margin=self.margin,
            p=self.p,
            eps=self.eps,
            swap=self.swap,
            reduction=self.reduction,
        )


__all__ = [
    "BCELoss",
    "BCEWithLogitsLoss",
    "CosineEmbeddingLoss",
    "CrossEntropyLoss",
    "HuberLoss",
    "KLDivLoss",
    "L1Loss",
    "MSELoss",
    "NLLLoss",
    "SmoothL1Loss",
    "TripletMarginLoss",
]
