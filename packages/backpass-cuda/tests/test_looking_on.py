"""`detect_anomaly` and `profile` on the GPU."""

import numpy
import pytest
from numpy.testing import assert_allclose

import backpass.cupy as cp
from backpass.core import AnomalyError, detect_anomaly, grad, profile

pytestmark = pytest.mark.usefixtures("cupy")


def test_the_first_operation_and_rule_that_are_not_finite(cupy):
    x = cupy.asarray([0.0, 1.0], dtype="float32")
    said = r"float32 of shape \(2,\) on 'cuda'"
    with pytest.raises(AnomalyError, match=said) as raised, detect_anomaly():
        grad(lambda x: cp.sum(cp.log(x)))(x)
    assert raised.value.anomaly.operation == "log"
    with pytest.raises(AnomalyError) as raised, detect_anomaly():
        grad(lambda x: cp.sum(cp.sqrt(x)))(x)
    assert (raised.value.anomaly.kind, raised.value.anomaly.operation) == ("derivative", "sqrt")


def test_strong_zeros_of_rules_that_are_one_kernel(cupy, recwarn):
    with detect_anomaly() as found:
        g = grad(lambda x: cp.sum(cp.sqrt(x) ** 2))(cupy.asarray([0.0, 1.0]))
    assert_allclose(cupy.asnumpy(g), [0, 1])
    assert [zero.operation for zero in found.strong_zeros] == ["sqrt"]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "complex64"])
@pytest.mark.parametrize("size", [3, 200])
def test_arrays_that_were_written_to(cupy, dtype, size):
    y = cupy.asarray(numpy.arange(1, size + 1).astype(dtype))

    def loss(x, change):
        out = cp.sum(cp.real(x * y)) * 0.001
        if change:
            y[:] = y[::-1].copy()
        return out

    with detect_anomaly() as found:
        grad(loss)(cupy.ones((), dtype), False)
    assert found.found == []
    with pytest.raises(AnomalyError) as raised, detect_anomaly():
        grad(loss)(cupy.ones((), dtype), True)
    assert (raised.value.anomaly.kind, raised.value.anomaly.operand) == ("changed", "y")


def test_each_operation_is_waited_for_and_the_rows_add_up(cupy, monkeypatch):
    waits = []
    stream = type(cupy.cuda.get_current_stream())
    wait = stream.synchronize
    monkeypatch.setattr(stream, "synchronize", lambda self: waits.append(1) or wait(self))
    x = cupy.ones(1000)
    with profile() as p:
        grad(lambda x: cp.sum(cp.tanh(x)))(x)
    calls = {(r.operation, r.phase): r.calls for r in p.rows}
    assert calls["tanh", "forward"] == calls["tanh", "backward"] == 1
    assert len(waits) >= 8
    assert abs(sum(r.time for r in p.rows) - p.wall) < 1e-8
    assert next(r for r in p.rows if r.phase == "forward" and r.operation == "tanh").kept == 8000


def test_a_captured_function_is_run_while_somebody_looks_on(cupy):
    @cp.capture
    def f(x):
        return cp.tanh(x)

    x = cupy.ones(3)
    for _ in range(2):
        f(x)
    with profile() as p:
        assert_allclose(cupy.asnumpy(f(x).value), numpy.tanh(numpy.ones(3)))
    assert ("tanh", 1) in [(r.operation, r.calls) for r in p.rows]
