"""Functions of `scipy.special`."""

from __future__ import annotations

import math
from typing import Any

import numpy

from backpass.core.arity import primitive, unary
from backpass.core.ops.elementwise import equal, exp, logical_and, multiply, where, zero_multiply
from backpass.core.ops.reductions import expand, sum_
from backpass.core.rules import defjvp, defvjp, elementwise
from backpass.core.tensor import Tensor

# ----- the error function -----------------------------------------------------------------------

erf = unary(
    "erf", "Error function; its derivative is 2 / sqrt(pi) * exp(-x**2).", module="scipy.special"
)
erfc = unary(
    "erfc", "1 - erf(x); its derivative is -2 / sqrt(pi) * exp(-x**2).", module="scipy.special"
)
elementwise(erf, lambda x: 2 / math.sqrt(math.pi) * exp.op(-x * x))
elementwise(erfc, lambda x: -2 / math.sqrt(math.pi) * exp.op(-x * x))

# ----- logsumexp and softmax --------------------------------------------------------------------


@primitive(name="logsumexp")
def logsumexp_(xp: Any, x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))), without overflow."""
    top = xp.max(x, axis=axis, keepdims=True)
    top = xp.where(xp.isfinite(top), top, xp.zeros((), top.dtype))
    total = xp.sum(xp.exp(x - top), axis=axis, keepdims=True)
    with numpy.errstate(divide="ignore"):
        ans = xp.log(total) + top
    return ans if keepdims else xp.squeeze(ans, axis=axis)[()]


def _shares(ans: Any, x: Any, axis: Any, keepdims: bool) -> Any:
    """Return exp(x - ans): 0 where all are -inf, equal among the +inf where there are any."""
    whole = expand(ans, x, axis, keepdims)
    infinite = logical_and.op(equal.op(x, math.inf), equal.op(whole, math.inf))
    many = sum_.op(where.op(infinite, 1.0, 0.0), axis=axis, keepdims=True)
    empty = equal.op(abs(whole), math.inf)
    # Infinities are handled apart, so that inf - inf is never computed.
    shares = exp.op(where.op(empty, -math.inf, x) - where.op(empty, 0.0, whole))
    return where.op(infinite, 1 / where.op(equal.op(many, 0), 1.0, many), shares)


def _logsumexp_vjp(g: Any, ans: Any, x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    return zero_multiply.op(expand(g, x, axis, keepdims), _shares(ans, x, axis, keepdims))


def _logsumexp_jvp(t: Any, ans: Any, x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    weighted = zero_multiply.op(t, _shares(ans, x, axis, keepdims))
    return sum_.op(weighted, axis=axis, keepdims=keepdims)


defvjp(logsumexp_, _logsumexp_vjp)
defjvp(logsumexp_, _logsumexp_jvp)


@primitive(name="softmax")
def softmax_(xp: Any, x: Any, *, axis: Any = None) -> Any:
    """exp(x) / sum(exp(x)), without overflow."""
    e = xp.exp(x - xp.max(x, axis=axis, keepdims=True))
    return e / xp.sum(e, axis=axis, keepdims=True)


@primitive(name="log_softmax")
def log_softmax_(xp: Any, x: Any, *, axis: Any = None) -> Any:
    """Subtract logsumexp(x) from x, without overflow."""
    top = xp.max(x, axis=axis, keepdims=True)
    shifted = x - xp.where(xp.isfinite(top), top, xp.zeros((), top.dtype))
    with numpy.errstate(divide="ignore"):
        return shifted - xp.log(xp.sum(xp.exp(shifted), axis=axis, keepdims=True))


def _softmax_vjp(g: Any, ans: Any, *, axis: Any = None) -> Any:
    weighted = multiply.op(g, ans)
    return weighted - multiply.op(ans, sum_.op(weighted, axis=axis, keepdims=True))


def _log_softmax_vjp(g: Any, ans: Any, *, axis: Any = None) -> Any:
    return g - multiply.op(exp.op(ans), sum_.op(g, axis=axis, keepdims=True))


def _log_softmax_jvp(t: Any, ans: Any, *, axis: Any = None) -> Any:
    return t - sum_.op(multiply.op(t, exp.op(ans)), axis=axis, keepdims=True)


defvjp(softmax_, _softmax_vjp)
defjvp(softmax_, lambda t, ans, *, axis=None: _softmax_vjp(t, ans, axis=axis))
defvjp(log_softmax_, _log_softmax_vjp)
defjvp(log_softmax_, _log_softmax_jvp)

# ----- the functions, with SciPy's signatures ---------------------------------------------------


def logsumexp(
    a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False
) -> Tensor:
    """log(sum(exp(a))) over `axis`; its derivative is exp(a - ans), 0 where all are -inf.

    The weights `b` and `return_sign` are not supported and raise a `TypeError`.
    """
    if b is not None or return_sign:
        raise TypeError(
            "logsumexp: b= and return_sign= are not supported: add log(b) to a if b is positive"
        )
    return logsumexp_(a, axis=axis, keepdims=keepdims)  # type: ignore[no-any-return]


#: The name of the CuPy version in older programs; `logsumexp` runs where its operand lies.
gpu_logsumexp = logsumexp


def softmax(x: Any, axis: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) over `axis`; g * ans - ans * sum(g * ans) flows back."""
    return softmax_(x, axis=axis)  # type: ignore[no-any-return]


def log_softmax(x: Any, axis: Any = None) -> Tensor:
    """Subtract logsumexp(x) over `axis` from x; g - exp(ans) * sum(g) flows back."""
    return log_softmax_(x, axis=axis)  # type: ignore[no-any-return]
