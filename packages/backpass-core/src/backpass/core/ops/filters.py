"""Functions of `scipy.signal` that slide over planes and along axes: `convolve2d` and `lfilter`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.backends import backend_of, made_beside
from backpass.core.ops.indexing import getitem
from backpass.core.ops.linalg.matrices import native
from backpass.core.ops.padding import pad
from backpass.core.ops.shaping import (
    as_operand,
    as_operand_beside,
    broadcast_to,
    concatenate_arrays,
    flip,
    normalize_axis,
    reshape,
)
from backpass.core.ops.signal import by_taps
from backpass.core.rules import bilinear, defjvp, defvjp
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors, plain

# ----- convolve2d -------------------------------------------------------------------------------

#: A window, or a result, of few elements is gone through element by element.
_FEW = 64


@primitive(name="convolve2d")
def convolve2d_(xp: Any, x: Any, y: Any, *, mode: str) -> Any:
    """Convolve matrices; mode "full", or "valid" with an x that is nowhere smaller than y."""
    small, large = (y, x) if y.size <= x.size else (x, y)
    if small.size <= _FEW and large.size > _FEW and (mode == "full" or small is y):
        return by_taps(xp, large, small, mode)
    shape = tuple(n - m + 1 for n, m in zip(x.shape, y.shape))
    if mode == "valid" and math.prod(shape) <= _FEW:
        made, turned = xp.empty(shape, xp.result_type(x, y)), y[::-1, ::-1]
        for i, j in numpy.ndindex(*shape):
            window = x[i : i + y.shape[0], j : j + y.shape[1]]
            made[i, j] = xp.tensordot(window, turned, 2)
        return made
    return backend_of((x, y)).function("convolve2d", "scipy.signal")(x, y, mode=mode)


_OTHER = {"full": "valid", "valid": "full"}


def _to_x(g: Any, y: Any, *, mode: str) -> Any:
    return convolve2d_.op(g, flip.op(y), mode=_OTHER[mode])


def _to_y(g: Any, x: Any, *, mode: str) -> Any:
    turned = flip.op(x)
    return convolve2d_.op(*((g, turned) if mode == "full" else (turned, g)), mode="valid")


bilinear(convolve2d_, _to_x, _to_y)

_BOUNDARIES = {
    "fill": "constant",
    "pad": "constant",
    "wrap": "wrap",
    "circular": "wrap",
    "symm": "symmetric",
    "symmetric": "symmetric",
}


def convolve2d(
    in1: Any, in2: Any, mode: str = "full", boundary: str = "fill", fillvalue: Any = 0
) -> Tensor:
    """Convolution of matrices; each gets the correlation of g with the other.

    Beyond in1 there is `fillvalue` (which is differentiable, too), or in1 again: as it is
    (`boundary="wrap"`) or mirrored ("symm").  In the mode "valid" the larger one counts as in1.

    Raises
    ------
    ValueError
        If the mode or the boundary is unknown, an operand is no matrix, or in the mode "valid"
        neither is everywhere the larger one.
    """
    x, y = as_operand(in1), as_operand(in2)
    if len(x.shape) != 2 or len(y.shape) != 2:
        raise ValueError(
            "convolve2d: both must be matrices, not arrays of the shapes "
            f"{tuple(x.shape)} and {tuple(y.shape)}: use scipy.signal.convolve for more axes"
        )
    if mode not in ("full", "same", "valid"):
        raise ValueError(f"convolve2d: mode={mode!r}: use 'full', 'same' or 'valid'")
    if boundary not in _BOUNDARIES:
        raise ValueError(f"convolve2d: boundary={boundary!r}: use 'fill', 'wrap' or 'symm'")
    if mode == "valid":
        if all(n <= m for n, m in zip(x.shape, y.shape)):
            x, y = y, x
        elif any(n < m for n, m in zip(x.shape, y.shape)):
            raise ValueError(
                "convolve2d: mode='valid' needs one matrix that is along no axis shorter than the "
                f"other, not the shapes {tuple(x.shape)} and {tuple(y.shape)}"
            )
        return convolve2d_(x, y, mode="valid")  # type: ignore[no-any-return]
    # Rows and columns that the result needs before in1 and after it.
    before = [m - 1 if mode == "full" else m // 2 for m in y.shape]
    after = [m - 1 if mode == "full" else (m - 1) // 2 for m in y.shape]
    way, options = _BOUNDARIES[boundary], {}
    if way == "constant":
        if mode == "full" and not isinstance(fillvalue, Tensor) and fillvalue == 0:
            return convolve2d_(x, y, mode="full")  # type: ignore[no-any-return]
        options = {"constant_values": fillvalue}
    wide = pad(x, tuple(zip(before, after)), way, **options)
    return convolve2d_(wide, y, mode="valid")  # type: ignore[no-any-return]


# ----- lfilter ----------------------------------------------------------------------------------
#
# y = (b / a) x, as polynomials in the delay.  With h = g / a, running backwards: b h flows to x,
# backwards too, and to b and a the products of h with what was delayed: x, and -y.


@primitive(name="lfilter")
def lfilter_(xp: Any, b: Any, a: Any, x: Any, *, axis: int) -> Any:
    """Filter from rest along an axis."""
    function = backend_of((b, a, x)).function("lfilter", "scipy.signal")
    return function(native(b), native(a), native(x), axis=axis)


@primitive
def delayed_products(xp: Any, x: Any, y: Any, *, count: int, axis: int) -> Any:
    """Return the sums of x times y delayed along an axis, by 0 to count - 1 elements."""
    n, before = x.shape[axis], (slice(None),) * axis
    made = xp.zeros(count, xp.result_type(x, y))
    for k in range(min(count, n)):
        late, early = x[(*before, slice(k, None))], y[(*before, slice(0, n - k))]
        made[k] = xp.vdot(late.conj() if late.dtype.kind == "c" else late, early)
    return made


def _one(x: Any) -> Any:
    """Return the coefficients of what filters nothing: two, which SciPy runs without Python."""
    value = plain(x)
    return made_beside((value,), lambda xp: xp.asarray([1, 0], value.dtype))


def _backwards(b: Any, a: Any, g: Any, axis: int) -> Any:
    return flip.op(lfilter_.op(b, a, flip.op(g, axis=axis), axis=axis), axis=axis)


bilinear(
    delayed_products,
    lambda g, y, *, count, axis: lfilter_.op(g, _one(g), y, axis=axis),
    lambda g, x, *, count, axis: _backwards(g, _one(g), x, axis),
)


def _lfilter_vjp(
    g: Any, ans: Any, b: Any, a: Any, x: Any, *, axis: int, needs: Sequence[bool]
) -> list[Any]:
    to_b = to_a = to_x = None
    if not (needs[0] or needs[1]):
        return [None, None, _backwards(b, a, g, axis)]
    h = _backwards(_one(a), a, g, axis)
    if needs[0]:
        to_b = delayed_products.op(h, x, count=b.shape[0], axis=axis)
    if needs[1]:
        to_a = -delayed_products.op(h, ans, count=a.shape[0], axis=axis)
    if needs[2]:
        to_x = _backwards(b, _one(b), h, axis)
    return [to_b, to_a, to_x]


def _lfilter_jvp(ts: Sequence[Any], ans: Any, b: Any, a: Any, x: Any, *, axis: int) -> Any:
    tb, ta, tx = ts
    parts = [] if tb is None else [lfilter_.op(tb, a, x, axis=axis)]
    if ta is not None:
        parts.append(-lfilter_.op(ta, a, ans, axis=axis))
    if tx is not None:
        parts.append(lfilter_.op(b, a, tx, axis=axis))
    return sum(parts[1:], parts[0])


defvjp(lfilter_, joint=_lfilter_vjp)
defjvp(lfilter_, joint=_lfilter_jvp)


def lfilter(b: Any, a: Any, x: Any, axis: int = -1, zi: Any = None) -> Any:
    """Filter along an axis; g is filtered backwards; differentiable in b, a, x and zi.

    With the state `zi` the result is a pair: what was filtered, and the state at its end.

    Raises
    ------
    ValueError
        If b or a is no vector with an element, a begins with 0, or zi does not fit.
    """
    x = as_operand(x)
    b, a = (_coefficients(name, c, x) for name, c in (("b", b), ("a", a)))
    if not len(x.shape):
        raise ValueError("lfilter: x must have at least one axis")
    axis = normalize_axis(axis, len(x.shape), "lfilter")
    if bool(plain(a)[0] == 0):
        raise ValueError("lfilter: a must not begin with 0: no output can be solved for")
    if zi is None:
        return lfilter_(b, a, x, axis=axis)
    return _with_state(b, a, x, axis, as_operand_beside(zi, plain(x)))


def _coefficients(name: str, c: Any, x: Any) -> Any:
    c = as_operand_beside(c, plain(x))
    c = c if len(c.shape) else reshape.op(c, shape=(1,))
    if len(c.shape) > 1 or not c.shape[0]:
        raise ValueError(
            f"lfilter: {name} must be a vector with an element at least, its shape is "
            f"{tuple(c.shape)}"
        )
    return c


def _cut(x: Any, axis: int, start: int | None, stop: int | None) -> Any:
    return getitem.op(x, index=(*(slice(None),) * axis, slice(start, stop)))


def _with_zeros(x: Any, axis: int, count: int) -> Any:
    """Put zeros behind, along an axis."""
    widths = [(0, count if i == axis else 0) for i in range(len(x.shape))]
    return pad(x, widths)


def _with_state(b: Any, a: Any, x: Any, axis: int, zi: Any) -> tuple[Tensor, Tensor]:
    """Filter from a state, and return the last: a y = b x + a[0] zi, also after the end of x."""
    n, k = x.shape[axis], max(b.shape[0], a.shape[0]) - 1
    shape = (*x.shape[:axis], k, *x.shape[axis + 1 :])
    if len(zi.shape) != len(shape) or any(z not in (1, s) for z, s in zip(zi.shape, shape)):
        raise ValueError(
            f"lfilter: zi must have the shape {shape}, or 1 along the other axes, not "
            f"{tuple(zi.shape)}"
        )
    if zi.shape[axis] != k:
        raise ValueError(f"lfilter: zi must have {k} elements along the axis, not {zi.shape[axis]}")
    zi = broadcast_to.op(zi, shape=shape)
    first = getitem.op(a, index=slice(0, 1))
    start = _cut(zi, axis, None, n) if k >= n else _with_zeros(zi, axis, n - k)
    lead = concatenate_arrays([first, first * 0])
    y = lfilter_.op(b, a, x, axis=axis) + lfilter_.op(lead, a, start, axis=axis)
    if not k:
        return as_tensors(y), as_tensors(zi)
    # What the last elements still add after the end.
    late = min(n, k)
    ends = [_with_zeros(_cut(z, axis, n - late, None), axis, k) for z in (x, y)]
    parts = [
        _cut(lfilter_.op(c, _one(c), end, axis=axis), axis, late, None)
        for c, end in ((b / first, ends[0]), (a / first, ends[1]))
    ]
    zf = parts[0] - parts[1]
    if n < k:
        zf = zf + _with_zeros(_cut(zi, axis, n, None), axis, n)
    return as_tensors(y), as_tensors(zf)
