"""One step of an LSTM and of a GRU."""

from functools import partial

import numpy

from ...cases import Case, case

_case = partial(case, module="nn.functional")


def _logistic(x):
    return 1 / (1 + numpy.exp(-x))


def lstm_cell(gates, cell):
    """Compute the hidden state and the cell."""
    i, f, g, o = numpy.split(gates, 4, axis=-1)
    cell = _logistic(f) * cell + _logistic(i) * numpy.tanh(g)
    return _logistic(o) * numpy.tanh(cell), cell


def gru_cell(gates, products, hidden):
    """Compute the hidden state."""
    xr, xz, xn = numpy.split(gates, 3, axis=-1)
    hr, hz, hn = numpy.split(products, 3, axis=-1)
    r, z = _logistic(xr + hr), _logistic(xz + hz)
    return (1 - z) * numpy.tanh(xn + r * hn) + z * hidden


REFERENCES = {"gru_cell": gru_cell, "lstm_cell": lstm_cell}

CASES: list[Case] = [
    _case("lstm_cell", lambda nn, *xs: nn.lstm_cell(*xs), (3, 8), (3, 2)),
    _case("lstm_cell", lambda nn, *xs: nn.lstm_cell(*xs)[0], (8,), (2,), label="hidden_only"),
    _case(
        "lstm_cell", lambda nn, *xs: nn.lstm_cell(*xs)[1], (2, 2, 4), (2, 2, 1), label="cell_only"
    ),
    _case("gru_cell", lambda nn, *xs: nn.gru_cell(*xs), (3, 6), (3, 6), (3, 2)),
]
