"""The progress bar."""

from __future__ import annotations

from typing import Any

from backpass.nn.training.callback import Callback
from backpass.nn.training.contract import Training


class ProgressBar(Callback):
    """Shows a bar for each epoch, with the loss and the metrics so far, on standard error.

    They are read only when the bar is drawn, some ten times a second at most.
    """

    def __init__(self) -> None:
        self._bar: Any = None

    def on_epoch_begin(self, trainer: Training) -> None:
        """Draw an empty bar."""
        from tqdm.auto import tqdm  # type: ignore[import-untyped]

        loader = trainer.loader
        self._bar = tqdm(
            total=len(loader) if hasattr(loader, "__len__") else None,
            initial=trainer.batch,
            desc=f"epoch {trainer.epoch + 1}/{trainer.epochs}",
            unit="batch",
        )

    def on_step_end(self, trainer: Training) -> None:
        """Move the bar."""
        if self._bar.update(trainer.batch - self._bar.n):
            self._bar.set_postfix_str(text(trainer.measured.compute()))

    def on_epoch_end(self, trainer: Training) -> None:
        """Show what has been measured over the whole epoch."""
        row = trainer.history[-1]
        self._bar.set_postfix_str(text({k: v for k, v in row.items() if k != "epoch"}))
        self._close()

    def on_fit_end(self, trainer: Training) -> None:
        """Close the bar."""
        self._close()

    def on_error(self, trainer: Training, error: BaseException) -> None:
        """Close the bar, so that the error does not stand in it."""
        self._close()

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def text(values: dict[str, Any]) -> str:
    """Return the numbers among some values as text."""
    return ", ".join(f"{k} {v:.4g}" for k, v in values.items() if isinstance(v, int | float))


__all__ = ["ProgressBar"]
