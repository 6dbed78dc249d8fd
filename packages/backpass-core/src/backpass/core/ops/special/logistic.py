"""The logistic function's inverse and its logarithm; `expit` itself is in `elementwise`."""

from __future__ import annotations

from backpass.core.arity import unary
from backpass.core.ops.elementwise import expit
from backpass.core.rules import elementwise

_SPECIAL = "scipy.special"

logit = unary(
    "logit",
    "log(x / (1 - x)); its derivative is 1 / (x * (1 - x)), infinite at 0 and 1.",
    module=_SPECIAL,
)
log_expit = unary(
    "log_expit", "Logarithm of expit(x); its derivative is expit(-x).", module=_SPECIAL
)

elementwise(logit, lambda x: 1 / (x * (1 - x)))
elementwise(log_expit, lambda x: expit.op(-x))
