"""Half precision: computed in single, and rounded once."""

from __future__ import annotations

from typing import Any

from backpass.core.dtypes import HALVES
from backpass.core.ops.shaping import astype


def wide(x: Any) -> Any:
    """Return x, half precision as single: sums, squares and products soon leave its range."""
    return astype.op(x, dtype="float32") if x.dtype.char in HALVES else x


def rounded(y: Any, *operands: Any) -> Any:
    """Return y in half precision if all operands are; `None` stands for one that is not there."""
    dtypes = [x.dtype for x in operands if x is not None]
    if dtypes[0].char in HALVES and all(dtype == dtypes[0] for dtype in dtypes):
        return astype.op(y, dtype=dtypes[0])
    return y


__all__ = ["rounded", "wide"]
