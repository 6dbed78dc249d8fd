"""Hypergeometric functions in their argument, and what differentiates into them.

Each derivative is the same function with its parameters one larger: no differences that would lose
digits, and nothing divided by zero where the argument is.
"""

from __future__ import annotations

import math
from typing import Any

from backpass.core.arity import Nary, binary, unary
from backpass.core.ops.elementwise import absolute, equal, less, log, logical_or, where
from backpass.core.rules import elementwise, refused
from backpass.core.symbols import Expression

_SPECIAL = "scipy.special"
_PARAMETER = refused("there is no closed form in the parameters: keep them constant")

hyp0f1 = binary(
    "hyp0f1",
    "Confluent hypergeometric limit function; in z hyp0f1(v + 1, z) / v, none in v.",
    module=_SPECIAL,
    parameters=("v", "z"),
)
hyp1f1 = Nary(
    "hyp1f1",
    doc="Confluent hypergeometric function; in x a / b * hyp1f1(a + 1, b + 1, x), none in a and b.",
    module=_SPECIAL,
    parameters=("a", "b", "x"),
)
hyp2f1 = Nary(
    "hyp2f1",
    doc="Gauss hypergeometric function; in z a * b / c * hyp2f1(a + 1, b + 1, c + 1, z), only.",
    module=_SPECIAL,
    parameters=("a", "b", "c", "z"),
)

elementwise(hyp0f1, _PARAMETER, lambda v, z: hyp0f1.op(v + 1.0, z) / v)
elementwise(hyp1f1, _PARAMETER, _PARAMETER, lambda a, b, x: a / b * hyp1f1.op(a + 1.0, b + 1.0, x))
elementwise(
    hyp2f1,
    _PARAMETER,
    _PARAMETER,
    _PARAMETER,
    lambda a, b, c, z: a / c * b * hyp2f1.op(a + 1.0, b + 1.0, c + 1.0, z),
)

# ----- elliptic integrals, the dilogarithm ------------------------------------------------------

ellipk = unary(
    "ellipk",
    "Complete elliptic integral of the first kind; pi / 8 * hyp2f1(1.5, 1.5, 2, m).",
    module=_SPECIAL,
    parameters=("m",),
)
ellipe = unary(
    "ellipe",
    "Complete elliptic integral of the second kind; -pi / 8 * hyp2f1(0.5, 1.5, 2, m).",
    module=_SPECIAL,
    parameters=("m",),
)
spence = unary(
    "spence",
    "Dilogarithm, the integral of log(t) / (1 - t) from 1; its derivative is log(z) / (1 - z).",
    module=_SPECIAL,
    parameters=("z",),
)

elementwise(ellipk, lambda m: math.pi / 8 * hyp2f1.op(1.5, 1.5, 2.0, m))
elementwise(ellipe, lambda m: -math.pi / 8 * hyp2f1.op(0.5, 1.5, 2.0, m))


def _spence_z(z: Any) -> Any:
    """Return log(z) / (1 - z), by a series where z is near 1: without 0 / 0 at 1."""
    if isinstance(z, Expression):
        return log.op(z) / (1 - z)
    # The series is infinite at 0, in its derivatives too: those of the quotient are inf - inf.
    near = logical_or.op(less.op(absolute.op(1 - z), 0.5), equal.op(z, 0))
    away = where.op(near, 2.0, z)
    series = -hyp2f1.op(1.0, 1.0, 2.0, where.op(near, 1 - z, 0.0))
    return where.op(near, series, log.op(away) / (1 - away))


elementwise(spence, _spence_z)
