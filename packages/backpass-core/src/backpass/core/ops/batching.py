"""How the primitives of which rules are made are applied to many cotangents at once: a table.

A rule does to its cotangent what is linear in it; so few primitives stand here.  Those that rules
apply to what has been kept from the way forward never meet a `Batch`.
"""

from __future__ import annotations

import string
from collections.abc import Mapping, Sequence
from typing import Any

import numpy

from backpass.core.backends import backend_of
from backpass.core.batches import (
    Batch,
    Diagonal,
    Unbatched,
    aligned,
    along,
    batched,
    ndim_of,
    rows_of,
    spread,
    widened,
)
from backpass.core.operators import operators
from backpass.core.ops import elementwise as e
from backpass.core.ops import shaping as s
from backpass.core.ops.differences import diff_, diff_back, slope, slope_back
from backpass.core.ops.floating import ldexp
from backpass.core.ops.indexing import getitem, scatter, setitem
from backpass.core.ops.linear import cross_, dot_, einsum_, matmul
from backpass.core.ops.padding import pad_constant
from backpass.core.ops.reductions import cumsum_, mean_, sum_
from backpass.core.ops.sorting import permute, permute_back
from backpass.core.primitive import Primitive
from backpass.core.values import plain

Operands = Sequence[Any]
Keywords = Mapping[str, Any]

# ----- single elements ----------------------------------------------------------------------------


def _zero_multiply(f: Primitive, xs: Operands, kwargs: Keywords) -> Any:
    """Multiply; a diagonal stays one, for what is 0 stays so, whatever it meets."""
    g, d = xs if isinstance(xs[0], Batch) else reversed(xs)
    diagonal = g.diagonal
    if diagonal is None or isinstance(d, Batch) or getattr(d, "shape", ()) not in (g.shape, ()):
        return aligned(f, xs, kwargs)
    if g is not xs[0] and not _is_finite(d):
        # The zero that is strong is the other's.
        return aligned(f, xs, kwargs)
    met = d.reshape(-1)[diagonal.places] if getattr(d, "shape", ()) else d
    operands = (diagonal.elements, met) if g is xs[0] else (met, diagonal.elements)
    return Batch(None, Diagonal(f.op(*operands), diagonal.start, diagonal.library), g.shape)


def _is_finite(x: Any) -> bool:
    """Tell whether an array holds finite numbers; one that would have to be waited for may not."""
    return isinstance(x, numpy.ndarray | numpy.generic | float) and bool(numpy.isfinite(x).all())


batched(_zero_multiply, e.zero_multiply)
batched(aligned, e.zero_product, e.multiply, e.divide, e.add, e.subtract)
batched(aligned, e.positive, e.negative, e.conj, e.real, e.imag, e.where)
batched(aligned, e.equal, e.not_equal, e.isnan, e.isinf, e.isfinite)
batched(aligned, e.logical_and, e.logical_or, e.logical_not)
batched(aligned, s.astype, s.copy_, ldexp)

# ----- axes ---------------------------------------------------------------------------------------


def _sum(f: Primitive, xs: Operands, kwargs: Keywords) -> Any:
    if kwargs.get("initial") is not None:
        raise Unbatched("a sum that does not begin at 0")
    if not xs[0].ndim:
        return Batch(operators.positive(xs[0].inner))
    return _along_axis(f, xs, kwargs)


_along_axis = along("axis")
batched(_sum, sum_, mean_)
batched(_along_axis, s.flip, s.repeat_, s.split_, diff_, diff_back, slope, slope_back)
batched(along("axes"), s.rot90_)


def _flattening(f: Primitive, xs: Operands, kwargs: Keywords) -> Any:
    """Apply what has its axis from the flattened array where none is given."""
    (x,) = xs
    if kwargs.get("axis") is not None:
        return _along_axis(f, xs, kwargs)
    flat = operators.reshape(x.inner, shape=(x.rows, -1 if x.size else 0))
    made = f.op(flat, **{**kwargs, "axis": 1})
    return Batch(operators.reshape(made, shape=x.inner.shape) if f is s.roll else made)


batched(_flattening, s.roll, cumsum_)


def _reshape(f: Primitive, xs: Operands, kwargs: Keywords) -> Batch:
    (x,) = xs
    shape = kwargs["shape"]
    shape = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    if x.diagonal is not None and -1 not in shape:
        return Batch(None, x.diagonal, shape)
    return Batch(f.op(x.inner, shape=(x.rows, *shape)))


def _transpose(f: Primitive, xs: Operands, kwargs: Keywords) -> Batch:
    (x,) = xs
    axes = kwargs.get("axes")
    axes = range(x.ndim, 0, -1) if axes is None else moved_all(axes)
    return Batch(f.op(x.inner, axes=(0, *axes)))


def moved_all(axes: Sequence[int]) -> list[int]:
    """Return axes of one cotangent as axes of the stack."""
    return [i if i < 0 else i + 1 for i in axes]


def _broadcast_to(f: Primitive, xs: Operands, kwargs: Keywords) -> Batch:
    (x,) = xs
    shape = kwargs["shape"]
    return Batch(f.op(widened(x, len(shape)), shape=(x.rows, *shape)))


def _tile(f: Primitive, xs: Operands, kwargs: Keywords) -> Batch:
    (x,) = xs
    counts = kwargs["counts"]
    return Batch(f.op(widened(x, len(counts)), counts=(1, *counts)))


batched(_reshape, s.reshape)
batched(_transpose, s.transpose_)
batched(_broadcast_to, s.broadcast_to)
batched(_tile, s.tile_)
batched(along("axis1", "axis2"), s.diagonal_, s.trace_)


def _onto_diagonal(f: Primitive, xs: Operands, kwargs: Keywords) -> Any:
    shape = (xs[0].rows, *kwargs["shape"])
    return _along_plane(f, xs, {**kwargs, "shape": shape})


_along_plane = along("axis1", "axis2")
batched(_onto_diagonal, s.make_diagonal_, s.trace_back)


def _triangle(f: Primitive, xs: Operands, kwargs: Keywords) -> Any:
    if xs[0].ndim < 2:
        raise Unbatched("the triangle of a vector")
    return aligned(f, xs, kwargs)


batched(_triangle, s.tril_, s.triu_)


def _join(f: Primitive, xs: Operands, kwargs: Keywords) -> Batch:
    rows, axis = rows_of(xs), kwargs.get("axis", 0)
    if axis is None:
        raise Unbatched("a concatenation of flattened arrays")
    return Batch(f.op(*(spread(x, rows) for x in xs), axis=axis if axis < 0 else axis + 1))


batched(_join, s.concatenate_, s.stack_)


def _pad(f: Primitive, xs: Operands, kwargs: Keywords) -> Batch:
    if kwargs.get("values"):
        raise Unbatched("a frame that is not of zeros")
    return Batch(f.op(xs[0].inner, widths=((0, 0), *kwargs["widths"])))


batched(_pad, pad_constant)

# ----- indices ------------------------------------------------------------------------------------


def _behind(index: Any) -> tuple[Any, ...]:
    """Return an index of one cotangent as one of the stack."""
    return (slice(None), *(index if type(index) is tuple else (index,)))


def _in_front(index: Any) -> bool:
    """Tell whether the axes of index arrays come first in the result, and so before the rows'.

    NumPy puts them there where a slice, an ellipsis or a new axis stands between two of them.
    """
    parts = index if type(index) is tuple else (index,)
    whole = [p is None or p is Ellipsis or isinstance(p, slice) for p in parts]
    if all(w or isinstance(p, int | numpy.integer) for p, w in zip(parts, whole)):
        return False
    first = whole.index(False)
    last = len(whole) - 1 - whole[::-1].index(False)
    return any(whole[first:last])


def _rows_last(x: Any) -> Any:
    n = len(x.shape)
    return operators.transpose(x, axes=(*range(1, n), 0))


def _rows_first(x: Any) -> Any:
    n = len(x.shape)
    return operators.transpose(x, axes=(n - 1, *range(n - 1)))


def _to_the_last(index: Any, ndim: int) -> tuple[Any, ...]:
    """Return an index as one of an array with one more axis at its end."""
    parts = index if type(index) is tuple else (index,)
    if any(p is Ellipsis for p in parts):
        return (*parts, slice(None))
    return parts


def _getitem(f: Primitive, xs: Operands, kwargs: Keywords) -> Batch:
    (x,) = xs
    index = kwargs["index"]
    if _in_front(index):
        taken = f.op(_rows_last(x.inner), index=_to_the_last(index, x.ndim))
        return Batch(_rows_first(taken))
    return Batch(f.op(x.inner, index=_behind(index)))


def _scatter(f: Primitive, xs: Operands, kwargs: Keywords) -> Batch:
    (x,) = xs
    index, shape = kwargs["index"], kwargs["shape"]
    if _in_front(index):
        index = _to_the_last(index, len(shape))
        return Batch(_rows_first(f.op(_rows_last(x.inner), index=index, shape=(*shape, x.rows))))
    return Batch(f.op(x.inner, index=_behind(index), shape=(x.rows, *shape)))


def _setitem(f: Primitive, xs: Operands, kwargs: Keywords) -> Batch:
    x, y = xs
    if isinstance(y, Batch) or _in_front(kwargs["index"]):
        raise Unbatched("what is written into a cotangent")
    return Batch(f.op(x.inner, y, index=_behind(kwargs["index"])))


batched(_getitem, getitem)
batched(_scatter, scatter)
batched(_setitem, setitem)


def _permute(f: Primitive, xs: Operands, kwargs: Keywords) -> Batch:
    (x,) = xs
    order, axis = plain(kwargs["order"]), kwargs["axis"]
    xp = backend_of((order,)).library
    order = xp.broadcast_to(order, (x.rows, *order.shape))
    return Batch(f.op(x.inner, order=order, axis=axis if axis < 0 else axis + 1))


batched(_permute, permute, permute_back)

# ----- products -----------------------------------------------------------------------------------

#: Fewer columns than that are laid side by side in one product; more are a product each.
_FEW = 8


def _matmul(f: Primitive, xs: Operands, kwargs: Keywords) -> Batch:
    x, y = xs
    if isinstance(x, Batch):
        if isinstance(y, Batch):
            raise Unbatched("a product of two cotangents")
        return _rows_times(x, y)
    return _times_columns(x, y)


def _product(rows: Any, y: Any) -> Any:
    """Return rows @ y for a vector or matrix y: one product of matrices for the whole stack."""
    shape = tuple(rows.shape)
    if len(shape) == 2:
        return matmul.op(rows, y)
    # No -1: an empty array cannot tell what it stands for.
    count = 1
    for n in shape[:-1]:
        count *= n
    made = matmul.op(operators.reshape(rows, shape=(count, shape[-1])), y)
    return operators.reshape(made, shape=(*shape[:-1], *y.shape[1:]))


def _scaled(d: Diagonal, y: Any) -> Any:
    """Return the product of a diagonal's rows, which are vectors, with a matrix: its rows, scaled.

    `None` where y is not an array of finite numbers: 0 times an infinity is nan in every product.
    """
    if y.dtype != d.elements.dtype or not _is_finite(y):
        return None
    return e.multiply.op(d.elements[:, None], y[d.places])


def _rows_times(x: Batch, y: Any) -> Batch:
    if x.diagonal is not None and x.ndim == 1 and ndim_of(y) == 2:
        made = _scaled(x.diagonal, y)
        if made is not None:
            return Batch(made)
    if ndim_of(y) <= 2:
        return Batch(_product(x.inner, y))
    if x.ndim > 1:
        return Batch(matmul.op(widened(x, ndim_of(y)), y))
    made = matmul.op(widened(x, ndim_of(y)), y)  # of one row each
    return Batch(operators.reshape(made, shape=(*made.shape[:-2], made.shape[-1])))


def _times_columns(x: Any, y: Batch) -> Batch:
    ndim = ndim_of(x)
    if y.diagonal is not None and ndim == 2 and y.shape[1:] in ((), (1,)):
        made = _scaled(y.diagonal, _turned(x))
        if made is not None:
            return Batch(operators.reshape(made, shape=(*made.shape, *y.shape[1:])))
    if y.ndim == 1:
        if ndim <= 2:
            return Batch(_product(y.inner, x if ndim == 1 else _turned(x)))
        column = operators.reshape(y.inner, shape=(y.rows, *(1,) * (ndim - 2), *y.shape, 1))
        made = matmul.op(x, column)
        return Batch(operators.reshape(made, shape=made.shape[:-1]))
    if ndim == 1:
        return Batch(_product(_turned(y.inner), x))
    if ndim == 2 and y.shape[-1] < _FEW:
        return Batch(_turned(_product(_turned(y.inner), _turned(x))))
    return Batch(matmul.op(x, widened(y, ndim)))


def _turned(x: Any) -> Any:
    """Return a stack of matrices, transposed."""
    n = len(x.shape)
    return operators.transpose(x, axes=(*range(n - 2), n - 1, n - 2))


batched(_matmul, matmul, dot_)
batched(aligned, cross_)


def _einsum(f: Primitive, xs: Operands, kwargs: Keywords) -> Batch:
    inputs, output = kwargs["inputs"], kwargs["output"]
    used = set(output).union(*inputs)
    rows = next(c for c in string.ascii_letters if c not in used)
    terms = tuple(rows + term if isinstance(x, Batch) else term for x, term in zip(xs, inputs))
    operands = [x.inner if isinstance(x, Batch) else x for x in xs]
    return Batch(f.op(*operands, **{**kwargs, "inputs": terms, "output": rows + output}))


batched(_einsum, einsum_)
