"""The activations as layers; `backpass.nn.functional` has their formulas and their sources."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from backpass.nn import functional, initialisers
from backpass.nn.module import Module
from backpass.nn.parameter import Parameter


class _Activation(Module):
    """What the activations share: a function, and the attributes that are its parameters."""

    function: ClassVar[Callable[..., Any]]
    settings: ClassVar[tuple[str, ...]] = ()

    def forward(self, x: Any) -> Any:
        """Apply the function."""
        return type(self).function(x, **{name: getattr(self, name) for name in self.settings})

    def extra_repr(self) -> str:
        """Return the settings."""
        return ", ".join(f"{name}={getattr(self, name)!r}" for name in self.settings)


class ReLU(_Activation):
    """The larger of x and 0: `backpass.nn.functional.relu`."""

    function = staticmethod(functional.relu)


class ReLU6(_Activation):
    """X, held between 0 and 6: `backpass.nn.functional.relu6`."""

    function = staticmethod(functional.relu6)


class LeakyReLU(_Activation):
    """X, made smaller below 0: `backpass.nn.functional.leaky_relu`."""

    function = staticmethod(functional.leaky_relu)
    settings = ("negative_slope",)

    def __init__(self, negative_slope: float = 0.01) -> None:
        self.negative_slope = negative_slope


class ELU(_Activation):
    """X, and an exponential below 0: `backpass.nn.functional.elu`."""

    function = staticmethod(functional.elu)
    settings = ("alpha",)

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha


class CELU(_Activation):
    """`ELU` with a derivative that is continuous for every alpha: `backpass.nn.functional.celu`."""

    function = staticmethod(functional.celu)
    settings = ("alpha",)

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha


class SELU(_Activation):
    """`ELU`, scaled so that means and variances stay: `backpass.nn.functional.selu`."""

    function = staticmethod(functional.selu)


class GELU(_Activation):
    """X times the normal distribution function of x: `backpass.nn.functional.gelu`."""

    function = staticmethod(functional.gelu)
    settings = ("approximate",)

    def __init__(self, approximate: str = "none") -> None:
        self.approximate = approximate


class SiLU(_Activation):
    """X times its sigmoid: `backpass.nn.functional.silu`."""

    function = staticmethod(functional.silu)


class Mish(_Activation):
    """X times the tanh of its softplus: `backpass.nn.functional.mish`."""

    function = staticmethod(functional.mish)


class Softplus(_Activation):
    """A smooth `ReLU`: `backpass.nn.functional.softplus`."""

    function = staticmethod(functional.softplus)
    settings = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        self.beta = beta
        self.threshold = threshold


class Hardtanh(_Activation):
    """X, held between two bounds: `backpass.nn.functional.hardtanh`."""

    function = staticmethod(functional.hardtanh)
    settings = ("min_val", "max_val")

    def __init__(self, min_val: float = -1.0, max_val: float = 1.0) -> None:
        self.min_val = min_val
        self.max_val = max_val


class Hardsigmoid(_Activation):
    """A sigmoid of three straight pieces: `backpass.nn.functional.hardsigmoid`."""

    function = staticmethod(functional.hardsigmoid)


class Hardswish(_Activation):
    """X times its hard sigmoid: `backpass.nn.functional.hardswish`."""

    function = staticmethod(functional.hardswish)


class Sigmoid(_Activation):
    """1 / (1 + exp(-x)): `backpass.nn.functional.sigmoid`."""

    function = staticmethod(functional.sigmoid)


class LogSigmoid(_Activation):
    """The logarithm of the sigmoid: `backpass.nn.functional.logsigmoid`."""

    function = staticmethod(functional.logsigmoid)


class Tanh(_Activation):
    """The hyperbolic tangent: `backpass.nn.functional.tanh`."""

    function = staticmethod(functional.tanh)


class Softsign(_Activation):
    """X / (1 + abs(x)): `backpass.nn.functional.softsign`."""

    function = staticmethod(functional.softsign)


class Softmax(_Activation):
    """Exponentials, divided by their sum along an axis: `backpass.nn.functional.softmax`."""

    function = staticmethod(functional.softmax)
    settings = ("axis",)

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis


class LogSoftmax(_Activation):
    """The logarithm of the softmax along an axis: `backpass.nn.functional.log_softmax`."""

    function = staticmethod(functional.log_softmax)
    settings = ("axis",)

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis


class GLU(_Activation):
    """One half of an axis times the sigmoid of the other: `backpass.nn.functional.glu`."""

    function = staticmethod(functional.glu)
    settings = ("axis",)

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis


class PReLU(Module):
    """A leaky ReLU whose slope below 0 is learnt: `backpass.nn.functional.prelu`.

    Parameters
    ----------
    num_parameters : int
        One slope for all, or as many as axis 1 of the input is long.
    init : float
        The slopes at first.

    Attributes
    ----------
    weight : Parameter, shape (num_parameters,)
    """

    def __init__(self, num_parameters: int = 1, init: float = 0.25) -> None:
        self.weight = Parameter(initialisers.constant((num_parameters,), init))

    def forward(self, x: Any) -> Any:
        """Apply the function."""
        return functional.prelu(x, self.weight)

    def extra_repr(self) -> str:
        """Return the number of slopes."""
        return str(self.weight.shape[0])


__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Tanh",
]
