"""Questions about arrays: the answers are plain Python and NumPy, never Tensors."""

from __future__ import annotations

from typing import Any

import numpy

from backpass.core.ops.creation import joined
from backpass.core.ops.elementwise import equal
from backpass.core.tensor import Tensor
from backpass.core.values import WeakTensor


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


def size(a: Any, axis: int | None = None) -> int:
    """Return the number of elements, or the length of one axis."""
    lengths = shape(a)
    return int(numpy.prod(lengths)) if axis is None else lengths[axis]


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
    from backpass.core.backends import backend_of

    return backend_of([_plain(x) for x in xs]).library


def allclose(
    a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False
) -> bool:
    """Tell whether all elements are close."""
    xp = _library(a, b)
    return bool(xp.allclose(_plain(a), _plain(b), rtol=rtol, atol=atol, equal_nan=equal_nan))


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
    made = _library(a, b).isclose(_plain(a), _plain(b), rtol=rtol, atol=atol, equal_nan=equal_nan)
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
