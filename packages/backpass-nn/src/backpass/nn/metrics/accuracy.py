"""How often the right class is given, or is among the first few."""

from __future__ import annotations

import operator
from typing import Any

from backpass.nn.metrics.labels import Labels, read
from backpass.nn.metrics.metric import Metric


class Accuracy(Metric):
    """The share of examples whose class is predicted.

    Parameters
    ----------
    ignore_index : int
        Targets of this value do not count; as in `cross_entropy`.
    axis : int
        Along which the classes lie in scores and in one-hot targets.

    Examples
    --------
    >>> from backpass.nn.metrics import Accuracy
    >>> accuracy = Accuracy()
    >>> accuracy.update([[0.1, 0.9], [0.8, 0.2]], [1, 1])
    >>> accuracy.update([0], [0])
    >>> round(accuracy.compute(), 3)
    0.667
    """

    name = "accuracy"

    def __init__(self, *, ignore_index: int = -100, axis: int = 1) -> None:
        self.ignore_index = ignore_index
        self.axis = axis

    def update(self, prediction: Any, target: Any) -> None:
        """Take a batch into account.

        Parameters
        ----------
        prediction : array_like or Tensor
            Scores of shape (N, classes), or (N, classes, ...), or classes as integers of shape
            (N, ...). Of equal scores the first counts.
        target : array_like or Tensor
            Classes as integers of shape (N, ...), or one-hot.

        Raises
        ------
        TypeError, ValueError
            If dtypes or shapes do not fit.
        """
        labels = read(type(self).__name__, prediction, target, self.axis)
        counted = labels.target != self.ignore_index
        parts = {"right": (self.right(labels) & counted).sum(), "count": counted.sum()}
        if labels.classes is not None:
            outside = (labels.target < 0) | (labels.target >= labels.classes)
            parts["outside"] = (outside & counted).sum()
        self.add(**parts)

    def right(self, labels: Labels) -> Any:
        """Return for each example whether its prediction is right."""
        return labels.predicted == labels.target

    def compute(self) -> float:
        """Return the share, from 0 to 1.

        Raises
        ------
        ValueError
            If there have been no examples, or some target was no class that there are scores for.
        """
        count = int(self.total("count"))
        if "outside" in self._sums and self.total("outside"):
            raise ValueError(
                f"{type(self).__name__}: {int(self.total('outside'))} of {count} targets are "
                "classes for which there are no scores: they must be at least 0 and less than "
                f"the number of classes, or {self.ignore_index} to be left out"
            )
        if not count:
            raise ValueError(
                f"{type(self).__name__}: there is nothing to compute: the batches held no targets"
            )
        return int(self.total("right")) / count


class TopK(Accuracy):
    """The share of examples whose class is among the `k` predicted with the highest scores.

    Of equal scores the first come first, so that `TopK(1)` is `Accuracy()`.

    Parameters
    ----------
    k : int
        At least 1, and at most the number of classes.
    ignore_index, axis
        As in `Accuracy`.

    Raises
    ------
    ValueError
        If `k` is less than 1; from `update`, if there are fewer than `k` classes or no scores.

    Examples
    --------
    >>> from backpass.nn.metrics import TopK
    >>> top = TopK(2)
    >>> top.update([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]], [1, 2])
    >>> top.compute()
    0.5
    """

    def __init__(self, k: int, *, ignore_index: int = -100, axis: int = 1) -> None:
        super().__init__(ignore_index=ignore_index, axis=axis)
        self.k = operator.index(k)
        if self.k < 1:
            raise ValueError(f"TopK: `k` is {k}, but it must be at least 1")
        self.name = f"top_{self.k}"

    def right(self, labels: Labels) -> Any:
        """Return for each example whether fewer than `k` classes come before the right one."""
        if labels.scores is None or labels.classes is None:
            raise ValueError(
                "TopK: `prediction` holds classes, but scores are needed, as floats of shape "
                "(examples, classes)"
            )
        if self.k > labels.classes:
            raise ValueError(f"TopK: `k` is {self.k}, but there are {labels.classes} classes")
        xp, scores, axis = labels.xp, labels.scores, self.axis
        target = xp.expand_dims(labels.target, axis)
        shape = [1] * scores.ndim
        shape[axis] = labels.classes
        number = xp.arange(labels.classes).reshape(shape)
        own = xp.where(number == target, scores, 0).sum(axis, keepdims=True)
        # Where a score is nan it is not less or equal: it comes before all numbers.
        before = ~(scores <= own) | ((scores == own) & (number < target))
        return before.sum(axis) < self.k


__all__ = ["Accuracy", "TopK"]
