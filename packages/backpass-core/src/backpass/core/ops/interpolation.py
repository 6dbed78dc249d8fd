"""Interpolation along lines through given points.

Between two knots y = (1 - w) f[j] + w f[j + 1], where w = (x - xp[j]) / (xp[j + 1] - xp[j]), and
its slope is s.  The derivatives are s in x, 1 - w and w in the two f, and -s times these in the two
xp.  Beyond the ends the line is flat.  At a knot two lines meet: there the slope is the one of
least size between both, 0 if one goes up and the other down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy

from backpass.core.arity import primitive
from backpass.core.backends import backend_of
from backpass.core.operators import operators
from backpass.core.ops.differences import diff_
from backpass.core.ops.elementwise import absolute, remainder, where
from backpass.core.ops.indexing import getitem, scatter
from backpass.core.ops.shaping import (
    as_operand,
    as_operand_beside,
    astype,
    concatenate_arrays,
    reshape,
)
from backpass.core.rules import defjvp, defvjp
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors, plain


class _Pieces(NamedTuple):
    """Where elements lie: between the knots j and j + 1, on a line that slopes, or at its end."""

    j: Any
    sloping: Any
    #: Where the line does not slope: 0 at knot j, 1 at knot j + 1.
    end: Any


def _pieces(x: Any, knots: Any, f: Any) -> _Pieces:
    """Find the pieces on which plain arrays lie.

    They are found when the call is recorded, in order that no rule need search again.
    """
    xp = backend_of((x, knots, f)).library
    n = len(knots)
    found = xp.searchsorted(knots, x, side="right")
    knot = xp.maximum(found - 1, 0)
    hit = x == knots[knot]
    # Between infinite knots the line is flat; nan lies on every line.
    low, high = xp.isinf(knots[0]), n - xp.isinf(knots[-1])
    sloping = ((found > low) & (found < high)) | (x != x)
    few = n <= x.size
    left, bent = _at_knots(xp, xp.arange(n) if few else knot, knots, f)
    if few:
        left, bent = left[knot], bent[knot]
    j = xp.minimum(knot - (hit & left), n - 2)
    sloping = xp.where(hit, ~bent, sloping)
    end = (x >= knots[j + 1]) | (low & (j == 0))
    return _Pieces(j, sloping, end.astype(float))


def _at_knots(xp: Any, i: Any, knots: Any, f: Any) -> tuple[Any, Any]:
    """Tell which knots belong to the line on their left, and where the least slope is 0."""
    n = len(knots)

    def slope(j: Any, there: Any) -> Any:
        j, k = xp.maximum(j, 0), xp.minimum(j + 1, n - 1)
        width = knots[k] - knots[j]
        return xp.where(there & xp.isfinite(width), (f[k] - f[j]) / width, 0)

    before, after = slope(i - 1, i > 0), slope(i, i < n - 1)
    # A jump, between equal knots, has no slope of its own.
    left = (abs(before) < abs(after)) | xp.isnan(after)
    return left & (i > 0), ~((xp.conj(before) * after).real > 0)


def _rise(at: _Pieces, x: Any, a: Any) -> Any:
    """Return a[j + 1] - a[j]; subtracted where there are fewer, in `a` or in `x`."""
    if a.shape[0] <= x.size:
        return getitem.op(diff_.op(a), index=at.j)
    return getitem.op(a, index=at.j + 1) - getitem.op(a, index=at.j)


def _slope(at: _Pieces, x: Any, knots: Any, f: Any) -> Any:
    return where.op(at.sloping, _rise(at, x, f) / _rise(at, x, knots), 0.0)


def _weight(at: _Pieces, x: Any, knots: Any) -> Any:
    w = (x - getitem.op(knots, index=at.j)) / _rise(at, x, knots)
    return where.op(at.sloping, w, at.end)


@primitive(name="interp")
def interp_(xp: Any, x: Any, knots: Any, f: Any, *, at: _Pieces | None = None) -> Any:
    """Interpolate along the lines through the points (knots, f)."""
    if at is None:
        # CuPy wants contiguous arrays.
        found = [xp.ascontiguousarray(a).reshape(a.shape) for a in (x, knots, f)]
        return xp.interp(*found)[()]
    w = _weight(at, x, knots)
    multiply = operators.zero_multiply
    return multiply(1 - w, f[at.j]) + multiply(w, f[at.j + 1])


def _mixed(at: _Pieces, w: Any, t: Any) -> Any:
    """Return (1 - w) t[j] + w t[j + 1]."""
    multiply = operators.zero_multiply
    left, right = (getitem.op(t, index=i) for i in (at.j, at.j + 1))
    return multiply(left, 1 - w) + multiply(right, w)


def _spread(at: _Pieces, w: Any, g: Any, like: Any) -> Any:
    """Add (1 - w) g to the knots j, and w g to the knots j + 1."""
    multiply, shape = operators.zero_multiply, like.shape
    left, right = (reshape.op(multiply(g, v), shape=(-1,)) for v in (1 - w, w))
    j = at.j.reshape(-1)
    return scatter.op(left, index=j, shape=shape) + scatter.op(right, index=j + 1, shape=shape)


def _interp_vjp(
    g: Any, x: Any, knots: Any, f: Any, *, at: _Pieces, needs: Sequence[bool]
) -> list[Any]:
    made = [None, None, None]
    if needs[0] or needs[1]:
        made[0] = operators.zero_multiply(g, _slope(at, x, knots, f))
    if needs[1] or needs[2]:
        w = _weight(at, x, knots)
        if needs[1]:
            made[1] = -_spread(at, w, made[0], knots)
        if needs[2]:
            made[2] = _spread(at, w, g, f)
    return made


def _interp_jvp(ts: Sequence[Any], ans: Any, x: Any, knots: Any, f: Any, *, at: _Pieces) -> Any:
    tx, tk, tf = ts
    w = None if tk is tf is None else _weight(at, x, knots)
    moved = tx
    if tk is not None:
        drift = _mixed(at, w, tk)
        moved = -drift if tx is None else tx - drift
    made = None if moved is None else operators.zero_multiply(moved, _slope(at, x, knots, f))
    if tf is None:
        return made
    lifted = _mixed(at, w, tf)
    return lifted if made is None else made + lifted


defvjp(interp_, joint=_interp_vjp)
defjvp(interp_, joint=_interp_jvp)


def interp(
    x: Any, xp: Any, fp: Any, left: Any = None, right: Any = None, period: Any = None
) -> Tensor:
    """Interpolate along the lines through the points (xp, fp): slope * g to x, 1 - w and w to fp.

    Differentiable in every argument; -slope * (1 - w) and -slope * w go to xp.  At a knot the slope
    is the one of least size between those of the two lines that meet, 0 if one goes up and the
    other down; beyond the ends it is 0.  As in NumPy `xp` must increase, which is not checked, and
    the result is in double precision.

    Raises
    ------
    ValueError
        If there is no point, there are not as many `xp` as `fp`, or `period` is 0.
    """
    given = [as_operand(a) for a in (x, xp, fp)]
    like = next((a for a in given if len(a.shape)), None)
    x, xp, fp = (as_operand_beside(a, like) for a in given)
    _check(x, xp, fp)
    x, xp = _double(x), _double(xp)
    if period is not None:
        if plain(period) == 0:
            raise ValueError("interp: period must not be 0")
        x, xp, fp = _periodic(x, xp, fp, absolute.op(period))
        left = right = None
    if any(isinstance(a, Tensor) and a.tracked for a in (x, xp, fp)):
        made = _recorded(x, xp, _double(fp))
    else:
        made = interp_(x, xp, fp)
    if left is not None:
        made = where(plain(x) < plain(xp)[0], left, made)
    if right is not None:
        made = where(plain(x) > plain(xp)[-1], right, made)
    return as_tensors(made)  # type: ignore[no-any-return]


def _check(x: Any, xp: Any, fp: Any) -> None:
    if len(xp.shape) != 1 or xp.shape != fp.shape or not xp.shape[0]:
        raise ValueError(
            f"interp: xp of shape {tuple(xp.shape)}, fp of shape {tuple(fp.shape)}: there must be "
            "as many of either, one at least, along one axis"
        )
    for name, a in (("x", x), ("xp", xp)):
        if a.dtype.kind == "c":
            raise TypeError(f"interp: {name} is complex, only fp may be: use {name}.real")


def _double(a: Any) -> Any:
    """Return an operand in double precision, in which NumPy interpolates."""
    kind = complex if a.dtype.kind == "c" else float
    return a if a.dtype == kind else astype.op(a, dtype=kind)


@numpy.errstate(all="ignore")
def _recorded(x: Any, knots: Any, f: Any) -> Tensor:
    if len(knots) == 1:
        # A line for the rules, of no length.
        knots, f = (concatenate_arrays([a, a]) for a in (knots, f))
    at = _pieces(plain(x), plain(knots), plain(f))
    return interp_(x, knots, f, at=at)  # type: ignore[no-any-return]


def _periodic(x: Any, xp: Any, fp: Any, period: Any) -> tuple[Any, Any, Any]:
    """Bring everything into one period, with a point more on either side."""
    x, xp = remainder.op(x, period), remainder.op(xp, period)
    order = backend_of((plain(xp),)).library.argsort(plain(xp))
    xp, fp = getitem.op(xp, index=order), getitem.op(fp, index=order)
    first, last = slice(0, 1), slice(-1, None)
    ends = getitem.op(xp, index=last) - period, getitem.op(xp, index=first) + period
    around = getitem.op(fp, index=last), getitem.op(fp, index=first)
    return (
        x,
        concatenate_arrays([ends[0], xp, ends[1]]),
        concatenate_arrays([around[0], fp, around[1]]),
    )
