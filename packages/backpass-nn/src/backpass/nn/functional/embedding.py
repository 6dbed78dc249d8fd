"""Embedding: rows of a table, one for each index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

import backpass.numpy as np
from backpass.core import Tensor
from backpass.core.backends import backend_of, made_beside
from backpass.core.batches import Batch, Unbatched, batched, folded
from backpass.core.extend import defjvp, defvjp, linear, primitive
from backpass.nn.functional.checking import all_within, check_values

# ----- the primitives ---------------------------------------------------------------------------


@primitive(name="embedding")
def embedding_(xp: Any, indices: Any, weight: Any, *, count: int, padding_idx: int | None) -> Any:
    """Return the rows of weight (count, features) at some indices."""
    return xp.take(weight, indices, axis=0)


@primitive
def embedding_rows(
    xp: Any, indices: Any, weight: Any, *, count: int, padding_idx: int | None
) -> Any:
    """Return the rows of weight at some indices, and zeros for the padding index."""
    made = xp.take(weight, indices, axis=0)
    if padding_idx is not None:
        made[indices == padding_idx] = 0
    return made


@primitive
def embedding_weight(xp: Any, indices: Any, y: Any, *, count: int, padding_idx: int | None) -> Any:
    """Return a table in which each row of y is added at its index; the padding's row is zero."""
    made = xp.zeros((count, y.shape[-1]), y.dtype)
    # Rows laid end to end: one index an element is added the fastest.
    width = y.shape[-1]
    places = indices.reshape(-1, 1).astype(numpy.intp) * width + xp.arange(width)
    xp.add.at(made.reshape(-1), places.ravel(), y.ravel())
    if padding_idx is not None:
        made[padding_idx] = 0
    return made


defvjp(embedding_, None, lambda g, indices, **table: embedding_weight.op(indices, g, **table))
defjvp(embedding_, None, lambda t, indices, **table: embedding_rows.op(indices, t, **table))
linear(embedding_rows, None, lambda g, indices, **table: embedding_weight.op(indices, g, **table))
linear(embedding_weight, None, lambda g, indices, **table: embedding_rows.op(indices, g, **table))


def _wide_rows(f: Any, xs: Sequence[Any], kwargs: Any) -> Batch:
    """Take the vectors of many cotangents for longer ones."""
    indices, y = xs
    if isinstance(indices, Batch):
        raise Unbatched("indices")
    return folded(f, xs, kwargs, axis=y.ndim - 1, out=1 if f is embedding_weight else indices.ndim)


batched(_wide_rows, embedding_rows, embedding_weight)

# ----- the public function ----------------------------------------------------------------------


def embedding(indices: Any, weight: Any, padding_idx: int | None = None) -> Tensor:
    """Return a row of a table for each index: words, as vectors.

    The gradient of the table is dense; what is taken several times gets all that comes back.

    Parameters
    ----------
    indices : Tensor, array or lists of integers, of any shape
        At least 0, and less than the number of rows.
    weight : Tensor or array, shape (rows, features)
        The table.
    padding_idx : int, optional
        The index whose row stays what it is: its gradient is 0. A negative one counts from the end.

    Returns
    -------
    Tensor
        Of shape (*indices.shape, features), in the dtype of `weight`.

    Raises
    ------
    TypeError
        If the indices, or `padding_idx`, are not integers.
    ValueError
        If an index is out of range, or `weight` has another number of axes. Indices on a GPU are
        not waited for: those that are out of range give rows of nan, and the error comes with the
        next copy to the CPU.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import grad
    >>> from backpass.nn import functional
    >>> table = np.array([[0.0, 0.0], [1.0, 2.0], [3.0, 4.0]])
    >>> functional.embedding([1, 2, 1], table)
    Tensor([[1., 2.],
           [3., 4.],
           [1., 2.]])
    >>> grad(lambda table: functional.embedding([1, 2, 1], table).sum())(table)
    array([[0., 0.],
           [2., 2.],
           [1., 1.]])
    """
    weight = weight if hasattr(weight, "shape") else np.array(weight)
    if len(weight.shape) != 2:
        raise ValueError(
            f"embedding: `weight` has shape {tuple(weight.shape)}, but it must be (rows, features)"
        )
    count = weight.shape[0]
    if padding_idx is not None:
        if not isinstance(padding_idx, int | numpy.integer):
            raise TypeError(f"embedding: `padding_idx` is {padding_idx!r}, but it must be an index")
        if not -count <= padding_idx < count:
            raise ValueError(
                f"embedding: `padding_idx` is {padding_idx}, but `weight` has {count} rows"
            )
        padding_idx %= count
    indices = _as_indices(indices, weight)
    _check_range(indices, count)
    return embedding_(indices, weight, count=count, padding_idx=padding_idx)  # type: ignore[no-any-return]


def _as_indices(indices: Any, weight: Any) -> Any:
    """Return indices as an array; lists and numbers lie beside the table then."""
    if isinstance(indices, Tensor):
        indices = indices.value
    if not hasattr(indices, "dtype"):
        given = numpy.asarray(indices)
        given = given if given.size else given.astype(numpy.intp)
        table = weight.value if isinstance(weight, Tensor) else weight
        indices = made_beside((table,), lambda xp: xp.asarray(given))
    if indices.dtype.kind not in "iu":
        raise TypeError(
            f"embedding: `indices` holds {indices.dtype}, but indices are integers: use "
            ".astype(int)"
        )
    return indices


def _check_range(indices: Any, count: int) -> None:
    """Raise a `ValueError` that names the first index that is out of range, and where it stands."""
    backend = backend_of((indices,))
    if backend.reports or backend.capturing():
        return
    if all_within(indices, count):
        return
    check_values(
        "embedding",
        "indices",
        indices,
        lambda v: (v < 0) | (v >= count),
        f"but `weight` has {count} rows: an index is at least 0 and at most {count - 1}",
    )


__all__ = ["embedding"]
