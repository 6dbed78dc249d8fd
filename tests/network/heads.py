"""Calls of what splits and joins the heads of an attention."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .case import Case, case

#: The batch, vectors, parts, heads and the length of each.
SIZES = [((2,), 5, 3, 2, 8), ((), 7, 2, 3, 5), ((3, 2), 4, 1, 2, 16), ((1,), 1, 3, 1, 1)]


def cases(random: Any) -> Iterator[Case]:
    """Yield calls of kernels that are on the GPU only."""
    for batch, n, parts, heads, length in SIZES:
        whole = random.normal(size=(*batch, n, parts * heads * length))
        apart = tuple(random.normal(size=(*batch, heads, n, length)) for _ in range(parts))
        for made in (
            case("split_heads", whole, parts=parts, heads=heads),
            replace(case("split_heads.vjp", whole, parts=parts, heads=heads), cotangent=apart),
            case("join_heads", *apart),
        ):
            yield replace(made, on=("cuda",))
