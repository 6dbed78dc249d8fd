"""Running a case: its outputs, its gradients, and what NumPy, or a reference, makes of it."""

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy
import pytest

from backpass.core import jvp, vjp

from .cases import Case, flat, has
from .catalogue import REFERENCES
from .places import Place


def expected(case: Case, args: Sequence[Any]) -> list[Any]:
    """Return what NumPy or SciPy gives, or the reference of a function that they lack."""
    library = REFERENCES.get(case.module) or importlib.import_module(case.module)
    if case.name not in ("getitem", "setitem") and not has(library, case.name):
        pytest.skip(f"{case.module} has no {case.name}")
    return [numpy.asarray(out) for out in flat(case.call(library, *args))]


def function(case: Case, place: Place) -> Callable[..., list[Any]]:
    """Return the case as a function of its arguments, to a list of Tensors."""
    if place.backend.device != "cpu" and "cupy" in case.without:
        pytest.skip(f"CuPy lacks this call of {case.name}")
    namespace = place.namespace(case.module)
    return lambda *xs: flat(case.call(namespace, *xs))


def weights(outputs: Sequence[Any]) -> list[numpy.ndarray]:
    """Return a weight for each output element, in the output's shape and dtype."""
    random = numpy.random.default_rng(7)
    made = []
    for out in outputs:
        w = random.uniform(0.5, 1.5, out.shape)
        if out.dtype.kind == "c":
            w = w + 1j * random.uniform(0.5, 1.5, out.shape)
        made.append(w.astype(out.dtype))
    return made


def gradients(case: Case, place: Place, args: Sequence[Any]) -> list[Any]:
    """Return the gradients, on the host, of the outputs' weighted sum."""
    outputs, pull = vjp(function(case, place), *args)
    found = pull([place.put(w) for w in weights(outputs)])
    return [place.fetch(g) for g in found]


def tangents(case: Case, place: Place, args: Sequence[Any]) -> list[Any]:
    """Return the outputs' tangents, on the host, along a tangent of ones for each argument."""
    ones = [place.put(numpy.ones(x.shape, x.dtype)) for x in args]
    return [place.fetch(t) for t in jvp(function(case, place), list(args), ones)[1]]
