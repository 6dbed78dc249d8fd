"""Integrals of exponentials: exponential integrals, Dawson's function, the scaled erfc."""

from __future__ import annotations

import math
from typing import Any

from backpass.core.arity import binary, primitive, unary
from backpass.core.backends import PYTHON_SCALARS
from backpass.core.ops.elementwise import equal, exp, is_complex, less_equal, where
from backpass.core.primitive import Primitive
from backpass.core.rules import elementwise, refused

_SPECIAL = "scipy.special"

erfcx = unary(
    "erfcx", "exp(x**2) * erfc(x); its derivative is 2 * x * y - 2 / sqrt(pi).", module=_SPECIAL
)
erfi = unary(
    "erfi", "-1j * erf(1j * x); its derivative is 2 / sqrt(pi) * exp(x**2).", module=_SPECIAL
)
dawsn = unary("dawsn", "Dawson's integral; its derivative is 1 - 2 * x * y.", module=_SPECIAL)
exp1 = unary(
    "exp1", "Integral of exp(-t) / t from x on; its derivative is -exp(-x) / x.", module=_SPECIAL
)
expi = unary(
    "expi", "Integral of exp(t) / t up to x; its derivative is exp(x) / x.", module=_SPECIAL
)
expn = binary(
    "expn",
    "Integral of exp(-x * t) / t**n from 1 on; in x -expn(n - 1, x), none in n.",
    module=_SPECIAL,
    parameters=("n", "x"),
)
exprel = unary(
    "exprel",
    "(exp(x) - 1) / x, 1 at 0; its derivative is (exp(x) - y) / x, .5 at 0.",
    module=_SPECIAL,
)

# ----- what tends to 0 as 1 / x does: its derivative is a difference that loses all digits -------


def _derivative_of(f: Primitive, sign: int, constant: float, leading: float) -> Primitive:
    """Return the derivatives of a function with y' = 2 * sign * x * y + constant.

    By that equation, differentiated: y^(n+1) = 2 * sign * (x * y^(n) + n * y^(n-1)); and for large
    x by the asymptotic series, leading * sum of (-sign)**k * (2 k - 1)!! / 2**k / x**(2 k + 1).
    For complex x by the equation alone.
    """

    @primitive(name=f"{f.name}_derivative")
    def derivative(xp: Any, x: Any, *, order: int) -> Any:
        x = xp.asarray(x)
        y = f.op(x)
        ans = 2 * sign * x * y + constant
        for n in range(1, order):
            y, ans = ans, 2 * sign * (x * ans + n * y)
        if is_complex(x):
            return ans[()]
        far = (x if sign > 0 else abs(x)) > 12
        v = xp.where(far, x, 1.0)
        series = xp.zeros_like(v)
        for k in range(10, -1, -1):
            # (2 k - 1)!! = (2 k)! / (2**k * k!), and n derivatives of x**-(2 k + 1).
            factor = (-sign) ** k * math.factorial(2 * k + order) / (4**k * math.factorial(k))
            series = series / (v * v) + factor
        tail = leading * (-1) ** order * series / v ** (order + 1)
        return xp.where(far, tail, ans)[()]

    elementwise(derivative, lambda x, *, order: derivative.op(x, order=order + 1))
    elementwise(f, lambda x: derivative.op(x, order=1))
    return derivative


erfcx_derivative = _derivative_of(erfcx, 1, -2 / math.sqrt(math.pi), 1 / math.sqrt(math.pi))
dawsn_derivative = _derivative_of(dawsn, -1, 1.0, 0.5)
elementwise(erfi, lambda x: 2 / math.sqrt(math.pi) * exp.op(x * x))

# ----- exponential integrals --------------------------------------------------------------------

elementwise(exp1, lambda x: -exp.op(-x) / x)
elementwise(expi, lambda x: exp.op(x) / x)


def _expn_x(n: Any, x: Any) -> Any:
    """Return -expn(n - 1, x), which SciPy has down to n = 1 and elementary functions say below."""
    if type(n) in PYTHON_SCALARS:
        if n > 1:
            return -expn.op(n - 1, x)
        return -exp.op(-x) / x if n == 1 else -exp.op(-x) / x * (1 + 1 / x)
    low = less_equal.op(n, 1)
    elementary = exp.op(-x) / x * where.op(equal.op(n, 0), 1 + 1 / x, 1.0)
    return -where.op(low, elementary, expn.op(where.op(low, 2, n) - 1, x))


elementwise(expn, refused("there is no closed form in the order: keep it constant"), _expn_x)


@primitive
def exprel_derivative(xp: Any, x: Any, *, order: int) -> Any:
    """Differentiate (exp(x) - 1) / x `order` times: by its series near 0, by recurrence beyond.

    From x f(x) = exp(x) - 1: x f^(n) + n f^(n-1) = exp(x).
    """
    x = xp.asarray(x)
    near = abs(x) < order + 1
    far = xp.where(near, 1.0, x)
    top = xp.exp(far)
    f = xp.expm1(far) / far
    for n in range(1, order + 1):
        f = xp.where(xp.isinf(top), top, (top - n * f) / far)
    v = xp.where(near, x, 0.0)
    series = xp.zeros_like(v)
    for k in range(16 + 4 * order, -1, -1):
        # By Horner's rule, of terms v**k / (k! * (k + order + 1)).
        series = series * v / (k + 1) + 1 / (k + order + 1)
    return xp.where(near, series, f)[()]


elementwise(exprel, lambda x: exprel_derivative.op(x, order=1))
elementwise(exprel_derivative, lambda x, *, order: exprel_derivative.op(x, order=order + 1))
