"""Dropout: the mask's bits are those of the reference."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy

from .case import Case, case


def cases(random: Any) -> Iterator[Case]:
    """Yield calls of dropout, of elements and of whole channels, and of its rule."""
    some = int(random.integers(5, 3000))
    calls = [((1,), 1), ((3, 5), 2), ((some,), 1), ((2, 1031), 2), ((2, 3, 4, 5), 2)]
    calls += [((4, 1, 33), 1), ((2, 2, 3), 2), ((5, 3, 2), 0), ((17000,), 1)]
    for i, (shape, axes) in enumerate(calls):
        seed, counter = (int(n) for n in random.integers(0, 2**63 - 1, 2))
        keys = [(seed, counter), (3, 2**64 - 1), (-1, 2**70 + 5), numpy.array([seed, counter])]
        keywords = {
            "rate": [0.5, 0.0, 0.1, 1.0, float(random.uniform())][i % 5],
            "key": keys[i % 4],
            "axes": axes,
        }
        x, g = random.normal(size=shape), random.normal(size=shape)
        yield case("dropout", x, **keywords)
        yield replace(case("dropout.vjp", x, **keywords), cotangent=g)
