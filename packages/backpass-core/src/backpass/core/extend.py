"""The door for those who add primitives: `primitive` and the verbs that declare its rules."""

from backpass.core.arity import primitive
from backpass.core.rules import (
    bilinear,
    defjvp,
    defvjp,
    elementwise,
    linear,
    nondifferentiable,
    refused,
)

__all__ = [
    "bilinear",
    "defjvp",
    "defvjp",
    "elementwise",
    "linear",
    "nondifferentiable",
    "primitive",
    "refused",
]
