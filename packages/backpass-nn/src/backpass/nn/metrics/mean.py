"""The mean of what is measured batch by batch."""

from __future__ import annotations

from typing import Any

from backpass.core.values import plain
from backpass.nn.metrics.metric import Metric


class Mean(Metric):
    """The mean over examples of a number that is known as the mean of each batch: a loss.

    The sum is kept in float64.

    Parameters
    ----------
    name : str
        What it is called in logs.

    Examples
    --------
    >>> from backpass.nn.metrics import Mean
    >>> loss = Mean()
    >>> loss.update(2.0, 3)
    >>> loss.update(1.0, 1)
    >>> loss.compute()
    1.75
    """

    def __init__(self, name: str = "loss") -> None:
        self.name = name

    def update(self, value: Any, count: int = 1) -> None:
        """Add the mean `value` over `count` examples.

        Parameters
        ----------
        value : float, array or Tensor of shape ()
        count : int
            How many examples it is the mean of.

        Raises
        ------
        ValueError
            If `value` has another shape, or `count` is negative.
        """
        value = plain(value)
        if getattr(value, "shape", ()) != ():
            raise ValueError(
                f"Mean: `value` has the shape {value.shape}, but it must be one number, the mean "
                "of the batch"
            )
        if count < 0:
            raise ValueError(f"Mean: `count` is {count}, but there are no fewer than 0 examples")
        if not count:
            return  # The mean of nothing is nan, and weighs nothing.
        exact = value.astype("float64") if hasattr(value, "astype") else float(value)
        self.add(sum=exact * count, count=count)

    def compute(self) -> float:
        """Return the mean.

        Raises
        ------
        ValueError
            If there have been no examples.
        """
        return float(self.total("sum") / self.total("count"))


__all__ = ["Mean"]
