"""The values are NumPy's and SciPy's: numbers, shapes and dtypes."""

import numpy
import pytest

from backpass.core import Tensor, vjp

from .catalogue import CASES
from .running import expected, function

DTYPES = [(case, "float64") for case in CASES] + [
    (case, dtype)
    for case in CASES
    for dtype in ("float32", "complex128")
    if dtype == "float32" or case.complex
]


@pytest.mark.parametrize(
    ("case", "dtype"), DTYPES, ids=[f"{case.id}-{dtype}" for case, dtype in DTYPES]
)
def test_the_value_is_numpys(case, dtype, backend):
    args = case.arguments(dtype)
    wanted = expected(case, [numpy.array(x)[()] for x in args])
    f, there = function(case, backend), [backend.put(x) for x in args]
    limit = max(2e-5 if dtype == "float32" else 1e-12, case.near)
    # What is recorded may be computed in another way than what is not.
    for found in (f(*map(Tensor, there)), vjp(f, *there)[0]):
        assert len(found) == len(wanted)
        for tensor, right in zip(found, wanted, strict=True):
            assert isinstance(tensor, Tensor)
            value = backend.fetch(tensor)
            assert value.shape == right.shape
            assert value.dtype == right.dtype
            if case.phases:
                value, right = abs(value), abs(right)
            numpy.testing.assert_allclose(value, right, rtol=limit, atol=limit)
