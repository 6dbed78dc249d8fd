"""Functions that put numbers in the place of nan and infinity, or drop imaginary parts."""

from __future__ import annotations

from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.backends import backend_of
from backpass.core.ops.elementwise import (
    imag,
    is_complex,
    isfinite,
    isnan,
    isneginf,
    isposinf,
    real,
    where,
)
from backpass.core.ops.shaping import as_operand
from backpass.core.rules import defjvp, defvjp
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors, plain


@primitive(name="nan_to_num")
def nan_to_num_(xp: Any, x: Any, *, nan: Any = 0.0, posinf: Any = None, neginf: Any = None) -> Any:
    """Put numbers in the place of nan and of the infinities."""
    return xp.nan_to_num(x, nan=nan, posinf=posinf, neginf=neginf)


def _finite(g: Any, x: Any) -> Any:
    """Return g where x is finite; real and imaginary part for themselves."""
    if not is_complex(x):
        return where.op(isfinite.op(x), g, 0.0)
    re = where.op(isfinite.op(real.op(x)), real.op(g), 0.0)
    return re + 1j * where.op(isfinite.op(imag.op(x)), imag.op(g), 0.0)


defvjp(nan_to_num_, lambda g, x: _finite(g, x))
defjvp(nan_to_num_, lambda t, x: _finite(t, x))


def nan_to_num(
    x: Any, copy: bool = True, nan: Any = 0.0, posinf: Any = None, neginf: Any = None
) -> Tensor:
    """Put numbers in the place of nan and of the infinities; g flows where x is finite.

    The numbers may be tracked; `copy=False` is refused.
    """
    if not copy:
        raise TypeError(
            "nan_to_num: copy=False would write into x: use x[...] = nan_to_num(x) instead"
        )
    numbers = {"nan": nan, "posinf": posinf, "neginf": neginf}
    given = {k: plain(v) for k, v in numbers.items() if v is not None}
    made = (
        nan_to_num_(x, **given)
        if len(given) > 1 or type(nan) is not float or nan
        else nan_to_num_(x)
    )
    for name, places in (("nan", isnan), ("posinf", isposinf), ("neginf", isneginf)):
        value = numbers[name]
        if isinstance(value, Tensor) and value.tracked:
            made = where(places.op(plain(x)), value, made)
    return made  # type: ignore[no-any-return]


def real_if_close(a: Any, tol: float = 100) -> Tensor:
    """Return the real part if all imaginary parts are small, a itself otherwise.

    `tol` counts in the dtype's machine epsilons if it is larger than 1.
    """
    a = as_operand(a)
    value = plain(a)
    if value.dtype.kind == "c":
        limit = tol * numpy.finfo(value.dtype).eps if tol > 1 else tol
        if bool((backend_of((value,)).library.absolute(value.imag) < limit).all()):
            return real(a)  # type: ignore[no-any-return]
    return as_tensors(a)  # type: ignore[no-any-return]
