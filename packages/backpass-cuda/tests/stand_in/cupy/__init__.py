"""A stand-in for CuPy on the CPU: NumPy behind CuPy's rules.

It lets the suite of a GPU run where there is none.  Arrays are of a type of their own, which NumPy
cannot convert; functions refuse NumPy's arrays, keep results of shape () as arrays, and have
CuPy's signatures where those are narrower than NumPy's.  It computes what NumPy computes, so it
shows where code leans on NumPy, not whether CuPy's kernels are right.

It holds what Backpass calls.  "No implementation found" means that a function is to be added, with
CuPy's signature.
"""

import builtins
import functools
import math
import operator
import types

import numpy
from numpy import *  # noqa: F403 - dtypes and constants, as CuPy has them

from cupy import cuda

__version__ = "14.2.0"
_ODD = 0x5A5A5A5A5A5A5A5A


def _on_device(function):
    """Let a function be captured, and not warn: a GPU does not know of invalid numbers."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        stream = cuda.get_current_stream()
        if stream._recorded is None:
            with numpy.errstate(all="ignore"):
                return function(*args, **kwargs)
        return _record(stream, function, args, kwargs)

    return call


class ndarray:
    """An array on the device."""

    __array_priority__ = 100

    def __init__(self, shape, dtype=float, memptr=None, strides=None, order="C"):
        shape = (shape,) if isinstance(shape, int | numpy.integer) else tuple(shape)
        dtype = numpy.dtype(dtype)
        if not dtype.isnative:
            raise ValueError(f"Unsupported dtype {dtype} with big-endian byte-order")
        if dtype.char not in "?bhilqBHILQefdFDVE":  # E is bfloat16
            raise ValueError(f"Unsupported dtype {dtype}")
        if strides is not None and memptr is None:
            raise ValueError("memptr must be given where strides are")
        new = memptr is None
        if new:
            memptr = cuda.alloc(math.prod(shape) * dtype.itemsize)
        # NumPy knows no null pointer: what has no elements may lie anywhere.
        buffer = memptr.mem.bytes if memptr.ptr else bytearray(1)
        at = memptr.offset if memptr.ptr else 0
        self._value = numpy.ndarray(shape, dtype, buffer, at, strides, "F" if order == "F" else "C")
        self._memory, self.base = memptr.mem, None
        if new:
            _unwritten(self._value)

    @property
    def data(self):
        if not self._memory.ptr:
            return cuda.MemoryPointer(self._memory, 0)
        address = self._value.__array_interface__["data"][0]
        return cuda.MemoryPointer(self._memory, address - self._memory.ptr)

    @property
    def device(self):
        return self._memory.device

    def __dlpack__(self, **_):
        return self

    def __dlpack_device__(self):
        return (2, self.device.id)

    @property
    def _c_contiguous(self):
        return self._value.flags.c_contiguous

    @property
    def _f_contiguous(self):
        return self._value.flags.f_contiguous

    @property
    def flags(self):
        return _Flags(self._value.flags)

    @property
    def real(self):
        return _wrap(self._value.real, self)

    @property
    def imag(self):
        return _wrap(self._value.imag, self)

    @property
    def T(self):
        return _wrap(self._value.T, self)

    @property
    def __cuda_array_interface__(self):
        raise NotImplementedError("there is no device memory")

    def __getattr__(self, name):
        if name in _FACTS:
            return getattr(self._value, name)
        if name in _METHODS:
            return functools.partial(_METHODS[name], self)
        raise AttributeError(name)

    def get(self, stream=None, order="C", out=None, blocking=True):
        cuda.stream.refuse_while_capturing()
        if out is None:
            return self._value.copy("K" if order == "A" else order)
        out[...] = self._value
        return out

    def set(self, arr, stream=None):
        cuda.stream.refuse_while_capturing()
        if arr.dtype != self.dtype or arr.shape != self.shape:
            raise ValueError(f"Shape or dtype mismatch: {arr.shape} {arr.dtype}")
        self._value[...] = arr

    def item(self, *args):
        cuda.stream.refuse_while_capturing()
        return self._value.item(*args)

    def tolist(self):
        cuda.stream.refuse_while_capturing()
        return self._value.tolist()

    def fill(self, value):
        cuda.stream.do(functools.partial(self._value.fill, _bare(value)))

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. Please use `.get()` to construct "
            "a NumPy array explicitly."
        )

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if ufunc.__name__ in _COMPARISONS:
            # NumPy makes arrays of its scalars before it asks, and CuPy takes them there.
            inputs = [x.item() if type(x) is numpy.ndarray and not x.ndim else x for x in inputs]
        if method != "__call__" or not builtins.all(isinstance(x, _OPERANDS) for x in inputs):
            return NotImplemented
        return globals()[ufunc.__name__](*inputs, **kwargs)

    def __array_function__(self, function, types, args, kwargs):
        found = globals().get(function.__name__, function)
        return NotImplemented if found is function else found(*args, **kwargs)

    @_on_device
    def __getitem__(self, index):
        made = self._value[_index(index)]
        return _wrap(made, self if getattr(made, "base", None) is not None else None)

    def __setitem__(self, index, value):
        if isinstance(value, numpy.ndarray):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        index, value = _index(index), _bare(value)
        cuda.stream.do(functools.partial(operator.setitem, self._value, index, value))

    def __len__(self):
        return len(self._value)

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __bool__(self):
        cuda.stream.refuse_while_capturing()
        return builtins.bool(self._value)

    def __int__(self):
        cuda.stream.refuse_while_capturing()
        return int(self._value)

    def __float__(self):
        cuda.stream.refuse_while_capturing()
        return float(self._value)

    def __complex__(self):
        cuda.stream.refuse_while_capturing()
        return complex(self._value)

    def __index__(self):
        cuda.stream.refuse_while_capturing()
        return operator.index(self._value.item())

    def __format__(self, spec):
        return format(self._value, spec)

    def __repr__(self):
        cuda.stream.refuse_while_capturing()
        return repr(self._value)

    __str__ = __repr__
    __hash__ = None

    def __copy__(self):
        return self.copy()

    def __deepcopy__(self, memo):
        return self.copy()

    def __reduce__(self):
        return array, (self._value,)


class _Flags:
    """CuPy's flags: contiguity and ownership, no writeable."""

    def __init__(self, flags):
        self.c_contiguous, self.f_contiguous = flags.c_contiguous, flags.f_contiguous
        self.owndata = flags.owndata


_COMPARISONS = frozenset("equal not_equal less less_equal greater greater_equal".split())
_FACTS = frozenset("shape dtype ndim size itemsize nbytes strides".split())

_OPERANDS = (ndarray, builtins.bool, int, float, complex, numpy.generic)


def _wrap(x, base=None):
    if isinstance(x, tuple | list):
        return type(x)(_wrap(item) for item in x)
    if isinstance(x, numpy.ndarray | numpy.generic):
        x = numpy.asarray(x)
        if base is None:
            return _stored(x)
        made = object.__new__(ndarray)
        made._value, made._memory, made.base = x, base._memory, base
        return made
    return x


def _stored(x):
    """Return an array of the device with the elements of NumPy's, and their order in memory."""
    flags = x.flags
    order = "C" if flags.c_contiguous or not flags.f_contiguous else "F"
    made = ndarray(x.shape, x.dtype, order=order)
    if not flags.c_contiguous and not flags.f_contiguous:
        strides = numpy.empty_like(x).strides
        made = ndarray(x.shape, x.dtype, made.data, strides)
    made._value[...] = x
    return made


def _unwritten(value):
    """Fill new memory with what is sure to be noticed."""
    if value.dtype.kind in "fc":
        value.fill(numpy.nan)
    elif value.dtype.kind == "b":
        value.fill(True)
    elif value.dtype.kind in "iu":
        value.fill(numpy.array(_ODD, numpy.uint64).astype(value.dtype))


def _bare(x):
    if isinstance(x, ndarray):
        return x._value
    if isinstance(x, numpy.ndarray):
        raise TypeError("Unsupported type <class 'numpy.ndarray'>")
    return x


def _record(stream, function, args, kwargs):
    """Record a call: its results have their shapes, and nobody's numbers before a launch."""
    out = kwargs.get("out")
    before = None if out is None else out._value.copy()
    recorded, stream._recorded, stream._recording = stream._recorded, None, True
    try:
        with numpy.errstate(all="ignore"):
            made = function(*args, **kwargs)
    finally:
        stream._recorded, stream._recording = recorded, False
    if out is not None:
        out._value[...] = before
        targets = []
    else:
        found = made if isinstance(made, tuple | list) else [made]
        targets = [x._value for x in found if isinstance(x, ndarray) and x.base is None]
        given = [x for x in (*args, *kwargs.values()) if isinstance(x, ndarray)]
        targets = [x for x in targets if not builtins.any(x is a._value for a in given)]
    for value in targets:
        _unwritten(value)
    args, kwargs = _unowned(args), {key: _unowned(x) for key, x in kwargs.items()}

    def again():
        with numpy.errstate(all="ignore"):
            made = function(*args, **kwargs)
        found = made if isinstance(made, tuple | list) else [made]
        found = [x._value for x in found if isinstance(x, ndarray) and x.base is None]
        for target, value in zip(targets, found):
            target[...] = value

    recorded.append(again)
    return made


def _unowned(x):
    """Return an operand as a graph holds it: by its address, so that its memory can be reused."""
    if isinstance(x, tuple | list):
        return type(x)(map(_unowned, x))
    if not isinstance(x, ndarray):
        return x
    made = object.__new__(ndarray)
    made._value, made.base = x._value, None
    made._memory = getattr(x._memory, "_block", x._memory)
    return made


def _refusing(function, message=None, which=lambda *args, **kwargs: True):
    """Let a function refuse to be captured, or some calls of it."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        if which(*args, **kwargs):
            cuda.stream.refuse_while_capturing(message)
        return function(*args, **kwargs)

    return call


_NO_CUBLAS = "calling cuBLAS API during stream capture is currently unsupported"


def _bare_or_new(x):
    return x if type(x) is numpy.ndarray else _bare(x)


def _passing(function):
    """Return a function of NumPy's or SciPy's that takes and gives arrays of the device only."""

    @_on_device
    def call(*args, **kwargs):
        options = {key: _bare_all(x) for key, x in kwargs.items()}
        made = function(*map(_bare_all, args), **options)
        return tuple(map(_wrap, made)) if isinstance(made, tuple | list) else _wrap(made)

    return call


def _bare_all(x):
    return type(x)(map(_bare_all, x)) if isinstance(x, tuple | list) else _bare(x)


def _index(index):
    """CuPy takes NumPy's arrays as indices, and what has __cuda_array_interface__."""
    if isinstance(index, tuple):
        return tuple(_index(i) for i in index)
    index = getattr(index, "value", index)
    return index._value if isinstance(index, ndarray) else index


class _Ufunc:
    """A ufunc: operands are arrays of the device, and scalars."""

    def __init__(self, ufunc):
        self._ufunc = ufunc
        self.__name__ = ufunc.__name__

    @_on_device
    def __call__(self, *xs, out=None, dtype=None):
        for x in xs:
            if not isinstance(x, _OPERANDS):
                raise TypeError(f"Unsupported type {type(x)}")
        options = {} if dtype is None else {"dtype": dtype}
        if out is not None:
            options["out"] = out._value
            self._ufunc(*map(_bare, xs), **options)
            return out
        if self.__name__ == "power" and not builtins.any(isinstance(x, int | float) for x in xs):
            # NumPy has short ways for single exponents, with other corners: -inf to the half.
            xs = [numpy.array(x) for x in numpy.broadcast_arrays(*map(_bare, xs))]
        return _wrap(self._ufunc(*map(_bare_or_new, xs), **options))

    def at(self, a, indices, b):
        """CuPy adds at indices in these types only."""
        if a.dtype.char not in "iefdIQ":
            raise TypeError("scatter_add only supports int32, float16, float32, float64, uint32")
        indices, b = _index(indices), _bare(b)
        cuda.stream.do(functools.partial(self._ufunc.at, a._value, indices, b))


for _name, _found in vars(numpy).items():
    if isinstance(_found, numpy.ufunc):
        globals()[_name] = _Ufunc(_found)
del errstate  # noqa: F821 - CuPy has none


def _array(a):
    if not isinstance(a, ndarray):
        raise TypeError(f"Unsupported type {type(a)}")
    return a._value


def _reduction(name):
    function = getattr(numpy, name)

    def reduce(a, axis=None, dtype=None, out=None, keepdims=False):
        options = {} if dtype is None else {"dtype": dtype}
        return _wrap(function(_array(a), axis=axis, keepdims=keepdims, **options))

    return reduce


sum, prod, mean = _reduction("sum"), _reduction("prod"), _reduction("mean")


def _plain_reduction(name):
    function = getattr(numpy, name)

    def reduce(a, axis=None, out=None, keepdims=False):
        return _wrap(function(_array(a), axis=axis, keepdims=keepdims))

    return reduce


max = amax = _plain_reduction("max")
min = amin = _plain_reduction("min")
all, any = _plain_reduction("all"), _plain_reduction("any")


def argmax(a, axis=None, dtype=None, out=None, keepdims=False):
    return _wrap(numpy.argmax(_array(a), axis=axis, keepdims=keepdims))


def argmin(a, axis=None, dtype=None, out=None, keepdims=False):
    return _wrap(numpy.argmin(_array(a), axis=axis, keepdims=keepdims))


def var(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False):
    return _wrap(numpy.var(_array(a), axis=axis, ddof=ddof, keepdims=keepdims))


def std(a, axis=None, dtype=None, out=None, ddof=0, keepdims=False):
    return _wrap(numpy.std(_array(a), axis=axis, ddof=ddof, keepdims=keepdims))


def count_nonzero(a, axis=None):
    return _wrap(numpy.asarray(numpy.count_nonzero(_array(a), axis=axis)))


def cumsum(a, axis=None, dtype=None, out=None):
    return _wrap(numpy.cumsum(_array(a), axis=axis, dtype=dtype))


def cumprod(a, axis=None, dtype=None, out=None):
    return _wrap(numpy.cumprod(_array(a), axis=axis, dtype=dtype))


def argsort(a, axis=-1, kind=None):
    if kind not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")
    return _wrap(numpy.argsort(_array(a), axis=axis, kind="stable"))


def sort(a, axis=-1, kind=None):
    if kind not in (None, "stable"):
        raise ValueError("kind can only be None or 'stable'")
    return _wrap(numpy.sort(_array(a), axis=axis, kind="stable"))


def partition(a, kth, axis=-1):
    return sort(a, axis)


def argpartition(a, kth, axis=-1):
    return argsort(a, axis)


def lexsort(keys):
    return _wrap(numpy.lexsort(_array(keys)))


def searchsorted(a, v, side="left", sorter=None):
    if not isinstance(v, ndarray | int | float | complex):
        raise NotImplementedError("Only python scalars or ndarrays are supported for v")
    places = None if sorter is None else _array(sorter)
    return _wrap(numpy.asarray(numpy.searchsorted(_array(a), _bare(v), side, places)))


def digitize(x, bins, right=False):
    return _wrap(numpy.digitize(_array(x), _array(bins), right))


def bincount(x, weights=None, minlength=None):
    counted = None if weights is None else _array(weights)
    return _wrap(numpy.bincount(_array(x), counted, minlength or 0))


def unique(
    ar, return_index=False, return_inverse=False, return_counts=False, axis=None, *, equal_nan=True
):
    found = numpy.unique(
        _array(ar), return_index, return_inverse, return_counts, axis, equal_nan=equal_nan
    )
    return _wrap(found)


def isin(element, test_elements, assume_unique=False, invert=False):
    return _wrap(numpy.isin(_array(element), _array(test_elements), assume_unique, invert))


def nanargmax(a, axis=None, dtype=None, out=None, keepdims=False):
    return _wrap(numpy.nanargmax(_array(a), axis=axis, keepdims=keepdims))


def nanargmin(a, axis=None, dtype=None, out=None, keepdims=False):
    return _wrap(numpy.nanargmin(_array(a), axis=axis, keepdims=keepdims))


def diff(a, n=1, axis=-1, prepend=None, append=None):
    return _wrap(numpy.diff(_array(a), n, axis))


def convolve(a, v, mode="full"):
    return _wrap(numpy.convolve(_array(a), _array(v), mode))


def gradient(f, *varargs, axis=None, edge_order=1):
    return _wrap(numpy.gradient(_array(f), *varargs, axis=axis, edge_order=edge_order))


def unwrap(p, discont=None, axis=-1, *, period=2 * numpy.pi):
    return _wrap(numpy.unwrap(_array(p), discont, axis, period=_bare(period)))


def interp(x, xp, fp, left=None, right=None, period=None):
    for a in (x, xp, fp):
        if not a.flags.c_contiguous:
            raise NotImplementedError("Non-C-contiguous x is currently not supported")
    return _wrap(numpy.interp(_array(x), _array(xp), _array(fp), left, right, period))


def vander(x, N=None, increasing=False):
    return _wrap(numpy.vander(_array(x), N, increasing))


def pad(array, pad_width, mode="constant", **kwargs):
    return _wrap(numpy.pad(_array(array), pad_width, mode, **kwargs))


def repeat(a, repeats, axis=None):
    return _wrap(numpy.repeat(_array(a), repeats, axis))


def tile(A, reps):
    return _wrap(numpy.tile(_array(A), reps))


def packbits(a, axis=None, bitorder="big"):
    return _wrap(numpy.packbits(_array(a), axis, bitorder))


def unpackbits(a, axis=None, bitorder="big"):
    return _wrap(numpy.unpackbits(_array(a), axis, bitorder=bitorder))


def unravel_index(indices, dims, order="C"):
    return _wrap(numpy.unravel_index(_array(indices), dims, order))


def ravel_multi_index(multi_index, dims, mode="wrap", order="C"):
    return _wrap(numpy.ravel_multi_index(tuple(map(_array, multi_index)), dims, mode, order))


def tril_indices_from(arr, k=0):
    return _wrap(numpy.tril_indices_from(_array(arr), k))


def triu_indices_from(arr, k=0):
    return _wrap(numpy.triu_indices_from(_array(arr), k))


def diag_indices_from(arr):
    return _wrap(numpy.diag_indices_from(_array(arr)))


def may_share_memory(a, b, max_work=None):
    return numpy.may_share_memory(_bare(a), _bare(b))


def shares_memory(a, b, max_work=None):
    return numpy.shares_memory(_bare(a), _bare(b))


def isreal(x):
    return _wrap(numpy.asarray(numpy.isreal(_bare(x))))


def iscomplex(x):
    return _wrap(numpy.asarray(numpy.iscomplex(_bare(x))))


def isposinf(x, out=None):
    return _wrap(numpy.isposinf(_bare(x)))


def isneginf(x, out=None):
    return _wrap(numpy.isneginf(_bare(x)))


def isfortran(a):
    return a.flags.f_contiguous and not a.flags.c_contiguous


def can_cast(from_, to, casting="safe"):
    return numpy.can_cast(from_.dtype if isinstance(from_, ndarray) else from_, to, casting)


def common_type(*arrays):
    return numpy.common_type(*map(_array, arrays))


def where(condition, x=None, y=None):
    if x is None and y is None:
        return nonzero(condition)
    for operand in (x, y):
        if not isinstance(operand, _OPERANDS):
            raise TypeError(f"Unsupported type {type(operand)}")
    return _wrap(numpy.where(_bare(condition), _bare(x), _bare(y)))


def nonzero(a):
    return _wrap(numpy.nonzero(_array(a)))


def argwhere(a):
    return _wrap(numpy.argwhere(_array(a)))


def flatnonzero(a):
    return _wrap(numpy.flatnonzero(_array(a)))


def reshape(a, newshape, order="C", *, copy=None):
    return _view(numpy.reshape(_array(a), newshape), a)


def _view(made, a):
    return _wrap(made, a if numpy.shares_memory(made, a._value) else None)


def ravel(a, order="C"):
    return reshape(a, -1)


def transpose(a, axes=None):
    return _view(numpy.transpose(_array(a), axes), a)


def diagonal(a, offset=0, axis1=0, axis2=1):
    return _view(numpy.diagonal(_array(a), offset, axis1, axis2), a)


def trace(a, offset=0, axis1=0, axis2=1, dtype=None, out=None):
    return _wrap(numpy.asarray(numpy.trace(_array(a), offset, axis1, axis2)))


def rot90(a, k=1, axes=(0, 1)):
    return _view(numpy.rot90(_array(a), k, axes), a)


def swapaxes(a, axis1, axis2):
    return _view(numpy.swapaxes(_array(a), axis1, axis2), a)


def moveaxis(a, source, destination):
    return _view(numpy.moveaxis(_array(a), source, destination), a)


def vdot(a, b):
    return _wrap(numpy.asarray(numpy.vdot(_array(a), _array(b))))


def broadcast_arrays(*args):
    return [_view(made, a) for made, a in zip(numpy.broadcast_arrays(*map(_array, args)), args)]


def broadcast_to(array, shape):
    return _view(numpy.broadcast_to(_array(array), shape), array)


def _as_strided(x, shape=None, strides=None):
    made = numpy.lib.stride_tricks.as_strided(_array(x), shape, strides)
    return _view(made, x)


lib = types.SimpleNamespace(stride_tricks=types.SimpleNamespace(as_strided=_as_strided))


def squeeze(a, axis=None):
    return _view(numpy.squeeze(_array(a), axis), a)


def expand_dims(a, axis):
    return _view(numpy.expand_dims(_array(a), axis), a)


def flip(a, axis=None):
    return _view(numpy.flip(_array(a), axis), a)


def roll(a, shift, axis=None):
    return _wrap(numpy.roll(_array(a), shift, axis))


def concatenate(tup, axis=0, out=None, *, dtype=None, casting="same_kind"):
    for x in tup:
        if not isinstance(x, ndarray):
            raise TypeError("Only cupy arrays can be concatenated")
    return _wrap(numpy.concatenate([x._value for x in tup], axis=axis))


def stack(tup, axis=0, out=None, *, dtype=None, casting="same_kind"):
    return _wrap(numpy.stack([_array(x) for x in tup], axis=axis))


def tril(m, k=0):
    return _wrap(numpy.tril(_array(m), k))


def triu(m, k=0):
    return _wrap(numpy.triu(_array(m), k))


def take_along_axis(a, indices, axis):
    return _wrap(numpy.take_along_axis(_array(a), _array(indices), axis))


def take(a, indices, axis=None, out=None, mode="wrap"):
    return _wrap(numpy.take(_array(a), _index(indices), axis=axis))


def dot(a, b, out=None):
    return _wrap(numpy.dot(_array(a), _array(b)))


def matmul(a, b):
    return _wrap(numpy.matmul(_array(a), _array(b)))


def tensordot(a, b, axes=2):
    return _wrap(numpy.tensordot(_array(a), _array(b), axes))


def einsum(subscripts, *operands, dtype=None, optimize=False):
    if not isinstance(optimize, builtins.bool) and optimize not in ("greedy", "optimal"):
        raise TypeError(f"Did not understand the path (optimize): {optimize}")
    arrays = [asarray(x)._value for x in operands]
    return _wrap(numpy.array(numpy.einsum(subscripts, *arrays, optimize=optimize)))


def angle(z, deg=False):
    return _wrap(numpy.angle(_bare(z), deg))


def clip(a, a_min=None, a_max=None, out=None, **kwargs):
    return _wrap(numpy.clip(_array(a), _bare(a_min), _bare(a_max)))


def real(val):
    return val.real if isinstance(val, ndarray) else _wrap(numpy.asarray(val).real)


def imag(val):
    return val.imag if isinstance(val, ndarray) else _wrap(numpy.asarray(val).imag)


def around(a, decimals=0, out=None):
    return _wrap(numpy.round(_bare(a), decimals))


round = around


def sinc(x):
    return _wrap(numpy.sinc(_bare(x)))


def nan_to_num(x, copy=True, nan=0.0, posinf=None, neginf=None):
    return _wrap(numpy.nan_to_num(_array(x), copy, nan, posinf, neginf))


def _nested(a):
    if isinstance(a, list | tuple):
        return [_nested(item) for item in a]
    return a._value if isinstance(a, ndarray) else a


def array(obj, dtype=None, copy=True, order="K", subok=False, ndmin=0):
    if isinstance(obj, list | tuple) or (isinstance(obj, numpy.ndarray) and obj.ndim):
        cuda.stream.refuse_while_capturing()  # a number needs no copy from the host
    return _wrap(numpy.array(_nested(obj), dtype, order=order, ndmin=ndmin))


def asarray(a, dtype=None, order=None, *, copy=None, blocking=False):
    here = isinstance(a, ndarray) and a.data.device_id == cuda.device.get_device_id()
    if here and (dtype is None or a.dtype == dtype):
        return a
    return array(a, dtype)  # on the current device, as CuPy has it


asanyarray = asarray


def from_dlpack(array):
    """Share the memory; the answer does not say whose it is, as CuPy's does not."""
    made = array.__dlpack__()[...]
    made.base = None
    return made


def ascontiguousarray(a, dtype=None):
    a = asarray(a, dtype)
    return a if a._c_contiguous and a.ndim else _wrap(numpy.ascontiguousarray(_array(a)))


def asfortranarray(a, dtype=None):
    return _wrap(numpy.asfortranarray(_array(a), dtype))


def asnumpy(a):
    return a.get() if isinstance(a, ndarray) else numpy.asarray(a)


def copy(a, order="K"):
    return _wrap(_array(a).copy())


def astype(x, dtype, /, *, copy=True):
    return x.astype(dtype)


def _making(name):
    function = getattr(numpy, name)

    def make(*args, **kwargs):
        made = function(*map(_bare, args), **{k: _bare(v) for k, v in kwargs.items()})
        return _wrap(made)

    return make


for _name in ("zeros ones full eye identity tri arange zeros_like ones_like full_like").split():
    globals()[_name] = _making(_name)


def empty(shape, dtype=float, order="C"):
    return ndarray(shape, dtype, order=order)


def empty_like(prototype, dtype=None, order="K", subok=None, shape=None):
    made = numpy.empty_like(_array(prototype), dtype, order, shape=shape)
    return ndarray(made.shape, made.dtype, order="F" if made.flags.fnc else "C")


def linspace(start, stop, num=50, endpoint=True, retstep=False, dtype=None, axis=0):
    made = numpy.linspace(_bare(start), _bare(stop), num, endpoint, True, dtype, axis)
    step = made[1]
    scalars = not isinstance(start, ndarray) and not isinstance(stop, ndarray)
    values = _wrap(made[0])
    return (values, float(step) if scalars else _wrap(step)) if retstep else values


def result_type(*xs):
    return numpy.result_type(*(x.dtype if isinstance(x, ndarray) else x for x in xs))


def allclose(a, b, rtol=1e-5, atol=1e-8, equal_nan=False):
    return _wrap(numpy.asarray(numpy.allclose(_bare(a), _bare(b), rtol, atol, equal_nan)))


def isclose(a, b, rtol=1e-5, atol=1e-8, equal_nan=False):
    return _wrap(numpy.isclose(_bare(a), _bare(b), rtol, atol, equal_nan))


def array_equal(a1, a2, equal_nan=False):
    return _wrap(numpy.asarray(numpy.array_equal(_bare(a1), _bare(a2), equal_nan)))


def shape(a):
    return a.shape


def ndim(a):
    return a.ndim


def size(a, axis=None):
    return a.size


_METHODS = {
    "sum": sum,
    "var": var,
    "std": std,
    "argmax": argmax,
    "argmin": argmin,
    "mean": mean,
    "prod": prod,
    "cumprod": cumprod,
    "cumsum": cumsum,
    "max": max,
    "min": min,
    "any": any,
    "all": all,
    "reshape": lambda a, *shape, **kw: reshape(a, shape[0] if len(shape) == 1 else shape, **kw),
    "transpose": lambda a, *axes: transpose(
        a, (axes[0] if len(axes) == 1 and isinstance(axes[0], tuple) else axes) or None
    ),
    "repeat": lambda a, n, axis=None: _wrap(a._value.repeat(n, axis)),
    "ravel": lambda a: reshape(a, -1),
    "squeeze": squeeze,
    "copy": copy,
    "conj": lambda a: conj(a),  # noqa: F405
    "astype": lambda a, dtype, **kw: _wrap(a._value.astype(dtype, **kw)),
    "view": lambda a, dtype=None: _wrap(a._value.view(dtype or a.dtype), a),
    "nonzero": nonzero,
    "swapaxes": swapaxes,
    "clip": clip,
}


def _operator(name, symbol):
    def forward(self, other):
        priority = getattr(other, "__array_priority__", 0)
        if not isinstance(other, _OPERANDS) and priority > self.__array_priority__:
            return NotImplemented
        return globals()[name](self, other)

    def backward(self, other):
        return globals()[name](other, self)

    def in_place(self, other):
        if not isinstance(other, _OPERANDS):
            raise TypeError(f"Unsupported type {type(other)}")
        return globals()[name](self, other, out=self)

    setattr(ndarray, f"__{symbol}__", forward)
    setattr(ndarray, f"__r{symbol}__", backward)
    setattr(ndarray, f"__i{symbol}__", in_place)


for _name, _symbol in {
    "add": "add",
    "subtract": "sub",
    "multiply": "mul",
    "true_divide": "truediv",
    "floor_divide": "floordiv",
    "remainder": "mod",
    "power": "pow",
    "bitwise_and": "and",
    "bitwise_or": "or",
    "bitwise_xor": "xor",
}.items():
    _operator(_name, _symbol)
ndarray.__matmul__ = lambda self, other: (
    NotImplemented if not isinstance(other, ndarray) else matmul(self, other)
)
for _name, _symbol in {
    "equal": "eq",
    "not_equal": "ne",
    "less": "lt",
    "less_equal": "le",
    "greater": "gt",
    "greater_equal": "ge",
}.items():
    setattr(
        ndarray,
        f"__{_symbol}__",
        lambda self, other, name=_name: (
            globals()[name](self, other) if isinstance(other, _OPERANDS) else NotImplemented
        ),
    )
for _name, _symbol in {
    "negative": "neg",
    "positive": "pos",
    "absolute": "abs",
    "invert": "invert",
}.items():
    setattr(ndarray, f"__{_symbol}__", lambda self, name=_name: globals()[name](self))
true_divide, abs, mod = divide, absolute, remainder  # noqa: F405


def get_default_memory_pool():
    return cuda.memory.default_pool


def get_default_pinned_memory_pool():
    return cuda.pinned_memory.default_pool


for _name, _found in list(globals().items()):
    if type(_found) is type(_on_device) and _found.__module__ == __name__ and _name[0] != "_":
        globals()[_name] = _on_device(_found)
for _name in "dot matmul tensordot vdot einsum".split():
    globals()[_name] = _refusing(globals()[_name], _NO_CUBLAS)
for _name in "argwhere flatnonzero nonzero unique bincount".split():
    globals()[_name] = _refusing(globals()[_name])
array = _refusing(array, which=lambda obj, *args, **kwargs: not isinstance(obj, ndarray))
asarray = _refusing(asarray, which=lambda a, *args, **kwargs: not isinstance(a, ndarray))
# CuPy asks how many elements a mask takes.
ndarray.__getitem__ = _refusing(
    ndarray.__getitem__, which=lambda _, i: isinstance(i, ndarray) and i.dtype == numpy.bool_
)
asanyarray = asarray
for _name, _found in _METHODS.items():
    _METHODS[_name] = _on_device(_found)

import cupy.fft  # noqa: E402
import cupy.linalg  # noqa: E402
import cupy.random  # noqa: E402, F401
from cupy.cuda.function import RawKernel, RawModule  # noqa: E402, F401
