"""What can be hung on a training: methods that are called as it goes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backpass.nn.training.contract import Training


class Callback:
    """Methods that a `Trainer` calls as it goes; a subclass defines those that it needs.

    Each is given the trainer, whose attributes say how far it is, and which it may tell to `stop`.

    Attributes
    ----------
    last : bool
        Whether it is called after those callbacks that are not, whatever the order they are given
        in: what saves the state of others must see it complete.

    Examples
    --------
    >>> from backpass import nn
    >>> class Shout(nn.training.Callback):
    ...     def on_epoch_end(self, trainer):
    ...         print(trainer.epoch, trainer.history[-1]["loss"])
    """

    last: bool = False

    def on_fit_begin(self, trainer: Training) -> None:
        """Act when `fit` begins, after a checkpoint has been loaded."""

    def on_epoch_begin(self, trainer: Training) -> None:
        """Act before the first batch, or the first after a resumption."""

    def on_step_end(self, trainer: Training) -> None:
        """Act after the weights have been changed."""

    def on_epoch_end(self, trainer: Training) -> None:
        """Act after an epoch and its validation; its row is the last of `trainer.history`."""

    def on_fit_end(self, trainer: Training) -> None:
        """Act when `fit` has ended as it should."""

    def on_error(self, trainer: Training, error: BaseException) -> None:
        """Act when an exception, Ctrl-C among them, is about to leave `fit`."""

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps: numbers, text, arrays, and lists and dicts of them."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `state_dict` has returned."""


__all__ = ["Callback"]
