"""Hypergeometric functions, and what differentiates into them."""

from ...cases import Argument, Case
from .making import Operand, calling, ordered, special, unary

_UNARY = {
    "ellipe": Operand(-2, 0.8, without="cupy"),
    "ellipk": Operand(-2, 0.8, without="cupy"),
    # JAX's derivative is nan at some points.
    "spence": Operand(0.3, 3, without="cupy jax", complex="cupy jax"),
}
CASES: list[Case] = [
    *(c for name, operand in _UNARY.items() for c in unary(name, operand)),
    *ordered("hyp0f1", (1.5, (0.5, 2.0)), Operand(-2, 2, without="cupy", complex="cupy jax")),
    *(
        special(
            name,
            calling(name, *parameters),
            Argument(shape, -0.7, 0.7),
            label=label,
            complex=True,
            without="cupy jax",
        )
        for name, parameters in {"hyp1f1": (0.7, 1.5), "hyp2f1": (0.7, 1.5, 2.2)}.items()
        for label, shape in {"": (2, 3), "0d": (), "empty": (2, 0)}.items()
    ),
    *(
        special(
            name,
            calling(name, *parameters),
            Argument((3,), -0.7, 0.7),
            label="real",
            without="cupy",
        )
        for name, parameters in {"hyp1f1": (0.7, 1.5), "hyp2f1": (0.7, 1.5, 2.2)}.items()
    ),
]
