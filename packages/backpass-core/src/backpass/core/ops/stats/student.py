"""Student's t distribution."""

from __future__ import annotations

from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.ops.elementwise import equal, exp, log1p, where, zero_multiply
from backpass.core.ops.special.incomplete import as_float, positive
from backpass.core.ops.special.student import (
    stdtr,
    stdtr_df,
    student_center,
    student_density,
    student_log_density,
    student_score,
)
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

# ----- the functions ----------------------------------------------------------------------------


@primitive(name="t_logpdf")
def logpdf(xp: Any, x: Any, df: Any, loc: Any, scale: Any) -> Any:
    """Logarithm of Gamma(h) / (Gamma(df / 2) * sqrt(pi * df) * scale * (1 + z**2 / df)**h).

    h is (df + 1) / 2.
    """
    z = standard(xp, x, loc, scale)
    with numpy.errstate(all="ignore"):
        made = student_log_density(xp, positive(xp, as_float(xp, df)), z)
    return (made if is_number(scale, 1) else made - log_scale(xp, scale))[()]


@primitive(name="t_pdf")
def pdf(xp: Any, x: Any, df: Any, loc: Any, scale: Any) -> Any:
    """exp(logpdf)."""
    made = student_density.op(df, standard(xp, x, loc, scale))
    return made if is_number(scale, 1) else made / positive(xp, scale)


@primitive(name="t_cdf")
def cdf(xp: Any, x: Any, df: Any, loc: Any, scale: Any) -> Any:
    """stdtr(df, z)."""
    return stdtr.op(as_float(xp, df), standard(xp, x, loc, scale))


@primitive(name="t_logcdf")
def logcdf(xp: Any, x: Any, df: Any, loc: Any, scale: Any) -> Any:
    """Logarithm of cdf: by what is missing from 1 where that is the smaller part."""
    z = standard(xp, x, loc, scale)
    part = stdtr.op(as_float(xp, df), -abs(z))
    with numpy.errstate(divide="ignore"):
        return xp.where(z > 0, xp.log1p(-part), xp.log(part))[()]


# ----- the rules --------------------------------------------------------------------------------


def _share(x: Any, df: Any, loc: Any, scale: Any) -> tuple[Any, Any]:
    """Return z, and 1 + z**2 / df: 1 for df = inf."""
    z = standardized(x, loc, scale)
    return z, 1 + z * z / df


def _score(x: Any, df: Any, loc: Any, scale: Any) -> Any:
    """Return the derivative of logpdf in x."""
    z, share = _share(x, df, loc, scale)
    return over(-(1 + 1 / df) * z / share, scale)


def _df_score(x: Any, df: Any, loc: Any, scale: Any) -> Any:
    """Return the derivative of logpdf in df; 0 for df = inf."""
    z, share = _share(x, df, loc, scale)
    return -0.5 * log1p.op(share - 1) - student_center.op(df) + student_score(df, z)


def _scale_score(x: Any, df: Any, loc: Any, scale: Any) -> Any:
    """Return the derivative of logpdf in scale."""
    z, share = _share(x, df, loc, scale)
    return over((z * z - 1) / share, scale)


def _cdf_x(x: Any, df: Any, loc: Any, scale: Any) -> Any:
    return pdf.op(x, df, loc, scale)


def _cdf_df(x: Any, df: Any, loc: Any, scale: Any) -> Any:
    return stdtr_df(df, standardized(x, loc, scale))


def _cdf_scale(x: Any, df: Any, loc: Any, scale: Any) -> Any:
    return -zero_multiply.op(pdf.op(x, df, loc, scale), standardized(x, loc, scale))


def _log(ans: Any, d: Any) -> Any:
    """Return the derivative d of cdf as that of its logarithm; 0 where cdf is 0 in float64."""
    weight = exp.op(ans)
    lost = equal.op(weight, 0)
    return where.op(lost, 0.0, d / where.op(lost, 1.0, weight))


elementwise(
    logpdf,
    _score,
    _df_score,
    lambda x, df, loc, scale: -_score(x, df, loc, scale),
    _scale_score,
)
elementwise(
    pdf,
    lambda ans, x, df, loc, scale: zero_multiply.op(ans, _score(x, df, loc, scale)),
    lambda ans, x, df, loc, scale: zero_multiply.op(ans, _df_score(x, df, loc, scale)),
    lambda ans, x, df, loc, scale: -zero_multiply.op(ans, _score(x, df, loc, scale)),
    lambda ans, x, df, loc, scale: zero_multiply.op(ans, _scale_score(x, df, loc, scale)),
)
elementwise(
    cdf,
    _cdf_x,
    _cdf_df,
    lambda x, df, loc, scale: -_cdf_x(x, df, loc, scale),
    _cdf_scale,
)
elementwise(
    logcdf,
    lambda ans, x, df, loc, scale: _log(ans, _cdf_x(x, df, loc, scale)),
    lambda ans, x, df, loc, scale: _log(ans, _cdf_df(x, df, loc, scale)),
    lambda ans, x, df, loc, scale: -_log(ans, _cdf_x(x, df, loc, scale)),
    lambda ans, x, df, loc, scale: _log(ans, _cdf_scale(x, df, loc, scale)),
)

# ----- the distribution, with SciPy's signatures ------------------------------------------------


class t(Distribution):
    """Student's t distribution, normal for df = inf; z is (x - loc) / scale."""

    def pdf(self, x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Tensor:
        """Density; its derivatives are those of logpdf times it."""
        return pdf(*operands(x, df, loc, scale))  # type: ignore[no-any-return]

    def logpdf(self, x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Tensor:
        """Logarithm of the density; its derivative in x is -(df + 1) * z / (df + z**2) / scale.

        In df it is (digamma((df + 1) / 2) - digamma(df / 2) - log(1 + z**2 / df)) / 2
        + (z**2 - 1) / (2 * (df + z**2)).
        """
        return logpdf(*operands(x, df, loc, scale))  # type: ignore[no-any-return]

    def cdf(self, x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Tensor:
        """Distribution function; its derivative in x is the density, in df by quadrature."""
        return cdf(*operands(x, df, loc, scale))  # type: ignore[no-any-return]

    def logcdf(self, x: Any, df: Any, loc: Any = 0, scale: Any = 1) -> Tensor:
        """Logarithm of cdf; its derivative in x is pdf / cdf, in df by quadrature."""
        return logcdf(*operands(x, df, loc, scale))  # type: ignore[no-any-return]
