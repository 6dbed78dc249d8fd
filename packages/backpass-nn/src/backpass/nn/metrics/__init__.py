"""Metrics: what a model gets right, exact over any division into batches."""

from backpass.nn.metrics.accuracy import Accuracy, TopK
from backpass.nn.metrics.confusion import F1, ConfusionMatrix
from backpass.nn.metrics.mean import Mean
from backpass.nn.metrics.metric import Metric

__all__ = ["F1", "Accuracy", "ConfusionMatrix", "Mean", "Metric", "TopK"]
