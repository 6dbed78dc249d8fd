"""Half precision: computed in single, and rounded once."""

from __future__ import annotations

from typing import Any

from backpass.core.ops.shaping import astype


def wide(x: Any) -> Any:
    """Return x, half precision as single: sums, squares and products soon leave its range."""
    return astype.op(x, dtype="float32") if x.dtype.char == "e" else x


def rounded(y: Any, *operands: Any) -> Any:
    """Return y in half precision if all operands are; `None` stands for one that is not there."""
    if all(x is None or x.dtype.char == "e" for x in operands):
        return astype.op(y, dtype="float16")
    return y


__all__ = ["rounded", "wide"]
