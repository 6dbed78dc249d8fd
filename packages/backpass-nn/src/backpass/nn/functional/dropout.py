"""Dropout, with a mask that is a function of a key: it is computed again instead of being kept.

References
----------
N. Srivastava et al.: Dropout: a simple way to prevent neural networks from overfitting, JMLR 2014.
J. Tompson et al.: Efficient object localization using convolutional networks, CVPR 2015 (whole
channels).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy

from backpass.core import Tensor
from backpass.core.backends import made_beside
from backpass.core.batches import batched
from backpass.core.dtypes import kind_of
from backpass.core.extend import linear, primitive
from backpass.core.ops.elementwise import zero_multiply
from backpass.core.ops.shaping import as_operand
from backpass.core.values import located, plain
from backpass.nn import random
from backpass.nn.functional.philox import bernoulli


def kept(xp: Any, shape: tuple[int, ...], rate: float, key: Any) -> Any:
    """Return the mask of what dropout keeps."""
    return bernoulli(xp, math.prod(shape), rate, key).reshape(shape)


def kept_scale(rate: float) -> float:
    """Return by what dropout multiplies the elements that it keeps."""
    return 1 / (1 - rate) if rate < 1 else 0.0


@primitive(name="dropout")
def dropout_(xp: Any, x: Any, *, rate: float, key: Any, axes: int) -> Any:
    """Set elements to 0, all at once that differ after the first `axes` axes; scale the others."""
    shape = (*x.shape[:axes], *(1 for _ in x.shape[axes:]))
    scaled = x * kept_scale(rate)
    return xp.where(kept(xp, shape, rate, key), scaled, xp.zeros((), scaled.dtype))


linear(dropout_, lambda g, *, rate, key, axes: dropout_.op(g, rate=rate, key=key, axes=axes))


def _same_elements(f: Any, xs: Sequence[Any], kwargs: Any) -> Any:
    """Drop the same elements of all: the key tells which for the shape of one."""
    (g,) = xs
    ones = made_beside((located(g),), lambda xp: xp.ones(g.shape, g.dtype))
    return zero_multiply.op(f.op(ones, **kwargs), g)


batched(_same_elements, dropout_)


def check_rate(name: str, rate: Any, parameter: str = "rate") -> float:
    """Return a probability, or raise."""
    if not 0 <= rate <= 1:
        raise ValueError(f"{name}: {parameter} is {rate}, expected a probability from 0 to 1")
    return float(rate)


def read_key(name: str, key: Any, like: Any) -> Any:
    """Return a key as two integers, or as a copy of the array that it is; `None` draws one.

    Of an array it has to be a copy: the backward pass reads it, when the caller may have counted
    on.
    """
    if key is None:
        return random.next_key()
    key = plain(key)
    if hasattr(key, "dtype"):
        if key.dtype.kind not in "iu" or tuple(key.shape) != (2,):
            raise TypeError(
                f"{name}: key is an array of shape {tuple(key.shape)}, {key.dtype}, expected two "
                "integers: seed and counter"
            )
        return made_beside((like, key), lambda xp: xp.array(key))
    integers = int | numpy.integer
    if not isinstance(key, tuple | list) or [isinstance(k, integers) for k in key] != [True] * 2:
        raise TypeError(f"{name}: key is {key!r}, expected two integers: (seed, counter)")
    return int(key[0]), int(key[1])


def _drop(
    name: str, x: Any, rate: float, training: bool, key: Any, axes: int | None = None
) -> Tensor:
    x = as_operand(x)
    rate = check_rate(name, rate)
    if kind_of(x.dtype) not in "fc":
        raise TypeError(f"{name}: x must hold floats, not {x.dtype}: use x.astype('float32')")
    if not training or rate == 0:
        return x if isinstance(x, Tensor) else Tensor(x)
    whole = len(x.shape) if axes is None else axes
    return dropout_(x, rate=rate, key=read_key(name, key, plain(x)), axes=whole)  # type: ignore[no-any-return]


def dropout(x: Any, rate: float = 0.5, training: bool = True, *, key: Any = None) -> Tensor:
    """Set each element to 0 with probability `rate`, and divide the others by `1 - rate`.

    Parameters
    ----------
    x : array of floats
        Of any shape.
    rate : float
        The probability, from 0 to 1.
    training : bool
        Whether anything is dropped; otherwise `x` is returned.
    key : (int, int) or array of two integers, optional
        Seed and counter, from which the mask follows: the same key gives the same mask on every
        device.  By default the next key of `backpass.nn.random`.

    Returns
    -------
    Tensor
        Of the shape and dtype of `x`.  What is dropped is 0, even if it was infinite or nan.

    Raises
    ------
    ValueError
        If `rate` is no probability.
    TypeError
        If `x` does not hold floats, or `key` is no key.

    References
    ----------
    N. Srivastava et al.: Dropout: a simple way to prevent neural networks from overfitting, JMLR
    2014.  The random bits are those of Philox4x32-10, see `backpass.nn.functional.philox`.

    Examples
    --------
    >>> import numpy
    >>> import backpass.nn.functional as F
    >>> F.dropout(numpy.ones(6), 0.5, key=(0, 0))
    Tensor([0., 2., 2., 0., 2., 2.])
    """
    return _drop("dropout", x, rate, training, key)


def dropout1d(x: Any, rate: float = 0.5, training: bool = True, *, key: Any = None) -> Tensor:
    """Set whole channels of shape (n, channels, length) to 0: see `dropout`.

    Raises
    ------
    ValueError
        If `x` does not have three axes, or `rate` is no probability.
    TypeError
        If `x` does not hold floats, or `key` is no key.

    Examples
    --------
    >>> import numpy
    >>> import backpass.nn.functional as F
    >>> F.dropout1d(numpy.ones((1, 3, 2)), 0.5, key=(0, 1)).shape
    (1, 3, 2)
    """
    return _drop_channels("dropout1d", x, rate, training, key, "(n, channels, length)")


def dropout2d(x: Any, rate: float = 0.5, training: bool = True, *, key: Any = None) -> Tensor:
    """Set whole channels of shape (n, channels, height, width) to 0: see `dropout`.

    Raises
    ------
    ValueError
        If `x` does not have four axes, or `rate` is no probability.
    TypeError
        If `x` does not hold floats, or `key` is no key.

    Examples
    --------
    >>> import numpy
    >>> import backpass.nn.functional as F
    >>> F.dropout2d(numpy.ones((1, 3, 2, 2)), 0.5, key=(0, 1)).shape
    (1, 3, 2, 2)
    """
    return _drop_channels("dropout2d", x, rate, training, key, "(n, channels, height, width)")


def _drop_channels(
    name: str, x: Any, rate: float, training: bool, key: Any, expected: str
) -> Tensor:
    x = as_operand(x)
    if len(x.shape) != expected.count(",") + 1:
        raise ValueError(f"{name}: x has shape {tuple(x.shape)}, expected {expected}")
    return _drop(name, x, rate, training, key, axes=2)


__all__ = ["dropout", "dropout1d", "dropout2d"]
