"""Products and sums on the way along an axis."""

from __future__ import annotations

from typing import Any

from backpass.core.arity import primitive
from backpass.core.backends import backend_of
from backpass.core.operators import operators
from backpass.core.ops.elementwise import divide, multiply, zero_multiply
from backpass.core.ops.indexing import getitem
from backpass.core.ops.reductions import by_division, cumsum, cumsum_, refuse_out
from backpass.core.ops.shaping import (
    as_operand,
    astype,
    concatenate_arrays,
    flip,
    normalize_axis,
    reshape,
)
from backpass.core.rules import defjvp, defvjp
from backpass.core.tensor import Tensor
from backpass.core.values import plain

# ----- the recurrence that the rules of cumprod are made of --------------------------------------


@primitive
def recurrence(xp: Any, x: Any, y: Any, *, reverse: bool = False) -> Any:
    """Return s with s[k] = x[k] + y[k] * s[k - 1] along the last axis; s[k + 1] if reversed.

    The first s is the first x: the y beside it is not read.  Pairs of steps are joined to steps
    over twice the way, so that n elements take 3 n products in about log2(n) passes.
    """
    x, y = xp.broadcast_arrays(x, y)
    if reverse:
        return _recurrence(x[..., ::-1], y[..., ::-1], xp)[..., ::-1]
    return _recurrence(x, y, xp)


def _recurrence(x: Any, y: Any, xp: Any) -> Any:
    n = x.shape[-1]
    made = xp.array(x)
    if n < 2:
        return made
    times = zero_multiply.op
    # Over the odd places alone, each two steps after the one before it.
    even, odd = slice(None, None, 2), slice(1, None, 2)
    steps = y[..., odd]
    pairs = n // 2
    made[..., odd] += times(x[..., even][..., :pairs], steps)
    product = times(y[..., even][..., :pairs], steps)
    made[..., odd] = _recurrence(made[..., odd], product, xp)
    behind = slice(2, None, 2)
    made[..., behind] += times(made[..., odd][..., : (n - 1) // 2], y[..., behind])
    return made


def _shifted(x: Any, reverse: bool, first: float) -> Any:
    """Return each element's predecessor along the last axis; `first` where there is none."""
    kept = getitem.op(x, index=(..., slice(1, None) if reverse else slice(None, -1)))
    end = getitem.op(plain(x), index=(..., slice(0, 1)))
    xp = backend_of((end,)).library
    end = xp.full(end.shape, first, end.dtype)
    return concatenate_arrays([kept, end] if reverse else [end, kept], axis=-1)


def _recurrence_x(g: Any, y: Any, *, reverse: bool = False) -> Any:
    # Backwards, where the factor stands one place behind.
    return recurrence.op(g, _shifted(y, not reverse, 0.0), reverse=not reverse)


def _recurrence_y(g: Any, ans: Any, y: Any, *, reverse: bool = False) -> Any:
    return zero_multiply.op(_recurrence_x(g, y, reverse=reverse), _shifted(ans, reverse, 0.0))


def _recurrence_t(t: Any, y: Any, *, reverse: bool = False) -> Any:
    return recurrence.op(t, y, reverse=reverse)


def _recurrence_u(t: Any, ans: Any, y: Any, *, reverse: bool = False) -> Any:
    return recurrence.op(zero_multiply.op(t, _shifted(ans, reverse, 0.0)), y, reverse=reverse)


defvjp(recurrence, _recurrence_x, _recurrence_y)
defjvp(recurrence, _recurrence_t, _recurrence_u)

# ----- cumprod ----------------------------------------------------------------------------------


@primitive(name="cumprod")
def cumprod_(xp: Any, x: Any, *, axis: Any = None) -> Any:
    """Cumulative product; the derivative in an element is the product of the others, so far."""
    return xp.cumprod(xp.ravel(x), axis=0) if axis is None else xp.cumprod(x, axis=axis)


def _last(x: Any, axis: Any) -> Any:
    """Return x with the axis along which is multiplied as its last."""
    if axis is None:
        return reshape.op(x, shape=(-1,)) if len(x.shape) != 1 else x
    order = list(range(len(x.shape)))
    order.append(order.pop(axis))
    return x if axis in (-1, len(order) - 1) else operators.transpose(x, axes=tuple(order))


def _back(x: Any, axis: Any, shape: tuple[int, ...]) -> Any:
    """Return x with its last axis where it came from."""
    if axis is None:
        return x if x.shape == shape else reshape.op(x, shape=shape)
    order = list(range(len(shape)))
    order.insert(axis % len(shape), order.pop())
    return x if axis in (-1, len(order) - 1) else operators.transpose(x, axes=tuple(order))


def _divisible(ans: Any, x: Any) -> bool:
    return by_division(ans, x, ans.shape[-1])


# With P[i] the product before i, and S[i] = g[i] + x[i + 1] * S[i + 1], the cotangent of x[i] is
# P[i] * S[i]: no division, so that zeros are like any other factors, to every order.  Without zeros
# the sum of g * ans from i on, over x[i], is the same, and faster.
def _cumprod_vjp(g: Any, ans: Any, x: Any, *, axis: Any = None) -> Any:
    g, ans, factors = _last(g, axis), _last(ans, axis), _last(x, axis)
    if _divisible(ans, factors):
        # Turned before they are multiplied: the product lies in order then, which is summed faster.
        turned = multiply.op(flip.op(g, axis=-1), flip.op(ans, axis=-1))
        total = flip.op(cumsum_.op(turned, axis=-1), axis=-1)
        return _back(divide.op(total, factors), axis, x.shape)
    before, behind = _shifted(ans, False, 1.0), _shifted(factors, True, 1.0)
    after = recurrence.op(g, behind, reverse=True)
    return _back(zero_multiply.op(after, before), axis, x.shape)


def _cumprod_jvp(t: Any, ans: Any, x: Any, *, axis: Any = None) -> Any:
    t, made, factors = _last(t, axis), _last(ans, axis), _last(x, axis)
    if _divisible(made, factors):
        made = multiply.op(made, cumsum_.op(divide.op(t, factors), axis=-1))
    else:
        before = _shifted(made, False, 1.0)
        made = recurrence.op(zero_multiply.op(t, before), factors)
    return _back(made, axis, ans.shape)


defvjp(cumprod_, _cumprod_vjp)
defjvp(cumprod_, _cumprod_jvp)

# ----- the functions, with NumPy's signatures ---------------------------------------------------


def cumprod(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> Tensor:
    """Cumulative product along `axis`; its derivative is that of the products, zeros or not."""
    refuse_out("cumprod", out)
    if dtype is not None:
        a = astype(a, dtype=dtype)
    return cumprod_(a) if axis is None else cumprod_(a, axis=axis)  # type: ignore[no-any-return]


def _cumulative(
    name: str, f: Any, x: Any, axis: Any, dtype: Any, out: Any, initial: float | None
) -> Tensor:
    refuse_out(name, out)
    x = as_operand(x)
    if not len(x.shape):
        x = reshape.op(x, shape=(1,))
    if axis is None:
        if len(x.shape) > 1:
            raise ValueError(f"{name}: x has {len(x.shape)} axes: say along which, with axis=")
        axis = 0
    made = f(x, axis=normalize_axis(axis, len(x.shape), name), dtype=dtype)
    if initial is None:
        return made  # type: ignore[no-any-return]
    one = tuple(1 if i == axis % len(x.shape) else n for i, n in enumerate(x.shape))
    first = backend_of((made.value,)).library.full(one, initial, made.dtype)
    return concatenate_arrays([first, made], axis=axis)  # type: ignore[no-any-return]


def cumulative_sum(
    x: Any,
    /,
    *,
    axis: int | None = None,
    dtype: Any = None,
    out: Any = None,
    include_initial: bool = False,
) -> Tensor:
    """Cumulative sum along `axis`, after a 0 if `include_initial`; g is summed from the other end.

    Raises
    ------
    ValueError
        If `axis` is not given and there are several.
    """
    initial = 0.0 if include_initial else None
    return _cumulative("cumulative_sum", cumsum, x, axis, dtype, out, initial)


def cumulative_prod(
    x: Any,
    /,
    *,
    axis: int | None = None,
    dtype: Any = None,
    out: Any = None,
    include_initial: bool = False,
) -> Tensor:
    """Cumulative product along `axis`, after a 1 if `include_initial`; derivative as cumprod's.

    Raises
    ------
    ValueError
        If `axis` is not given and there are several.
    """
    initial = 1.0 if include_initial else None
    return _cumulative("cumulative_prod", cumprod, x, axis, dtype, out, initial)
