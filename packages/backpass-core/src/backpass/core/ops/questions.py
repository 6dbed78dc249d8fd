"""Questions about arrays: the answers are plain Python and NumPy, never Tensors."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy

from backpass.core.backends import backend_of
from backpass.core.ops.creation import joined
from backpass.core.ops.elementwise import equal
from backpass.core.ops.shaping import normalize_axis
from backpass.core.tensor import Tensor
from backpass.core.values import WeakTensor, as_tensors


def _plain(x: Any) -> Any:
    if isinstance(x, Tensor):
        return x.value
    made = joined(x) if type(x) in (list, tuple) else x
    return made.value if isinstance(made, Tensor) else made


def shape(a: Any) -> tuple[int, ...]:
    """Lengths of the axes."""
    return tuple(numpy.shape(_plain(a)))


def ndim(a: Any) -> int:
    """Return the number of axes."""
    return len(shape(a))


def size(a: Any, axis: int | tuple[int, ...] | None = None) -> int:
    """Return the number of elements, all or along one axis or several."""
    lengths = shape(a)
    if axis is not None:
        axes = axis if isinstance(axis, tuple) else (axis,)
        lengths = tuple(lengths[normalize_axis(i, len(lengths), "size")] for i in axes)
    return math.prod(lengths)


def result_type(*arrays_and_dtypes: Any) -> Any:
    """Return the dtype that NumPy's promotion gives."""
    plain = [x.value.item() if isinstance(x, WeakTensor) else _plain(x) for x in arrays_and_dtypes]
    return numpy.result_type(*(getattr(x, "dtype", x) if hasattr(x, "shape") else x for x in plain))


def isscalar(element: Any) -> bool:
    """Tell whether the argument is a scalar, by type: a 0-d Tensor of a NumPy scalar is none."""
    return bool(numpy.isscalar(element))


def iscomplexobj(x: Any) -> bool:
    """Tell whether the elements are of a complex type."""
    return bool(numpy.issubdtype(result_type(x), numpy.complexfloating))


def isrealobj(x: Any) -> bool:
    """Tell whether the elements are of a real type."""
    return not iscomplexobj(x)


def _library(*xs: Any) -> Any:
    return backend_of([_plain(x) for x in xs]).library


def _asking(name: str, doc: str, wrap: Callable[[Any], Any]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("out") is not None:
            raise TypeError(f"{name}: out= is not supported: a Tensor's operations make new ones")
        values = [_plain(x) for x in args]
        options = {key: _plain(x) for key, x in kwargs.items()}
        function = getattr(backend_of([*values, *options.values()]).library, name)
        return wrap(function(*values, **options))

    # NumPy's signature is read from there when somebody asks.
    functools.update_wrapper(call, getattr(numpy, name), assigned=())
    call.__name__ = call.__qualname__ = name
    call.__doc__ = doc
    return call


def untracked(name: str, doc: str) -> Callable[..., Any]:
    """Return an array library's function of indices or truth values, which has no derivative.

    It takes Tensors, and gives untracked ones.
    """
    return _asking(name, doc, as_tensors)


def plain_answer(name: str, doc: str) -> Callable[..., Any]:
    """Return an array library's function that takes Tensors and gives a plain answer."""
    return _asking(name, doc, lambda answer: answer)


can_cast = plain_answer("can_cast", "Tell whether a cast is possible by a rule.")
common_type = plain_answer("common_type", "Return the inexact type that holds all arrays.")
min_scalar_type = plain_answer("min_scalar_type", "Return the smallest type that holds a number.")
isfortran = plain_answer("isfortran", "Tell whether the array is in Fortran order only.")
may_share_memory = plain_answer("may_share_memory", "Tell whether two arrays may overlap.")
shares_memory = plain_answer("shares_memory", "Tell whether two arrays overlap in memory.")


def ix_(*args: Any) -> tuple[Tensor, ...]:
    """Return an index of the grid that several sequences of places, or masks, span.

    Raises
    ------
    TypeError
        If a sequence holds no integers or booleans.
    ValueError
        If a sequence has not one axis.
    """
    made = []
    for i, sequence in enumerate(args):
        places = _plain(sequence)
        xp = backend_of((places,)).library
        places = xp.asarray(places) if len(sequence) else xp.zeros(0, numpy.intp)
        if places.ndim != 1:
            raise ValueError(f"ix_: sequence {i} has {places.ndim} axes: it must have one")
        if places.dtype.kind not in "biu":
            raise TypeError(f"ix_: sequence {i} is of {places.dtype}: places are integers or masks")
        places = places.nonzero()[0] if places.dtype == bool else places
        shape = (1,) * i + (-1,) + (1,) * (len(args) - i - 1)
        made.append(Tensor(places.reshape(shape)))
    return tuple(made)


lexsort = untracked("lexsort", "Return the indices that sort by several keys, the last one first.")
nanargmax = untracked("nanargmax", "Index of the first maximum that is not nan; no derivative.")
nanargmin = untracked("nanargmin", "Index of the first minimum that is not nan; no derivative.")
packbits = untracked("packbits", "Pack truth values into the bits of bytes.")
unpackbits = untracked("unpackbits", "Unpack the bits of bytes.")
ravel_multi_index = untracked("ravel_multi_index", "Turn indices of axes into flat indices.")
unravel_index = untracked("unravel_index", "Turn flat indices into one index for each axis.")
tril_indices_from = untracked("tril_indices_from", "Indices on and below a diagonal of a matrix.")
triu_indices_from = untracked("triu_indices_from", "Indices on and above a diagonal of a matrix.")
diag_indices_from = untracked("diag_indices_from", "Indices of the main diagonal of an array.")


def allclose(
    a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Tell whether all elements are close."""
    xp = _library(a, b)
    return bool(
        xp.allclose(_plain(a), _plain(b), rtol=_plain(rtol), atol=_plain(atol), equal_nan=equal_nan)
    )


def array_equal(a1: Any, a2: Any, equal_nan: bool = False) -> bool:
    """Tell whether shapes and elements are equal."""
    return bool(_library(a1, a2).array_equal(_plain(a1), _plain(a2), equal_nan=equal_nan))


def array_equiv(a1: Any, a2: Any) -> bool:
    """Tell whether elements are equal after broadcasting."""
    try:
        return bool(equal.op(_plain(a1), _plain(a2)).all())
    except ValueError:
        return False


def isclose(
    a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> Tensor:
    """Which elements are close, as an untracked Tensor."""
    made = _library(a, b).isclose(
        _plain(a), _plain(b), rtol=_plain(rtol), atol=_plain(atol), equal_nan=equal_nan
    )
    return Tensor(made)


def nonzero(a: Any) -> tuple[Tensor, ...]:
    """Return the indices of the elements that are not 0, one Tensor for each axis."""
    return tuple(Tensor(part) for part in _library(a).nonzero(_plain(a)))


def flatnonzero(a: Any) -> Tensor:
    """Return the indices, in the flattened array, of the elements that are not 0."""
    return Tensor(_library(a).flatnonzero(_plain(a)))


def argwhere(a: Any) -> Tensor:
    """Return the indices of the elements that are not 0, one row each."""
    return Tensor(_library(a).argwhere(_plain(a)))
