"""What follows a training: schedules that look at how it goes, and averages of weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from backpass.nn.optimizers import ExponentialMovingAverage
from backpass.nn.optimizers.schedules import Plateau
from backpass.nn.training.callback import Callback
from backpass.nn.training.contract import Training
from backpass.nn.training.stopping import monitored


class FollowPlateau(Callback):
    """Tells a `Plateau` after each epoch how the training goes, so that the learning rate falls.

    Parameters
    ----------
    plateau : Plateau
        The learning rate of the trainer's optimizer, with which its state is saved.
    monitor : str
        What it is told: a name in the rows of `Trainer.history`.

    Raises
    ------
    ValueError
        When it is first looked at, if `monitor` names no number.

    Examples
    --------
    >>> from backpass import nn
    >>> from backpass.nn.optimizers.schedules import Plateau
    >>> model = nn.Linear(3, 1)
    >>> rate = Plateau(0.1, factor=0.5, patience=2)
    >>> optimizer = nn.optimizers.SGD(model, learning_rate=rate)
    >>> follow = nn.training.FollowPlateau(rate, "validation_loss")
    """

    def __init__(self, plateau: Plateau, monitor: str = "validation_loss") -> None:
        self.plateau = plateau
        self.monitor = monitor

    def on_epoch_end(self, trainer: Training) -> None:
        """Tell it."""
        self.plateau.observe(monitored("FollowPlateau", self.monitor, trainer.history[-1]))


class AverageWeights(Callback):
    """Brings an average of the weights up to date after each step, and saves it in checkpoints.

    The training itself and its validation are with the weights as they are.

    Parameters
    ----------
    average : ExponentialMovingAverage
        Of the trainer's model.

    Examples
    --------
    >>> from backpass import nn
    >>> model = nn.Linear(3, 1)
    >>> average = nn.optimizers.ExponentialMovingAverage(model, decay=0.99)
    >>> callback = nn.training.AverageWeights(average)

    After the training, ``with average.swapped(): trainer.evaluate(loader)`` is with the average.
    """

    def __init__(self, average: ExponentialMovingAverage) -> None:
        self.average = average

    def on_step_end(self, trainer: Training) -> None:
        """Bring it up to date."""
        self.average.update()

    def state_dict(self) -> dict[str, Any]:
        """Return the average."""
        return self.average.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a state that `state_dict` has returned."""
        self.average.load_state_dict(state)


__all__ = ["AverageWeights", "FollowPlateau"]
