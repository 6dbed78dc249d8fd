"""Sets of elements, and how often an element is met: gradients go to where an element was found."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy

from backpass.core.backends import backend_of
from backpass.core.ops.elementwise import logical_not
from backpass.core.ops.indexing import getitem, scatter
from backpass.core.ops.questions import result_type, untracked
from backpass.core.ops.shaping import as_operand, astype, concatenate, normalize_axis, ravel
from backpass.core.tensor import Tensor
from backpass.core.values import plain

isin = untracked("isin", "Tell which elements are among others; no derivative.")
digitize = untracked("digitize", "Return the numbers of the bins that elements are in.")


def unique(
    ar: Any,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    axis: int | None = None,
    *,
    equal_nan: bool = True,
    sorted: bool = True,
) -> Any:
    """Return the different elements, in ascending order; g goes to the first of each.

    Indices, inverse and counts carry no gradient.
    """
    ar = as_operand(ar)
    value = plain(ar)
    options = {} if axis is None else {"axis": axis}
    if not equal_nan:
        options["equal_nan"] = False
    _, index, *rest = backend_of((value,)).library.unique(
        value, True, return_inverse, return_counts, **options
    )
    if axis is None:
        found = getitem(ravel(ar), index=index)
    else:
        axis = normalize_axis(axis, len(ar.shape), "unique")
        found = getitem(ar, index=(*(slice(None),) * axis, index))
    if not (return_index or rest):
        return found
    return (found, *([Tensor(index)] if return_index else []), *map(Tensor, rest))


class UniqueAll(NamedTuple):
    """The different elements; where each is first met; which one each element is; how often."""

    values: Tensor
    indices: Tensor
    inverse_indices: Tensor
    counts: Tensor


class UniqueCounts(NamedTuple):
    """The different elements, and how often each is met."""

    values: Tensor
    counts: Tensor


class UniqueInverse(NamedTuple):
    """The different elements, and which one each element is."""

    values: Tensor
    inverse_indices: Tensor


def unique_all(x: Any) -> UniqueAll:
    """Return the different elements with all that `unique` can tell; each nan is one of its own."""
    return UniqueAll(*unique(x, True, True, True, equal_nan=False))


def unique_counts(x: Any) -> UniqueCounts:
    """Return the different elements, and how often each is met; each nan is one of its own."""
    return UniqueCounts(*unique(x, return_counts=True, equal_nan=False))


def unique_inverse(x: Any) -> UniqueInverse:
    """Return the different elements, and where each element is among them; no two nan are one."""
    return UniqueInverse(*unique(x, return_inverse=True, equal_nan=False))


def unique_values(x: Any) -> Tensor:
    """Return the different elements, as `unique`; each nan is one of its own."""
    return unique(x, equal_nan=False)  # type: ignore[no-any-return]


def union1d(ar1: Any, ar2: Any) -> Tensor:
    """Return the elements of either array, each once, in order; as `unique`."""
    return unique(concatenate([ar1, ar2], axis=None))  # type: ignore[no-any-return]


def intersect1d(
    ar1: Any, ar2: Any, assume_unique: bool = False, return_indices: bool = False
) -> Tensor:
    """Return the elements of both arrays, each once, in order; g goes to the first array.

    `return_indices` is refused.
    """
    if return_indices:
        raise TypeError(
            "intersect1d: return_indices= is not supported: use numpy.intersect1d on t.value"
        )
    found, other = unique(ar1), as_operand(ar2)
    kind = result_type(found, other)
    found = getitem(found, index=plain(isin(found, other)))
    return found if found.dtype == kind else astype(found, dtype=kind)  # type: ignore[no-any-return]


def setdiff1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Tensor:
    """Return the elements of the first array that are not in the second, each once, in order.

    With `assume_unique` in the order they have in the first array.
    """
    found = ravel(ar1) if assume_unique else unique(ar1)
    return getitem(found, index=plain(logical_not(isin(found, ar2))))  # type: ignore[no-any-return]


def setxor1d(ar1: Any, ar2: Any, assume_unique: bool = False) -> Tensor:
    """Return the elements of exactly one of two arrays, each once, in order."""
    return unique(concatenate([setdiff1d(ar1, ar2), setdiff1d(ar2, ar1)]))  # type: ignore[no-any-return]


def bincount(x: Any, /, weights: Any = None, minlength: int = 0) -> Tensor:
    """Count how often each integer is met, or add up weights; g of its bin goes to each weight.

    Raises
    ------
    ValueError
        If there is not one weight for each integer.
    TypeError
        If the weights are complex.
    """
    places = plain(as_operand(x))
    if type(x) is list and not x:
        places = places.astype(numpy.intp)
    counts = backend_of((places,)).library.bincount(places, minlength=minlength)
    if weights is None:
        return Tensor(counts)
    weights = as_operand(weights)
    if weights.shape != places.shape:
        raise ValueError(
            f"bincount: weights of shape {weights.shape} for integers of shape {places.shape}: "
            "there must be one for each"
        )
    if weights.dtype.kind == "c":
        raise TypeError(
            "bincount: the weights are complex: add the counts of their real and imaginary parts"
        )
    weights = weights if weights.dtype == float else astype(weights, dtype=float)
    return scatter(weights, index=places, shape=counts.shape)  # type: ignore[no-any-return]
