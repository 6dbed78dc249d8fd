"""Calls of attention."""

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy

from .case import Case, case

#: (stack, queries, keys, length of queries, length of values): one of each, blocks that are not
#: full, several blocks, several chunks of keys.
SIZES: list[tuple[tuple[int, ...], int, int, int, int]] = [
    ((1, 1), 1, 1, 1, 1),
    ((2, 3), 5, 7, 4, 3),
    ((), 33, 17, 8, 8),
    ((3,), 150, 140, 16, 5),
    ((2, 1, 2), 20, 1, 3, 20),
    ((1, 2), 7, 1100, 16, 16),
]


def _answer(
    query: Any, key: Any, value: Any, mask: Any, *, causal: bool, scale: float
) -> tuple[Any, Any]:
    """Return the averages and the logarithms of the sums, in double precision."""
    scores = scale * query @ numpy.swapaxes(key, -1, -2)
    if mask is not None:
        scores = numpy.where(mask, scores, -numpy.inf) if mask.dtype == bool else scores + mask
    if causal:
        scores = numpy.where(numpy.tri(*scores.shape[-2:]) == 1, scores, -numpy.inf)
    top = scores.max(-1, keepdims=True)
    top = numpy.where(numpy.isinf(top), 0, top)
    weights = numpy.exp(scores - top)
    mass = weights.sum(-1, keepdims=True)
    with numpy.errstate(divide="ignore"):
        return weights @ value / numpy.maximum(mass, 1), numpy.log(mass) + top


def _masks(random: Any, stack: tuple[int, ...], n: int, m: int) -> Iterator[Any]:
    yield None
    yield random.random((n, m)) < 0.7
    yield random.random((*stack[:1], *(1 for _ in stack[1:]), 1, m)) < 0.7  # of padding
    yield random.random((n, 1)) < 0.7  # queries that may attend nowhere
    yield random.normal(size=(n, m))
    yield random.normal(size=(*stack, n, m))
    yield random.normal(size=m)


def _operands(random: Any) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    for stack, n, m, d, e in SIZES:
        masks = list(_masks(random, stack, n, m))
        for i, mask in enumerate(masks if m < 1000 else masks[:2]):
            # Numbers like those of float16, so that the answers fit the operands in any dtype.
            query, key, value = (
                random.integers(-16, 17, (*stack, *size)) / 16 for size in ((n, d), (m, d), (m, e))
            )
            if mask is not None and mask.dtype != bool:
                mask = numpy.round(16 * mask) / 16
            # A nan goes from a query to all keys, but not to the blocks that causal ones pass over.
            for causal in (False, True)[: 2 if i in (0, 1, 4) and m <= n < 128 else 1]:
                yield (query, key, value, mask), {"causal": causal, "scale": 1 / math.sqrt(d)}
    # One key and value for all heads.
    query = random.normal(size=(2, 3, 6, 4))
    shared = random.normal(size=(2, 1, 9, 4))
    yield (query, shared, shared, None), {"causal": False, "scale": 0.5}


def cases(random: Any) -> Iterator[Case]:
    """Yield calls of `attention` and `attention_back`, and of what joins heads."""
    for shape in ((2, 3, 4), (2, 4, 5, 8), (3, 2, 1, 6, 1)):
        for count in (2, 3):
            joined = case("join_heads", *(random.normal(size=shape) for _ in range(count)))
            yield dataclasses.replace(joined, on=("cpu",))
    options: dict[str, Any] = {"dropout": 0.0, "dropout_key": None}
    for i, (operands, keywords) in enumerate(_operands(random)):
        mask = operands[3]
        # Large ones take long without a GPU: there, those without a mask will do.
        scores = operands[0].shape[-2] * operands[1].shape[-2]
        on = ("cpu", "cuda") if mask is None or scores < 2000 else ("cpu",)
        yield dataclasses.replace(case("attention", *operands, **keywords, **options), on=on)
        out, logsumexp = _answer(*operands, **keywords)
        g = random.integers(-16, 17, out.shape) / 16
        to_logsumexp = random.integers(-16, 17, logsumexp.shape) / 16 if i % 3 == 1 else None
        has_rule = mask is not None and mask.dtype != bool
        needs = (True, True, True, has_rule) if i % 4 < 3 else (i % 8 < 4, i % 8 > 4, True, False)
        made = case(
            "attention_back",
            *operands,
            out,
            logsumexp,
            g,
            to_logsumexp,
            needs=needs,
            **keywords,
            **options,
        )
        # The cotangents of scores are differences of sums like these.  On the GPU an infinite
        # weight, which the operands' own logsumexp rules out, makes nan: it has no two parts.
        scale = float(abs(out).max()) * math.sqrt(g.shape[-1])
        yield dataclasses.replace(made, scale=scale, on=on, finite=("cuda",))
    dropped = random.normal(size=(2, 5, 4))
    made = case(
        "attention",
        *(dropped, dropped, dropped, None),
        causal=False,
        scale=0.5,
        dropout=0.5,
        dropout_key=(1, 2),
    )
    yield dataclasses.replace(made, main=False)
    for stack, n, m in (((2,), 7, 5), ((3, 1), 33, 140)):
        query = random.integers(-16, 17, (*stack, n, 8)) / 16
        key = random.integers(-16, 17, (*stack, m, 8)) / 16
        words: dict[str, Any] = {"causal": m < 8, "scale": 0.5}
        dropout: dict[str, Any] = {"dropout": 0.3, "dropout_key": (7, 2**40 + m)}
        made = case("attention", query, key, key, None, **words, **dropout)
        yield dataclasses.replace(made, on=("cpu",))
        # The rule is linear in the output: it may be that without dropout.
        answer = _answer(query, key, key, None, **words)
        made = case(
            "attention_back",
            *(query, key, key, None),
            *answer,
            random.integers(-16, 17, query.shape) / 16,
            None,
            needs=(True, True, True, False),
            **words,
            **dropout,
        )
        yield dataclasses.replace(made, scale=4.0, on=("cpu",))
