"""What SciPy's linear algebra looks at in its operands: their axes, their dtype, what is finite."""

from __future__ import annotations

from typing import Any

from backpass.core.ops.linalg.matrices import library_of
from backpass.core.ops.shaping import as_operand, astype
from backpass.core.values import plain


def checked(name: str, a: Any, check_finite: bool, axes: int = 2) -> Any:
    """Return an operand of linear algebra: of floats, and finite if that is to be looked at.

    Raises
    ------
    ValueError
        If it has fewer axes than a matrix (or a vector, `axes=1`), or an element is not finite.
    """
    a = as_operand(a)
    if len(a.shape) < axes:
        wanted = "matrices are expected" if axes == 2 else "vectors or matrices are expected"
        raise ValueError(f"{name}: {wanted}, not an array of the shape {tuple(a.shape)}")
    if a.dtype.kind not in "fc":
        a = astype(a, dtype=float)
    elif a.dtype.char == "e":
        a = astype(a, dtype="float32")
    if check_finite:
        value = plain(a)
        if not bool(library_of(value).isfinite(value).all()):
            raise ValueError(
                f"{name}: array must not contain infs or NaNs: check_finite=False leaves them in"
            )
    return a


def checked_square(name: str, a: Any, check_finite: bool) -> Any:
    """Return a stack of square matrices; see `checked`."""
    a = checked(name, a, check_finite)
    if a.shape[-1] != a.shape[-2]:
        raise ValueError(f"{name}: square matrices are expected, the shape is {tuple(a.shape)}")
    return a
