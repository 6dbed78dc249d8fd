"""Rows of a table, and rows added to one."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from .case import Case, case


def cases(random: Any) -> Iterator[Case]:
    """Yield calls with indices of all kinds, and of the rules."""
    kinds = ["int64", "int32", "uint8", "int16", "uint64", "uint32", "int8", "uint16"]
    calls = [((), 5, 3), ((1,), 1, 1), ((7,), 3, 40), ((2, 9), 50, 17), ((300,), 20, 64)]
    calls += [((4, 3, 2), 9, int(random.integers(1, 100))), ((1000,), 90, 33), ((2,), 100, 16)]
    for i, (shape, count, width) in enumerate(calls):
        indices = random.integers(0, count, shape)
        if shape:
            indices = indices.astype(kinds[i % len(kinds)])
        table, rows = random.normal(size=(count, width)), random.normal(size=(*shape, width))
        for padding in (None, 0, count - 1):
            keywords = {"count": count, "padding_idx": padding}
            takes = replace(case("embedding", indices, table, **keywords), main=bool(shape))
            yield takes
            yield replace(takes, name="embedding_rows")
            adds = replace(takes, name="embedding_weight", operands=(indices, rows))
            yield adds
            yield replace(takes, name="embedding.vjp", cotangent=rows)
            yield replace(takes, name="embedding_rows.vjp", cotangent=rows)
            yield replace(adds, name="embedding_weight.vjp", cotangent=table)
