"""Early stopping."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from backpass.nn.training.callback import Callback
from backpass.nn.training.contract import Training


class EarlyStopping(Callback):
    """Stops a training when it has not got better for some epochs.

    Parameters
    ----------
    patience : int
        How many epochs in a row may pass without an improvement.
    monitor : str
        What is looked at: a name in the rows of `Trainer.history`.
    mode : {"min", "max"}
        Whether less or more of it is better.
    least : float
        By how much it must be better to count.
    restore_best : bool
        Whether the model gets its weights and Buffers after the best epoch back when the training
        ends, early or not. They are kept in memory, where the model is.

    Attributes
    ----------
    best : float
        The best value so far.
    best_epoch : int
        The epoch after which it was measured, from 1; 0 as long as there is none.

    Raises
    ------
    ValueError
        If an argument is out of range; when it is first looked at, if `monitor` names no number.

    Notes
    -----
    L. Prechelt, "Early stopping - but when?", in "Neural Networks: Tricks of the Trade", 1998,
    pp. 55-69.

    Examples
    --------
    >>> from backpass import nn
    >>> stop = nn.training.EarlyStopping(patience=3, monitor="validation_accuracy", mode="max")
    """

    def __init__(
        self,
        patience: int = 5,
        monitor: str = "validation_loss",
        *,
        mode: Literal["min", "max"] = "min",
        least: float = 0.0,
        restore_best: bool = True,
    ) -> None:
        if patience < 1:
            raise ValueError(f"EarlyStopping: `patience` is {patience}, but it must be at least 1")
        if mode not in ("min", "max"):
            raise ValueError(f"EarlyStopping: `mode` is {mode!r}, but it must be 'min' or 'max'")
        if not least >= 0:
            raise ValueError(f"EarlyStopping: `least` is {least}, but it must not be negative")
        self.patience = patience
        self.monitor = monitor
        self.mode = mode
        self.least = least
        self.restore_best = restore_best
        self.best = math.inf if mode == "min" else -math.inf
        self.best_epoch = 0
        self._weights: dict[str, Any] | None = None

    def on_epoch_end(self, trainer: Training) -> None:
        """Compare, and stop the training if it is time."""
        value = monitored("EarlyStopping", self.monitor, trainer.history[-1])
        gain = self.best - value if self.mode == "min" else value - self.best
        if gain > self.least:  # never for a nan
            self.best, self.best_epoch = value, trainer.epoch
            if self.restore_best:
                self._weights = trainer.model.state_dict()
        elif trainer.epoch - self.best_epoch >= self.patience:
            trainer.stop()

    def on_fit_end(self, trainer: Training) -> None:
        """Give the model its best weights back."""
        if self._weights is not None and not trainer.batch:
            trainer.model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """Return the best value, its epoch, and the weights."""
        return {"best": self.best, "best_epoch": self.best_epoch, "weights": self._weights}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `state_dict` has returned."""
        self.best, self.best_epoch = float(state["best"]), int(state["best_epoch"])
        self._weights = state["weights"]


def monitored(callback: str, name: str, row: Mapping[str, Any]) -> float:
    """Return a number of a row of the history.

    Raises
    ------
    ValueError
        If there is none of that name.
    """
    value = row.get(name)
    if not isinstance(value, int | float):
        numbers = [key for key, v in row.items() if isinstance(v, int | float) and key != "epoch"]
        hint = "" if "validation_loss" in row else "; without `validation` in fit there are no more"
        raise ValueError(
            f"{callback}: `monitor` is {name!r}, but the numbers there are {numbers}{hint}"
        )
    return value


__all__ = ["EarlyStopping", "monitored"]
