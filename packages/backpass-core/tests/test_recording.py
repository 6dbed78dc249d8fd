"""What is recorded and what is not; how long a graph lives; leaving it on purpose."""

import gc
import threading
import tracemalloc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.numpy as np
from backpass.core import (
    Tensor,
    checkpoint,
    grad,
    jvp,
    no_grad,
    stop_gradient,
    value_and_grad,
    vjp,
)
from backpass.core.graph import FREED, Node


def leaf(*values):
    return np.array([float(v) for v in values]).requires_grad_()


def nodes():
    gc.collect()
    return sum(type(o) is Node for o in gc.get_objects())


# ----- what is tracked ----------------------------------------------------------------------------


def test_data_and_constants_are_not_tracked():
    x = np.array([1.0, 2.0])
    for t in (x, x + 1, np.tanh(x), x[0], np.concatenate([x, x]), np.zeros(3), np.random.randn(2)):
        assert not t.tracked
        assert t.node is None
        assert t.parents is None


def test_grad_gives_fresh_tensors_that_share_the_value():
    x = np.array([1.0, 2.0])
    seen = []

    def f(t):
        seen.append(t)
        assert t.tracked
        assert t is not x
        return np.sum(t)

    grad(f)(x)
    assert seen[0].value is x.value
    assert not x.tracked


def test_an_operation_is_recorded_if_one_operand_is_tracked():
    w, x = leaf(1, 2), np.array([3.0, 4.0])
    assert (w * x).tracked
    assert (x * w).tracked
    assert not (x * x).tracked
    assert np.concatenate([x, w]).tracked
    assert np.where([True, False], x, w).tracked
    assert not np.where(w > 1, x, x).tracked


def test_results_that_are_no_floats_are_not_tracked():
    w = leaf(1, 2)
    for t in (w > 1, np.argmax(w), np.isnan(w), w.astype(int), np.floor(w), np.sign(w)):
        assert not t.tracked


def test_a_tracked_keyword_is_tracked_like_any_operand():
    x = numpy.array([0.5, 2.0])
    assert grad(lambda hi: np.sum(np.clip(x, a_min=0.0, a_max=hi)))(1.0) == 1.0
    assert grad(lambda y: np.sum(np.full(3, y)))(1.0) == 3.0
    assert grad(lambda y: np.sum(np.full(3, fill_value=y)))(1.0) == 3.0


# ----- flat memory --------------------------------------------------------------------------------


def test_descent_on_plain_tensors_keeps_no_graph():
    w = np.array(numpy.ones(1000))
    step = grad(lambda w: np.sum(w * w))
    for _ in range(20):
        w = w - 0.01 * step(w)
    before = nodes()
    tracemalloc.start()
    for _ in range(500):
        w = w - 0.01 * step(w)
        w.grad = None
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert w.node is None
    assert nodes() == before
    assert held < 100_000


def test_a_running_total_of_losses_stays_flat_under_grad():
    w = np.array(numpy.ones(10))
    total = 0.0
    losses = []

    def loss(w):
        nonlocal total
        out = np.sum(w * w)
        total += out
        losses.append(out)
        return out

    for _ in range(3):
        grad(loss)(w)
    before = nodes()
    for _ in range(50):
        grad(loss)(w)
    assert total.value == pytest.approx(530.0)
    assert not any(t.tracked for t in losses)
    assert nodes() <= before + 1


def test_a_running_total_of_losses_stays_flat_under_backward():
    w = leaf(1, 2)
    total = 0.0
    for i in range(50):
        loss = np.sum(w * w)
        loss.backward()
        total += loss
        if i == 3:
            before = nodes()
    assert nodes() <= before
    assert total.node is FREED
    assert float(total.value) == 250.0


def test_a_graph_that_is_not_used_is_freed_at_once():
    w = leaf(1, 2)
    gc.collect()
    gc.disable()
    try:
        y = np.tanh(w) * 2
        node = weakref.ref(y.node)
        del y
        assert node() is None
    finally:
        gc.enable()


def test_a_call_of_grad_leaves_no_garbage_cycles():
    w = np.array([1.0, 2.0])
    run = grad(lambda w: np.sum(np.tanh(w) ** 2))
    run(w)
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            run(w)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_a_rule_keeps_only_what_it_names():
    w = leaf(*range(10))
    x = np.array(numpy.ones(10))
    value = weakref.ref(x.value)
    y = x + w
    del x
    assert value() is None
    assert y.tracked


# ----- the lives of graphs ------------------------------------------------------------------------


def test_a_tensor_kept_from_inside_is_dead_afterwards():
    kept = []

    def f(x):
        kept.append(np.sum(x * x))
        return kept[-1]

    grad(f)(np.array([1.0, 2.0]))
    (t,) = kept
    assert not t.tracked
    assert t.node is None
    assert t.value == 5.0
    assert not (t * 2).tracked
    assert float(t) == 5.0


@pytest.mark.parametrize("transformation", [grad, value_and_grad])
def test_a_kept_argument_is_dead_afterwards(transformation):
    kept = []

    def f(x):
        kept.append(x)
        return np.sum(x)

    transformation(f)(np.array([1.0, 2.0]))
    assert not kept[0].tracked


def test_a_kept_argument_that_the_result_does_not_use_is_dead_afterwards():
    kept = []

    def f(x, y):
        kept.append(y * 2)
        return np.sum(x)

    grad(f, (0, 1))(np.array([1.0]), np.array([1.0]))
    assert not kept[0].tracked
    assert not (kept[0] + 1).tracked


def test_a_kept_tensor_can_be_used_in_the_next_call_as_a_constant():
    kept = [np.array(1.0)]

    def f(x):
        out = x * kept[-1]
        kept.append(out)
        return out

    assert grad(f)(2.0) == 1.0
    assert grad(f)(3.0) == 2.0


def test_backward_works_below_permanent_leaves():
    w, x = leaf(1, 2), np.array([3.0, 4.0])
    np.sum(np.tanh(w * x)).backward()
    assert_allclose(w.grad, x.value * (1 - numpy.tanh(w.value * x.value) ** 2))
    assert x.grad is None


def test_backward_accumulates_out_of_place():
    w = leaf(1, 2)
    np.sum(w * w).backward()
    first = w.grad
    np.sum(w * w).backward()
    assert_array_equal(w.grad, [4.0, 8.0])
    assert_array_equal(first, [2.0, 4.0])


def test_backward_on_the_leaf_itself():
    w = np.array(2.0).requires_grad_()
    w.backward()
    w.backward()
    assert w.grad == 2.0


def test_backward_of_nothing_says_what_to_do():
    with pytest.raises(RuntimeError, match="nothing was recorded: call requires_grad_"):
        np.sum(np.array([1.0]) * 2).backward()


def test_a_second_backward_names_retain_graph():
    loss = np.sum(leaf(1, 2) ** 2)
    loss.backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        loss.backward()


def test_retain_graph_allows_a_second_backward():
    w = leaf(1, 2)
    loss = np.sum(w**2)
    loss.backward(retain_graph=True)
    loss.backward()
    assert_array_equal(w.grad, [4.0, 8.0])
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        loss.backward()


def test_a_walk_into_a_freed_graph_names_retain_graph():
    w = leaf(1, 2)
    hidden = np.tanh(w)
    np.sum(hidden).backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        np.sum(hidden * w).backward()
    with pytest.raises(RuntimeError, match="retain_graph=True"):
        grad(lambda x: np.sum(x * hidden))(np.array([1.0, 2.0]))


def test_two_losses_over_one_hidden_layer_need_retain_graph():
    w = leaf(1.0)
    hidden = w * w
    np.sum(hidden * 2).backward(retain_graph=True)
    np.sum(hidden * 3).backward()
    assert_allclose(w.grad, [10.0])


def test_a_graph_at_the_top_survives_a_call_of_grad():
    w = leaf(1, 2)
    hidden = w * w
    loss = np.sum(hidden)
    grad(lambda x: np.sum(x * x))(np.array([1.0]))
    grad(lambda x: np.sum(x * hidden), 0)(numpy.array([1.0, 2.0]))
    assert hidden.tracked
    loss = loss + np.sum(hidden)
    loss.backward()
    assert_array_equal(w.grad, [4.0, 8.0])


def test_a_graph_in_one_thread_survives_grad_in_another():
    w = leaf(1, 2)
    go, done = threading.Event(), threading.Event()

    def other():
        go.wait()
        grad(lambda x: np.sum(x * x))(np.array([1.0]))
        done.set()

    def f(x):
        y = x * x
        go.set()
        done.wait()
        assert y.tracked
        return np.sum(y * w)

    thread = threading.Thread(target=other)
    thread.start()
    g = grad(f)(np.array([3.0, 4.0]))
    thread.join()
    assert_array_equal(g, [6.0, 16.0])
    assert_array_equal(w.grad, [9.0, 16.0])


def test_what_a_pull_needs_survives_a_call_of_grad():
    _, pull = vjp(lambda x: np.tanh(x), 0.5)
    grad(lambda x: x * x)(1.0)
    assert pull(1.0)[0] == pytest.approx(1 - numpy.tanh(0.5) ** 2)
    out = grad(lambda y: y * pull(1.0)[0])(2.0)
    assert out == pytest.approx(1 - numpy.tanh(0.5) ** 2)


def test_backward_with_a_gradient():
    w = leaf(1, 2)
    (w * w).backward([1.0, 10.0])
    assert_array_equal(w.grad, [2.0, 40.0])
    with pytest.raises(ValueError, match="`gradient` has shape"):
        (w * w).backward([1.0])
    with pytest.raises(TypeError, match="needs `gradient`"):
        (w * w).backward()


def test_backward_inside_a_differentiated_function_is_refused():
    w = leaf(1, 2)

    def f(x):
        np.sum(w * w).backward()
        return np.sum(x)

    with pytest.raises(RuntimeError, match="use grad"):
        grad(f)(np.array([1.0]))


def test_a_chain_of_100_000_operations_works():
    def chain(x):
        for _ in range(100_000):
            x = x + 1e-9
        return x

    assert grad(chain)(1.0) == 1.0


def test_dropping_an_unused_long_graph_does_not_overflow_the_stack():
    x = leaf(1.0)
    y = x
    for _ in range(300_000):
        y = y + 1.0
    del y
    assert x.grad is None


def test_a_diamond_of_many_levels_is_walked_once_a_node():
    def f(x):
        for _ in range(60):
            x = x + x
        return x

    assert grad(f)(1.0) == 2.0**60


# ----- permanent leaves ---------------------------------------------------------------------------


def test_requires_grad_makes_a_leaf_and_takes_it_away():
    w = np.array([1.0])
    assert w.requires_grad_() is w
    assert w.requires_grad
    assert w.parents == ()
    node = w.node
    assert w.requires_grad_().node is node
    assert not w.requires_grad_(False).tracked


def test_requires_grad_refuses_integers_and_results():
    with pytest.raises(TypeError, match="needs floats"):
        np.array([1, 2]).requires_grad_()
    with pytest.raises(RuntimeError, match="detach"):
        (leaf(1.0) * 2).requires_grad_()


def test_requires_grad_leaves_an_argument_of_grad_as_it_is():
    def f(x):
        return np.sum(x.requires_grad_() ** 2)

    assert_array_equal(grad(f)(np.array([1.0, 2.0])), [2.0, 4.0])


def test_a_leaf_that_is_gone_takes_no_gradient():
    w = leaf(1.0)
    y = np.sum(w * 3)
    del w
    gc.collect()
    y.backward()
    assert not y.tracked or y.node is FREED


def test_grad_reaches_permanent_leaves_through_closures():
    w, x = leaf(1, 2), np.array([3.0, 4.0])
    g = grad(lambda x: np.sum(w * w * x))(x)
    assert_array_equal(g, [1.0, 4.0])
    assert_array_equal(w.grad, [6.0, 16.0])
    assert_array_equal(x.grad, g)


def test_pure_grad_takes_permanent_leaves_for_constants():
    w = leaf(1, 2)
    g = grad(lambda x: np.sum(w * w * x * x), 0)(numpy.array([3.0, 4.0]))
    assert type(g) is numpy.ndarray
    assert_array_equal(g, [6.0, 32.0])
    assert w.grad is None


def test_a_leaf_may_be_argument_and_closure():
    w = leaf(1, 2)
    g = grad(lambda v: np.sum(v * w))(w)
    assert_array_equal(g, [1.0, 2.0])
    assert_array_equal(w.grad, [2.0, 4.0])


def test_a_gradient_penalty_through_a_closure():
    w, x = leaf(1, 2), np.array([3.0, 4.0])

    def penalty(x):
        return np.sum(grad(lambda y: np.sum(w * y * y), 0)(x) ** 2)

    g = grad(penalty)(x)
    assert_allclose(w.grad, 8 * w.value * x.value**2)
    assert_allclose(g, 8 * w.value**2 * x.value)


def test_detach_and_parents_none_cut_the_graph():
    w = leaf(1, 2)
    assert not (w * 2).detach().tracked
    y = w * 2
    y.parents = None
    assert not y.tracked
    with pytest.raises(TypeError, match="None"):
        y.parents = ()


# ----- hooks --------------------------------------------------------------------------------------


def test_a_hook_sees_the_cotangent():
    w, seen = leaf(1, 2), []
    y = w * 3
    y.register_hook(seen.append)
    np.sum(y * y).backward()
    assert_array_equal(seen[0], [6.0, 12.0])


def test_a_hook_may_replace_the_cotangent_and_be_removed():
    w = leaf(1, 2)
    remove = w.register_hook(lambda g: g * 10)
    np.sum(w).backward()
    assert_array_equal(w.grad, [10.0, 10.0])
    remove()
    np.sum(w).backward()
    assert_array_equal(w.grad, [11.0, 11.0])


def test_hooks_run_in_the_order_they_were_hung():
    w = leaf(1.0)
    y = w * 1
    y.register_hook(lambda g: g + 1)
    y.register_hook(lambda g: g * 10)
    np.sum(y).backward()
    assert_array_equal(w.grad, [20.0])


def test_a_hook_inside_grad():
    seen = []

    def f(x):
        y = x * 2
        y.register_hook(seen.append)
        return np.sum(y)

    grad(f)(np.array([1.0, 2.0]))
    assert_array_equal(seen[0], [1.0, 1.0])


def test_a_hook_on_an_argument_inside_grad():
    def f(x):
        x.register_hook(lambda g: g * 10)
        return np.sum(x * 2)

    assert_array_equal(grad(f)(np.array([1.0, 2.0])), [20.0, 20.0])


def test_a_hook_leaves_forward_mode_alone():
    def f(x):
        y = x * 2
        y.register_hook(lambda g: g * 10)
        return y

    assert jvp(f, (1.0,), (1.0,))[1] == 2.0


def test_a_hook_needs_a_tracked_tensor():
    with pytest.raises(RuntimeError, match="untracked"):
        np.array([1.0]).register_hook(print)


# ----- leaving the graph --------------------------------------------------------------------------


def test_stop_gradient_cuts_every_tensor_of_a_tree():
    tree = stop_gradient({"a": leaf(1, 2), "b": [leaf(3.0), None, 2.0]})
    assert not tree["a"].tracked
    assert not tree["b"][0].tracked
    assert tree["b"][1:] == [None, 2.0]
    assert grad(lambda x: x * stop_gradient(x))(3.0) == 3.0


def test_no_grad_records_nothing():
    w = leaf(1, 2)
    with no_grad():
        assert not (w * w).tracked
        assert not np.concatenate([w, w]).tracked
        assert not w[0].tracked
        assert not np.tanh(w).tracked
    assert (w * w).tracked


def test_no_grad_nests_and_survives_errors():
    w = leaf(1.0)
    with no_grad():
        with no_grad():
            pass
        assert not (w * w).tracked
        with pytest.raises(KeyError), no_grad():
            raise KeyError
        assert not (w * w).tracked
    assert (w * w).tracked


def test_no_grad_decorates():
    w = leaf(1.0)

    @no_grad()
    def predict(x):
        return w * x

    assert not predict(2.0).tracked
    assert (w * 2.0).tracked


def test_grad_inside_no_grad_records_for_itself():
    w = leaf(1, 2)
    with no_grad():
        g = grad(lambda x: np.sum(x * x * w), 0)(numpy.array([3.0, 4.0]))
        out, t = jvp(lambda x: x * x, (3.0,), (1.0,))
        assert not (w * 2).tracked
    assert_array_equal(g, [6.0, 16.0])
    assert t == 6.0
    assert not out.tracked
    assert w.grad is None


def test_grad_inside_no_grad_inside_grad_is_a_constant():
    def f(x):
        with no_grad():
            slope = grad(lambda y: y * y)(x)
        return x * slope

    assert grad(f)(3.0) == 6.0


def test_no_grad_inside_grad_hides_a_part():
    def f(x):
        with no_grad():
            y = x * x
        return x * y

    assert grad(f)(3.0) == 9.0


def test_vjp_inside_no_grad_pulls_outside():
    with no_grad():
        out, pull = vjp(lambda x: x**3, 2.0)
    assert pull(1.0)[0] == 12.0
    assert not out.tracked


# ----- threads ------------------------------------------------------------------------------------


def test_no_grad_is_of_one_thread():
    w = leaf(1.0)
    tracked = []
    with no_grad():
        thread = threading.Thread(target=lambda: tracked.append((w * 2).tracked))
        thread.start()
        thread.join()
    assert tracked == [True]


def test_threads_share_plain_tensors():
    w = np.array(numpy.ones(50))

    def job(k):
        return grad(lambda w: np.sum(np.tanh(w * k)), 0)(w)

    factors = [1.0, 2.0] * 100
    with ThreadPoolExecutor(4) as pool:
        for k, g in zip(factors, pool.map(job, factors), strict=True):
            assert_allclose(g, k * (1 - numpy.tanh(k) ** 2))


def test_tracking_travels_with_the_tensor_into_a_thread():
    def f(x):
        with ThreadPoolExecutor(1) as pool:
            return np.sum(pool.submit(lambda: x * x).result())

    assert_array_equal(grad(f)(np.array([1.0, 2.0])), [2.0, 4.0])


def test_a_thread_inside_grad_may_call_grad_of_an_argument():
    def f(x):
        with ThreadPoolExecutor(1) as pool:
            return np.sum(pool.submit(grad(lambda y: np.sum(y**3), 0), x).result())

    assert_array_equal(grad(f)(np.array([1.0, 2.0])), [6.0, 12.0])


def test_an_error_inside_leaves_the_counters_as_they_were():
    def f(x):
        raise KeyError("inside")

    with pytest.raises(KeyError):
        grad(f)(1.0)
    w = np.array([1.0])
    grad(lambda w: np.sum(w))(w)
    assert_array_equal(w.grad, [1.0])


def test_checkpoint_is_recorded_only_where_tracked():
    f = checkpoint(lambda x: np.tanh(x))
    assert not f(np.array([1.0])).tracked
    assert f(leaf(1.0)).tracked


def test_a_tensor_of_raw_value_is_not_tracked():
    t = Tensor(numpy.ones(2))
    assert not t.tracked
    assert t.grad is None
    assert t.ref == 0
    t.ref = 5
    assert t.ref == 0
