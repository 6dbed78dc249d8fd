"""Random programs beside JAX: value, gradient, Hessian times a vector, forward mode."""

import numpy
import pytest

from backpass.core import grad, hvp, jvp

from ..gradients.places import numpy_with_kernels
from ..gradients.programs import Program
from ..repository import ROOT
from .judging import Judges, directions

pytest.importorskip("jax", reason="JAX is not installed")

FIRST, PROGRAMS, TOGETHER = 1000, 2000, 50


@pytest.fixture(scope="module")
def judges():
    """Give the processes in which JAX works; they import this package from the root."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        made = Judges()
        yield made
        made.close()


def ours(program):
    """Return value and tangent, then the gradients and the Hessian products."""
    args, moved = tuple(program.args), directions(program)
    with numpy_with_kernels() as place:

        def run(*xs):
            return program(place.namespace, *xs)

        value, tangent = jvp(run, args, moved)
        gradients = grad(run, tuple(range(len(args))))(*args)
        return [value.value, tangent, *gradients, *hvp(run, args, moved)]


def compare(program, found, right):
    count = range(len(program.args))
    names = [
        "value",
        "tangent",
        *(f"gradient {i}" for i in count),
        *(f"product {i}" for i in count),
    ]
    for name, a, b in zip(names, found, right, strict=True):
        assert a.shape == b.shape, f"{name}: {program}"
        assert a.dtype == b.dtype, f"{name}: {program}"
        # A small entry beside large ones has their rounding.
        limit = 1e-9 * (1 + abs(b).max())
        numpy.testing.assert_allclose(a, b, rtol=1e-8, atol=limit, err_msg=f"{name}: {program}")


@pytest.mark.parametrize("first", range(FIRST, FIRST + PROGRAMS, TOGETHER))
def test_random_programs(first, judges, subtests):
    for seed, right in judges.judge(range(first, first + TOGETHER)):
        program = Program(seed)
        with subtests.test(program=str(program)):
            found = ours(program)
            try:
                if right is not None:
                    compare(program, found, right)
                    continue
            except AssertionError:
                right = judges.appeal(seed)
            if right is None:
                pytest.skip("JAX's compiler aborts")
            compare(program, found, right)
