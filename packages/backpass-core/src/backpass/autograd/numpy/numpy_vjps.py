"""What rules for HIPS autograd are written with: summing a cotangent to its argument's shape.

The engine does so by itself for every rule; these are here for rules that already do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from backpass.core.cotangents import fit_cotangent
from backpass.core.tensor import Tensor
from backpass.core.values import ShapeOnly


def unbroadcast(x: Any, target: Any) -> Any:
    """Sum `x` over the axes along which `target` was broadcast.

    Examples
    --------
    >>> unbroadcast(numpy.ones((2, 3)), numpy.zeros(3))
    array([2., 2., 2.])
    """
    g = x if isinstance(x, Tensor) else numpy.asarray(x)[()]
    return fit_cotangent(g, ShapeOnly(target))


def unbroadcast_f(target: Any, f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return the function `f` of a cotangent, with its result summed to the shape of `target`."""
    return lambda g: unbroadcast(f(g), target)


__all__ = ["unbroadcast", "unbroadcast_f"]
