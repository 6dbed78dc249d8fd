"""Random bits that are a function of a key and a place: Philox4x32-10, in array arithmetic.

A counter of 128 bits and a key of 64 bits are mixed, in ten rounds of two 32-bit multiplications,
into four words of 32 bits.  There is no state: the same key gives the same bits again, on every
array library, and so what was drawn once need not be kept.

References
----------
J. K. Salmon, M. A. Moraes, R. O. Dror, D. E. Shaw: Parallel random numbers: as easy as 1, 2, 3,
SC 2011.
"""

from __future__ import annotations

from typing import Any

#: The multipliers, and what is added to the halves of the key after each round.
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_LOW = 0xFFFFFFFF
#: So many counters are mixed at once: what is in work stays in the cache.
_PIECE = 1 << 14


def philox4x32(xp: Any, counter: Any, key: Any) -> Any:
    """Return the four words of each counter.

    Parameters
    ----------
    xp
        The array library.
    counter
        Four arrays of uint64, of one shape, that hold words of 32 bits.  They are overwritten.
    key
        Two words of 32 bits: integers, or arrays of uint64 that broadcast with the counter.

    Returns
    -------
    sequence of array
        The four arrays, with the result.
    """
    low, half = xp.uint64(_LOW), xp.uint64(32)
    by0, by1 = map(xp.uint64, _MULTIPLIERS)
    c0, c1, c2, c3 = counter
    k0, k1 = key
    product0, product1 = xp.empty_like(c0), xp.empty_like(c0)
    for _ in range(_ROUNDS):
        # c0, c1, c2, c3 = high(p1) ^ c1 ^ k0, low(p1), high(p0) ^ c3 ^ k1, low(p0)
        xp.multiply(c0, by0, out=product0)
        xp.multiply(c2, by1, out=product1)
        xp.right_shift(product1, half, out=c0)
        xp.bitwise_xor(c0, c1, out=c0)
        xp.bitwise_xor(c0, k0, out=c0)
        xp.bitwise_and(product1, low, out=c1)
        xp.right_shift(product0, half, out=c2)
        xp.bitwise_xor(c2, c3, out=c2)
        xp.bitwise_xor(c2, k1, out=c2)
        xp.bitwise_and(product0, low, out=c3)
        k0, k1 = (k0 + _WEYL[0]) & _LOW, (k1 + _WEYL[1]) & _LOW
    return counter


def bernoulli(xp: Any, n: int, rate: float, key: Any) -> Any:
    """Return n booleans, each false with probability `rate`.

    With `m = ceil(n / 4)`, number `i` is whether word `i // m` of the counter `(i % m, key[1])`
    under the key `key[0]`, all of them 64 bits, is at least `rate * 2**32`: each counter's four
    words go to places m apart, so that reading and writing is contiguous.

    Parameters
    ----------
    xp
        The array library.
    n
        How many.
    rate
        From 0 to 1; both give what they say exactly.
    key
        Seed and counter: two integers, or an array of two.
    """
    seed, count = split_key(xp, key)
    m = -(-n // 4)
    threshold = xp.uint64(round(rate * 2.0**32))
    made = xp.empty((4, m), bool)
    for start in range(0, m, _PIECE):
        index = xp.arange(start, min(start + _PIECE, m), dtype=xp.uint64)
        counter = xp.empty((4, len(index)), xp.uint64)
        for word, value in zip(counter, (index & xp.uint64(_LOW), index >> xp.uint64(32), *count)):
            word[...] = value
        for row, word in zip(made, philox4x32(xp, counter, seed)):
            xp.greater_equal(word, threshold, out=row[start : start + _PIECE])
    return made.reshape(-1)[:n]


def split_key(xp: Any, key: Any) -> list[tuple[Any, Any]]:
    """Return the halves of both 64-bit words of a key, the lower one first."""
    if isinstance(key, tuple):
        return [(word & _LOW, word >> 32 & _LOW) for word in key]
    # Arrays of one element, since single numbers would warn of what is meant to overflow.
    words = xp.asarray(key).astype(xp.uint64).reshape(2, 1)
    return [(word & xp.uint64(_LOW), word >> xp.uint64(32)) for word in words]
