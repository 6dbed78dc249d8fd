"""The engine's two forms, compiled and in Python: nothing depends on which of them has run."""

import gc
import json
import os
import pathlib
import subprocess
import sys
import textwrap

import numpy
import pytest

import backpass.numpy as np
from backpass.core import Tensor, extension, grad, graph, value_and_grad
from backpass.core.extend import elementwise, primitive
from backpass.core.graph import FREED, KNOT_EVERY, Knot, Node
from backpass.core.ops.elementwise import add, tanh

ROOT = pathlib.Path(__file__).resolve().parents[1]

#: Prints a digest of values, gradients, Hessian products, tangents and graphs of random programs.
DIGEST = """
    import hashlib, json, sys, warnings
    import numpy
    from backpass.core import extension, grad, hvp, jvp
    from backpass.core.graph import Subgraph
    from backpass.core import Tensor
    from gradients.programs import Program
    import importlib

    warnings.simplefilter("ignore")
    namespace = lambda name: importlib.import_module("backpass." + name)

    def digest(*values):
        made = hashlib.sha256()
        for value in values:
            plain = numpy.asarray(getattr(value, "value", value))
            made.update(repr((plain.shape, plain.dtype, type(value).__name__)).encode())
            made.update(plain.tobytes())
        return made.hexdigest()[:16]

    def names(f, args):
        tracked = [Tensor(x).requires_grad_() for x in args]
        order = Subgraph(f(*tracked).node, 0).order
        return [[n.primitive.name, repr(n.shape), repr(n.dtype), len(n.parents)] for n in order]

    found = {}
    for seed in map(int, sys.argv[1:]):
        program = Program(seed)
        f = lambda *xs: program(namespace, *xs)
        args = program.args
        every = tuple(range(len(args)))
        directions = [numpy.cos(x + seed) for x in args]
        gradients = grad(f, every)(*args)
        second = hvp(lambda x: f(x, *args[1:]), (args[0],), (directions[0],))
        found[seed] = [
            digest(f(*map(Tensor, args)), *gradients),
            digest(second[-1] if isinstance(second, tuple) else second),
            digest(*jvp(f, tuple(args), tuple(directions))),
            names(f, args),
        ]
    print(json.dumps({"engine": extension.engine is not None, "found": found}))
"""


def run(engine, *command):
    """Run Python with one of the engines."""
    environment = {**os.environ, "BACKPASS_ENGINE": engine}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(ROOT / "tests"), environment.get("PYTHONPATH", "")]
    )
    return subprocess.run(
        [sys.executable, *command],
        env=environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_random_programs_give_the_same_bits_and_the_same_graphs():
    seeds = [str(seed) for seed in range(60)]
    done = {}
    for engine in ("compiled", "python"):
        ran = run(engine, "-c", textwrap.dedent(DIGEST), *seeds)
        assert ran.returncode == 0, ran.stderr
        done[engine] = json.loads(ran.stdout)
    assert done["compiled"]["engine"]
    assert not done["python"]["engine"]
    for seed in seeds:
        assert done["compiled"]["found"][seed] == done["python"]["found"][seed], seed


def test_the_engine_in_python_passes_the_core_tests():
    ran = run(
        "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "packages/backpass-core/tests"
    )
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-2000:]


def test_an_unknown_engine_is_refused():
    ran = run("fast", "-c", "import backpass.core")
    assert ran.returncode != 0
    assert "BACKPASS_ENGINE='fast'" in ran.stderr
    assert "'compiled' or 'python'" in ran.stderr


# ----- the compiled one ---------------------------------------------------------------------------

needs_engine = pytest.mark.skipif(
    extension.engine is None, reason="the compiled engine is not there, or BACKPASS_ENGINE=python"
)


@needs_engine
def test_what_is_called_is_compiled():
    assert type(add.op) is extension.engine.Op
    assert type(tanh.op) is extension.engine.Op
    assert type(Tensor.__add__) is extension.engine.Op
    assert tanh.op.primitive is tanh
    assert callable(tanh.op.__wrapped__)


@needs_engine
def test_operators_work_both_ways_round():
    x = np.array([1.0, 2.0])
    cases = [
        (lambda t: 5.0 - t, -1.0, [4.0, 3.0]),
        (lambda t: t - 5.0, 1.0, [-4.0, -3.0]),
        (lambda t: numpy.array([6.0, 6.0]) / t, None, [6.0, 3.0]),
        (lambda t: 2.0**t, None, [2.0, 4.0]),
        (lambda t: t @ numpy.array([1.0, 1.0]), 1.0, 3.0),
    ]
    for f, slope, expected in cases:
        numpy.testing.assert_array_equal(f(x).value, expected)
        found = grad(lambda t, f=f: np.sum(f(t)))(x.value)
        if slope is not None:
            numpy.testing.assert_array_equal(found, [slope, slope])


def test_a_knot_ties_where_the_number_says():
    t = np.array([1.0]).requires_grad_()
    nodes = []
    for _ in range(2 * KNOT_EVERY):
        t = np.negative(t)
        nodes.append(t.node)
    for node in nodes:
        assert (type(node.parents) is Knot) == (node.serial % KNOT_EVERY == 0)
    assert sum(type(node.parents) is Knot for node in nodes) == 2


def test_an_error_in_a_function_is_raised_once_and_explained():
    calls = []

    @primitive
    def fragile(xp, x):
        calls.append(1)
        if len(calls) > 2:
            raise ValueError("broken")
        return 2 * x

    elementwise(fragile, lambda x: 2.0 + 0 * x)
    x = np.array([1.0, 2.0])
    fragile(x)  # looks the function up
    fragile(x)
    with pytest.raises(ValueError, match="broken") as caught:
        fragile(x)
    assert len(calls) == 3
    assert any("in backpass fragile: x of shape (2,)" in n for n in caught.value.__notes__)


def test_an_interrupt_passes_through():
    @primitive
    def stopped(xp, x):
        if interrupt:
            raise KeyboardInterrupt
        return 2 * x

    interrupt = False
    elementwise(stopped, lambda x: 2.0 + 0 * x)
    stopped(np.array(1.0))
    interrupt = True
    with pytest.raises(KeyboardInterrupt) as caught:
        stopped(np.array(1.0))
    assert not getattr(caught.value, "__notes__", None)


def test_a_rule_that_fails_leaves_no_half_walked_graph_behind():
    fail = True

    @primitive
    def brittle(xp, x):
        return 3.0 * x

    def rule(x):
        if fail:
            raise RuntimeError("no rule today")
        return 3.0 + 0 * x

    elementwise(brittle, rule)
    w = np.array([1.0, 2.0]).requires_grad_()
    out = np.sum(brittle(np.tanh(w)))
    with pytest.raises(RuntimeError, match="no rule today"):
        out.backward()
    assert w.grad is None
    fail = False
    np.sum(brittle(np.tanh(w))).backward()
    numpy.testing.assert_allclose(w.grad, 3 * (1 - numpy.tanh(w.value) ** 2))


@pytest.mark.parametrize("compiled", [True, False])
def test_a_graph_that_a_hook_frees_during_the_walk_is_an_error(compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(graph, "engine", None)
    w = np.array([1.0, 2.0]).requires_grad_()
    a = np.tanh(w)
    b = np.exp(a) * w
    c = b * 2.0
    out = np.sum(c * a)
    out.register_hook(lambda g: np.sum(c).backward())
    with pytest.raises(RuntimeError, match=r"freed while it was being walked.*retain_graph=True"):
        out.backward()
    # With the graph kept, both walks have their part.
    w = np.array([1.0, 2.0]).requires_grad_()
    b = np.tanh(w) * 2.0
    out = np.sum(b * w)
    out.register_hook(lambda g: np.sum(b).backward(retain_graph=True))
    out.backward()
    t = numpy.tanh(w.value)
    slope = 2 * (1 - t * t)
    numpy.testing.assert_allclose(w.grad, slope * (1 + w.value) + 2 * t)


@pytest.mark.parametrize("threshold", [1, 2, 3, 4])
def test_a_collection_may_free_the_graph_that_is_searched(threshold):
    w = np.array([1.0, 2.0]).requires_grad_()
    t = w
    for _ in range(300):
        t = np.tanh(t)
    out = np.sum(t)
    walked = []

    class Waiting:
        def __del__(self):
            self.out.backward()
            walked.append(1)

    waiting = Waiting()
    waiting.out = np.sum(t)
    waiting.itself = waiting
    node = out.node
    before, enabled = gc.get_threshold(), gc.isenabled()
    kept = [[] for _ in range(300)]  # lists are made anew from here on
    gc.disable()
    try:
        gc.set_threshold(threshold)
        del t, out, waiting
        gc.enable()
        found = graph.Subgraph(node, 0)
        gc.disable()
        assert len(kept) == 300
    finally:
        gc.set_threshold(*before)
        if enabled:
            gc.enable()
    # The order is that of a whole graph, or of one that is dead already.
    assert len(found.order) in (1, 301)
    assert all(type(n) is Node and n.shape is not None for n in found.order)
    gc.collect()
    assert walked == [1]
    numpy.testing.assert_equal(w.grad.shape, (2,))


@pytest.mark.parametrize("compiled", [True, False])
def test_a_hook_may_return_one_number_for_all(compiled, monkeypatch):
    if not compiled:
        monkeypatch.setattr(graph, "engine", None)

    def f(x):
        y = x * 2.0
        y.register_hook(lambda g: numpy.float64(5.0))
        return np.sum(y * y)

    numpy.testing.assert_array_equal(grad(f)(numpy.ones(3)), [10.0, 10.0, 10.0])


@pytest.mark.parametrize("compiled", [True, False])
def test_what_is_no_array_cannot_be_recorded(compiled):
    @primitive
    def shapeless(xp, x, y):
        return "text"

    elementwise(shapeless, lambda y: y, lambda x: x)
    call = shapeless.op if compiled else getattr(shapeless.op, "__wrapped__", shapeless.op)
    w = np.array([1.0, 2.0]).requires_grad_()
    for _ in range(2):  # the second call knows the kernel
        with pytest.raises(AttributeError, match="'str' object has no attribute 'shape'"):
            call(w, 2.0)


@needs_engine
def test_the_search_refuses_parents_that_are_no_nodes():
    node = Node(None, ("stranger",), None, None, (), None)
    with pytest.raises(TypeError, match="a parent of a Node must be a Node or None"):
        extension.engine.search(node, 0)


def test_cotangents_from_a_hook_may_lie_anywhere():
    raw = numpy.zeros(1 + 5 * 8, numpy.uint8)
    odd = raw[1:].view(numpy.float64)
    odd[...] = 3.0
    assert not odd.flags.aligned

    def f(x):
        # The walk adds: first an array of its own, then the hook's.
        y = x + 0.0
        y.register_hook(lambda g: odd)
        return np.sum(np.tanh(x)) + np.sum(y)

    x = numpy.linspace(-1.0, 1.0, 5)
    numpy.testing.assert_allclose(grad(f)(x), 4.0 - numpy.tanh(x) ** 2)
    numpy.testing.assert_array_equal(odd, 3.0)


def test_rows_that_are_read_leave_the_layout_to_the_sums():
    # In columns, what sums the cotangent would round otherwise.
    program = """
        import numpy
        import backpass.numpy as np
        from backpass.core import grad

        draw = numpy.random.default_rng(1).standard_normal
        x, first, second = draw((70, 9)), draw((9, 70)), draw((9, 70))

        def f(moved):
            y = x + moved
            row = y[1]
            return np.sum(row * 2.0) + np.sum(y.T * first) + np.sum(y.T * second)

        for moved in (0.5, draw((70, 1)), draw(9)):
            print(numpy.asarray(grad(f)(moved)).tobytes().hex())
    """
    done = [run(engine, "-c", textwrap.dedent(program)) for engine in ("compiled", "python")]
    assert len(done[0].stdout.split()) == 3, done[0].stderr
    assert done[0].stdout == done[1].stdout


def test_a_call_of_the_wrong_shape_names_it():
    for call in (
        lambda: tanh.op(),
        lambda: tanh.op(1.0, 2.0),
        lambda: add.op(1.0),
        lambda: add.op(Tensor(numpy.ones(2)), 1.0, out=None),
        lambda: tanh(),
        lambda: add(numpy.ones(2)),
    ):
        with pytest.raises(TypeError, match=r"argument|out="):
            call()


def test_values_change_hands_safely_while_a_kernel_runs():
    # In place, the Tensor's value is another array than the one that was read.
    w = np.array(numpy.arange(300_000.0)).requires_grad_()

    def f(x):
        y = x * 2.0
        y += 1.0
        return np.sum(y * x)

    value, gradient = value_and_grad(f)(w.value)
    numpy.testing.assert_allclose(gradient, 4 * w.value + 1)
    assert float(value.value) == pytest.approx(float(numpy.sum((2 * w.value + 1) * w.value)))


@needs_engine
def test_the_compiled_functions_refuse_what_they_were_not_made_for():
    engine = extension.engine
    with pytest.raises(TypeError, match=r"search\(root, start\)"):
        engine.search(1, 2)
    with pytest.raises(TypeError, match="backward"):
        engine.backward((), {}, None, True, None)
    with pytest.raises(TypeError, match="hang"):
        engine.hang((), set(), False)
    with pytest.raises(TypeError, match="collect"):
        engine.collect([], [1], {})
    with pytest.raises(TypeError):
        engine.install(Tensor=int)
    with pytest.raises((TypeError, AttributeError)):
        engine.shorten(object(), len, (False,))
    with pytest.raises(TypeError, match="one operand or of two"):
        engine.shorten(tanh, len, (False, False, False))
    with pytest.raises(TypeError):
        engine.Op()


def test_nothing_is_counted_too_often():
    x, w = numpy.arange(10.0), numpy.ones((3, 10))
    boxed = np.array(x)
    refused = []

    @primitive
    def never(xp, x):
        raise ValueError("never")

    elementwise(never, lambda x: 1.0 + 0 * x)

    def everything():
        grad(lambda x, w: np.sum(np.tanh(x * w + 2.0)) + np.max(w @ x), (0, 1))(x, w)
        grad(lambda t: np.sum(5.0 - t * t))(boxed)
        boxed.grad = None
        leaf = np.array([1.0, 2.0]).requires_grad_()
        np.sum(np.tanh(leaf) * leaf).backward()
        grad(grad(lambda s: s * s * np.tanh(s)))(2.0)
        try:
            grad(lambda x: np.sum(never(x)))(x)
        except ValueError as error:
            refused.append(str(error))

    for _ in range(20):
        everything()
    gc.collect()
    watched = [Tensor, Node, add, tanh, tanh.op, NotImplemented, FREED, boxed, x, w]
    before = [sys.getrefcount(thing) for thing in watched]
    alive = len(gc.get_objects())
    for _ in range(200):
        everything()
    gc.collect()
    after = [sys.getrefcount(thing) for thing in watched]
    assert after == before
    assert abs(len(gc.get_objects()) - alive) < 20
    assert len(refused) == 220


def test_rows_that_are_read_one_by_one_share_one_cotangent():
    x = numpy.arange(12.0).reshape(4, 3)
    weights = numpy.array([1.0, -2.0, 3.0, 0.5])

    def f(x):
        total = np.sum(x * 0.25)
        for row, w in zip(x, weights):
            total = total + w * np.sum(row * row) + row[1] + x[1:3, ::-1][0, 0] + np.sum(x[:, 2])
        return total + np.sum(x[x.value > 5.0]) + np.sum(x[[0, 0, 3]])

    expected = 0.25 + 2 * weights[:, None] * x
    expected[:, 1] += 1
    expected[1, 2] += 4
    expected[:, 2] += 4
    expected += x > 5
    expected[0] += 2
    expected[3] += 1
    numpy.testing.assert_allclose(grad(f)(x), expected)
    numpy.testing.assert_allclose(
        grad(lambda x: np.sum(grad(f)(x)))(x), numpy.outer(2 * weights, [1] * 3)
    )
    t = np.array(x).requires_grad_()
    out = f(t)
    out.backward(retain_graph=True)
    out.backward()
    numpy.testing.assert_allclose(t.grad, 2 * expected)
    numpy.testing.assert_array_equal(t.value, numpy.arange(12.0).reshape(4, 3))
