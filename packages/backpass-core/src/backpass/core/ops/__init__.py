"""The primitives and their rules, one family a file; the functions that have NumPy's signatures.

`FUNCTIONS` lists what `backpass.numpy` and `backpass.cupy` export over every device.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any

import numpy

import backpass.core.ops.batching  # noqa: F401 - tells the primitives how they are batched
from backpass.core import extension, tensor
from backpass.core.backends import backend_of
from backpass.core.operators import operators
from backpass.core.ops import (
    applying,
    assembling,
    cleaning,
    composites,
    convolution,
    creation,
    cumulative,
    differences,
    editing,
    elementwise,
    floating,
    interpolation,
    linear,
    methods,
    nan_reductions,
    padding,
    picking,
    plain_numpy,
    polynomials,
    quantiles,
    questions,
    reductions,
    rounding,
    sets,
    shaping,
    sorting,
    statistics,
    vandermonde,
    writing,
)
from backpass.core.values import plain

_ELEMENTWISE = """
absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_count
bitwise_or bitwise_xor cbrt ceil conj copysign cos cosh deg2rad divide equal exp exp2 expm1 fabs
float_power floor floor_divide fmax fmin fmod gcd greater greater_equal heaviside hypot invert
iscomplex isfinite isinf isnan isneginf isposinf isreal lcm left_shift less less_equal log log10
log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor maximum minimum
multiply negative not_equal positive power rad2deg reciprocal remainder right_shift rint sign
signbit sin sinc sinh sqrt square subtract tan tanh trunc
""".split()
_ALIASES = {
    "abs": "absolute",
    "acos": "arccos",
    "acosh": "arccosh",
    "asin": "arcsin",
    "asinh": "arcsinh",
    "atan": "arctan",
    "atan2": "arctan2",
    "atanh": "arctanh",
    "bitwise_invert": "invert",
    "bitwise_left_shift": "left_shift",
    "bitwise_not": "invert",
    "bitwise_right_shift": "right_shift",
    "conjugate": "conj",
    "degrees": "rad2deg",
    "fix": "trunc",
    "mod": "remainder",
    "pow": "power",
    "radians": "deg2rad",
    "true_divide": "divide",
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    name: getattr(elementwise, name) for name in _ELEMENTWISE
}

FUNCTIONS |= {alias: FUNCTIONS[name] for alias, name in _ALIASES.items()}
FUNCTIONS |= {"round": rounding.round, "around": rounding.around, "matmul": linear.matmul}
FUNCTIONS |= {
    name: getattr(reductions, name)
    for name in "all amax amin any argmax argmin argsort count_nonzero cumsum max mean min prod "
    "std sum var".split()
}
FUNCTIONS |= {
    name: getattr(shaping, name)
    for name in "append array_split atleast_1d atleast_2d atleast_3d broadcast_arrays "
    "column_stack concatenate copy diag diagflat diagonal dsplit dstack expand_dims fliplr flipud "
    "hsplit hstack matrix_transpose moveaxis permute_dims ravel repeat rollaxis rot90 split "
    "squeeze stack swapaxes tile trace transpose tril triu unstack vsplit vstack".split()
}
FUNCTIONS |= {
    "astype": shaping.astype_,
    "row_stack": shaping.vstack,
    "broadcast_to": shaping.broadcast_to_,
    "concat": shaping.concatenate,
    "flip": shaping.flip_,
    "reshape": shaping.reshape_,
    "roll": shaping.roll_,
}
FUNCTIONS |= {
    name: getattr(linear, name)
    for name in "cross dot einsum inner kron matvec outer tensordot vdot vecdot vecmat".split()
}
FUNCTIONS |= {
    "angle": composites.angle_,
    "i0": composites.i0,
    "clip": composites.clip,
    "divmod": composites.divmod,
    "imag": composites.imag_,
    "real": composites.real_,
    "where": composites.where_,
}
FUNCTIONS |= {
    name: getattr(questions, name)
    for name in "allclose argwhere array_equal array_equiv can_cast common_type diag_indices_from "
    "flatnonzero iscomplexobj isclose isfortran isrealobj isscalar ix_ lexsort may_share_memory "
    "min_scalar_type nanargmax nanargmin ndim nonzero packbits ravel_multi_index result_type shape "
    "shares_memory size tril_indices_from triu_indices_from unpackbits unravel_index".split()
}
FUNCTIONS |= {
    name: getattr(family, name)
    for family, names in (
        (sorting, "argpartition partition searchsorted sort sort_complex"),
        (differences, "diff ediff1d gradient trapezoid unwrap"),
        (padding, "pad"),
        (cleaning, "nan_to_num real_if_close"),
        (floating, "frexp ldexp modf nextafter"),
        (convolution, "convolve correlate"),
        (polynomials, "polyfit polyval"),
        (assembling, "block select"),
        (cumulative, "cumprod cumulative_prod cumulative_sum"),
        (nan_reductions, "nancumprod nancumsum nanmax nanmean nanmin nanprod nanstd nansum nanvar"),
        (quantiles, "median nanmedian nanpercentile nanquantile percentile quantile"),
        (statistics, "average corrcoef cov ptp"),
        (picking, "choose compress extract take take_along_axis"),
        (writing, "copyto fill_diagonal place put put_along_axis putmask"),
        (editing, "delete insert resize trim_zeros"),
        (applying, "apply_along_axis apply_over_axes piecewise"),
        (interpolation, "interp"),
        (vandermonde, "vander"),
        (sets, "bincount digitize intersect1d isin setdiff1d setxor1d union1d unique unique_all"),
        (sets, "unique_counts unique_inverse unique_values"),
    )
    for name in names.split()
}

# ----- what a Tensor does by itself -------------------------------------------------------------


operators.methods |= {
    name: FUNCTIONS[name]
    for name in "all any argmax argmin argpartition argsort choose clip conj conjugate cumprod "
    "cumsum diagonal dot imag max mean min nonzero prod put ravel real repeat round searchsorted "
    "squeeze std sum swapaxes take trace var".split()
}
operators.methods |= methods.METHODS
# From NumPy's own table: asking it for a name that is deprecated would warn.
_NUMPY = vars(numpy)
operators.functions = {
    _NUMPY[name]: function
    for name, function in FUNCTIONS.items()
    if name in _NUMPY and not isinstance(_NUMPY[name], numpy.ufunc)
}


def _like(name: str) -> Callable[..., Any]:
    """Return `zeros_like` or a relative, which makes its array where its first argument lies."""

    def make(a: Any, *args: Any, **kwargs: Any) -> Any:
        library = backend_of((plain(a),)).library
        return getattr(creation.Creation(library), name)(a, *args, **kwargs)

    return make


operators.functions |= {
    getattr(numpy, name): _like(name)
    for name in ("empty_like", "full_like", "ones_like", "zeros_like")
}
operators.ufuncs = {
    getattr(numpy, name): function
    for name, function in FUNCTIONS.items()
    if isinstance(_NUMPY.get(name), numpy.ufunc)
}


def _ufunc(ufunc: numpy.ufunc) -> Callable[..., Any] | None:
    """Return what stands for a ufunc: for NumPy's at once, SciPy's are looked up by their name."""
    found = operators.ufuncs.get(ufunc)
    if found is None:
        # Whoever has one of SciPy's ufuncs has imported their module.
        special = sys.modules.get("scipy.special")
        if special is not None and getattr(special, ufunc.__name__, None) is ufunc:
            family = importlib.import_module("backpass.scipy.special")
            found = getattr(family, ufunc.__name__, None)
            if found is not None:
                operators.ufuncs[ufunc] = found
    return found


#: Families that are imported when one of their functions is first met, by NumPy's module.
_LATER = {"numpy.linalg": "backpass.numpy.linalg", "numpy.fft": "backpass.numpy.fft"}


def _function(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """Return what stands for a NumPy function that is called on a Tensor."""
    found = operators.functions.get(function)
    if found is None and function.__module__ in _LATER:
        family = importlib.import_module(_LATER[function.__module__])
        return getattr(family, function.__name__, None)
    return found


operators.find_ufunc = _ufunc
operators.find_function = _function


def _shorten_operators() -> None:
    """Let Python's operators on a Tensor call the compiled ways at once."""
    for sign, name in tensor.ARITHMETIC.items():
        op = getattr(operators, name)
        if isinstance(op, extension.engine.Op):  # type: ignore[union-attr]
            setattr(tensor.Tensor, f"__{sign}__", op)
            if hasattr(tensor.Tensor, f"__r{sign}__"):
                setattr(tensor.Tensor, f"__r{sign}__", op.swapped())


if extension.engine is not None:
    _shorten_operators()

operators.apply_ufunc = plain_numpy.apply_ufunc
operators.apply_function = plain_numpy.apply_function
operators.explain_loss = plain_numpy.explain_loss

__all__ = ["FUNCTIONS", "creation"]
