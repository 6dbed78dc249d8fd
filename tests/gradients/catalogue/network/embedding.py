"""Rows of a table, one for each index."""

import numpy

from ...cases import Case, case


def embedding(indices, weight, padding_idx=None):
    """Take the rows one by one."""
    indices = numpy.asarray(indices, int)
    rows = [weight[i] for i in indices.ravel()]
    return numpy.array(rows, weight.dtype).reshape(*indices.shape, weight.shape[1])


REFERENCES = {"embedding": embedding}

#: Label: the indices.
INDICES = {
    "": [2, 0],
    "repeated": [[1, 2, 1], [1, 0, 2]],
    "0d": 3,
    "empty": [],
}

CASES: list[Case] = [
    case(
        "embedding",
        lambda nn, weight, indices=indices: nn.embedding(indices, weight),
        (4, 3),
        label=label,
        module="nn.functional",
    )
    for label, indices in INDICES.items()
]
