"""Class labels: whether they are in range, where they lead, and how much each place counts."""

from __future__ import annotations

from typing import Any, NamedTuple

from backpass.core.backends import backend_of
from backpass.core.values import plain
from backpass.nn.functional.checking import all_within, check_values


def check_labels(name: str, target: Any, classes: int, ignore_index: int) -> bool:
    """Raise an error for labels that are no integers, or that are no classes.

    Returns whether there may be places that do not count.  Labels on a GPU are not waited for: its
    kernels look at them, and what is no class is the error of the next copy to the host.
    """
    if target.dtype.kind not in "iu":
        raise TypeError(
            f"{name}: `target` holds {target.dtype}, but labels are integers: use .astype(int)"
        )
    labels = plain(target)
    backend = backend_of((labels,))
    if backend.reports or backend.capturing():
        return True
    if all_within(labels, classes):
        return 0 <= ignore_index < classes
    if all_within(labels, classes, ignore_index):
        return True
    check_values(
        name,
        "target",
        labels,
        lambda v: ((v < 0) | (v >= classes)) & (v != ignore_index),
        f"but labels go from 0 to {classes - 1}, one for each of {classes} classes; places that "
        f"are not to count have `ignore_index`, {ignore_index}",
    )
    return True


class Places(NamedTuple):
    """The places that labels stand at.

    Attributes
    ----------
    chosen
        Index of the labels' elements in an array with the classes along an axis.
    counts
        How much each place counts: the weight of its class, or 1; 0 where it is ignored.
    here
        The same without weights.
    """

    chosen: tuple[Any, ...]
    counts: Any
    here: Any


def places(target: Any, weight: Any, dtype: Any, axis: int, ignore_index: int | None) -> Places:
    """Return the places of labels; `ignore_index` may be `None`: all count."""
    xp = backend_of((target,)).library
    shape = target.shape
    if ignore_index is None:
        labels, here = target, xp.ones(shape, dtype)
    else:
        here = xp.not_equal(target, ignore_index).astype(dtype)
        labels = xp.where(here > 0, target, xp.zeros((), target.dtype))
    counts = here if weight is None else here * weight[labels]
    along = [xp.arange(n).reshape((n,) + (1,) * (len(shape) - i - 1)) for i, n in enumerate(shape)]
    return Places((*along[:axis], labels, *along[axis:]), counts, here)


__all__ = ["Places", "check_labels", "places"]
