"""Random programs beside JAX: value, gradient, Hessian times a vector, forward mode."""

import numpy
import pytest

import backpass.numpy as np
from backpass.core import grad, hvp, jvp

from ..gradients.programs import Program
from .libraries import jax_namespaces

jnp = jax_namespaces()["numpy"]
jax = pytest.importorskip("jax", reason="JAX is not installed")

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")


def compare(found, right, program):
    numpy.testing.assert_allclose(found, right, rtol=1e-8, atol=1e-9, err_msg=str(program))


@pytest.mark.parametrize("seed", range(1000, 1300))
def test_a_random_program(seed):
    program = Program(seed)
    args = tuple(program.args)
    every = tuple(range(len(args)))
    random = numpy.random.default_rng(seed)
    directions = tuple(numpy.asarray(random.uniform(-1, 1, x.shape))[()] for x in args)

    def ours(*xs):
        return program(np, *xs)

    def theirs(*xs):
        return program(jnp, *xs)

    def everything(there, moved):
        gradient = jax.grad(theirs, every)
        return jax.jvp(theirs, there, moved), jax.jvp(gradient, there, moved)

    # As one compiled function: operation by operation JAX compiles each for each shape.
    found = jax.jit(everything)(tuple(map(jnp.asarray, args)), tuple(map(jnp.asarray, directions)))
    (value, tangent), (gradients, products) = found
    out, t = jvp(ours, args, directions)
    compare(out.value, value, program)
    compare(t, tangent, program)
    for found, right in zip(grad(ours, every)(*args), gradients, strict=True):
        compare(found, right, program)
    for found, right in zip(hvp(ours, args, directions), products, strict=True):
        compare(found, right, program)
