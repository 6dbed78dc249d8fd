"""Checkpoints in the course of a training."""

from __future__ import annotations

import os

from backpass.nn.training.callback import Callback
from backpass.nn.training.contract import Training


class Checkpointer(Callback):
    """Saves checkpoints as the training goes, from which `fit` goes on.

    A checkpoint holds the model, the optimizer with its schedule, the loader, the random numbers,
    and the trainer with its history, metrics and callbacks. A training on the CPU that goes on from
    one ends with the same weights, bit for bit, as if it had never been interrupted.

    Parameters
    ----------
    folder : path-like
        Where they are saved; it is made if there is none.
    every : int, optional
        How many steps lie between two, within an epoch too. There is one after each epoch in any
        case.
    keep : int or None
        How many stay: the last ones. `None` keeps all.

    Raises
    ------
    ValueError
        If `every` or `keep` is less than 1.

    See Also
    --------
    backpass.nn.Checkpoints : Reads and writes them.

    Examples
    --------
    >>> from backpass import nn
    >>> checkpointer = nn.training.Checkpointer("run", every=500)

    ``trainer.fit(loader, 20, resume="run")``, with it among the trainer's callbacks, begins anew or
    goes on: the same program can be started again whenever it has been killed.
    """

    last = True

    def __init__(
        self, folder: str | os.PathLike[str], every: int | None = None, keep: int | None = 3
    ) -> None:
        from backpass.nn.saving import Checkpoints

        if every is not None and every < 1:
            raise ValueError(f"Checkpointer: `every` is {every}, but it must be at least 1")
        self.every = every
        self.checkpoints = Checkpoints(folder, keep)

    def on_step_end(self, trainer: Training) -> None:
        """Save, if it is the step for it."""
        if self.every is not None and not trainer.step % self.every:
            self.save(trainer)

    def on_epoch_end(self, trainer: Training) -> None:
        """Save."""
        self.save(trainer)

    def save(self, trainer: Training) -> None:
        """Save a checkpoint."""
        self.checkpoints.save(step=trainer.step, **trainer.parts())


__all__ = ["Checkpointer"]
