"""Leaving the graph on purpose: `stop_gradient` and `no_grad`."""

from __future__ import annotations

import contextlib
from types import TracebackType
from typing import Any

from backpass.core import tree
from backpass.core.graph import pause
from backpass.core.tensor import Tensor


def stop_gradient(x: Any) -> Any:
    """Return a tree in which every Tensor is replaced by an untracked one of the same value.

    Examples
    --------
    >>> from backpass.core import grad, stop_gradient
    >>> grad(lambda x: x * stop_gradient(x))(3.0)
    np.float64(3.0)
    """
    if isinstance(x, Tensor):
        return Tensor(x.value)
    return tree.map(lambda t: Tensor(t.value) if isinstance(t, Tensor) else t, x)


class no_grad(contextlib.ContextDecorator):
    """Record nothing in this thread: a context manager, and a decorator.

    A transformation that is called inside records for itself.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import no_grad
    >>> w = np.array(2.0).requires_grad_()
    >>> with no_grad():
    ...     y = w * w
    >>> y.tracked
    False
    """

    def __enter__(self) -> no_grad:
        pause(1)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pause(-1)
