"""Dropout, with Philox4x32-10 in Python's integers as the reference for its mask."""

from functools import partial

import numpy

from ...cases import Case, case

_case = partial(case, module="nn.functional")
_WORD = 1 << 32


def philox4x32(counter, key):
    """Mix a counter of four words with a key of two, ten rounds: Salmon et al., SC 2011."""
    (a, b, c, d), (k, m) = counter, key
    for _ in range(10):
        p, q = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = q // _WORD ^ b ^ k, q % _WORD, p // _WORD ^ d ^ m, p % _WORD
        k, m = (k + 0x9E3779B9) % _WORD, (m + 0xBB67AE85) % _WORD
    return a, b, c, d


def kept(n, rate, key):
    """Return which of n elements dropout keeps."""
    m = -(-n // 4)
    (seed, count), mask = key, []
    for i in range(n):
        counter = (i % m % _WORD, i % m // _WORD, count % _WORD, count // _WORD)
        word = philox4x32(counter, (seed % _WORD, seed // _WORD))[i // m]
        mask.append(word >= rate * _WORD)
    return numpy.array(mask)


def dropout(x, rate=0.5, training=True, *, key):
    """Drop elements, and scale the others."""
    if not training:
        return x
    mask = kept(x.size, rate, key).reshape(x.shape)
    return numpy.where(mask, x / (1 - rate), 0).astype(x.dtype)


def dropout1d(x, rate=0.5, training=True, *, key):
    """Drop whole channels, and scale the others."""
    ones = numpy.ones(x.shape[:2], x.dtype)
    mask = dropout(ones, rate, training, key=key)
    return x * mask.reshape(*x.shape[:2], *(1 for _ in x.shape[2:]))


REFERENCES = {"dropout": dropout, "dropout1d": dropout1d, "dropout2d": dropout1d}

CASES: list[Case] = [
    _case("dropout", lambda nn, x: nn.dropout(x, 0.3, key=(5, 7)), (3, 5)),
    _case(
        "dropout",
        lambda nn, x: nn.dropout(x, 0.5, key=(2**63 - 1, 2**40 + 3)),
        (7,),
        label="large_key",
    ),
    _case(
        "dropout", lambda nn, x: nn.dropout(x, 0.5, training=False, key=(0, 0)), (2,), label="off"
    ),
    _case("dropout1d", lambda nn, x: nn.dropout1d(x, 0.5, key=(1, 2)), (2, 3, 2)),
    _case("dropout2d", lambda nn, x: nn.dropout2d(x, 0.25, key=(1, 3)), (2, 3, 2, 2)),
]
