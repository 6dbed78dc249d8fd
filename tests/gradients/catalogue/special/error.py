"""The error function and its relatives; exponential integrals."""

from ...cases import Case
from .making import Operand, ordered, unary

_UNARY = {
    "erf": Operand(-1.5, 1.5, complex="cupy jax"),
    "erfc": Operand(-1.5, 1.5, complex="cupy jax"),
    "erfinv": Operand(-0.8, 0.8),
    "erfcinv": Operand(0.2, 1.8),
    "erfcx": Operand(-1, 2, complex="cupy jax"),
    "erfi": Operand(-1.5, 1.5, without="cupy", complex="cupy jax"),
    "dawsn": Operand(-2, 2, without="cupy", complex="cupy jax"),
    # JAX has exp1 and expn, and cannot compile their second derivatives.
    "exp1": Operand(0.3, 2, without="jax", complex="cupy jax"),
    "expi": Operand(-2, 2, 0.3, complex="cupy jax"),
    "exprel": Operand(-4, 4),
}
CASES: list[Case] = [
    *(c for name, operand in _UNARY.items() for c in unary(name, operand)),
    # SciPy's is float64 for float32 and a number as order; CuPy's is float32.
    *ordered("expn", (3, 1, 2, 0, (1, 4)), Operand(0.3, 2, without="jax cupy")),
]
