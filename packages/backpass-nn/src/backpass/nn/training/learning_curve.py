"""The picture of a training."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any


def plot_learning_curve(
    history: Sequence[dict[str, Any]], path: str | os.PathLike[str] | None = None
) -> Any:
    """Draw the loss and the metrics of a training against its epochs.

    There is a panel for each measure, with a line for the training batches as they were learned
    from and one for those for validation.

    Parameters
    ----------
    history : sequence of dict
        What `Trainer.fit` has returned.
    path : path-like, optional
        A file to save the picture in; its ending says in which format.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ImportError
        If matplotlib is not installed: ``pip install backpass-nn[plot]``.
    ValueError
        If the history is empty.

    Examples
    --------
    >>> from backpass.nn.training import plot_learning_curve
    >>> history = [{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 1.0}]
    >>> figure = plot_learning_curve(history)  # doctest: +SKIP
    """
    try:
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator
    except ImportError as error:
        raise ImportError(
            "plot_learning_curve needs matplotlib: pip install backpass-nn[plot]"
        ) from error
    if not history:
        raise ValueError("plot_learning_curve: `history` is empty: train for an epoch first")
    names = [
        name
        for name, value in history[0].items()
        if isinstance(value, int | float) and name not in ("epoch", "learning_rate")
    ]
    measures = dict.fromkeys(name.removeprefix("validation_") for name in names)
    figure = Figure(figsize=(4.5 * len(measures), 3.6), layout="constrained")
    panels = figure.subplots(1, len(measures), squeeze=False)[0]
    epochs = [row["epoch"] for row in history]
    for panel, measure in zip(panels, measures, strict=True):
        for prefix, label in (("", "training"), ("validation_", "validation")):
            if prefix + measure in names:
                values = [row.get(prefix + measure) for row in history]
                marker = "o" if len(history) == 1 else ""
                panel.plot(epochs, values, label=label, marker=marker)
        panel.set(xlabel="epoch", ylabel=measure.replace("_", " "))
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.grid(alpha=0.3)
        panel.legend()
    if path is not None:
        figure.savefig(os.fspath(path), dpi=120)
    return figure


__all__ = ["plot_learning_curve"]
