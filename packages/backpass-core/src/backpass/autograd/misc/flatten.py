"""Containers of numbers and arrays as one vector, and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy

from backpass.autograd.plain import settled
from backpass.core import tree
from backpass.core.operators import operators
from backpass.core.ops.indexing import getitem
from backpass.core.ops.shaping import concatenate_


def flatten(value: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return the numbers in nested lists, tuples and dicts as a vector, and the way back.

    Dicts go by their sorted keys.  Both ways are differentiable.

    Examples
    --------
    >>> vector, unflatten = flatten({"w": numpy.ones((2, 1)), "b": 3.0})
    >>> vector
    array([3., 1., 1.])
    >>> unflatten(2 * vector)
    {'w': array([[2.],
           [2.]]), 'b': np.float64(6.0)}
    """
    found, structure = tree.flatten(value)
    # None stands where there is nothing.
    leaves = [x if x is None or hasattr(x, "dtype") else numpy.asarray(x) for x in found]
    shapes = [None if x is None else tuple(x.shape) for x in leaves]
    flat = [operators.reshape(x, shape=(-1,)) for x in leaves if x is not None]
    vector = settled(concatenate_.op(*flat, axis=0)) if flat else numpy.zeros(0)

    def unflatten(vector: Any) -> Any:
        start = 0
        made: list[Any] = []
        for shape in shapes:
            if shape is None:
                made.append(None)
                continue
            stop = start + math.prod(shape)
            part = getitem.op(vector, index=slice(start, stop))
            made.append(operators.reshape(part, shape=shape))
            start = stop
        return settled(tree.unflatten(structure, made))

    return vector, unflatten


def flatten_func(
    func: Callable[..., Any], example: Any
) -> tuple[Callable[..., Any], Callable[[Any], Any], Any]:
    """Return `func` as a function from vector to vector, the way back, and the example's vector.

    Examples
    --------
    >>> f, unflatten, x = flatten_func(lambda p: [2 * p[0], p[1] ** 2], [1.0, 3.0])
    >>> f(x)
    array([2., 9.])
    """
    vector, unflatten = flatten(example)

    def flat(x: Any, *args: Any) -> Any:
        return flatten(func(unflatten(x), *args))[0]

    return flat, unflatten, vector


__all__ = ["flatten", "flatten_func"]
