"""Functions that reduce axes: sums, products, extremes, moments."""

from __future__ import annotations

import math
from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.backends import backend_of
from backpass.core.operators import operators
from backpass.core.ops.elementwise import (
    conj,
    divide,
    equal,
    is_complex,
    isnan,
    less,
    logical_and,
    logical_or,
    maximum,
    minimum,
    multiply,
    real,
    sqrt,
    subtract,
    where,
    zero_multiply,
)
from backpass.core.ops.indexing import getitem
from backpass.core.ops.shaping import (
    as_operand,
    astype,
    broadcast_to,
    concatenate_arrays,
    flip,
    flip_,
    ravel,
    reshape,
)
from backpass.core.rules import defjvp, defvjp, linear, nondifferentiable
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors, located, plain

# ----- helpers of the rules ---------------------------------------------------------------------


def normal_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Return `axis` as a tuple of numbers from 0 on; `None` means all."""
    if axis is None:
        return tuple(range(ndim))
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    return tuple(a + ndim if a < 0 else a for a in axes)


def expand(g: Any, x: Any, axis: Any, keepdims: bool = False) -> Any:
    """Spread what a reduction of `x` over `axis` gave over the shape of `x` again."""
    whole = x.shape
    if axis is not None and not keepdims and g.shape != whole:
        if type(axis) is int:
            place = axis + len(whole) if axis < 0 else axis
            shape = (*whole[:place], 1, *whole[place + 1 :])
        else:
            axes = normal_axes(axis, len(whole))
            shape = tuple(1 if i in axes else n for i, n in enumerate(whole))
        g = reshape.op(g, shape=shape)
    return broadcast_to.op(g, shape=whole)


def count(x: Any, axis: Any) -> int:
    """Return how many elements of `x` make one of its reduction over `axis`."""
    n = 1
    for i in normal_axes(axis, len(x.shape)):
        n *= x.shape[i]
    return n


#: What keywords are when they say nothing, other than `None`.
_USUAL = {"keepdims": False, "where": True}


def _options(**options: Any) -> dict[str, Any]:
    """Return the keywords that say something: a call without them takes the short way."""
    return {k: v for k, v in options.items() if v is not None and v is not _USUAL.get(k)}


def _masked(g: Any, where_: Any) -> Any:
    return g if where_ is None else where.op(where_, g, 0.0)


def _mask(where_: Any, beside: Any, shape: tuple[int, ...]) -> Any:
    """Return a mask, which may be a single `True`, in a shape and on the device of `beside`."""
    xp = backend_of((located(beside),)).library
    return broadcast_to.op(xp.asarray(where_), shape=shape)


def refuse_order(name: str, order: Any) -> None:
    """Raise for `order=`: it names fields, and an array that can be differentiated has none."""
    if order is not None:
        raise TypeError(f"{name}: order= is for arrays with fields: use numpy.{name}(t.value)")


def sorting_kind(name: str, kind: Any, stable: Any) -> Any:
    """Return NumPy's `kind` for its newer keyword `stable`."""
    if stable is None:
        return kind
    if kind is not None:
        raise ValueError(f"{name}: give kind= or stable=, not both")
    return "stable" if stable else None


def refuse_out(name: str, out: Any) -> None:
    """Raise for `out=`: what an operation on Tensors makes is new."""
    if out is not None:
        raise TypeError(f"{name}: out= is not supported: a Tensor's operations make new ones")


# `where` and `initial`, which not every array library has.


def _kept(xp: Any, x: Any, mask: Any, other: Any) -> Any:
    """Return x with `other` where the mask does not hold; all of x without a mask."""
    if mask is None:
        return x
    x = xp.asarray(x)
    return xp.where(xp.broadcast_to(xp.asarray(mask), x.shape), x, _like(xp, other, x))


def _like(xp: Any, x: Any, other: Any) -> Any:
    """Return a number in the dtype of another array, as NumPy takes `initial`."""
    return xp.asarray(x).astype(other.dtype)[()]


def _held(xp: Any, x: Any, mask: Any, axis: Any, keepdims: bool) -> Any:
    """Return how many elements a mask holds along axes."""
    mask = xp.broadcast_to(xp.asarray(mask), x.shape)
    return xp.sum(mask, axis=axis, keepdims=keepdims)


# ----- sum and mean -----------------------------------------------------------------------------


@primitive(name="sum")
def sum_(
    xp: Any,
    x: Any,
    *,
    axis: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Any:
    """Sum over axes."""
    ans = xp.sum(_kept(xp, x, where, 0), axis=axis, keepdims=keepdims)
    return ans if initial is None else ans + _like(xp, initial, ans)


def _sum_vjp(g: Any, x: Any, *, axis: Any = None, keepdims: bool = False, where: Any = None) -> Any:
    return _masked(expand(g, x, axis, keepdims), where)


linear(sum_, _sum_vjp, zero=("initial",))
operators.sum = sum_.op


@primitive(name="mean")
def mean_(xp: Any, x: Any, *, axis: Any = None, keepdims: bool = False, where: Any = None) -> Any:
    """Mean over axes."""
    if where is None:
        return xp.mean(x, axis=axis, keepdims=keepdims)
    kept = _kept(xp, x, where, 0)
    n = _held(xp, kept, where, axis, keepdims)
    if kept.dtype == "float16":
        # The mean of a mask's elements is that of all, made larger: it is added in single.
        ans = xp.mean(kept, axis=axis, keepdims=keepdims)
        return (ans * (count(kept, axis) / n)).astype(ans.dtype)
    total = xp.sum(kept, axis=axis, keepdims=keepdims)
    made = total / n
    return made.astype(total.dtype) if total.dtype.kind in "fc" else made


def _mean_vjp(
    g: Any, x: Any, *, axis: Any = None, keepdims: bool = False, where: Any = None
) -> Any:
    n = count(x, axis)
    if where is not None:
        n = sum_.op(_mask(where, g, x.shape), axis=axis, keepdims=keepdims)
    return _masked(expand(divide.op(g, n), x, axis, keepdims), where)


linear(mean_, _mean_vjp)


@primitive(name="cumsum")
def cumsum_(xp: Any, x: Any, *, axis: Any = None) -> Any:
    """Cumulative sum."""
    return xp.cumsum(xp.ravel(x), axis=0) if axis is None else xp.cumsum(x, axis=axis)


def _cumsum_vjp(g: Any, x: Any, *, axis: Any = None) -> Any:
    along = 0 if axis is None else axis
    summed = flip.op(cumsum_.op(flip.op(g, axis=along), axis=along), axis=along)
    return summed if summed.shape == x.shape else reshape.op(summed, shape=x.shape)


linear(cumsum_, _cumsum_vjp)

# ----- products: the derivative is the product of the others, zeros or not ----------------------


@primitive(name="prod")
def prod_(
    xp: Any,
    x: Any,
    *,
    axis: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Any:
    """Product over axes; the derivative in an element is the product of the others."""
    ans = xp.prod(_kept(xp, x, where, 1), axis=axis, keepdims=keepdims)
    return ans if initial is None else ans * _like(xp, initial, ans)


#: The least normal float, by the character of its type.
_TINY = {c: float(numpy.finfo(c).tiny) for c in "efdFD"}
#: A derivative that is itself differentiated is built by halves up to so many factors.
_FEW = 64


def by_division(ans: Any, x: Any, n: int) -> bool:
    """Tell whether a product of n factors over one of them is the product of the others.

    Not where one is 0, or where the product has left the range in which floats are precise.  Nor is
    it taken where few factors are differentiated again: there the second derivative of each factor
    in itself is to be exactly 0, and not a difference.
    """
    if n <= _FEW and isinstance(x, Tensor):
        return False
    size = abs(plain(ans))
    lowest = _TINY.get(ans.dtype.char, math.inf)
    if isinstance(size, numpy.generic):
        return lowest < float(size) < math.inf
    return bool(((size > lowest) & (size < math.inf)).all())


def _others(x: Any) -> Any:
    """Return, for each element along the last axis, the product of the others there."""
    if isinstance(x, Tensor):
        return _others_by_halves(x)
    # All before it, times all behind it.
    xp = backend_of((x,)).library
    made = xp.ones_like(x)
    before, behind = made[..., 1:], made[..., :-1]
    before[...] = xp.cumprod(x[..., :-1], axis=-1)
    behind *= xp.cumprod(x[..., :0:-1], axis=-1)[..., ::-1]
    return made


def _others_by_halves(x: Any) -> Any:
    """Return the same, by halves: an element's others in its half, times all of the other."""
    n = x.shape[-1]
    if n <= 1:
        return x * 0 + 1 if n else x
    left = getitem.op(x, index=(..., slice(None, n // 2)))
    right = getitem.op(x, index=(..., slice(n // 2, None)))
    product_left = prod_.op(left, axis=-1, keepdims=True)
    product_right = prod_.op(right, axis=-1, keepdims=True)
    return concatenate_arrays(
        [_others_by_halves(left) * product_right, _others_by_halves(right) * product_left],
        axis=-1,
    )


def _prod_derivative(ans: Any, x: Any, axis: Any, keepdims: bool, initial: Any, where_: Any) -> Any:
    """Return, for each element, the product of the others that are reduced with it."""
    if by_division(ans, x, count(x, axis)):
        return _masked(divide.op(expand(ans, x, axis, keepdims), x), where_)
    ones = x if where_ is None else where.op(where_, x, 1.0)
    shape = x.shape
    axes = normal_axes(axis, len(shape))
    rest = tuple(i for i in range(len(shape)) if i not in axes)
    order = (*rest, *axes)
    moved = operators.transpose(ones, axes=order)
    flat = reshape.op(moved, shape=(*(shape[i] for i in rest), count(x, axis)))
    # No -1: an empty array cannot tell what it stands for.
    others = reshape.op(_others(flat), shape=tuple(shape[i] for i in order))
    back = operators.transpose(others, axes=tuple(sorted(range(len(order)), key=order.__getitem__)))
    return _masked(back if initial is None else back * initial, where_)


def _prod_vjp(
    g: Any,
    ans: Any,
    x: Any,
    *,
    axis: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Any:
    d = _prod_derivative(ans, x, axis, keepdims, initial, where)
    return zero_multiply.op(expand(g, x, axis, keepdims), d)


def _prod_jvp(
    t: Any,
    ans: Any,
    x: Any,
    *,
    axis: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Any:
    d = _prod_derivative(ans, x, axis, keepdims, initial, where)
    return sum_.op(zero_multiply.op(t, d), axis=axis, keepdims=keepdims)


defvjp(prod_, _prod_vjp)
defjvp(prod_, _prod_jvp)

# ----- extremes: ties share equally, a nan takes all --------------------------------------------


@primitive(name="max")
def max_(
    xp: Any,
    x: Any,
    *,
    axis: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Any:
    """Maximum over axes; the gradient goes to the greatest elements, in equal shares."""
    return _most(xp.max, xp.maximum, xp, x, axis, keepdims, initial, where)


@primitive(name="min")
def min_(
    xp: Any,
    x: Any,
    *,
    axis: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Any:
    """Minimum over axes; the gradient goes to the least elements, in equal shares."""
    return _most(xp.min, xp.minimum, xp, x, axis, keepdims, initial, where)


def _most(
    reduce: Any, larger: Any, xp: Any, x: Any, axis: Any, keepdims: bool, initial: Any, where: Any
) -> Any:
    if initial is None:
        if where is not None:
            raise ValueError("max, min: where= needs initial=, for where nothing is left")
        return reduce(x, axis=axis, keepdims=keepdims)
    x = xp.asarray(x)
    start = _like(xp, initial, x)
    if count(x, axis) == 0:
        ans = xp.sum(x, axis=axis, keepdims=keepdims).astype(x.dtype)
        return ans + start
    return larger(reduce(_kept(xp, x, where, initial), axis=axis, keepdims=keepdims), start)


def _weights(ans: Any, x: Any, axis: Any, keepdims: bool, where_: Any) -> Any:
    """Return each element's share in the extreme `ans` of `x`."""
    top = expand(ans, x, axis, keepdims)
    chosen = logical_or.op(equal.op(x, top), logical_and.op(isnan.op(x), isnan.op(top)))
    if where_ is not None:
        chosen = logical_and.op(chosen, where_)
    # Counted as integers, because float16 ends at 2048; none where `initial` was the extreme.
    ties = sum_.op(astype.op(chosen, dtype="int64"), axis=axis, keepdims=True)
    shares = divide.op(1.0, where.op(less.op(ties, 1), 1, ties))
    return where.op(chosen, astype.op(shares, dtype=ans.dtype), 0.0)


def _extreme_vjp(
    g: Any,
    ans: Any,
    x: Any,
    *,
    axis: Any = None,
    keepdims: bool = False,
    where: Any = None,
) -> Any:
    return multiply.op(expand(g, x, axis, keepdims), _weights(ans, x, axis, keepdims, where))


def _extreme_jvp(
    t: Any,
    ans: Any,
    x: Any,
    *,
    axis: Any = None,
    keepdims: bool = False,
    where: Any = None,
) -> Any:
    weighted = multiply.op(t, _weights(ans, x, axis, keepdims, where))
    return sum_.op(weighted, axis=axis, keepdims=keepdims)


for _extreme in (max_, min_):
    defvjp(_extreme, _extreme_vjp)
    defjvp(_extreme, _extreme_jvp)

# ----- variance and standard deviation ----------------------------------------------------------


@primitive(name="var")
def var_(
    xp: Any, x: Any, *, axis: Any = None, keepdims: bool = False, ddof: float = 0, where: Any = None
) -> Any:
    """Variance over axes."""
    if where is None:
        return xp.var(x, axis=axis, ddof=ddof, keepdims=keepdims)
    return _masked_variance(xp, x, axis, keepdims, ddof, where)


def _masked_variance(xp: Any, x: Any, axis: Any, keepdims: bool, ddof: float, mask: Any) -> Any:
    kept = _kept(xp, x, mask, 0)
    distance = xp.absolute(kept - mean_.op(x, axis=axis, keepdims=True, where=mask))
    squares = _kept(xp, xp.square(distance), mask, 0)
    ans = xp.sum(squares, axis=axis, keepdims=keepdims)
    n = _held(xp, kept, mask, axis, keepdims)
    return (ans / xp.maximum(n - ddof, 0)).astype(ans.dtype)


@primitive(name="std")
def std_(
    xp: Any, x: Any, *, axis: Any = None, keepdims: bool = False, ddof: float = 0, where: Any = None
) -> Any:
    """Take the standard deviation over axes."""
    if where is None:
        return xp.std(x, axis=axis, ddof=ddof, keepdims=keepdims)
    return xp.sqrt(_masked_variance(xp, x, axis, keepdims, ddof, where))


def _var_derivative(x: Any, axis: Any, ddof: float, where_: Any) -> Any:
    """Return 2 * conj(x - mean) / (n - ddof)."""
    if where_ is None:
        deviation = subtract.op(x, mean_.op(x, axis=axis, keepdims=True))
        if is_complex(x):
            deviation = conj.op(deviation)
        n = count(x, axis) - ddof
        return multiply.op(deviation, 2 / n if n > 0 else math.inf)
    axes = normal_axes(axis, len(x.shape))
    deviation = x - mean_.op(x, axis=axes, keepdims=True, where=where_)
    held = sum_.op(_mask(where_, x, x.shape), axis=axes, keepdims=True)
    return _masked(conj.op(deviation) * (2 / (held - ddof)), where_)


def _var_vjp(
    g: Any, x: Any, *, axis: Any = None, keepdims: bool = False, ddof: float = 0, where: Any = None
) -> Any:
    return zero_multiply.op(expand(g, x, axis, keepdims), _var_derivative(x, axis, ddof, where))


def _var_jvp(
    t: Any, x: Any, *, axis: Any = None, keepdims: bool = False, ddof: float = 0, where: Any = None
) -> Any:
    d = _var_derivative(x, axis, ddof, where)
    return sum_.op(real.op(zero_multiply.op(t, d)), axis=axis, keepdims=keepdims)


def _half_over(g: Any, ans: Any) -> Any:
    """Return g / (2 std), and 0 where the deviation is 0: the sub-gradient of least norm."""
    if isinstance(ans, numpy.generic):
        scalar: Any = ans
        return g.dtype.type(0) if scalar == 0 else zero_multiply.op(g, 0.5 / scalar)
    flat = equal.op(ans, 0)
    return where.op(flat, 0.0, zero_multiply.op(g, 0.5 / where.op(flat, 1.0, ans)))


def _std_vjp(
    g: Any,
    ans: Any,
    x: Any,
    *,
    axis: Any = None,
    keepdims: bool = False,
    ddof: float = 0,
    where: Any = None,
) -> Any:
    scaled = expand(_half_over(g, ans), x, axis, keepdims)
    return zero_multiply.op(scaled, _var_derivative(x, axis, ddof, where))


def _std_jvp(
    t: Any,
    ans: Any,
    x: Any,
    *,
    axis: Any = None,
    keepdims: bool = False,
    ddof: float = 0,
    where: Any = None,
) -> Any:
    return _half_over(_var_jvp(t, x, axis=axis, keepdims=keepdims, ddof=ddof, where=where), ans)


defvjp(var_, _var_vjp)
defjvp(var_, _var_jvp)
defvjp(std_, _std_vjp)
defjvp(std_, _std_jvp)

# ----- no derivative ----------------------------------------------------------------------------


@primitive(name="argmax")
def argmax_(xp: Any, x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Index of the maximum."""
    return xp.argmax(x, axis=axis, keepdims=keepdims)


@primitive(name="argmin")
def argmin_(xp: Any, x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    """Index of the minimum."""
    return xp.argmin(x, axis=axis, keepdims=keepdims)


@primitive(name="any")
def any_(xp: Any, x: Any, *, axis: Any = None, keepdims: bool = False, where: Any = None) -> Any:
    """Whether any element holds."""
    kept = x if where is None else _kept(xp, xp.asarray(x).astype(bool), where, False)
    return xp.any(kept, axis=axis, keepdims=keepdims)


@primitive(name="all")
def all_(xp: Any, x: Any, *, axis: Any = None, keepdims: bool = False, where: Any = None) -> Any:
    """Whether all elements hold."""
    kept = x if where is None else _kept(xp, xp.asarray(x).astype(bool), where, True)
    return xp.all(kept, axis=axis, keepdims=keepdims)


@primitive(name="count_nonzero")
def count_nonzero_(xp: Any, x: Any, *, axis: Any = None, keepdims: bool = False) -> Any:
    """How many elements are not 0."""
    if keepdims:
        return xp.sum(xp.not_equal(x, 0), axis=axis, keepdims=True)
    return xp.count_nonzero(x, axis=axis)


@primitive(name="argsort")
def argsort_(xp: Any, x: Any, *, axis: Any = -1, kind: Any = None) -> Any:
    """Return the indices that would sort."""
    return xp.argsort(x, axis=axis, **({} if kind is None else {"kind": kind}))


nondifferentiable(argmax_, argmin_, any_, all_, count_nonzero_, argsort_)

# ----- the functions, with NumPy's signatures ---------------------------------------------------


def sum(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Tensor:
    """Sum over `axis`; g flows to every element (and to a tracked `initial`). `out` is refused."""
    if dtype is None and out is None and initial is None and where is None:
        return sum_(a, axis=axis, keepdims=keepdims) if axis is not None or keepdims else sum_(a)  # type: ignore[no-any-return]
    refuse_out("sum", out)
    if dtype is not None:
        a = astype(a, dtype=dtype)
    if isinstance(initial, Tensor) and initial.tracked:
        total = sum_(a, **_options(axis=axis, keepdims=keepdims, where=plain(where)))
        return total + initial  # type: ignore[no-any-return]
    options = _options(axis=axis, keepdims=keepdims, initial=plain(initial), where=plain(where))
    return sum_(a, **options)  # type: ignore[no-any-return]


def mean(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    *,
    where: Any = None,
) -> Tensor:
    """Mean over `axis`; g / n flows to every element. `out` is refused."""
    refuse_out("mean", out)
    if dtype is not None:
        a = astype(a, dtype=dtype)
    made = mean_(a, **_options(axis=axis, keepdims=keepdims, where=plain(where)))
    return made if dtype is None or made.dtype == dtype else astype(made, dtype=dtype)  # type: ignore[no-any-return]


def prod(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Tensor:
    """Product over `axis`; the derivative is the product of the others, zeros or not."""
    refuse_out("prod", out)
    if dtype is not None:
        a = astype(a, dtype=dtype)
    if isinstance(initial, Tensor) and initial.tracked:
        product = prod_(a, **_options(axis=axis, keepdims=keepdims, where=plain(where)))
        return product * initial  # type: ignore[no-any-return]
    options = _options(axis=axis, keepdims=keepdims, initial=plain(initial), where=plain(where))
    return prod_(a, **options)  # type: ignore[no-any-return]


def max(
    a: Any,
    axis: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Tensor:
    """Maximum over `axis`; elements that tie share g equally, a nan takes all of it."""
    refuse_out("max", out)
    if isinstance(initial, Tensor) and initial.tracked:
        # Where no element may be left to reduce, an infinity stands in its place.
        least = None if where is None and numpy.size(plain(a)) else -math.inf
        return maximum(max(a, axis, None, keepdims, least, where), initial)  # type: ignore[no-any-return]
    options = _options(axis=axis, keepdims=keepdims, initial=plain(initial), where=plain(where))
    return max_(a, **options)  # type: ignore[no-any-return]


def min(
    a: Any,
    axis: Any = None,
    out: Any = None,
    keepdims: bool = False,
    initial: Any = None,
    where: Any = None,
) -> Tensor:
    """Minimum over `axis`; elements that tie share g equally, a nan takes all of it."""
    refuse_out("min", out)
    if isinstance(initial, Tensor) and initial.tracked:
        # Where no element may be left to reduce, an infinity stands in its place.
        least = None if where is None and numpy.size(plain(a)) else math.inf
        return minimum(min(a, axis, None, keepdims, least, where), initial)  # type: ignore[no-any-return]
    options = _options(axis=axis, keepdims=keepdims, initial=plain(initial), where=plain(where))
    return min_(a, **options)  # type: ignore[no-any-return]


amax, amin = max, min


def _moment(
    name: str,
    f: Any,
    a: Any,
    dtype: Any,
    out: Any,
    ddof: Any,
    correction: Any,
    mean: Any,
    **options: Any,
) -> Tensor:
    refuse_out(name, out)
    if correction is not None:
        if ddof:
            raise ValueError(f"{name}: give ddof or correction, not both: they mean the same")
        ddof = correction
    if dtype is not None:
        # A narrower type, or a real one for complex numbers, is that of the result.
        a = as_operand(a)
        a = astype(a, dtype=_inexact(name, a.dtype, dtype))
    if mean is None:
        made = f(a, **_options(ddof=ddof or None, **options))
    else:
        made = _variance_about(mean, a, ddof, **options)
        made = made if f is var_ else _root(made)
    return made if dtype is None or made.dtype == dtype else astype(made, dtype=dtype)  # type: ignore[no-any-return]


def _inexact(name: str, own: Any, dtype: Any) -> Any:
    """Return the dtype that holds an operand and what `dtype=` asks for."""
    if numpy.dtype(dtype).kind not in "fc":
        raise TypeError(f"{name}: dtype={dtype} would round the mean: use {name}(x).astype(dtype)")
    return numpy.result_type(own, dtype)


def _variance_about(
    mean: Any, a: Any, ddof: float, axis: Any, keepdims: bool, where: Any
) -> Tensor:
    """Return the variance about a mean that is known, and may be tracked."""
    distance = subtract(a, mean)
    squares = real(multiply(distance, conj(distance)))
    ones = numpy.broadcast_to(True, squares.shape) if where is None else where
    n: Any = sum_(broadcast_to(ones, shape=squares.shape), **_options(axis=axis, keepdims=keepdims))
    total = sum_(squares, **_options(axis=axis, keepdims=keepdims, where=where))
    made = total / maximum(n - ddof, 0)
    if total.dtype.kind not in "fc":
        return made  # type: ignore[no-any-return]
    return made if made.dtype == total.dtype else astype(made, dtype=total.dtype)  # type: ignore[no-any-return]


def _root(x: Tensor) -> Tensor:
    """Return the square root; its derivative at 0 is 0, as that of a deviation."""
    flat = equal.op(plain(x), 0)
    return where(flat, plain(x), sqrt(where(flat, 1.0, x)))  # type: ignore[no-any-return]


def var(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Any = None,
    mean: Any = None,
    correction: float | None = None,
) -> Tensor:
    """Variance over `axis`; its derivative is 2 * conj(x - mean) / (n - ddof)."""
    return _moment(
        "var",
        var_,
        a,
        dtype,
        out,
        ddof,
        correction,
        axis=axis,
        keepdims=keepdims,
        where=plain(where),
        mean=mean,
    )


def std(
    a: Any,
    axis: Any = None,
    dtype: Any = None,
    out: Any = None,
    ddof: float = 0,
    keepdims: bool = False,
    *,
    where: Any = None,
    mean: Any = None,
    correction: float | None = None,
) -> Tensor:
    """Take the standard deviation; its derivative is (x - mean) / ((n - ddof) * std), 0 at 0."""
    return _moment(
        "std",
        std_,
        a,
        dtype,
        out,
        ddof,
        correction,
        axis=axis,
        keepdims=keepdims,
        where=plain(where),
        mean=mean,
    )


def cumsum(a: Any, axis: int | None = None, dtype: Any = None, out: Any = None) -> Tensor:
    """Cumulative sum along `axis`; g is summed from the other end."""
    refuse_out("cumsum", out)
    if dtype is not None:
        a = astype(a, dtype=dtype)
    return cumsum_(a, **_options(axis=axis))  # type: ignore[no-any-return]


def argmax(a: Any, axis: int | None = None, out: Any = None, *, keepdims: bool = False) -> Tensor:
    """Index of the first maximum along `axis`; no derivative."""
    refuse_out("argmax", out)
    return argmax_(a, **_options(axis=axis, keepdims=keepdims))  # type: ignore[no-any-return]


def argmin(a: Any, axis: int | None = None, out: Any = None, *, keepdims: bool = False) -> Tensor:
    """Index of the first minimum along `axis`; no derivative."""
    refuse_out("argmin", out)
    return argmin_(a, **_options(axis=axis, keepdims=keepdims))  # type: ignore[no-any-return]


def argsort(
    a: Any,
    axis: int | None = -1,
    kind: Any = None,
    order: Any = None,
    *,
    stable: Any = None,
    descending: bool = False,
) -> Tensor:
    """Return the indices that would sort along `axis`; no derivative.

    `descending`, the array API standard's, puts the largest first.
    """
    refuse_order("argsort", order)
    kind = sorting_kind("argsort", kind, stable)
    if descending:
        # Turned round before and after, so that equal elements keep their order if `stable`.
        turned, along = (ravel(a), 0) if axis is None else (as_operand(a), axis)
        found = argsort(flip_(turned, along), along, kind)
        return turned.shape[along] - 1 - flip_(found, along)
    return argsort_(a, axis=axis, **_options(kind=kind))  # type: ignore[no-any-return]


def any(
    a: Any, axis: Any = None, out: Any = None, keepdims: bool = False, *, where: Any = None
) -> Tensor:
    """Whether any element along `axis` holds; no derivative."""
    refuse_out("any", out)
    return any_(a, **_options(axis=axis, keepdims=keepdims, where=plain(where)))  # type: ignore[no-any-return]


def all(
    a: Any, axis: Any = None, out: Any = None, keepdims: bool = False, *, where: Any = None
) -> Tensor:
    """Whether all elements along `axis` hold; no derivative."""
    refuse_out("all", out)
    return all_(a, **_options(axis=axis, keepdims=keepdims, where=plain(where)))  # type: ignore[no-any-return]


def count_nonzero(a: Any, axis: Any = None, *, keepdims: bool = False) -> Tensor:
    """How many elements along `axis` are not 0; no derivative."""
    return as_tensors(count_nonzero_(a, **_options(axis=axis, keepdims=keepdims)))  # type: ignore[no-any-return]
