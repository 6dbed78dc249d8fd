"""Adagrad and RMSprop: gradients over the root of what their squares have added up to."""

from typing import Any

from backpass.core.primitive import Primitive
from backpass.nn.optimizers.hyperparameters import amount, flag, number
from backpass.nn.optimizers.optimizer import Optimizer, Options
from backpass.nn.optimizers.steps import LearningRate, Length, Tree
from backpass.nn.optimizers.updates import adagrad_update, rmsprop_update


class Adagrad(Optimizer):
    """Adagrad: each element's steps become shorter as its squared gradients add up.

    Of each parameter the sum s of its squared gradients is kept. A step is
    ``learning_rate * g / (sqrt(s) + eps)``.

    Parameters
    ----------
    params : tree, optional
        The parameters, or groups of them, to be moved in place; see `Optimizer`.
    learning_rate : float, callable or Tensor
        The length of a step, as in `sgd`.
    learning_rate_decay : float
        The learning rate is divided by ``1 + t * learning_rate_decay`` after t steps.
    weight_decay : float
        ``weight_decay * w`` is added to the gradient.
    initial_accumulator_value : float
        What the sums begin with.
    eps : float
        Keeps the step finite where all gradients have been 0.

    Raises
    ------
    TypeError, ValueError
        If a parameter, a group or a hyperparameter is of the wrong kind or out of range.

    Notes
    -----
    J. Duchi, E. Hazan and Y. Singer, "Adaptive subgradient methods for online learning and
    stochastic optimization", Journal of Machine Learning Research 12, 2011, pp. 2121-2159.

    Of a complex parameter the real and the imaginary part are two parameters, as in PyTorch.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> w = np.array([3.0, 4.0])
    >>> optimizer = Adagrad([w], learning_rate=0.5)
    >>> w.grad = np.array([6.0, 8.0]).value
    >>> optimizer.step()
    >>> w.value
    array([2.5, 3.5])
    """

    def __init__(
        self,
        params: Tree = None,
        learning_rate: LearningRate = 1e-2,
        *,
        learning_rate_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
    ) -> None:
        options = {
            "learning_rate_decay": learning_rate_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
        }
        super().__init__(params, learning_rate, options)

    def _checked(self, options: Options) -> Options:
        return {key: amount(self._name, key, value) for key, value in options.items()}

    def _roles(self, options: Options) -> tuple[str, ...]:
        return ("sum",)

    def _first(self, role: str, options: Options) -> float:
        return options["initial_accumulator_value"]  # type: ignore[no-any-return]

    def _primitive(self, options: Options) -> Primitive:
        return adagrad_update

    def _stage(self, options: Options, count: int) -> int:
        return count if options["learning_rate_decay"] else 0

    def _keywords(self, options: Options, length: Length, stage: Any) -> Options:
        decay = options["learning_rate_decay"]
        return {
            "learning_rate": length / (1 + stage * decay) if decay else length,
            "eps": options["eps"],
            "weight_decay": options["weight_decay"],
        }


class RMSprop(Optimizer):
    """RMSprop: gradients over the root of the running mean of their squares.

    Of each parameter a running mean v of its squared gradients is kept. A step is
    ``learning_rate * g / (sqrt(v) + eps)``.

    Parameters
    ----------
    params : tree, optional
        The parameters, or groups of them, to be moved in place; see `Optimizer`.
    learning_rate : float, callable or Tensor
        The length of a step, as in `sgd`.
    alpha : float
        How much of v each step keeps: at least 0, less than 1.
    eps : float
        Keeps the step finite where all gradients have been 0.
    weight_decay : float
        ``weight_decay * w`` is added to the gradient.
    momentum : float
        How much of the step before is taken once more: at least 0, less than 1.
    centered : bool
        Whether the square of the gradients' running mean is subtracted from v: their variance.

    Raises
    ------
    TypeError, ValueError
        If a parameter, a group or a hyperparameter is of the wrong kind or out of range.

    Notes
    -----
    T. Tieleman and G. Hinton, "Lecture 6.5 - rmsprop", Coursera: Neural Networks for Machine
    Learning, 2012. A. Graves, "Generating sequences with recurrent neural networks",
    arXiv:1308.0850, 2013, of `centered`.

    Of a complex parameter the real and the imaginary part are two parameters, as in PyTorch.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> w = np.array([3.0, 4.0])
    >>> optimizer = RMSprop([w], learning_rate=0.5, alpha=0.75)
    >>> w.grad = np.array([6.0, 8.0]).value
    >>> optimizer.step()
    >>> w.value
    array([2., 3.])
    """

    def __init__(
        self,
        params: Tree = None,
        learning_rate: LearningRate = 1e-2,
        *,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
    ) -> None:
        options = {
            "alpha": alpha,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
        }
        super().__init__(params, learning_rate, options)

    def _checked(self, options: Options) -> Options:
        name = self._name
        return {
            "alpha": number(name, "alpha", options["alpha"]),
            "eps": amount(name, "eps", options["eps"]),
            "weight_decay": amount(name, "weight_decay", options["weight_decay"]),
            "momentum": number(name, "momentum", options["momentum"]),
            "centered": flag(name, "centered", options["centered"]),
        }

    def _roles(self, options: Options) -> tuple[str, ...]:
        mean = ("mean",) if options["centered"] else ()
        return ("square", *mean, *(("velocity",) if options["momentum"] else ()))

    def _primitive(self, options: Options) -> Primitive:
        return rmsprop_update

    def _keywords(self, options: Options, length: Length, stage: Any) -> Options:
        return {"learning_rate": length, **options}
