"""How exactly matrix products of single precision are computed on the GPU."""

from __future__ import annotations

from typing import Literal

Precision = Literal["highest", "tf32"]

#: The choice of the whole process.
current: Precision = "highest"


def set_matmul_precision(precision: Precision) -> None:
    """Choose how matrix products of float32 and complex64 multiply, in the whole process.

    Products of other dtypes do not depend on it.  Those of float16 and bfloat16 are always added up
    in float32.  What has been captured in a CUDA graph keeps the precision it was captured with.

    Parameters
    ----------
    precision
        `"highest"`, as at first: factors keep their 24 bits.  `"tf32"`: they are rounded to 11 bits
        for the GPU's tensor cores, which are faster; sums keep 24 bits.

    Raises
    ------
    ValueError
        If `precision` is neither.

    Examples
    --------
    >>> set_matmul_precision("tf32")
    >>> get_matmul_precision()
    'tf32'
    >>> set_matmul_precision("highest")
    """
    global current
    if precision not in ("highest", "tf32"):
        raise ValueError(
            f"set_matmul_precision: precision must be 'highest' or 'tf32', not {precision!r}"
        )
    current = precision


def get_matmul_precision() -> Precision:
    """Return how matrix products of float32 multiply: `"highest"` or `"tf32"`.

    Examples
    --------
    >>> get_matmul_precision()
    'highest'
    """
    return current
