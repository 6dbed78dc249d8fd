"""What callbacks see of a `Trainer`."""

from __future__ import annotations

from typing import Any, Protocol

from backpass.nn.module import Module
from backpass.nn.training.measures import Measures


class Training(Protocol):
    """A training as it goes; the attributes are described in `Trainer`."""

    model: Module
    optimizer: Any
    loader: Any
    epochs: int
    epoch: int
    step: int
    batch: int
    measured: Measures
    history: list[dict[str, Any]]

    def compute(self, batch: Any) -> tuple[Any, Any, Any]:
        """Return the loss of a batch, the prediction and the target."""

    def stop(self) -> None:
        """Let `fit` end after this step."""

    def parts(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""


__all__ = ["Training"]
