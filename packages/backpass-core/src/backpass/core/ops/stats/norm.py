"""The normal distribution."""

from __future__ import annotations

import math
from typing import Any

from backpass.core.arity import primitive
from backpass.core.ops.elementwise import zero_multiply
from backpass.core.ops.special.incomplete import positive, special_of
from backpass.core.ops.special.normal import normal_hazard
from backpass.core.ops.stats.distribution import (
    Distribution,
    is_number,
    log_scale,
    operands,
    over,
    standard,
    standardized,
)
from backpass.core.rules import elementwise
from backpass.core.tensor import Tensor

_LOG_ROOT = 0.5 * math.log(2 * math.pi)

# ----- the functions ----------------------------------------------------------------------------


@primitive(name="norm_pdf")
def pdf(xp: Any, x: Any, loc: Any, scale: Any) -> Any:
    """exp(-z**2 / 2) / (sqrt(2 * pi) * scale), where z = (x - loc) / scale."""
    z = standard(xp, x, loc, scale)
    made = z * z
    made *= -0.5
    made = xp.exp(made)
    made *= 1 / math.sqrt(2 * math.pi)
    return made if is_number(scale, 1) else made / positive(xp, scale)


@primitive(name="norm_logpdf")
def logpdf(xp: Any, x: Any, loc: Any, scale: Any) -> Any:
    """-z**2 / 2 - log(sqrt(2 * pi) * scale), where z = (x - loc) / scale."""
    z = standard(xp, x, loc, scale)
    made = z * z
    made *= -0.5
    return made - (_LOG_ROOT if is_number(scale, 1) else log_scale(xp, scale) + _LOG_ROOT)


@primitive(name="norm_cdf")
def cdf(xp: Any, x: Any, loc: Any, scale: Any) -> Any:
    """ndtr(z)."""
    return special_of(xp).ndtr(standard(xp, x, loc, scale))


@primitive(name="norm_sf")
def sf(xp: Any, x: Any, loc: Any, scale: Any) -> Any:
    """ndtr(-z)."""
    return special_of(xp).ndtr(-standard(xp, x, loc, scale))


@primitive(name="norm_logcdf")
def logcdf(xp: Any, x: Any, loc: Any, scale: Any) -> Any:
    """log_ndtr(z)."""
    return special_of(xp).log_ndtr(standard(xp, x, loc, scale))


@primitive(name="norm_logsf")
def logsf(xp: Any, x: Any, loc: Any, scale: Any) -> Any:
    """log_ndtr(-z)."""
    return special_of(xp).log_ndtr(-standard(xp, x, loc, scale))


# ----- the rules --------------------------------------------------------------------------------


def _score(x: Any, loc: Any, scale: Any) -> Any:
    """Return the derivative of logpdf in x: -z / scale."""
    return over(loc - x, scale * scale if not is_number(scale, 1) else 1)


def _scale_score(x: Any, loc: Any, scale: Any) -> Any:
    """Return the derivative of logpdf in scale: (z**2 - 1) / scale."""
    z = standardized(x, loc, scale)
    return over(z * z - 1, scale)


def _hazard(sign: int, x: Any, loc: Any, scale: Any) -> Any:
    """Return the density over the weight above x, or for sign = -1 over that below it."""
    z = standardized(x, loc, scale)
    return over(normal_hazard.op(z if sign > 0 else -z), scale)


# z is infinite where the density is 0.
def _times_z(d: Any, x: Any, loc: Any, scale: Any) -> Any:
    return zero_multiply.op(d, standardized(x, loc, scale))


elementwise(
    logpdf,
    _score,
    lambda x, loc, scale: -_score(x, loc, scale),
    _scale_score,
)
elementwise(
    pdf,
    lambda ans, x, loc, scale: zero_multiply.op(ans, _score(x, loc, scale)),
    lambda ans, x, loc, scale: -zero_multiply.op(ans, _score(x, loc, scale)),
    lambda ans, x, loc, scale: zero_multiply.op(ans, _scale_score(x, loc, scale)),
)
elementwise(
    cdf,
    lambda x, loc, scale: pdf.op(x, loc, scale),
    lambda x, loc, scale: -pdf.op(x, loc, scale),
    lambda x, loc, scale: -_times_z(pdf.op(x, loc, scale), x, loc, scale),
)
elementwise(
    sf,
    lambda x, loc, scale: -pdf.op(x, loc, scale),
    lambda x, loc, scale: pdf.op(x, loc, scale),
    lambda x, loc, scale: _times_z(pdf.op(x, loc, scale), x, loc, scale),
)
elementwise(
    logcdf,
    lambda x, loc, scale: _hazard(-1, x, loc, scale),
    lambda x, loc, scale: -_hazard(-1, x, loc, scale),
    lambda x, loc, scale: -_times_z(_hazard(-1, x, loc, scale), x, loc, scale),
)
elementwise(
    logsf,
    lambda x, loc, scale: -_hazard(1, x, loc, scale),
    lambda x, loc, scale: _hazard(1, x, loc, scale),
    lambda x, loc, scale: _times_z(_hazard(1, x, loc, scale), x, loc, scale),
)

# ----- the distribution, with SciPy's signatures ------------------------------------------------


class norm(Distribution):
    """The normal distribution; z is (x - loc) / scale."""

    def pdf(self, x: Any, loc: Any = 0, scale: Any = 1) -> Tensor:
        """Density; its derivative in x is -z * ans / scale, in scale (z**2 - 1) * ans / scale."""
        return pdf(*operands(x, loc, scale))  # type: ignore[no-any-return]

    def logpdf(self, x: Any, loc: Any = 0, scale: Any = 1) -> Tensor:
        """Logarithm of the density; derivative -z / scale in x, (z**2 - 1) / scale in scale."""
        return logpdf(*operands(x, loc, scale))  # type: ignore[no-any-return]

    def cdf(self, x: Any, loc: Any = 0, scale: Any = 1) -> Tensor:
        """Distribution function; its derivative in x is the density, in scale -z times that."""
        return cdf(*operands(x, loc, scale))  # type: ignore[no-any-return]

    def sf(self, x: Any, loc: Any = 0, scale: Any = 1) -> Tensor:
        """1 - cdf; its derivative in x is minus the density."""
        return sf(*operands(x, loc, scale))  # type: ignore[no-any-return]

    def logcdf(self, x: Any, loc: Any = 0, scale: Any = 1) -> Tensor:
        """Logarithm of cdf; its derivative in x is pdf / cdf, finite however small both are."""
        return logcdf(*operands(x, loc, scale))  # type: ignore[no-any-return]

    def logsf(self, x: Any, loc: Any = 0, scale: Any = 1) -> Tensor:
        """Logarithm of sf; its derivative in x is -pdf / sf, finite however small both are."""
        return logsf(*operands(x, loc, scale))  # type: ignore[no-any-return]
