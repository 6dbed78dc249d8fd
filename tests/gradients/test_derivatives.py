"""The derivatives, in reverse and forward mode to second order, are those of the differences."""

import numpy
import pytest

from backpass.core.testing import check_grads

from .catalogue import CASES
from .running import function, gradients, tangents

IDS = [case.id for case in CASES]
COMPLEX = [case for case in CASES if case.complex]


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_real_derivatives(case, backend):
    args = [backend.put(x) for x in case.arguments()]
    check_grads(function(case, backend), args, order=case.order, rtol=case.rtol)


@pytest.mark.parametrize("case", COMPLEX, ids=[case.id for case in COMPLEX])
def test_complex_derivatives(case, backend):
    args = [backend.put(x) for x in case.arguments("complex128")]
    check_grads(function(case, backend), args, order=case.order, rtol=case.rtol)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_single_precision_stays_single(case, backend):
    args = [backend.put(x) for x in case.arguments("float32")]
    wanted = gradients(case, backend, [backend.put(x) for x in case.arguments()])
    for x, g, right in zip(args, gradients(case, backend, args), wanted, strict=True):
        assert g.dtype == numpy.float32
        assert g.shape == x.shape
        numpy.testing.assert_allclose(g, right, rtol=2e-3, atol=2e-4)
    outputs = function(case, backend)(*args)
    for out, t in zip(outputs, tangents(case, backend, args), strict=True):
        assert t.dtype == backend.fetch(out).dtype
        assert t.shape == out.shape
