"""The gamma function and its relatives."""

from ...cases import Argument, Case
from .making import Operand, binary, calling, ordered, special, unary

_ANALYTIC = "cupy jax"
_UNARY = {
    "digamma": Operand(0.3, 3, complex=_ANALYTIC),
    "gamma": Operand(0.3, 3, complex=_ANALYTIC),
    "gammaln": Operand(0.3, 3),
    "loggamma": Operand(0.3, 3, complex=_ANALYTIC),
    "psi": Operand(0.3, 3, complex=_ANALYTIC),
    "rgamma": Operand(-1, 3, complex=_ANALYTIC),
}
#: Names that have values between the poles.
_BETWEEN = ("digamma", "gamma", "gammaln", "rgamma")
_POSITIVE = Operand(0.4, 2)
CASES: list[Case] = [
    *(c for name, operand in _UNARY.items() for c in unary(name, operand)),
    *(
        special(name, calling(name), Argument((3,), low, low + 0.6), label=f"between_poles_{low}")
        for name in _BETWEEN
        for low in (-0.8, -2.8)
    ),
    *(
        special(
            name,
            calling(name),
            Argument((3,), -3.8, -3.2),
            label="analytic_left",
            complex=True,
            without=_ANALYTIC,
        )
        for name in ("digamma", "gamma", "rgamma")
    ),
    special(
        "loggamma",
        lambda sp, x: sp.loggamma((1 + 0.3j) * x),
        Argument((3,), -3.8, -3.2),
        label="left_of_reals",
        without=_ANALYTIC,
    ),
    *binary("beta", _POSITIVE, _POSITIVE),
    *binary("betaln", _POSITIVE, _POSITIVE),
    *ordered("polygamma", (1, 0, 2, (0, 3)), Operand(0.4, 3)),
    *ordered("zeta", (2.5, 3, (2.0, 4.5)), Operand(0.4, 3)),
    *(
        special(
            "multigammaln",
            lambda sp, a, d=d: sp.multigammaln(a, d),
            Argument(shape, 1.3, 3),
            label=f"{d}{label}",
        )
        for d in (1, 3)
        for label, shape in {"": (2, 3), "_0d": (), "_empty": (2, 0)}.items()
    ),
]
