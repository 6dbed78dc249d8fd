"""What the rules of linear algebra share: transposes, triangles, quotients that are 0 at 0."""

from __future__ import annotations

import functools
from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.backends import backend_of, made_beside
from backpass.core.batches import aligned, batched
from backpass.core.ops.elementwise import conj, is_complex, multiply, zero_product
from backpass.core.ops.reductions import sum_
from backpass.core.ops.shaping import reshape
from backpass.core.rules import defjvp, defvjp, linear
from backpass.core.values import located

# ----- transposes -------------------------------------------------------------------------------


@primitive(name="matrix_transpose")
def matrix_transpose_(xp: Any, x: Any) -> Any:
    """Exchange the last two axes."""
    return x.swapaxes(-1, -2)


linear(matrix_transpose_, lambda g: matrix_transpose_.op(g))
batched(aligned, matrix_transpose_)
#: The transpose of each matrix, for rules.
transpose = matrix_transpose_.op


def conjugate(x: Any) -> Any:
    """Return the complex conjugate; what is real as it is."""
    return conj.op(x) if is_complex(x) else x


def adjoint(x: Any) -> Any:
    """Return the conjugate transpose of each matrix."""
    return transpose(conjugate(x))


def native(a: Any) -> Any:
    """Return an array in this machine's order of bytes: SciPy gets others wrong."""
    return a if a.dtype.isnative else a.astype(a.dtype.newbyteorder("="))


# ----- shapes -----------------------------------------------------------------------------------


def column(x: Any) -> Any:
    """Return vectors as matrices of one column; they scale the rows of a matrix."""
    return reshape.op(x, shape=(*x.shape, 1))


def row(x: Any) -> Any:
    """Return vectors as matrices of one row; they scale the columns of a matrix."""
    return reshape.op(x, shape=(*x.shape[:-1], 1, x.shape[-1]))


def spread(x: Any) -> Any:
    """Give a number for each matrix of a stack two more axes; one number stays as it is."""
    shape = x.shape
    return reshape.op(x, shape=(*shape, 1, 1)) if shape else x


# ----- triangles and diagonals ------------------------------------------------------------------

_REAL = {"F": "f", "D": "d"}
#: The distance from 1 to the next number, by the dtype's character.
EPS = {c: float(numpy.finfo(c).eps) for c in "fdFDgG"}
#: Larger masks are made anew: keeping them would cost memory.
_KEPT = 256


def library_of(x: Any) -> Any:
    """Return the array library of an operand, a Tensor or an array."""
    return backend_of((located(x),)).library


def real_dtype(x: Any) -> Any:
    """Return the dtype of the real part of `x`."""
    return numpy.dtype(_REAL.get(x.dtype.char, x.dtype.char))


def _make_mask(
    xp: Any, place: Any, n: int, below: float, on: float, above: float, dtype: Any
) -> Any:
    made = xp.where(xp.tri(n, n, -1, dtype=bool), dtype.type(below), dtype.type(above))
    places = xp.arange(n)
    made[places, places] = on
    return made


_kept_mask = functools.lru_cache(32)(_make_mask)


def mask(x: Any, below: float, on: float, above: float) -> Any:
    """Return a square matrix for `x`: three numbers below, on and above the diagonal."""
    n, value = x.shape[-1], located(x)
    # A captured graph reads it after it may have been forgotten here.
    kept = n <= _KEPT and not backend_of((value,)).capturing()
    place = getattr(getattr(value, "device", None), "id", None)
    make = _kept_mask if kept else _make_mask
    numbers = (n, below, on, above, real_dtype(x))
    return made_beside((value,), lambda xp: make(xp, place, *numbers))


def lower(x: Any, on: float = 1.0) -> Any:
    """Return the lower triangle of each square matrix, its diagonal times `on`."""
    return multiply.op(x, mask(x, 1.0, on, 0.0))


def upper(x: Any, on: float = 1.0) -> Any:
    """Return the upper triangle of each square matrix, its diagonal times `on`."""
    return multiply.op(x, mask(x, 0.0, on, 1.0))


def diagonal_of(x: Any) -> Any:
    """Return the diagonal of each square matrix."""
    return sum_.op(multiply.op(x, mask(x, 0.0, 1.0, 0.0)), axis=-1)


def hermitian(x: Any, triangle: str) -> Any:
    """Return the Hermitian matrix that one triangle (`"L"` or `"U"`) of `x` describes."""
    half = lower(x, 0.5) if triangle == "L" else upper(x, 0.5)
    return half + adjoint(half)


def to_triangle(x: Any, triangle: str) -> Any:
    """Carry the cotangent of a Hermitian matrix to the triangle that was read: `hermitian` back."""
    whole = x + adjoint(x)
    return lower(whole, 0.5) if triangle == "L" else upper(whole, 0.5)


# ----- quotients that are 0 where the divisor is ------------------------------------------------


@primitive
def over(xp: Any, x: Any, y: Any) -> Any:
    """Quotient x / y, and 0 where y is 0."""
    if isinstance(y, numpy.generic):
        return x / y if y != 0 else x * y.dtype.type(0)
    zero = xp.equal(y, 0)
    ans = x / xp.where(zero, xp.ones((), y.dtype), y)
    return xp.where(zero, xp.zeros((), ans.dtype), ans)[()]


def _over_x(g: Any, y: Any) -> Any:
    return zero_product.op(g, over.op(1.0, y))


def _over_y(g: Any, ans: Any, y: Any) -> Any:
    return -zero_product.op(g, over.op(ans, y))


# Both zeros are strong: a derivative 0 also beside an infinite cotangent.
defvjp(over, _over_x, _over_y)
batched(aligned, over)
defjvp(over, lambda t, y: _over_x(t, y), lambda t, ans, y: _over_y(t, ans, y))
