"""The gamma distribution, and chi-squared, which is one."""

from __future__ import annotations

from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.ops.elementwise import less, log, multiply, where, zero_multiply
from backpass.core.ops.special.gamma import psi
from backpass.core.ops.special.incomplete import (
    as_float,
    gamma_density,
    gamma_moment,
    gamma_slope,
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


@primitive(name="gamma_pdf")
def pdf(xp: Any, x: Any, a: Any, loc: Any, scale: Any) -> Any:
    """z**(a - 1) * exp(-z) / (Gamma(a) * scale), where z = (x - loc) / scale >= 0."""
    made = gamma_density.op(a, standard(xp, x, loc, scale))
    return made if is_number(scale, 1) else made / positive(xp, scale)


@primitive(name="gamma_logpdf")
def logpdf(xp: Any, x: Any, a: Any, loc: Any, scale: Any) -> Any:
    """Return (a - 1) * log(z) - z - log Gamma(a) - log(scale), -inf where z < 0."""
    z, a = standard(xp, x, loc, scale), positive(xp, as_float(xp, a))
    with numpy.errstate(all="ignore"):
        made = times(xp, a - 1, xp.log(z)) - z - special_of(xp).gammaln(a)
        made = xp.where(z < 0, -numpy.inf + 0 * a, made)
        return (made if is_number(scale, 1) else made - log_scale(xp, scale))[()]


@primitive(name="gamma_cdf")
def cdf(xp: Any, x: Any, a: Any, loc: Any, scale: Any) -> Any:
    """gammainc(a, z), 0 where z < 0."""
    z = standard(xp, x, loc, scale)
    return special_of(xp).gammainc(positive(xp, as_float(xp, a)), xp.where(z < 0, 0.0, z))


# ----- the rules --------------------------------------------------------------------------------


def _supported(x: Any, loc: Any, scale: Any) -> tuple[Any, Any, Any]:
    """Return z, where it is outside of the support, and z with 1 in the place of that."""
    z = standardized(x, loc, scale)
    outside = less.op(z, 0)
    return z, outside, where.op(outside, 1.0, z)


def _score(x: Any, a: Any, loc: Any, scale: Any) -> Any:
    """Return the derivative of logpdf in x: (a - 1) / z - 1, over the scale."""
    _, outside, z = _supported(x, loc, scale)
    # a = 1 is flat even at z = 0.
    return over(within(outside, zero_multiply.op(a - 1, 1 / z) - 1), scale)


def _a_score(x: Any, a: Any, loc: Any, scale: Any) -> Any:
    _, outside, z = _supported(x, loc, scale)
    return within(outside, log.op(z) - psi.op(a))


def _scale_score(x: Any, a: Any, loc: Any, scale: Any) -> Any:
    z, outside, _ = _supported(x, loc, scale)
    return over(within(outside, z - a), scale)


# The density itself is 0 outside, and its slope is finite at 0 where it can be.
def _pdf_x(x: Any, a: Any, loc: Any, scale: Any) -> Any:
    return over(over(gamma_slope.op(a, standardized(x, loc, scale)), scale), scale)


def _pdf_scale(x: Any, a: Any, loc: Any, scale: Any) -> Any:
    z = standardized(x, loc, scale)
    made = gamma_density.op(a, z, lower=-1) - a * gamma_density.op(a, z)
    return over(over(made, scale), scale)


def _cdf_scale(x: Any, a: Any, loc: Any, scale: Any) -> Any:
    return over(-gamma_density.op(a, standardized(x, loc, scale), lower=-1), scale)


elementwise(
    logpdf,
    _score,
    _a_score,
    lambda x, a, loc, scale: -_score(x, a, loc, scale),
    _scale_score,
)
elementwise(
    pdf,
    _pdf_x,
    lambda x, a, loc, scale: over(gamma_density.op(a, standardized(x, loc, scale), order=1), scale),
    lambda x, a, loc, scale: -_pdf_x(x, a, loc, scale),
    _pdf_scale,
)
elementwise(
    cdf,
    lambda x, a, loc, scale: pdf.op(x, a, loc, scale),
    lambda x, a, loc, scale: gamma_moment.op(a, standardized(x, loc, scale), order=1),
    lambda x, a, loc, scale: -pdf.op(x, a, loc, scale),
    _cdf_scale,
)

# ----- the distributions, with SciPy's signatures -----------------------------------------------


class gamma(Distribution):
    """The gamma distribution; z is (x - loc) / scale.  Outside the support each derivative is 0."""

    def pdf(self, x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Tensor:
        """Density; its derivatives are those of logpdf times it."""
        return pdf(*operands(x, a, loc, scale))  # type: ignore[no-any-return]

    def logpdf(self, x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Tensor:
        """Logarithm of the density; its derivative in x is ((a - 1) / z - 1) / scale.

        In a it is log(z) - digamma(a), in scale (z - a) / scale.
        """
        return logpdf(*operands(x, a, loc, scale))  # type: ignore[no-any-return]

    def cdf(self, x: Any, a: Any, loc: Any = 0, scale: Any = 1) -> Tensor:
        """Distribution function; its derivative in x is the density, in a by quadrature."""
        return cdf(*operands(x, a, loc, scale))  # type: ignore[no-any-return]


def _as_gamma(x: Any, df: Any, loc: Any, scale: Any) -> tuple[Any, ...]:
    """Return the arguments of the gamma distribution: a = df / 2, and twice the scale."""
    x, df, loc, scale = operands(x, df, loc, scale)
    return x, multiply.op(df, 0.5), loc, 2 * scale if type(scale) is int else scale * 2.0


class chi2(Distribution):
    """Chi-squared, the gamma distribution of a = df / 2 and twice the scale."""

    def pdf(self, x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Tensor:
        """Density; its derivatives are those of logpdf times it, in df too."""
        return pdf(*_as_gamma(x, df, loc, scale))  # type: ignore[no-any-return]

    def logpdf(self, x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Tensor:
        """Logarithm of the density; its derivative in x is ((df / 2 - 1) / z - 1 / 2) / scale.

        In df it is (log(z / 2) - digamma(df / 2)) / 2.
        """
        return logpdf(*_as_gamma(x, df, loc, scale))  # type: ignore[no-any-return]

    def cdf(self, x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Tensor:
        """Distribution function; its derivative in x is the density, in df by quadrature."""
        return cdf(*_as_gamma(x, df, loc, scale))  # type: ignore[no-any-return]
