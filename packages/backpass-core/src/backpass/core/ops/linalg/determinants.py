"""Determinants: their derivatives are the cofactors, which exist where the inverse does not."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy

from backpass.core.arity import primitive
from backpass.core.batches import aligned, batched
from backpass.core.ops.elementwise import (
    imag,
    is_complex,
    multiply,
    real,
    where,
    zero_multiply,
)
from backpass.core.ops.linalg.matrices import EPS, library_of, mask, spread, transpose
from backpass.core.ops.linalg.solving import inv
from backpass.core.ops.linear import matmul
from backpass.core.ops.reductions import sum_
from backpass.core.rules import defjvp, defvjp
from backpass.core.values import plain

# ----- cofactors, of regular and of singular matrices -------------------------------------------


def _inverse(xp: Any, x: Any) -> Any:
    """Return the inverses of a stack of matrices; `None` if one is singular, or nearly so."""
    try:
        inverse = xp.linalg.inv(x)
    except numpy.linalg.LinAlgError:
        return None
    # Half of the digits must be left.
    if x.ndim == 2:
        square = float((xp.vdot(x, x) * xp.vdot(inverse, inverse)).real)
    else:
        square = float(abs(x).max() * abs(inverse).max() * x.shape[-1]) ** 2
    if square * EPS[x.dtype.char] < 1:
        return inverse
    # CuPy's inverse of a singular matrix is not finite.  What is nan stays so: there is no
    # decomposition of it.
    return None if xp.isfinite(x).all() else inverse


def _diagonal_frame(xp: Any, x: Any) -> tuple[Any, Any, tuple[Any, Any]]:
    """Return p, s, (u, v) such that det(x + t) is p times det(diag(s) + u.T @ t @ v.T).

    s are the singular values; the determinant of a diagonal matrix has derivatives that are
    products of some of them, and nothing is divided.
    """
    u, s, vh = xp.linalg.svd(x)
    phase = xp.asarray(xp.linalg.det(u) * xp.linalg.det(vh))[..., None, None]
    return phase, s, (u.conj(), vh.conj())


def _others(xp: Any, s: Any) -> tuple[Any, Any]:
    """Return the products of the numbers before each, and of those after it."""
    one = xp.ones((*s.shape[:-1], 1), s.dtype)
    before = xp.concatenate([one, xp.cumprod(s[..., :-1], axis=-1)], axis=-1)
    after = xp.concatenate([xp.cumprod(s[..., :0:-1], axis=-1)[..., ::-1], one], axis=-1)
    return before, after


def _others_of_pairs(xp: Any, s: Any) -> Any:
    """Return a symmetric matrix of the products of all numbers but two; 0 on its diagonal."""
    n = s.shape[-1]
    before, after = _others(xp, s)
    later = xp.tri(n, n, -1, dtype=s.dtype).T
    # Row i: 1 up to place i, then the products of what comes after i.
    one = xp.ones((*s.shape, 1), s.dtype)
    running = xp.cumprod(xp.where(later == 1, s[..., None, :], one), axis=-1)
    between = xp.concatenate([one, running[..., :-1]], axis=-1)
    half = before[..., :, None] * between * after[..., None, :] * later
    return half + half.swapaxes(-1, -2)


@primitive
def cofactors(xp: Any, x: Any, d: Any) -> Any:
    """Return the derivative of the determinant of each matrix by its entries; d is the determinant.

    d * inv(x).T for regular matrices; from singular values for others, where it stays exact.
    """
    if not x.size:
        return xp.zeros(x.shape, x.dtype)
    inverse = _inverse(xp, x)
    if inverse is not None:
        d = d if x.ndim == 2 else d[..., None, None]
        return d * inverse.swapaxes(-1, -2)
    phase, s, (u, vh) = _diagonal_frame(xp, x)
    before, after = _others(xp, s)
    return phase * ((u * (before * after)[..., None, :]) @ vh)


@primitive
def cofactor_change(xp: Any, x: Any, w: Any) -> Any:
    """Return the derivative of the cofactors in the direction w; linear and symmetric in w."""
    if not x.size:
        return xp.zeros(w.shape, xp.result_type(x, w))
    inverse = _inverse(xp, x)
    if inverse is not None:
        t = inverse.swapaxes(-1, -2)
        d = xp.asarray(xp.linalg.det(x))[..., None, None]
        return d * ((t * w).sum((-2, -1), keepdims=True) * t - t @ w.swapaxes(-1, -2) @ t)
    phase, s, (u, vh) = _diagonal_frame(xp, x)
    turned = u.swapaxes(-1, -2) @ w @ vh.swapaxes(-1, -2)
    pairs = _others_of_pairs(xp, s)
    on = xp.eye(s.shape[-1], dtype=s.dtype)
    sums = pairs @ (turned * on).sum(-1)[..., None]
    return phase * (u @ (on * sums - pairs * turned.swapaxes(-1, -2)) @ vh)


def _third(x: Any, v: Any, w: Any) -> Any:
    """Return the second derivative of the cofactors in the directions v and w, by the inverse."""
    if x.shape[-1] and _inverse(library_of(x), plain(x)) is None:
        raise NotImplementedError(
            "det: its third derivative at a singular matrix has no rule: write the determinant as "
            "a polynomial of the entries, or differentiate twice only"
        )
    b = inv.op(x)
    t = transpose(b)
    bv, bw = matmul.op(b, v), matmul.op(b, w)
    cross = matmul.op(bv, bw)
    tv, tw, tvw = (_trace(m) for m in (bv, bw, cross))
    both = matmul.op(cross + matmul.op(bw, bv), b)
    single = multiply.op(tw, matmul.op(bv, b)) + multiply.op(tv, matmul.op(bw, b))
    whole = multiply.op(tv * tw - tvw, t) + transpose(both - single)
    return multiply.op(spread(det.op(x)), whole)


def _trace(x: Any) -> Any:
    return sum_.op(multiply.op(x, mask(x, 0.0, 1.0, 0.0)), axis=(-2, -1), keepdims=True)


# Broadcast over leading axes, as arithmetic is.
batched(aligned, cofactor_change)
defvjp(cofactors, lambda g, x: cofactor_change.op(x, g), None)
defjvp(cofactors, lambda t, x: cofactor_change.op(x, t), None)
defvjp(cofactor_change, lambda g, x, w: _third(x, g, w), lambda g, x: cofactor_change.op(x, g))
defjvp(cofactor_change, lambda t, x, w: _third(x, t, w), lambda t, x: cofactor_change.op(x, t))

# ----- det --------------------------------------------------------------------------------------


@primitive(name="det")
def det(xp: Any, a: Any) -> Any:
    """Return the determinant of each matrix; g times the cofactors flows back, singular or not.

    The derivatives are exact to second order for every rank; the third needs a regular matrix.
    """
    return xp.linalg.det(a)


def _det_jvp(t: Any, ans: Any, a: Any) -> Any:
    return sum_.op(multiply.op(cofactors.op(a, ans), t), axis=(-2, -1))


defvjp(det, lambda g, ans, a: multiply.op(spread(g), cofactors.op(a, ans)))
defjvp(det, _det_jvp)

# ----- slogdet ----------------------------------------------------------------------------------


class SlogdetResult(NamedTuple):
    """Sign and logarithm of the absolute value of a determinant."""

    sign: Any
    logabsdet: Any


@primitive(name="slogdet", outputs=2)
def slogdet_(xp: Any, a: Any) -> Any:
    """Sign and logarithm of the absolute value of the determinant of each matrix."""
    sign, logarithm = xp.linalg.slogdet(a)
    return sign, logarithm


def _inverse_transposed(sign: Any, a: Any) -> Any:
    """Return the transposed inverse of each matrix, and nan for singular ones."""
    singular = plain(sign) == 0
    if not singular.any():
        return transpose(inv.op(a))
    singular = singular[..., None, None]
    regular = where.op(singular, mask(a, 0.0, 1.0, 0.0), a)
    return where.op(singular, numpy.nan, transpose(inv.op(regular)))


def _slogdet_vjp(g: Any, ans: Any, a: Any) -> Any:
    to_sign, weight = g
    if to_sign is not None and is_complex(a):
        turn = multiply.op(imag.op(multiply.op(to_sign, ans[0])), 1j)
        weight = turn if weight is None else weight + turn
    if weight is None:
        return None
    return zero_multiply.op(spread(weight), _inverse_transposed(ans[0], a))


def _slogdet_jvp(t: Any, ans: Any, a: Any) -> Any:
    change = sum_.op(zero_multiply.op(t, _inverse_transposed(ans[0], a)), axis=(-2, -1))
    if not is_complex(a):
        return None, change
    return multiply.op(multiply.op(imag.op(change), 1j), ans[0]), real.op(change)


defvjp(slogdet_, _slogdet_vjp)
defjvp(slogdet_, _slogdet_jvp)


def slogdet(a: Any) -> SlogdetResult:
    """Sign and log of the absolute value of the determinant; g * inv(a).T flows back.

    The sign of a complex determinant, a number of absolute value 1, has a derivative too.  At a
    singular matrix the logarithm is -inf and its derivative nan.
    """
    return SlogdetResult(*slogdet_(a))
