"""Calls of the dense layer's kernel and of its rule."""

from collections.abc import Iterator
from dataclasses import replace

import numpy

from .case import Case, case

ACTIVATIONS = (None, "relu", "tanh", "sigmoid")


def cases(random: numpy.random.Generator) -> Iterator[Case]:
    """Yield layers of many widths, for one example, for batches and for stacks of them."""
    wide = int(random.integers(40, 200))
    for leading in ((), (1,), (3,), (wide,), (2, 3), (2, 1, 5)):
        features, outputs = (int(n) for n in random.integers(1, 70, 2))
        x = random.normal(size=(*leading, features))
        weight = random.normal(size=(outputs, features)) / numpy.sqrt(features)
        bias = random.normal(size=outputs)
        g = random.normal(size=(*leading, outputs))
        # A sum over the batch has errors of the size of its terms.
        scale = float(numpy.sqrt(numpy.prod(leading, dtype=int)))
        for activation in ACTIVATIONS:
            for b in (bias, None):
                words = {} if activation is None else {"activation": activation}
                yield replace(case("linear", x, weight, b, **words), scale=1.0)
                rule = case("linear.vjp", x, weight, b, **words)
                yield replace(rule, cotangent=g, scale=scale)
