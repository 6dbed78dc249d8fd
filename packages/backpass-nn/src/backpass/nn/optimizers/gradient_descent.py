"""Stochastic gradient descent, plain and with momentum."""

from collections.abc import Callable, Sequence
from typing import Any

import backpass.numpy as np
from backpass.core.primitive import Primitive
from backpass.nn.optimizers.hyperparameters import amount, flag, number
from backpass.nn.optimizers.optimizer import Optimizer, Options
from backpass.nn.optimizers.steps import Array, LearningRate, Length, Tree, leaves, stepper
from backpass.nn.optimizers.updates import momentum_update, sgd_update, velocity_update


def sgd(weights: Tree, learning_rate: LearningRate) -> Callable[[], None]:
    """Return a function that takes a step of plain gradient descent.

    Each call of it subtracts ``learning_rate * w.grad`` from every Tensor w of a tree, and then
    clears its gradient.

    Parameters
    ----------
    weights : tree of Tensors
        A Tensor, or lists, tuples, dicts and dataclasses of them, of any float or complex dtypes,
        which they keep. The Tensors are looked up once, here, and one that occurs twice is updated
        once. Those whose ``.grad`` is `None` when a step is taken, because no gradient has reached
        them, are left as they are.
    learning_rate : float, callable or Tensor
        The length of a step, finite and not negative; or a schedule, a function that is given the
        number of the step, from 0, and returns its length; or a Tensor of shape (), beside the
        weights or on the CPU, whose value at each step counts: write into it, ``rate[...] = 0.01``.

    Returns
    -------
    callable
        Called without arguments, after each gradient.

    Raises
    ------
    TypeError
        If a leaf of `weights` is not a Tensor, or does not hold floats or complex numbers.
    ValueError
        If `weights` holds no Tensor or `learning_rate` is out of range; and, from the function
        returned, if a gradient has another shape than its Tensor. Then nothing has been changed.
    RuntimeError
        From the function returned, while a CUDA graph is captured, if `learning_rate` is a schedule
        or lies on the CPU: the graph would keep the length of this step. A Tensor of shape () on
        the GPU is read by each launch; it is not checked again.

    Notes
    -----
    H. Robbins and S. Monro, "A stochastic approximation method", Annals of Mathematical Statistics
    22 (3), 1951, pp. 400-407.

    Complex weights move along the conjugate of their gradient, the direction of steepest descent.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import grad
    >>> w = np.array([3.0, 4.0])
    >>> run = sgd([w], learning_rate=0.25)
    >>> gradient = grad(lambda w: np.sum(w * w))(w)
    >>> run()
    >>> w.value
    array([1.5, 2. ])
    """

    def update(
        reached: Sequence[int], arrays: Sequence[Array], gradients: Sequence[Array], length: Length
    ) -> None:
        sgd_update.run([*arrays, *gradients], {"learning_rate": length})

    return stepper("sgd", leaves("sgd", weights), learning_rate, update)


def sgd_momentum(
    weights: Tree, learning_rate: LearningRate, beta: float = 0.9
) -> Callable[[], None]:
    """Return a function that takes a step of gradient descent with momentum.

    For every Tensor w of a tree a velocity v is kept, zero at first. Each call sets
    ``v = beta * v + (1 - beta) * w.grad``, an exponentially weighted running mean of the gradients,
    subtracts ``learning_rate * v`` from w, and then clears the gradient. Steps are thereby about as
    long as those of `sgd` with the same learning rate, not ``1 / (1 - beta)`` times as long as
    where the gradients are summed up.

    Parameters
    ----------
    weights : tree of Tensors
        As in `sgd`. The velocity of a Tensor that no gradient has reached does not change, either.
    learning_rate : float, callable or Tensor
        As in `sgd`.
    beta : float
        How much of the velocity each step keeps: at least 0 and less than 1. The mean reaches back
        over about ``1 / (1 - beta)`` steps.

    Returns
    -------
    callable
        Called without arguments, after each gradient.

    Raises
    ------
    TypeError, ValueError, RuntimeError
        As in `sgd`, and if `beta` is out of range.

    Notes
    -----
    B. T. Polyak, "Some methods of speeding up the convergence of iteration methods", USSR
    Computational Mathematics and Mathematical Physics 4 (5), 1964, pp. 1-17.

    A gradient that is not finite stays in its velocity: go on with a new optimizer then.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import grad
    >>> w = np.array([3.0, 4.0])
    >>> run = sgd_momentum([w], learning_rate=0.25, beta=0.5)
    >>> for _ in range(2):
    ...     gradient = grad(lambda w: np.sum(w * w))(w)
    ...     run()
    >>> w.value
    array([1.3125, 1.75  ])
    """
    if not 0 <= beta < 1:
        raise ValueError(
            f"sgd_momentum: `beta` is {beta}, but it must be at least 0 and less than 1; "
            "0.9 is usual"
        )
    momentum = float(beta)
    named = leaves("sgd_momentum", weights)
    velocities = [np.zeros_like(w).writable() for w in named.values()]

    def update(
        reached: Sequence[int], arrays: Sequence[Array], gradients: Sequence[Array], length: Length
    ) -> None:
        kept = velocities if len(reached) == len(velocities) else [velocities[i] for i in reached]
        momentum_update.run(
            [*arrays, *kept, *gradients], {"learning_rate": length, "momentum": momentum}
        )

    return stepper("sgd_momentum", named, learning_rate, update)


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum and weight decay if wanted.

    Of each parameter a velocity v is kept if there is momentum. It begins with the first gradient,
    and each later step makes it ``momentum * v + (1 - dampening) * g``. A step is
    ``learning_rate * v``. Gradients are thus summed up, as in PyTorch, so that steps are up to
    ``1 / (1 - momentum)`` times as long as those of `sgd_momentum`, which takes their mean.

    Parameters
    ----------
    params : tree, optional
        The parameters, or groups of them, to be moved in place; see `Optimizer`.
    learning_rate : float, callable or Tensor
        The length of a step, as in `sgd`.
    momentum : float
        How much of the velocity each step keeps: at least 0, less than 1.
    dampening : float
        By how much less than whole a gradient is added to the velocity: from 0 to 1.
    weight_decay : float
        ``weight_decay * w`` is added to the gradient.
    nesterov : bool
        Whether the step is ``learning_rate * (g + momentum * v)``; only with momentum, and without
        dampening.

    Raises
    ------
    TypeError, ValueError
        If a parameter, a group or a hyperparameter is of the wrong kind or out of range.

    Notes
    -----
    I. Sutskever, J. Martens, G. Dahl and G. Hinton, "On the importance of initialization and
    momentum in deep learning", ICML 2013.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import grad
    >>> w = np.array([3.0, 4.0])
    >>> optimizer = SGD([w], learning_rate=0.25, momentum=0.5)
    >>> for _ in range(2):
    ...     gradient = grad(lambda w: np.sum(w * w))(w)
    ...     optimizer.step()
    ...     optimizer.zero_grad()
    >>> w.value
    array([0., 0.])
    """

    def __init__(
        self,
        params: Tree = None,
        learning_rate: LearningRate = 1e-3,
        *,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        options = {
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
        }
        super().__init__(params, learning_rate, options)

    def _checked(self, options: Options) -> Options:
        name = self._name
        made = {
            "momentum": number(name, "momentum", options["momentum"]),
            "dampening": amount(name, "dampening", options["dampening"]),
            "weight_decay": amount(name, "weight_decay", options["weight_decay"]),
            "nesterov": flag(name, "nesterov", options["nesterov"]),
        }
        if made["dampening"] > 1:
            raise ValueError(
                f"{name}: `dampening` is {made['dampening']}, but it must be at most 1"
            )
        if made["nesterov"] and (not made["momentum"] or made["dampening"]):
            raise ValueError(f"{name}: `nesterov` needs `momentum`, and no `dampening`")
        return made

    def _roles(self, options: Options) -> tuple[str, ...]:
        return ("velocity",) if options["momentum"] else ()

    def _primitive(self, options: Options) -> Primitive:
        return velocity_update if options["momentum"] else sgd_update

    def _stage(self, options: Options, count: int) -> int:
        return min(count, 1) if options["momentum"] and options["dampening"] else 0

    def _keywords(self, options: Options, length: Length, stage: Any) -> Options:
        if not options["momentum"]:
            decay = options["weight_decay"]
            return {"learning_rate": length, **({"weight_decay": decay} if decay else {})}
        # The velocity, 0 at first, takes the first gradient whole.
        return {
            "learning_rate": length,
            **options,
            "dampening": options["dampening"] if stage else 0.0,
        }
