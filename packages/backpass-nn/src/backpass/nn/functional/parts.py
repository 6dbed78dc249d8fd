"""What several operands or outputs give together, where some of them give nothing."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from backpass.core.ops.elementwise import add


def total(parts: Iterable[Any]) -> Any:
    """Return the sum of the tangents, or cotangents, that are not `None`; `None` without any."""
    made = None
    for part in parts:
        if part is not None:
            made = part if made is None else add.op(made, part)
    return made


__all__ = ["total"]
