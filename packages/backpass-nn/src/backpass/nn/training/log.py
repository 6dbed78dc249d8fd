"""The log of a training in a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from backpass.nn.training.callback import Callback
from backpass.nn.training.contract import Training


class CSVLog(Callback):
    """Writes the rows of `Trainer.history` into a file of comma-separated values.

    A row is written when its epoch ends, so that the file can be watched. When `fit` begins, the
    file is written anew from the history: after a resumption it goes on behind the last epoch of
    the checkpoint, and rows of epochs that are done again are not there twice.

    Parameters
    ----------
    path : path-like
        The file. An older one is replaced.

    Notes
    -----
    The first line has the names. Numbers are written so that they are read back exactly; what is
    not a number or text, such as a confusion matrix, is left out.

    Examples
    --------
    >>> from backpass import nn
    >>> log = nn.training.CSVLog("training.csv")
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._names: list[str] = []

    def on_fit_begin(self, trainer: Training) -> None:
        """Write what the history holds."""
        self._write(trainer.history, "w")

    def on_epoch_end(self, trainer: Training) -> None:
        """Add the last row; write all anew if it has other names than those before."""
        if self._names == columns(trainer.history[-1:]):
            self._write(trainer.history[-1:], "a")
        else:
            self._write(trainer.history, "w")

    def _write(self, rows: list[dict[str, Any]], mode: str) -> None:
        import csv

        # A file of a folder that is not there is the user's error, and Python names it.
        with open(self.path, mode, newline="", encoding="utf-8") as file:
            if mode == "w":
                self._names = columns(rows)
                if self._names:
                    csv.writer(file).writerow(self._names)
            writer = csv.DictWriter(file, self._names, extrasaction="ignore")
            writer.writerows(rows)


def columns(rows: list[dict[str, Any]]) -> list[str]:
    """Return the names of the numbers and texts in some rows, in their order."""
    names = (k for row in rows for k, v in row.items() if isinstance(v, int | float | str))
    return list(dict.fromkeys(names))


__all__ = ["CSVLog"]
