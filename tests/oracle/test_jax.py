"""The whole catalogue beside JAX: value, gradient, Hessian times a vector, forward mode."""

import importlib

import numpy
import pytest

from backpass.core import jvp, vjp

from ..gradients.cases import flat
from ..gradients.running import weights
from .libraries import DTYPES, MODULES, jax_namespaces, namespace

OURS = {name: importlib.import_module(f"backpass.{name}") for name in sorted(MODULES)}
NAMESPACES = jax_namespaces()
jax = pytest.importorskip("jax", reason="JAX is not installed")
jnp = jax.numpy

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")


def compare(found, right):
    found = numpy.asarray(getattr(found, "value", found))
    right = numpy.asarray(right)
    assert found.shape == right.shape
    if found.dtype.kind != "c":  # of a complex tangent of something real the real part counts
        right = right.real
    numpy.testing.assert_allclose(found, right, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    ("case", "dtype"), DTYPES, ids=[f"{case.id}-{dtype}" for case, dtype in DTYPES]
)
def test_the_catalogue(case, dtype):
    theirs_np = namespace("jax", NAMESPACES, case)
    args = [numpy.asarray(x)[()] for x in case.arguments(dtype, seed=1)]
    directions = [numpy.asarray(x)[()] for x in case.arguments(dtype, seed=2)]

    def ours(*xs):
        return flat(case.call(OURS[case.module], *xs))

    def theirs(*xs):
        return flat(case.call(theirs_np, *xs))

    outputs, pull = vjp(ours, *args)
    w = weights(outputs)

    def total(*xs):
        return sum(jnp.real(jnp.sum(a * out)) for a, out in zip(w, theirs(*xs), strict=True))

    def gradient(*xs):
        return list(vjp(ours, *xs)[1](w))

    def everything(there, moved):
        gradient = jax.grad(total, tuple(range(len(args))))
        return jax.jvp(theirs, there, moved), jax.jvp(gradient, there, moved)

    # As one compiled function, which is faster; JAX cannot compile an index that is a mask.
    judge = everything if "mask" in case.label else jax.jit(everything)
    found = judge(list(map(jnp.asarray, args)), list(map(jnp.asarray, directions)))
    (values, tangents), (gradients, products) = found
    for found, right in zip(outputs, values, strict=True):
        compare(found, right)
    for found, right in zip(jvp(ours, args, directions)[1], tangents, strict=True):
        compare(found, right)
    for found, right in zip(pull(w), gradients, strict=True):
        compare(found, right)
    for found, right in zip(jvp(gradient, args, directions)[1], products, strict=True):
        compare(found, right)
