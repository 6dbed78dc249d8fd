"""What all metrics are: sums over batches, which stay on the device until they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy

from backpass.core.backends import backend_of
from backpass.core.devices import beside


class Metric:
    """A number, or several, that are computed from sums over the batches.

    A subclass defines `update`, which adds to the sums with `add`, and `compute`, which reads them
    with `total`. As only sums are kept, the result does not depend on how examples are divided into
    batches; and as they lie beside the predictions, an update does not wait for a GPU.

    Attributes
    ----------
    name : str
        What it is called in logs and on the progress bar.

    Examples
    --------
    >>> from backpass.nn.metrics import Metric
    >>> class Count(Metric):
    ...     name = "count"
    ...     def update(self, prediction, target):
    ...         self.add(examples=len(target))
    ...     def compute(self):
    ...         return int(self.total("examples"))
    >>> count = Count()
    >>> count.update([0, 1], [0, 1]), count.update([2], [2])
    (None, None)
    >>> count.compute()
    3
    """

    name: str = "metric"

    def update(self, prediction: Any, target: Any) -> None:
        """Take a batch into account.

        Raises
        ------
        NotImplementedError
            If the subclass does not define it.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method `update`: define it")

    def compute(self) -> Any:
        """Return the value over all batches since the last `reset`.

        Raises
        ------
        NotImplementedError
            If the subclass does not define it.
        """
        raise NotImplementedError(f"{type(self).__name__} has no method `compute`: define it")

    def reset(self) -> None:
        """Forget all batches."""
        self._sums.clear()

    def state_dict(self) -> dict[str, Any]:
        """Return the sums as NumPy arrays, by their names."""
        return {key: numpy.array(_on_host(value)) for key, value in self._sums.items()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from sums that `state_dict` has returned."""
        self.reset()
        self._sums.update({key: numpy.array(value)[()] for key, value in state.items()})

    # ----- for subclasses ------------------------------------------------------------------------

    def add(self, **parts: Any) -> None:
        """Add numbers or arrays to the sums of these names."""
        sums = self._sums
        for key, part in parts.items():
            old = sums.get(key)
            if old is not None:
                part = (old if type(old) in (int, float) else beside(old, part)) + part
            sums[key] = part

    def total(self, key: str) -> Any:
        """Return a sum, on the host.

        Raises
        ------
        ValueError
            If nothing has been added to it.
        """
        if key not in self._sums:
            raise ValueError(
                f"{type(self).__name__}: there is nothing to compute: no batch has been given to "
                "update() since the last reset()"
            )
        return _on_host(self._sums[key])

    @property
    def _sums(self) -> dict[str, Any]:
        # Made when it is needed, so that a subclass need not call super().__init__().
        found: dict[str, Any] = vars(self).setdefault("_kept", {})
        return found


def _on_host(value: Any) -> Any:
    return backend_of((value,)).to_host(value)[()] if hasattr(value, "dtype") else value


__all__ = ["Metric"]
