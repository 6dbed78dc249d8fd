"""The pictures that a training leaves: its learning curve, and what was misread."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from train import Data, History

COLUMNS, ROWS = 8, 5


def plot_learning_curve(data: Data, history: History, path: Path) -> None:
    """Draw loss and errors against the epochs into an image file.

    Parameters
    ----------
    data : Data
        What was learned; named in the title.
    history : History
        Its losses and accuracies are drawn.
    path : Path
        The file; its ending says in which format.
    """
    epochs = range(1, len(history.losses) + 1)
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    loss, errors = figure.subplots(1, 2)

    loss.plot(epochs, history.losses, color="tab:gray")
    loss.set(ylabel="mean cross-entropy in training (nats)", yscale="log")

    for accuracies, label, color in (
        (history.train_accuracies, "training", "tab:blue"),
        (history.test_accuracies, "test", "tab:orange"),
    ):
        errors.plot(epochs, [100 * (1 - a) for a in accuracies], label=label, color=color)
    errors.set(ylabel="misread images (%)", ylim=(0, None))
    errors.legend()

    for axes in (loss, errors):
        axes.set_xlabel("epoch")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.3)
    figure.suptitle(f"{data.name}: {history.test_accuracies[-1]:.2%} of the test images read right")
    figure.savefig(path, dpi=120)


def plot_misread(data: Data, history: History, path: Path) -> None:
    """Draw the first misread test images, each with what was read and what it shows.

    Parameters
    ----------
    data : Data
        Its test images are drawn; they are square.
    history : History
        Its readings of the test images tell which were misread.
    path : Path
        The file; its ending says in which format.
    """
    misread = numpy.flatnonzero(history.test_readings != data.test_labels)
    side = math.isqrt(data.test_images.shape[1])
    shown = misread[: COLUMNS * ROWS]
    lines = max(1, math.ceil(len(shown) / COLUMNS))

    figure = Figure(figsize=(COLUMNS, 1.35 * lines + 0.6), layout="constrained")
    for axes in figure.subplots(lines, COLUMNS, squeeze=False).flat:
        axes.axis("off")
    for axes, index in zip(figure.axes, shown, strict=False):
        axes.imshow(data.test_images[index].reshape(side, side), cmap="gray_r", vmin=0, vmax=1)
        reading, label = history.test_readings[index], data.test_labels[index]
        axes.set_title(f"{reading}, not {label}", fontsize=9)
    figure.suptitle(
        f"{data.name}: {len(misread)} of {len(data.test_labels)} test images misread"
        + (f", the first {len(shown)} of them" if len(shown) < len(misread) else "")
    )
    figure.savefig(path, dpi=120)
