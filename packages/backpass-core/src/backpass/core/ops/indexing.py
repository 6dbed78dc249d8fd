"""Reading and writing elements: indexing, and assignment as a recorded operation."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy

from backpass.core.arity import Nary, Unary, primitive
from backpass.core.backends import PYTHON_SCALARS, backend_of, explain, explain_mixture
from backpass.core.extension import engine
from backpass.core.graph import FREED, Node, pauses, recording, tell
from backpass.core.observing import observer_here
from backpass.core.operators import operators
from backpass.core.rules import linear
from backpass.core.tensor import Tensor, exclusive, is_inexact, is_permanent_leaf, live
from backpass.core.values import located, plain


def plain_index(index: Any) -> Any:
    """Return an index in which Tensors (of integers or booleans) are arrays."""
    if type(index) is tuple:
        return tuple([plain(i) for i in index])
    if type(index) is list:
        return [plain(i) for i in index]
    return plain(index)


def _is_basic(index: Any) -> bool:
    """Tell whether no element can be met twice: integers, slices, ... and None, or one mask."""
    parts = index if type(index) is tuple else (index,)
    return all(
        p is None or p is Ellipsis or isinstance(p, int | slice | numpy.integer) for p in parts
    ) or (len(parts) == 1 and getattr(getattr(parts[0], "dtype", None), "kind", "") == "b")


def _take(xp: Any, x: Any, *, index: Any) -> Any:
    """Read x[index]; g is added to zeros at the index."""
    return (xp.asarray(x) if type(x) in PYTHON_SCALARS else x)[index]


@primitive
def scatter(xp: Any, x: Any, *, index: Any, shape: Any) -> Any:
    """Zeros of a shape with x added at index; what is met twice gets both."""
    made = xp.zeros(shape, x.dtype)
    if _is_basic(index):
        made[index] = x
    elif x.dtype.kind == "c":
        # Not every library adds complex numbers at indices.
        xp.add.at(made.real, index, x.real)
        xp.add.at(made.imag, index, x.imag)
    else:
        xp.add.at(made, index, x)
    return made


class _GetItem(Unary):
    """Indexing, with Tensors allowed in the index."""

    def build(self) -> Callable[..., Any]:
        """Return `op`, which makes plain arrays of Tensors in the index."""
        take = super().build()

        def op(x: Any, *, index: Any) -> Any:
            """x[index]; a Tensor gives a Tensor."""
            return take(x, index=plain_index(index))

        return op


getitem = _GetItem("getitem", _take)
linear(getitem, lambda g, x, *, index: scatter.op(g, index=index, shape=x.shape))
linear(scatter, lambda g, *, index: getitem.op(g, index=index))


def cut(x: Any, axis: int, start: int | None, stop: int | None) -> Any:
    """Return x[start:stop] along an axis: for rules."""
    return getitem.op(x, index=(*(slice(None),) * axis, slice(start, stop)))


def _add_at(total: Any, g: Any, index: Any) -> bool:
    """Add the cotangent of x[index] to that of x in place; tell whether it has been done."""
    if g.dtype is not total.dtype or not _is_basic(index):
        return False
    total[index] += g
    return True


if engine is not None:
    engine.install_reading(getitem, _add_at)


def _put(xp: Any, x: Any, y: Any, *, index: Any) -> Any:
    """Return a copy of x with y written at index; g flows to what is left, and to y."""
    made = xp.array(x)
    made[index] = y
    return made


setitem = Nary("setitem", _put)


def _setitem_x(g: Any, *, index: Any) -> Any:
    return setitem.op(g, 0.0, index=index)


def _setitem_y(g: Any, y: Any, *, index: Any) -> Any:
    taken = getitem.op(g, index=index)
    if _is_basic(index):
        return taken
    # Of elements that are written several times the last write stands; the others get nothing.
    xp = backend_of((located(g),)).library
    turn = xp.arange(taken.size).reshape(taken.shape)
    last = xp.empty(g.shape, numpy.intp)
    last[index] = turn
    return operators.zero_multiply((last[index] == turn).astype(g.dtype), taken)


linear(setitem, _setitem_x, _setitem_y)
operators.getitem = getitem.op


def assign(tensor: Tensor, index: Any, values: Any) -> None:
    """Write `values` at `index` of `tensor`: what `tensor[index] = values` does.

    The write is recorded if either is tracked.  It happens in place only where nobody else can see
    the array; otherwise in a copy.

    Raises
    ------
    TypeError
        If a tracked value would be written into integers, or into a permanent leaf.
    """
    index = plain_index(index)
    if type(values) in (list, tuple):
        values = operators.methods["__array__"](values)
    y = plain(values)
    x_node, y_node = live(tensor), live(values) if isinstance(values, Tensor) else None
    if pauses[0] and recording.paused:
        y_node = None
    permanent = is_permanent_leaf(tensor)
    if y_node is not None:
        if permanent:
            raise TypeError(
                "assignment of a tracked value into a Tensor with requires_grad_(): "
                "write into a copy, np.array(t), or assign stop_gradient(value)"
            )
        if not is_inexact(tensor.value):
            raise TypeError(
                f"assignment of a tracked value into an array of {tensor.dtype} would lose its "
                "gradient: make the array with dtype=float"
            )
    old = tensor.value
    before = _stand_in(old)
    if isinstance(old, numpy.generic):
        old = numpy.array(old)
        old[index] = y
        tensor.value = old[()]
    else:
        del old
        try:
            observer = observer_here()
            if observer is None:
                _write(tensor.writable(), index, y)
            else:
                observer.compute(setitem, _write, (tensor.writable(), index, y), {})
        except Exception as error:
            better = explain_mixture("assignment", (tensor.value, y)) or explain(error)
            if better is None:
                raise
            raise better from error
    if permanent or (x_node is None and y_node is None):
        return
    if x_node is FREED or y_node is FREED:
        tensor.node = FREED
        return
    nodes = (x_node, y_node)
    saved = setitem.keep(None, (before, y), nodes)
    kwargs = {"index": index}
    tensor.node = Node(setitem, nodes, saved, kwargs, before.shape, before.dtype)
    tell(setitem, (x_node, values), tensor.value, kwargs, tensor.node)


def _write(array: Any, index: Any, y: Any) -> None:
    """Write into an array, on its device."""
    if isinstance(array, numpy.ndarray):
        array[index] = y
    else:
        backend_of((array,)).place(operator.setitem, "assignment")(array, index, y)


_write.in_place = True  # type: ignore[attr-defined]


def _stand_in(x: Any) -> Any:
    """Return something with the shape and dtype of `x` that holds no reference to it."""
    return numpy.broadcast_to(numpy.empty((), x.dtype), x.shape)


def update(name: str, tensor: Tensor, other: Any) -> Tensor:
    """Compute `tensor += other` and its like; `name` is the primitive's.

    An array keeps its dtype, and every name of this Tensor sees the change; a scalar is immutable,
    as in Python: a new Tensor takes its place.

    Raises
    ------
    TypeError
        If the result's dtype or a tracked operand on a permanent leaf does not allow it.
    ValueError
        If the result has another shape.
    """
    operation = getattr(operators, name)
    if tensor.value.ndim == 0 and not is_permanent_leaf(tensor):
        return operation(tensor, other)  # type: ignore[no-any-return]
    tracked = isinstance(other, Tensor) and live(other) is not None
    paused = pauses[0] and recording.paused
    if is_permanent_leaf(tensor):
        if tracked and not paused:
            raise TypeError(
                f"in-place {name} of a tracked operand on a Tensor with requires_grad_(): "
                "use w = w + x, or stop_gradient(x)"
            )
        tensor.value = _fitted(name, tensor, operation(tensor.value, plain(other)))
        return tensor
    result = operation(tensor, other)
    node = live(tensor)
    if node is None and not tracked and exclusive(tensor):
        value = _fitted(name, tensor, plain(result))
        _write(tensor.value, ..., value)
        return tensor
    value = _fitted(name, tensor, result.value)
    if value is not result.value:
        result = operators.astype(result, dtype=tensor.dtype)
    tensor.value, tensor.node = result.value, result.node
    return tensor


def _fitted(name: str, tensor: Tensor, value: Any) -> Any:
    """Return the result of an in-place operation in the dtype of its target."""
    if value.shape != tensor.shape:
        raise ValueError(
            f"in-place {name}: the result has shape {value.shape}, the Tensor {tensor.shape}: "
            "use the operator that makes a new Tensor"
        )
    if value.dtype == tensor.dtype:
        return value
    if not numpy.can_cast(value.dtype, tensor.dtype, "same_kind"):
        raise TypeError(
            f"in-place {name}: a result of {value.dtype} does not fit into {tensor.dtype}: "
            "use the operator that makes a new Tensor"
        )
    return value.astype(tensor.dtype)


operators.assign = assign
operators.update = update
