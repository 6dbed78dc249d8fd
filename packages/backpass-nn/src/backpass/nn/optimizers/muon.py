"""Muon: steps along orthogonal matrices, for the matrices inside a network."""

from typing import Any

from backpass.core.dtypes import kind_of
from backpass.core.primitive import Primitive
from backpass.nn.optimizers.hyperparameters import amount, count, flag, number
from backpass.nn.optimizers.optimizer import Optimizer, Options
from backpass.nn.optimizers.steps import LearningRate, Length, Place, Tree
from backpass.nn.optimizers.updates import ADJUSTMENTS, muon_update


class Muon(Optimizer):
    """Muon: the momentum of each matrix, made nearly orthogonal, is the direction of its step.

    A few steps of a Newton-Schulz iteration bring the singular values of the momentum near 1, to
    between 0.7 and 1.2, so that no direction is left out. It is for the matrices of hidden layers.
    Biases, gains, embeddings and the last layer are better trained by another optimizer.

    Parameters
    ----------
    params : tree, optional
        The parameters, or groups of them, to be moved in place; see `Optimizer`. Real matrices,
        only: reshape the kernels of a convolution to (out, in * height * width).
    learning_rate : float, callable or Tensor
        The length of a step, as in `sgd`.
    momentum : float
        How much of the running mean of the gradients each step keeps: at least 0, less than 1.
    nesterov : bool
        Whether to look ahead.
    weight_decay : float
        Each step multiplies the weights by ``1 - learning_rate * weight_decay``.
    coefficients : tuple of three floats
        a, b and c of the iteration ``X = a X + b (X X^T) X + c (X X^T)^2 X``.
    iterations : int
        How often it is applied.
    eps : float
        The least norm by which the matrix is divided at first.
    adjustment : {"original", "match_rms_adamw", "spectral_unclamped"}
        By what the learning rate of a matrix of shape (m, n) is multiplied:
        ``sqrt(max(1, m / n))``; ``0.2 * sqrt(max(m, n))``, with which
        the learning rate and the weight decay are those of AdamW; or ``sqrt(m / n)``.

    Raises
    ------
    TypeError, ValueError
        If a parameter is no real matrix; and if a group or a hyperparameter is of the wrong kind or
        out of range.

    Notes
    -----
    K. Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024,
    https://kellerjordan.github.io/posts/muon. J. Liu et al., "Muon is scalable for LLM training",
    arXiv:2502.16982, 2025, of ``"match_rms_adamw"``. Step for step it is PyTorch's, but that
    iterates in bfloat16, and this in the type of the parameter.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> w = np.zeros((2, 2))
    >>> optimizer = Muon([w], learning_rate=1.0)
    >>> w.grad = np.array([[3.0, 0.0], [0.0, -30.0]]).value
    >>> optimizer.step()
    >>> np.round(w, 1).value
    array([[-0.7,  0. ],
           [ 0. ,  0.7]])
    """

    def __init__(
        self,
        params: Tree = None,
        learning_rate: LearningRate = 1e-3,
        *,
        momentum: float = 0.95,
        nesterov: bool = True,
        weight_decay: float = 0.1,
        coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        iterations: int = 5,
        eps: float = 1e-7,
        adjustment: str = "original",
    ) -> None:
        options = {
            "momentum": momentum,
            "nesterov": nesterov,
            "weight_decay": weight_decay,
            "coefficients": coefficients,
            "iterations": iterations,
            "eps": eps,
            "adjustment": adjustment,
        }
        super().__init__(params, learning_rate, options)

    def _checked(self, options: Options) -> Options:
        name = self._name
        coefficients = options["coefficients"]
        if not isinstance(coefficients, tuple | list) or len(coefficients) != 3:
            raise TypeError(f"{name}: `coefficients` must be three numbers, not {coefficients!r}")
        if options["adjustment"] not in ADJUSTMENTS:
            raise ValueError(
                f"{name}: `adjustment` is {options['adjustment']!r}, but it must be one of "
                f"{', '.join(map(repr, ADJUSTMENTS))}"
            )
        inf = float("inf")
        return {
            "momentum": number(name, "momentum", options["momentum"]),
            "nesterov": flag(name, "nesterov", options["nesterov"]),
            "weight_decay": amount(name, "weight_decay", options["weight_decay"]),
            "coefficients": tuple(
                number(name, f"coefficients[{i}]", x, low=-inf, high=inf)
                for i, x in enumerate(coefficients)
            ),
            "iterations": count(name, "iterations", options["iterations"]),
            "eps": amount(name, "eps", options["eps"]),
            "adjustment": options["adjustment"],
        }

    def _roles(self, options: Options) -> tuple[str, ...]:
        return ("momentum",)

    def _primitive(self, options: Options) -> Primitive:
        return muon_update

    def _keywords(self, options: Options, length: Length, stage: Any) -> Options:
        return {"learning_rate": length, **options}

    def _check_parameter(self, place: Place, w: Any) -> None:
        if w.ndim != 2 or kind_of(w.dtype) != "f":
            raise ValueError(
                f"Muon: `{place}` has shape {tuple(w.shape)} and {w.dtype}, but Muon is for real "
                "matrices: give it to an optimizer of its own, such as AdamW"
            )
