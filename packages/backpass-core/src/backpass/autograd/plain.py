"""Plain arrays for plain arrays, Tensors for tracked ones: what HIPS autograd's functions give.

The functions of `backpass.numpy` return Tensors whatever they are given.  A program written for
HIPS autograd expects NumPy's own answers wherever nothing is being differentiated: `plainly` makes
such functions, and `settled` does the same for results.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy

from backpass.core import tree
from backpass.core.arity import Binary, Unary
from backpass.core.tensor import Tensor
from backpass.core.values import weak_value

Function = Callable[..., Any]

_CONTAINERS = (list, tuple, dict)


def settled(x: Any) -> Any:
    """Return a tree in which every Tensor that is not tracked is its plain value.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> settled((np.ones(2), 3.0))
    (array([1., 1.]), 3.0)
    """
    if isinstance(x, Tensor):
        return x if x.tracked else x.value
    if x is None or isinstance(x, numpy.ndarray | numpy.generic | float):
        return x
    return tree.map(lambda t: t.value if isinstance(t, Tensor) and not t.tracked else t, x)


def getval(x: Any) -> Any:
    """Return the plain value of a Tensor, or a container of them; anything else as it is.

    A Python float that is being differentiated comes back as one.
    """
    if isinstance(x, Tensor):
        return weak_value(x)
    if isinstance(x, _CONTAINERS) and holds_tensor(x):
        return tree.map(lambda t: weak_value(t) if isinstance(t, Tensor) else t, x)
    return x


def holds_tensor(x: Any) -> bool:
    """Tell whether `x` is a Tensor, or a list, tuple or dict with one in it."""
    if isinstance(x, Tensor):
        return True
    if isinstance(x, dict):
        return any(map(holds_tensor, x.values()))
    return isinstance(x, list | tuple) and any(map(holds_tensor, x))


def _any_tensor(args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    for x in args:
        if isinstance(x, Tensor) or (isinstance(x, _CONTAINERS) and holds_tensor(x)):
            return True
    return bool(kwargs) and any(map(holds_tensor, kwargs.values()))


def plainly(function: Function, plain: Function | None = None) -> Function:
    """Return a function that gives plain arrays for plain arrays, and Tensors for tracked ones.

    Parameters
    ----------
    function
        A function of `backpass.numpy` or `backpass.scipy`.
    plain
        What computes where no argument is a Tensor: NumPy's function, with all of its keywords.
        Without one, `function` computes, and its result is made plain.

    Examples
    --------
    >>> import numpy
    >>> import backpass.numpy as np
    >>> total = plainly(np.sum, numpy.sum)
    >>> total([1.0, 2.0])
    np.float64(3.0)
    """
    made: Function
    # Without a gradient the result is never tracked.
    hot = isinstance(plain, numpy.ufunc) and getattr(function, "kind", "zero") != "zero"
    if hot and isinstance(function, Unary):
        made = _unary(function, plain)
    elif hot and isinstance(function, Binary):
        made = _binary(function, plain)
    elif plain is not None:
        made = _chosen(function, plain)
    else:
        made = _settling(function)
    # A primitive's attributes are its tables: they stay where they are.
    return functools.update_wrapper(made, function, updated=())


def _settling(function: Function) -> Function:
    def made(*args: Any, **kwargs: Any) -> Any:
        return settled(function(*args, **kwargs))

    return made


def _unary(function: Unary, plain: Any) -> Function:
    op = function.op

    def made(x: Any, /, *args: Any, **kwargs: Any) -> Any:
        if not args and not kwargs:
            return op(x)
        chosen = function if _any_tensor((x, *args), kwargs) else plain
        return settled(chosen(x, *args, **kwargs))

    return made


def _binary(function: Binary, plain: Any) -> Function:
    op = function.op

    def made(x: Any, y: Any, /, *args: Any, **kwargs: Any) -> Any:
        if not args and not kwargs:
            return op(x, y)
        chosen = function if _any_tensor((x, y, *args), kwargs) else plain
        return settled(chosen(x, y, *args, **kwargs))

    return made


def _chosen(function: Function, plain: Function) -> Function:
    def made(*args: Any, **kwargs: Any) -> Any:
        if _any_tensor(args, kwargs):
            return settled(function(*args, **kwargs))
        return plain(*args, **kwargs)

    return made


class Brackets:
    """What is called with brackets, `r_` and `c_`: plain arrays for plain arrays.

    Parameters
    ----------
    differentiable, plain
        The objects of `backpass.numpy` and of NumPy.
    """

    def __init__(self, differentiable: Any, plain: Any) -> None:
        self._differentiable = differentiable
        self._plain = plain

    def __getitem__(self, key: Any) -> Any:
        if holds_tensor(key):
            return settled(self._differentiable[key])
        return self._plain[key]

    def __len__(self) -> int:
        return 0
