"""The beta distribution."""

from __future__ import annotations

from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.ops.elementwise import (
    greater,
    less,
    log,
    log1p,
    logical_or,
    where,
    zero_multiply,
)
from backpass.core.ops.special.gamma import psi
from backpass.core.ops.special.incomplete import (
    as_float,
    beta_density,
    beta_moment,
    beta_slope,
    positive,
    special_of,
    times,
)
from backpass.core.ops.stats.distribution import (
    Distribution,
    is_number,
    log_scale,
    operands,
    over,
    standard,
    standardized,
    within,
)
from backpass.core.rules import elementwise
from backpass.core.tensor import Tensor

# ----- the functions ----------------------------------------------------------------------------


@primitive(name="beta_pdf")
def pdf(xp: Any, x: Any, a: Any, b: Any, loc: Any, scale: Any) -> Any:
    """z**(a - 1) * (1 - z)**(b - 1) / (B(a, b) * scale), where 0 <= z <= 1."""
    made = beta_density.op(a, b, standard(xp, x, loc, scale))
    return made if is_number(scale, 1) else made / positive(xp, scale)


@primitive(name="beta_logpdf")
def logpdf(xp: Any, x: Any, a: Any, b: Any, loc: Any, scale: Any) -> Any:
    """Return (a - 1) * log(z) + (b - 1) * log(1 - z) - log B(a, b) - log(scale), -inf outside."""
    z = standard(xp, x, loc, scale)
    a, b = positive(xp, as_float(xp, a)), positive(xp, as_float(xp, b))
    with numpy.errstate(all="ignore"):
        made = times(xp, a - 1, xp.log(z)) + times(xp, b - 1, xp.log1p(-z))
        made = made - special_of(xp).betaln(a, b)
        # A nan remains so, even if both exponents are 0.
        outside = xp.where(z != z, z, -numpy.inf + 0 * (a + b))
        made = xp.where((z >= 0) & (z <= 1), made, outside)
        return (made if is_number(scale, 1) else made - log_scale(xp, scale))[()]


@primitive(name="beta_cdf")
def cdf(xp: Any, x: Any, a: Any, b: Any, loc: Any, scale: Any) -> Any:
    """betainc(a, b, z), 0 where z < 0, 1 where z > 1."""
    a, b = positive(xp, as_float(xp, a)), positive(xp, as_float(xp, b))
    return special_of(xp).betainc(a, b, xp.clip(standard(xp, x, loc, scale), 0.0, 1.0))


# ----- the rules --------------------------------------------------------------------------------


def _supported(x: Any, loc: Any, scale: Any) -> tuple[Any, Any]:
    """Return where z is outside of the support, and z with 1/2 in the place of that."""
    z = standardized(x, loc, scale)
    outside = logical_or.op(less.op(z, 0), greater.op(z, 1))
    return outside, where.op(outside, 0.5, z)


def _score(x: Any, a: Any, b: Any, loc: Any, scale: Any) -> Any:
    """Return the derivative of logpdf in x: (a - 1) / z - (b - 1) / (1 - z), over the scale."""
    outside, z = _supported(x, loc, scale)
    # a = 1 and b = 1 are flat even at the ends.
    d = zero_multiply.op(a - 1, 1 / z) - zero_multiply.op(b - 1, 1 / (1 - z))
    return over(within(outside, d), scale)


def _a_score(x: Any, a: Any, b: Any, loc: Any, scale: Any) -> Any:
    outside, z = _supported(x, loc, scale)
    return within(outside, log.op(z) - psi.op(a) + psi.op(a + b))


def _b_score(x: Any, a: Any, b: Any, loc: Any, scale: Any) -> Any:
    outside, z = _supported(x, loc, scale)
    return within(outside, log1p.op(-z) - psi.op(b) + psi.op(a + b))


def _scale_score(x: Any, a: Any, b: Any, loc: Any, scale: Any) -> Any:
    outside, z = _supported(x, loc, scale)
    return over(within(outside, zero_multiply.op(b - 1, z / (1 - z)) - a), scale)


# The density itself is 0 outside, and its slope is finite at the ends where it can be.
def _density(x: Any, a: Any, b: Any, loc: Any, scale: Any, **powers: int) -> Any:
    return beta_density.op(a, b, standardized(x, loc, scale), **powers)


def _pdf_x(x: Any, a: Any, b: Any, loc: Any, scale: Any) -> Any:
    return over(over(beta_slope.op(a, b, standardized(x, loc, scale)), scale), scale)


def _pdf_scale(x: Any, a: Any, b: Any, loc: Any, scale: Any) -> Any:
    right = zero_multiply.op(b - 1, _density(x, a, b, loc, scale, lower=-1, upper=1))
    return over(over(right - a * _density(x, a, b, loc, scale), scale), scale)


elementwise(
    logpdf,
    _score,
    _a_score,
    _b_score,
    lambda x, a, b, loc, scale: -_score(x, a, b, loc, scale),
    _scale_score,
)
elementwise(
    pdf,
    _pdf_x,
    lambda x, a, b, loc, scale: over(_density(x, a, b, loc, scale, m=1), scale),
    lambda x, a, b, loc, scale: over(_density(x, a, b, loc, scale, n=1), scale),
    lambda x, a, b, loc, scale: -_pdf_x(x, a, b, loc, scale),
    _pdf_scale,
)
elementwise(
    cdf,
    lambda x, a, b, loc, scale: pdf.op(x, a, b, loc, scale),
    lambda x, a, b, loc, scale: beta_moment.op(a, b, standardized(x, loc, scale), m=1, n=0),
    lambda x, a, b, loc, scale: beta_moment.op(a, b, standardized(x, loc, scale), m=0, n=1),
    lambda x, a, b, loc, scale: -pdf.op(x, a, b, loc, scale),
    lambda x, a, b, loc, scale: -over(_density(x, a, b, loc, scale, lower=-1), scale),
)

# ----- the distribution, with SciPy's signatures ------------------------------------------------


class beta(Distribution):
    """The beta distribution; z is (x - loc) / scale.  Outside the support each derivative is 0."""

    def pdf(self, x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Tensor:
        """Density; its derivatives are those of logpdf times it."""
        return pdf(*operands(x, a, b, loc, scale))  # type: ignore[no-any-return]

    def logpdf(self, x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Tensor:
        """Logarithm of the density; derivative ((a - 1) / z - (b - 1) / (1 - z)) / scale in x.

        In a it is log(z) - digamma(a) + digamma(a + b), in b likewise with log(1 - z).
        """
        return logpdf(*operands(x, a, b, loc, scale))  # type: ignore[no-any-return]

    def cdf(self, x: Any, a: Any, b: Any, loc: Any = 0, scale: Any = 1) -> Tensor:
        """Distribution function; derivative the density in x, by quadrature in a and b."""
        return cdf(*operands(x, a, b, loc, scale))  # type: ignore[no-any-return]
