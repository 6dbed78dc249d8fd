"""The loss and the metrics of a pass over batches."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

from backpass.nn.metrics import Mean, Metric


class Measures:
    """The mean loss, and metrics by their names.

    Parameters
    ----------
    metrics : iterable of Metric, or mapping of str to Metric

    Raises
    ------
    TypeError
        If one is not a metric.
    ValueError
        If two have one name, or one is called ``"loss"``.
    """

    def __init__(self, metrics: Iterable[Metric] | Mapping[str, Metric]) -> None:
        pairs = (
            list(metrics.items())
            if isinstance(metrics, Mapping)
            else [(getattr(metric, "name", ""), metric) for metric in metrics]
        )
        self.loss = Mean()
        self.metrics: dict[str, Metric] = {}
        for name, metric in pairs:
            if isinstance(metric, type) or not callable(getattr(metric, "update", None)):
                raise TypeError(
                    f"Trainer: `metrics` holds {metric!r}, which is no metric: pass objects, such "
                    "as backpass.nn.metrics.Accuracy()"
                )
            if name in ("loss", *self.metrics):
                raise ValueError(
                    f"Trainer: two of `metrics`, or one and the loss, are called {name!r}: pass a "
                    "dict from names of your own to the metrics"
                )
            self.metrics[name] = metric

    def fresh(self) -> Measures:
        """Return the same measures of another pass."""
        made = copy.deepcopy(self)
        made.reset()
        return made

    def update(self, loss: Any, count: int, prediction: Any, target: Any) -> None:
        """Take a batch into account."""
        self.loss.update(loss, count)
        for metric in self.metrics.values():
            metric.update(prediction, target)

    def compute(self) -> dict[str, Any]:
        """Return the values by their names; the loss first."""
        return {
            "loss": self.loss.compute(),
            **{name: metric.compute() for name, metric in self.metrics.items()},
        }

    def reset(self) -> None:
        """Begin another pass."""
        for metric in (self.loss, *self.metrics.values()):
            metric.reset()

    def state_dict(self) -> dict[str, Any]:
        """Return the sums."""
        return {name: metric.state_dict() for name, metric in self._all().items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from sums that `state_dict` has returned; metrics without any begin anew."""
        for name, metric in self._all().items():
            metric.load_state_dict(state.get(name, {}))

    def _all(self) -> dict[str, Metric]:
        return {"loss": self.loss, **self.metrics}


__all__ = ["Measures"]
