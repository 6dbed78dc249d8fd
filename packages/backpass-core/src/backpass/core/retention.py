"""What a checkpointed function computes and keeps, and its return when the function runs again.

A policy says of each operation whether its output is kept.  The kernels are then called in the same
order by both runs, so an operation is known by its number: that of a kept one is not called again.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy

from backpass.core.backends import Backend, backend_of
from backpass.core.checkpoint_policies import OFFLOAD, RECOMPUTE, Policy
from backpass.core.devices import move
from backpass.core.interception import Kernel
from backpass.core.naming import named
from backpass.core.values import describe


class _Offloaded:
    """An array of a device that waits in the host's memory."""

    __slots__ = ("backend", "device", "host")

    def __init__(self, value: Any, backend: Backend) -> None:
        self.backend = backend
        self.device = getattr(value, "device", None)
        self.host = backend.to_host(value)

    def back(self) -> Any:
        """Return the array, on its device."""
        return move(self.host, self.backend, self.device)


class Kept:
    """The outputs of one run that are not to be computed again.

    Attributes
    ----------
    operations
        The primitives that ran, in order.
    shapes
        Of the operands of each operation whose output is kept, by its number.
    values
        Those outputs.
    """

    __slots__ = ("operations", "shapes", "values")

    def __init__(self) -> None:
        self.operations: list[Any] = []
        self.shapes: dict[int, tuple[Any, ...]] = {}
        self.values: dict[int, Any] = {}


class _Before:
    """What stands before the kernels of one run.

    What a kernel itself computes by other operations belongs to it: nobody asks about these, nor
    about those of a policy.
    """

    def __init__(self) -> None:
        self._inside = False

    def __call__(self, primitive: Any, kernel: Kernel) -> Kernel:
        """Return what is called in the kernel's place."""
        return kernel if self._inside else functools.partial(self._run, primitive, kernel)

    def _run(self, primitive: Any, kernel: Kernel, *values: Any, **kwargs: Any) -> Any:
        raise NotImplementedError

    def _computed(
        self, primitive: Any, kernel: Kernel, values: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """Call a kernel, or what computes where it declines."""
        with self._unasked():
            ans = kernel(*values, **kwargs)
            if ans is NotImplemented:
                ans = primitive.reference(backend_of(values))(*values, **kwargs)
            return ans

    @contextlib.contextmanager
    def _unasked(self) -> Iterator[None]:
        self._inside = True
        try:
            yield
        finally:
            self._inside = False


class Keeper(_Before):
    """Stands before the kernels of a function's first run, and keeps what its policy wants."""

    def __init__(self, policy: Policy) -> None:
        super().__init__()
        self.policy = policy
        self.kept = Kept()
        #: The last operation's operands and output; it may turn out to be one with a name.
        self._last: tuple[Sequence[Any], Any] = ((), None)

    def _run(self, primitive: Any, kernel: Kernel, *values: Any, **kwargs: Any) -> Any:
        ans = self._computed(primitive, kernel, values, kwargs)
        with self._unasked():
            verdict = self.policy(primitive, *values, **kwargs)
        operations = self.kept.operations
        number = len(operations)
        operations.append(primitive)
        # What has a name is kept, or not, as the output of the operation that has made it, too.
        has_name = primitive is named and self._last[1] is values[0]
        if verdict is RECOMPUTE:
            if has_name:
                self.kept.values.pop(number - 1, None)
        elif not isinstance(verdict, bool | numpy.bool_) and verdict is not OFFLOAD:
            raise TypeError(
                f"the policy of a checkpoint returned {verdict!r} for {primitive.name}: it must "
                "return True, False or checkpoint_policies.OFFLOAD"
            )
        elif verdict:
            value = _offloaded(ans) if verdict is OFFLOAD else ans
            self._keep(number, values, value)
            if has_name:
                self._keep(number - 1, self._last[0], value)
        self._last = values, ans
        return ans

    def _keep(self, number: int, values: Sequence[Any], value: Any) -> None:
        self.kept.shapes[number] = _shapes(values)
        self.kept.values[number] = value


class Giver(_Before):
    """Stands before the kernels of a function's second run, and gives what is kept."""

    def __init__(self, name: str, kept: Kept) -> None:
        super().__init__()
        self.name = name
        self.kept = kept
        self._number = 0
        #: What has come back from the host, for the name that it bears.
        self._returned: tuple[Any, Any] = (None, None)

    def _run(self, primitive: Any, kernel: Kernel, *values: Any, **kwargs: Any) -> Any:
        kept, number = self.kept, self._number
        same = number < len(kept.operations) and kept.operations[number] is primitive
        if same and number in kept.values and kept.shapes[number] == _shapes(values):
            ans = self._back(kept.values[number])
        else:
            # An operation that raises has no number: the function may have caught it.
            ans = self._computed(primitive, kernel, values, kwargs)
            if not same or number in kept.values:
                raise RuntimeError(self._difference(primitive, values))
        self._number += 1
        return ans

    def _back(self, value: Any) -> Any:
        if type(value) is tuple:
            return tuple([self._back(part) for part in value])
        if type(value) is not _Offloaded:
            return value
        if self._returned[0] is not value:
            self._returned = value, value.back()
        return self._returned[1]

    def end(self) -> None:
        """Raise if the function has done less than the first time."""
        if self._number < len(self.kept.operations):
            raise RuntimeError(self._difference(None, ()))

    def _difference(self, primitive: Any, values: Sequence[Any]) -> str:
        number, operations = self._number, self.kept.operations
        before = "no more" if number >= len(operations) else operations[number].name
        if number in self.kept.shapes:
            before += f" of shapes {', '.join(str(shape) for shape, _ in self.kept.shapes[number])}"
        now = "no more" if primitive is None else primitive.name
        if values:
            now += f" of operands {', '.join(describe(x) for x in values)}"
        return (
            f"{self.name}, a checkpointed function with a policy, did something else when it was "
            f"run again: operation {number + 1} was {before}, and is now {now}. Both runs must do "
            "the same: let nothing but the arguments decide what is computed"
        )


def _shapes(values: Sequence[Any]) -> tuple[Any, ...]:
    return tuple([(numpy.shape(x), getattr(x, "dtype", type(x))) for x in values])


def _offloaded(ans: Any) -> Any:
    """Return an output as it waits in the host's memory; what is there stays as it is."""
    if type(ans) is tuple or type(ans) is list:
        return tuple([_offloaded(part) for part in ans])
    backend = backend_of((ans,))
    return ans if backend.device == "cpu" else _Offloaded(ans, backend)
