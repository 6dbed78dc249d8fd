"""How the terms of a loss become one number."""

from __future__ import annotations

import math
from typing import Any

from backpass.core import Tensor
from backpass.core.ops.elementwise import multiply
from backpass.core.ops.reductions import mean_, sum_
from backpass.core.values import as_tensors

REDUCTIONS = ("none", "mean", "sum")


def check_reduction(name: str, reduction: str, allowed: tuple[str, ...] = REDUCTIONS) -> None:
    """Raise a `ValueError` for a reduction that is not known."""
    if reduction not in allowed:
        raise ValueError(
            f"{name}: `reduction` is {reduction!r}: it must be one of "
            f"{', '.join(map(repr, allowed))}"
        )


def reduced(terms: Any, reduction: str) -> Tensor:
    """Return the terms of a loss as they are, or their sum or mean.

    The mean of no terms is nan, without a warning.
    """
    if reduction == "none":
        return as_tensors(terms)  # type: ignore[no-any-return]
    if reduction == "mean" and terms.size:
        return mean_(terms)  # type: ignore[no-any-return]
    total = sum_(terms)
    return total if reduction == "sum" else multiply(total, math.nan)  # type: ignore[no-any-return]


__all__ = ["REDUCTIONS", "check_reduction", "reduced"]
