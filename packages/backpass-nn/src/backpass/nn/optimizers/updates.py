"""The arithmetic of the optimizers: primitives that change their operands in place.

Each updates all the weights of a network in one call. What stands here is the definition; a backend
that has a kernel of the same name computes it in a single pass over the data instead.
"""

from types import ModuleType
from typing import Any

from backpass.core.extend import nondifferentiable, primitive

Array = Any  # numpy.ndarray or cupy.ndarray
Number = Any  # a Python float, or an array of shape ()


@primitive
def sgd_update(xp: ModuleType, *arrays: Array, learning_rate: Number) -> None:
    """Subtract `learning_rate` times each gradient from its weight, in place.

    Parameters
    ----------
    *arrays : array
        First all weights, then as many gradients, of the same shapes.
    learning_rate : float or array
        The length of the step; an array of shape () beside the weights is read when the step is
        computed, and so anew whenever a captured graph runs it again.
    """
    n = len(arrays) // 2
    for w, g in zip(arrays[:n], arrays[n:], strict=True):
        w -= learning_rate * g


@primitive
def momentum_update(
    xp: ModuleType, *arrays: Array, learning_rate: Number, momentum: Number
) -> None:
    """Take a step along the running mean of each weight's gradients, in place.

    Each velocity v becomes ``momentum * v + (1 - momentum) * g``, and ``learning_rate * v`` is
    subtracted from its weight.

    Parameters
    ----------
    *arrays : array
        First all weights, then as many velocities, then as many gradients, of the same shapes.
    learning_rate : float or array
        The length of the step, as in `sgd_update`.
    momentum : float or array
        How much of the velocity is kept, from 0 to 1.
    """
    n = len(arrays) // 3
    for w, v, g in zip(arrays[:n], arrays[n : 2 * n], arrays[2 * n :], strict=True):
        v *= momentum
        v += (1 - momentum) * g
        w -= learning_rate * v


nondifferentiable(sgd_update, momentum_update)
