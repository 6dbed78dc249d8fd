r"""Student's distribution function, differentiable in the degrees of freedom too.

In the angle T with tan(T) = x / sqrt(df) the density is C(df) * cos(T)^(df-1): the derivative in df
at a fixed angle has the factor L = log(cos T) - center(df), where `center` is the mean of
log(cos T), and those of higher order Bell polynomials of it, as in `incomplete.py`.  What remains
is that the angle of a fixed x moves with df.  The log-moments are those of the beta distribution
with parameters df / 2 and 1 / 2, which cos(T)**2 has.
"""

from __future__ import annotations

import math
from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.ops.elementwise import isinf, where, zero_multiply
from backpass.core.ops.special.gamma import polygamma_
from backpass.core.ops.special.incomplete import (
    as_float,
    bell,
    beta_moments,
    positive,
    special_of,
)
from backpass.core.rules import elementwise


@primitive
def student_center(xp: Any, df: Any, *, order: int = 0) -> Any:
    """Differentiate the mean of log(cos T) `order` times in df; 0 for df = inf."""
    df = as_float(xp, df)
    finite = xp.where(xp.isinf(df), 1.0, df)
    made = polygamma_.op(order, finite / 2) - polygamma_.op(order, (finite + 1) / 2)
    return xp.where(xp.isinf(df), 0.0, 0.5 ** (order + 1) * made)[()]


elementwise(student_center, lambda df, *, order=0: student_center.op(df, order=order + 1))


def student_log_density(xp: Any, df: Any, x: Any) -> Any:
    """Return the logarithm of Student's density; the normal one's for df = inf."""
    infinite = xp.isinf(df)
    finite = xp.where(infinite, 1.0, df)
    made = (
        xp.log(special_of(xp).poch(finite / 2, 0.5) / xp.sqrt(finite))
        - 0.5 * math.log(math.pi)
        - (finite + 1) / 2 * xp.log1p(x * x / finite)
    )
    return xp.where(infinite, -0.5 * x * x - 0.5 * math.log(2 * math.pi), made)


@primitive
def student_density(xp: Any, df: Any, x: Any, *, order: int = 0) -> Any:
    """Student's density times the factor of its derivative of that order at a fixed angle."""
    df, x = as_float(xp, df), as_float(xp, x)
    with numpy.errstate(all="ignore"):
        made = xp.exp(student_log_density(xp, positive(xp, df), x))
        if order:
            log_cos = -0.5 * xp.log1p(x * x / df)

            def logs(k: int, _: int) -> Any:
                center = student_center.op(df, order=k - 1)
                return log_cos - center if k == 1 else -center

            made = made * bell(logs, order)
    return made[()]


def student_score(df: Any, x: Any) -> Any:
    """Return the derivative of the density's logarithm in df at a fixed x, but for L."""
    return (x * x - 1) / (2 * (df + x * x))


def _student_density_x(df: Any, x: Any, *, order: int = 0) -> Any:
    # (df + 1) / (df + x**2), with both divided by a df that may be infinite; and x**2 may overflow.
    slope = (1 + 1 / df) * x / (1 + x * x / df)
    made = -zero_multiply.op(student_density.op(df, x, order=order), slope)
    if order:
        made = made - order * x / (df + x * x) * student_density.op(df, x, order=order - 1)
    return made


def _student_density_df(df: Any, x: Any, *, order: int = 0) -> Any:
    made = student_density.op(df, x, order=order + 1)
    made = made + zero_multiply.op(student_density.op(df, x, order=order), student_score(df, x))
    if order:
        moved = 0.5 * order * x * x / (df * (df + x * x))
        made = made + moved * student_density.op(df, x, order=order - 1)
    return made


elementwise(student_density, _student_density_df, _student_density_x)


@primitive
def student_moment(xp: Any, df: Any, x: Any, *, order: int) -> Any:
    """Differentiate the distribution function `order` times in df at a fixed angle, 1 at least."""
    df, x = xp.broadcast_arrays(xp.asarray(as_float(xp, df)), xp.asarray(as_float(xp, x)))
    with numpy.errstate(all="ignore"):
        finite = xp.isfinite(df) & xp.isfinite(x)
        there = xp.where(finite & (df > 0), df, 1.0)
        square = xp.where(finite, x * x, 1.0)
        far = square > there
        ratio = xp.where(far, there / square, square / there)
        # cos**2 and sin**2, the smaller one to all its digits.
        large, small = 1 / (1 + ratio), ratio / (1 + ratio)
        cos, sin = xp.where(far, small, large), xp.where(far, large, small)
        outer = beta_moments(xp, there / 2, 0.5, cos, sin, order, 0)
        made = xp.where(finite, -xp.sign(x) * 0.5 ** (order + 1) * outer, 0.0)
        return xp.where((df > 0) & ~xp.isnan(x), made, numpy.nan)[()]


def _student_angle(df: Any, x: Any, density: Any) -> Any:
    """Return what the angle of a fixed x adds when df grows: -x / (2 * df) times the density."""
    return zero_multiply.op(density, -0.5 * x / df)


def _student_moment_df(df: Any, x: Any, *, order: int) -> Any:
    made = student_moment.op(df, x, order=order + 1)
    return made + _student_angle(df, x, student_density.op(df, x, order=order))


elementwise(
    student_moment,
    _student_moment_df,
    lambda df, x, *, order: student_density.op(df, x, order=order),
)


def stdtr_by_betainc(xp: Any, df: Any, t: Any) -> Any:
    """Return Student's distribution function where the array library has none of its own."""
    betainc, ndtr = special_of(xp).betainc, special_of(xp).ndtr
    infinite = xp.isinf(df)
    finite = xp.where(infinite | (df <= 0), 1.0, df)
    square = t * t
    total = finite + square
    # The part beyond |t|, or the part between -|t| and |t|: the smaller one.
    near = square < 1
    outer = 0.5 * betainc(finite / 2, 0.5, xp.where(near, 0.5, finite / total))
    inner = 0.5 * betainc(0.5, finite / 2, xp.where(near, square / total, 0.5))
    made = xp.where(near, 0.5 + xp.sign(t) * inner, xp.where(t > 0, 1 - outer, outer))
    made = xp.where(infinite, ndtr(t), made)
    return xp.where((df > 0) & ~xp.isnan(t), made, numpy.nan)


@primitive
def stdtr(xp: Any, df: Any, t: Any) -> Any:
    """Student's distribution function; its derivative in t is the density.

    In df it is the integral of the density's derivative up to t, by quadrature.
    """
    native = getattr(special_of(xp), "stdtr", None)
    if native is not None:
        return native(df, t)
    made = stdtr_by_betainc(xp, df, t)
    single = xp.result_type(df, t) == numpy.float32
    return (made.astype(numpy.float32) if single else made)[()]


def stdtr_df(df: Any, t: Any) -> Any:
    """Return the derivative of `stdtr` in df; it is 0 for df = inf."""
    made = student_moment.op(df, t, order=1) + _student_angle(df, t, student_density.op(df, t))
    return where.op(isinf.op(df), 0.0, made)


elementwise(stdtr, stdtr_df, lambda df, t: student_density.op(df, t))
