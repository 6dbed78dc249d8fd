"""Many cotangents at once: a stack of them that a rule sees as one.

A Jacobian has a row for each output element, and each row is a walk of its own over one and the
same graph.  A `Batch` holds the cotangents of many rows, one behind the other along a first axis
that it does not show: its shape is that of one of them.  So a rule, which is written for one
cotangent, runs for all of them at once.  What it does with the cotangent are calls of primitives,
and each primitive says here how it is applied to a Batch; one that does not say raises `Unbatched`,
and so does everything else that would have to look at the numbers: the rows are then walked one by
one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from backpass.core.operators import operators
from backpass.core.tensor import Tensor

#: How a primitive is applied to operands with a Batch among them: `rule(f, operands, keywords)`.
BatchRule = Callable[[Any, Sequence[Any], Mapping[str, Any]], Any]


class Unbatched(Exception):
    """Raised where something cannot be done to many cotangents at once."""


class _Apart(Tensor):
    """Between `Tensor` and `Batch`: the compiled engine takes a direct subclass for a Tensor."""

    __slots__ = ()


@dataclass(frozen=True)
class Diagonal:
    """Cotangents with one element each that is not 0: that of row i is element `start + i`.

    A walk begins with them, and until they have met a product there is little to compute.

    Attributes
    ----------
    elements : array, shape (rows,)
        What is not 0.
    start : int
        Where the first row has it, when its elements are counted in C order.
    library
        The library of the array.
    """

    elements: Any
    start: int
    library: Any

    @property
    def places(self) -> slice:
        """Which elements of a cotangent are not 0 in some row."""
        return slice(self.start, self.start + len(self.elements))

    def stack(self, shape: tuple[int, ...]) -> Any:
        """Return the cotangents, each of a shape."""
        rows, size = len(self.elements), math.prod(shape)
        made = self.library.zeros((rows, size), self.elements.dtype)
        made.reshape(-1)[self.start :: size + 1][:rows] = self.elements
        return made.reshape((rows, *shape))


class Batch(_Apart):
    """A stack of cotangents, seen as one of them.

    Attributes
    ----------
    shape : tuple
        That of one of them.
    diagonal : Diagonal or None
        What the stack is made of, as long as nobody has asked for it.
    """

    __slots__ = ("_inner", "_shape", "diagonal")

    def __init__(
        self, inner: Any, diagonal: Diagonal | None = None, shape: tuple[int, ...] | None = None
    ) -> None:
        self._inner = inner
        self._shape = tuple(inner.shape[1:]) if shape is None else shape
        self.diagonal = diagonal
        self.node = None
        self.grad = None

    @property
    def inner(self) -> Any:
        """All of them, of shape (rows, *shape); a Tensor where the walk itself is recorded."""
        if self.diagonal is not None:
            self._inner, self.diagonal = self.diagonal.stack(self._shape), None
        return self._inner

    @property
    def value(self) -> NoReturn:
        """Nobody can look at the numbers: they are those of many cotangents."""
        raise Unbatched("a rule that looks at the numbers of its cotangent")

    @property
    def rows(self) -> int:
        """How many cotangents there are."""
        rows = self._inner if self.diagonal is None else self.diagonal.elements
        return int(rows.shape[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one of them."""
        return self._shape

    @property
    def dtype(self) -> Any:
        """The type of the elements."""
        return (self._inner if self.diagonal is None else self.diagonal.elements).dtype

    @property
    def ndim(self) -> int:
        """The number of axes of one of them."""
        return len(self._shape)

    @property
    def size(self) -> int:
        """The number of elements of one of them."""
        return math.prod(self._shape)


def batched(rule: BatchRule, *functions: Any) -> None:
    """Declare how functions are applied to a Batch."""
    for f in functions:
        f.batch = rule


# ----- rules --------------------------------------------------------------------------------------


def ndim_of(x: Any) -> int:
    """Return the number of axes of an operand."""
    return len(getattr(x, "shape", ()))


def widened(x: Any, ndim: int) -> Any:
    """Return what a Batch holds, each cotangent with new first axes up to `ndim`."""
    missing = ndim - x.ndim
    if missing <= 0:
        return x.inner
    return operators.reshape(x.inner, shape=(x.rows, *(1,) * missing, *x.shape))


def spread(x: Any, rows: int) -> Any:
    """Return what a Batch holds; of an operand that is none, as many as there are rows."""
    if isinstance(x, Batch):
        return x.inner
    return operators.broadcast_to(x, shape=(rows, *x.shape))


def rows_of(xs: Sequence[Any]) -> int:
    """Return how many rows the batches among operands have."""
    return next(x.rows for x in xs if isinstance(x, Batch))


def aligned(f: Any, xs: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Apply a function that broadcasts its operands: the rows' axis stays before all others."""
    ndim = max(map(ndim_of, xs))
    made = f.op(*[widened(x, ndim) if isinstance(x, Batch) else x for x in xs], **kwargs)
    return tuple(map(Batch, made)) if type(made) is tuple else Batch(made)


def beside(f: Any, xs: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Apply a function that takes stacks, each operand as many: it looks at the last axes only."""
    rows = rows_of(xs)
    made = f.op(*[spread(x, rows) for x in xs], **kwargs)
    return tuple(map(Batch, made)) if type(made) is tuple else Batch(made)


def moved(axis: Any, ndim: int) -> Any:
    """Return axes of one cotangent as axes of the stack; `None` means all of them."""
    if axis is None:
        return tuple(range(1, ndim + 1))
    if isinstance(axis, tuple | list):
        return tuple(moved(i, ndim) for i in axis)
    return axis if axis < 0 else axis + 1


def along(*names: str) -> BatchRule:
    """Return the rule of a function of one operand whose keywords `names` are axes."""

    def rule(f: Any, xs: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        (x,) = xs
        given = {**_defaults(f), **kwargs}
        axes = {name: moved(given[name], x.ndim) for name in names}
        made = f.op(x.inner, **{**kwargs, **axes})
        return tuple(map(Batch, made)) if type(made) is tuple else Batch(made)

    return rule


def _defaults(f: Any) -> Mapping[str, Any]:
    """Return the keywords that a primitive has without being given them."""
    return getattr(f.function, "__kwdefaults__", None) or {}


def folded(
    f: Any, xs: Sequence[Any], kwargs: Mapping[str, Any], axis: int = 0, out: int = 0
) -> Batch:
    """Apply a function whose rows are independent along `axis`: the stack is laid there.

    `out` is the axis of the result that goes with it.
    """
    rows = rows_of(xs)
    made = f.op(*(_laid(x, axis) if isinstance(x, Batch) else x for x in xs), **kwargs)
    shape = tuple(made.shape)
    apart = (*shape[:out], rows, shape[out] // rows, *shape[out + 1 :])
    found = operators.reshape(made, shape=apart)
    if out:
        order = (out, *range(out), *range(out + 1, len(apart)))
        found = operators.transpose(found, axes=order)
    return Batch(found)


def _laid(x: Batch, axis: int) -> Any:
    """Return a stack of arrays as one array, one behind the other along `axis`."""
    inner, shape = x.inner, x.shape
    if axis:
        inner = operators.transpose(
            inner, axes=(*range(1, axis + 1), 0, *range(axis + 1, len(shape) + 1))
        )
    return operators.reshape(inner, shape=(*shape[:axis], x.rows * shape[axis], *shape[axis + 1 :]))


def in_columns(f: Any, xs: Sequence[Any], kwargs: Mapping[str, Any]) -> Batch:
    """Apply what solves `a @ x = b` for one matrix a: all right-hand sides lie side by side."""
    a, b = xs
    if isinstance(a, Batch) or ndim_of(a) != 2 or b.ndim > 2:
        raise Unbatched(f"{f.name} of stacks")
    if b.ndim == 2:
        return folded(f, xs, kwargs, axis=1, out=1)
    made = f.op(a, operators.transpose(b.inner, axes=(1, 0)), **kwargs)
    return Batch(operators.transpose(made, axes=(1, 0)))
