"""Standing between operations and their kernels: for a while, and in one thread."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from backpass.core.observing import Observer, enter, leave

Kernel = Callable[..., Any]
#: Called as `around(primitive, kernel)`; returns what is called in the kernel's place.
Around = Callable[[Any, Kernel], Kernel]


class _Interceptor(Observer):
    """Puts something around kernels, and around the observers that were there before."""

    def __init__(self, around: Around) -> None:
        self.around = around

    def compute(
        self, primitive: Any, kernel: Kernel, values: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> Any:
        """Compute an operation, or what stands for it."""
        inside = super().compute
        # A write has no output that something could stand for.
        if getattr(kernel, "in_place", False):
            return inside(primitive, kernel, values, kwargs)

        def whole(*xs: Any, **keywords: Any) -> Any:
            return inside(primitive, kernel, xs, keywords)

        return self.around(primitive, whole)(*values, **kwargs)


@contextlib.contextmanager
def intercepting(around: Around) -> Iterator[None]:
    """Put `around` between this thread's operations and their kernels, outside what is there."""
    enter(_Interceptor(around))
    try:
        yield
    finally:
        leave()
