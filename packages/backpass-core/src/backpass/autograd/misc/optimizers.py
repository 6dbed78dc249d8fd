"""Gradient descent in three forms, for parameters in any nesting of containers.

`grad(params, i)` returns the gradient at iteration i; `callback(params, i, gradient)`, if given, is
called before each step.  The steps are differentiable, so that hyperparameters can be learnt.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from backpass.autograd.misc.flatten import flatten
from backpass.autograd.wrap_util import wraps
from backpass.core.ops.elementwise import sqrt

Function = Callable[..., Any]


def unflatten_optimizer(optimize: Function) -> Function:
    """Make an optimizer of parameters in containers of one of vectors.

    Examples
    --------
    >>> @unflatten_optimizer
    ... def one_step(grad, x, callback=None):
    ...     return x - grad(x, 0)
    >>> one_step(lambda p, i: {"w": 2 * p["w"]}, {"w": 1.5})
    {'w': np.float64(-1.5)}
    """

    @wraps(optimize)
    def optimizer(
        grad: Function, x0: Any, callback: Function | None = None, *args: Any, **kwargs: Any
    ) -> Any:
        vector, unflatten = flatten(x0)

        def flat_grad(x: Any, i: int) -> Any:
            return flatten(grad(unflatten(x), i))[0]

        def flat_callback(x: Any, i: int, g: Any) -> None:
            if callback is not None:
                callback(unflatten(x), i, unflatten(g))

        told = None if callback is None else flat_callback
        return unflatten(optimize(flat_grad, vector, told, *args, **kwargs))

    return optimizer


@unflatten_optimizer
def sgd(
    grad: Function,
    x: Any,
    callback: Function | None = None,
    num_iters: int = 200,
    step_size: Any = 0.1,
    mass: Any = 0.9,
) -> Any:
    """Stochastic gradient descent with momentum: the velocity is a moving average of -gradient."""
    velocity: Any = numpy.zeros(len(x))
    for i in range(num_iters):
        g = grad(x, i)
        if callback is not None:
            callback(x, i, g)
        velocity = mass * velocity - (1.0 - mass) * g
        x = x + step_size * velocity
    return x


@unflatten_optimizer
def rmsprop(
    grad: Function,
    x: Any,
    callback: Function | None = None,
    num_iters: int = 100,
    step_size: Any = 0.1,
    gamma: Any = 0.9,
    eps: float = 1e-8,
) -> Any:
    """Descent with each step divided by a moving root mean square of the gradient.

    Source: T. Tieleman, G. Hinton, "Lecture 6.5 - rmsprop", Neural Networks for Machine Learning
    (2012).
    """
    mean_square: Any = numpy.ones(len(x))
    for i in range(num_iters):
        g = grad(x, i)
        if callback is not None:
            callback(x, i, g)
        mean_square = gamma * mean_square + (1 - gamma) * g**2
        x = x - step_size * g / (sqrt.op(mean_square) + eps)
    return x


@unflatten_optimizer
def adam(
    grad: Function,
    x: Any,
    callback: Function | None = None,
    num_iters: int = 100,
    step_size: Any = 0.001,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
) -> Any:
    """Descent along a moving average of the gradient, divided by one of its root mean square.

    Source: D. P. Kingma, J. Ba, "Adam: A Method for Stochastic Optimization", ICLR (2015).
    """
    mean: Any = numpy.zeros(len(x))
    mean_square: Any = numpy.zeros(len(x))
    for i in range(num_iters):
        g = grad(x, i)
        if callback is not None:
            callback(x, i, g)
        mean = b1 * mean + (1 - b1) * g
        mean_square = b2 * mean_square + (1 - b2) * g**2
        # Both begin at 0: the divisors undo that.
        along = mean / (1 - b1 ** (i + 1))
        scale = sqrt.op(mean_square / (1 - b2 ** (i + 1)))
        x = x - step_size * along / (scale + eps)
    return x


__all__ = ["adam", "rmsprop", "sgd", "unflatten_optimizer"]
