"""The Poisson distribution."""

from __future__ import annotations

from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.ops.elementwise import (
    equal,
    floor,
    greater_equal,
    logical_and,
    where,
    zero_multiply,
)
from backpass.core.ops.special.incomplete import as_float, special_of, times
from backpass.core.ops.stats.distribution import Distribution, is_number, operands
from backpass.core.rules import elementwise, refused
from backpass.core.tensor import Tensor

_WHOLE = refused("it is a whole number")

# ----- the functions, of k - loc and mu ---------------------------------------------------------


def _checked(xp: Any, mu: Any) -> Any:
    """Return a mean that may be 0, nan where it is negative."""
    mu = as_float(xp, mu)
    return xp.where(mu >= 0, mu, numpy.nan)


def _log_mass(xp: Any, k: Any, mu: Any) -> Any:
    """Return k * log(mu) - mu - log(k!), -inf for what is not a whole number from 0 on."""
    k, mu = as_float(xp, k), _checked(xp, mu)
    with numpy.errstate(all="ignore"):
        made = times(xp, k, xp.log(mu)) - mu - special_of(xp).gammaln(k + 1)
        # A nan is neither here nor there.
        inside = (k >= 0) & (k == xp.floor(k))
        if inside is numpy.True_:
            return made
        return xp.where(inside, made, xp.where(k != k, k, -numpy.inf) + 0 * mu)


@primitive(name="poisson_logpmf")
def logpmf(xp: Any, k: Any, mu: Any) -> Any:
    """Return k * log(mu) - mu - log(k!)."""
    return _log_mass(xp, k, mu)[()]


@primitive(name="poisson_pmf")
def pmf(xp: Any, k: Any, mu: Any) -> Any:
    """Return mu**k * exp(-mu) / k!."""
    return xp.exp(_log_mass(xp, k, mu))[()]


@primitive(name="poisson_cdf")
def cdf(xp: Any, k: Any, mu: Any) -> Any:
    """gammaincc(floor(k) + 1, mu), 0 for negative k."""
    k, mu = as_float(xp, k), _checked(xp, mu)
    made = special_of(xp).gammaincc(xp.floor(xp.where(k < 0, 0.0, k)) + 1, mu)
    return xp.where(k < 0, 0 * mu, made)[()]


# ----- the rules --------------------------------------------------------------------------------


def _logpmf_mu(k: Any, mu: Any) -> Any:
    inside = logical_and.op(greater_equal.op(k, 0), equal.op(k, floor.op(k)))
    n = where.op(inside, k, 1.0)
    # k = 0 is -mu even at mu = 0.
    return where.op(inside, zero_multiply.op(n, 1 / mu) - 1, 0.0)


elementwise(logpmf, _WHOLE, _logpmf_mu)
elementwise(pmf, _WHOLE, lambda ans, k, mu: pmf.op(k - 1, mu) - ans)
elementwise(cdf, _WHOLE, lambda k, mu: -pmf.op(floor.op(k), mu))

# ----- the distribution, with SciPy's signatures ------------------------------------------------


def _from_loc(k: Any, mu: Any, loc: Any) -> tuple[Any, Any]:
    k, mu, loc = operands(k, mu, loc)
    return (k if is_number(loc, 0) else k - loc), mu


class poisson(Distribution):
    """The Poisson distribution.

    There is no derivative in k or loc, which are whole numbers: one that is asked for raises a
    `NotImplementedError`.
    """

    def pmf(self, k: Any, mu: Any, loc: Any = 0) -> Tensor:
        """Probability of k; its derivative in mu is pmf(k - 1) - pmf(k)."""
        return pmf(*_from_loc(k, mu, loc))  # type: ignore[no-any-return]

    def logpmf(self, k: Any, mu: Any, loc: Any = 0) -> Tensor:
        """Logarithm of the probability of k; its derivative in mu is k / mu - 1."""
        return logpmf(*_from_loc(k, mu, loc))  # type: ignore[no-any-return]

    def cdf(self, k: Any, mu: Any, loc: Any = 0) -> Tensor:
        """Distribution function; its derivative in mu is -pmf(floor(k))."""
        return cdf(*_from_loc(k, mu, loc))  # type: ignore[no-any-return]
