"""Averages of a model's weights over its training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from backpass.core.devices import beside
from backpass.core.values import plain
from backpass.nn.optimizers.hyperparameters import count, number
from backpass.nn.optimizers.parameters import own, trained
from backpass.nn.optimizers.state import is_half, kept_dtype
from backpass.nn.optimizers.steps import Array, Tree, alike, widened
from backpass.nn.optimizers.updates import average_update


class ExponentialMovingAverage:
    """A running mean of parameters, which often does better than the parameters themselves.

    It begins with the parameters as they are. Each `update`, after a step of the optimizer, makes
    each average ``decay * average + (1 - decay) * w``. Buffers are not averaged. The averages of
    parameters in half precision are in float32.

    Parameters
    ----------
    params : tree
        A `Module`, or Tensors in lists, tuples, dicts and dataclasses, of floats or complex
        numbers. Frozen ones are averaged, too: they may not stay frozen.
    decay : float
        How much of the average each update keeps: at least 0, less than 1. The mean reaches back
        over about ``1 / (1 - decay)`` updates.

    Attributes
    ----------
    updates : int
        How many there have been.

    Raises
    ------
    TypeError, ValueError
        If a leaf is not a Tensor, if there is none, or `decay` is out of range.

    Notes
    -----
    B. T. Polyak and A. B. Juditsky, "Acceleration of stochastic approximation by averaging", SIAM
    Journal on Control and Optimization 30 (4), 1992, pp. 838-855.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> w = np.array([0.0, 0.0])
    >>> average = ExponentialMovingAverage([w], decay=0.75)
    >>> w[...] = 4.0
    >>> average.update()
    >>> with average.swapped():
    ...     print(w)
    [1. 1.]
    >>> print(w)
    [4. 4.]
    """

    def __init__(self, params: Tree, decay: float = 0.999) -> None:
        self.decay = number(_NAME, "decay", decay)
        self.updates = 0
        named = trained(_NAME, params)
        self._names = [x.name or "value" for x in named]
        self._tensors = [x.leaf for x in named]
        self._averages: list[Array] = [
            own(w.value.astype(kept_dtype(w.value)), w.value) for w in self._tensors
        ]
        self._swapped = False

    def update(self) -> None:
        """Move the averages towards the parameters.

        Raises
        ------
        RuntimeError
            While they are swapped.
        """
        self._refuse_swapped("update")
        weights = widened([w.value for w in self._tensors])
        for some in alike(self._averages, weights):
            places = range(len(weights)) if some is None else some
            operands = [*[self._averages[i] for i in places], *[weights[i] for i in places]]
            average_update.run(operands, {"decay": self.decay})
        self.updates += 1

    @contextmanager
    def swapped(self) -> Iterator[None]:
        """Put the averages into the places of the parameters, until the `with` block ends.

        Raises
        ------
        RuntimeError
            If they are there already.
        """
        self._refuse_swapped("swapped")
        pairs = zip(self._tensors, self._averages, strict=True)
        halves = [(w, w.value, average) for w, average in pairs if is_half(w.value)]
        self._swap()
        for w, value, average in halves:
            w.value = average.astype(value.dtype)
        self._swapped = True
        try:
            yield
        finally:
            self._swap()
            for w, value, _ in halves:
                w.value = value
            self._swapped = False

    def state_dict(self) -> dict[str, Any]:
        """Return copies of the averages by the paths of the parameters, and ``"updates"``.

        Raises
        ------
        RuntimeError
            While they are swapped.
        """
        self._refuse_swapped("state_dict")
        pairs = zip(self._names, self._averages, strict=True)
        return {
            "updates": self.updates,
            **{f"{name}.average": own(x, x) for name, x in pairs},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken; the arrays are copied, to where the parameters lie.

        Raises
        ------
        ValueError
            If names, shapes or dtypes do not fit. Nothing has been changed.
        RuntimeError
            While they are swapped.
        """
        self._refuse_swapped("load_state_dict")
        wanted = ["updates", *(f"{name}.average" for name in self._names)]
        for key in wanted:
            if key not in state:
                raise ValueError(f"{_NAME}: `{key}` is missing in the state")
        for key in state:
            if key not in wanted:
                raise ValueError(f"{_NAME}: `{key}` is not expected in the state")
        updates = count(_NAME, "updates", state["updates"], low=0)
        made = []
        for key, old in zip(wanted[1:], self._averages, strict=True):
            x = plain(state[key])
            if (getattr(x, "shape", None), getattr(x, "dtype", None)) != (old.shape, old.dtype):
                raise ValueError(
                    f"{_NAME}: `{key}` must be an array of shape {old.shape} and {old.dtype}"
                )
            made.append(beside(x, old))
        for old, new in zip(self._averages, made, strict=True):
            old[...] = new
        self.updates = updates

    def _swap(self) -> None:
        # The arrays themselves change places: those that a captured graph writes into come back.
        for i, w in enumerate(self._tensors):
            if not is_half(w.value):
                w.value, self._averages[i] = self._averages[i], w.value

    def _refuse_swapped(self, what: str) -> None:
        if self._swapped:
            raise RuntimeError(
                f"{_NAME}.{what}: the averages are in the places of the parameters: leave the "
                "`with` block first"
            )


_NAME = "ExponentialMovingAverage"
