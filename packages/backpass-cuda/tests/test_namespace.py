"""`backpass.cupy` has the names of `backpass.numpy`, over the same functions."""

import numpy
import pytest

import backpass.cupy as cp
import backpass.numpy as np
from backpass.core.ops import FUNCTIONS
from backpass.core.ops.creation import Creation

OWN = set(
    "CaptureError Captured CupyBackend DeviceUnavailable OutOfMemory capture get_matmul_precision "
    "prefetch set_matmul_precision".split()
)
#: What CuPy does not have.
MISSING = frozenset(
    "False_ ScalarType True_ clongdouble errstate geterr geterrcall longdouble seterr "
    "seterrcall".split()
)
#: What is a module of this package's own.
TAKEN = {"exceptions"}
#: What CuPy does not have, and the primitives make.
BEYOND = frozenset(
    "__array_namespace_info__ block geomspace insert matvec nanpercentile nanquantile unstack "
    "vecdot vecmat".split()
)


def test_the_names_are_those_of_numpy():
    assert set(cp.__all__) - OWN == set(np.__all__) - MISSING - TAKEN
    assert len(cp.__all__) == len(set(cp.__all__))


def test_the_names_of_random_are_those_of_numpy():
    assert cp.random.__all__ == np.random.__all__


@pytest.mark.parametrize("name", cp.__all__)
def test_every_name_exists(name):
    assert getattr(cp, name) is not None or name == "newaxis"


@pytest.mark.parametrize("name", cp.random.__all__)
def test_every_name_of_random_exists(name):
    assert callable(getattr(cp.random, name))


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) & set(cp.__all__)))
def test_the_functions_are_the_same(name):
    assert getattr(cp, name) is getattr(np, name)


@pytest.mark.parametrize("name", [name for name in vars(Creation) if not name.startswith("_")])
def test_what_makes_arrays_is_of_the_own_library(name):
    assert getattr(cp, name).__self__ is not getattr(np, name).__self__


@pytest.mark.parametrize("name", ["fft", "linalg"])
def test_the_submodules_are_the_own_ones(name):
    assert getattr(cp, name).__name__ == f"backpass.cupy.{name}"


def test_a_name_that_is_left_out_says_what_to_use():
    with pytest.raises(AttributeError, match=r"backpass.cupy has no 'save': .*t.value"):
        cp.save  # noqa: B018 - looking it up raises


def test_dtypes_and_constants_are_numpys():
    assert cp.float32 is numpy.float32
    assert cp.pi == numpy.pi
    assert cp.newaxis is None


@pytest.mark.parametrize("name", sorted(set(cp.__all__) - OWN - BEYOND))
def test_cupy_has_the_name(name, cupy):
    assert hasattr(cupy, name)
