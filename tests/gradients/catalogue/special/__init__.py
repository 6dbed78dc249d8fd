"""Functions of `scipy.special`, one family a file."""

from ...cases import Case
from . import bessel, elementary, error, exponential_sums, gamma, hypergeometric

_FAMILIES = (error, elementary, exponential_sums, gamma, bessel, hypergeometric)
CASES: list[Case] = [case for family in _FAMILIES for case in family.CASES]
NO_GRADIENT = {"scipy.special": "gammasgn"}
LIMITS: dict[str, dict[str, str]] = {
    library: {
        name: reason
        for family in _FAMILIES
        for name, reason in getattr(family, "LIMITS", {}).get(library, {}).items()
    }
    for library in ("jax", "autograd")
}
