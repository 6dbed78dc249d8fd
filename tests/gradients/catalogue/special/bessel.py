"""Bessel functions."""

from ...cases import Argument, Case
from .making import Operand, calling, ordered, special, unary

_UNARY = {
    "i0": Operand(-2, 2),
    "i0e": Operand(-2, 2, 0.3),
    "i1": Operand(-2, 2),
    "i1e": Operand(-2, 2, 0.3),
    "j0": Operand(-3, 3),
    "j1": Operand(-3, 3),
    "k0": Operand(0.3, 2),
    "k0e": Operand(0.3, 2),
    "k1": Operand(0.3, 2),
    "k1e": Operand(0.3, 2),
    "y0": Operand(0.3, 3),
    "y1": Operand(0.3, 3),
}
_WHOLE = Operand(0.3, 3, without="cupy")
_REAL = Operand(0.3, 3, without="cupy", complex="cupy jax")
# HIPS differentiates the exponential as if it were one of complex z.
_SCALED = _REAL._replace(complex="cupy jax autograd")
_ORDERS = (1.5, 2, 0, -0.5, (0.3, 2.0))
CASES: list[Case] = [
    *(c for name, operand in _UNARY.items() for c in unary(name, operand)),
    *ordered("jn", (2, 0, 1, (0, 3)), _WHOLE._replace(low=-3.0)),
    *ordered("yn", (2, 0, 1, (0, 3)), Operand(0.3, 3)),
    *ordered("kn", (2, 0, 1, (0, 3)), _WHOLE),
    *(c for name in ("jv", "yv", "iv", "kv", "kve") for c in ordered(name, _ORDERS, _REAL)),
    *ordered("ive", _ORDERS, _SCALED),
    *(
        special(name, calling(name, 2), Argument((3,), -3, -0.3), label="negative", without="cupy")
        for name in ("iv", "ive", "jv")
    ),
    # The recurrence beyond the series.
    *(
        special(name, calling(name), Argument((3,), low, low + 4), label=f"far_{low}")
        for name in ("i1", "j1")
        for low in (5, -9)
    ),
]
