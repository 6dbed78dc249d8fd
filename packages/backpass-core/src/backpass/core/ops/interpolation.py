"""Interpolation along lines through given points.

Between two knots y = (1 - w) f[j] + w f[j + 1], where w = (x - xp[j]) / (xp[j + 1] - xp[j]), and
its slope is s.  The derivatives are s in x, 1 - w and w in the two f, and -s times these in the two
xp.  Beyond the ends the line is flat.  At a knot two lines meet: there the slope is the one of
least size between both, 0 if one goes up and the other down.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from backpass.core.arity import primitive
from backpass.core.backends import backend_of
from backpass.core.operators import operators
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


@primitive(name="interp")
def interp_(xp: Any, x: Any, knots: Any, f: Any) -> Any:
    """Interpolate along the lines through the points (knots, f)."""
    return xp.interp(x, knots, f)


class _Pieces(NamedTuple):
    """Where elements lie: between the knots j and k, on a line that slopes, or at one end of it."""

    j: Any
    k: Any
    sloping: Any
    #: Where the line does not slope: 0 at knot j, 1 at knot k.
    end: Any


def _pieces(x: Any, knots: Any, f: Any) -> _Pieces:
    x, knots, f = plain(x), plain(knots), plain(f)
    xp = backend_of((x, knots, f)).library
    n = len(knots)
    last = max(n - 2, 0)
    right = xp.clip(xp.searchsorted(knots, x, side="right") - 1, 0, last)
    left = xp.where(x == knots[right], xp.maximum(right - 1, 0), right)

    def slope(j: Any, inside: Any) -> Any:
        k = xp.minimum(j + 1, n - 1)
        found = (f[k] - f[j]) / (knots[k] - knots[j])
        # Between infinite knots the line is flat, though it has a width.
        return xp.where(inside & xp.isfinite(knots[k] - knots[j]), found, 0)

    after = slope(right, ~(x < knots[0]) & ~(x >= knots[-1]))
    before = slope(left, ~(x <= knots[0]) & ~(x > knots[-1]))
    # A jump, between equal knots, has no slope of its own.
    leftward = (abs(before) < abs(after)) | xp.isnan(after)
    j = xp.where(leftward, left, right)
    k = xp.minimum(j + 1, n - 1)
    sloping = ~((xp.conj(before) * after).real <= 0)
    end = (x >= knots[k]) | ((x > knots[j]) & xp.isinf(knots[j]))
    return _Pieces(j, k, sloping, end.astype(float))


def _slope(at: _Pieces, knots: Any, f: Any) -> Any:
    rise = getitem.op(f, index=at.k) - getitem.op(f, index=at.j)
    return where.op(at.sloping, rise / _width(at, knots), 0.0)


def _width(at: _Pieces, knots: Any) -> Any:
    return getitem.op(knots, index=at.k) - getitem.op(knots, index=at.j)


def _weight(at: _Pieces, x: Any, knots: Any) -> Any:
    w = (x - getitem.op(knots, index=at.j)) / _width(at, knots)
    return where.op(at.sloping, w, at.end)


def _mixed(at: _Pieces, w: Any, t: Any) -> Any:
    """Return (1 - w) t[j] + w t[k]."""
    multiply = operators.zero_multiply
    return multiply(getitem.op(t, index=at.j), 1 - w) + multiply(getitem.op(t, index=at.k), w)


def _spread(at: _Pieces, w: Any, g: Any, like: Any) -> Any:
    """Add (1 - w) g to the knots j, and w g to the knots k."""
    multiply = operators.zero_multiply
    parts = [reshape.op(multiply(g, v), shape=(-1,)) for v in (1 - w, w)]
    xp = backend_of((plain(g),)).library
    places = xp.concatenate([xp.asarray(i).reshape(-1) for i in (at.j, at.k)])
    return scatter.op(concatenate_arrays(parts), index=places, shape=like.shape)


def _interp_vjp(
    g: Any, ans: Any, x: Any, knots: Any, f: Any, *, needs: Sequence[bool]
) -> list[Any]:
    at = _pieces(x, knots, f)
    made = [None, None, None]
    if needs[0] or needs[1]:
        made[0] = operators.zero_multiply(g, _slope(at, knots, f))
    if needs[1] or needs[2]:
        w = _weight(at, x, knots)
        if needs[1]:
            made[1] = -_spread(at, w, made[0], knots)
        if needs[2]:
            made[2] = _spread(at, w, g, f)
    return made


def _interp_jvp(ts: Sequence[Any], ans: Any, x: Any, knots: Any, f: Any) -> Any:
    at = _pieces(x, knots, f)
    tx, tk, tf = ts
    w = None if tk is tf is None else _weight(at, x, knots)
    moved = tx
    if tk is not None:
        drift = _mixed(at, w, tk)
        moved = -drift if tx is None else tx - drift
    made = None if moved is None else operators.zero_multiply(moved, _slope(at, knots, f))
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
    if period is not None:
        if plain(period) == 0:
            raise ValueError("interp: period must not be 0")
        x, xp, fp = _periodic(x, xp, fp, absolute.op(period))
        left = right = None
    made = interp_(x, xp, fp)
    if left is not None:
        made = where(plain(x) < plain(xp)[0], left, made)
    if right is not None:
        made = where(plain(x) > plain(xp)[-1], right, made)
    return as_tensors(made)  # type: ignore[no-any-return]


def _periodic(x: Any, xp: Any, fp: Any, period: Any) -> tuple[Any, Any, Any]:
    """Bring everything into one period, with a point more on either side."""
    if len(xp.shape) != 1 or xp.shape != fp.shape:
        raise ValueError(
            f"interp: xp of shape {tuple(xp.shape)}, fp of shape {tuple(fp.shape)}: "
            "there must be as many points of either, along one axis"
        )
    x, xp = (a if a.dtype == float else astype.op(a, dtype=float) for a in (x, xp))
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
