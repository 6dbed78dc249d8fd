"""Sorting, and finding places in what is sorted: gradients follow the permutation."""

from __future__ import annotations

from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.backends import backend_of
from backpass.core.ops.reductions import argsort_, refuse_order, sorting_kind
from backpass.core.ops.shaping import as_operand, astype, flattened, flip_
from backpass.core.rules import defjvp, defvjp, linear, nondifferentiable
from backpass.core.tensor import Tensor
from backpass.core.values import plain

# ----- permutations along an axis ---------------------------------------------------------------


def along_axis(xp: Any, order: Any, axis: int) -> Any:
    """Return the index that takes the places `order` along `axis`, and every other axis whole."""
    if order.ndim == 1:
        return order
    index = []
    for i, length in enumerate(order.shape):
        shape = [1] * order.ndim
        shape[i] = length
        index.append(xp.arange(length).reshape(shape))
    index[axis] = order
    return tuple(index)


@primitive
def permute(xp: Any, x: Any, *, order: Any, axis: int) -> Any:
    """Take the elements in an order along an axis; g is put back in the old one."""
    return x[along_axis(xp, order, axis)]


@primitive
def permute_back(xp: Any, x: Any, *, order: Any, axis: int) -> Any:
    """Put the elements where an order has taken them from; g is taken in that order."""
    made = xp.empty_like(x)
    made[along_axis(xp, order, axis)] = x
    return made


linear(permute, lambda g, *, order, axis: permute_back.op(g, order=order, axis=axis))
linear(permute_back, lambda g, *, order, axis: permute.op(g, order=order, axis=axis))

# ----- sort -------------------------------------------------------------------------------------


@primitive(name="sort")
def sort_(xp: Any, x: Any, *, axis: int = -1, kind: Any = None) -> Any:
    """Sort along an axis."""
    return xp.sort(x, axis=axis, **({} if kind is None else {"kind": kind}))


@primitive
def sorted_order(xp: Any, x: Any, *, axis: int) -> Any:
    """Return a permutation that sorts: which of equal elements comes first is not said."""
    return xp.argsort(x, axis=axis)


nondifferentiable(sorted_order)


def _order(x: Any, axis: int, kind: Any) -> Any:
    """Return the permutation that sorts: found when a derivative is asked for."""
    if kind is None:
        return sorted_order.op(plain(x), axis=axis)
    return argsort_.op(plain(x), axis=axis, kind=kind)


def _sort_vjp(g: Any, x: Any, *, axis: int = -1, kind: Any = None) -> Any:
    return permute_back.op(g, order=_order(x, axis, kind), axis=axis)


def _sort_jvp(t: Any, x: Any, *, axis: int = -1, kind: Any = None) -> Any:
    return permute.op(t, order=_order(x, axis, kind), axis=axis)


defvjp(sort_, _sort_vjp)
defjvp(sort_, _sort_jvp)

# ----- no derivative ----------------------------------------------------------------------------


@primitive(name="argpartition")
def argpartition_(xp: Any, x: Any, *, kth: Any, axis: Any = -1) -> Any:
    """Return the indices that would partition."""
    return xp.argpartition(x, kth, axis=axis)


nondifferentiable(argpartition_)

# ----- the functions, with NumPy's signatures ---------------------------------------------------


def sort(
    a: Any,
    axis: int | None = -1,
    kind: Any = None,
    order: Any = None,
    *,
    stable: Any = None,
    descending: bool = False,
) -> Tensor:
    """Sort along `axis`, or all elements; each gets the g of its place.

    Equal elements do not share: which of them stands where is `argsort`'s choice.  `descending`,
    the array API standard's, puts the largest first.
    """
    refuse_order("sort", order)
    kind = sorting_kind("sort", kind, stable)
    if descending:
        return flip_(sort(a, axis, kind), -1 if axis is None else axis)
    if axis == -1 and kind is None:
        return sort_(a)  # type: ignore[no-any-return]
    a, axis = flattened("sort", a, axis)
    return sort_(a, axis=axis, **({} if kind is None else {"kind": kind}))  # type: ignore[no-any-return]


def sort_complex(a: Any) -> Tensor:
    """Sort along the last axis, and convert to complex numbers; g follows the permutation."""
    made = sort_(as_operand(a))
    if made.dtype.kind == "c":
        return made  # type: ignore[no-any-return]
    # Of NumPy, so that the types of small integers give what they give there.
    return astype(made, dtype=numpy.sort_complex(numpy.empty(0, made.dtype)).dtype)  # type: ignore[no-any-return]


def _check_partition(name: str, kind: str, order: Any) -> None:
    refuse_order(name, order)
    if kind != "introselect":
        raise ValueError(f"{name}: kind={kind!r} is not known, only 'introselect'")


def partition(
    a: Any, kth: Any, axis: int | None = -1, kind: str = "introselect", order: Any = None
) -> Tensor:
    """Put the elements `kth` where sorting would, smaller ones before; g follows the permutation.

    The order before and after is `argpartition`'s, and may differ from `numpy.partition`'s.
    """
    _check_partition("partition", kind, order)
    a, axis = flattened("partition", a, axis)
    places = argpartition_.op(plain(a), kth=plain(kth), axis=axis)
    return permute(a, order=places, axis=axis)  # type: ignore[no-any-return]


def argpartition(
    a: Any, kth: Any, axis: int | None = -1, kind: str = "introselect", order: Any = None
) -> Tensor:
    """Return the indices that would partition along `axis`; no derivative."""
    _check_partition("argpartition", kind, order)
    return argpartition_(a, kth=plain(kth), axis=axis)  # type: ignore[no-any-return]


def searchsorted(a: Any, v: Any, side: Any = "left", sorter: Any = None) -> Tensor:
    """Return where elements are to be inserted in a sorted array; no derivative."""
    a, v = plain(as_operand(a)), plain(as_operand(v))
    xp = backend_of((a, v)).library
    v = xp.asarray(v) if isinstance(v, numpy.generic) else v
    return Tensor(xp.searchsorted(a, v, side=side, sorter=plain(sorter)))
