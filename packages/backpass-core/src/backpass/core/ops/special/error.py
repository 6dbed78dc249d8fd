"""The error function and its relatives."""

from __future__ import annotations

import math

from backpass.core.arity import unary
from backpass.core.ops.elementwise import exp
from backpass.core.rules import elementwise

_SPECIAL = "scipy.special"

erf = unary("erf", "Error function; its derivative is 2 / sqrt(pi) * exp(-x**2).", module=_SPECIAL)
erfc = unary("erfc", "1 - erf(x); its derivative is -2 / sqrt(pi) * exp(-x**2).", module=_SPECIAL)
erfinv = unary(
    "erfinv",
    "Inverse of erf; its derivative is sqrt(pi) / 2 * exp(y**2), infinite at -1 and 1.",
    module=_SPECIAL,
)
erfcinv = unary(
    "erfcinv",
    "Inverse of erfc; its derivative is -sqrt(pi) / 2 * exp(y**2), infinite at 0 and 2.",
    module=_SPECIAL,
)

elementwise(erf, lambda x: 2 / math.sqrt(math.pi) * exp.op(-x * x))
elementwise(erfc, lambda x: -2 / math.sqrt(math.pi) * exp.op(-x * x))
elementwise(erfinv, lambda ans: math.sqrt(math.pi) / 2 * exp.op(ans * ans))
elementwise(erfcinv, lambda ans: -math.sqrt(math.pi) / 2 * exp.op(ans * ans))
