"""Functions that move elements without computing: their rules move the cotangent back."""

from __future__ import annotations

import builtins
import itertools
import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.backends import PYTHON_SCALARS, backend_of
from backpass.core.operators import operators
from backpass.core.ops.indexing import getitem
from backpass.core.rules import linear
from backpass.core.tensor import Tensor
from backpass.core.values import zeros_beside

# ----- primitives -------------------------------------------------------------------------------


@primitive(name="reshape")
def reshape(xp: Any, x: Any, *, shape: Any) -> Any:
    """Give the elements another shape."""
    made = xp.reshape(x, shape)
    return made if made.ndim else made[()]


@primitive(name="transpose")
def transpose_(xp: Any, x: Any, *, axes: Any = None) -> Any:
    """Permute the axes."""
    return xp.transpose(x, axes)


@primitive
def broadcast_to(xp: Any, x: Any, *, shape: Any) -> Any:
    """Repeat along new axes, and along axes of length 1, without copying."""
    return xp.broadcast_to(x, shape)


@primitive
def astype(xp: Any, x: Any, *, dtype: Any) -> Any:
    """Convert the elements."""
    return xp.asarray(x).astype(dtype)[()]


@primitive(name="copy")
def copy_(xp: Any, x: Any, *, order: str = "K") -> Any:
    """Copy."""
    return xp.array(x, order=order)[()]


@primitive
def flip(xp: Any, x: Any, *, axis: Any = None) -> Any:
    """Reverse the order of the elements along axes."""
    return xp.flip(x, axis)


@primitive
def roll(xp: Any, x: Any, *, shift: Any, axis: Any = None) -> Any:
    """Shift the elements along axes, those at the end to the front."""
    return xp.roll(x, shift, axis)


@primitive(name="repeat")
def repeat_(xp: Any, x: Any, *, repeats: int, axis: int) -> Any:
    """Repeat every element along an axis."""
    return xp.repeat(x, repeats, axis)


@primitive(name="tile")
def tile_(xp: Any, x: Any, *, counts: tuple[int, ...]) -> Any:
    """Repeat the whole along axes."""
    return xp.tile(x, counts)


@primitive(name="diagonal")
def diagonal_(xp: Any, x: Any, *, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Return the diagonal of a plane."""
    return xp.diagonal(x, offset, axis1, axis2)


@primitive(name="make_diagonal")
def make_diagonal_(
    xp: Any, x: Any, *, shape: Any, offset: int = 0, axis1: int = 0, axis2: int = 1
) -> Any:
    """Zeros of a shape with the last axis of x on the diagonal of a plane."""
    return _on_diagonal(xp, x, shape, offset, axis1, axis2)


@primitive(name="trace")
def trace_(xp: Any, x: Any, *, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Sum of the diagonal of a plane."""
    return xp.trace(x, offset, axis1, axis2)


@primitive
def trace_back(
    xp: Any, x: Any, *, shape: Any, offset: int = 0, axis1: int = 0, axis2: int = 1
) -> Any:
    """Zeros of a shape with each element of x all along the diagonal of a plane."""
    x = xp.asarray(x)
    return _on_diagonal(xp, x.reshape((*x.shape, 1)), shape, offset, axis1, axis2)


def _on_diagonal(xp: Any, x: Any, shape: Any, offset: int, axis1: int, axis2: int) -> Any:
    ndim = len(shape)
    axis1, axis2 = axis1 % ndim, axis2 % ndim
    rows, columns = shape[axis1], shape[axis2]
    rest = [n for i, n in enumerate(shape) if i not in (axis1, axis2)]
    n = builtins.max(
        builtins.min(rows + builtins.min(offset, 0), columns - builtins.max(offset, 0)), 0
    )
    # Where a plane's elements lie one after the other, those of a diagonal have one distance.
    flat = xp.zeros((*rest, rows * columns), x.dtype)
    start = offset if offset >= 0 else -offset * columns
    if n:
        flat[..., start : start + n * (columns + 1) : columns + 1] = x
    made = flat.reshape((*rest, rows, columns))
    if axis1 == ndim - 2 and axis2 == ndim - 1:
        return made
    return xp.moveaxis(made, (-2, -1), (axis1, axis2))


@primitive(name="tril")
def tril_(xp: Any, x: Any, *, k: int = 0) -> Any:
    """Lower triangle."""
    return xp.tril(x, k)


@primitive(name="triu")
def triu_(xp: Any, x: Any, *, k: int = 0) -> Any:
    """Upper triangle."""
    return xp.triu(x, k)


@primitive(name="rot90")
def rot90_(xp: Any, x: Any, *, k: int, axes: Any) -> Any:
    """Rotate in a plane."""
    return xp.rot90(x, k, axes)


@primitive(name="concatenate")
def concatenate_(xp: Any, *xs: Any, axis: Any = 0) -> Any:
    """Join arrays along an axis."""
    return xp.concatenate(xs, axis=axis)


@primitive(name="stack")
def stack_(xp: Any, *xs: Any, axis: int = 0) -> Any:
    """Join arrays, or numbers, along a new axis."""
    if builtins.all(isinstance(x, _SCALARS) for x in xs):
        return xp.array(xs)
    return xp.stack([xp.asarray(x) for x in xs], axis)


_SCALARS = (*PYTHON_SCALARS, numpy.generic)


def _unstack(g: Any, *xs: Any, axis: int = 0, needs: Sequence[bool]) -> list[Any]:
    before = (slice(None),) * axis
    return [getitem.op(g, index=(*before, i)) if need else None for i, need in enumerate(needs)]


def _invert(axes: Any) -> Any:
    return (
        None if axes is None else tuple(sorted(range(len(axes)), key=lambda i: axes[i] % len(axes)))
    )


def _split_back(g: Any, *xs: Any, axis: Any = 0, needs: Sequence[bool]) -> list[Any]:
    if axis is None:
        lengths = [math.prod(x.shape) for x in xs]
        axis = 0
    else:
        lengths = [x.shape[axis] for x in xs]
    parts: list[Any] = []
    start = 0
    before = (slice(None),) * (axis % len(g.shape))
    for x, length, need in zip(xs, lengths, needs):
        part = None
        if need:
            part = getitem.op(g, index=(*before, slice(start, start + length)))
            part = part if part.shape == x.shape else reshape.op(part, shape=x.shape)
        parts.append(part)
        start += length
    return parts


linear(reshape, lambda g, x: reshape.op(g, shape=x.shape))
linear(transpose_, lambda g, *, axes=None: transpose_.op(g, axes=_invert(axes)))
linear(broadcast_to, lambda g: g)
linear(astype, lambda g: g)
linear(copy_, lambda g: g)
linear(flip, lambda g, *, axis=None: flip.op(g, axis=axis))
linear(
    roll,
    lambda g, *, shift, axis=None: roll.op(
        g, shift=tuple(-s for s in shift) if isinstance(shift, tuple | list) else -shift, axis=axis
    ),
)


@primitive(name="split", outputs=2)
def split_(xp: Any, x: Any, *, cuts: Sequence[int], axis: int) -> Any:
    """Cut an array at rising places along an axis."""
    before = (slice(None),) * axis
    return tuple([x[(*before, slice(a, b))] for a, b in itertools.pairwise(cuts)])


def _joined_back(g: Sequence[Any], x: Any, *, cuts: Sequence[int], axis: int) -> Any:
    parts = list(g)
    used = [part for part in parts if part is not None]
    for i, (a, b) in enumerate(itertools.pairwise(cuts)):
        if parts[i] is None:
            shape = (*x.shape[:axis], b - a, *x.shape[axis + 1 :])
            like = numpy.broadcast_to(numpy.empty((), used[0].dtype), shape)
            parts[i] = zeros_beside(like, used)
    return concatenate_.op(*parts, axis=axis)


linear(concatenate_, joint=_split_back)
linear(split_, _joined_back)
linear(stack_, joint=_unstack)


def _repeat_vjp(g: Any, x: Any, *, repeats: int, axis: int) -> Any:
    shape = tuple(x.shape)
    apart = (*shape[: axis + 1], repeats, *shape[axis + 1 :])
    return operators.sum(reshape.op(g, shape=apart), axis=axis + 1)


def _tile_vjp(g: Any, x: Any, *, counts: tuple[int, ...]) -> Any:
    shape = (1,) * (len(counts) - len(x.shape)) + tuple(x.shape)
    apart = tuple(n for pair in zip(counts, shape) for n in pair)
    summed = operators.sum(reshape.op(g, shape=apart), axis=tuple(range(0, len(apart), 2)))
    return reshape.op(summed, shape=x.shape)


def _diagonal_vjp(g: Any, x: Any, *, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return make_diagonal_.op(g, shape=x.shape, offset=offset, axis1=axis1, axis2=axis2)


def _make_diagonal_vjp(g: Any, *, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    return diagonal_.op(g, offset=offset, axis1=axis1, axis2=axis2)


linear(repeat_, _repeat_vjp)
linear(tile_, _tile_vjp)
linear(diagonal_, _diagonal_vjp)
linear(make_diagonal_, _make_diagonal_vjp)
linear(
    trace_,
    lambda g, x, *, offset=0, axis1=0, axis2=1: trace_back.op(
        g, shape=x.shape, offset=offset, axis1=axis1, axis2=axis2
    ),
)
linear(
    trace_back,
    lambda g, *, offset=0, axis1=0, axis2=1: trace_.op(g, offset=offset, axis1=axis1, axis2=axis2),
)
linear(tril_, lambda g, *, k=0: tril_.op(g, k=k))
linear(triu_, lambda g, *, k=0: triu_.op(g, k=k))
linear(rot90_, lambda g, *, k, axes: rot90_.op(g, k=-k, axes=axes))

operators.reshape = reshape.op
operators.concatenate = concatenate_.op
operators.transpose = transpose_.op
operators.broadcast_to = broadcast_to.op
operators.astype = astype.op


def concatenate_arrays(xs: Sequence[Any], axis: Any = 0) -> Any:
    """Join a sequence of arrays, or of arrays and Tensors: for rules."""
    return concatenate_.op(*xs, axis=axis)


# ----- the functions, with NumPy's signatures ---------------------------------------------------


def _shape(*shape: Any) -> Any:
    """Return a shape that came as one tuple or as several numbers."""
    found = shape[0] if len(shape) == 1 else shape
    return found.value if isinstance(found, Tensor) else found


def as_operand(a: Any) -> Any:
    """Return an operand that has `.shape`: lists become arrays."""
    if type(a) is Tensor or hasattr(a, "shape"):
        return a
    return operators.methods["__array__"](a)


def as_operand_beside(a: Any, like: Any) -> Any:
    """Return an operand that has `.shape`; numbers and lists become arrays where `like` lies."""
    if type(a) is Tensor or (hasattr(a, "shape") and not isinstance(a, numpy.generic)):
        return a
    return as_operand(a) if type(a) in (list, tuple) else _library(like).asarray(a)


def flattened(name: str, a: Any, axis: int | None) -> tuple[Any, int]:
    """Return an operand of the function `name` and its axis; flattened for `None`."""
    a = as_operand(a)
    if axis is None:
        return (a if len(a.shape) == 1 else ravel(a)), 0
    return a, normalize_axis(axis, len(a.shape), name)


def _several(axes: Any) -> Any:
    """Return axes, or one axis, as a sequence."""
    return axes if isinstance(axes, tuple | list) else (axes,)


def moveaxis(a: Any, source: Any, destination: Any) -> Tensor:
    """Move axes to other positions; g moves back."""
    a = as_operand(a)
    taken, given = (
        [normalize_axis(i, a.ndim, "moveaxis") for i in _several(axes)]
        for axes in (source, destination)
    )
    if len(set(taken)) != len(set(given)) or len(taken) != len(given):
        raise ValueError("moveaxis: source and destination must be as many, none twice")
    axes = [i for i in range(a.ndim) if i not in taken]
    for d, s in sorted(zip(given, taken)):
        axes.insert(d, s)
    return transpose_(a, axes=tuple(axes))  # type: ignore[no-any-return]


def transpose(a: Any, axes: Any = None) -> Tensor:
    """Permute the axes, or reverse them; g is permuted back."""
    return transpose_(a, axes=None if axes is None else tuple(axes))  # type: ignore[no-any-return]


def permute_dims(a: Any, axes: Any = None) -> Tensor:
    """Permute the axes: `transpose`."""
    return transpose(a, axes)


def matrix_transpose(x: Any, /) -> Tensor:
    """Exchange the last two axes; g is transposed back."""
    x = as_operand(x)
    if len(x.shape) < 2:
        raise ValueError(f"matrix_transpose: the array must have two axes, it has {len(x.shape)}")
    return swapaxes(x, -1, -2)


def swapaxes(a: Any, axis1: int, axis2: int) -> Tensor:
    """Exchange two axes; g's are exchanged back."""
    a = as_operand(a)
    axes = list(range(a.ndim))
    axis1 = normalize_axis(axis1, a.ndim, "swapaxes")
    axis2 = normalize_axis(axis2, a.ndim, "swapaxes")
    axes[axis1], axes[axis2] = axis2, axis1
    return transpose_(a, axes=tuple(axes))  # type: ignore[no-any-return]


def rollaxis(a: Any, axis: int, start: int = 0) -> Tensor:
    """Move an axis to before position `start`; g's moves back."""
    a = as_operand(a)
    axis = normalize_axis(axis, a.ndim, "rollaxis")
    if start != a.ndim:
        start = normalize_axis(start, a.ndim, "rollaxis")
    return moveaxis(a, axis, start - 1 if start > axis else start)


def reshape_(a: Any, /, shape: Any = None, order: str = "C", *, copy: bool | None = None) -> Tensor:
    """Give the elements another shape, read and written in `order`; g gets the old one."""
    if shape is None:
        raise TypeError("reshape() needs a shape")
    shape = _shape(shape)
    if order == "C":
        made = reshape(a, shape=shape)
    else:
        a = as_operand(a)
        if _memory_order("reshape", a, order) == "C":
            made = reshape(a, shape=shape)
        else:
            # Fortran's order is C's with the axes reversed, before and after.
            turned = tuple(shape)[::-1] if isinstance(shape, tuple | list) else shape
            made = transpose_(reshape(transpose_(a), shape=turned))
    if copy is None:
        return made  # type: ignore[no-any-return]
    if copy:
        return copy_(made)  # type: ignore[no-any-return]
    _check_shared("reshape", a, made)
    return made  # type: ignore[no-any-return]


def _memory_order(name: str, a: Any, order: str) -> str:
    """Return "C" or "F" for NumPy's four orders; the last two ask how `a` lies in memory."""
    if order in ("C", "F"):
        return order
    if order not in ("A", "K"):
        raise ValueError(f"{name}: order must be one of 'C', 'F', 'A', or 'K' (got {order!r})")
    flags = getattr(a.value if isinstance(a, Tensor) else a, "flags", None)
    if flags is None or flags.c_contiguous:
        return "C"
    if flags.f_contiguous:
        return "F"
    if order == "K":
        raise TypeError(f"{name}: order='K' of an array with gaps is not supported: say 'C' or 'F'")
    return "C"


def _check_shared(name: str, a: Any, made: Tensor) -> None:
    """Raise where `copy=False` cannot be kept."""
    value = a.value if isinstance(a, Tensor) else a
    library = _library(value)
    if value.size and value.ndim and not library.may_share_memory(value, made.value):
        raise ValueError(f"{name}: a copy cannot be avoided, as copy=False wants: use copy=None")


def ravel(a: Any, order: str = "C") -> Tensor:
    """Flatten, reading in `order`; g gets the shape back."""
    if order == "C":
        return reshape(a, shape=(-1,))  # type: ignore[no-any-return]
    a = as_operand(a)
    if _memory_order("ravel", a, order) == "F":
        a = transpose_(a)
    return reshape(a, shape=(-1,))  # type: ignore[no-any-return]


def expand_dims(a: Any, axis: Any) -> Tensor:
    """Insert axes of length 1; g loses them."""
    a = as_operand(a)
    axes = axis if isinstance(axis, tuple | list) else (axis,)
    ndim = a.ndim + len(axes)
    new = {normalize_axis(i, ndim, "expand_dims") for i in axes}
    if len(new) != ndim - a.ndim:
        raise ValueError("expand_dims: repeated axis")
    lengths = iter(a.shape)
    return reshape(a, shape=tuple(1 if i in new else next(lengths) for i in range(ndim)))  # type: ignore[no-any-return]


def normalize_axis(axis: int, ndim: int, name: str) -> int:
    """Return an axis as a number from 0 on; raise NumPy's AxisError if there is none."""
    if not -ndim <= axis < ndim:
        raise numpy.exceptions.AxisError(f"{name}: axis {axis} is out of bounds for {ndim} axes")
    return axis % ndim


def squeeze(a: Any, axis: Any = None) -> Tensor:
    """Remove axes of length 1; g gets them back."""
    a = as_operand(a)
    if axis is None:
        axes = {i for i, n in enumerate(a.shape) if n == 1}
    else:
        given = axis if isinstance(axis, tuple | list) else (axis,)
        axes = {normalize_axis(i, a.ndim, "squeeze") for i in given}
        if builtins.any(a.shape[i] != 1 for i in axes):
            raise ValueError(f"squeeze: axis {axis} of shape {a.shape} has not length 1")
    return reshape(a, shape=tuple(n for i, n in enumerate(a.shape) if i not in axes))  # type: ignore[no-any-return]


def concatenate(
    arrays: Any,
    /,
    axis: int | None = 0,
    out: Any = None,
    *,
    dtype: Any = None,
    casting: str = "same_kind",
) -> Tensor:
    """Join arrays along an axis, or flattened; each gets its piece of g. `out` is refused."""
    if out is not None:
        raise TypeError("concatenate: out= is not supported: a Tensor's operations make new ones")
    parts = [as_operand(x) for x in arrays]
    if axis is None:
        parts, axis = [ravel(x) for x in parts], 0
    if dtype is None and casting == "same_kind":
        return concatenate_(*parts, axis=axis)  # type: ignore[no-any-return]
    joined = concatenate_(*parts, axis=axis)
    target = joined.dtype if dtype is None else numpy.dtype(dtype)
    for x in parts:
        if not numpy.can_cast(x.dtype, target, casting):  # type: ignore[arg-type]
            raise TypeError(
                f"concatenate: {x.dtype} is not cast to {target} by casting={casting!r}"
            )
    return astype(joined, dtype=target)  # type: ignore[no-any-return]


def stack(
    arrays: Any, axis: int = 0, out: Any = None, *, dtype: Any = None, casting: str = "same_kind"
) -> Tensor:
    """Join arrays along a new axis; each gets its piece of g. `out` is refused."""
    parts = [as_operand(x) for x in arrays]
    if len({x.shape for x in parts}) > 1:
        raise ValueError(f"stack: all arrays must have one shape, not {[x.shape for x in parts]}")
    if parts and out is None and dtype is None and casting == "same_kind":
        return stack_(*parts, axis=normalize_axis(axis, len(parts[0].shape) + 1, "stack"))  # type: ignore[no-any-return]
    spread = [expand_dims(x, axis) for x in parts]
    return concatenate(spread, axis=axis, out=out, dtype=dtype, casting=casting)


def atleast_1d(*arys: Any) -> Any:
    """Give 0-d arrays an axis; g loses it."""
    made = tuple(
        reshape(x, shape=(1,)) if x.ndim == 0 else _tensor(x) for x in map(as_operand, arys)
    )
    return made[0] if len(made) == 1 else made


def atleast_2d(*arys: Any) -> Any:
    """Give arrays new first axes up to two; g loses them."""
    made = tuple(
        reshape(x, shape=(1,) * (2 - x.ndim) + tuple(x.shape)) if x.ndim < 2 else _tensor(x)
        for x in map(as_operand, arys)
    )
    return made[0] if len(made) == 1 else made


def atleast_3d(*arys: Any) -> Any:
    """Give arrays axes up to three: (n,) becomes (1, n, 1), (m, n) becomes (m, n, 1)."""
    made = []
    for x in map(as_operand, arys):
        if x.ndim >= 3:
            made.append(_tensor(x))
        else:
            shape = {0: (1, 1, 1), 1: (1, *x.shape, 1), 2: (*x.shape, 1)}[x.ndim]
            made.append(reshape(x, shape=shape))
    return made[0] if len(made) == 1 else tuple(made)


def _tensor(x: Any) -> Tensor:
    """Return a Tensor of its own, which does not see what is written into `x`."""
    return reshape(x, shape=x.shape)  # type: ignore[no-any-return]


def vstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Tensor:
    """Join arrays along the first axis, 1-d ones as rows."""
    return concatenate([atleast_2d(x) for x in tup], dtype=dtype, casting=casting)


def hstack(tup: Any, *, dtype: Any = None, casting: str = "same_kind") -> Tensor:
    """Join arrays along the second axis, 1-d ones along the first."""
    parts = [atleast_1d(x) for x in tup]
    axis = 0 if parts and parts[0].ndim == 1 else 1
    return concatenate(parts, axis=axis, dtype=dtype, casting=casting)


def dstack(tup: Any) -> Tensor:
    """Join arrays along the third axis."""
    return concatenate([atleast_3d(x) for x in tup], axis=2)


def column_stack(tup: Any) -> Tensor:
    """Join arrays along the second axis, 1-d ones as columns."""
    parts = [as_operand(x) for x in tup]
    columns = [reshape(x, shape=(x.size, 1)) if x.ndim < 2 else x for x in parts]
    return concatenate(columns, axis=1)


def append(arr: Any, values: Any, axis: int | None = None) -> Tensor:
    """Join two arrays along an axis, or flattened."""
    return concatenate([arr, values], axis=axis)


def split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Cut into equal pieces, or before the given indices; the pieces' g are joined."""
    ary = as_operand(ary)
    if numpy.ndim(indices_or_sections) == 0 and ary.shape[axis] % indices_or_sections:
        raise ValueError(
            f"split: axis {axis} of length {ary.shape[axis]} cannot be cut into "
            f"{indices_or_sections} equal pieces: array_split allows unequal ones"
        )
    return array_split(ary, indices_or_sections, axis)


def array_split(ary: Any, indices_or_sections: Any, axis: int = 0) -> list[Tensor]:
    """Cut into pieces, nearly equal ones if a number is given; the pieces' g are joined."""
    ary = as_operand(ary)
    axis = normalize_axis(axis, ary.ndim, "split")
    length = ary.shape[axis]
    if numpy.ndim(indices_or_sections) == 0:
        if indices_or_sections < 1:
            raise ValueError("array_split: the number of sections must be at least 1")
        size, extra = divmod(length, indices_or_sections)
        sizes = [size + 1] * extra + [size] * (indices_or_sections - extra)
        ends = list(itertools.accumulate(sizes))[:-1]
    else:
        ends = [int(i) for i in indices_or_sections]
    before = (slice(None),) * axis
    cuts = [0, *ends, length]
    if cuts == sorted(cuts) and ends:
        return list(split_(ary, cuts=tuple(cuts), axis=axis))
    return [getitem(ary, index=(*before, slice(a, b))) for a, b in zip(cuts[:-1], [*ends, None])]


def vsplit(ary: Any, indices_or_sections: Any) -> list[Tensor]:
    """Cut along the first axis."""
    return split(_with_axes("vsplit", ary, 2), indices_or_sections, 0)


def hsplit(ary: Any, indices_or_sections: Any) -> list[Tensor]:
    """Cut along the second axis, the only one of a 1-d array."""
    ary = _with_axes("hsplit", ary, 1)
    return split(ary, indices_or_sections, 0 if ary.ndim == 1 else 1)


def dsplit(ary: Any, indices_or_sections: Any) -> list[Tensor]:
    """Cut along the third axis."""
    return split(_with_axes("dsplit", ary, 3), indices_or_sections, 2)


def _with_axes(name: str, ary: Any, least: int) -> Any:
    ary = as_operand(ary)
    if ary.ndim < least:
        raise ValueError(f"{name}: the array has {ary.ndim} axes, it needs at least {least}")
    return ary


def unstack(x: Any, /, *, axis: int = 0) -> tuple[Tensor, ...]:
    """Return the slices along an axis; their g are stacked."""
    moved = moveaxis(x, axis, 0)
    return tuple(moved[i] for i in range(moved.shape[0]))


def flip_(m: Any, axis: Any = None) -> Tensor:
    """Reverse the order along axes; g's is reversed back."""
    return flip(m, axis=axis)  # type: ignore[no-any-return]


def fliplr(m: Any) -> Tensor:
    """Reverse the second axis."""
    return flip(m, axis=1)  # type: ignore[no-any-return]


def flipud(m: Any) -> Tensor:
    """Reverse the first axis."""
    return flip(m, axis=0)  # type: ignore[no-any-return]


def roll_(a: Any, shift: Any, axis: Any = None) -> Tensor:
    """Shift along axes, around the end; g is shifted back."""
    return roll(a, shift=shift, axis=axis)  # type: ignore[no-any-return]


def rot90(m: Any, k: int = 1, axes: Sequence[int] = (0, 1)) -> Tensor:
    """Rotate by k times 90 degrees in the plane of two axes; g is rotated back."""
    m = as_operand(m)
    first, second = (normalize_axis(a, m.ndim, "rot90") for a in axes)
    if first == second:
        raise ValueError("rot90: the two axes must be different")
    k = operator.index(k) % 4
    if not k:
        return copy_(m)  # type: ignore[no-any-return]
    return rot90_(m, k=k, axes=(first, second))  # type: ignore[no-any-return]


def tile(A: Any, reps: Any) -> Tensor:
    """Repeat the whole array along axes; g is summed over the copies."""
    A, reps = as_operand(A), _on_host(reps)
    counts = tuple(int(r) for r in reps) if numpy.ndim(reps) else (int(reps),)
    ndim = builtins.max(len(counts), len(A.shape))
    return tile_(A, counts=(1,) * (ndim - len(counts)) + counts)  # type: ignore[no-any-return]


def repeat(a: Any, repeats: Any, axis: int | None = None) -> Tensor:
    """Repeat elements along an axis, each as often, or by counts; g is summed over the copies."""
    a, repeats = as_operand(a), _on_host(repeats)
    if axis is None or not len(a.shape):
        a, axis = ravel(a), axis or 0
    axis = normalize_axis(axis, len(a.shape), "repeat")
    if numpy.ndim(repeats) == 0:
        return repeat_(a, repeats=int(repeats), axis=axis)  # type: ignore[no-any-return]
    indices = numpy.repeat(numpy.arange(a.shape[axis]), numpy.asarray(repeats))
    return getitem(a, index=(*(slice(None),) * axis, indices))  # type: ignore[no-any-return]


def _on_host(x: Any) -> Any:
    """Return counts, which may be a Tensor or lie on a device, as something for NumPy."""
    x = x.value if isinstance(x, Tensor) else x
    return backend_of((x,)).to_host(x) if hasattr(type(x), "__cuda_array_interface__") else x


def broadcast_to_(array: Any, shape: Any, subok: bool = False) -> Tensor:
    """Repeat along new axes and axes of length 1; g is summed over the copies."""
    shape = _shape(shape)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    if builtins.min(shape, default=0) < 0:
        raise ValueError(f"broadcast_to: shape={shape} has a negative length")
    return broadcast_to(array, shape=shape)  # type: ignore[no-any-return]


def broadcast_arrays(*args: Any, subok: bool = False) -> tuple[Tensor, ...]:
    """Repeat arrays so that all have one shape; g is summed over the copies."""
    parts = [as_operand(x) for x in args]
    shape = numpy.broadcast_shapes(*(x.shape for x in parts))
    return tuple(broadcast_to(x, shape=shape) for x in parts)


def copy(a: Any, order: str = "K", subok: bool = False) -> Tensor:
    """Copy, laid out in memory in `order`; g flows through."""
    return copy_(a) if order == "K" else copy_(a, order=order)  # type: ignore[no-any-return]


def astype_(x: Any, dtype: Any, /, *, copy: bool = True, device: Any = None) -> Tensor:
    """Convert the elements; g is converted back, and ends where the new dtype is not inexact."""
    if device is not None and device != getattr(as_operand(x), "device", "cpu"):
        raise TypeError(
            f"astype: device={device!r} is not where the array lies: use backpass.core.to_device"
        )
    return astype(x, dtype=dtype)  # type: ignore[no-any-return]


def diagonal(a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Return the diagonal of a plane; g goes to the diagonal, the rest gets 0."""
    if offset == 0 and axis1 == 0 and axis2 == 1:
        return diagonal_(a)  # type: ignore[no-any-return]
    return diagonal_(a, offset=offset, axis1=axis1, axis2=axis2)  # type: ignore[no-any-return]


def make_diagonal(D: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Tensor:
    """Return the smallest stack of square matrices with the last axis of D on their diagonal.

    `diagonal` with the same arguments takes it out again, which is what g does.

    Examples
    --------
    >>> make_diagonal(numpy.array([1.0, 2.0]))
    Tensor([[1., 0.],
           [0., 2.]])
    """
    D = as_operand(D)
    n = D.shape[-1] + abs(offset)
    ndim = len(D.shape) + 1
    axis1, axis2 = (normalize_axis(i, ndim, "make_diagonal") for i in (axis1, axis2))
    lengths = iter(D.shape[:-1])
    shape = tuple(n if i in (axis1, axis2) else next(lengths) for i in range(ndim))
    return make_diagonal_(D, shape=shape, offset=offset, axis1=axis1, axis2=axis2)  # type: ignore[no-any-return]


def trace(
    a: Any, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None, out: Any = None
) -> Tensor:
    """Sum of the diagonal of a plane; g goes to the diagonal. `out` is refused."""
    if out is not None:
        raise TypeError("trace: out= is not supported: a Tensor's operations make new ones")
    if dtype is not None:
        a = astype(a, dtype=dtype)
    if offset == 0 and axis1 == 0 and axis2 == 1:
        return trace_(a)  # type: ignore[no-any-return]
    return trace_(a, offset=offset, axis1=axis1, axis2=axis2)  # type: ignore[no-any-return]


def diag(v: Any, k: int = 0) -> Tensor:
    """Return the diagonal of a matrix, or a matrix with the diagonal v."""
    v = as_operand(v)
    if v.ndim == 2:
        return diagonal(v, k)
    if v.ndim != 1:
        raise ValueError(f"diag: v must have one axis or two, it has shape {v.shape}")
    return make_diagonal(v, k)


def diagflat(v: Any, k: int = 0) -> Tensor:
    """Return a matrix with the elements of v, flattened, on its diagonal; g is read there."""
    return make_diagonal(ravel(v), k)


def tril(m: Any, k: int = 0) -> Tensor:
    """Lower triangle; g passes there."""
    return tril_(m, k=k) if k else tril_(m)  # type: ignore[no-any-return]


def triu(m: Any, k: int = 0) -> Tensor:
    """Upper triangle; g passes there."""
    return triu_(m, k=k) if k else triu_(m)  # type: ignore[no-any-return]


def _library(x: Any) -> Any:
    """Return the array library of an operand."""
    return backend_of((x.value if isinstance(x, Tensor) else x,)).library
