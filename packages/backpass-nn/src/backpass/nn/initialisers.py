"""Initial weights: functions from a shape to an array, drawn from `backpass.nn.random`.

A weight's first axis is its outputs, its second its inputs, and the others are those of a kernel:
`fan_in` and `fan_out` are how many inputs a unit has, and how many outputs an input reaches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy
import numpy.typing as npt

from backpass.nn import random

Shape = Sequence[int]
Array = npt.NDArray[Any]
#: What layers take: a function of the shape.
Initialiser = Callable[[Shape], Array]

#: What an activation makes of the standard deviation: PyTorch's and Glorot's numbers.
_GAINS = {
    "linear": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 0.75,
}


def gain(activation: str, negative_slope: float = 0.01) -> float:
    """Return the factor by which weights before an activation are made larger.

    Parameters
    ----------
    activation : str
        ``"linear"``, ``"sigmoid"``, ``"tanh"``, ``"relu"``, ``"leaky_relu"`` or ``"selu"``.
    negative_slope : float
        Of the leaky ReLU.

    Raises
    ------
    ValueError
        If there is no such activation.

    Examples
    --------
    >>> gain("relu")
    1.4142135623730951
    """
    if activation == "leaky_relu":
        return math.sqrt(2 / (1 + negative_slope**2))
    if activation not in _GAINS:
        known = ", ".join(sorted([*_GAINS, "leaky_relu"]))
        raise ValueError(f"gain: `activation` is {activation!r}, but it must be one of {known}")
    return _GAINS[activation]


def fans(shape: Shape) -> tuple[int, int]:
    """Return `fan_in` and `fan_out` of a weight.

    Raises
    ------
    ValueError
        If the shape has fewer than two axes.

    Examples
    --------
    >>> fans((64, 32, 5, 5))
    (800, 1600)
    """
    if len(shape) < 2:
        raise ValueError(
            f"a weight of shape {tuple(shape)} has no inputs and outputs: this initialiser needs "
            "two axes or more; use zeros, normal or uniform"
        )
    kernel = math.prod(shape[2:])
    return shape[1] * kernel, shape[0] * kernel


def zeros(shape: Shape, dtype: npt.DTypeLike = numpy.float32) -> Array:
    """Return zeros."""
    return numpy.zeros(shape, dtype)


def ones(shape: Shape, dtype: npt.DTypeLike = numpy.float32) -> Array:
    """Return ones."""
    return numpy.ones(shape, dtype)


def constant(shape: Shape, value: float, dtype: npt.DTypeLike = numpy.float32) -> Array:
    """Return one number everywhere."""
    return numpy.full(shape, value, dtype)


def uniform(
    shape: Shape, low: float = 0.0, high: float = 1.0, dtype: npt.DTypeLike = numpy.float32
) -> Array:
    """Return numbers drawn evenly from [low, high)."""
    return random.generator().uniform(low, high, shape).astype(dtype)


def normal(
    shape: Shape, mean: float = 0.0, std: float = 1.0, dtype: npt.DTypeLike = numpy.float32
) -> Array:
    """Return numbers drawn from a normal distribution."""
    return random.generator().normal(mean, std, shape).astype(dtype)


def truncated_normal(
    shape: Shape, mean: float = 0.0, std: float = 1.0, dtype: npt.DTypeLike = numpy.float32
) -> Array:
    """Return numbers from a normal distribution, those beyond two deviations drawn anew."""
    made = random.generator().standard_normal(shape)
    while (far := abs(made) > 2).any():
        made[far] = random.generator().standard_normal(int(far.sum()))
    return (mean + std * made).astype(dtype)


def xavier_uniform(shape: Shape, gain: float = 1.0, dtype: npt.DTypeLike = numpy.float32) -> Array:
    """Return numbers of variance ``2 * gain**2 / (fan_in + fan_out)``, drawn evenly.

    X. Glorot and Y. Bengio, "Understanding the difficulty of training deep feedforward neural
    networks", AISTATS 2010, eq. 16.
    """
    bound = gain * math.sqrt(6 / max(1, sum(fans(shape))))
    return uniform(shape, -bound, bound, dtype)


def xavier_normal(shape: Shape, gain: float = 1.0, dtype: npt.DTypeLike = numpy.float32) -> Array:
    """Return numbers of variance ``2 * gain**2 / (fan_in + fan_out)`` from a normal distribution.

    As `xavier_uniform`.
    """
    return normal(shape, 0.0, gain * math.sqrt(2 / max(1, sum(fans(shape)))), dtype)


def kaiming_uniform(
    shape: Shape, gain: float = math.sqrt(2), dtype: npt.DTypeLike = numpy.float32
) -> Array:
    """Return numbers of variance ``gain**2 / fan_in``, drawn evenly.

    K. He, X. Zhang, S. Ren and J. Sun, "Delving deep into rectifiers", ICCV 2015, eq. 10.

    Examples
    --------
    >>> w = kaiming_uniform((50, 24))
    >>> w.dtype, bool(abs(w).max() <= 0.5)
    (dtype('float32'), True)
    """
    bound = gain * math.sqrt(3 / max(1, fans(shape)[0]))
    return uniform(shape, -bound, bound, dtype)


def kaiming_normal(
    shape: Shape, gain: float = math.sqrt(2), dtype: npt.DTypeLike = numpy.float32
) -> Array:
    """Return numbers of variance ``gain**2 / fan_in`` from a normal distribution.

    As `kaiming_uniform`.
    """
    return normal(shape, 0.0, gain / math.sqrt(max(1, fans(shape)[0])), dtype)


def orthogonal(shape: Shape, gain: float = 1.0, dtype: npt.DTypeLike = numpy.float32) -> Array:
    """Return `gain` times a matrix whose rows, or columns if these are fewer, are orthonormal.

    The axes after the first count as one. The matrix is uniformly distributed (F. Mezzadri, "How to
    generate random matrices from the classical compact groups", Notices of the AMS 54, 2007).
    A. M. Saxe, J. L. McClelland and S. Ganguli, "Exact solutions to the nonlinear dynamics of
    learning in deep linear neural networks", ICLR 2014.

    Examples
    --------
    >>> w = orthogonal((2, 5), dtype="float64")
    >>> abs(w @ w.T - numpy.eye(2)).max() < 1e-12
    np.True_
    """
    fans(shape)  # raises if there are no columns
    rows, columns = shape[0], math.prod(shape[1:])
    made = random.generator().standard_normal((max(rows, columns), min(rows, columns)))
    q, r = numpy.linalg.qr(made)
    q *= numpy.sign(numpy.diagonal(r))
    return (gain * (q if rows >= columns else q.T)).reshape(shape).astype(dtype)


def fan_in_uniform(shape: Shape, fan_in: int, dtype: npt.DTypeLike = numpy.float32) -> Array:
    """Return numbers drawn evenly from within ``1 / sqrt(fan_in)`` of zero: the layers' default.

    Y. LeCun, L. Bottou, G. Orr and K.-R. Müller, "Efficient BackProp", 1998, section 4.6; the
    bound is PyTorch's.
    """
    bound = 1 / math.sqrt(max(1, fan_in))
    return uniform(shape, -bound, bound, dtype)


__all__ = [
    "Initialiser",
    "constant",
    "fan_in_uniform",
    "fans",
    "gain",
    "kaiming_normal",
    "kaiming_uniform",
    "normal",
    "ones",
    "orthogonal",
    "truncated_normal",
    "uniform",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]
