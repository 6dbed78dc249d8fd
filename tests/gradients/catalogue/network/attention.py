"""Scaled dot-product attention."""

import itertools
from functools import partial

import numpy

from ...cases import Case, case
from .dropout import dropout as dropped

_case = partial(case, "scaled_dot_product_attention", module="nn.functional")


def scaled_dot_product_attention(
    query, key, value, *, mask=None, causal=False, scale=None, dropout=0.0, dropout_key=None
):
    """Average the values for each query, one after the other."""
    batch = numpy.broadcast_shapes(*(x.shape[:-2] for x in (query, key, value)))
    query, key, value = (numpy.broadcast_to(x, batch + x.shape[-2:]) for x in (query, key, value))
    n, m = query.shape[-2], key.shape[-2]
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    weights = numpy.zeros((*batch, n, m), query.dtype)
    mask = None if mask is None else numpy.broadcast_to(numpy.asarray(mask), weights.shape)
    for place in itertools.product(*map(range, (*batch, n))):
        *at, i = place
        scores = {}
        for j in range(m):
            allowed = mask is None or mask.dtype != bool or mask[*place, j]
            if allowed and (j <= i or not causal):
                scores[j] = float(query[place] @ key[*at, j]) * scale
                if mask is not None and mask.dtype != bool:
                    scores[j] += mask[*place, j]
        total = sum(numpy.exp(s) for s in scores.values())
        for j, s in scores.items():
            weights[*place, j] = numpy.exp(s) / total if total else 0
    if dropout:
        weights = dropped(weights, dropout, key=dropout_key)
    return numpy.einsum("...ij,...jk->...ik", weights, value)


REFERENCES = {"scaled_dot_product_attention": scaled_dot_product_attention}

#: Lists, which are made arrays where the operands lie.  The second query may attend nowhere.
_MASK = [[True, False, True, True], [False] * 4, [True, True, False, False]]
_PADDING = [[[True, True, True, False]], [[True, False, False, False]]]

CASES: list[Case] = [
    _case(lambda nn, *xs: nn.scaled_dot_product_attention(*xs), (3, 2), (4, 2), (4, 3)),
    _case(
        lambda nn, *xs: nn.scaled_dot_product_attention(*xs, causal=True, scale=0.3),
        (2, 3, 2),
        (2, 4, 2),
        (2, 4, 1),
        label="causal",
    ),
    _case(
        lambda nn, *xs: nn.scaled_dot_product_attention(*xs, mask=_MASK),
        (3, 2),
        (4, 2),
        (4, 2),
        label="mask",
    ),
    _case(
        lambda nn, *xs: nn.scaled_dot_product_attention(*xs, mask=_PADDING),
        (2, 3, 2),
        (2, 4, 2),
        (2, 4, 2),
        label="padding",
    ),
    _case(
        lambda nn, q, k, v, mask: nn.scaled_dot_product_attention(q, k, v, mask=mask),
        (2, 2, 3, 2),
        (2, 4, 2),
        (4, 2),
        (2, 1, 1, 4),
        label="added_mask_broadcast",
    ),
    _case(
        lambda nn, *xs: nn.scaled_dot_product_attention(*xs, dropout=0.4, dropout_key=(1, 2)),
        (2, 3, 2),
        (2, 4, 2),
        (2, 4, 2),
        label="dropout",
    ),
]
