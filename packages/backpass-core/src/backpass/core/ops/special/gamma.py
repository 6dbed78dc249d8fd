"""The gamma function, its logarithm and its logarithm's derivatives; the beta function."""

from __future__ import annotations

import math
from typing import Any

import numpy

from backpass.core.arity import binary, primitive, unary
from backpass.core.ops.elementwise import (
    cos,
    is_complex,
    less,
    power,
    real,
    sin,
    where,
    zero_multiply,
)
from backpass.core.ops.reductions import any_
from backpass.core.rules import elementwise, nondifferentiable, refused
from backpass.core.symbols import Expression
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors

_SPECIAL = "scipy.special"

gamma = unary("gamma", "Gamma function; its derivative is gamma(x) * digamma(x).", module=_SPECIAL)
gammaln = unary(
    "gammaln", "Logarithm of |gamma(x)|; its derivative is digamma(x).", module=_SPECIAL
)
loggamma = unary(
    "loggamma", "Principal logarithm of gamma; its derivative is digamma(x).", module=_SPECIAL
)
rgamma = unary(
    "rgamma",
    "1 / gamma(x); its derivative is -rgamma(x) * digamma(x), (-1)**n * n! at the zero -n.",
    module=_SPECIAL,
)
gammasgn = unary("gammasgn", "Sign of gamma(x); its derivative is 0.", module=_SPECIAL)
psi = unary(
    "psi", "Derivative of log(gamma(x)); its own is zeta(2, x), the trigamma.", module=_SPECIAL
)
digamma = psi
beta = binary(
    "beta",
    "gamma(a) * gamma(b) / gamma(a + b); derivative beta * (digamma(a) - digamma(a + b)) in a.",
    module=_SPECIAL,
    parameters=("a", "b"),
)
betaln = binary(
    "betaln",
    "Logarithm of |beta(a, b)|; its derivative in a is digamma(a) - digamma(a + b).",
    module=_SPECIAL,
    parameters=("a", "b"),
)
hurwitz = binary(
    "zeta",
    "Sum of (q + k)**-x over k from 0 on; in q -x * zeta(x + 1, q), none in x.",
    module=_SPECIAL,
    parameters=("x", "q"),
)
riemann = unary("zeta", "Sum of k**-x over k from 1 on; no derivative.", module=_SPECIAL)


@primitive(name="polygamma")
def polygamma_(xp: Any, n: Any, x: Any) -> Any:
    """Differentiate digamma n times."""
    x = xp.asarray(x, "float64")
    if type(n) is int and n > 0:
        return _signed_factorial(n) * hurwitz.op(n + 1.0, x)
    factor = _signed_factorial(n) * hurwitz.op(n + 1.0, x)
    return xp.where(xp.asarray(n) == 0, psi.op(x), factor)[()]


def _signed_factorial(n: Any) -> Any:
    """Return (-1)**(n + 1) * n!, which makes the Hurwitz zeta of n + 1 a polygamma."""
    if type(n) is int and n >= 0:
        return float((-1) ** (n + 1) * math.factorial(n))
    return power.op(-1.0, n + 1.0) * gamma.op(n + 1.0)


# ----- the rules --------------------------------------------------------------------------------


@primitive
def complex_polygamma(xp: Any, x: Any, *, order: int) -> Any:
    """Differentiate digamma of a complex number `order` times, 1 at least.

    By the recurrence to a point right of 16, the asymptotic series there (Digital Library of
    Mathematical Functions, 5.5.4, 5.11.2 and 5.15.6, differentiated), and the reflection left of
    1/2; good to 1e-13.
    """
    x = xp.asarray(x)
    left = xp.real(x) < 0.5
    z = xp.where(left, 1 - x, x)
    total = xp.zeros_like(z)
    for _ in range(16):
        total = total + math.factorial(order) * z ** -(order + 1)
        z = z + 1
    total = total + math.factorial(order - 1) * z**-order
    total = total + math.factorial(order) / 2 * z ** -(order + 1)
    for k, bernoulli in enumerate(_BERNOULLI, start=1):
        rising = math.factorial(2 * k + order - 1) / math.factorial(2 * k)
        total = total + bernoulli * rising * z ** -(2 * k + order)
    right = (-1) ** (order + 1) * total
    cot = 1 / xp.tan(math.pi * xp.where(left, x, 0.25))
    # Of cot, whose derivative is -pi * (1 + cot**2), each derivative is a polynomial in cot.
    polynomial = numpy.polynomial.Polynomial([0.0, 1.0])
    slope = numpy.polynomial.Polynomial([-math.pi, 0.0, -math.pi])
    for _ in range(order):
        polynomial = polynomial.deriv() * slope
    bend = xp.zeros_like(z)
    for coefficient in polynomial.coef[::-1]:
        bend = bend * cot + float(coefficient)
    return xp.where(left, (-1) ** order * right - math.pi * bend, right)[()]


#: The even Bernoulli numbers from B2 on.
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798)


def _trigamma(x: Any) -> Any:
    return complex_polygamma.op(x, order=1) if is_complex(x) else hurwitz.op(2.0, x)


def _rgamma_x(ans: Any, x: Any) -> Any:
    """Return -psi(x) / gamma(x); left of 1/2, where psi has poles at the zeros, by the reflection.

    1 / gamma(x) = sin(pi x) * gamma(1 - x) / pi, and nothing of its derivative is infinite there.
    """
    if isinstance(x, Expression):
        return -ans * psi.op(x)
    left = less.op(real.op(x), 0.5)
    if not any_.op(left):
        return -zero_multiply.op(ans, psi.op(x))
    right = where.op(left, 1.0, x)
    z = where.op(left, x, 0.0)
    turn = math.pi * z
    reflected = gamma.op(1 - z) * (cos.op(turn) - sin.op(turn) / math.pi * psi.op(1 - z))
    return where.op(left, reflected, -zero_multiply.op(rgamma.op(right), psi.op(right)))


elementwise(gamma, lambda ans, x: ans * psi.op(x))
elementwise(gammaln, lambda x: psi.op(x))
elementwise(loggamma, lambda x: psi.op(x))
elementwise(rgamma, lambda ans, x: _rgamma_x(ans, x))
nondifferentiable(gammasgn)
elementwise(psi, lambda x: _trigamma(x))
elementwise(complex_polygamma, lambda x, *, order: complex_polygamma.op(x, order=order + 1))
elementwise(
    polygamma_,
    refused("it counts derivatives: give it as an integer"),
    # polygamma(n + 1, x), whose order is 1 at least.
    lambda n, x: _signed_factorial(n + 1) * hurwitz.op(n + 2.0, x),
)
elementwise(
    beta,
    lambda ans, a, b: ans * (psi.op(a) - psi.op(a + b)),
    lambda ans, a, b: ans * (psi.op(b) - psi.op(a + b)),
)
elementwise(
    betaln,
    lambda a, b: psi.op(a) - psi.op(a + b),
    lambda a, b: psi.op(b) - psi.op(a + b),
)
_EXPONENT = refused("there is no closed form in the exponent: keep it constant")
elementwise(hurwitz, _EXPONENT, lambda x, q: -x * hurwitz.op(x + 1, q))
elementwise(riemann, _EXPONENT)

multigammaln_ = unary("multigammaln", module=_SPECIAL, parameters=("a",))


def _multigammaln_a(a: Any, d: int) -> Any:
    total = psi.op(a)
    for j in range(1, d):
        total = total + psi.op(a - j / 2)
    return total


elementwise(multigammaln_, lambda a, *, d: _multigammaln_a(a, d))

# ----- the functions, with SciPy's signatures ---------------------------------------------------


def multigammaln(a: Any, d: int) -> Tensor:
    """Logarithm of the gamma function of `d` dimensions; the sum of digamma(a - j / 2), j < d.

    `d` is a whole number and has no derivative.
    """
    return as_tensors(multigammaln_.op(a, d=d))  # type: ignore[no-any-return]


def polygamma(n: Any, x: Any) -> Tensor:
    """Differentiate digamma n times; its derivative in x is polygamma(n + 1, x), none in n.

    The result is in double precision.
    """
    return polygamma_(n, x)  # type: ignore[no-any-return]


def zeta(x: Any, q: Any = None) -> Tensor:
    """Sum of (q + k)**-x over k from 0 on, with q = 1 that of Riemann; -x * zeta(x + 1, q) in q.

    The derivative in x has no closed form, and asking for it raises a `NotImplementedError`.
    """
    return riemann(x) if q is None else hurwitz(x, q)  # type: ignore[no-any-return]
