"""Programs for HIPS autograd, run by it and by `backpass.autograd`: the numbers are the same."""

import importlib
import sys
import types

import numpy
import pytest

from ..repository import ROOT

pytest.importorskip("autograd", reason="HIPS autograd is not installed")

PROGRAMS = ROOT / "packages/backpass-core/tests/autograd"
NAMES = [
    path.stem
    for path in sorted(PROGRAMS.glob("test_*.py"))
    if "\ndef results():" in path.read_text(encoding="utf-8")
]
#: How far numbers may be apart where a solver has a tolerance of its own.
TOLERANCES = {"test_differential_equation": 1e-6, "test_rosenbrock": 1e-5}

pytestmark = pytest.mark.filterwarnings("ignore:.*:DeprecationWarning")


def results(name, package):
    """Run a program's text with another package in its imports."""
    text = (PROGRAMS / f"{name}.py").read_text(encoding="utf-8")
    assert "backpass.autograd" in text
    module = types.ModuleType(f"{name}_by_{package.replace('.', '_')}")
    exec(compile(text.replace("backpass.autograd", package), name, "exec"), module.__dict__)
    return module.results()


def compare(found, expected, rtol):
    assert isinstance(found, dict) == isinstance(expected, dict)
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for key in expected:
            compare(found[key], expected[key], rtol)
    elif isinstance(expected, list | tuple):
        assert type(found) is type(expected)
        for x, y in zip(found, expected, strict=True):
            compare(x, y, rtol)
    else:
        assert numpy.shape(found) == numpy.shape(expected)
        numpy.testing.assert_allclose(found, expected, rtol=rtol, atol=rtol)


def test_the_programs_are_there():
    assert len(NAMES) == 7


@pytest.mark.parametrize("name", NAMES)
def test_both_give_the_same_numbers(name):
    expected = results(name, "autograd")
    assert "autograd" in sys.modules
    compare(results(name, "backpass.autograd"), expected, TOLERANCES.get(name, 1e-8))


def test_every_operator_is_there():
    theirs = importlib.import_module("autograd")
    ours = importlib.import_module("backpass.autograd")
    public = {
        name
        for name, found in vars(theirs).items()
        if not name.startswith("_") and (callable(found) or name in ("builtins", "extend"))
    }
    assert public <= set(ours.__all__)
