"""`explain` of what is computed on the GPU: the data stay there, what is shown comes over."""

import numpy
import pytest
from numpy.testing import assert_allclose

import backpass.cupy as cp
from backpass.core import explain, grad

pytestmark = pytest.mark.usefixtures("cupy")


def network(w, x):
    h = cp.tanh(x @ w[0] + w[1])
    return cp.mean(cp.where(h > 0, h, 0.1 * h) ** 2) + cp.max(h)


@pytest.mark.parametrize("rows", [3, 100])
def test_an_explanation(rows):
    random = numpy.random.default_rng(0)
    x = cp.array(random.standard_normal((rows, 4)).astype("float32"))
    w = [cp.array(random.standard_normal(s).astype("float32")) for s in ((4, 2), (2,))]
    explained = explain(network, 0)(w, x)
    for g, other in zip(explained.gradients, grad(network, 0)(w, x), strict=True):
        assert type(g) is type(other)
        assert g.get().tobytes() == other.get().tobytes()
    on_device = [v for v in explained.variables if v.kind in ("argument", "operation")]
    assert {v.value.device for v in on_device} == {"cuda"}
    text = str(explained)
    assert "dw[0] = c1.T @ dv1" in text
    assert "dtype" not in text
    assert ("float32: min" in text) == (rows == 100)
    # The same numbers as on the CPU.
    here = explain(network_on_the_cpu, 0)([t.value.get() for t in w], x.value.get())
    for ours, theirs in zip(explained.variables, here.variables, strict=True):
        assert ours.call == theirs.call
        for one, other in ((ours.value, theirs.value), (ours.cotangent, theirs.cotangent)):
            if one is not None:
                assert_allclose(
                    list(one.statistics.values()), list(other.statistics.values()), rtol=1e-4
                )


def network_on_the_cpu(w, x):
    import backpass.numpy as np

    h = np.tanh(x @ w[0] + w[1])
    return np.mean(np.where(h > 0, h, 0.1 * h) ** 2) + np.max(h)
