"""Checking derivatives against finite differences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy

from backpass.core import tree
from backpass.core.backends import backend_of
from backpass.core.tensor import Tensor, is_inexact
from backpass.core.transforms import jvp, vjp
from backpass.core.values import plain

#: At most so many entries of an array are varied.
_ENTRIES = 24


def check_grads(
    f: Callable[..., Any],
    args: Sequence[Any],
    order: int = 2,
    modes: Sequence[str] = ("rev", "fwd"),
    *,
    rtol: float = 1e-5,
    atol: float = 1e-6,
    eps: float = 1e-5,
    seed: int = 0,
) -> None:
    """Compare the derivatives of `f` with central differences, to an order, in both modes.

    Outputs are weighted at random and summed; each entry of each argument (a random choice of them
    in large arrays) is varied by `eps`, complex entries in both parts.  The gradient is checked
    in the same way, up to `order`.  A function's differences are good to about 1e-9 in float64 and
    complex128; arguments of other precision are refused.

    Parameters
    ----------
    f
        A function of the arguments, to a tree of arrays.
    args
        Floats, arrays, or trees of them.
    order
        How often to differentiate.
    modes
        `"rev"`, `"fwd"`, or both.
    rtol, atol
        How far a derivative may be off.
    eps
        The step.
    seed
        Of the random weights.

    Raises
    ------
    AssertionError
        If a derivative is off: says which argument and entry, in which mode and order, and by how
        much; or if a derivative along a zero tangent is not zero.
    TypeError
        If an argument is not of double precision, or a mode is unknown.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core.testing import check_grads
    >>> check_grads(lambda x, y: np.sin(x) * y, (0.3, np.array([1.0, 2.0])))
    """
    unknown = set(modes) - {"rev", "fwd"}
    if unknown:
        raise TypeError(f"check_grads: unknown mode {unknown.pop()!r}: use 'rev' and 'fwd'")
    random = numpy.random.default_rng(seed)
    leaves, structure = tree.flatten(tuple(args))
    places = [i for i, x in enumerate(leaves) if _is_differentiable(x, i)]
    values = [plain(leaves[i]) for i in places]
    values = [numpy.asarray(v)[()] if isinstance(v, float | complex) else v for v in values]

    def flat(*xs: Any) -> list[Any]:
        whole = list(leaves)
        for i, x in zip(places, xs):
            whole[i] = x
        out = f(*tree.unflatten(structure, whole))
        return [t for t in tree.leaves(out) if is_inexact(plain(t))]

    _check(flat, values, order, modes, random, (rtol, atol, eps), 1)


def _is_differentiable(x: Any, place: int) -> bool:
    if isinstance(x, Tensor) and x.constant:
        return False
    value = plain(x)
    if isinstance(value, float | complex) and not isinstance(value, bool):
        return True
    if not is_inexact(value):
        return False
    if value.dtype not in (numpy.float64, numpy.complex128):
        raise TypeError(
            f"check_grads: leaf {place} of the arguments is {value.dtype}: differences need "
            "float64 or complex128"
        )
    return True


def _check(
    f: Callable[..., list[Any]],
    values: list[Any],
    order: int,
    modes: Sequence[str],
    random: numpy.random.Generator,
    limits: tuple[float, float, float],
    level: int,
) -> None:
    rtol, atol, eps = limits
    outputs = [plain(t) for t in f(*map(Tensor, values))]
    xp = backend_of(values).library
    weights = [xp.asarray(_random_like(out, random))[()] for out in outputs]

    def weighted(*xs: Any) -> Any:
        parts = [plain(t) for t in f(*map(Tensor, xs))]
        return sum(complex((w * p).sum()).real for w, p in zip(weights, parts))

    _, pull = vjp(f, *values)
    gradients = [plain(g) for g in pull(weights)]
    if "fwd" in modes:
        for t in jvp(f, values, [xp.zeros_like(v)[()] for v in values])[1]:
            if complex(abs(plain(t)).sum()) != 0:
                raise AssertionError(
                    f"fwd, order {level}: the derivative along a zero tangent is {plain(t)}"
                )
    for i, value in enumerate(values):
        for entry in _entries(value, random):
            for unit in (1.0, 1j) if value.dtype.kind == "c" else (1.0,):
                tangent = numpy.zeros(value.shape, value.dtype)
                tangent[entry] = unit
                tangent = xp.asarray(tangent)[()]
                above, below = list(values), list(values)
                above[i], below[i] = value + eps * tangent, value - eps * tangent
                expected = (weighted(*above) - weighted(*below)) / (2 * eps)
                found = {}
                if "rev" in modes:
                    g = gradients[i]
                    found["rev"] = (complex(g[entry] if g.ndim else g) * unit).real
                if "fwd" in modes:
                    tangents: list[Any] = [None] * len(values)
                    tangents[i] = tangent
                    moved = [plain(t) for t in jvp(f, values, tangents)[1]]
                    found["fwd"] = sum(complex((w * t).sum()).real for w, t in zip(weights, moved))
                for mode, derivative in found.items():
                    off = abs(derivative - expected)
                    if not off <= atol + rtol * abs(expected):
                        raise AssertionError(
                            f"{mode}, order {level}: argument {i}, entry {entry}"
                            f"{' (imaginary part)' if unit == 1j else ''}: derivative "
                            f"{derivative:.12g}, by differences {expected:.12g}, off by {off:.3g}"
                        )
    if order > 1:

        def gradient(*xs: Any) -> list[Any]:
            return list(vjp(f, *xs)[1](weights))

        _check(gradient, values, order - 1, modes, random, limits, level + 1)


def _random_like(x: Any, random: numpy.random.Generator) -> Any:
    made = random.uniform(0.5, 1.5, x.shape) * random.choice([-1.0, 1.0], x.shape)
    if x.dtype.kind == "c":
        made = made + 1j * random.uniform(0.5, 1.5, x.shape)
    return numpy.asarray(made).astype(x.dtype)


def _entries(value: Any, random: numpy.random.Generator) -> list[tuple[int, ...]]:
    every = list(numpy.ndindex(tuple(value.shape)))
    if len(every) <= _ENTRIES:
        return every
    return [every[i] for i in random.choice(len(every), _ENTRIES, replace=False)]


__all__ = ["check_grads"]
