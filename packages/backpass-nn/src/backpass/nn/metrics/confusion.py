"""Which classes are taken for which, and what follows from it."""

from __future__ import annotations

import operator
from typing import Any, Literal

import numpy

from backpass.nn.metrics.labels import read
from backpass.nn.metrics.metric import Metric


class ConfusionMatrix(Metric):
    """How often an example of each class is predicted to be of each class.

    Parameters
    ----------
    classes : int, optional
        How many there are. By default, as many as there are scores for in the first batch.
    ignore_index, axis
        As in `Accuracy`.

    Raises
    ------
    ValueError
        If `classes` is less than 1.

    Examples
    --------
    >>> from backpass.nn.metrics import ConfusionMatrix
    >>> matrix = ConfusionMatrix(3)
    >>> matrix.update([0, 1, 1, 2], [0, 1, 2, 2])
    >>> matrix.compute()
    array([[1, 0, 0],
           [0, 1, 0],
           [0, 1, 1]])
    """

    name = "confusion_matrix"

    def __init__(
        self, classes: int | None = None, *, ignore_index: int = -100, axis: int = 1
    ) -> None:
        if classes is not None and operator.index(classes) < 1:
            raise ValueError(f"{type(self).__name__}: `classes` is {classes}, not at least 1")
        self.classes = classes
        self.ignore_index = ignore_index
        self.axis = axis

    def update(self, prediction: Any, target: Any) -> None:
        """Take a batch into account; the parameters are those of `Accuracy.update`.

        Raises
        ------
        TypeError, ValueError
            If dtypes, shapes or the number of classes do not fit.
        """
        labels = read(type(self).__name__, prediction, target, self.axis)
        known = labels.classes if self.classes is None else self.classes
        if known is None:
            raise ValueError(
                f"{type(self).__name__}: predictions and targets are classes, which do not say how "
                f"many there are: use {type(self).__name__}(classes=...)"
            )
        if labels.classes not in (None, known):
            raise ValueError(
                f"{type(self).__name__}: the batch has {labels.classes} classes, where there are "
                f"{known}"
            )
        self.classes = n = known
        xp, p, t = labels.xp, labels.predicted.reshape(-1), labels.target.reshape(-1)
        outside = (t < 0) | (t >= n) | (p < 0) | (p >= n)
        cells = xp.where(outside, n * n, t * n + p)
        cells = xp.where(t == self.ignore_index, n * n + 1, cells)
        # Two cells more: for what is no class, and for what is left out. CuPy adds at
        # indices in 32 bits, which are enough for a batch, and without a wait.
        counts = xp.zeros(n * n + 2, "uint32")
        xp.add.at(counts, cells, 1)
        self.add(counts=counts.astype("int64"))

    def matrix(self) -> numpy.ndarray[Any, numpy.dtype[numpy.int64]]:
        """Return how often each class (row) was predicted to be each class (column)."""
        counts = self.total("counts")
        if counts[-2]:
            raise ValueError(
                f"{type(self).__name__}: {counts[-2]} targets or predictions are no classes: they "
                f"must be at least 0 and less than {self.classes}"
            )
        n = int(self.classes or 0)
        found: numpy.ndarray[Any, numpy.dtype[numpy.int64]] = counts[:-2].reshape(n, n)
        return found

    def compute(self) -> Any:
        """Return the matrix: int64, a row for each class of targets, a column for predictions.

        Raises
        ------
        ValueError
            If there have been no batches, or some target or prediction was no class.
        """
        return self.matrix()


class F1(ConfusionMatrix):
    """The harmonic mean of precision and recall.

    Of one class it is ``2 tp / (2 tp + fp + fn)``: of the examples predicted to be of the class
    `tp` were and `fp` were not, and `fn` of it were predicted to be of others.

    Parameters
    ----------
    average : {"macro", "micro", "weighted", None}
        ``"macro"``: the mean over the classes that occur in targets or predictions; ``"weighted"``:
        weighted by how many examples of them there are; ``"micro"``: of all classes together, which
        is the accuracy; `None`: an array with a number for each class, nan for those that do not
        occur.
    classes, ignore_index, axis
        As in `ConfusionMatrix`.

    Raises
    ------
    ValueError
        If `average` is none of these.

    Notes
    -----
    C. J. van Rijsbergen, "Information Retrieval", 1979, chapter 7; the averages are those of
    scikit-learn's `f1_score`.

    Examples
    --------
    >>> from backpass.nn.metrics import F1
    >>> f1 = F1(average=None, classes=3)
    >>> f1.update([0, 1, 1, 2], [0, 1, 2, 2])
    >>> f1.compute().round(3)
    array([1.   , 0.667, 0.667])
    """

    name = "f1"

    def __init__(
        self,
        average: Literal["macro", "micro", "weighted"] | None = "macro",
        classes: int | None = None,
        *,
        ignore_index: int = -100,
        axis: int = 1,
    ) -> None:
        super().__init__(classes, ignore_index=ignore_index, axis=axis)
        if average not in ("macro", "micro", "weighted", None):
            raise ValueError(
                f"F1: `average` is {average!r}, but it must be 'macro', 'micro', 'weighted' or None"
            )
        self.average = average

    def compute(self) -> Any:
        """Return the mean as a float; an array if `average` is `None`.

        Raises
        ------
        ValueError
            If there have been no examples, or some target or prediction was no class.
        """
        matrix = self.matrix()
        right, true, predicted = matrix.diagonal(), matrix.sum(1), matrix.sum(0)
        if not matrix.any():
            raise ValueError("F1: there is nothing to compute: the batches held no targets")
        if self.average == "micro":
            return float(right.sum() / matrix.sum())
        both = true + predicted
        scores = numpy.full(len(matrix), numpy.nan)
        numpy.divide(2 * right, both, out=scores, where=both > 0)
        if self.average is None:
            return scores
        weights = both > 0 if self.average == "macro" else true
        return float(numpy.average(numpy.nan_to_num(scores), weights=weights))


__all__ = ["F1", "ConfusionMatrix"]
