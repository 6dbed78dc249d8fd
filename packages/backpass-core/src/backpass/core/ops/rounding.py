"""Rounding to decimal places."""

from __future__ import annotations

from typing import Any

from backpass.core.ops import elementwise
from backpass.core.ops.reductions import refuse_out
from backpass.core.tensor import Tensor


def round(a: Any, decimals: int = 0, out: Any = None) -> Tensor:
    """Round to `decimals` places; its derivative is 0. `out` is refused."""
    refuse_out("round", out)
    return elementwise.round(a, decimals=decimals)  # type: ignore[no-any-return]


around = round
