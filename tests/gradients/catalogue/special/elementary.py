"""Functions of logarithms and exponentials, of single elements."""

from ...cases import Argument, Case
from .making import Operand, binary, calling, special, unary

_UNARY = {
    "cosm1": Operand(-2, 2),
    "entr": Operand(0.3, 2),
    "exp10": Operand(-1, 1),
    "expit": Operand(-3, 3),
    "lambertw": Operand(0.3, 2, complex="cupy jax", without="cupy"),
    "log_expit": Operand(-3, 3),
    "logit": Operand(0.2, 0.8),
}
#: Those that NumPy has under the same names.
_OF_NUMPY = {
    "cbrt": Operand(-2, 2, 0.3),
    "exp2": Operand(-2, 2),
    "expm1": Operand(-2, 2),
    "log1p": Operand(-0.6, 2),
    "sinc": Operand(-2, 2),
}
_POSITIVE = Operand(0.3, 2)
CASES: list[Case] = [
    *(c for name, operand in _UNARY.items() for c in unary(name, operand)),
    *(
        special(name, calling(name), Argument((2, 3), *operand[:3]), label="of_scipy")
        for name, operand in _OF_NUMPY.items()
    ),
    *binary("xlogy", Operand(-2, 2, complex="cupy jax"), _POSITIVE),
    *binary("xlog1py", Operand(-2, 2, complex="cupy jax"), Operand(-0.6, 2)),
    *binary("rel_entr", _POSITIVE, _POSITIVE),
    *binary("kl_div", _POSITIVE, _POSITIVE),
    *binary("huber", Operand(1.1, 1.3), Operand(-0.9, 0.9)),
    *binary("pseudo_huber", Operand(0.5, 2), Operand(-2, 2)),
    special(
        "huber",
        calling("huber"),
        Argument((3,), 0.2, 0.5),
        Argument((3,), -2, 2, 0.7),
        label="beyond",
    ),
    special(
        "lambertw",
        lambda sp, z: sp.lambertw(z, -1, tol=1e-10),
        Argument((3,), -0.3, -0.1),
        label="branch",
        without="cupy",
    ),
    special(
        "lambertw",
        lambda sp, z: sp.lambertw(z, k=1),
        Argument((3,), 0.3, 2),
        label="branch_complex",
        complex=True,
        without="cupy",
    ),
]
