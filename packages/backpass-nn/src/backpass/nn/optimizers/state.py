"""The state of an optimizer as one dict: names to arrays and numbers, so that it can be saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import numpy

from backpass.core import Tensor
from backpass.core.devices import beside
from backpass.core.dtypes import HALVES
from backpass.core.values import plain
from backpass.nn.optimizers.parameters import Named
from backpass.nn.optimizers.steps import Array

#: The role of the weights in single precision that are kept of those in half.
MASTER = "master"


def is_half(w: Array) -> bool:
    """Tell whether a parameter is in half precision."""
    return w.dtype.char in HALVES


def kept_dtype(w: Array) -> Any:
    """Return the dtype of what is kept of a parameter: its own, or single precision for half."""
    return numpy.dtype("float32") if is_half(w) else w.dtype


#: What the pure way of use carries from step to step, and what is saved: names to arrays, numbers.
State = dict[str, Any]


def written(
    names: Sequence[str],
    roles: Sequence[str],
    slots: Sequence[Sequence[Array | None]],
    counts: Sequence[int],
) -> State:
    """Return the part of a state that belongs to parameters.

    Of each it has the arrays that are kept, such as ``"layers.0.weight.mean"``, unless it has been
    frozen all along, and ``"layers.0.weight.step"``, how many gradients it had. Only those in half
    precision have a ``"layers.0.weight.master"``.
    """
    made: State = {}
    for i, (name, count) in enumerate(zip(names, counts, strict=True)):
        for role, slot in zip(roles, slots, strict=True):
            if slot[i] is not None:
                made[_key(name, role)] = slot[i]
        made[_key(name, "step")] = count
    return made


def remembered(key: str, rate: Any) -> State:
    """Return what a learning rate remembers."""
    if isinstance(rate, Tensor):
        return {key: float(rate.value)}
    return {f"{key}.{name}": value for name, value in rate.state_dict().items()}


class Reader:
    """Takes a state apart, and raises `ValueError` for what does not fit.

    Parameters
    ----------
    optimizer
        The name of the optimizer that is to go on with it.
    state
        The state, which is not changed.
    """

    def __init__(self, optimizer: str, state: Mapping[str, Any]) -> None:
        self._optimizer = optimizer
        self._rest = dict(state)
        kind = self._rest.pop("optimizer", None)
        if kind != optimizer:
            self._misfit(f"it belongs to {kind or 'something else'}")

    def steps(self) -> int:
        """Take the number of the step."""
        return self._whole("steps")

    def memory(self, key: str) -> State:
        """Take what a learning rate remembers: see `remembered`."""
        found = [name for name in self._rest if name == key or name.startswith(f"{key}.")]
        if not found:
            self._misfit(f"`{key}` is missing")
        return {name[len(key) + 1 :]: self._rest.pop(name) for name in found}

    def kept(
        self, named: Sequence[Named], roles: Sequence[str]
    ) -> tuple[list[list[Array | None]], list[int]]:
        """Take what is kept of parameters: the arrays, a list for each role, and the counts."""
        slots: list[list[Array | None]] = [[None] * len(named) for _ in roles]
        counts = [0] * len(named)
        for i, x in enumerate(named):
            counts[i] = self._whole(_key(x.name, "step"))
            keys = [_key(x.name, role) for role in roles]
            if not counts[i] and not any(key in self._rest for key in keys):
                continue  # it has been frozen all along
            w = plain(x.leaf)
            for role, key, slot in zip(roles, keys, slots, strict=True):
                if role != MASTER or is_half(w):
                    slot[i] = self._array(key, w)
        return slots, counts

    def finish(self) -> None:
        """Raise if anything is left."""
        if self._rest:
            self._misfit(f"`{next(iter(self._rest))}` is not expected")

    def _array(self, key: str, w: Array) -> Array:
        """Take an array, like a parameter, and move it there."""
        array = plain(self._take(key))
        if not hasattr(array, "dtype"):
            self._misfit(f"`{key}` is {type(array).__name__}, not an array")
        if (array.shape, array.dtype) != (w.shape, kept_dtype(w)):
            self._misfit(
                f"`{key}` has shape {array.shape} and {array.dtype}, but the parameter, of shape "
                f"{w.shape} and {w.dtype}, needs {kept_dtype(w)}"
            )
        return beside(array, w)

    def _whole(self, key: str) -> int:
        value = self._take(key)
        if isinstance(value, bool) or not hasattr(value, "__index__") or int(value) < 0:
            self._misfit(f"`{key}` is {value!r}, not a number of steps")
        return int(value)

    def _take(self, key: str) -> Any:
        if key not in self._rest:
            self._misfit(f"`{key}` is missing")
        return self._rest.pop(key)

    def _misfit(self, what: str) -> NoReturn:
        raise ValueError(
            f"{self._optimizer}: the state does not fit these parameters and this optimizer: {what}"
        )


def _key(name: str, role: str) -> str:
    return f"{name}.{role}" if name else role
