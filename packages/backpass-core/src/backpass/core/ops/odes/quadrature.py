"""The integral of a function that a differential equation's solver has already resolved."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy

# The rule of Gauss with 3 nodes and Kronrod's extension to 7.  Source: R. Piessens et al.,
# "QUADPACK" (1983); A. S. Kronrod, "Nodes and Weights of Quadrature Formulas" (1965).
_NODES = numpy.array([0.0, 0.434243749346802558, 0.774596669241483377, 0.960491268708020283])
_KRONROD = numpy.array(
    [0.450916538658474142, 0.401397414775962223, 0.268488089868333441, 0.104656226026467265]
)
_GAUSS = numpy.array([8 / 9, 0.0, 5 / 9, 0.0])
_X = numpy.concatenate([-_NODES[:0:-1], _NODES])
_K = numpy.concatenate([_KRONROD[:0:-1], _KRONROD])
_G = numpy.concatenate([_GAUSS[:0:-1], _GAUSS])

#: A panel is halved that often at most: what remains is the interpolants' noise.
_HALVINGS = 12


def integral(
    function: Callable[[float], Sequence[Any]],
    edges: Sequence[float],
    limits: Sequence[tuple[float, float]],
) -> list[Any]:
    """Return the integrals of several arrays over a range, from its first edge to its last.

    Panels are halved until the two rules agree for each array to its limits (rtol, atol), the first
    in parts of the integral of its absolute value so far.
    """
    totals: list[Any] = [0.0] * len(limits)
    sizes = numpy.zeros(len(limits))
    waiting = [(a, b, 0) for a, b in itertools.pairwise(edges)][::-1]
    while waiting:
        low, high, halvings = waiting.pop()
        half = (high - low) / 2
        values = [function(low + half * (1 + x)) for x in _X]
        close = True
        parts, extents = [], []
        for j, (rtol, atol) in enumerate(limits):
            stacked = numpy.stack([v[j] for v in values])
            part, rough = half * (_K @ stacked), half * (_G @ stacked)
            extent = abs(half) * (_K @ numpy.abs(stacked)).max(initial=0)
            error = numpy.abs(part - rough).max(initial=0)
            # The error is that of the rougher rule: the other has twice as many digits.
            allowed = max(rtol ** (2 / 3) * max(extent, sizes[j]), atol)
            close = close and error <= allowed
            parts.append(part)
            extents.append(extent)
        if not close and halvings < _HALVINGS:
            middle = low + half
            waiting += [(middle, high, halvings + 1), (low, middle, halvings + 1)]
            continue
        totals = [total + part for total, part in zip(totals, parts)]
        sizes += extents
    return totals
