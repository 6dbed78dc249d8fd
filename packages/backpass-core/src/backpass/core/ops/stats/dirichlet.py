"""The Dirichlet distribution."""

from __future__ import annotations

from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.ops.elementwise import (
    equal,
    exp,
    greater,
    log,
    logical_and,
    power,
    where,
    zero_multiply,
)
from backpass.core.ops.reductions import prod_, sum_
from backpass.core.ops.shaping import as_operand, concatenate_arrays, reshape
from backpass.core.ops.special.gamma import psi
from backpass.core.ops.special.incomplete import as_float, special_of
from backpass.core.ops.stats.distribution import Distribution
from backpass.core.rules import defjvp, defvjp
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors, plain

# ----- the function -----------------------------------------------------------------------------


@primitive(name="dirichlet_logpdf")
def logpdf(xp: Any, x: Any, alpha: Any) -> Any:
    """Sum of (alpha - 1) * log(x) over the first axis, - log B(alpha)."""
    # Unlike the other distributions, this one is of single precision for such operands in SciPy.
    single = x.dtype == numpy.float32 and alpha.dtype == numpy.float32
    x, alpha = as_float(xp, x), as_float(xp, alpha)
    special = special_of(xp)
    powers = xp.sum(special.xlogy(_column(xp.reshape, alpha, x) - 1, x), axis=0)
    made = powers + special.gammaln(xp.sum(alpha)) - xp.sum(special.gammaln(alpha))
    return made.astype(numpy.float32) if single else made


def _reshape(x: Any, shape: tuple[int, ...]) -> Any:
    return reshape.op(x, shape=shape)


def _column(reshape: Any, alpha: Any, x: Any) -> Any:
    """Return the parameters beside points that are columns."""
    return alpha if len(x.shape) == 1 else reshape(alpha, (alpha.shape[0], 1))


# ----- the rules --------------------------------------------------------------------------------


def _score(x: Any, alpha: Any) -> Any:
    # alpha = 1 is flat even at x = 0.
    return zero_multiply.op(_column(_reshape, alpha, x) - 1, 1 / x)


def _alpha_score(x: Any, alpha: Any) -> Any:
    return log.op(x) + _column(_reshape, psi.op(sum_.op(alpha)) - psi.op(alpha), x)


def _alpha_vjp(g: Any, x: Any, alpha: Any) -> Any:
    made = zero_multiply.op(g, _alpha_score(x, alpha))
    return made if len(x.shape) == 1 else sum_.op(made, axis=1)


defvjp(logpdf, lambda g, x, alpha: zero_multiply.op(g, _score(x, alpha)), _alpha_vjp)
defjvp(
    logpdf,
    lambda t, x, alpha: sum_.op(zero_multiply.op(t, _score(x, alpha)), axis=0),
    lambda t, x, alpha: sum_.op(
        zero_multiply.op(_column(_reshape, t, x), _alpha_score(x, alpha)), axis=0
    ),
)

# ----- the distribution, with SciPy's signatures ------------------------------------------------


def _checked(x: Any, alpha: Any) -> tuple[Any, Any]:
    """Return points of the simplex with all their entries; raise for what is none, as SciPy."""
    x, alpha = as_operand(x), as_operand(alpha)
    weights = plain(alpha)
    if len(alpha.shape) != 1:
        raise ValueError(f"dirichlet: alpha must have one axis, its shape is {alpha.shape}")
    if weights.min() <= 0:
        raise ValueError("dirichlet: every entry of alpha must be greater than 0")
    count = alpha.shape[0]
    if len(x.shape) not in (1, 2) or x.shape[0] not in (count, count - 1):
        raise ValueError(
            f"dirichlet: x must have {count} entries along its first axis, or one fewer, and one "
            f"or two axes; its shape is {x.shape}, that of alpha {alpha.shape}"
        )
    if x.shape[0] != count:
        x = concatenate_arrays([x, 1 - sum_.op(x, axis=0, keepdims=True)])
    values = plain(x)
    lowest = values.min()
    if lowest < 0 or values.max() > 1:
        raise ValueError("dirichlet: every entry of x must lie between 0 and 1")
    if abs(values.sum(axis=0) - 1.0).max() > 1e-9:
        raise ValueError("dirichlet: the entries of x must add up to 1")
    if lowest == 0 and ((values.T == 0) & (weights < 1)).any():
        raise ValueError("dirichlet: an entry of x may be 0 only where its alpha is 1 or more")
    return x, alpha


def _pdf(x: Any, alpha: Any) -> Any:
    exponents = _column(_reshape, alpha, x) - 1
    edge = logical_and.op(equal.op(x, 0), greater.op(exponents, 0))
    if not plain(edge).any():
        return exp.op(logpdf.op(x, alpha))
    # The logarithm is -inf there, and the density's slope is not 0 times it: powers know theirs.
    inner = exp.op(logpdf.op(where.op(edge, 1.0, x), alpha))
    return inner * prod_.op(power.op(where.op(edge, x, 1.0), exponents), axis=0)


def _single(made: Any) -> Any:
    """Return a number for one point, in a column too, as SciPy."""
    return as_tensors(reshape.op(made, shape=()) if made.shape == (1,) else made)


class dirichlet(Distribution):
    """The Dirichlet distribution of points on the simplex, or of the columns of `x`.

    The last entry of a point may be left out.  The derivative in x is that of the formula, each
    entry for itself, though only points whose entries add up to 1 are accepted.
    """

    def pdf(self, x: Any, alpha: Any) -> Tensor:
        """Density; its derivatives are those of logpdf times it, on the edge those from inside."""
        return _single(_pdf(*_checked(x, alpha)))  # type: ignore[no-any-return]

    def logpdf(self, x: Any, alpha: Any) -> Tensor:
        """Logarithm of the density; its derivative in x is (alpha - 1) / x.

        In alpha it is log(x) - digamma(alpha) + digamma(sum(alpha)).
        """
        return _single(logpdf.op(*_checked(x, alpha)))  # type: ignore[no-any-return]
