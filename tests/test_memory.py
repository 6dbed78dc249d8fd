"""What training costs in memory: nothing grows, nothing recurses, backward frees as it goes."""

import gc
import os
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy
import pytest

import backpass.numpy as np
from backpass.core import (
    Tensor,
    checkpoint_policies,
    checkpoint_scan,
    grad,
    jvp,
    value_and_grad,
    vjp,
)

from .gradients.places import without_kernels

STEPS = 20_000


@contextmanager
def small_growth(limit: int) -> Iterator[Callable[[], None]]:
    """Check that traced memory grows by less than `limit` bytes after the given function's call."""
    start = 0

    def begin() -> None:
        nonlocal start
        gc.collect()
        start = tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        yield begin
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - start
    finally:
        tracemalloc.stop()
    assert start, "begin() has not been called"
    assert grown < limit, f"{grown} bytes more than at the beginning"


def resident() -> int:
    """Return the process's resident memory in bytes."""
    with open("/proc/self/statm") as statistics:
        return int(statistics.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_a_loop_of_steps_is_flat():
    gradient = grad(lambda w: np.sum(np.tanh(w) * w), 0)
    w = np.array(numpy.linspace(-1, 1, 50))
    with small_growth(50_000) as begin:
        for step in range(STEPS // 10):
            if step == 100:
                begin()
            w = w - 0.01 * gradient(w)
    assert not w.tracked
    assert numpy.isfinite(w.value).all()


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="it reads /proc/self/statm")
def test_twenty_thousand_steps_take_no_memory():
    gradient = grad(lambda w: np.sum(np.tanh(w) * w))
    w = np.array(numpy.linspace(-1, 1, 1000))
    for step in range(STEPS):
        if step == 1000:
            before = resident()
        w = w - 0.01 * gradient(w)
    # A graph that stayed would be 8000 bytes a step: 150 MB.
    assert resident() - before < 10_000_000


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="it reads /proc/self/statm")
def test_a_network_with_an_optimizer_takes_no_memory():
    optimizers = pytest.importorskip("backpass.nn.optimizers")
    rng = numpy.random.default_rng(0)
    weights = [
        (np.array(rng.standard_normal((m, n)) * 0.1), np.array(numpy.zeros(n)))
        for m, n in ((20, 16), (16, 10))
    ]

    def loss(x: Any, weights: Any, target: Any) -> Any:
        (W, b), (V, c) = weights
        scores = np.tanh(x @ W + b) @ V + c
        return np.mean((scores - target) ** 2)

    gradient = value_and_grad(loss, 1)
    stateful = grad(loss)
    run = optimizers.sgd_momentum(weights, learning_rate=0.01)
    losses = []
    with small_growth(100_000) as begin:
        for step in range(600):
            if step == 100:
                begin()
            x = rng.standard_normal((4, 20))
            stateful(x, weights, numpy.ones((4, 10)))
            run()
    for step in range(STEPS):
        if step == 500:
            before = resident()
        x = rng.standard_normal((4, 20))
        stateful(x, weights, numpy.ones((4, 10)))
        run()
        if step % 1000 == 0:
            losses.append(float(gradient(x, weights, numpy.ones((4, 10)))[0]))
    assert resident() - before < 10_000_000
    assert losses[-1] < losses[0] / 2


def test_results_that_are_thrown_away_leave_nothing():
    w = np.array(numpy.ones(100))
    w.requires_grad_()
    with small_growth(50_000) as begin:
        for step in range(2_000):
            if step == 100:
                begin()
            np.sum(np.tanh(w * 2) * w)  # recorded, and dropped
    with small_growth(50_000) as begin:
        for step in range(1_000):
            if step == 100:
                begin()
            vjp(lambda x: np.exp(x) * x, w)  # never pulled


def test_a_total_of_losses_is_flat():
    total = 0.0

    def loss(w: Any) -> Any:
        nonlocal total
        out = np.sum(w * w)
        total += out
        return out

    gradient = grad(loss)
    w = np.array(numpy.ones(100))
    with small_growth(50_000) as begin:
        for step in range(2_000):
            if step == 100:
                begin()
            gradient(w)


def test_a_list_of_gradients_holds_gradients_only():
    gradient = grad(lambda w: np.sum(np.exp(w) * np.sin(w)))
    w = np.array(numpy.ones(1000))
    kept = []
    with small_growth(300 * 8_000 + 200_000) as begin:
        gradient(w)
        begin()
        for _ in range(300):
            kept.append(gradient(w))
    assert len({id(g) for g in kept}) == 300


LENGTH = 100_000


def chain(x: Any) -> Any:
    """Apply 100,000 operations, one after the other."""
    for _ in range(LENGTH // 2):
        x = x * 1.00001
        x = x + 0.00001
    return x


def test_a_long_chain_differentiates_in_reverse():
    assert grad(chain)(1.0) == pytest.approx(1.00001 ** (LENGTH // 2), rel=1e-9)


def test_a_long_chain_differentiates_forwards():
    _, tangent = jvp(chain, (1.0,), (1.0,))
    assert tangent == pytest.approx(1.00001 ** (LENGTH // 2), rel=1e-9)


def test_a_long_chain_differentiates_twice():
    def short(x: Any) -> Any:
        for _ in range(LENGTH // 20):
            x = x * 1.0001
            x = x + 0.0001 * x * x
        return x

    step = 1e-5
    first = grad(short)
    by_difference = (first(1e-3 + step) - first(1e-3 - step)) / (2 * step)
    assert grad(first)(1e-3) == pytest.approx(by_difference, rel=1e-4)


def in_a_small_stack(body: Callable[[], None]) -> None:
    """Run a function in a thread with a stack of 512 KB; an overflow kills the process."""
    problems: list[BaseException] = []

    def run() -> None:
        try:
            body()
        except BaseException as error:
            problems.append(error)

    before = threading.stack_size(512 * 1024)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    if problems:
        raise problems[0]


def grown(count: int) -> Tensor:
    """Return the end of a chain of recorded operations."""
    leaf = np.array(numpy.ones(1))
    leaf.requires_grad_()
    x = leaf
    for _ in range(count):
        x = x + 1.0
    assert x.tracked
    return x


def test_a_graph_of_a_million_nodes_is_dropped_on_a_small_stack():
    def body() -> None:
        end = grown(1_000_000)
        assert end.value[0] == 1_000_001
        del end
        gc.collect()

    in_a_small_stack(body)


def test_a_graph_that_branches_is_dropped_on_a_small_stack():
    def body() -> None:
        x = np.array(numpy.ones(1))
        x.requires_grad_()
        y = x
        for _ in range(30_000):
            x, y = x + y * 0.5, y + 0.0 * x
        del x, y
        gc.collect()

    in_a_small_stack(body)


def test_a_long_chain_walks_on_a_small_stack():
    def body() -> None:
        x = grown(50_000)
        x.backward()

    in_a_small_stack(body)


def test_backward_frees_as_it_goes():
    size, count = 100_000, 50
    leaf = np.array(numpy.full(size, 0.5))
    leaf.requires_grad_()
    with without_kernels():  # NumPy's memory is traced, that of the kernels' pool is not
        tracemalloc.start()
        try:
            x = leaf
            for _ in range(count):
                x = np.sin(x)
            total = np.sum(x)
            del x
            held = tracemalloc.get_traced_memory()[0]
            tracemalloc.reset_peak()
            total.backward()
            after, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    array = 8 * size
    assert held > (count - 2) * array, "the chain was not held"
    assert peak < held + 6 * array, "backward kept what it had used"
    assert after < 4 * array
    assert leaf.grad.shape == (size,)


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="it reads /proc/self/statm")
def test_backward_takes_no_second_copy_of_a_chain():
    size, count = 500_000, 60  # 4 MB an array, 240 MB the chain
    held, peaks = 0, [0]

    def f(x: Any) -> Any:
        nonlocal held
        for _ in range(count):
            x = np.sin(x)
        held = resident() - before
        return np.sum(x)

    x = np.array(numpy.full(size, 0.5))
    before = resident()
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.002):
            peaks.append(resident() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        gradient = grad(f)(x)
    finally:
        stop.set()
        watcher.join()
    assert max(peaks) < 1.3 * count * size * 8
    assert held < 1.3 * count * size * 8
    assert gradient.shape == (size,)


def peak_of_a_recurrence(steps: int, **options: Any) -> float:
    """Return how many states the gradient of a recurrence holds at its peak."""
    size = 10_000

    def f(w: Any) -> Any:
        h, _ = checkpoint_scan(
            lambda h, _: (np.sin(h * w), None), numpy.full(size, 0.5), length=steps, **options
        )
        return np.sum(h)

    with without_kernels():  # NumPy's memory is traced, that of the kernels' pool is not
        tracemalloc.start()
        try:
            gradient = grad(f)(1.5)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    assert numpy.isfinite(gradient)
    return peak / (8 * size)


def test_a_recurrence_in_segments_takes_the_root_of_its_steps():
    peak_of_a_recurrence(4)  # what is imported now is not counted
    short, long = peak_of_a_recurrence(100), peak_of_a_recurrence(400)
    # A step holds its state and the product: 30 and 60 arrays, and few more.
    assert 20 < short < 40
    assert long < 2.4 * short
    plain, plain_long = (peak_of_a_recurrence(n, segments=1) for n in (100, 400))
    assert plain_long > 3.6 * plain
    assert plain > 4 * short
    nested = peak_of_a_recurrence(400, segments=(7, 7))
    assert nested < 0.7 * long
    halves = peak_of_a_recurrence(400, segments=(2,) * 8)
    assert halves < 0.6 * long
    # What is kept of every step grows with the steps again.
    kept = peak_of_a_recurrence(400, policy=checkpoint_policies.everything_saveable)
    assert kept > plain_long / 1.2


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="it reads /proc/self/statm")
def test_two_hundred_thousand_steps_take_no_memory():
    gradient = grad(lambda w: np.sum(np.tanh(w) * w))
    w = np.array(numpy.linspace(-1, 1, 100))
    for step in range(10 * STEPS):
        if step == 1000:
            before = resident()
        w = w - 0.01 * gradient(w)
    assert resident() - before < 10_000_000
