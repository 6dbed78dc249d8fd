"""Sums of exponentials and their logarithms: logsumexp and the softmax."""

from __future__ import annotations

import math
from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.backends import PYTHON_SCALARS
from backpass.core.ops.elementwise import (
    equal,
    exp,
    imag,
    is_complex,
    multiply,
    real,
    where,
    zero_multiply,
)
from backpass.core.ops.reductions import expand, sum_
from backpass.core.ops.shaping import as_operand, broadcast_to, reshape
from backpass.core.rules import defjvp, defvjp
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors, plain

# ----- logsumexp --------------------------------------------------------------------------------


def _scaled_sum(xp: Any, x: Any, b: Any, axis: Any) -> tuple[Any, Any]:
    """Return sum(b * exp(x - top)) and top, the largest that counts, so that nothing overflows."""
    x = xp.asarray(x)
    dtype = x.dtype if b is None else xp.result_type(x, b)
    x = x.astype(dtype if dtype.kind in "fc" else "float64", copy=False)
    absent = None if b is None else xp.equal(b, 0)
    if not x.size:
        return xp.sum(x, axis=axis, keepdims=True), 0.0
    heights = xp.real(x)
    if absent is not None:
        # What has no weight does not count, be it infinite or nan.
        heights = xp.where(absent, xp.asarray(-math.inf, heights.dtype), heights)
    top = xp.max(heights, axis=axis, keepdims=True)
    top = xp.where(xp.isfinite(top), top, xp.zeros((), top.dtype))
    terms = xp.exp(x - top)
    if absent is not None:
        with numpy.errstate(invalid="ignore"):
            terms = xp.where(absent, xp.zeros((), terms.dtype), b * terms)
    return xp.sum(terms, axis=axis, keepdims=True), top


def _reduced(xp: Any, ans: Any, axis: Any, keepdims: bool) -> Any:
    return ans if keepdims else xp.squeeze(ans, axis=axis)[()]


@primitive(name="logsumexp")
def logsumexp_(xp: Any, x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(exp(x))), without overflow."""
    total, top = _scaled_sum(xp, x, None, axis)
    with numpy.errstate(divide="ignore"):
        return _reduced(xp, xp.log(total) + top, axis, keepdims)


@primitive(name="weighted_logsumexp")
def weighted_logsumexp(xp: Any, x: Any, b: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    """log(sum(b * exp(x))), without overflow; nan where the sum is negative."""
    total, top = _scaled_sum(xp, x, b, axis)
    with numpy.errstate(divide="ignore", invalid="ignore"):
        return _reduced(xp, xp.log(total) + top, axis, keepdims)


@primitive(name="signed_logsumexp", outputs=2)
def signed_logsumexp(
    xp: Any, x: Any, b: Any, *, axis: Any = None, keepdims: bool = False
) -> tuple[Any, Any]:
    """log(|sum(b * exp(x))|), and the sum's sign."""
    total, top = _scaled_sum(xp, x, b, axis)
    with numpy.errstate(divide="ignore"):
        ans = xp.log(xp.absolute(total)) + top
    return _reduced(xp, ans, axis, keepdims), _reduced(xp, xp.sign(total), axis, keepdims)


@primitive
def shares(
    xp: Any, whole: Any, x: Any, *, axis: Any = None, keepdims: bool = False, b: Any = None
) -> Any:
    """exp(x - whole), with `whole` spread over `axis`: what each has in logsumexp.

    Where both are infinite: 0 for -inf; the +inf share equally, or, weighted by `b`, add up to 1.
    """
    spread = expand(whole, x, axis, keepdims)
    with numpy.errstate(invalid="ignore"):
        ans = xp.exp(x - spread)
    if not xp.any(xp.isinf(whole)):
        return ans
    alike = xp.isinf(spread) & xp.equal(xp.real(x), xp.real(spread))
    highest = alike & (xp.real(x) > 0)
    counted = xp.where(highest, xp.asarray(1.0 if b is None else b), xp.zeros(()))
    sums = xp.sum(counted, axis=axis, keepdims=True)
    equals = xp.where(highest, 1 / xp.where(sums == 0, 1.0, sums), 0.0)
    return xp.where(alike, equals.astype(ans.dtype), ans)[()]


defvjp(
    shares,
    lambda g, ans, *, axis=None, keepdims=False: (
        -sum_.op(zero_multiply.op(g, ans), axis=axis, keepdims=keepdims)
    ),
    lambda g, ans: zero_multiply.op(g, ans),
)
defjvp(
    shares,
    lambda t, ans, *, axis=None, keepdims=False: (
        -zero_multiply.op(expand(t, ans, axis, keepdims), ans)
    ),
    lambda t, ans: zero_multiply.op(t, ans),
)


def _logsumexp_vjp(g: Any, ans: Any, x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    share = shares.op(ans, x, axis=axis, keepdims=keepdims)
    return zero_multiply.op(expand(g, x, axis, keepdims), share)


def _logsumexp_jvp(t: Any, ans: Any, x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    share = shares.op(ans, x, axis=axis, keepdims=keepdims)
    return sum_.op(zero_multiply.op(t, share), axis=axis, keepdims=keepdims)


defvjp(logsumexp_, _logsumexp_vjp)
defjvp(logsumexp_, _logsumexp_jvp)


def _weighted_vjp(
    g: Any, ans: Any, x: Any, b: Any, *, needs: Any, axis: Any = None, keepdims: bool = False
) -> Any:
    signed = isinstance(ans, tuple)
    if signed:
        (g, _), (ans, sign) = g, ans
        if g is None:
            return None, None
        g = multiply.op(g, sign)
    share = shares.op(ans, x, axis=axis, keepdims=keepdims, b=plain(b))
    pulled = zero_multiply.op(expand(g, x, axis, keepdims), share)
    return zero_multiply.op(b, pulled) if needs[0] else None, pulled if needs[1] else None


def _weighted_jvp(
    ts: Any, ans: Any, x: Any, b: Any, *, axis: Any = None, keepdims: bool = False
) -> Any:
    signed = isinstance(ans, tuple)
    whole, sign = ans if signed else (ans, None)
    share = shares.op(whole, x, axis=axis, keepdims=keepdims, b=plain(b))
    parts = []
    if ts[0] is not None:
        parts.append(zero_multiply.op(ts[0], zero_multiply.op(b, share)))
    if ts[1] is not None:
        parts.append(zero_multiply.op(ts[1], share))
    t = sum_.op(parts[0] if len(parts) == 1 else parts[0] + parts[1], axis=axis, keepdims=keepdims)
    return (multiply.op(t, sign), None) if signed else t


for _function in (weighted_logsumexp, signed_logsumexp):
    defvjp(_function, joint=_weighted_vjp)
    defjvp(_function, joint=_weighted_jvp)

# ----- the softmax ------------------------------------------------------------------------------


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
    weighted = zero_multiply.op(g, ans)
    return weighted - zero_multiply.op(sum_.op(weighted, axis=axis, keepdims=True), ans)


def _log_softmax_vjp(g: Any, ans: Any, *, axis: Any = None) -> Any:
    return g - zero_multiply.op(sum_.op(g, axis=axis, keepdims=True), exp.op(ans))


def _log_softmax_jvp(t: Any, ans: Any, *, axis: Any = None) -> Any:
    return t - sum_.op(zero_multiply.op(t, exp.op(ans)), axis=axis, keepdims=True)


defvjp(softmax_, _softmax_vjp)
defjvp(softmax_, lambda t, ans, *, axis=None: _softmax_vjp(t, ans, axis=axis))
defvjp(log_softmax_, _log_softmax_vjp)
defjvp(log_softmax_, _log_softmax_jvp)

# ----- the functions, with SciPy's signatures ---------------------------------------------------


def logsumexp(
    a: Any, axis: Any = None, b: Any = None, keepdims: bool = False, return_sign: bool = False
) -> Any:
    """log(sum(b * exp(a))) over `axis`; derivatives b * exp(a - ans) in a, exp(a - ans) in b.

    They are 0 where all are -inf, and uniform over the +inf.  With `return_sign` the result is
    log(|sum|) and the sum's sign, which has no derivative where all is real; of complex operands it
    is the phase, and has one.
    """
    a = as_operand(a)
    if keepdims and numpy.ndim(plain(a)) == 0:
        # As SciPy has it: a number has one axis then.
        a = reshape.op(a, shape=(1,))
    if b is None:
        if not return_sign:
            return logsumexp_(a, axis=axis, keepdims=keepdims)
        b = 1.0
    else:
        b = b if type(b) in PYTHON_SCALARS else as_operand(b)
        shape = numpy.broadcast_shapes(numpy.shape(plain(a)), numpy.shape(plain(b)))
        if shape != numpy.shape(plain(a)):
            a = broadcast_to.op(a, shape=shape)
    is_real = not (is_complex(plain(a)) or is_complex(plain(b)))
    if return_sign and is_real:
        size, sign = signed_logsumexp(a, b, axis=axis, keepdims=keepdims)
        return size, as_tensors(plain(sign))
    ans = weighted_logsumexp(a, b, axis=axis, keepdims=keepdims)
    if not return_sign:
        return ans
    size = real.op(ans)
    return size, where.op(equal.op(size, -math.inf), 0.0, exp.op(1j * imag.op(ans)))


#: The name of the CuPy version in older programs; `logsumexp` runs where its operand lies.
gpu_logsumexp = logsumexp


def softmax(x: Any, axis: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) over `axis`; g * ans - ans * sum(g * ans) flows back."""
    return softmax_(x, axis=axis)  # type: ignore[no-any-return]


def log_softmax(x: Any, axis: Any = None) -> Tensor:
    """Subtract logsumexp(x) over `axis` from x; g - exp(ans) * sum(g) flows back."""
    return log_softmax_(x, axis=axis)  # type: ignore[no-any-return]
