"""Huber's loss and its smooth relative."""

from __future__ import annotations

from typing import Any

from backpass.core.arity import binary
from backpass.core.ops.elementwise import hypot, less_equal, sign, where
from backpass.core.rules import elementwise

_SPECIAL = "scipy.special"

huber = binary(
    "huber",
    "r**2 / 2 up to |r| = delta, a line beyond; in r that clipped to delta, in delta the excess.",
    module=_SPECIAL,
    parameters=("delta", "r"),
)
pseudo_huber = binary(
    "pseudo_huber",
    "delta**2 * (s - 1), s = sqrt(1 + (r / delta)**2); derivatives delta * (s - 1)**2 / s, r / s.",
    module=_SPECIAL,
    parameters=("delta", "r"),
)


def _excess(delta: Any, r: Any) -> Any:
    distance = abs(r)
    return where.op(less_equal.op(distance, delta), 0.0, distance - delta)


def _clipped(delta: Any, r: Any) -> Any:
    return where.op(less_equal.op(abs(r), delta), r, delta * sign.op(r))


elementwise(huber, lambda delta, r: _excess(delta, r), lambda delta, r: _clipped(delta, r))


def _pseudo_excess(delta: Any, r: Any) -> Any:
    """Return delta * (s - 1)**2 / s, without the difference that loses digits at small r."""
    h = hypot.op(delta, r)
    excess = r * r / (h + delta)
    return excess * excess / h


elementwise(
    pseudo_huber,
    lambda delta, r: _pseudo_excess(delta, r),
    lambda delta, r: r * delta / hypot.op(delta, r),
)
