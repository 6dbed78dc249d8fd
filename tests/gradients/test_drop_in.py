"""The catalogue through the drop-in's namespaces: plain for plain arrays, Tensors for tracked."""

import importlib

import numpy
import pytest

from backpass.core import Tensor, vjp

from .cases import flat
from .catalogue import CASES as EVERY_CASE

CASES = [case for case in EVERY_CASE if case.mirrors]
NAMESPACES = {
    module: importlib.import_module(f"backpass.autograd.{module}")
    for module in sorted({case.module for case in CASES})
}
OURS = {module: importlib.import_module(f"backpass.{module}") for module in NAMESPACES}


def outputs(case, namespaces, args):
    return flat(case.call(namespaces[case.module], *args))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_plain_arrays_give_plain_arrays(case):
    found = outputs(case, NAMESPACES, case.arguments())
    expected = outputs(case, OURS, case.arguments())
    assert len(found) == len(expected)
    for x, y in zip(found, expected, strict=True):
        if case.name != "setitem":  # a call that writes makes its own Tensors
            assert not isinstance(x, Tensor)
        value = y.value if isinstance(y, Tensor) else y
        numpy.testing.assert_allclose(
            x.value if isinstance(x, Tensor) else x, value, rtol=1e-10, atol=1e-12
        )
        assert numpy.shape(x) == numpy.shape(value)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_tracked_arrays_give_the_same_gradients(case):
    made, tracked = [], []
    for namespaces in (NAMESPACES, OURS):

        def f(*xs, namespaces=namespaces):
            found = outputs(case, namespaces, xs)
            tracked.append([isinstance(t, Tensor) and t.tracked for t in found])
            return found

        found, pull = vjp(f, *case.arguments())
        values = [numpy.asarray(t.value if isinstance(t, Tensor) else t) for t in found]
        made.append(pull([numpy.cos(numpy.arange(v.size)).reshape(v.shape) for v in values]))
    assert tracked[0] == tracked[1]
    assert any(tracked[0])
    for x, y in zip(*made, strict=True):
        numpy.testing.assert_allclose(x, y, rtol=1e-12, atol=1e-12)
