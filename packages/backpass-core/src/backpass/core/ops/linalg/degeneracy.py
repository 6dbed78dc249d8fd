"""Equal eigenvalues and singular values: what of a decomposition then has no derivative."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from backpass.core.arity import primitive
from backpass.core.ops.elementwise import multiply
from backpass.core.ops.linalg.matrices import EPS, column, library_of, row
from backpass.core.ops.reductions import sum_
from backpass.core.rules import defjvp, defvjp
from backpass.core.values import plain


class WhenPicked:
    """The tangents of a primitive's outputs, each computed when it is asked for.

    So the vectors of a degenerate matrix raise an error only where somebody wants them.
    """

    __slots__ = ("_made",)

    def __init__(self, *made: Callable[[], Any]) -> None:
        self._made = made

    def __getitem__(self, i: int) -> Any:
        return self._made[i]()


def tolerance(xp: Any, w: Any, n: int) -> Any:
    """Return how near to each other two of the values `w` are one, as far as rounding tells."""
    return 4 * n * EPS[w.dtype.char] * xp.max(xp.absolute(w), axis=-1, keepdims=True)


@primitive
def reciprocal_gaps(xp: Any, w: Any) -> Any:
    """1 / (w[j] - w[i]) at i, j; 0 where the two are equal, and on the diagonal."""
    gaps = w[..., None, :] - w[..., :, None]
    if not w.size:
        return gaps
    same = xp.absolute(gaps) <= tolerance(xp, w, w.shape[-1])[..., None]
    return xp.where(same, xp.zeros((), gaps.dtype), 1 / (gaps + same))


def _gaps_vjp(g: Any, ans: Any) -> Any:
    weighted = multiply.op(multiply.op(g, ans), ans)
    return sum_.op(weighted, axis=-1) - sum_.op(weighted, axis=-2)


def _gaps_jvp(t: Any, ans: Any) -> Any:
    return multiply.op(multiply.op(column(t) - row(t), ans), ans)


defvjp(reciprocal_gaps, _gaps_vjp)
defjvp(reciprocal_gaps, _gaps_jvp)


def refuse_degenerate(name: str, wanted: Any, gaps: Any) -> None:
    """Raise if something other than 0 is `wanted` between vectors of equal values.

    `wanted` holds, at i, j, what is to be divided by the gap of the values i and j; `gaps` the
    reciprocal gaps, 0 for equal values.

    Raises
    ------
    numpy.linalg.LinAlgError
        If so: the vectors of equal values are any basis of their space.
    """
    values = plain(gaps)
    if not values.size:
        return
    xp = library_of(values)
    n = values.shape[-1]
    if int(xp.count_nonzero(values)) == values.size // n * (n - 1):
        return
    size = xp.absolute(plain(wanted))
    between = xp.where((values == 0) & ~xp.eye(n, dtype=bool), size, xp.zeros((), size.dtype))
    limit = n * EPS[size.dtype.char] * xp.max(size, axis=(-2, -1), keepdims=True)
    if bool((between > limit).any()):
        raise numpy.linalg.LinAlgError(
            f"{name}: the matrix is degenerate: two of its values are equal, their vectors are any "
            "basis of one space, and the result depends on which. Use the values only, or a "
            "function of the matrix itself (det, inv, sqrtm, ...), or break the tie"
        )
