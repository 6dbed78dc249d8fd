"""Adam, and AdamW, whose weights decay by themselves."""

from typing import Any

from backpass.core.primitive import Primitive
from backpass.nn.optimizers.hyperparameters import amount, flag, pair
from backpass.nn.optimizers.optimizer import Optimizer, Options
from backpass.nn.optimizers.steps import LearningRate, Length, Tree
from backpass.nn.optimizers.updates import adam_update


class Adam(Optimizer):
    """Adam: steps whose length each element's own gradients decide.

    Of each parameter two running means are kept, m of the gradients and v of their squares. Both
    begin with 0, which is made up for by dividing them by ``1 - beta**t`` in step t. A step is
    ``learning_rate * m / (sqrt(v) + eps)``.

    Parameters
    ----------
    params : tree, optional
        The parameters, or groups of them, to be moved in place; see `Optimizer`.
    learning_rate : float, callable or Tensor
        The length of a step, as in `sgd`.
    betas : tuple of two floats
        How much of m and of v each step keeps: at least 0, less than 1.
    eps : float
        Keeps the step finite where all gradients have been 0.
    weight_decay : float
        ``weight_decay * w`` is added to the gradient.
    amsgrad : bool
        Whether the largest v so far stands for v.
    capturable : bool
        Whether the number of the step is kept on the device, so that a CUDA graph may be captured
        of steps. It is one number for all parameters of a group: each of them that is not frozen
        must have a gradient in each step. A learning rate that is to change is a Tensor there, too.

    Raises
    ------
    TypeError, ValueError
        If a parameter, a group or a hyperparameter is of the wrong kind or out of range.

    Notes
    -----
    D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    S. J. Reddi, S. Kale and S. Kumar, "On the convergence of Adam and beyond", ICLR 2018, of
    `amsgrad`.

    Of a complex parameter the real and the imaginary part are two parameters, as in PyTorch.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import grad
    >>> w = np.array([3.0, 4.0])
    >>> optimizer = Adam([w], learning_rate=0.5)
    >>> gradient = grad(lambda w: np.sum(w * w))(w)
    >>> optimizer.step()
    >>> w.value
    array([2.5, 3.5])

    Purely, on a dict of arrays:

    >>> optimizer = Adam(learning_rate=0.5)
    >>> params = {"w": np.array([3.0, 4.0])}
    >>> state = optimizer.init(params)
    >>> gradients = grad(lambda p: np.sum(p["w"] ** 2), argnums=0)(params)
    >>> params, state = optimizer.update(gradients, state, params)
    >>> params["w"].value, state["w.mean"]
    (array([2.5, 3.5]), array([0.6, 0.8]))
    """

    _decoupled = False

    def __init__(
        self,
        params: Tree = None,
        learning_rate: LearningRate = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        capturable: bool = False,
    ) -> None:
        options = {
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "capturable": capturable,
        }
        super().__init__(params, learning_rate, options)

    def _checked(self, options: Options) -> Options:
        name = self._name
        return {
            "betas": pair(name, "betas", options["betas"]),
            "eps": amount(name, "eps", options["eps"]),
            "weight_decay": amount(name, "weight_decay", options["weight_decay"]),
            "amsgrad": flag(name, "amsgrad", options["amsgrad"]),
            "capturable": flag(name, "capturable", options["capturable"]),
        }

    def _roles(self, options: Options) -> tuple[str, ...]:
        return ("mean", "square", "maximum") if options["amsgrad"] else ("mean", "square")

    def _primitive(self, options: Options) -> Primitive:
        return adam_update

    def _stage(self, options: Options, count: int) -> int:
        return count + 1

    def _keywords(self, options: Options, length: Length, stage: Any) -> Options:
        beta1, beta2 = options["betas"]
        return {
            "learning_rate": length,
            "beta1": beta1,
            "beta2": beta2,
            "eps": options["eps"],
            "weight_decay": options["weight_decay"],
            "decoupled": self._decoupled,
            "amsgrad": options["amsgrad"],
            "step": stage,
        }


class AdamW(Adam):
    """Adam with decoupled weight decay: each step takes a share of the weights themselves.

    Before a step of `Adam`, each parameter is multiplied by ``1 - learning_rate * weight_decay``;
    its gradients do not learn of it.

    Parameters
    ----------
    params, learning_rate, betas, eps, amsgrad, capturable
        As in `Adam`.
    weight_decay : float
        How fast the weights decay, finite and not negative.

    Raises
    ------
    TypeError, ValueError
        As from `Adam`.

    Notes
    -----
    I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019. As in PyTorch
    the decay follows the learning rate.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> w, b = np.array([3.0, 4.0]), np.array([1.0])
    >>> optimizer = AdamW([{"params": w, "weight_decay": 0.1}, {"params": b, "weight_decay": 0}])
    >>> optimizer.learning_rates
    [0.001, 0.001]
    """

    _decoupled = True

    def __init__(
        self,
        params: Tree = None,
        learning_rate: LearningRate = 1e-3,
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
        amsgrad: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(
            params,
            learning_rate,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            amsgrad=amsgrad,
            capturable=capturable,
        )
