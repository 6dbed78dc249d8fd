"""Functions that make Tensors from numbers, shapes and nested lists, on one device.

`Creation(numpy)` and `Creation(cupy)` hold the same functions; each public namespace exports those
of its own library.  What they make is not tracked; only `array` and `asarray` of Tensors are
differentiable.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

import numpy

from backpass.core.backends import PYTHON_SCALARS, backend_of, backends
from backpass.core.devices import move
from backpass.core.operators import operators
from backpass.core.ops.shaping import astype, copy_, stack
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors, plain


def holds_tensor(nested: Any) -> bool:
    """Tell whether there is a Tensor, or an array of a device, in nested lists and tuples."""
    if type(nested) in (list, tuple):
        return any(holds_tensor(x) or hasattr(type(x), "__cuda_array_interface__") for x in nested)
    return isinstance(nested, Tensor)


def joined(nested: Any) -> Any:
    """Return nested lists as an array; as a Tensor, with its gradients, if one is in them."""
    return _joined(nested, backend_of(_values(nested)).library)


def _values(nested: Any) -> Iterator[Any]:
    """Yield the values of Tensors, and arrays of a device: they say where the others go."""
    for item in nested if type(nested) in (list, tuple) else ():
        yield from _values(item)
        if isinstance(item, Tensor):
            yield item.value
        elif hasattr(type(item), "__cuda_array_interface__"):
            yield item


def _joined(nested: Any, xp: Any) -> Any:
    if not holds_tensor(nested):
        return xp.asarray(nested)
    parts = [_joined(item, xp) if type(item) in (list, tuple) else item for item in nested]
    scalars = (*PYTHON_SCALARS, numpy.generic)
    return stack([xp.asarray(p) if isinstance(p, scalars) else p for p in parts])


operators.methods = {"__array__": joined}


class Creation:
    """The creation functions of one array library.

    Parameters
    ----------
    library
        `numpy` or `cupy`.

    Examples
    --------
    >>> Creation(numpy).zeros((2, 2)).shape
    (2, 2)
    """

    def __init__(self, library: ModuleType) -> None:
        self._xp: Any = library

    def array(self, object: Any, dtype: Any = None, *, copy: bool = True, ndmin: int = 0) -> Tensor:
        """Make a Tensor that owns its array; Tensors inside keep their gradients."""
        made = self._adopt(object, dtype)
        if copy and made is object:
            made = copy_(made)
        elif copy and made.node is None:
            made = Tensor(self._xp.array(made.value)[()])
        if made.ndim < ndmin:
            made = operators.reshape(made, shape=(1,) * (ndmin - made.ndim) + made.shape)
        return made

    def asarray(self, a: Any, dtype: Any = None) -> Tensor:
        """Make a Tensor that shares an array's memory where it can; a Tensor stays as it is."""
        return self._adopt(a, dtype)

    def _adopt(self, a: Any, dtype: Any) -> Tensor:
        if holds_tensor(a):
            found = self._placed(a if isinstance(a, Tensor) else joined(a))
            return found if dtype is None or found.dtype == dtype else astype(found, dtype=dtype)
        return Tensor(self._xp.asarray(a, dtype=dtype)[()])

    def _placed(self, a: Tensor) -> Tensor:
        """Return a Tensor on this library's device; no library copies to the host by itself."""
        backend = backend_of((a.value,))
        if backend.library is self._xp:
            return a
        if backend.device != "cpu":
            raise TypeError(
                f"a Tensor on {backend.device!r} is not copied to another device by itself: "
                "use backpass.core.to_device(t, 'cpu')"
            )
        return move(a, next(b for b in backends() if b.library is self._xp))  # type: ignore[no-any-return]

    def zeros(self, shape: Any, dtype: Any = float) -> Tensor:
        """Zeros."""
        return Tensor(self._xp.zeros(plain(shape), dtype))

    def ones(self, shape: Any, dtype: Any = float) -> Tensor:
        """Ones."""
        return Tensor(self._xp.ones(plain(shape), dtype))

    def empty(self, shape: Any, dtype: Any = float) -> Tensor:
        """Make an array without setting its elements."""
        return Tensor(self._xp.empty(plain(shape), dtype))

    def full(self, shape: Any, fill_value: Any, dtype: Any = None) -> Tensor:
        """Make an array of one value; a tracked value keeps its gradient."""
        if isinstance(fill_value, Tensor):
            target = (shape,) if isinstance(shape, int) else tuple(shape)
            spread = operators.broadcast_to(self._placed(fill_value), shape=target)
            return copy_(spread) if dtype is None else astype(spread, dtype=dtype)  # type: ignore[no-any-return]
        return Tensor(self._xp.full(plain(shape), fill_value, dtype))

    def zeros_like(self, a: Any, dtype: Any = None) -> Tensor:
        """Zeros of a's shape and dtype."""
        return Tensor(self._xp.zeros_like(plain(a), dtype=dtype))

    def ones_like(self, a: Any, dtype: Any = None) -> Tensor:
        """Ones of a's shape and dtype."""
        return Tensor(self._xp.ones_like(plain(a), dtype=dtype))

    def empty_like(self, a: Any, dtype: Any = None) -> Tensor:
        """Make an array of a's shape and dtype without setting its elements."""
        return Tensor(self._xp.empty_like(plain(a), dtype=dtype))

    def full_like(self, a: Any, fill_value: Any, dtype: Any = None) -> Tensor:
        """Make an array of a's shape and dtype of one value; a tracked one keeps its gradient."""
        like = plain(a)
        if isinstance(fill_value, Tensor):
            return self.full(like.shape, fill_value, dtype or like.dtype)
        return Tensor(self._xp.full_like(like, fill_value, dtype=dtype))

    def arange(self, *args: Any, dtype: Any = None) -> Tensor:
        """Numbers from start to stop in steps; the bounds carry no gradient."""
        return Tensor(self._xp.arange(*map(plain, args), dtype=dtype))

    def linspace(
        self,
        start: Any,
        stop: Any,
        num: int = 50,
        endpoint: bool = True,
        retstep: bool = False,
        dtype: Any = None,
        axis: int = 0,
    ) -> Any:
        """Evenly spaced numbers; linear, and differentiable, in start and stop."""
        lo, hi = plain(start), plain(stop)
        if not (isinstance(start, Tensor) and start.tracked) and not (
            isinstance(stop, Tensor) and stop.tracked
        ):
            made = self._xp.linspace(
                lo, hi, num, endpoint=endpoint, retstep=retstep, dtype=dtype, axis=axis
            )
            return as_tensors(made)
        intervals = num - 1 if endpoint else num
        ndim = max(numpy.ndim(lo), numpy.ndim(hi))
        kind = numpy.result_type(*(getattr(x, "dtype", x) for x in (lo, hi)), 1.0)
        steps = self._xp.arange(num, dtype=numpy.empty(0, kind).real.dtype) / (intervals or 1)
        steps = steps.reshape((num,) + (1,) * ndim)
        difference = operators.subtract(stop, start)
        made = operators.add(start, operators.zero_multiply(steps, difference))
        if axis:
            order = [*range(1, ndim + 1)]
            order.insert(axis % (ndim + 1), 0)
            made = operators.transpose(made, axes=tuple(order))
        made = made if dtype is None else astype(made, dtype=dtype)
        return (made, difference / (intervals or math.nan)) if retstep else made

    def logspace(
        self,
        start: Any,
        stop: Any,
        num: int = 50,
        endpoint: bool = True,
        base: Any = 10.0,
        dtype: Any = None,
        axis: int = 0,
    ) -> Tensor:
        """Powers of a number with evenly spaced exponents; differentiable in start, stop and base.

        Raises
        ------
        TypeError
            If `base` is not a single number.
        """
        if numpy.ndim(plain(base)):
            raise TypeError("logspace: base must be one number, not an array")
        made = operators.power(base, self.linspace(start, stop, num, endpoint, axis=axis))
        return made if dtype is None else astype(made, dtype=dtype)  # type: ignore[no-any-return]

    def eye(self, N: int, M: int | None = None, k: int = 0, dtype: Any = float) -> Tensor:
        """Ones on a diagonal, zeros elsewhere."""
        return Tensor(self._xp.eye(N, M, k, dtype))

    def identity(self, n: int, dtype: Any = float) -> Tensor:
        """Make the identity matrix."""
        return Tensor(self._xp.identity(n, dtype))

    def tri(self, N: int, M: int | None = None, k: int = 0, dtype: Any = float) -> Tensor:
        """Ones on and below a diagonal, zeros elsewhere."""
        return Tensor(self._xp.tri(N, M, k, dtype))

    def meshgrid(self, *xi: Any, indexing: str = "xy", sparse: bool = False) -> Sequence[Tensor]:
        """Coordinate matrices from coordinate vectors; differentiable in each."""
        n = len(xi)
        parts = []
        for i, x in enumerate(xi):
            axis = 1 - i if indexing == "xy" and i < 2 and n > 1 else i
            shape = [1] * n
            shape[axis] = -1
            parts.append(operators.reshape(self.asarray(x), shape=tuple(shape)))
        if sparse:
            return parts
        full = numpy.broadcast_shapes(*(p.shape for p in parts))
        return [copy_(operators.broadcast_to(p, shape=full)) for p in parts]
