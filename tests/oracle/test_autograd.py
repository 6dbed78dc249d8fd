"""The catalogue beside HIPS autograd: value and gradient."""

import importlib

import numpy
import pytest

from backpass.core import vjp

from ..gradients.cases import flat
from ..gradients.running import weights
from .libraries import DTYPES, LIMITS, MODULES, autograd_namespaces, namespace

autograd = pytest.importorskip("autograd", reason="HIPS autograd is not installed")

OURS = {name: importlib.import_module(f"backpass.{name}") for name in sorted(MODULES)}
NAMESPACES = autograd_namespaces()

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")


@pytest.mark.parametrize(
    ("case", "dtype"), DTYPES, ids=[f"{case.id}-{dtype}" for case, dtype in DTYPES]
)
def test_the_catalogue(case, dtype):
    anp = NAMESPACES["numpy"]
    theirs_np = namespace("autograd", NAMESPACES, case)
    args = [numpy.asarray(x)[()] for x in case.arguments(dtype, seed=1)]

    def ours(*xs):
        return flat(case.call(OURS[case.module], *xs))

    outputs, pull = vjp(ours, *args)
    w = weights(outputs)

    def total(*xs):
        out = case.call(theirs_np, *xs)
        parts = [out] if hasattr(out, "shape") else list(out)
        return sum(anp.real(anp.sum(a * out)) for a, out in zip(w, parts, strict=True))

    try:
        value, gradients = autograd.value_and_grad(total, tuple(range(len(args))))(*args)
    except Exception as error:  # what it cannot do, it cannot judge
        pytest.skip(f"autograd fails: {type(error).__name__}")
    here = sum((a * numpy.asarray(out.value)).sum().real for a, out in zip(w, outputs, strict=True))
    numpy.testing.assert_allclose(value, here, rtol=1e-9, atol=1e-10)
    for found, right in zip(pull(w), gradients, strict=True):
        assert numpy.shape(found) == numpy.shape(right)
        numpy.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-10)


def test_the_limits_are_cases():
    known = {case.id for case, _ in DTYPES}
    for limits in LIMITS.values():
        assert not set(limits) - known
