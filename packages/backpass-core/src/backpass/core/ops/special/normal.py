"""The normal distribution's function, its logarithm and its inverse."""

from __future__ import annotations

import math
from typing import Any

import numpy

from backpass.core.arity import primitive, unary
from backpass.core.ops.elementwise import exp, zero_multiply
from backpass.core.ops.special.incomplete import special_of
from backpass.core.rules import elementwise

_SPECIAL = "scipy.special"

ndtr = unary(
    "ndtr",
    "Normal distribution function; its derivative is exp(-x**2 / 2) / sqrt(2 * pi).",
    module=_SPECIAL,
)
log_ndtr = unary(
    "log_ndtr",
    "log(ndtr(x)); its derivative is the density over ndtr(x), finite however small both are.",
    module=_SPECIAL,
)
ndtri = unary(
    "ndtri", "Inverse of ndtr; its derivative is sqrt(2 * pi) * exp(y**2 / 2).", module=_SPECIAL
)


@primitive
def normal_hazard(xp: Any, x: Any) -> Any:
    """Return the normal density over the weight beyond x: sqrt(2 / pi) / erfcx(x / sqrt(2))."""
    with numpy.errstate(divide="ignore"):
        return math.sqrt(2 / math.pi) / special_of(xp).erfcx(x * math.sqrt(0.5))


#: Of normal_hazard(x) - x, in powers of 1 / x from the first by twos: the asymptotic series.
_EXCESS = (1.0, -2.0, 10.0, -74.0, 706.0)


@primitive
def normal_excess(xp: Any, x: Any) -> Any:
    """normal_hazard(x) - x: by its asymptotic series where the difference would lose digits."""
    plain = normal_hazard.op(x) - x
    if plain.dtype.kind == "c":
        return plain
    large = x > 50
    r = 1 / xp.where(large, x, 50.0)
    series = xp.zeros_like(r)
    for c in _EXCESS[::-1]:
        series = series * (r * r) + c
    return xp.where(large, series * r, plain).astype(plain.dtype)[()]


elementwise(ndtr, lambda x: exp.op(-0.5 * x * x) / math.sqrt(2 * math.pi))
elementwise(log_ndtr, lambda x: normal_hazard.op(-x))
elementwise(ndtri, lambda ans: math.sqrt(2 * math.pi) * exp.op(0.5 * ans * ans))
# 0 * inf at -inf, where the hazard is 0.
elementwise(normal_hazard, lambda ans, x: zero_multiply.op(ans, normal_excess.op(x)))
elementwise(normal_excess, lambda ans, x: zero_multiply.op(normal_hazard.op(x), ans) - 1)
