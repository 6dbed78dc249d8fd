"""Lion: steps of one length, along the sign of a running mean."""

from typing import Any

from backpass.core.primitive import Primitive
from backpass.nn.optimizers.hyperparameters import amount, pair
from backpass.nn.optimizers.optimizer import Optimizer, Options
from backpass.nn.optimizers.steps import LearningRate, Length, Tree
from backpass.nn.optimizers.updates import lion_update


class Lion(Optimizer):
    """Lion: every element moves by the learning rate, up or down.

    Of each parameter a running mean m of the gradients is kept. An element moves against the sign
    of ``beta1 * m + (1 - beta1) * g``; then m becomes ``beta2 * m + (1 - beta2) * g``. The learning
    rate is usually a third to a tenth of Adam's, and the weight decay as many times larger.

    Parameters
    ----------
    params : tree, optional
        The parameters, or groups of them, to be moved in place; see `Optimizer`.
    learning_rate : float, callable or Tensor
        By how much each element moves, as in `sgd`.
    betas : tuple of two floats
        How much of m counts in a step, and how much of it each step keeps: at least 0, less than 1.
    weight_decay : float
        Each step multiplies the weights by ``1 - learning_rate * weight_decay``.

    Raises
    ------
    TypeError, ValueError
        If a parameter, a group or a hyperparameter is of the wrong kind or out of range.

    Notes
    -----
    X. Chen et al., "Symbolic discovery of optimization algorithms", NeurIPS 2023.

    Of a complex parameter the real and the imaginary part are two parameters.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> w = np.array([3.0, 4.0])
    >>> optimizer = Lion([w], learning_rate=0.5)
    >>> w.grad = np.array([6.0, -8.0]).value
    >>> optimizer.step()
    >>> w.value
    array([2.5, 4.5])
    """

    def __init__(
        self,
        params: Tree = None,
        learning_rate: LearningRate = 1e-4,
        *,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, learning_rate, {"betas": betas, "weight_decay": weight_decay})

    def _checked(self, options: Options) -> Options:
        return {
            "betas": pair(self._name, "betas", options["betas"]),
            "weight_decay": amount(self._name, "weight_decay", options["weight_decay"]),
        }

    def _roles(self, options: Options) -> tuple[str, ...]:
        return ("mean",)

    def _primitive(self, options: Options) -> Primitive:
        return lion_update

    def _keywords(self, options: Options, length: Length, stage: Any) -> Options:
        beta1, beta2 = options["betas"]
        return {
            "learning_rate": length,
            "beta1": beta1,
            "beta2": beta2,
            "weight_decay": options["weight_decay"],
        }
