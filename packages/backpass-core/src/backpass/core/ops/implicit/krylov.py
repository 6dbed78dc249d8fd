"""Linear systems of which only the products with vectors are known.

Source: Y. Saad, M. H. Schultz, "GMRES: a generalized minimal residual algorithm", SIAM J. Sci.
Stat. Comput. 7 (1986).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from backpass.core.backends import backend_of


def gmres(matvec: Callable[[Any], Any], b: Any, tol: float, limit: int) -> Any:
    """Solve A x = b with at most `limit` products `matvec(v)` = A v; `None` if they do not suffice.

    It has succeeded when norm(b - A x) <= tol * norm(b).

    Examples
    --------
    >>> gmres(lambda v: 2 * v, numpy.array([2.0, 6.0]), 1e-12, 2)
    array([1., 3.])
    """
    xp = backend_of((b,)).library
    size = float(xp.linalg.norm(b))
    if size == 0:
        return xp.zeros_like(b)
    basis = [b / size]
    # The Hessenberg matrix, made triangular by rotations as it grows, and what they do to b.
    columns: list[Any] = []
    rotations: list[tuple[float, float]] = []
    rest = [size]
    for k in range(limit):
        w = matvec(basis[k])
        h = numpy.zeros(k + 2)
        # Twice is enough to be orthogonal to rounding.
        for _ in range(2):
            for i, v in enumerate(basis):
                part = float(v @ w)
                h[i] += part
                w = w - part * v
        h[k + 1] = below = float(xp.linalg.norm(w))
        for i, (c, s) in enumerate(rotations):
            h[i], h[i + 1] = c * h[i] + s * h[i + 1], c * h[i + 1] - s * h[i]
        radius = float(numpy.hypot(h[k], h[k + 1]))
        if not numpy.isfinite(radius) or radius == 0:
            return None
        c, s = h[k] / radius, h[k + 1] / radius
        h[k] = radius
        rotations.append((c, s))
        columns.append(h[: k + 1])
        rest[k:] = [c * rest[k], -s * rest[k]]
        if abs(rest[k + 1]) <= tol * size:
            triangle = numpy.zeros((k + 1, k + 1))
            for j, column in enumerate(columns):
                triangle[: j + 1, j] = column
            weights = numpy.linalg.solve(triangle, rest[: k + 1])
            return sum(float(y) * v for y, v in zip(weights, basis))
        if below == 0:
            return None
        basis.append(w / below)
    return None
