"""SciPy's solvers for triangular and banded systems."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from backpass.core.arity import primitive
from backpass.core.backends import Backend, backend_of
from backpass.core.batches import batched, in_columns
from backpass.core.ops.elementwise import multiply
from backpass.core.ops.indexing import getitem
from backpass.core.ops.linalg.matrices import (
    column,
    conjugate,
    library_of,
    lower,
    mask,
    row,
    transpose,
    upper,
)
from backpass.core.ops.linalg.solving import solve
from backpass.core.ops.linear import matmul
from backpass.core.ops.reductions import sum_
from backpass.core.ops.shaping import as_operand
from backpass.core.rules import defjvp, defvjp
from backpass.core.tensor import Tensor


def _scipy(name: str, *xs: Any) -> Any:
    """Return SciPy's function, or its like for the operands' device."""
    return _found(backend_of(xs), name)


@functools.lru_cache(16)
def _found(backend: Backend, name: str) -> Any:
    return backend.function(name, "scipy.linalg")


def _product(a: Any, x: Any) -> Any:
    """Return a @ x.T, for vectors their outer product."""
    if len(x.shape) == 1:
        return multiply.op(column(a), row(x))
    return matmul.op(a, transpose(x))


# ----- triangular systems -----------------------------------------------------------------------


def _solve_triangular(
    xp: Any, a: Any, b: Any, *, trans: int, lower: bool, unit_diagonal: bool, check_finite: bool
) -> Any:
    """Solve a x = b, or a.T x = b, reading one triangle of a."""
    return _scipy("solve_triangular", a, b)(
        a, b, trans=trans, lower=lower, unit_diagonal=unit_diagonal, check_finite=check_finite
    )


solve_triangular_ = primitive(_solve_triangular, name="solve_triangular")


def _part(x: Any, below: bool, unit: bool) -> Any:
    """Return what is read of a triangular matrix."""
    on = 0.0 if unit else 1.0
    return lower(x, on) if below else upper(x, on)


def _triangular_vjp(
    g: Any, ans: Any, a: Any, b: Any, *, needs: Sequence[bool], **options: Any
) -> list[Any]:
    trans = options["trans"]
    # What is finite has been looked at on the way forward.
    y = solve_triangular_.op(a, g, **{**options, "trans": 1 - trans, "check_finite": False})
    to_a = None
    if needs[0]:
        whole = _product(ans, y) if trans else _product(y, ans)
        to_a = -_part(whole, options["lower"], options["unit_diagonal"])
    return [to_a, y]


def _triangular_jvp(ts: Sequence[Any], ans: Any, a: Any, b: Any, **options: Any) -> Any:
    ta, moved = ts
    if ta is not None:
        part = _part(ta, options["lower"], options["unit_diagonal"])
        change = matmul.op(transpose(part) if options["trans"] else part, ans)
        moved = -change if moved is None else moved - change
    return solve_triangular_.op(a, moved, **options)


defvjp(solve_triangular_, joint=_triangular_vjp)
defjvp(solve_triangular_, joint=_triangular_jvp)
batched(in_columns, solve_triangular_)

_TRANS = {0: 0, 1: 1, 2: 2, "N": 0, "T": 1, "C": 2}


def solve_triangular(
    a: Any,
    b: Any,
    trans: Any = 0,
    lower: bool = False,
    unit_diagonal: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Tensor:
    """Solve a x = b, a reading its upper or `lower` triangle; y = solve(a.T, g), -y @ x.T to a.

    The triangle that is read gets the gradient, less the diagonal if that is taken for ones.
    `overwrite_b` is accepted, and nothing is overwritten.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the matrix is singular.
    ValueError
        If the shapes do not agree, or `trans` is unknown.
    """
    if trans not in _TRANS:
        raise ValueError(
            f"solve_triangular: trans={trans!r} must be one of {sorted(map(str, _TRANS))}"
        )
    a, b = as_operand(a), as_operand(b)
    way = _TRANS[trans]
    return solve_triangular_(  # type: ignore[no-any-return]
        conjugate(a) if way == 2 else a,
        b,
        trans=min(way, 1),
        lower=bool(lower),
        unit_diagonal=bool(unit_diagonal),
        check_finite=bool(check_finite),
    )


def solve_stacks(a: Any, b: Any, *, trans: str, lower: bool, unit: bool = False) -> Any:
    """Solve a x = b, or a.T x = b, reading one triangle of each matrix of a stack.

    One vector b of shape (M,), or stacks of right-hand sides of shape (..., M, K).  Unlike SciPy's
    own function, stacks are solved at once.
    """
    if len(a.shape) == 2 and len(b.shape) <= 2:
        options = {"lower": lower, "unit_diagonal": unit, "check_finite": False}
        conjugated = conjugate(a) if trans == "C" else a
        return solve_triangular_.op(conjugated, b, trans=int(trans != "N"), **options)
    part = _part(a, lower, unit)
    if unit:
        part = part + mask(a, 0.0, 1.0, 0.0)
    if trans != "N":
        part = transpose(conjugate(part) if trans == "C" else part)
    return solve.op(part, b)


# ----- banded systems ---------------------------------------------------------------------------
#
# Row r, column j of the band holds the element (r - upper + j, j) of the matrix.


def _solve_banded(xp: Any, ab: Any, b: Any, *, band: tuple[int, int], check_finite: bool) -> Any:
    """Solve a x = b for a banded matrix a, given by its diagonals."""
    return _scipy("solve_banded", ab, b)(band, ab, b, check_finite=check_finite)


solve_banded_ = primitive(_solve_banded, name="solve_banded")


def _places(x: Any, band: tuple[int, int], n: int) -> tuple[Any, Any]:
    """Return which row of the matrix each place of the band is in, and where there is one."""
    xp = library_of(x)
    rows = xp.arange(-band[1], band[0] + 1)[:, None] + xp.arange(n)
    inside = (rows >= 0) & (rows < n)
    return xp.where(inside, rows, 0), inside


def _transposed_band(ab: Any, band: tuple[int, int]) -> Any:
    """Return the diagonals of the transposed matrix."""
    below, above = band
    n = ab.shape[-1]
    rows, inside = _places(ab, (above, below), n)
    xp = library_of(ab)
    diagonals = xp.arange(below + above, -1, -1)[:, None]
    # Where the place is outside, the index is a stand-in, and the element it names is dropped.
    return multiply.op(getitem.op(ab, index=(diagonals, rows)), inside.astype(ab.dtype))


def _on_band(y: Any, x: Any, band: tuple[int, int]) -> Any:
    """Return the diagonals of y @ x.T."""
    rows, inside = _places(x, band, x.shape[0])
    products = multiply.op(getitem.op(y, index=rows), x)
    if len(x.shape) > 1:
        products = sum_.op(products, axis=-1)
    return multiply.op(products, inside.astype(products.dtype))


def _band_product(ab: Any, x: Any, band: tuple[int, int]) -> Any:
    """Return a @ x, for the matrix with these diagonals."""
    n = ab.shape[-1]
    rows, inside = _places(ab, (band[1], band[0]), n)
    xp = library_of(ab)
    diagonals = xp.arange(band[0] + band[1], -1, -1)[:, None]
    elements = multiply.op(getitem.op(ab, index=(diagonals, rows)), inside.astype(ab.dtype))
    others = getitem.op(x, index=rows)
    return sum_.op(multiply.op(column(elements) if len(x.shape) > 1 else elements, others), axis=0)


def _banded_vjp(
    g: Any, ans: Any, ab: Any, b: Any, *, band: Any, check_finite: bool, needs: Sequence[bool]
) -> list[Any]:
    below, above = band
    y = solve_banded_.op(_transposed_band(ab, band), g, band=(above, below), check_finite=False)
    return [-_on_band(y, ans, band) if needs[0] else None, y]


def _banded_jvp(
    ts: Sequence[Any], ans: Any, ab: Any, b: Any, *, band: Any, check_finite: bool
) -> Any:
    tab, moved = ts
    if tab is not None:
        change = _band_product(tab, ans, band)
        moved = -change if moved is None else moved - change
    return solve_banded_.op(ab, moved, band=band, check_finite=check_finite)


defvjp(solve_banded_, joint=_banded_vjp)
defjvp(solve_banded_, joint=_banded_jvp)
batched(in_columns, solve_banded_)


def solve_banded(
    l_and_u: tuple[int, int],
    ab: Any,
    b: Any,
    overwrite_ab: bool = False,
    overwrite_b: bool = False,
    check_finite: bool = True,
) -> Tensor:
    """Solve a x = b for a banded matrix; y = solve(a.T, g), and the diagonals of -y @ x.T to ab.

    Places of `ab` that lie outside the matrix get 0.  `overwrite_ab` and `overwrite_b` are
    accepted, and nothing is overwritten.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the matrix is singular.
    ValueError
        If the shapes do not agree.
    """
    band = (int(l_and_u[0]), int(l_and_u[1]))
    return solve_banded_(as_operand(ab), as_operand(b), band=band, check_finite=bool(check_finite))  # type: ignore[no-any-return]
