"""What the suite of backpass-core shares: the same test with and without the compiled kernels."""

import importlib
import pkgutil

import numpy
import pytest

from backpass.core import backends, ops
from backpass.core.primitive import Primitive


def _primitives():
    """Return every primitive that a module of `ops` holds."""
    found = {}
    for info in pkgutil.walk_packages(ops.__path__, f"{ops.__name__}."):
        module = importlib.import_module(info.name)
        found |= {id(v): v for v in vars(module).values() if isinstance(v, Primitive)}
    return list(found.values())


def _forget(primitives):
    for primitive in primitives:
        primitive.kernels.clear()
        primitive.pulls.clear()


@pytest.fixture
def numpy_alone():
    """Take the compiled kernels away: NumPy computes everything."""
    primitives = _primitives()
    kernels = backends.NUMPY.kernels
    object.__setattr__(backends.NUMPY, "kernels", {})
    _forget(primitives)
    yield
    object.__setattr__(backends.NUMPY, "kernels", kernels)
    _forget(primitives)


@pytest.fixture(params=["kernels", "numpy alone"])
def arithmetic(request):
    """Run the test twice: with the compiled kernels, and with NumPy alone."""
    if request.param == "numpy alone":
        request.getfixturevalue("numpy_alone")
    return request.param


@pytest.fixture(params=["float64", "float32"])
def dtype(request):
    """Run the test in double and in single precision."""
    return numpy.dtype(request.param)


@pytest.fixture
def quiet():
    """Let NumPy compute nan and infinity without a word, as at a corner it must."""
    with numpy.errstate(all="ignore"):
        yield
