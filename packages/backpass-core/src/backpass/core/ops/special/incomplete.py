r"""The incomplete gamma and beta functions, differentiable in their parameters too.

In x their derivatives are densities.  In a parameter they are *log-moments*: the density of the
gamma distribution is t^(a-1) exp(-t) / Gamma(a), and its derivative in a has the further factor
A = log(t) - digamma(a).  Its derivative of order k has a polynomial in A as its factor, the
complete Bell polynomial of A and minus the polygamma functions of a, and so

    d^k/da^k gammainc(a, x)  =  E[B_k(A); T < x],   T gamma distributed.

The beta distribution has A = log(t) + ... for a and B = log(1 - t) + ... for b, and Student's has
the logarithm of the cosine of an angle for its degrees of freedom.  These families are closed: one
primitive of a density's derivatives and one of a log-moment give every order.

The log-moments are integrals without a closed form.  They are computed by double exponential
quadrature (Takahasi and Mori, 1974) over the tail on that side of the mean on which x lies; over
everything they are 0, because the derivatives of 1 are.  Only the *average* over the tail comes
from the quadrature, the tail's weight is the incomplete function itself.  So the relative precision
holds far out in the tails: 1e-10 for parameters from 1e-3 to 1e6, unless one of a and b is so much
the smaller that digamma(a) - digamma(a + b) has lost its digits.
"""

from __future__ import annotations

import functools
import importlib
import math
from collections.abc import Callable
from typing import Any

import numpy

from backpass.core.arity import Nary, primitive
from backpass.core.backends import backends
from backpass.core.ops.elementwise import zero_multiply
from backpass.core.ops.special.gamma import polygamma_
from backpass.core.rules import elementwise

# ----- helpers of the functions -----------------------------------------------------------------


@functools.cache
def special_of(xp: Any) -> Any:
    """Return the module of special functions that belongs to an array library."""
    home = next((b.scipy for b in backends() if b.library is xp), "scipy")
    return importlib.import_module(f"{home}.special")


def as_float(xp: Any, x: Any) -> Any:
    """Return an operand in float64, in which densities and their integrals are computed."""
    if type(x) in (float, int, bool):
        return numpy.float64(x)
    if not hasattr(x, "dtype"):
        x = xp.asarray(x)
    return x if x.dtype == numpy.float64 else x.astype(numpy.float64)


def times(xp: Any, c: Any, x: Any) -> Any:
    """Return c * x, 0 where c is 0; quickly where c is one number."""
    if isinstance(c, numpy.floating):
        return c * x if c != 0 else 0.0
    return xp.where(c == 0, 0.0, c * x)


def positive(xp: Any, x: Any) -> Any:
    """Return x, nan where it is not positive: a scale or another parameter that must be."""
    if type(x) in (int, float) or isinstance(x, numpy.generic):
        return x if x > 0 else numpy.float64(math.nan)
    return xp.where(x > 0, x, numpy.nan)


def _less_one(xp: Any, c: Any) -> Any:
    """Return c - 1, but 0 where c is 0: the exponent in the derivative of x**c."""
    if isinstance(c, numpy.floating):
        return c - 1 if c != 0 else c
    return xp.where(c == 0, 0.0, c - 1)


def _weighted(xp: Any, weight: Any, factor: Any) -> Any:
    """Return weight * factor, 0 where the weight is 0 and the factor's logarithms are infinite."""
    return xp.where(weight == 0, weight, weight * factor)


# ----- the quadrature ---------------------------------------------------------------------------

#: How many elements are integrated at once: the nodes make a second axis.
_BLOCK = 2048


@functools.cache
def _nodes(xp: Any, place: Any) -> tuple[Any, Any]:
    """Return nodes and weights for functions on (0, inf) that decay like exp(-v): v = e^(u-e^-u).

    They crowd at 0, so that a singularity behind it, however near, does no harm.  `place` is the
    number of the library's current device, where it has several.
    """
    step = 1 / 13
    u = numpy.arange(-3.7, 6.8, step)
    v = numpy.exp(u - numpy.exp(-u))
    return xp.asarray(v), xp.asarray(step * v * (1 + numpy.exp(-u)))


def _averages(xp: Any, tail: Callable[..., tuple[Any, Any]], *operands: Any) -> Any:
    """Return the average over a tail: `tail(v, *operands)` is log-density and integrand."""
    operands = xp.broadcast_arrays(*operands)
    v, w = _nodes(xp, getattr(getattr(operands[0], "device", None), "id", None))
    shape = operands[0].shape
    flat = [x.reshape(-1, 1) for x in operands]
    parts = []
    for start in range(0, flat[0].shape[0], _BLOCK):
        logs, integrand = tail(v, *(x[start : start + _BLOCK] for x in flat))
        weights = w * xp.exp(logs)
        parts.append(xp.sum(weights * integrand, axis=1) / xp.sum(weights, axis=1))
    return (xp.concatenate(parts) if parts else xp.zeros(0)).reshape(shape)


def bell(logs: Callable[[int, int], Any], m: int, n: int = 0) -> Any:
    """Return what the derivative of order (m, n) of a function has as a factor of the function.

    `logs(i, j)` is the derivative of that order of the function's logarithm.
    """
    if m == 0 and n == 0:
        return 1.0
    if m == 0:
        return bell(lambda i, j: logs(j, i), n)
    return sum(
        math.comb(m - 1, i) * math.comb(n, j) * logs(i + 1, j) * bell(logs, m - 1 - i, n - j)
        for i in range(m)
        for j in range(n + 1)
    )


# ----- gamma ------------------------------------------------------------------------------------


def _gamma_logs(special: Any, a: Any, log_x: Any) -> Callable[[int, int], Any]:
    """Return the derivatives in a of the logarithm of the gamma distribution's density."""

    def logs(order: int, _: int) -> Any:
        if order == 1:
            return log_x - special.digamma(a)
        return -polygamma_.op(order - 1, a)

    return logs


#: In the place of x = inf, where the density is 0, and not inf - inf.
_LARGE = 1e308


@primitive
def gamma_density(xp: Any, a: Any, x: Any, *, lower: int = 0, order: int = 0) -> Any:
    """Differentiate x^(a-1-lower) exp(-x) / Gamma(a), 0 for negative x, `order` times in a."""
    a, x = as_float(xp, a), xp.minimum(as_float(xp, x), _LARGE)
    special = special_of(xp)
    with numpy.errstate(all="ignore"):
        a = positive(xp, a)
        log_x = xp.log(x)
        weight = xp.exp(times(xp, a - (1 + lower), log_x) - x - special.gammaln(a))
        # Where a is nan it remains so.
        weight = xp.where(x < 0, 0 * a, weight)
        if order:
            weight = _weighted(xp, weight, bell(_gamma_logs(special, a, log_x), order))
    return weight[()]


@primitive
def gamma_slope(xp: Any, a: Any, x: Any, *, lower: int = 0) -> Any:
    """Differentiate `gamma_density` in x, for order 0: finite at x = 0 wherever it is."""
    a, x = as_float(xp, a), xp.minimum(as_float(xp, x), _LARGE)
    with numpy.errstate(all="ignore"):
        a = positive(xp, a)
        c = a - (1 + lower)
        weight = times(xp, _less_one(xp, c), xp.log(x)) - x - special_of(xp).gammaln(a)
        factor = xp.where(c == 0, -1.0, c - x)
        return xp.where(x < 0, 0 * a, factor * xp.exp(weight))[()]


def _gamma_density_x(a: Any, x: Any, *, lower: int = 0, order: int = 0) -> Any:
    if not order:
        return gamma_slope.op(a, x, lower=lower)
    # At x = 0 the density may be infinite where the exponent is 0.
    steep = zero_multiply.op(a - (1 + lower), gamma_density.op(a, x, lower=lower + 1, order=order))
    made = steep - gamma_density.op(a, x, lower=lower, order=order)
    return made + order * gamma_density.op(a, x, lower=lower + 1, order=order - 1)


def _gamma_slope_a(a: Any, x: Any, *, lower: int = 0) -> Any:
    steep = gamma_density.op(a, x, lower=lower + 1, order=1)
    made = zero_multiply.op(a - (1 + lower), steep) - gamma_density.op(a, x, lower=lower, order=1)
    return made + gamma_density.op(a, x, lower=lower + 1)


def _gamma_slope_x(a: Any, x: Any, *, lower: int = 0) -> Any:
    steep = zero_multiply.op(a - (1 + lower), gamma_slope.op(a, x, lower=lower + 1))
    return steep - gamma_slope.op(a, x, lower=lower)


elementwise(
    gamma_density,
    lambda a, x, *, lower=0, order=0: gamma_density.op(a, x, lower=lower, order=order + 1),
    _gamma_density_x,
)
elementwise(gamma_slope, _gamma_slope_a, _gamma_slope_x)


def _lower_gamma(xp: Any, v: Any, a: Any, x: Any) -> tuple[Any, Any]:
    """T = x exp(-s), below x <= a: return its log-density in s, but for a constant, and log T."""
    s = v / xp.maximum(a - x, xp.minimum(a, xp.sqrt(a)))
    return -a * s - x * xp.expm1(-s), xp.log(x) - s


def _upper_gamma(xp: Any, v: Any, a: Any, x: Any) -> tuple[Any, Any]:
    """T = x + s, above x >= a: likewise."""
    s = v * xp.maximum(1.0, x / xp.maximum(x - a + 1, xp.sqrt(x)))
    ratio = xp.log1p(s / x)
    return (a - 1) * ratio - s, xp.log(x) + ratio


@primitive
def gamma_moment(xp: Any, a: Any, x: Any, *, order: int) -> Any:
    """Differentiate the gamma distribution function `order` times in a, 1 at least."""
    a, x = xp.broadcast_arrays(xp.asarray(as_float(xp, a)), xp.asarray(as_float(xp, x)))
    special = special_of(xp)
    proper = (a > 0) & xp.isfinite(a)
    good = proper & (x > 0) & xp.isfinite(x)
    there, at = xp.where(proper, a, 1.0), xp.where(good, x, 1.0)

    def average(tail: Callable[..., tuple[Any, Any]], x: Any) -> Any:
        def weighted(v: Any, a: Any, x: Any) -> tuple[Any, Any]:
            density, log_t = tail(xp, v, a, x)
            return density, bell(_gamma_logs(special, a, log_t), order)

        return _averages(xp, weighted, there, x)

    below = at <= there
    lower = special.gammainc(there, at) * average(_lower_gamma, xp.where(below, at, there))
    upper = special.gammaincc(there, at) * average(_upper_gamma, xp.where(below, there, at))
    ends = xp.where(proper & ~xp.isnan(x), 0.0, numpy.nan)
    return xp.where(good, xp.where(below, lower, -upper), ends)[()]


elementwise(
    gamma_moment,
    lambda a, x, *, order: gamma_moment.op(a, x, order=order + 1),
    lambda a, x, *, order: gamma_density.op(a, x, order=order),
)

gammainc = Nary(
    "gammainc",
    module="scipy.special",
    parameters=("a", "x"),
    doc="""Regularized lower incomplete gamma function.

    Its derivative in x is x**(a - 1) * exp(-x) / Gamma(a); in a it is the integral of
    (log(t) - digamma(a)) * t**(a - 1) * exp(-t) / Gamma(a) from 0 to x, by quadrature.""",
)
gammaincc = Nary(
    "gammaincc",
    module="scipy.special",
    parameters=("a", "x"),
    doc="1 - gammainc(a, x); its derivatives are those of gammainc with the other sign.",
)
elementwise(
    gammainc, lambda a, x: gamma_moment.op(a, x, order=1), lambda a, x: gamma_density.op(a, x)
)
elementwise(
    gammaincc, lambda a, x: -gamma_moment.op(a, x, order=1), lambda a, x: -gamma_density.op(a, x)
)

# ----- beta -------------------------------------------------------------------------------------


def _beta_logs(special: Any, a: Any, b: Any, log_x: Any, log_y: Any) -> Callable[[int, int], Any]:
    """Return the derivatives in a and b of the logarithm of the beta distribution's density."""

    def logs(m: int, n: int) -> Any:
        k = m + n - 1
        made = polygamma_.op(k, a + b)
        if n == 0:
            made = made - polygamma_.op(k, a)
        elif m == 0:
            made = made - polygamma_.op(k, b)
        if k:
            return made
        return (log_x if m else log_y) + made

    return logs


@primitive
def beta_density(
    xp: Any, a: Any, b: Any, x: Any, *, lower: int = 0, upper: int = 0, m: int = 0, n: int = 0
) -> Any:
    """Differentiate x^(a-1-lower) (1-x)^(b-1-upper) / B(a, b) m times in a and n times in b.

    It is 0 outside of [0, 1].
    """
    a, b, x = as_float(xp, a), as_float(xp, b), as_float(xp, x)
    special = special_of(xp)
    with numpy.errstate(all="ignore"):
        a, b = positive(xp, a), positive(xp, b)
        log_x, log_y = xp.log(x), xp.log1p(-x)
        weight = times(xp, a - (1 + lower), log_x) + times(xp, b - (1 + upper), log_y)
        weight = xp.exp(weight - special.betaln(a, b))
        # Where a parameter is nan it remains so, and for a nan x even if both exponents are 0.
        weight = xp.where((x >= 0) & (x <= 1), weight, xp.where(x != x, x, 0 * (a + b)))
        if m or n:
            factor = bell(_beta_logs(special, a, b, log_x, log_y), m, n)
            weight = _weighted(xp, weight, factor)
    return weight[()]


@primitive
def beta_slope(xp: Any, a: Any, b: Any, x: Any, *, lower: int = 0, upper: int = 0) -> Any:
    """Differentiate `beta_density` in x, for m = n = 0: finite at the ends wherever it is."""
    a, b, x = as_float(xp, a), as_float(xp, b), as_float(xp, x)
    with numpy.errstate(all="ignore"):
        a, b = positive(xp, a), positive(xp, b)
        c, d = a - (1 + lower), b - (1 + upper)
        weight = times(xp, _less_one(xp, c), xp.log(x))
        weight = weight + times(xp, _less_one(xp, d), xp.log1p(-x)) - special_of(xp).betaln(a, b)
        factor = c * xp.where(d == 0, 1.0, 1 - x) - d * xp.where(c == 0, 1.0, x)
        made = factor * xp.exp(weight)
        return xp.where((x >= 0) & (x <= 1), made, xp.where(x != x, x, 0 * (a + b)))[()]


def _beta_density_x(
    a: Any, b: Any, x: Any, *, lower: int = 0, upper: int = 0, m: int = 0, n: int = 0
) -> Any:
    if not (m or n):
        return beta_slope.op(a, b, x, lower=lower, upper=upper)
    left = functools.partial(beta_density.op, a, b, x, lower=lower + 1, upper=upper)
    right = functools.partial(beta_density.op, a, b, x, lower=lower, upper=upper + 1)
    made = zero_multiply.op(a - (1 + lower), left(m=m, n=n))
    made = made - zero_multiply.op(b - (1 + upper), right(m=m, n=n))
    if m:
        made = made + m * left(m=m - 1, n=n)
    return made - n * right(m=m, n=n - 1) if n else made


def _beta_slope(density: Any, a: Any, b: Any, x: Any, lower: int, upper: int, **powers: int) -> Any:
    """Return what `beta_slope` is made of, of another density in the place of the plain one."""
    left = density.op(a, b, x, lower=lower + 1, upper=upper, **powers)
    right = density.op(a, b, x, lower=lower, upper=upper + 1, **powers)
    return zero_multiply.op(a - (1 + lower), left) - zero_multiply.op(b - (1 + upper), right)


def _beta_slope_a(a: Any, b: Any, x: Any, *, lower: int = 0, upper: int = 0) -> Any:
    made = _beta_slope(beta_density, a, b, x, lower, upper, m=1)
    return made + beta_density.op(a, b, x, lower=lower + 1, upper=upper)


def _beta_slope_b(a: Any, b: Any, x: Any, *, lower: int = 0, upper: int = 0) -> Any:
    made = _beta_slope(beta_density, a, b, x, lower, upper, n=1)
    return made - beta_density.op(a, b, x, lower=lower, upper=upper + 1)


elementwise(
    beta_density,
    lambda a, b, x, *, lower=0, upper=0, m=0, n=0: beta_density.op(
        a, b, x, lower=lower, upper=upper, m=m + 1, n=n
    ),
    lambda a, b, x, *, lower=0, upper=0, m=0, n=0: beta_density.op(
        a, b, x, lower=lower, upper=upper, m=m, n=n + 1
    ),
    _beta_density_x,
)
elementwise(
    beta_slope,
    _beta_slope_a,
    _beta_slope_b,
    lambda a, b, x, *, lower=0, upper=0: _beta_slope(beta_slope, a, b, x, lower, upper),
)


def _beta_tail(xp: Any, v: Any, a: Any, b: Any, x: Any, y: Any) -> tuple[Any, Any, Any]:
    """T = x exp(-s), below x <= a / (a + b), y = 1 - x: return its log-density, log T, log(1-T)."""
    fall = xp.maximum(a - b * x / y, xp.minimum(a, xp.sqrt(a * (1 + a / b))))
    s = v / fall
    other = xp.log(y - x * xp.expm1(-s))
    log_x = xp.where(x < 0.5, xp.log(x), xp.log1p(-y))
    return -a * s + (b - 1) * (other - xp.log(y)), log_x - s, other


def beta_moments(xp: Any, a: Any, b: Any, x: Any, y: Any, m: int, n: int) -> Any:
    """Differentiate the beta distribution function m times in a and n times in b.

    y is 1 - x, which the caller may know better.
    """
    a, b, x, y = xp.broadcast_arrays(*map(xp.asarray, (a, b, x, y)))
    special = special_of(xp)
    proper = (a > 0) & (b > 0) & xp.isfinite(a + b)
    good = proper & (x > 0) & (y > 0)
    p, q = xp.where(proper, a, 1.0), xp.where(proper, b, 1.0)
    s, t = xp.where(good, x, 0.5), xp.where(good, y, 0.5)
    over = s * q > t * p
    # Above the mean, that of 1 - T below its own.
    near = [xp.where(over, q, p), xp.where(over, p, q), xp.where(over, t, s), xp.where(over, s, t)]

    def tail(v: Any, a: Any, b: Any, x: Any, y: Any, over: Any) -> tuple[Any, Any]:
        density, log_x, log_y = _beta_tail(xp, v, a, b, x, y)
        a, b = xp.where(over, b, a), xp.where(over, a, b)
        log_x, log_y = xp.where(over, log_y, log_x), xp.where(over, log_x, log_y)
        return density, bell(_beta_logs(special, a, b, log_x, log_y), m, n)

    made = special.betainc(*near[:3]) * _averages(xp, tail, *near, over)
    ends = xp.where(proper & ~xp.isnan(x), 0.0, numpy.nan)
    return xp.where(good, xp.where(over, -made, made), ends)[()]


@primitive
def beta_moment(xp: Any, a: Any, b: Any, x: Any, *, m: int, n: int) -> Any:
    """Differentiate the beta distribution function m times in a and n times in b, in all 1."""
    a, b, x = as_float(xp, a), as_float(xp, b), as_float(xp, x)
    return beta_moments(xp, a, b, x, 1 - x, m, n)


elementwise(
    beta_moment,
    lambda a, b, x, *, m, n: beta_moment.op(a, b, x, m=m + 1, n=n),
    lambda a, b, x, *, m, n: beta_moment.op(a, b, x, m=m, n=n + 1),
    lambda a, b, x, *, m, n: beta_density.op(a, b, x, m=m, n=n),
)

betainc = Nary(
    "betainc",
    module="scipy.special",
    parameters=("a", "b", "x"),
    doc="""Regularized incomplete beta function.

    Its derivative in x is x**(a - 1) * (1 - x)**(b - 1) / B(a, b); in a (in b likewise, with
    log(1 - t)) it is the integral of (log(t) - digamma(a) + digamma(a + b)) times that density from
    0 to x, by quadrature.""",
)


@primitive
def betaincc(xp: Any, a: Any, b: Any, x: Any) -> Any:
    """1 - betainc(a, b, x); its derivatives are those of betainc with the other sign."""
    special = special_of(xp)
    native = getattr(special, "betaincc", None)
    return special.betainc(b, a, 1 - x) if native is None else native(a, b, x)


elementwise(
    betainc,
    lambda a, b, x: beta_moment.op(a, b, x, m=1, n=0),
    lambda a, b, x: beta_moment.op(a, b, x, m=0, n=1),
    lambda a, b, x: beta_density.op(a, b, x),
)
elementwise(
    betaincc,
    lambda a, b, x: -beta_moment.op(a, b, x, m=1, n=0),
    lambda a, b, x: -beta_moment.op(a, b, x, m=0, n=1),
    lambda a, b, x: -beta_density.op(a, b, x),
)
