"""The parts of floating-point numbers: whole part and fraction, mantissa and exponent."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backpass.core.arity import binary, primitive
from backpass.core.rules import defjvp, defvjp, elementwise, linear

ldexp = binary("ldexp", "x * 2**y for integers y; its derivative in x is 2**y.")
linear(ldexp, lambda g, y: ldexp.op(g, y), None)

nextafter = binary(
    "nextafter", "The next float after x on the way to y; its derivatives are 1 and 0."
)
elementwise(nextafter, lambda: 1.0, lambda: 0.0)


@primitive(outputs=2)
def modf(xp: Any, x: Any) -> tuple[Any, Any]:
    """Fraction and whole part, with the sign of x; derivatives 1 and 0."""
    return tuple(xp.modf(x))


defvjp(modf, lambda g: 0.0 * g[1] if g[0] is None else g[0])
defjvp(modf, joint=lambda ts, ans, x: (ts[0], 0.0 * ts[0]))


@primitive(outputs=2)
def frexp(xp: Any, x: Any) -> tuple[Any, Any]:
    """Mantissa m and exponent i of x = m * 2**i; the derivative of m is 2**-i."""
    return tuple(xp.frexp(x))


def _mantissa(t: Any, ans: Sequence[Any]) -> Any:
    return ldexp.op(t, -ans[1])


defvjp(frexp, lambda g, ans: _mantissa(g[0], ans))
defjvp(frexp, joint=lambda ts, ans, x: (_mantissa(ts[0], ans), None))
