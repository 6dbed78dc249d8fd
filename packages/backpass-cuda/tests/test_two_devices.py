"""Two GPUs in one process: arrays stay where they are, and are never mixed."""

import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.cupy as cp
import backpass.numpy as np
import backpass.scipy.special as sp
from backpass.core import (
    Tensor,
    empty_cache,
    grad,
    hvp,
    jvp,
    memory_stats,
    to_device,
    value_and_grad,
    vjp,
)
from backpass.core.backends import backend_of

TESTS = Path(__file__).resolve().parent


@pytest.fixture
def two(cupy):
    """Give CuPy where two GPUs are visible; the test is run with two stand-ins below."""
    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("one GPU is visible")
    assert cupy.cuda.Device().id == 0
    yield cupy
    assert cupy.cuda.Device().id == 0


@pytest.mark.skipif(os.environ.get("BACKPASS_REQUIRE_GPU") == "1", reason="there is a GPU")
def test_with_two_stand_ins():
    found = [str(TESTS / "stand_in"), *filter(None, sys.path)]
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs", __file__],
        env=os.environ
        | {
            "PYTHONPATH": os.pathsep.join(found),
            "BACKPASS_REQUIRE_GPU": "1",
            "STAND_IN_DEVICES": "2",
        },
        cwd=TESTS.parents[2],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout[-3000:] + run.stderr
    assert " passed" in run.stdout
    assert "one GPU is visible" not in run.stdout


def on(cupy, number, x):
    """Return an array on a GPU."""
    with cupy.cuda.Device(number):
        return cupy.asarray(x)


def where(x):
    return getattr(x, "value", x).device.id


X = numpy.array([[0.5, -1.0, 2.0], [1.5, 0.25, -0.75]])
Y = numpy.array([[1.0, 2.0, 0.5], [-0.5, 1.25, 3.0]])
SQUARE = numpy.array([[3.0, 1.0, 0.5], [1.0, 4.0, -1.0], [0.5, -1.0, 5.0]])

FUNCTIONS = {
    "tanh": lambda x: cp.tanh(x),
    "polynomial": lambda x: 2.0 * x**3 - x / 4 + 1,
    "product": lambda x: cp.dot(x, cp.transpose(x)),
    "matmul": lambda x: x @ x.T,
    "sum": lambda x: cp.sum(x * x, axis=0),
    "mean": lambda x: cp.mean(x, axis=1, keepdims=True) * x,
    "max": lambda x: cp.max(x, axis=1) * 2,
    "std": lambda x: cp.std(x),
    "prod": lambda x: cp.prod(x, axis=0),
    "logsumexp": lambda x: x - sp.logsumexp(x, axis=1, keepdims=True),
    "softmax": lambda x: sp.softmax(x, axis=0),
    "cumsum": lambda x: cp.cumsum(x, axis=1) * x,
    "sort": lambda x: cp.sort(x, axis=0) * x,
    "where": lambda x: cp.where(x > 0, x * x, 0.0),
    "maximum": lambda x: cp.maximum(x, 0.0),
    "clip": lambda x: cp.clip(x, -0.5, 1.0),
    "reshape": lambda x: cp.reshape(x, (3, 2)) * 2,
    "broadcast": lambda x: x[0] + x[:, :1],
    "getitem": lambda x: x[::-1, 1:] * x[0, 0],
    "twice": lambda x: x[[0, 0, 1]] * 2,
    "concatenate": lambda x: cp.concatenate([x, x * 2], axis=0),
    "stack": lambda x: cp.stack([x, x * 2]),
    "split": lambda x: cp.split(x, 3, axis=1)[1],
    "pad": lambda x: cp.pad(x, 1),
    "roll": lambda x: cp.roll(x, 1, axis=1) * x,
    "einsum": lambda x: cp.einsum("ij,ik->jk", x, x),
    "diag": lambda x: cp.diag(x[0]),
    "fft": lambda x: cp.real(cp.fft.fft(x)),
    "gammaln": lambda x: sp.gammaln(x * x + 1),
    "assignment": lambda x: assigned(x),
}
SQUARES = {
    "det": lambda a: cp.linalg.det(a),
    "slogdet": lambda a: cp.linalg.slogdet(a)[1],
    "inv": lambda a: cp.linalg.inv(a),
    "solve": lambda a: cp.linalg.solve(a, a[0]),
    "eigh": lambda a: cp.linalg.eigh(a)[0],
    "svd": lambda a: cp.linalg.svd(a, compute_uv=False),
    "norm": lambda a: cp.linalg.norm(a),
}


def assigned(x):
    made = cp.zeros_like(x)
    made[0] = x[1] * 2
    return made


@pytest.mark.parametrize("name", [*FUNCTIONS, *SQUARES])
def test_an_operation_and_its_rules_run_where_their_operands_lie(name, two):
    f = FUNCTIONS.get(name) or SQUARES[name]
    start = X if name in FUNCTIONS else SQUARE
    total = lambda x: cp.sum(f(x) ** 2)  # noqa: E731
    found = []
    for number in (0, 1):
        x = on(two, number, start)
        out = f(Tensor(x))
        value, g = value_and_grad(total)(x)
        _, tangent = jvp(f, (x,), (on(two, number, numpy.ones_like(start)),))
        _, pull = vjp(f, x)
        (pulled,) = pull(out.value)
        assert [where(y) for y in (out, value, g, tangent, pulled)] == [number] * 5
        found.append([getattr(y, "value", y).get() for y in (out, value, g, tangent, pulled)])
    for x, y in zip(*found, strict=True):
        assert_allclose(x, y, rtol=1e-12)


def test_second_derivatives(two):
    x, v = on(two, 1, X), on(two, 1, Y)
    f = lambda x: cp.sum(cp.exp(x) * x)  # noqa: E731
    found = hvp(f, (x,), (v,))
    assert where(found) == 1
    assert_allclose(found.get(), numpy.exp(X) * (X + 2) * Y, rtol=1e-12)


def test_gradients_of_tensors_lie_with_them(two):
    w = Tensor(on(two, 1, X))
    grad(lambda w: cp.sum(w * w))(w)
    assert where(w.grad) == 1
    w = Tensor(on(two, 1, X)).requires_grad_()
    for _ in range(2):
        cp.sum(w * w).backward()
    assert where(w.grad) == 1
    assert_allclose(w.grad.get(), 4 * X)
    (w * w).backward(on(two, 1, Y))
    assert_allclose(w.grad.get(), 4 * X + 2 * X * Y)


def test_weights_on_both_gpus_have_their_gradients_there(two):
    weights = [Tensor(on(two, 0, X)), Tensor(on(two, 1, Y))]

    def f(weights):
        a, b = weights
        return cp.sum(cp.exp(a) * to_device(b * b, "cuda"))

    for i in (1, 2):
        found = grad(f)(weights)
        assert [where(g) for g in found] == [0, 1]
        assert [where(w.grad) for w in weights] == [0, 1]
        assert_allclose(weights[0].grad.get(), i * numpy.exp(X) * Y * Y, rtol=1e-12)
        assert_allclose(weights[1].grad.get(), i * numpy.exp(X) * 2 * Y, rtol=1e-12)


def test_the_stream_of_the_operands_device_is_used(two):
    x = on(two, 1, X)
    with two.cuda.Device(1):
        stream = two.cuda.Stream(non_blocking=True)
        stream.use()
        try:
            with two.cuda.Device(0):
                found = cp.tanh(x)
        finally:
            two.cuda.Stream.null.use()
        stream.synchronize()
    assert where(found) == 1
    assert_allclose(found.value.get(), numpy.tanh(X), rtol=1e-12)


# ----- two devices in one operation --------------------------------------------------------------

MIXED = {
    "operator": lambda a, b: Tensor(a) + b,
    "function": lambda a, b: cp.maximum(a, b),
    "product": lambda a, b: cp.dot(a, b.T),
    "several": lambda a, b: cp.concatenate([a, b]),
    "keyword": lambda a, b: cp.sum(Tensor(a), axis=0, where=cp.greater(b, 0)),
    "assignment": lambda a, b: Tensor(a).__setitem__(slice(None), Tensor(b)),
    "gradient": lambda a, b: grad(lambda a: cp.sum(a * b))(Tensor(a)),
}


@pytest.mark.parametrize("flipped", [False, True], ids=["0 first", "1 first"])
@pytest.mark.parametrize("name", MIXED)
def test_operands_of_two_gpus_are_refused(name, flipped, two):
    numbers = (1, 0) if flipped else (0, 1)
    a, b = (on(two, n, x) for n, x in zip(numbers, (X, Y), strict=True))
    with pytest.raises(TypeError) as caught:
        MIXED[name](a, b)
    text = str(caught.value)
    for number in numbers:
        assert f"lies on GPU {number}" in text
    assert "of shape (2, 3)" in text or "of shape (3, 2)" in text
    assert f"with cupy.cuda.Device({numbers[0]}): x = backpass.core.to_device(x, 'cuda')" in text


def test_a_cotangent_of_another_gpu_is_refused(two):
    _, pull = vjp(cp.tanh, on(two, 1, X))
    with pytest.raises(TypeError, match=r"lies on GPU 0.*lies on GPU 1"):
        pull(on(two, 0, Y))


# ----- making and moving -------------------------------------------------------------------------


def test_arrays_are_made_on_the_current_gpu(two):
    for number in (0, 1):
        with two.cuda.Device(number):
            made = [cp.ones(3), cp.array(X), cp.random.randn(3), to_device(X, "cuda")]
            made += [cp.prefetch([X]).__next__()]
        assert [where(x) for x in made] == [number] * len(made)


def test_what_is_made_like_an_array_lies_beside_it(two):
    x = on(two, 1, X)
    for made in (cp.zeros_like(x), cp.ones_like(x), np.zeros_like(Tensor(x))):
        assert where(made) == 1
    assert where(cp.full_like(x, 2.0)) == where(cp.empty_like(x)) == 1


def test_to_device_brings_arrays_to_the_current_gpu_and_cotangents_back(two):
    x = on(two, 1, X)
    assert where(to_device(x, "cuda")) == 0
    assert where(to_device(Tensor(x), "cuda")) == 0
    with two.cuda.Device(1):
        assert to_device(x, "cuda") is x
    strided = on(two, 1, Y)[:, ::2]
    assert_array_equal(to_device(strided, "cuda").get(), Y[:, ::2])
    assert_array_equal(to_device(x, "cpu"), X)

    def f(x, there):
        moved = to_device(cp.tanh(x), "cuda")
        assert where(moved) == 0
        return cp.sum(moved * there)

    value, g = value_and_grad(f, 0)(x, on(two, 0, Y))
    assert (where(value), where(g)) == (0, 1)
    assert_allclose(g.get(), (1 - numpy.tanh(X) ** 2) * Y, rtol=1e-12)
    _, tangent = jvp(lambda x: to_device(x, "cuda"), (x,), (on(two, 1, Y),))
    assert where(tangent) == 0

    def to_the_cpu(x):
        return np.sum(to_device(x, "cpu") * Y)

    assert where(grad(to_the_cpu)(x)) == 1


def test_memory_is_that_of_the_current_gpu_and_is_given_back_on_all(two):
    empty_cache()
    with two.cuda.Device(1):
        before = memory_stats("cuda")["in_use"]
    x = Tensor(on(two, 1, numpy.ones(1 << 20)))
    y = cp.exp(x)
    with two.cuda.Device(1):
        assert memory_stats("cuda")["in_use"] - before >= 16 << 20
    del x, y
    with two.cuda.Device(1):
        assert memory_stats("cuda")["cached"] >= 16 << 20
    empty_cache()
    with two.cuda.Device(1):
        assert memory_stats("cuda")["cached"] < 16 << 20


def test_out_of_memory_names_the_gpu_of_the_operands(two):
    x = on(two, 1, numpy.ones(1 << 20))
    pool = two.get_default_memory_pool()
    with two.cuda.Device(1):
        pool.free_all_blocks()
        pool.set_limit(size=pool.total_bytes())
    try:
        with pytest.raises(cp.OutOfMemory, match="out of memory on GPU 1: 8 MiB were asked for"):
            cp.exp(x)
    finally:
        with two.cuda.Device(1):
            pool.set_limit(size=0)


# ----- training ----------------------------------------------------------------------------------


def test_a_copy_to_the_cpu_begins_on_the_arrays_gpu(two):
    x = on(two, 1, X)
    with two.cuda.Device(1):
        x = x * 2
    assert_array_equal(backend_of((x,)).begin_to_host(x)(), 2 * X)


@pytest.mark.parametrize("captured", [False, True])
def test_training_on_the_other_gpu(captured, two):
    optimizers = pytest.importorskip("backpass.nn.optimizers")
    found = []
    for number in (0, 1):
        w = Tensor(on(two, number, X.T))
        run = optimizers.sgd_momentum([w], learning_rate=0.1)

        def step(x, w=w, run=run):
            loss, _ = value_and_grad(lambda w: cp.sum(cp.tanh(x @ w) ** 2))(w)
            run()
            return loss

        step = cp.capture(step) if captured else step
        with two.cuda.Device(number if captured else 0):
            for _ in range(5):
                loss = step(on(two, number, Y))
        assert where(loss) == where(w) == number
        found.append((loss.value.get(), w.value.get()))
    assert_array_equal(found[0][0], found[1][0])
    assert_array_equal(found[0][1], found[1][1])


def test_a_captured_function_takes_arguments_of_another_gpu(two):
    f = cp.capture(lambda x: cp.multiply(x, 2.0))
    for _ in range(3):
        found = f(on(two, 1, X))
        assert where(found) == 0
        assert_array_equal(found.value.get(), 2 * X)
