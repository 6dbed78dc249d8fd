"""SciPy's decompositions and norms, by the rules of NumPy's functions.

`overwrite_a` and its like are accepted, and nothing is overwritten; so are the choices among
LAPACK's drivers, which change nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from backpass.core.arity import primitive
from backpass.core.backends import backend_of
from backpass.core.ops.indexing import getitem
from backpass.core.ops.linalg import decompositions, eigen, norms, singular_values
from backpass.core.ops.linalg.eigen import is_tracked
from backpass.core.ops.linalg.matrices import (
    adjoint,
    hermitian,
    library_of,
    native,
)
from backpass.core.ops.linalg.scipy_operands import checked, checked_square
from backpass.core.ops.linalg.triangular import solve_stacks
from backpass.core.ops.linear import matmul
from backpass.core.ops.padding import pad_constant
from backpass.core.rules import nondifferentiable
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors, plain

# ----- cholesky ---------------------------------------------------------------------------------


def cholesky(
    a: Any, lower: bool = False, overwrite_a: bool = False, check_finite: bool = True
) -> Tensor:
    """Upper triangular u with u^H u = a, of each matrix; `lower`: l with l l^H = a.

    The triangle of that name is read, and gets the whole gradient; see `numpy.linalg.cholesky`.

    Raises
    ------
    numpy.linalg.LinAlgError
        If a matrix is not positive definite.
    ValueError
        If a matrix is not square, or not finite.
    """
    return decompositions.cholesky(checked_square("cholesky", a, check_finite), upper=not lower)


# ----- qr ---------------------------------------------------------------------------------------


@primitive(name="qr_order")
def qr_order_(xp: Any, a: Any) -> Any:
    """Return in which order pivoting takes the columns of each matrix."""
    found = backend_of((a,)).function("qr", "scipy.linalg")
    stack = native(a).reshape(-1, *a.shape[-2:])
    orders = [found(m, mode="r", pivoting=True, check_finite=False)[-1] for m in stack]
    return xp.stack(orders).reshape(*a.shape[:-2], a.shape[-1])


@primitive(name="qr_packed", outputs=2)
def qr_packed_(xp: Any, a: Any, *, pivoting: bool) -> Any:
    """Return what LAPACK leaves of a matrix, where no gradient is wanted."""
    found = backend_of((a,)).function("qr", "scipy.linalg")
    (packed, tau), *others = found(native(a), mode="raw", pivoting=pivoting, check_finite=False)
    return packed, tau, *others


nondifferentiable(qr_order_, qr_packed_)


def _raw_qr(a: Any, pivoting: bool) -> Any:
    if is_tracked(a):
        raise NotImplementedError(
            "qr has no derivative in the mode 'raw': use mode='economic', or pass stop_gradient(a)"
        )
    if len(a.shape) > 2:
        raise ValueError("qr: mode='raw' takes one matrix at a time")
    packed, tau, *others = qr_packed_(a, pivoting=pivoting)
    return (packed, tau), *others


def qr(
    a: Any,
    overwrite_a: bool = False,
    lwork: Any = None,
    mode: str = "full",
    pivoting: bool = False,
    check_finite: bool = True,
) -> Any:
    """Orthonormal and triangular factor; with `pivoting` also the order of the columns.

    The derivative needs linearly independent columns, see `numpy.linalg.qr`; the order has none.  A
    tracked matrix higher than wide has no derivative in the mode "full", whose last columns are any
    basis of the rest of the space, and none at all has one in the mode "raw".  `lwork` changes
    nothing.

    Raises
    ------
    NotImplementedError
        If the derivative is asked for in such a mode.
    ValueError
        If the mode is unknown, or an element is not finite.
    """
    if mode not in ("full", "qr", "r", "economic", "raw"):
        raise ValueError(f"qr: mode={mode!r} should be one of ['full', 'r', 'economic', 'raw']")
    a = checked("qr", a, check_finite)
    m, n = a.shape[-2:]
    if mode == "raw":
        return _raw_qr(a, bool(pivoting))
    order: tuple[Any, ...] = ()
    if pivoting:
        order = (qr_order_.op(plain(a)),)
        a = getitem(a, index=_columns(order[0], a.shape))
    if mode == "r":
        found = decompositions.qr(a, "r")
        return (_padded_rows(found, m - found.shape[-2]), *map(Tensor, order))
    if mode != "economic" and m > n and is_tracked(a):
        raise NotImplementedError(
            f"qr has no derivative in the mode {mode!r} for a matrix that is higher than wide: use "
            "mode='economic' (or mode='r' for the triangular factor), or pass stop_gradient(a)"
        )
    q, r = decompositions.qr(a, "reduced" if mode == "economic" else "complete")
    return (q, r, *map(Tensor, order))


def _padded_rows(r: Any, count: int) -> Any:
    """Put rows of zeros below."""
    if not count:
        return r
    return pad_constant(r, widths=((0, 0),) * (len(r.shape) - 2) + ((0, count), (0, 0)))


def _columns(order: Any, shape: Sequence[int]) -> Any:
    """Return an index that takes the columns of each matrix in its order."""
    xp = library_of(order)
    if len(shape) == 2:
        return (slice(None), order)
    places = [
        xp.arange(n).reshape(-1, *(1,) * (len(shape) - 1 - i)) for i, n in enumerate(shape[:-1])
    ]
    return (*places, order[..., None, :])


# ----- singular values --------------------------------------------------------------------------

_DRIVERS = ("gesdd", "gesvd")


def svd(
    a: Any,
    full_matrices: bool = True,
    compute_uv: bool = True,
    overwrite_a: bool = False,
    check_finite: bool = True,
    lapack_driver: str = "gesdd",
) -> Any:
    """Singular vectors and values; see `numpy.linalg.svd` for what has a derivative, and which.

    Raises
    ------
    numpy.linalg.LinAlgError
        If the derivative of vectors with equal singular values is asked for.
    ValueError
        If there is no matrix, an element is not finite, or the driver is unknown.
    """
    if lapack_driver not in _DRIVERS:
        raise ValueError(f"svd: lapack_driver must be 'gesdd' or 'gesvd', not {lapack_driver!r}")
    a = checked("svd", a, check_finite)
    found = singular_values.svd(a, bool(full_matrices), bool(compute_uv))
    return tuple(found) if compute_uv else found


def svdvals(a: Any, overwrite_a: bool = False, check_finite: bool = True) -> Tensor:
    """Singular values, descending; u diag(g) vh flows back, and 0 from a singular value 0.

    Raises
    ------
    ValueError
        If there is no matrix, or an element is not finite.
    """
    return singular_values.svdvals(checked("svdvals", a, check_finite))


# ----- eigenvalues of Hermitian matrices --------------------------------------------------------
#
# a v = w b v, with b = l l^H: the eigenvalues of inv(l) a inv(l)^H, and v = inv(l)^H times its
# vectors.  So LAPACK does it, too.


def eigh(
    a: Any,
    b: Any = None,
    *,
    lower: bool = True,
    eigvals_only: bool = False,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    type: int = 1,
    check_finite: bool = True,
    subset_by_index: Any = None,
    subset_by_value: Any = None,
    driver: str | None = None,
) -> Any:
    """Eigenvalues and eigenvectors of Hermitian matrices, also of a v = w b v; see NumPy's `eigh`.

    The triangle that is read (of b, too) gets the gradient: the lower one, or the upper one with
    `lower=False`.  `type` is 1 for a v = w b v, 2 for a b v = w v, 3 for b a v = w v.  A subset is
    cut out of the whole decomposition; the driver changes nothing.

    Raises
    ------
    numpy.linalg.LinAlgError
        If b is not positive definite, or the derivative of the vectors of equal eigenvalues is
        asked for.
    ValueError
        If the shapes do not agree, an element is not finite, or the subset or `type` is none.
    """
    a = checked_square("eigh", a, check_finite)
    triangle = "L" if lower else "U"
    if driver not in (None, "ev", "evd", "evr", "evx", "gv", "gvd", "gvx"):
        raise ValueError(f"eigh: driver={driver!r} is unknown")
    factor = None
    if b is not None:
        b = checked_square("eigh", b, check_finite)
        if b.shape[-1] != a.shape[-1]:
            raise ValueError(
                f"eigh: wrong b dimensions {tuple(b.shape)}, should be {tuple(a.shape)}"
            )
        if type not in (1, 2, 3):
            raise ValueError(f"eigh: type={type!r}: use 1, 2 or 3")
        factor = decompositions.cholesky(b, upper=not lower)
        factor = factor if lower else adjoint(factor)
        a = _reduced(hermitian(a, triangle), factor, type)
        triangle = "L"
    if eigvals_only:
        w, v = eigen.eigvalsh(a, triangle), None
    else:
        w, v = eigen.eigh(a, triangle)
        if factor is not None:
            v = matmul(factor, v) if type == 3 else _solved(factor, v, "C")
    chosen = _subset(w, subset_by_index, subset_by_value)
    if chosen is not None:
        w = getitem(w, index=(..., chosen))
        v = None if v is None else getitem(v, index=(..., chosen))
    return w if v is None else (w, as_tensors(v))


def _solved(factor: Any, x: Any, trans: str) -> Any:
    return solve_stacks(factor, x, trans=trans, lower=True)


def _reduced(a: Any, factor: Any, type: int) -> Any:
    """Return the matrix whose eigenvalues those of a generalised problem are."""
    if type == 1:
        return adjoint(_solved(factor, adjoint(_solved(factor, a, "N")), "N"))
    return matmul(matmul(adjoint(factor), a), factor)


def _subset(w: Any, by_index: Any, by_value: Any) -> slice | None:
    """Return which of the ascending eigenvalues are asked for; `None` for all."""
    if by_index is not None and by_value is not None:
        raise ValueError("eigh: either index or value subset can be requested")
    n = w.shape[-1]
    if by_index is not None:
        low, high = (int(plain(x)) for x in by_index)
        if not 0 <= low <= high < n:
            raise ValueError(
                f"eigh: subset_by_index=({low}, {high}) is not valid: "
                f"0 <= start <= end <= {n - 1} must hold"
            )
        return slice(low, high + 1)
    if by_value is None:
        return None
    lowest, highest = (float(plain(x)) for x in by_value)
    if not -math.inf <= lowest < highest <= math.inf:
        raise ValueError(f"eigh: subset_by_value=({lowest}, {highest}): low < high must hold")
    if len(w.shape) > 1:
        raise ValueError(
            "eigh: subset_by_value of a stack may choose as many of each matrix, or not: "
            "use subset_by_index"
        )
    values = plain(w)
    return slice(int((values <= lowest).sum()), int((values <= highest).sum()))


def eigvalsh(
    a: Any,
    b: Any = None,
    *,
    lower: bool = True,
    overwrite_a: bool = False,
    overwrite_b: bool = False,
    type: int = 1,
    check_finite: bool = True,
    subset_by_index: Any = None,
    subset_by_value: Any = None,
    driver: str | None = None,
) -> Tensor:
    """Eigenvalues of Hermitian matrices; v diag(g) v^H flows back to the triangle that is read.

    Raises
    ------
    numpy.linalg.LinAlgError
        If b is not positive definite.
    ValueError
        If the shapes do not agree, an element is not finite, or the subset or `type` is none.
    """
    return eigh(  # type: ignore[no-any-return]
        a,
        b,
        lower=lower,
        eigvals_only=True,
        type=type,
        check_finite=check_finite,
        subset_by_index=subset_by_index,
        subset_by_value=subset_by_value,
        driver=driver,
    )


# ----- norms ------------------------------------------------------------------------------------


def norm(
    a: Any, ord: Any = None, axis: Any = None, keepdims: bool = False, check_finite: bool = True
) -> Tensor:
    """Norm of vectors or matrices; see `numpy.linalg.norm`: 0 at 0, and equal elements share.

    Raises
    ------
    ValueError
        If an element is not finite, or there is no norm of that order.
    """
    return norms.norm(checked("norm", a, check_finite, axes=0), ord, axis, keepdims)
