"""Bessel functions, in their argument: the order has no derivative of closed form.

Derivatives go by the neighbours in order (Digital Library of Mathematical Functions, 10.6 and
10.29).  Orders 0 and 1 have faster routines of their own; there J1(x) / x and its like are series
near 0.
"""

from __future__ import annotations

import math
from typing import Any

from backpass.core.arity import binary, primitive, unary
from backpass.core.backends import PYTHON_SCALARS
from backpass.core.ops.elementwise import (
    absolute,
    is_complex,
    less,
    multiply,
    real,
    remainder,
    sign,
    where,
    zero_multiply,
    zero_product,
)
from backpass.core.primitive import Primitive
from backpass.core.rules import defjvp, defvjp, elementwise, refused
from backpass.core.values import plain

_SPECIAL = "scipy.special"
_ORDER = refused("there is no closed form in the order: keep it constant")

# ----- the functions ----------------------------------------------------------------------------

j0 = unary("j0", "Bessel function J of order 0; its derivative is -j1(x).", module=_SPECIAL)
j1 = unary(
    "j1", "Bessel function J of order 1; its derivative is j0(x) - j1(x) / x.", module=_SPECIAL
)
y0 = unary("y0", "Bessel function Y of order 0; its derivative is -y1(x).", module=_SPECIAL)
y1 = unary(
    "y1", "Bessel function Y of order 1; its derivative is y0(x) - y1(x) / x.", module=_SPECIAL
)
i0 = unary("i0", "Bessel function I of order 0; its derivative is i1(x).", module=_SPECIAL)
i1 = unary(
    "i1", "Bessel function I of order 1; its derivative is i0(x) - i1(x) / x.", module=_SPECIAL
)
k0 = unary("k0", "Bessel function K of order 0; its derivative is -k1(x).", module=_SPECIAL)
k1 = unary(
    "k1", "Bessel function K of order 1; its derivative is -k0(x) - k1(x) / x.", module=_SPECIAL
)
i0e = unary(
    "i0e", "exp(-|x|) * i0(x); its derivative is i1e(x) - sign(x) * i0e(x).", module=_SPECIAL
)
i1e = unary(
    "i1e",
    "exp(-|x|) * i1(x); its derivative is i0e(x) - i1e(x) / x - sign(x) * i1e(x).",
    module=_SPECIAL,
)
k0e = unary("k0e", "exp(x) * k0(x); its derivative is k0e(x) - k1e(x).", module=_SPECIAL)
k1e = unary(
    "k1e", "exp(x) * k1(x); its derivative is k1e(x) - k0e(x) - k1e(x) / x.", module=_SPECIAL
)


def _of_order(name: str, doc: str, *parameters: str) -> Any:
    return binary(name, doc, module=_SPECIAL, parameters=parameters)


jv = _of_order(
    "jv",
    "Bessel function J of real order v; in z (jv(v - 1, z) - jv(v + 1, z)) / 2, none in v.",
    "v",
    "z",
)
yv = _of_order(
    "yv",
    "Bessel function Y of real order v; in z (yv(v - 1, z) - yv(v + 1, z)) / 2, none in v.",
    "v",
    "z",
)
iv = _of_order(
    "iv",
    "Bessel function I of real order v; in z (iv(v - 1, z) + iv(v + 1, z)) / 2, none in v.",
    "v",
    "z",
)
kv = _of_order(
    "kv",
    "Bessel function K of real order v; in z -(kv(v - 1, z) + kv(v + 1, z)) / 2, none in v.",
    "v",
    "z",
)
yn = _of_order(
    "yn",
    "Bessel function Y of whole order n; in x (yn(n - 1, x) - yn(n + 1, x)) / 2, none in n.",
    "n",
    "x",
)
kn = _of_order(
    "kn",
    "Bessel function K of whole order n; in x -(kn(n - 1, x) + kn(n + 1, x)) / 2, none in n.",
    "n",
    "x",
)
kve = _of_order(
    "kve",
    "exp(z) * kv(v, z); in z kve(v, z) - (kve(v - 1, z) + kve(v + 1, z)) / 2, none in v.",
    "v",
    "z",
)
ive = _of_order(
    "ive",
    "exp(-|real(z)|) * iv(v, z); in z that of iv, times the exponential, less sign(real(z)) * ive.",
    "v",
    "z",
)
#: SciPy, too, has one function under both names.
jn = jv

# ----- orders 0 and 1 ---------------------------------------------------------------------------


def _over_power(
    name: str, zeroth: Primitive, first: Primitive, turn: int, scaled: bool = False
) -> Primitive:
    """Return the primitive x -> J_n(x) / x**n, smooth at 0; for I with `turn` +1 in place of -1.

    Its derivative is -x times the same with n + 1 (`turn` * x).  Near 0 it is a power series, and
    beyond that the recurrence upwards in n, which is stable where x is larger than n.  If `scaled`,
    all of it is times exp(-|x|).
    """

    @primitive(name=name)
    def quotient(xp: Any, x: Any, *, n: int) -> Any:
        x = xp.asarray(x)
        # Where I overflows the quotient stays finite: the difference of both is infinite, not nan.
        top = xp.finfo(x.dtype).max
        if n == 1:
            zero = xp.equal(x, 0)
            upper = xp.maximum(xp.minimum(first.op(x), top), -top)
            return xp.where(zero, 0.5, upper / xp.where(zero, 1.0, x))[()]
        near = abs(x) < 2 * n
        far = xp.where(near, 2.0 * n, x)
        lower, upper = (xp.maximum(xp.minimum(f.op(far), top), -top) for f in (zeroth, first))
        for k in range(1, n):
            lower, upper = upper, turn * (lower - 2 * k * upper / far)
        square = xp.where(near, x, 0.0) ** 2 * (turn / 4)
        series = xp.zeros_like(square)
        for k in range(12 + 3 * n, 0, -1):
            series = (series + 1) * square / (k * (k + n))
        series = (series + 1) / float(2**n * math.factorial(n))
        if scaled:
            series = series * xp.exp(-abs(x))
        return xp.where(near, series, upper / far**n)[()]

    def slope(ans: Any, x: Any, *, n: int) -> Any:
        # 0 where x is infinite.
        made = zero_multiply.op(quotient.op(x, n=n + 1), turn * x)
        return made - sign.op(x) * ans if scaled else made

    elementwise(quotient, slope)
    return quotient


j_over_power = _over_power("j_over_power", j0, j1, -1)
i_over_power = _over_power("i_over_power", i0, i1, 1)
ie_over_power = _over_power("ie_over_power", i0e, i1e, 1, scaled=True)


def _has_zeros(z: Any) -> bool:
    value = plain(z)
    return not value.all() if hasattr(value, "all") else type(value) is float and value == 0


def _of_y(below: Any, weighted: Any, z: Any) -> Any:
    """Differentiate Y of order v; `below` is that of v - 1, `weighted` Y times v."""
    if _has_zeros(z):
        # Over z as a whole: at 0 the two parts are infinities of which one is the larger.
        return (zero_product.op(z, below) - weighted) / z
    return below - weighted / z


elementwise(j0, lambda x: -j1.op(x))
elementwise(j1, lambda x: j0.op(x) - j_over_power.op(x, n=1))
elementwise(i0, lambda x: i1.op(x))
elementwise(i1, lambda x: i0.op(x) - i_over_power.op(x, n=1))
elementwise(y0, lambda x: -y1.op(x))
elementwise(y1, lambda ans, x: _of_y(y0.op(x), ans, x))
elementwise(k0, lambda x: -k1.op(x))
elementwise(k1, lambda ans, x: -k0.op(x) - ans / x)
elementwise(k0e, lambda ans, x: ans - k1e.op(x))
elementwise(k1e, lambda ans, x: ans * (1 - 1 / x) - k0e.op(x))


elementwise(i0e, lambda ans, x: i1e.op(x) - sign.op(x) * ans)
elementwise(i1e, lambda ans, x: i0e.op(x) - ie_over_power.op(x, n=1) - sign.op(x) * ans)

# ----- any order --------------------------------------------------------------------------------

# By the one neighbour that needs no difference of large numbers, so that a single evaluation is
# enough.  Near 0 J and I go by both: nothing is divided then, and nothing cancels when that is
# differentiated.  One is added as a float: of an unsigned order 0, one less would be the largest.


def _is_near_zero(z: Any) -> bool:
    """Tell whether there is any z so small that J(z) / z would lose digits when differentiated."""
    value = plain(z)
    if type(value) in PYTHON_SCALARS:
        return bool(abs(value) < 0.1)
    return hasattr(value, "any") and bool((abs(value) < 0.1).any())


def _of_j(f: Primitive, ans: Any, v: Any, z: Any) -> Any:
    """Differentiate J in z."""
    above = f.op(v + 1.0, z)
    return (f.op(v - 1.0, z) - above) / 2 if _is_near_zero(z) else v * ans / z - above


def _of_i(f: Primitive, ans: Any, v: Any, z: Any) -> Any:
    """Differentiate I in z."""
    above = f.op(v + 1.0, z)
    return (f.op(v - 1.0, z) + above) / 2 if _is_near_zero(z) else v * ans / z + above


def _of_k(f: Primitive, ans: Any, v: Any, z: Any) -> Any:
    """Differentiate K in z."""
    below = f.op(v - 1.0, z)
    return (below + f.op(v + 1.0, z)) / -2 if _has_zeros(z) else -(v * ans / z) - below


elementwise(jv, _ORDER, lambda ans, v, z: _of_j(jv, ans, v, z))
elementwise(iv, _ORDER, lambda ans, v, z: _of_i(iv, ans, v, z))
elementwise(kv, _ORDER, lambda ans, v, z: _of_k(kv, ans, v, z))
elementwise(kn, _ORDER, lambda ans, n, x: _of_k(kn, ans, n, x))
elementwise(kve, _ORDER, lambda ans, v, z: ans + _of_k(kve, ans, v, z))


def _whole_y(n: Any, x: Any) -> Any:
    """Return yn, of negative orders too, which not every library has: Y(-n) = (-1)**n Y(n)."""
    if type(n) in PYTHON_SCALARS:
        return yn.op(n, x) if n >= 0 else (-1.0) ** n * yn.op(-n, x)
    sign = where.op(less.op(n, 0.0), 1.0 - 2.0 * remainder.op(n, 2.0), 1.0)
    return multiply.op(sign, yn.op(absolute.op(n), x))


elementwise(yv, _ORDER, lambda ans, v, z: _of_y(yv.op(v - 1.0, z), v * ans, z))
elementwise(yn, _ORDER, lambda ans, n, x: _of_y(_whole_y(n - 1.0, x), n * ans, x))


# exp(-|real(z)|) is no function of complex z that has a complex derivative: real and imaginary part
# of z go separate ways.


def _ive_vjp(g: Any, ans: Any, v: Any, z: Any) -> Any:
    if not is_complex(z):
        return zero_multiply.op(g, _of_i(ive, ans, v, z) - sign.op(z) * ans)
    scaling = sign.op(real.op(z)) * real.op(zero_multiply.op(g, ans))
    return zero_multiply.op(g, _of_i(ive, ans, v, z)) - scaling


def _ive_jvp(t: Any, ans: Any, v: Any, z: Any) -> Any:
    if not is_complex(z):
        return _ive_vjp(t, ans, v, z)
    scaling = sign.op(real.op(z)) * zero_multiply.op(real.op(t), ans)
    return zero_multiply.op(t, _of_i(ive, ans, v, z)) - scaling


defvjp(ive, _ORDER, _ive_vjp)
defjvp(ive, _ORDER, _ive_jvp)
