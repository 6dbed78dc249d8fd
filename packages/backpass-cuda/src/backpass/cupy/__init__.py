"""CuPy's functions, differentiable: the same names, over Tensors on an NVIDIA GPU.

The functions are those of `backpass.numpy`: where they compute is decided by their operands.  What
makes arrays from numbers (`array`, `zeros`, `random.randn`, ...) makes them on the GPU.  `errstate`
is not there, because CuPy has none; full reductions stay on the GPU, as arrays of shape ().

Importing this package needs neither CuPy nor a GPU; what needs them raises `DeviceUnavailable`.

Where CuPy differs from NumPy, it does so here: integer arrays as indices wrap around at the ends
and never raise; of elements that one assignment writes several times, which write lasts is not
defined; `argsort` is always stable.

Examples
--------
>>> import backpass.cupy as cp
>>> from backpass.core import grad
>>> grad(lambda x: cp.sum(cp.tanh(x)))(cp.zeros(2))  # doctest: +SKIP
array([1., 1.])
"""

from numpy import (
    bool,
    bool_,
    complex64,
    complex128,
    complexfloating,
    dtype,
    e,
    euler_gamma,
    finfo,
    float16,
    float32,
    float64,
    floating,
    iinfo,
    inexact,
    inf,
    int8,
    int16,
    int32,
    int64,
    integer,
    intp,
    issubdtype,
    nan,
    newaxis,
    number,
    pi,
    promote_types,
    uint8,
    uint16,
    uint32,
    uint64,
    unsignedinteger,
)

from backpass.core.ops.composites import (
    clip,
)
from backpass.core.ops.composites import (
    where_ as where,
)
from backpass.core.ops.creation import Creation as _Creation
from backpass.core.ops.elementwise import (
    absolute,
    add,
    angle,
    arccos,
    arccosh,
    arcsin,
    arcsinh,
    arctan,
    arctan2,
    arctanh,
    bitwise_and,
    bitwise_or,
    bitwise_xor,
    cbrt,
    ceil,
    conj,
    cos,
    cosh,
    deg2rad,
    divide,
    equal,
    exp,
    exp2,
    expm1,
    fabs,
    float_power,
    floor,
    floor_divide,
    fmax,
    fmin,
    fmod,
    greater,
    greater_equal,
    hypot,
    imag,
    invert,
    isfinite,
    isinf,
    isnan,
    left_shift,
    less,
    less_equal,
    log,
    log1p,
    log2,
    log10,
    logaddexp,
    logaddexp2,
    logical_and,
    logical_not,
    logical_or,
    logical_xor,
    maximum,
    minimum,
    multiply,
    negative,
    not_equal,
    positive,
    power,
    rad2deg,
    real,
    reciprocal,
    remainder,
    right_shift,
    rint,
    sign,
    signbit,
    sin,
    sinc,
    sinh,
    sqrt,
    square,
    subtract,
    tan,
    tanh,
    trunc,
)
from backpass.core.ops.elementwise import (
    absolute as abs,
)
from backpass.core.ops.elementwise import (
    arccos as acos,
)
from backpass.core.ops.elementwise import (
    arccosh as acosh,
)
from backpass.core.ops.elementwise import (
    arcsin as asin,
)
from backpass.core.ops.elementwise import (
    arcsinh as asinh,
)
from backpass.core.ops.elementwise import (
    arctan as atan,
)
from backpass.core.ops.elementwise import (
    arctan2 as atan2,
)
from backpass.core.ops.elementwise import (
    arctanh as atanh,
)
from backpass.core.ops.elementwise import (
    conj as conjugate,
)
from backpass.core.ops.elementwise import (
    deg2rad as radians,
)
from backpass.core.ops.elementwise import (
    divide as true_divide,
)
from backpass.core.ops.elementwise import (
    invert as bitwise_invert,
)
from backpass.core.ops.elementwise import (
    invert as bitwise_not,
)
from backpass.core.ops.elementwise import (
    left_shift as bitwise_left_shift,
)
from backpass.core.ops.elementwise import (
    power as pow,
)
from backpass.core.ops.elementwise import (
    rad2deg as degrees,
)
from backpass.core.ops.elementwise import (
    remainder as mod,
)
from backpass.core.ops.elementwise import (
    right_shift as bitwise_right_shift,
)
from backpass.core.ops.linear import (
    dot,
    einsum,
    inner,
    kron,
    matmul,
    outer,
    tensordot,
    vdot,
)
from backpass.core.ops.questions import (
    allclose,
    argwhere,
    array_equal,
    array_equiv,
    flatnonzero,
    isclose,
    iscomplexobj,
    isrealobj,
    isscalar,
    ndim,
    nonzero,
    result_type,
    shape,
    size,
)
from backpass.core.ops.reductions import (
    all,
    amax,
    amin,
    any,
    argmax,
    argmin,
    argsort,
    count_nonzero,
    cumsum,
    max,
    mean,
    min,
    prod,
    std,
    sum,
    var,
)
from backpass.core.ops.rounding import (
    around,
    round,
)
from backpass.core.ops.shaping import (
    append,
    array_split,
    atleast_1d,
    atleast_2d,
    atleast_3d,
    column_stack,
    concatenate,
    copy,
    diag,
    diagonal,
    dsplit,
    dstack,
    expand_dims,
    fliplr,
    flipud,
    hsplit,
    hstack,
    matrix_transpose,
    moveaxis,
    permute_dims,
    ravel,
    repeat,
    rollaxis,
    rot90,
    split,
    squeeze,
    stack,
    swapaxes,
    tile,
    trace,
    transpose,
    tril,
    triu,
    unstack,
    vsplit,
    vstack,
)
from backpass.core.ops.shaping import (
    astype_ as astype,
)
from backpass.core.ops.shaping import (
    broadcast_to_ as broadcast_to,
)
from backpass.core.ops.shaping import (
    concatenate as concat,
)
from backpass.core.ops.shaping import (
    flip_ as flip,
)
from backpass.core.ops.shaping import (
    reshape_ as reshape,
)
from backpass.core.ops.shaping import (
    roll_ as roll,
)
from backpass.cupy import random
from backpass.cupy.backend import CupyBackend, ndarray
from backpass.cupy.backend import library as _library
from backpass.cupy.exceptions import DeviceUnavailable

_made = _Creation(_library)
arange = _made.arange
array = _made.array
asarray = _made.asarray
empty = _made.empty
empty_like = _made.empty_like
eye = _made.eye
full = _made.full
full_like = _made.full_like
identity = _made.identity
linspace = _made.linspace
logspace = _made.logspace
meshgrid = _made.meshgrid
ones = _made.ones
ones_like = _made.ones_like
tri = _made.tri
zeros = _made.zeros
zeros_like = _made.zeros_like

__all__ = [
    "CupyBackend",
    "DeviceUnavailable",
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
    "argsort",
    "argwhere",
    "around",
    "array",
    "array_equal",
    "array_equiv",
    "array_split",
    "asarray",
    "asin",
    "asinh",
    "astype",
    "atan",
    "atan2",
    "atanh",
    "atleast_1d",
    "atleast_2d",
    "atleast_3d",
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "bool",
    "bool_",
    "broadcast_to",
    "cbrt",
    "ceil",
    "clip",
    "column_stack",
    "complex64",
    "complex128",
    "complexfloating",
    "concat",
    "concatenate",
    "conj",
    "conjugate",
    "copy",
    "cos",
    "cosh",
    "count_nonzero",
    "cumsum",
    "deg2rad",
    "degrees",
    "diag",
    "diagonal",
    "divide",
    "dot",
    "dsplit",
    "dstack",
    "dtype",
    "e",
    "einsum",
    "empty",
    "empty_like",
    "equal",
    "euler_gamma",
    "exp",
    "exp2",
    "expand_dims",
    "expm1",
    "eye",
    "fabs",
    "finfo",
    "flatnonzero",
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
    "full",
    "full_like",
    "greater",
    "greater_equal",
    "hsplit",
    "hstack",
    "hypot",
    "identity",
    "iinfo",
    "imag",
    "inexact",
    "inf",
    "inner",
    "int8",
    "int16",
    "int32",
    "int64",
    "integer",
    "intp",
    "invert",
    "isclose",
    "iscomplexobj",
    "isfinite",
    "isinf",
    "isnan",
    "isrealobj",
    "isscalar",
    "issubdtype",
    "kron",
    "left_shift",
    "less",
    "less_equal",
    "linspace",
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
    "matmul",
    "matrix_transpose",
    "max",
    "maximum",
    "mean",
    "meshgrid",
    "min",
    "minimum",
    "mod",
    "moveaxis",
    "multiply",
    "nan",
    "ndarray",
    "ndim",
    "negative",
    "newaxis",
    "nonzero",
    "not_equal",
    "number",
    "ones",
    "ones_like",
    "outer",
    "permute_dims",
    "pi",
    "positive",
    "pow",
    "power",
    "prod",
    "promote_types",
    "rad2deg",
    "radians",
    "random",
    "ravel",
    "real",
    "reciprocal",
    "remainder",
    "repeat",
    "reshape",
    "result_type",
    "right_shift",
    "rint",
    "roll",
    "rollaxis",
    "rot90",
    "round",
    "shape",
    "sign",
    "signbit",
    "sin",
    "sinc",
    "sinh",
    "size",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "subtract",
    "sum",
    "swapaxes",
    "tan",
    "tanh",
    "tensordot",
    "tile",
    "trace",
    "transpose",
    "tri",
    "tril",
    "triu",
    "true_divide",
    "trunc",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "unsignedinteger",
    "unstack",
    "var",
    "vdot",
    "vsplit",
    "vstack",
    "where",
    "zeros",
    "zeros_like",
]
