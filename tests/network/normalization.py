"""Layer norm, RMS norm and batch norm."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

from .case import Case, case


def cases(random: Any) -> Iterator[Case]:
    """Yield calls of the norms and of their rules."""
    shapes = [((3, 4), 1), ((1, 1), 1), ((int(random.integers(2, 140)), 33), 1)]
    shapes += [((4,), 0), ((2, 3, 5, 2), 2), ((3, int(random.integers(2, 1500))), 1)]
    parameters = itertools.product((False, True), (False, True), (False, True))
    for (shape, first), (weighted, shifted, centred) in itertools.product(shapes, parameters):
        own = shape[first:]
        operands = (
            random.normal(size=shape) + 3,
            random.normal(size=own) if weighted else None,
            random.normal(size=own) if shifted else None,
        )
        axes = tuple(range(first, len(shape)))
        keywords = {"axes": axes, "eps": float(random.choice([1e-5, 0.1])), "centred": centred}
        g = random.normal(size=shape)
        yield case("layer_norm", *operands, **keywords)
        # What is left of a short row is small beside what it is the difference of.
        scale = keywords["eps"] ** -0.5
        back = case("layer_norm_back", g, *operands, **keywords)
        yield dataclasses.replace(back, scale=scale)
        rule = case("layer_norm.vjp", *operands, **keywords)
        yield dataclasses.replace(rule, cotangent=g, scale=scale)
    yield from _batches(random)


def _batches(random: Any) -> Iterator[Case]:
    some = int(random.integers(2, 300))
    shapes = [(2, 1), (4, 3), (70, 20), (2, 3, 5), (3, 2, 4, 5), (some, 5), (2, some, 3, 3)]
    shapes += [(3, 4, 1, 1), (2, 3, 1, some), (600, 64)]
    for shape, weighted, shifted in itertools.product(shapes, (False, True), (False, True)):
        c = shape[1]
        x = random.normal(size=shape) * 2 + 5
        weight = random.normal(size=c) if weighted else None
        bias = random.normal(size=c) if shifted else None
        eps = float(random.choice([1e-5, 0.1]))
        yield case("batch_norm", x, weight, bias, eps=eps)
        others = (0, *range(2, len(shape)))
        statistics = x.mean(others), x.var(others)
        gs = random.normal(size=shape), *random.normal(size=(2, c))
        for used in (gs, (gs[0], None, None), (gs[0], None, gs[2])):
            operands = (x, weight, bias, *statistics, *used)
            back = case("batch_norm_back", *operands, eps=eps)
            yield dataclasses.replace(back, scale=eps**-0.5, main=used[1] is None is used[2])
