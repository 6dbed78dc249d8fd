"""Calls of the steps of recurrent networks."""

from collections.abc import Iterator
from typing import Any

import numpy

from .case import Case, case

#: Shapes of a state: less than a vector, several, many rows.
SHAPES = [(1,), (3, 5), (2, 3, 16), (7, 33), (300, 40)]


def _normal(random: Any, *shape: int) -> Any:
    return 2 * random.normal(size=shape)


def cases(random: Any) -> Iterator[Case]:
    """Yield calls of both cells and their rules."""
    for shape in SHAPES:
        *lead, n = shape
        cell, hidden, to_hidden, to_new = (_normal(random, *shape) for _ in range(4))
        gates = _normal(random, *lead, 4 * n)
        yield case("lstm_cell", gates, cell)
        new = numpy.tanh(_normal(random, *shape))
        for given in ((to_hidden, to_new), (to_hidden, None), (None, to_new)):
            yield case("lstm_cell_back", gates, cell, new, *given)
        gates, products = (_normal(random, *lead, 3 * n) for _ in range(2))
        yield case("gru_cell", gates, products, hidden)
        yield case("gru_cell_back", to_hidden, gates, products, hidden)
    # A step of a sequence.
    cell = _normal(random, 4, 6, 8)[:, 2]
    yield case("lstm_cell", _normal(random, 4, 6, 32)[:, 2], cell)
    yield case("gru_cell", *_normal(random, 2, 4, 6, 24)[:, :, 2], cell)
