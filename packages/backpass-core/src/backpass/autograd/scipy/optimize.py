"""Roots, minima and fits, differentiable: plain arrays for plain arrays.

HIPS autograd has nothing like it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import backpass.scipy.optimize as _differentiable
from backpass.autograd.plain import plainly as _plainly
from backpass.autograd.plain import settled as _settled


def _result(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function whose result holds Tensors only where they are tracked."""

    @functools.wraps(function)
    def made(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        for name in ("x", "fun", "cost", "root"):
            if name in result:
                result[name] = _settled(result[name])
        return result

    return made


curve_fit = _plainly(_differentiable.curve_fit)
least_squares = _result(_differentiable.least_squares)
minimize = _result(_differentiable.minimize)
minimize_scalar = _result(_differentiable.minimize_scalar)
root = _result(_differentiable.root)
root_scalar = _result(_differentiable.root_scalar)

__all__ = [
    "curve_fit",
    "least_squares",
    "minimize",
    "minimize_scalar",
    "root",
    "root_scalar",
]
