"""Calls of the kernels of activations and of their rules."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy

from .case import Case, case

#: The keywords that each takes.
PARAMETERS: dict[str, tuple[dict[str, Any], ...]] = {
    "relu": ({},),
    "leaky_relu": ({}, *({"negative_slope": slope} for slope in (0.1, 0.0, 1.0, 2.0, -0.5))),
    "hardtanh": ({}, {"min_val": 0.0, "max_val": 6.0}, {"min_val": -numpy.inf, "max_val": 1.0}),
    "hardsigmoid": ({},),
    "hardswish": ({},),
    "elu": ({}, {"alpha": 0.5}, {"alpha": 2.0}, {"alpha": -1.0}),
    "celu": ({}, {"alpha": 0.5}, {"alpha": 3.0}),
    "selu": ({},),
    "gelu": ({}, {"approximate": "none"}, {"approximate": "tanh"}),
    "silu": ({},),
    "mish": ({},),
    "softplus": ({}, {"beta": 2.0, "threshold": 5.0}, {"beta": 0.5, "threshold": numpy.inf}),
    "softsign": ({},),
}
#: Kinks, and where something would overflow.
ODD = (0.0, -0.0, 1.0, -1.0, 3.0, -3.0, 6.0, 100.0, -100.0, 1000.0, -1000.0, 1e-30, -1e-30, 20.0)


def shape(random: numpy.random.Generator) -> tuple[int, ...]:
    """Return a shape, with channels once in a while."""
    count = int(random.integers(1, 5))
    return tuple(int(n) for n in random.integers(1, 9, count))


def numbers(random: numpy.random.Generator, sizes: tuple[int, ...]) -> Any:
    """Return numbers of many sizes, kinks among them."""
    x = random.normal(size=sizes) * random.choice([0.1, 1.0, 5.0], sizes)
    where = random.random(sizes) < 0.2
    return numpy.where(where, random.choice(ODD, sizes), x)


def cases(random: numpy.random.Generator) -> Iterator[Case]:
    """Yield each activation and its rule, with each of its parameters."""
    for name, several in PARAMETERS.items():
        for keywords in several:
            for sizes in (shape(random), (int(random.integers(4097, 9000)),)):
                x = numbers(random, sizes)
                yield case(name, x, **keywords)
                if name == "softplus" and keywords.get("threshold", 0.0) > 100:
                    x = numpy.clip(x, -50, 50)
                g = random.normal(size=sizes) * (random.random(sizes) < 0.9)
                yield replace(case(f"{name}.vjp", x, **keywords), cotangent=g)
    yield from prelu(random)


def prelu(random: numpy.random.Generator) -> Iterator[Case]:
    """Yield `prelu`, whose weight is one for each channel."""
    channels = int(random.integers(1, 9))
    x = numbers(random, (3, channels, 5, 4))
    weight = random.choice([0.1, 0.0, 1.0, 2.0, -0.5], (channels, 1, 1))
    g = random.normal(size=x.shape)
    yield case("prelu", x, weight)
    for i in (0, 1):
        yield replace(case(f"prelu.vjp{i}", x, weight), cotangent=g)
