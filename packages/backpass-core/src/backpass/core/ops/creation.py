"""Functions that make Tensors from numbers, shapes and nested lists, on one device.

`Creation(numpy)` and `Creation(cupy)` hold the same functions; each public namespace exports those
of its own library.  What they make of plain numbers is not tracked; what they make of Tensors is
differentiable.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy

from backpass.core.backends import (
    NUMPY,
    PYTHON_SCALARS,
    backend_of,
    backends,
    made_beside,
)
from backpass.core.complaints import explaining_methods
from backpass.core.devices import move
from backpass.core.operators import operators
from backpass.core.ops.array_api import NamespaceInfo
from backpass.core.ops.elementwise import log10
from backpass.core.ops.shaping import astype, concatenate_arrays, copy_, moveaxis, stack
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
    if xp is not numpy:
        # Numbers would go to the host.
        scalars = (*PYTHON_SCALARS, numpy.generic)
        parts = [xp.asarray(p) if isinstance(p, scalars) else p for p in parts]
    return stack(parts)


operators.methods = {"__array__": joined}

#: DLPack's numbers of the devices: the CPU's memory, and CUDA's, among it what the CPU sees, too.
_DLPACK_HOST = (1, 3)
_DLPACK_CUDA = (2, 3, 13)


@explaining_methods
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

    def array(
        self,
        object: Any,
        dtype: Any = None,
        *,
        copy: Any = True,
        order: Any = "K",
        subok: bool = False,
        ndmin: int = 0,
        ndmax: int = 0,
        like: Any = None,
    ) -> Tensor:
        """Make a Tensor that owns its array; Tensors inside keep their gradients."""
        self._check("array", None, like)
        if ndmax:
            raise TypeError("array: ndmax= is for arrays of objects, which have no gradient")
        if copy is False:
            self._refuse_copy("array", object, dtype)
        made = self._adopt(object, dtype)
        if copy and made is object:
            made = copy_(made)
        elif copy and made.node is None:
            made = Tensor(self._xp.array(made.value)[()])
        if made.ndim < ndmin:
            made = operators.reshape(made, shape=(1,) * (ndmin - made.ndim) + made.shape)
        return self._ordered(made, order)

    def asarray(
        self,
        a: Any,
        dtype: Any = None,
        order: Any = None,
        *,
        device: Any = None,
        copy: Any = None,
        like: Any = None,
    ) -> Tensor:
        """Make a Tensor that shares an array's memory where it can; a Tensor stays as it is."""
        self._check("asarray", device, like)
        if copy:
            return self.array(a, dtype, order=order)
        if copy is False:
            self._refuse_copy("asarray", a, dtype)
        return self._ordered(self._adopt(a, dtype), order)

    def ascontiguousarray(self, a: Any, dtype: Any = None, *, like: Any = None) -> Tensor:
        """`asarray`, of one axis at least, with its elements in C order in memory."""
        self._check("ascontiguousarray", None, like)
        made = self.asarray(a, dtype)
        made = made if made.ndim else operators.reshape(made, shape=(1,))
        return self._ordered(made, "C")

    def asfortranarray(self, a: Any, dtype: Any = None, *, like: Any = None) -> Tensor:
        """`asarray`, with its elements in Fortran order in memory."""
        self._check("asfortranarray", None, like)
        return self._ordered(self.asarray(a, dtype), "F")

    def from_dlpack(self, x: Any, /, *, device: Any = None, copy: bool | None = None) -> Tensor:
        """Make an untracked Tensor of any library's array, without a copy: both share the memory.

        It is never written to: an assignment to the Tensor makes it a copy first.

        Raises
        ------
        TypeError
            If x has no `__dlpack__`.
        BufferError
            If the array lies on another device, or its library does not give it away: a tracked
            Tensor, or one of PyTorch's that requires a gradient.
        """
        if not hasattr(x, "__dlpack__"):
            raise TypeError(
                f"from_dlpack: a {type(x).__name__} has no __dlpack__: use asarray, or pass an "
                "array of NumPy, CuPy, PyTorch, JAX or another library with DLPack"
            )
        here = backend_of_library(self._xp).device
        self._check("from_dlpack", device, None)
        self._check_place(x, here)
        options = {} if copy is None else {"copy": copy}
        made = self._xp.from_dlpack(x, **options)
        # A view says that somebody else owns the memory; CuPy's own answer does not.
        return Tensor(made[...] if made.ndim else made.reshape(()))

    def _check_place(self, x: Any, here: str) -> None:
        """Raise if what `__dlpack_device__` tells is not where this namespace makes arrays."""
        kind = int(x.__dlpack_device__()[0])
        places = {"cpu": _DLPACK_HOST, "cuda": _DLPACK_CUDA}
        if here in places and kind not in places[here]:
            there = next((name for name, kinds in places.items() if kind in kinds), None)
            way = "copy it to this one with its own library"
            if there == "cuda":
                way = "use backpass.cupy.from_dlpack, or copy it to the CPU with its own library"
            elif there == "cpu":
                way = "use backpass.numpy.from_dlpack, and backpass.core.to_device(t, 'cuda')"
            raise BufferError(
                f"from_dlpack: the array lies on {there or f'a device of DLPack type {kind}'!r}, "
                f"not on {here!r}: {way}"
            )

    def __array_namespace_info__(self) -> NamespaceInfo:
        """Tell what the namespace has, in the terms of the array API standard."""
        return NamespaceInfo(backend_of_library(self._xp).device)

    def _ordered(self, made: Tensor, order: Any) -> Tensor:
        """Return a Tensor whose elements lie in memory in an order; copied if they do not."""
        if order in (None, "K", "A"):
            return made
        if order not in ("C", "F"):
            raise ValueError(f"order must be one of 'C', 'F', 'A', or 'K' (got {order!r})")
        flags = getattr(made.value, "flags", None)
        if flags is None or (flags.c_contiguous if order == "C" else flags.f_contiguous):
            return made
        return copy_(made, order=order)  # type: ignore[no-any-return]

    def _check(self, name: str, device: Any, like: Any) -> None:
        """Raise for another device, and for `like=`."""
        here = backend_of_library(self._xp).device
        if device is not None and device != here and (isinstance(device, str) or here == "cpu"):
            raise ValueError(
                f"{name}: device={device!r} is not this namespace's: backpass.numpy makes arrays "
                "on 'cpu', backpass.cupy on 'cuda'; to_device moves them"
            )
        if like is not None:
            raise TypeError(
                f"{name}: like= is not supported: the namespace says where an array is made, "
                "backpass.numpy or backpass.cupy"
            )

    def _refuse_copy(self, name: str, a: Any, dtype: Any) -> None:
        """Raise as NumPy does where `copy=False` cannot be kept."""
        value = plain(a)
        shares = hasattr(value, "dtype") and (dtype is None or value.dtype == numpy.dtype(dtype))
        if not shares:
            raise ValueError(
                f"{name}: a copy cannot be avoided, as copy=False wants: use copy=None"
            )

    def _adopt(self, a: Any, dtype: Any) -> Tensor:
        if holds_tensor(a):
            found = self._placed(a if isinstance(a, Tensor) else joined(a))
            return found if dtype is None or found.dtype == dtype else astype(found, dtype=dtype)
        if isinstance(a, numpy.ndarray) and dtype is None:
            # The backend knows which types its device has not.
            return Tensor(backend_of_library(self._xp).from_host(a)[()])
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

    def zeros(
        self,
        shape: Any,
        dtype: Any = None,
        order: str = "C",
        *,
        device: Any = None,
        like: Any = None,
    ) -> Tensor:
        """Zeros."""
        self._check("zeros", device, like)
        return Tensor(self._xp.zeros(plain(shape), dtype or float, order))

    def ones(
        self,
        shape: Any,
        dtype: Any = None,
        order: str = "C",
        *,
        device: Any = None,
        like: Any = None,
    ) -> Tensor:
        """Ones."""
        self._check("ones", device, like)
        return Tensor(self._xp.ones(plain(shape), dtype or float, order))

    def empty(
        self,
        shape: Any,
        dtype: Any = None,
        order: str = "C",
        *,
        device: Any = None,
        like: Any = None,
    ) -> Tensor:
        """Make an array without setting its elements."""
        self._check("empty", device, like)
        return Tensor(self._xp.empty(plain(shape), dtype or float, order))

    def full(
        self,
        shape: Any,
        fill_value: Any,
        dtype: Any = None,
        order: str = "C",
        *,
        device: Any = None,
        like: Any = None,
    ) -> Tensor:
        """Make an array of one value; a tracked value keeps its gradient."""
        self._check("full", device, like)
        if isinstance(fill_value, Tensor):
            target = (shape,) if isinstance(shape, int) else tuple(plain(shape))
            spread = operators.broadcast_to(self._placed(fill_value), shape=target)
            made = copy_(spread) if dtype is None else astype(spread, dtype=dtype)
            return self._ordered(made, order)
        return Tensor(self._xp.full(plain(shape), fill_value, dtype, order))

    def zeros_like(
        self,
        a: Any,
        dtype: Any = None,
        order: str = "K",
        subok: bool = True,
        shape: Any = None,
        *,
        device: Any = None,
    ) -> Tensor:
        """Zeros of a's shape and dtype."""
        self._check("zeros_like", device, None)
        like = self._as_like(a)
        options = {"dtype": dtype, "order": order, "shape": plain(shape)}
        return self._beside(like, lambda: self._xp.zeros_like(like, **options))

    def ones_like(
        self,
        a: Any,
        dtype: Any = None,
        order: str = "K",
        subok: bool = True,
        shape: Any = None,
        *,
        device: Any = None,
    ) -> Tensor:
        """Ones of a's shape and dtype."""
        self._check("ones_like", device, None)
        like = self._as_like(a)
        options = {"dtype": dtype, "order": order, "shape": plain(shape)}
        return self._beside(like, lambda: self._xp.ones_like(like, **options))

    def empty_like(
        self,
        prototype: Any,
        /,
        dtype: Any = None,
        order: str = "K",
        subok: bool = True,
        shape: Any = None,
        *,
        device: Any = None,
    ) -> Tensor:
        """Make an array of the prototype's shape and dtype without setting its elements."""
        self._check("empty_like", device, None)
        like = self._as_like(prototype)
        options = {"dtype": dtype, "order": order, "shape": plain(shape)}
        return self._beside(like, lambda: self._xp.empty_like(like, **options))

    def full_like(
        self,
        a: Any,
        fill_value: Any,
        dtype: Any = None,
        order: str = "K",
        subok: bool = True,
        shape: Any = None,
        *,
        device: Any = None,
    ) -> Tensor:
        """Make an array of a's shape and dtype of one value; a tracked one keeps its gradient."""
        self._check("full_like", device, None)
        like = self._as_like(a)
        if isinstance(fill_value, Tensor):
            target = like.shape if shape is None else shape
            order = order if order in ("C", "F") else "K"
            return self.full(target, fill_value, dtype or like.dtype, order)
        options = {"dtype": dtype, "order": order, "shape": plain(shape)}
        return self._beside(like, lambda: self._xp.full_like(like, fill_value, **options))

    def _beside(self, like: Any, make: Callable[[], Any]) -> Tensor:
        """Return what is made like an array as a Tensor on the array's device."""
        return Tensor(made_beside((like,), lambda _: make()))

    def _as_like(self, a: Any) -> Any:
        """Return what gives shape and dtype to a new array."""
        return plain(a) if hasattr(a, "dtype") else plain(self.asarray(a))

    def arange(
        self,
        start_or_stop: Any,
        /,
        stop: Any = None,
        step: Any = 1,
        *,
        dtype: Any = None,
        device: Any = None,
        like: Any = None,
    ) -> Tensor:
        """Numbers from start to stop in steps; differentiable in start and step."""
        self._check("arange", device, like)
        bounds = (start_or_stop,) if stop is None else (start_or_stop, stop)
        if stop is None and step != 1:
            bounds = (0, start_or_stop)
        steps = () if len(bounds) == 1 else (step,)
        made = self._xp.arange(*map(_number, (*bounds, *steps)), dtype=dtype)
        start = 0 if len(bounds) == 1 else bounds[0]
        if not any(isinstance(x, Tensor) and x.tracked for x in (start, step)):
            return Tensor(made)
        places = self._xp.arange(len(made), dtype=made.dtype)
        found = as_tensors(operators.add(start, operators.multiply(step, places)))
        return found if found.dtype == made.dtype else astype(found, dtype=made.dtype)  # type: ignore[no-any-return]

    def linspace(
        self,
        start: Any,
        stop: Any,
        num: int = 50,
        endpoint: bool = True,
        retstep: bool = False,
        dtype: Any = None,
        axis: int = 0,
        *,
        device: Any = None,
    ) -> Any:
        """Evenly spaced numbers; linear, and differentiable, in start and stop."""
        self._check("linspace", device, None)
        start, stop = (
            joined(x) if type(x) in (list, tuple) and holds_tensor(x) else x for x in (start, stop)
        )
        lo, hi = plain(start), plain(stop)
        if not (isinstance(start, Tensor) and start.tracked) and not (
            isinstance(stop, Tensor) and stop.tracked
        ):
            made = self._xp.linspace(
                lo, hi, num, endpoint=endpoint, retstep=retstep, dtype=dtype, axis=axis
            )
            return as_tensors(made)
        num = operator.index(num)
        if num < 0:
            raise ValueError(f"linspace: num={num} must not be negative")
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

    def geomspace(
        self,
        start: Any,
        stop: Any,
        num: int = 50,
        endpoint: bool = True,
        dtype: Any = None,
        axis: int = 0,
    ) -> Tensor:
        """Numbers in a geometric sequence, start * (stop / start)**t; differentiable in both ends.

        Raises
        ------
        ValueError
            If an end is 0.
        """
        lo, hi = (self.asarray(x) for x in (start, stop))
        if (lo.value == 0).any() or (hi.value == 0).any():
            raise ValueError("geomspace: start and stop must not be 0, which no factor reaches")
        # Complex numbers, if they are asked for: -1 may then lead to 1.
        kind = numpy.result_type(lo.dtype, hi.dtype, numpy.dtype(dtype or float))
        shape = numpy.broadcast_shapes(lo.shape, hi.shape)
        lo, hi = (operators.broadcast_to(astype(x, dtype=kind), shape=shape) for x in (lo, hi))
        # Turned to where numbers are positive and have logarithms, and back again.
        turn = self._xp.sign(lo.value)
        made = turn * self.logspace(log10(lo / turn), log10(hi / turn), num, endpoint)
        # A power of a logarithm is not exactly the number.
        ends = [operators.reshape(x, shape=(1, *shape)) for x in (lo, hi)]
        if num > 1 and endpoint:
            made = concatenate_arrays([ends[0], made[1:-1], ends[1]])
        elif num > 0:
            made = concatenate_arrays([ends[0], made[1:]])
        made = moveaxis(made, 0, axis) if axis else made
        return made if dtype is None else astype(made, dtype=dtype)

    def eye(
        self,
        N: int,
        M: int | None = None,
        k: int = 0,
        dtype: Any = float,
        order: str = "C",
        *,
        device: Any = None,
        like: Any = None,
    ) -> Tensor:
        """Ones on a diagonal, zeros elsewhere."""
        self._check("eye", device, like)
        return Tensor(self._xp.eye(N, M, k, dtype, order))

    def identity(self, n: int, dtype: Any = None, *, like: Any = None) -> Tensor:
        """Make the identity matrix."""
        self._check("identity", None, like)
        return Tensor(self._xp.identity(n, dtype or float))

    def tri(
        self, N: int, M: int | None = None, k: int = 0, dtype: Any = float, *, like: Any = None
    ) -> Tensor:
        """Ones on and below a diagonal, zeros elsewhere."""
        self._check("tri", None, like)
        return Tensor(self._xp.tri(N, M, k, dtype))

    def indices(self, dimensions: Any, dtype: Any = int, sparse: bool = False) -> Any:
        """Return the indices of a grid's elements, one array for each axis."""
        lengths = tuple(plain(dimensions))
        found = [
            self._xp.arange(n, dtype=dtype).reshape((-1,) + (1,) * (len(lengths) - i - 1))
            for i, n in enumerate(lengths)
        ]
        if sparse:
            ndim = len(lengths)
            return tuple(Tensor(x.reshape((1,) * (ndim - x.ndim) + x.shape)) for x in found)
        made = self._xp.empty((len(lengths), *lengths), dtype)
        for i, x in enumerate(found):
            made[i] = x
        return Tensor(made)

    def tril_indices(self, n: int, k: int = 0, m: int | None = None) -> tuple[Tensor, ...]:
        """Return the indices of the elements on and below a diagonal."""
        return as_tensors(self._xp.tri(n, m, k, bool).nonzero())  # type: ignore[no-any-return]

    def triu_indices(self, n: int, k: int = 0, m: int | None = None) -> tuple[Tensor, ...]:
        """Return the indices of the elements on and above a diagonal."""
        below = self._xp.tri(n, m, k - 1, bool)
        return as_tensors(self._xp.logical_not(below).nonzero())  # type: ignore[no-any-return]

    def diag_indices(self, n: int, ndim: int = 2) -> tuple[Tensor, ...]:
        """Return the indices of the main diagonal of an array of `ndim` axes."""
        return (Tensor(self._xp.arange(n)),) * ndim

    def meshgrid(
        self, *xi: Any, copy: bool = True, sparse: bool = False, indexing: str = "xy"
    ) -> tuple[Tensor, ...]:
        """Coordinate matrices from coordinate vectors; differentiable in each."""
        if indexing not in ("xy", "ij"):
            raise ValueError(f"meshgrid: indexing must be 'xy' or 'ij', not {indexing!r}")
        n = len(xi)
        parts = []
        for i, x in enumerate(xi):
            axis = 1 - i if indexing == "xy" and i < 2 and n > 1 else i
            shape = [1] * n
            shape[axis] = -1
            parts.append(operators.reshape(self.asarray(x), shape=tuple(shape)))
        if not sparse:
            full = numpy.broadcast_shapes(*(p.shape for p in parts))
            parts = [operators.broadcast_to(p, shape=full) for p in parts]
        return tuple(copy_(p) for p in parts) if copy else tuple(parts)


def backend_of_library(library: Any) -> Any:
    """Return the backend of an array library."""
    return next((b for b in backends() if b.library is library), NUMPY)


def _number(x: Any) -> Any:
    """Return a bound as a plain number: of an array of a device, too."""
    x = plain(x)
    return x.item() if hasattr(type(x), "__cuda_array_interface__") else x
