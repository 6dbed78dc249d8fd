"""Functions under `detect_anomaly`: no false alarm, and the gradients of every other day."""

import importlib

import pytest
from numpy.testing import assert_allclose

from backpass.core import detect_anomaly, grad

from .catalogue import CASES
from .test_explained import scalar

#: Their data are not finite, or one of the operations that they are made of gives infinity.
INFINITE = ("nan", "min")
#: Each is some milliseconds; all are worth a run when the rules of a family change.
SAMPLE = [case for case in CASES[::40] if not case.name.startswith(INFINITE)]


@pytest.mark.parametrize("case", SAMPLE, ids=[case.id for case in SAMPLE])
def test_nothing_is_found_where_all_is_well(case):
    f = scalar(case, importlib.import_module(f"backpass.{case.module}"))
    args = case.arguments()
    every = tuple(range(len(args)))
    want = grad(f, every)(*args)
    with detect_anomaly() as found:
        got = grad(f, every)(*args)
    for a, b in zip(want, got, strict=True):
        assert_allclose(a, b, rtol=1e-9, atol=1e-11)
    assert (found.found, found.strong_zeros) == ([], [])
