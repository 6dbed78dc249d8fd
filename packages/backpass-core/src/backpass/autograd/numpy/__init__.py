"""NumPy's functions, differentiable: plain arrays for plain arrays, Tensors for tracked ones.

Where nothing is being differentiated, NumPy itself computes.  What differs from NumPy where
something is stands in the docstrings of `backpass.numpy`.

Examples
--------
>>> import backpass.autograd.numpy as np
>>> from backpass.autograd import grad
>>> np.tanh(0.0)
np.float64(0.0)
>>> grad(np.tanh)(0.0)
np.float64(1.0)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as _numpy

# NumPy's own: types, constants, and what has no derivative and takes no Tensors.
from numpy import (
    False_,
    ScalarType,
    True_,
    __array_namespace_info__,
    array2string,
    array_repr,
    array_str,
    asarray_chkfinite,
    bartlett,
    base_repr,
    binary_repr,
    blackman,
    bool,
    bool_,
    broadcast,
    broadcast_shapes,
    busday_count,
    busday_offset,
    busdaycalendar,
    byte,
    bytes_,
    cdouble,
    clongdouble,
    complex64,
    complex128,
    complexfloating,
    csingle,
    datetime64,
    datetime_as_string,
    datetime_data,
    double,
    dtype,
    e,
    einsum_path,
    errstate,
    euler_gamma,
    exceptions,
    finfo,
    flatiter,
    flexible,
    float16,
    float32,
    float64,
    floating,
    format_float_positional,
    format_float_scientific,
    from_dlpack,
    frombuffer,
    fromfile,
    fromfunction,
    fromiter,
    frompyfunc,
    fromregex,
    fromstring,
    generic,
    genfromtxt,
    get_include,
    get_printoptions,
    getbufsize,
    geterr,
    geterrcall,
    half,
    hamming,
    hanning,
    histogram,
    histogram2d,
    histogram_bin_edges,
    histogramdd,
    iinfo,
    index_exp,
    inexact,
    inf,
    int8,
    int16,
    int32,
    int64,
    int_,
    intc,
    integer,
    intp,
    is_busday,
    isdtype,
    isnat,
    issubdtype,
    iterable,
    kaiser,
    load,
    loadtxt,
    long,
    longdouble,
    longlong,
    mask_indices,
    memmap,
    mgrid,
    mintypecode,
    nan,
    ndarray,
    ndenumerate,
    ndindex,
    nditer,
    nested_iters,
    newaxis,
    number,
    object_,
    ogrid,
    pi,
    poly,
    poly1d,
    polyadd,
    polyder,
    polydiv,
    polyint,
    polymul,
    polysub,
    printoptions,
    promote_types,
    recarray,
    record,
    require,
    roots,
    s_,
    save,
    savetxt,
    savez,
    savez_compressed,
    set_printoptions,
    setbufsize,
    seterr,
    seterrcall,
    short,
    signedinteger,
    single,
    spacing,
    str_,
    timedelta64,
    typecodes,
    ubyte,
    ufunc,
    uint,
    uint8,
    uint16,
    uint32,
    uint64,
    uintc,
    uintp,
    ulong,
    ulonglong,
    unsignedinteger,
    ushort,
    vectorize,
    void,
)

import backpass.numpy as _differentiable
from backpass.autograd.numpy.diagonals import make_diagonal
from backpass.autograd.plain import Brackets as _Brackets
from backpass.autograd.plain import plainly as _plainly

if TYPE_CHECKING:
    from backpass.autograd.numpy import fft, linalg, random


def __getattr__(name: str) -> Any:
    # These take a while to import, and many programs do without them.
    if name in ("fft", "linalg", "random"):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


absolute = _plainly(_differentiable.absolute, _numpy.absolute)
add = _plainly(_differentiable.add, _numpy.add)
all = _plainly(_differentiable.all, _numpy.all)
allclose = _plainly(_differentiable.allclose, _numpy.allclose)
amax = _plainly(_differentiable.amax, _numpy.amax)
amin = _plainly(_differentiable.amin, _numpy.amin)
angle = _plainly(_differentiable.angle, _numpy.angle)
any = _plainly(_differentiable.any, _numpy.any)
append = _plainly(_differentiable.append, _numpy.append)
apply_along_axis = _plainly(_differentiable.apply_along_axis, _numpy.apply_along_axis)
apply_over_axes = _plainly(_differentiable.apply_over_axes, _numpy.apply_over_axes)
arange = _plainly(_differentiable.arange, _numpy.arange)
arccos = _plainly(_differentiable.arccos, _numpy.arccos)
arccosh = _plainly(_differentiable.arccosh, _numpy.arccosh)
arcsin = _plainly(_differentiable.arcsin, _numpy.arcsin)
arcsinh = _plainly(_differentiable.arcsinh, _numpy.arcsinh)
arctan = _plainly(_differentiable.arctan, _numpy.arctan)
arctan2 = _plainly(_differentiable.arctan2, _numpy.arctan2)
arctanh = _plainly(_differentiable.arctanh, _numpy.arctanh)
argmax = _plainly(_differentiable.argmax, _numpy.argmax)
argmin = _plainly(_differentiable.argmin, _numpy.argmin)
argpartition = _plainly(_differentiable.argpartition, _numpy.argpartition)
argsort = _plainly(_differentiable.argsort, _numpy.argsort)
argwhere = _plainly(_differentiable.argwhere, _numpy.argwhere)
around = _plainly(_differentiable.around, _numpy.around)
array = _plainly(_differentiable.array, _numpy.array)
array_equal = _plainly(_differentiable.array_equal, _numpy.array_equal)
array_equiv = _plainly(_differentiable.array_equiv, _numpy.array_equiv)
array_split = _plainly(_differentiable.array_split, _numpy.array_split)
asanyarray = _plainly(_differentiable.asanyarray, _numpy.asanyarray)
asarray = _plainly(_differentiable.asarray, _numpy.asarray)
ascontiguousarray = _plainly(_differentiable.ascontiguousarray, _numpy.ascontiguousarray)
asfortranarray = _plainly(_differentiable.asfortranarray, _numpy.asfortranarray)
astype = _plainly(_differentiable.astype, _numpy.astype)
atleast_1d = _plainly(_differentiable.atleast_1d, _numpy.atleast_1d)
atleast_2d = _plainly(_differentiable.atleast_2d, _numpy.atleast_2d)
atleast_3d = _plainly(_differentiable.atleast_3d, _numpy.atleast_3d)
average = _plainly(_differentiable.average, _numpy.average)
bincount = _plainly(_differentiable.bincount, _numpy.bincount)
bitwise_and = _plainly(_differentiable.bitwise_and, _numpy.bitwise_and)
bitwise_count = _plainly(_differentiable.bitwise_count, _numpy.bitwise_count)
bitwise_or = _plainly(_differentiable.bitwise_or, _numpy.bitwise_or)
bitwise_xor = _plainly(_differentiable.bitwise_xor, _numpy.bitwise_xor)
block = _plainly(_differentiable.block, _numpy.block)
broadcast_arrays = _plainly(_differentiable.broadcast_arrays, _numpy.broadcast_arrays)
broadcast_to = _plainly(_differentiable.broadcast_to, _numpy.broadcast_to)
can_cast = _plainly(_differentiable.can_cast, _numpy.can_cast)
cbrt = _plainly(_differentiable.cbrt, _numpy.cbrt)
ceil = _plainly(_differentiable.ceil, _numpy.ceil)
choose = _plainly(_differentiable.choose, _numpy.choose)
clip = _plainly(_differentiable.clip, _numpy.clip)
column_stack = _plainly(_differentiable.column_stack, _numpy.column_stack)
common_type = _plainly(_differentiable.common_type, _numpy.common_type)
compress = _plainly(_differentiable.compress, _numpy.compress)
concatenate = _plainly(_differentiable.concatenate, _numpy.concatenate)
conj = _plainly(_differentiable.conj, _numpy.conj)
copy = _plainly(_differentiable.copy, _numpy.copy)
corrcoef = _plainly(_differentiable.corrcoef, _numpy.corrcoef)
copyto = _plainly(_differentiable.copyto, _numpy.copyto)
cos = _plainly(_differentiable.cos, _numpy.cos)
cosh = _plainly(_differentiable.cosh, _numpy.cosh)
count_nonzero = _plainly(_differentiable.count_nonzero, _numpy.count_nonzero)
cov = _plainly(_differentiable.cov, _numpy.cov)
cross = _plainly(_differentiable.cross, _numpy.cross)
cumprod = _plainly(_differentiable.cumprod, _numpy.cumprod)
cumsum = _plainly(_differentiable.cumsum, _numpy.cumsum)
cumulative_prod = _plainly(_differentiable.cumulative_prod, _numpy.cumulative_prod)
cumulative_sum = _plainly(_differentiable.cumulative_sum, _numpy.cumulative_sum)
deg2rad = _plainly(_differentiable.deg2rad, _numpy.deg2rad)
degrees = _plainly(_differentiable.degrees, _numpy.degrees)
delete = _plainly(_differentiable.delete, _numpy.delete)
diag = _plainly(_differentiable.diag, _numpy.diag)
diag_indices = _plainly(_differentiable.diag_indices, _numpy.diag_indices)
diag_indices_from = _plainly(_differentiable.diag_indices_from, _numpy.diag_indices_from)
diagflat = _plainly(_differentiable.diagflat, _numpy.diagflat)
diagonal = _plainly(_differentiable.diagonal, _numpy.diagonal)
diff = _plainly(_differentiable.diff, _numpy.diff)
digitize = _plainly(_differentiable.digitize, _numpy.digitize)
divide = _plainly(_differentiable.divide, _numpy.divide)
divmod = _plainly(_differentiable.divmod, _numpy.divmod)
dot = _plainly(_differentiable.dot, _numpy.dot)
dsplit = _plainly(_differentiable.dsplit, _numpy.dsplit)
dstack = _plainly(_differentiable.dstack, _numpy.dstack)
ediff1d = _plainly(_differentiable.ediff1d, _numpy.ediff1d)
einsum = _plainly(_differentiable.einsum, _numpy.einsum)
empty = _plainly(_differentiable.empty, _numpy.empty)
empty_like = _plainly(_differentiable.empty_like, _numpy.empty_like)
equal = _plainly(_differentiable.equal, _numpy.equal)
exp = _plainly(_differentiable.exp, _numpy.exp)
exp2 = _plainly(_differentiable.exp2, _numpy.exp2)
expand_dims = _plainly(_differentiable.expand_dims, _numpy.expand_dims)
expm1 = _plainly(_differentiable.expm1, _numpy.expm1)
extract = _plainly(_differentiable.extract, _numpy.extract)
eye = _plainly(_differentiable.eye, _numpy.eye)
fabs = _plainly(_differentiable.fabs, _numpy.fabs)
fill_diagonal = _plainly(_differentiable.fill_diagonal, _numpy.fill_diagonal)
fix = _plainly(_differentiable.fix, _numpy.fix)
flatnonzero = _plainly(_differentiable.flatnonzero, _numpy.flatnonzero)
flip = _plainly(_differentiable.flip, _numpy.flip)
fliplr = _plainly(_differentiable.fliplr, _numpy.fliplr)
flipud = _plainly(_differentiable.flipud, _numpy.flipud)
float_power = _plainly(_differentiable.float_power, _numpy.float_power)
floor = _plainly(_differentiable.floor, _numpy.floor)
floor_divide = _plainly(_differentiable.floor_divide, _numpy.floor_divide)
fmax = _plainly(_differentiable.fmax, _numpy.fmax)
fmin = _plainly(_differentiable.fmin, _numpy.fmin)
fmod = _plainly(_differentiable.fmod, _numpy.fmod)
full = _plainly(_differentiable.full, _numpy.full)
full_like = _plainly(_differentiable.full_like, _numpy.full_like)
gcd = _plainly(_differentiable.gcd, _numpy.gcd)
gradient = _plainly(_differentiable.gradient, _numpy.gradient)
greater = _plainly(_differentiable.greater, _numpy.greater)
greater_equal = _plainly(_differentiable.greater_equal, _numpy.greater_equal)
hsplit = _plainly(_differentiable.hsplit, _numpy.hsplit)
hstack = _plainly(_differentiable.hstack, _numpy.hstack)
hypot = _plainly(_differentiable.hypot, _numpy.hypot)
identity = _plainly(_differentiable.identity, _numpy.identity)
imag = _plainly(_differentiable.imag, _numpy.imag)
indices = _plainly(_differentiable.indices, _numpy.indices)
inner = _plainly(_differentiable.inner, _numpy.inner)
insert = _plainly(_differentiable.insert, _numpy.insert)
interp = _plainly(_differentiable.interp, _numpy.interp)
intersect1d = _plainly(_differentiable.intersect1d, _numpy.intersect1d)
invert = _plainly(_differentiable.invert, _numpy.invert)
isclose = _plainly(_differentiable.isclose, _numpy.isclose)
iscomplex = _plainly(_differentiable.iscomplex, _numpy.iscomplex)
iscomplexobj = _plainly(_differentiable.iscomplexobj, _numpy.iscomplexobj)
isfinite = _plainly(_differentiable.isfinite, _numpy.isfinite)
isfortran = _plainly(_differentiable.isfortran, _numpy.isfortran)
isin = _plainly(_differentiable.isin, _numpy.isin)
isinf = _plainly(_differentiable.isinf, _numpy.isinf)
isnan = _plainly(_differentiable.isnan, _numpy.isnan)
isneginf = _plainly(_differentiable.isneginf, _numpy.isneginf)
isposinf = _plainly(_differentiable.isposinf, _numpy.isposinf)
isreal = _plainly(_differentiable.isreal, _numpy.isreal)
isrealobj = _plainly(_differentiable.isrealobj, _numpy.isrealobj)
isscalar = _plainly(_differentiable.isscalar, _numpy.isscalar)
ix_ = _plainly(_differentiable.ix_, _numpy.ix_)
kron = _plainly(_differentiable.kron, _numpy.kron)
lcm = _plainly(_differentiable.lcm, _numpy.lcm)
left_shift = _plainly(_differentiable.left_shift, _numpy.left_shift)
less = _plainly(_differentiable.less, _numpy.less)
less_equal = _plainly(_differentiable.less_equal, _numpy.less_equal)
lexsort = _plainly(_differentiable.lexsort, _numpy.lexsort)
linspace = _plainly(_differentiable.linspace, _numpy.linspace)
log = _plainly(_differentiable.log, _numpy.log)
log10 = _plainly(_differentiable.log10, _numpy.log10)
log1p = _plainly(_differentiable.log1p, _numpy.log1p)
log2 = _plainly(_differentiable.log2, _numpy.log2)
logaddexp = _plainly(_differentiable.logaddexp, _numpy.logaddexp)
logaddexp2 = _plainly(_differentiable.logaddexp2, _numpy.logaddexp2)
logical_and = _plainly(_differentiable.logical_and, _numpy.logical_and)
logical_not = _plainly(_differentiable.logical_not, _numpy.logical_not)
logical_or = _plainly(_differentiable.logical_or, _numpy.logical_or)
logical_xor = _plainly(_differentiable.logical_xor, _numpy.logical_xor)
i0 = _plainly(_differentiable.i0, _numpy.i0)
convolve = _plainly(_differentiable.convolve, _numpy.convolve)
correlate = _plainly(_differentiable.correlate, _numpy.correlate)
copysign = _plainly(_differentiable.copysign, _numpy.copysign)
heaviside = _plainly(_differentiable.heaviside, _numpy.heaviside)
frexp = _plainly(_differentiable.frexp, _numpy.frexp)
ldexp = _plainly(_differentiable.ldexp, _numpy.ldexp)
modf = _plainly(_differentiable.modf, _numpy.modf)
matvec = _plainly(_differentiable.matvec, _numpy.matvec)
vecdot = _plainly(_differentiable.vecdot, _numpy.vecdot)
vecmat = _plainly(_differentiable.vecmat, _numpy.vecmat)
polyfit = _plainly(_differentiable.polyfit, _numpy.polyfit)
polyval = _plainly(_differentiable.polyval, _numpy.polyval)
geomspace = _plainly(_differentiable.geomspace, _numpy.geomspace)
logspace = _plainly(_differentiable.logspace, _numpy.logspace)
matmul = _plainly(_differentiable.matmul, _numpy.matmul)
matrix_transpose = _plainly(_differentiable.matrix_transpose, _numpy.matrix_transpose)
max = _plainly(_differentiable.max, _numpy.max)
maximum = _plainly(_differentiable.maximum, _numpy.maximum)
may_share_memory = _plainly(_differentiable.may_share_memory, _numpy.may_share_memory)
mean = _plainly(_differentiable.mean, _numpy.mean)
median = _plainly(_differentiable.median, _numpy.median)
meshgrid = _plainly(_differentiable.meshgrid, _numpy.meshgrid)
min = _plainly(_differentiable.min, _numpy.min)
min_scalar_type = _plainly(_differentiable.min_scalar_type, _numpy.min_scalar_type)
minimum = _plainly(_differentiable.minimum, _numpy.minimum)
moveaxis = _plainly(_differentiable.moveaxis, _numpy.moveaxis)
multiply = _plainly(_differentiable.multiply, _numpy.multiply)
nan_to_num = _plainly(_differentiable.nan_to_num, _numpy.nan_to_num)
nanargmax = _plainly(_differentiable.nanargmax, _numpy.nanargmax)
nanargmin = _plainly(_differentiable.nanargmin, _numpy.nanargmin)
nancumprod = _plainly(_differentiable.nancumprod, _numpy.nancumprod)
nancumsum = _plainly(_differentiable.nancumsum, _numpy.nancumsum)
nanmax = _plainly(_differentiable.nanmax, _numpy.nanmax)
nanmean = _plainly(_differentiable.nanmean, _numpy.nanmean)
nanmedian = _plainly(_differentiable.nanmedian, _numpy.nanmedian)
nanmin = _plainly(_differentiable.nanmin, _numpy.nanmin)
nanpercentile = _plainly(_differentiable.nanpercentile, _numpy.nanpercentile)
nanprod = _plainly(_differentiable.nanprod, _numpy.nanprod)
nanquantile = _plainly(_differentiable.nanquantile, _numpy.nanquantile)
nanstd = _plainly(_differentiable.nanstd, _numpy.nanstd)
nansum = _plainly(_differentiable.nansum, _numpy.nansum)
nanvar = _plainly(_differentiable.nanvar, _numpy.nanvar)
ndim = _plainly(_differentiable.ndim, _numpy.ndim)
negative = _plainly(_differentiable.negative, _numpy.negative)
nonzero = _plainly(_differentiable.nonzero, _numpy.nonzero)
not_equal = _plainly(_differentiable.not_equal, _numpy.not_equal)
ones = _plainly(_differentiable.ones, _numpy.ones)
ones_like = _plainly(_differentiable.ones_like, _numpy.ones_like)
outer = _plainly(_differentiable.outer, _numpy.outer)
packbits = _plainly(_differentiable.packbits, _numpy.packbits)
pad = _plainly(_differentiable.pad, _numpy.pad)
partition = _plainly(_differentiable.partition, _numpy.partition)
percentile = _plainly(_differentiable.percentile, _numpy.percentile)
permute_dims = _plainly(_differentiable.permute_dims, _numpy.permute_dims)
piecewise = _plainly(_differentiable.piecewise, _numpy.piecewise)
place = _plainly(_differentiable.place, _numpy.place)
positive = _plainly(_differentiable.positive, _numpy.positive)
power = _plainly(_differentiable.power, _numpy.power)
prod = _plainly(_differentiable.prod, _numpy.prod)
ptp = _plainly(_differentiable.ptp, _numpy.ptp)
quantile = _plainly(_differentiable.quantile, _numpy.quantile)
put = _plainly(_differentiable.put, _numpy.put)
put_along_axis = _plainly(_differentiable.put_along_axis, _numpy.put_along_axis)
putmask = _plainly(_differentiable.putmask, _numpy.putmask)
rad2deg = _plainly(_differentiable.rad2deg, _numpy.rad2deg)
radians = _plainly(_differentiable.radians, _numpy.radians)
ravel = _plainly(_differentiable.ravel, _numpy.ravel)
ravel_multi_index = _plainly(_differentiable.ravel_multi_index, _numpy.ravel_multi_index)
real = _plainly(_differentiable.real, _numpy.real)
real_if_close = _plainly(_differentiable.real_if_close, _numpy.real_if_close)
reciprocal = _plainly(_differentiable.reciprocal, _numpy.reciprocal)
remainder = _plainly(_differentiable.remainder, _numpy.remainder)
repeat = _plainly(_differentiable.repeat, _numpy.repeat)
reshape = _plainly(_differentiable.reshape, _numpy.reshape)
resize = _plainly(_differentiable.resize, _numpy.resize)
result_type = _plainly(_differentiable.result_type, _numpy.result_type)
right_shift = _plainly(_differentiable.right_shift, _numpy.right_shift)
rint = _plainly(_differentiable.rint, _numpy.rint)
roll = _plainly(_differentiable.roll, _numpy.roll)
rollaxis = _plainly(_differentiable.rollaxis, _numpy.rollaxis)
rot90 = _plainly(_differentiable.rot90, _numpy.rot90)
round = _plainly(_differentiable.round, _numpy.round)
row_stack = _plainly(_differentiable.row_stack, _numpy.vstack)
searchsorted = _plainly(_differentiable.searchsorted, _numpy.searchsorted)
select = _plainly(_differentiable.select, _numpy.select)
setdiff1d = _plainly(_differentiable.setdiff1d, _numpy.setdiff1d)
setxor1d = _plainly(_differentiable.setxor1d, _numpy.setxor1d)
shape = _plainly(_differentiable.shape, _numpy.shape)
shares_memory = _plainly(_differentiable.shares_memory, _numpy.shares_memory)
sign = _plainly(_differentiable.sign, _numpy.sign)
signbit = _plainly(_differentiable.signbit, _numpy.signbit)
sin = _plainly(_differentiable.sin, _numpy.sin)
sinc = _plainly(_differentiable.sinc, _numpy.sinc)
sinh = _plainly(_differentiable.sinh, _numpy.sinh)
size = _plainly(_differentiable.size, _numpy.size)
sort = _plainly(_differentiable.sort, _numpy.sort)
sort_complex = _plainly(_differentiable.sort_complex, _numpy.sort_complex)
split = _plainly(_differentiable.split, _numpy.split)
sqrt = _plainly(_differentiable.sqrt, _numpy.sqrt)
square = _plainly(_differentiable.square, _numpy.square)
squeeze = _plainly(_differentiable.squeeze, _numpy.squeeze)
stack = _plainly(_differentiable.stack, _numpy.stack)
std = _plainly(_differentiable.std, _numpy.std)
subtract = _plainly(_differentiable.subtract, _numpy.subtract)
sum = _plainly(_differentiable.sum, _numpy.sum)
swapaxes = _plainly(_differentiable.swapaxes, _numpy.swapaxes)
take = _plainly(_differentiable.take, _numpy.take)
take_along_axis = _plainly(_differentiable.take_along_axis, _numpy.take_along_axis)
tan = _plainly(_differentiable.tan, _numpy.tan)
tanh = _plainly(_differentiable.tanh, _numpy.tanh)
tensordot = _plainly(_differentiable.tensordot, _numpy.tensordot)
tile = _plainly(_differentiable.tile, _numpy.tile)
trace = _plainly(_differentiable.trace, _numpy.trace)
transpose = _plainly(_differentiable.transpose, _numpy.transpose)
trapezoid = _plainly(_differentiable.trapezoid, _numpy.trapezoid)
tri = _plainly(_differentiable.tri, _numpy.tri)
tril = _plainly(_differentiable.tril, _numpy.tril)
tril_indices = _plainly(_differentiable.tril_indices, _numpy.tril_indices)
tril_indices_from = _plainly(_differentiable.tril_indices_from, _numpy.tril_indices_from)
trim_zeros = _plainly(_differentiable.trim_zeros, _numpy.trim_zeros)
triu = _plainly(_differentiable.triu, _numpy.triu)
triu_indices = _plainly(_differentiable.triu_indices, _numpy.triu_indices)
triu_indices_from = _plainly(_differentiable.triu_indices_from, _numpy.triu_indices_from)
trunc = _plainly(_differentiable.trunc, _numpy.trunc)
union1d = _plainly(_differentiable.union1d, _numpy.union1d)
unique_all = _plainly(_differentiable.unique_all, _numpy.unique_all)
unique_counts = _plainly(_differentiable.unique_counts, _numpy.unique_counts)
unique_inverse = _plainly(_differentiable.unique_inverse, _numpy.unique_inverse)
unique_values = _plainly(_differentiable.unique_values, _numpy.unique_values)
nextafter = _plainly(_differentiable.nextafter, _numpy.nextafter)
unique = _plainly(_differentiable.unique, _numpy.unique)
unpackbits = _plainly(_differentiable.unpackbits, _numpy.unpackbits)
unravel_index = _plainly(_differentiable.unravel_index, _numpy.unravel_index)
unstack = _plainly(_differentiable.unstack, _numpy.unstack)
unwrap = _plainly(_differentiable.unwrap, _numpy.unwrap)
vander = _plainly(_differentiable.vander, _numpy.vander)
var = _plainly(_differentiable.var, _numpy.var)
vdot = _plainly(_differentiable.vdot, _numpy.vdot)
vsplit = _plainly(_differentiable.vsplit, _numpy.vsplit)
vstack = _plainly(_differentiable.vstack, _numpy.vstack)
where = _plainly(_differentiable.where, _numpy.where)
zeros = _plainly(_differentiable.zeros, _numpy.zeros)
zeros_like = _plainly(_differentiable.zeros_like, _numpy.zeros_like)

abs = absolute
acos = arccos
acosh = arccosh
asin = arcsin
asinh = arcsinh
atan = arctan
atan2 = arctan2
atanh = arctanh
bitwise_invert = invert
bitwise_left_shift = left_shift
bitwise_not = invert
bitwise_right_shift = right_shift
concat = concatenate
conjugate = conj
mod = remainder
pow = power
true_divide = divide
c_ = _Brackets(_differentiable.c_, _numpy.c_)
r_ = _Brackets(_differentiable.r_, _numpy.r_)

__all__ = [
    "False_",
    "ScalarType",
    "True_",
    "__array_namespace_info__",
    "abs",
    "absolute",
    "acos",
    "acosh",
    "add",
    "all",
    "allclose",
    "amax",
    "amin",
    "angle",
    "any",
    "append",
    "apply_along_axis",
    "apply_over_axes",
    "arange",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctan2",
    "arctanh",
    "argmax",
    "argmin",
    "argpartition",
    "argsort",
    "argwhere",
    "around",
    "array",
    "array2string",
    "array_equal",
    "array_equiv",
    "array_repr",
    "array_split",
    "array_str",
    "asanyarray",
    "asarray",
    "asarray_chkfinite",
    "ascontiguousarray",
    "asfortranarray",
    "asin",
    "asinh",
    "astype",
    "atan",
    "atan2",
    "atanh",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "average",
    "bartlett",
    "base_repr",
    "binary_repr",
    "bincount",
    "bitwise_and",
    "bitwise_count",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "blackman",
    "block",
    "bool",
    "bool_",
    "broadcast",
    "broadcast_arrays",
    "broadcast_shapes",
    "broadcast_to",
    "busday_count",
    "busday_offset",
    "busdaycalendar",
    "byte",
    "bytes_",
    "c_",
    "can_cast",
    "cbrt",
    "cdouble",
    "ceil",
    "choose",
    "clip",
    "clongdouble",
    "column_stack",
    "common_type",
    "complex64",
    "complex128",
    "complexfloating",
    "compress",
    "concat",
    "concatenate",
    "conj",
    "conjugate",
    "convolve",
    "copy",
    "copysign",
    "copyto",
    "corrcoef",
    "correlate",
    "cos",
    "cosh",
    "count_nonzero",
    "cov",
    "cross",
    "csingle",
    "cumprod",
    "cumsum",
    "cumulative_prod",
    "cumulative_sum",
    "datetime64",
    "datetime_as_string",
    "datetime_data",
    "deg2rad",
    "degrees",
    "delete",
    "diag",
    "diag_indices",
    "diag_indices_from",
    "diagflat",
    "diagonal",
    "diff",
    "digitize",
    "divide",
    "divmod",
    "dot",
    "double",
    "dsplit",
    "dstack",
    "dtype",
    "e",
    "ediff1d",
    "einsum",
    "einsum_path",
    "empty",
    "empty_like",
    "equal",
    "errstate",
    "euler_gamma",
    "exceptions",
    "exp",
    "exp2",
    "expand_dims",
    "expm1",
    "extract",
    "eye",
    "fabs",
    "fft",
    "fill_diagonal",
    "finfo",
    "fix",
    "flatiter",
    "flatnonzero",
    "flexible",
    "flip",
    "fliplr",
    "flipud",
    "float16",
    "float32",
    "float64",
    "float_power",
    "floating",
    "floor",
    "floor_divide",
    "fmax",
    "fmin",
    "fmod",
    "format_float_positional",
    "format_float_scientific",
    "frexp",
    "from_dlpack",
    "frombuffer",
    "fromfile",
    "fromfunction",
    "fromiter",
    "frompyfunc",
    "fromregex",
    "fromstring",
    "full",
    "full_like",
    "gcd",
    "generic",
    "genfromtxt",
    "geomspace",
    "get_include",
    "get_printoptions",
    "getbufsize",
    "geterr",
    "geterrcall",
    "gradient",
    "greater",
    "greater_equal",
    "half",
    "hamming",
    "hanning",
    "heaviside",
    "histogram",
    "histogram2d",
    "histogram_bin_edges",
    "histogramdd",
    "hsplit",
    "hstack",
    "hypot",
    "i0",
    "identity",
    "iinfo",
    "imag",
    "index_exp",
    "indices",
    "inexact",
    "inf",
    "inner",
    "insert",
    "int8",
    "int16",
    "int32",
    "int64",
    "int_",
    "intc",
    "integer",
    "interp",
    "intersect1d",
    "intp",
    "invert",
    "is_busday",
    "isclose",
    "iscomplex",
    "iscomplexobj",
    "isdtype",
    "isfinite",
    "isfortran",
    "isin",
    "isinf",
    "isnan",
    "isnat",
    "isneginf",
    "isposinf",
    "isreal",
    "isrealobj",
    "isscalar",
    "issubdtype",
    "iterable",
    "ix_",
    "kaiser",
    "kron",
    "lcm",
    "ldexp",
    "left_shift",
    "less",
    "less_equal",
    "lexsort",
    "linalg",
    "linspace",
    "load",
    "loadtxt",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "logaddexp2",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "logspace",
    "long",
    "longdouble",
    "longlong",
    "make_diagonal",
    "mask_indices",
    "matmul",
    "matrix_transpose",
    "matvec",
    "max",
    "maximum",
    "may_share_memory",
    "mean",
    "median",
    "memmap",
    "meshgrid",
    "mgrid",
    "min",
    "min_scalar_type",
    "minimum",
    "mintypecode",
    "mod",
    "modf",
    "moveaxis",
    "multiply",
    "nan",
    "nan_to_num",
    "nanargmax",
    "nanargmin",
    "nancumprod",
    "nancumsum",
    "nanmax",
    "nanmean",
    "nanmedian",
    "nanmin",
    "nanpercentile",
    "nanprod",
    "nanquantile",
    "nanstd",
    "nansum",
    "nanvar",
    "ndarray",
    "ndenumerate",
    "ndim",
    "ndindex",
    "nditer",
    "negative",
    "nested_iters",
    "newaxis",
    "nextafter",
    "nonzero",
    "not_equal",
    "number",
    "object_",
    "ogrid",
    "ones",
    "ones_like",
    "outer",
    "packbits",
    "pad",
    "partition",
    "percentile",
    "permute_dims",
    "pi",
    "piecewise",
    "place",
    "poly",
    "poly1d",
    "polyadd",
    "polyder",
    "polydiv",
    "polyfit",
    "polyint",
    "polymul",
    "polysub",
    "polyval",
    "positive",
    "pow",
    "power",
    "printoptions",
    "prod",
    "promote_types",
    "ptp",
    "put",
    "put_along_axis",
    "putmask",
    "quantile",
    "r_",
    "rad2deg",
    "radians",
    "random",
    "ravel",
    "ravel_multi_index",
    "real",
    "real_if_close",
    "recarray",
    "reciprocal",
    "record",
    "remainder",
    "repeat",
    "require",
    "reshape",
    "resize",
    "result_type",
    "right_shift",
    "rint",
    "roll",
    "rollaxis",
    "roots",
    "rot90",
    "round",
    "row_stack",
    "s_",
    "save",
    "savetxt",
    "savez",
    "savez_compressed",
    "searchsorted",
    "select",
    "set_printoptions",
    "setbufsize",
    "setdiff1d",
    "seterr",
    "seterrcall",
    "setxor1d",
    "shape",
    "shares_memory",
    "short",
    "sign",
    "signbit",
    "signedinteger",
    "sin",
    "sinc",
    "single",
    "sinh",
    "size",
    "sort",
    "sort_complex",
    "spacing",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "str_",
    "subtract",
    "sum",
    "swapaxes",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "tensordot",
    "tile",
    "timedelta64",
    "trace",
    "transpose",
    "trapezoid",
    "tri",
    "tril",
    "tril_indices",
    "tril_indices_from",
    "trim_zeros",
    "triu",
    "triu_indices",
    "triu_indices_from",
    "true_divide",
    "trunc",
    "typecodes",
    "ubyte",
    "ufunc",
    "uint",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "uintc",
    "uintp",
    "ulong",
    "ulonglong",
    "union1d",
    "unique",
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
    "unpackbits",
    "unravel_index",
    "unsignedinteger",
    "unstack",
    "unwrap",
    "ushort",
    "vander",
    "var",
    "vdot",
    "vecdot",
    "vecmat",
    "vectorize",
    "void",
    "vsplit",
    "vstack",
    "where",
    "zeros",
    "zeros_like",
]
