"""Functions as CUDA graphs: each call does what a call of the function does."""

import dataclasses
import gc
import itertools
import threading
from types import SimpleNamespace
from typing import Any

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.cupy as cp
import backpass.numpy as np
import backpass.scipy.special as sp
from backpass.core import Tensor, grad, memory_stats, no_grad, to_device, value_and_grad
from backpass.cupy import capturing

pytestmark = pytest.mark.usefixtures("cupy", "driver")


@pytest.fixture
def driver(cupy, monkeypatch):
    """Let a stand-in for CuPy, which has no driver, count the nodes of its graphs."""
    if "stand_in" not in cupy.__file__:
        return

    def count(graph, nodes, found):
        found._obj.value = len(graphs[graph.value])
        return 0

    graphs = {}
    launch = cupy.cuda.Graph.launch

    def noted(self, stream=None):
        graphs[self.graph] = self._work
        launch(self, stream)

    monkeypatch.setattr(cupy.cuda.Graph, "launch", noted)
    monkeypatch.setattr(capturing, "_driver", lambda: SimpleNamespace(cuGraphGetNodes=count))


class Calls:
    """A function that counts how often it runs."""

    def __init__(self, fun):
        self.fun = fun
        self.__name__ = "step"
        self.count = 0

    def __call__(self, *args, **kwargs):
        self.count += 1
        return self.fun(*args, **kwargs)


def get(x):
    return x.get() if isinstance(x, cp.ndarray) else x.value.get()


# ----- a network's step --------------------------------------------------------------------------

SIZES = (784, 200, 100, 10)


def network(seed=0):
    """Return weights, an optimizer's step with a rate on the device, and the training step."""
    optimizers = pytest.importorskip("backpass.nn.optimizers")
    random = numpy.random.default_rng(seed)
    weights = [
        (
            cp.array(0.05 * random.standard_normal((m, n)).astype("f4")),
            cp.array(0.05 * random.standard_normal(n).astype("f4")),
        )
        for m, n in itertools.pairwise(SIZES)
    ]
    rate = cp.array(numpy.float32(0.05))
    run = optimizers.sgd_momentum(weights, learning_rate=rate)

    def objective(weights, x, label):
        for W, b in weights[:-1]:
            x = cp.tanh(cp.dot(x, W) + b)
        W, b = weights[-1]
        x = cp.dot(x, W) + b
        x = x - sp.logsumexp(x, axis=1, keepdims=True)
        return -cp.sum(x * label) / len(label)

    gradient = value_and_grad(objective)

    def step(x, label):
        loss, _ = gradient(weights, x, label)
        run()
        return loss

    return weights, rate, step


def digits(count, batch, seed=1):
    """Yield batches of random images and one-hot labels, on the device."""
    random = numpy.random.default_rng(seed)
    for _ in range(count):
        x = random.random((batch, SIZES[0])).astype("f4")
        label = numpy.eye(SIZES[-1], dtype="f4")[random.integers(0, SIZES[-1], batch)]
        yield to_device((x, label), "cuda")


@pytest.mark.parametrize("batch", [1, 32])
def test_a_networks_training_is_that_of_the_eager_step(batch):
    eager_weights, eager_rate, eager = network()
    weights, rate, step = network()
    calls = Calls(step)
    step = cp.capture(calls)
    losses = []
    for i, (x, label) in enumerate(digits(20, batch)):
        if i == 10:
            rate[...] = eager_rate[...] = 0.01
        losses.append((step(x, label), eager(x, label)))
    assert calls.count == 2
    for found, right in losses:
        assert_array_equal(get(found), get(right))
    for layer, eager_layer, first in zip(weights, eager_weights, network()[0], strict=True):
        for w, right, before in zip(layer, eager_layer, first, strict=True):
            assert w.grad is None
            assert_array_equal(get(w), get(right))
            assert (get(w) != get(before)).any()
    print(f"\nthe training step of {SIZES}, batch {batch}: {step.nodes} nodes")
    assert 10 <= step.nodes <= 60


# ----- calls -------------------------------------------------------------------------------------


def test_it_runs_twice_and_is_launched_from_then_on():
    calls = Calls(lambda x: cp.tanh(x) + 1.0)
    f = cp.capture(calls)
    kept = []
    for i in range(6):
        x = numpy.full(3, i / 4)
        found = f(cp.array(x))
        assert isinstance(found, Tensor)
        assert calls.count == min(i + 1, 2)
        kept.append((found, numpy.tanh(x) + 1))
    for found, right in kept:
        assert_allclose(get(found), right, rtol=1e-12)
    assert f.nodes >= 1
    assert f.__name__ == "step"
    assert repr(f) == "<captured step>"


def test_results_may_be_the_graphs_own():
    f = cp.capture(lambda x: {"twice": x * 2, "raw": (x + 1.0).value, "n": 3}, copy=False)
    for i in range(3):
        found = f(cp.array([float(i)]))
    again = f(cp.array([5.0]))
    assert get(found["twice"]) == get(again["twice"]) == 10.0
    assert get(found["raw"]) == get(again["raw"]) == 6.0
    assert again["n"] == 3
    found["twice"] += 1.0  # another Tensor each time
    assert get(f(cp.array([1.0]))["twice"]) == 2.0


def test_trees_come_and_go(cupy):
    @dataclasses.dataclass
    class State:
        x: Any
        y: Any

    def f(state, *, scale, tag=None):
        assert isinstance(state, State)
        assert isinstance(state.x, Tensor)
        assert isinstance(state.y[0], cp.ndarray)
        return {"x": state.x * scale, "y": [state.y[0] + 1, None, tag]}

    captured = cp.capture(f)
    for i in range(4):
        state = State(cp.array([float(i)]), (cupy.array([2.0 * i]),))
        found = captured(state, scale=3.0, tag="text")
        assert get(found["x"]) == 3.0 * i
        assert found["y"][0].get() == 2 * i + 1
        assert found["y"][1:] == [None, "text"]


@pytest.mark.parametrize("kind", ["array", "Tensor", "scalar"])
def test_what_lies_on_the_cpu_is_copied_there(kind):
    make = {"array": lambda i: numpy.full(4, i), "Tensor": lambda i: np.array(numpy.full(4, i))}
    make["scalar"] = lambda i: np.array(float(i))
    calls = Calls(lambda x: cp.sum(x * 2.0))
    f = cp.capture(calls)
    for i in range(5):
        assert get(f(make[kind](i))) == (2 * i if kind == "scalar" else 8 * i)
    assert calls.count == 2


def test_arguments_that_are_views():
    f = cp.capture(lambda x: x * 1.0)
    whole = numpy.arange(24.0).reshape(4, 6)
    there = cp.array(whole).value
    for view in (lambda x: x[:, ::2], lambda x: x[::-1, 3:], lambda x: x.T[:3].T):
        assert_array_equal(get(f(view(there))), view(whole))


def test_another_kind_of_argument_is_another_graph():
    calls = Calls(lambda x, n=1: x * n)
    f = cp.capture(calls)
    cases = [
        ((cp.ones(3),), 1.0),
        ((cp.ones(4),), 1.0),
        ((cp.ones(3, dtype="f4"),), 1.0),
        ((cp.ones(3).value,), 1.0),
        ((cp.ones(3), 2), 2.0),
        ((cp.ones(3), 2.0), 2.0),
        ((cp.ones(3), True), 1.0),
        ((cp.ones(3), float("nan")), numpy.nan),
    ]
    for i in range(3):
        for args, right in cases:
            assert_array_equal(get(f(*args)), right)
        assert calls.count == min(i + 1, 2) * len(cases)


def test_settings_are_part_of_the_kind():
    calls = Calls(lambda x: cp.dot(x, x))
    f = cp.capture(calls)
    x = cp.ones((2, 2), dtype="f4")
    for _ in range(3):
        f(x)
    assert calls.count == 2
    with no_grad():
        f(x)
    assert calls.count == 3
    capturing.precision.set_matmul_precision("tf32")
    try:
        f(x)
        assert calls.count == 4
    finally:
        capturing.precision.set_matmul_precision("highest")
    f(x)
    assert calls.count == 4


def test_too_many_kinds_are_noted_once():
    f = cp.capture(Calls(lambda x, n: x * n))
    for n in range(capturing.GRAPHS):
        assert get(f(cp.ones(1), n)) == n
    with pytest.warns(RuntimeWarning, match=r"step has had to be captured anew .* shape \(\)"):
        f(cp.ones(1), -1)
    assert get(f(cp.ones(1), -2)) == -2
    assert len(f._graphs) == capturing.GRAPHS
    for n in range(3):
        assert get(f(cp.ones(1), n)) == n


def test_a_captured_function_within_another():
    inner = cp.capture(lambda x: x + 1.0)
    for i in range(3):
        inner(cp.array([float(i)]))
    outer = cp.capture(lambda x: inner(x) * 2.0)
    for i in range(4):
        assert get(outer(cp.array([float(i)]))) == 2 * (i + 1)


def test_calls_of_several_threads_and_streams_take_turns(cupy):
    f = cp.capture(lambda x: cp.sum(x * x))
    f(cp.ones(1000))
    wrong = []

    def work(seed):
        with cupy.cuda.Stream(non_blocking=True):
            for i in range(20):
                found = f(cp.full(1000, float(seed + i)))
                if float(get(found)) != 1000.0 * (seed + i) ** 2:
                    wrong.append((seed, i))

    threads = [threading.Thread(target=work, args=(10 * k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert wrong == []


# ----- what it reaches ---------------------------------------------------------------------------


def test_weights_are_read_and_written_where_they_are():
    optimizers = pytest.importorskip("backpass.nn.optimizers")
    w = cp.array([1.0, 2.0])
    run = optimizers.sgd([w], learning_rate=0.25)

    def step(x):
        grad(lambda w: cp.sum((w - x) ** 2))(w)
        run()

    calls = Calls(step)
    captured = cp.capture(calls)
    right = numpy.array([1.0, 2.0])
    for i in range(8):
        captured(cp.array([float(i), 0.0]))
        right -= 0.25 * 2 * (right - [i, 0.0])
        assert_allclose(get(w), right, rtol=1e-12)
        assert w.grad is None
    assert calls.count == 2
    w[...] = 7.0  # in place: the graph goes on from there
    captured(cp.array([7.0, 7.0]))
    assert_array_equal(get(w), 7.0)
    assert calls.count == 2
    w.value = cp.array([3.0, 3.0]).value  # another array: another graph
    for count in (3, 4, 4):
        captured(cp.array([3.0, 3.0]))
        assert_array_equal(get(w), 3.0)
        assert calls.count == count


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_a_graph_counts_the_steps_of_adam(name):
    optimizers = pytest.importorskip("backpass.nn.optimizers")
    import backpass.numpy as np

    w, h = cp.array([1.0, 2.0]), np.array([1.0, 2.0])
    optimizer = getattr(optimizers, name)([w], cp.array(0.1), capturable=True)
    right = getattr(optimizers, name)([h], 0.1)

    def step(x):
        grad(lambda w: cp.sum((w - x) ** 2))(w)
        optimizers.clip_grad_norm([w], 2.0)
        optimizer.step()
        optimizer.zero_grad()

    calls = Calls(step)
    captured = cp.capture(calls)
    for i in range(8):
        captured(cp.array([float(i), 0.0]))
        h.grad = 2 * (h.value - [i, 0.0])
        optimizers.clip_grad_norm([h], 2.0)
        right.step()
        assert_allclose(get(w), h.value, rtol=1e-10)
    assert calls.count == 2
    assert optimizer.state_dict()["0.step"] == 8


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
def test_the_number_of_a_step_does_not_become_part_of_a_graph(name):
    optimizers = pytest.importorskip("backpass.nn.optimizers")
    w = cp.array([1.0])
    optimizer = getattr(optimizers, name)([w], 0.1)

    def step(x):
        grad(lambda w: cp.sum((w - x) ** 2))(w)
        optimizer.step()

    refused(step, cp.ones(1), match="make the optimizer with capturable=True", error=RuntimeError)


@pytest.mark.parametrize("permanent", [False, True])
def test_weights_that_are_arguments_too_are_not_copied(permanent):
    optimizers = pytest.importorskip("backpass.nn.optimizers")
    w = cp.array([1.0])
    if permanent:
        w.requires_grad_()
    run = optimizers.sgd([w], learning_rate=0.25)

    def objective(w, x):
        return cp.sum((w - x) ** 2)

    def step(w, x):
        if permanent:
            objective(w, x).backward()
        else:
            grad(objective)(w, x)
        run()
        return w

    captured = cp.capture(step)
    right = 1.0
    for i in range(5):
        found = captured(w, cp.array([float(i)]).value)
        right -= 0.5 * (right - i)
        assert get(w) == right
        assert found is w


def test_a_gradient_of_an_argument_is_added_to_its_grad():
    captured = cp.capture(lambda x: grad(lambda x: cp.sum(x * x))(x))
    t = cp.array([1.0, 2.0])
    for i in range(4):
        g = captured(t)
        assert_array_equal(g.get(), [2.0, 4.0])
        assert_array_equal(t.grad.get(), (i + 1) * g.get())
    other = cp.array([3.0, 0.0])
    captured(other)
    assert_array_equal(other.grad.get(), [6.0, 0.0])
    assert_array_equal(t.grad.get(), [8.0, 16.0])


RATE = 0.5


def scaled(x):
    return x * RATE


def test_a_name_that_stands_for_something_else_is_noticed(monkeypatch):
    calls = Calls(scaled)
    f = cp.capture(calls)
    for _ in range(3):
        assert get(f(cp.ones(1))) == 0.5
    monkeypatch.setitem(globals(), "RATE", 0.25)
    for _ in range(3):
        assert get(f(cp.ones(1))) == 0.25
    assert calls.count == 4


def test_memory_that_others_have_let_go_of_is_kept(cupy):
    w = cp.array(numpy.ones(1000))
    f = cp.capture(lambda x: x * w)
    x = cp.ones(1000)
    for _ in range(3):
        f(x)
    w = cp.full(1000, 2.0)
    junk = [cp.full(1000, -1.0) for _ in range(10)]
    assert_array_equal(get(f(x)), 2.0)
    assert_array_equal(get(f(x)), 2.0)
    del junk


def test_what_a_graph_has_held_is_given_back(cupy):
    gc.collect()
    before = memory_stats("cuda")
    f = cp.capture(lambda x: cp.tanh(x) * 2.0)
    for _ in range(3):
        found = f(cp.ones(1 << 20))
    del f, found
    gc.collect()
    assert memory_stats("cuda")["in_use"] == before["in_use"]


def test_results_outlive_the_graph():
    f = cp.capture(lambda x: cp.tanh(x), copy=False)
    for _ in range(3):
        found = f(cp.full(1000, 0.5))
    del f
    gc.collect()
    junk = [cp.zeros(1000) for _ in range(10)]
    assert_allclose(get(found), numpy.tanh(0.5), rtol=1e-12)
    del junk


# ----- what cannot be captured -------------------------------------------------------------------


def refused(f, *args, match, error=None):
    """Let a function be refused, twice, and check that everything can go on."""
    captured = cp.capture(f)
    captured(*args)
    for _ in range(2):
        with pytest.raises(error or cp.CaptureError, match=match) as caught:
            captured(*args)
        assert not capturing.capturing()
    assert get(cp.sum(cp.ones(3))) == 3.0
    good = cp.capture(lambda x: x * 2.0)
    for _ in range(3):
        assert get(good(cp.ones(1))) == 2.0
    return caught.value


BLOCKING = {
    "float": lambda x: float(cp.sum(x)),
    "bool": lambda x: bool(cp.max(x) > 0),
    "get": lambda x: x.value.get(),
    "to_device": lambda x: to_device(x, "cpu"),
    "an array of the CPU": lambda x: x * cp.array([1.0, 2.0, 3.0]),
    "repr": lambda x: repr(x),
    "a mask": lambda x: x[x > 0],
    "random.randn": lambda x: x * cp.random.randn(3),
    "solve": lambda x: cp.linalg.solve(cp.eye(3), x),
}


@pytest.mark.parametrize("name", BLOCKING)
def test_what_waits_for_the_gpu_is_named(name):
    error = refused(BLOCKING[name], cp.ones(3), match=r"cannot be captured as a CUDA graph")
    text = str(error)
    assert f"{__file__}:" in text
    assert "lambda x: " in text  # the line
    assert "nothing may wait for the GPU" in text
    assert error.__cause__ is not None


def test_the_operation_is_named():
    error = refused(BLOCKING["a mask"], cp.ones(3), match="because of getitem at ")
    assert isinstance(error, RuntimeError)


def test_an_error_of_the_functions_own_is_raised_as_it_is():
    seen = []

    def f(x):
        if seen:
            raise KeyError("mine")
        seen.append(1)
        return x

    refused(f, cp.ones(3), match="mine", error=KeyError)


def test_a_first_call_that_fails_is_none():
    seen = []

    def f(x):
        seen.append(len(seen))
        if len(seen) == 1:
            raise KeyError("not yet")
        return x * 2.0

    captured = cp.capture(f)
    with pytest.raises(KeyError, match="not yet"):
        captured(cp.ones(1))
    for i in range(1, 5):
        assert get(captured(cp.full(1, float(i)))) == 2 * i
    assert seen == [0, 1, 2]


def test_a_schedule_is_refused_and_leaves_the_weights_as_they_are():
    optimizers = pytest.importorskip("backpass.nn.optimizers")
    w = cp.array([1.0])
    run = optimizers.sgd([w], learning_rate=lambda step: 0.25)

    def step(x):
        grad(lambda w: cp.sum(w * x))(w)
        run()

    refused(step, cp.ones(1), match=r"is a function.*rate\[\.\.\.\]", error=RuntimeError)
    assert get(w) == 0.75
    assert w.grad is None
    step(cp.ones(1))
    assert get(w) == 0.5


def test_a_weight_that_gets_another_array_is_noticed():
    w = cp.array([1.0]).requires_grad_()

    def step(x):
        nonlocal w
        w -= 0.5 * x  # a permanent leaf gets a new array

    error = refused(step, cp.ones(1), match=r"reached through w, another array.*w\[\.\.\.\] = x")
    assert "shape (1,)" in str(error)
    assert get(w) == 0.5  # of the one call that ran


def test_a_weight_whose_array_somebody_holds_is_noticed():
    optimizers = pytest.importorskip("backpass.nn.optimizers")
    w = cp.array([1.0])
    run = optimizers.sgd([w], learning_rate=0.25)
    held = []

    def step(x):
        grad(lambda w: cp.sum(w * x))(w)
        run()

    captured = cp.capture(step)
    captured(cp.ones(1))
    held.append(w.value)
    with pytest.raises(cp.CaptureError, match="let nothing else hold its array"):
        captured(cp.ones(1))
    assert w.value is held.pop() or get(w) == 0.75
    assert w.grad is None
    for i in range(3):
        captured(cp.ones(1))
        assert get(w) == 0.5 - 0.25 * i


def test_a_gradient_that_is_left_is_noticed():
    w = cp.array([1.0])

    def step(x):
        w.grad = None
        grad(lambda w: cp.sum(w * x))(w)

    refused(step, cp.ones(1), match=r"changes \.grad .* reached through w.*argnums")
    assert_array_equal(w.grad.get(), [1.0])  # of the one call that ran


def test_results_that_are_put_elsewhere_are_noticed():
    losses, state = [], {"h": cp.zeros(2).value}

    def appending(x):
        losses.append(cp.sum(x))

    def replacing(x):
        state["h"] = state["h"] + x.value

    refused(appending, cp.ones(2), match="puts other arrays into what it reaches through losses")
    refused(replacing, cp.ones(2), match="puts other arrays into what it reaches through state")


def test_tracked_tensors_are_refused():
    f = cp.capture(lambda x: x * 2.0)
    with pytest.raises(TypeError, match="an argument is a tracked Tensor"):
        grad(lambda x: cp.sum(f(x)))(cp.ones(2))
    w = cp.ones(2).requires_grad_()
    refused(lambda x: x * w, cp.ones(2), match="returns a tracked Tensor", error=TypeError)


def test_arguments_without_a_hash_are_refused():
    f = cp.capture(lambda x: x)
    with pytest.raises(TypeError, match="an argument is a bytearray, which is no array"):
        f(bytearray(3))


def test_nodes_before_there_are_any():
    f = cp.capture(Calls(lambda x: x))
    f(cp.ones(1))
    with pytest.raises(cp.CaptureError, match="step has not been captured yet"):
        f.nodes  # noqa: B018 - asking raises


def test_out_of_memory_while_capturing(cupy):
    def f(x):
        return cp.exp(cp.broadcast_to(x, (1 << 40,)))[0] if large else x

    large = False
    captured = cp.capture(f)
    captured(cp.ones(1))
    captured(cp.ones(1))
    large = True
    with pytest.raises(cp.OutOfMemory, match="were asked for"):
        captured(cp.ones(1))
    assert not capturing.capturing()
    large = False
    assert get(captured(cp.ones(1))) == 1.0
