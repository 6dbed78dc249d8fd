"""The optimizers against the same steps written out in NumPy."""

import dataclasses
import sys
from dataclasses import dataclass

import numpy as np
import pytest

import backpass.numpy as bnp
from backpass.core import Tensor, grad
from backpass.core.backends import NUMPY, register
from backpass.nn.optimizers import momentum_update, sgd, sgd_momentum, sgd_update

OPTIMIZERS = {"sgd": sgd, "sgd_momentum": sgd_momentum}
every_optimizer = pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS.keys())


def tensor(values, dtype=float):
    return bnp.array(np.array(values, dtype=dtype))


@dataclass
class Layer:
    weight: Tensor
    bias: Tensor


# ----- one step, and many -----


def test_sgd_subtracts_the_learning_rate_times_the_gradient():
    w = tensor([1.0, 2.0])
    run = sgd([w], learning_rate=0.1)
    w.grad = np.array([10.0, -20.0])
    run()
    assert w.value.tolist() == [0.0, 4.0]
    assert w.grad is None


def test_momentum_is_a_running_mean_of_the_gradients():
    w = tensor([1.0, 2.0])
    run = sgd_momentum([w], learning_rate=0.5, beta=0.75)
    w.grad = np.array([4.0, 8.0])
    run()  # v = [1, 2]
    assert w.value.tolist() == [0.5, 1.0]
    assert w.grad is None
    w.grad = np.array([0.0, -8.0])
    run()  # v = [0.75, -0.5]
    assert w.value.tolist() == [0.125, 1.25]


def test_momentum_keeps_nine_tenths_of_the_velocity_unless_told_otherwise():
    w, expected = tensor([0.0]), 0.0
    run = sgd_momentum([w], learning_rate=1.0)
    velocity = 0.0
    for g in (1.0, 2.0, -3.0):
        w.grad = np.array([g])
        run()
        velocity = 0.9 * velocity + 0.1 * g
        expected -= velocity
        assert np.allclose(w.value, expected, rtol=1e-15)


def problem(dtype):
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(s).astype(dtype) for s in ((3, 4), (4,), (4, 2), (2,))]
    x = rng.standard_normal((5, 3)).astype(dtype)
    return arrays, x


def loss(weights, x):
    (W1, b1), (W2, b2) = weights
    return bnp.sum(bnp.square(bnp.dot(bnp.tanh(bnp.dot(x, W1) + b1), W2) + b2))


def gradients_by_hand(arrays, x):
    W1, b1, W2, b2 = arrays
    h = np.tanh(x @ W1 + b1)
    e = 2 * (h @ W2 + b2)
    d = (e @ W2.T) * (1 - h * h)
    return x.T @ d, d.sum(0), h.T @ e, e.sum(0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("beta", [None, 0.0, 0.9])
def test_a_training_follows_the_one_written_out_in_numpy(dtype, beta):
    """`beta=None` stands for plain `sgd`."""
    arrays, x = problem(dtype)
    weights = [tuple(map(bnp.array, arrays[:2])), tuple(map(bnp.array, arrays[2:]))]
    rate = 0.01
    run = sgd(weights, rate) if beta is None else sgd_momentum(weights, rate, beta)
    velocities = [np.zeros_like(a) for a in arrays]
    for _ in range(30):
        grad(loss)(weights, x)
        run()
        for a, v, g in zip(arrays, velocities, gradients_by_hand(arrays, x), strict=True):
            v[...] = (beta or 0) * v + (1 - (beta or 0)) * g
            a -= rate * v
    rtol = 1e-12 if dtype == np.float64 else 1e-4
    for w, a in zip([*weights[0], *weights[1]], arrays, strict=True):
        assert w.value.dtype == dtype
        assert np.allclose(w.value, a, rtol=rtol, atol=rtol)


@every_optimizer
def test_it_finds_a_minimum(optimizer):
    w = tensor([5.0, -3.0])
    run = optimizer([w], learning_rate=0.1)
    for _ in range(300):
        grad(lambda w: bnp.sum(bnp.square(w - np.array([1.0, 2.0]))))(w)
        run()
    assert np.allclose(w.value, [1, 2], atol=1e-6)


# ----- trees -----


def trees():
    a, b, c = tensor([1.0]), tensor([[2.0, 3.0]]), tensor(4.0)
    yield "a Tensor", a, [a]
    yield "list", [a, b, c], [a, b, c]
    yield "tuple", (a, b), [a, b]
    yield "dict", {"x": a, "y": b}, [a, b]
    yield "list of tuples", [(a, b), (c,)], [a, b, c]
    yield "nested", {"x": [a, (b, {"y": c})]}, [a, b, c]
    yield "dataclass", Layer(a, b), [a, b]
    yield "list of dataclasses", [Layer(a, b), c], [a, b, c]


@every_optimizer
@pytest.mark.parametrize("index", range(len(list(trees()))), ids=[name for name, *_ in trees()])
def test_every_leaf_of_a_tree_is_updated(optimizer, index):
    _, tree, leaves = list(trees())[index]
    before = [np.array(leaf.value) for leaf in leaves]
    run = optimizer(tree, learning_rate=0.5)
    for _ in range(2):
        for leaf in leaves:
            leaf.grad = np.ones_like(leaf.value)
        run()
    moved = 1.0 if optimizer is sgd else 0.5 * (0.1 + 0.19)
    for leaf, value in zip(leaves, before, strict=True):
        assert np.allclose(leaf.value, value - moved)
        assert leaf.shape == value.shape
        assert leaf.grad is None


@every_optimizer
def test_a_scalar_weight(optimizer):
    s = bnp.array(3.0)
    run = optimizer([s], learning_rate=0.1)
    for _ in range(300):
        grad(lambda s: bnp.square(s - 1.0))(s)
        run()
    assert s.shape == ()
    assert np.isclose(float(s), 1.0, atol=1e-6)


@every_optimizer
def test_a_shared_weight_moves_once(optimizer):
    w, other = tensor([1.0]), tensor([1.0])
    run, run_other = optimizer([w, (w,)], learning_rate=1.0), optimizer([other], learning_rate=1.0)
    w.grad, other.grad = np.array([0.5]), np.array([0.5])
    run()
    run_other()
    assert w.value.tolist() == other.value.tolist() != [1.0]


@every_optimizer
def test_complex_weights_descend_along_the_conjugate(optimizer):
    z = tensor([3 + 4j], complex)
    run = optimizer([z], learning_rate=0.1)
    for _ in range(300):
        grad(lambda z: bnp.sum(bnp.real(z * bnp.conj(z))))(z)
        run()
    assert np.allclose(z.value, 0, atol=1e-6)


# ----- what was not reached, and what others hold -----


def test_sgd_skips_a_leaf_that_no_gradient_has_reached():
    a, b = tensor([1.0]), tensor([1.0])
    run = sgd([a, b], learning_rate=1.0)
    a.grad = np.array([0.5])
    run()
    assert (a.value.tolist(), b.value.tolist()) == ([0.5], [1.0])


def test_momentum_skips_a_leaf_that_no_gradient_has_reached_and_keeps_its_velocity():
    a, b = tensor([0.0]), tensor([0.0])
    run = sgd_momentum([a, b], learning_rate=1.0, beta=0.5)
    a.grad, b.grad = np.array([1.0]), np.array([1.0])
    run()
    a.grad = np.array([0.0])
    run()
    assert (a.value.tolist(), b.value.tolist()) == ([-0.75], [-0.5])
    b.grad = np.array([0.0])
    run()
    assert (a.value.tolist(), b.value.tolist()) == ([-0.75], [-0.75])


@every_optimizer
def test_without_any_gradient_nothing_moves(optimizer):
    w = tensor([1.0])
    optimizer([w], learning_rate=1.0)()
    assert w.value.tolist() == [1.0]


@every_optimizer
def test_arrays_that_others_hold_are_left_alone(optimizer):
    w = tensor([1.0, 2.0])
    held, view, g = w.value, w[:1], np.array([1.0, 1.0])
    run = optimizer([w], learning_rate=1.0)
    w.grad = g
    run()
    assert held.tolist() == [1.0, 2.0]
    assert view.value.tolist() == [1.0]
    assert g.tolist() == [1.0, 1.0]
    assert w.value.tolist() != [1.0, 2.0]


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="there every write copies")
@every_optimizer
def test_an_array_that_nobody_else_holds_is_written_in_place(optimizer):
    w = bnp.array(np.ones(1000))
    run = optimizer([w], learning_rate=1.0)
    w.grad = np.ones(1000)
    run()  # copies, if it must, now and not again
    before = w.value.ctypes.data
    for _ in range(3):
        w.grad = np.ones(1000)
        run()
    assert w.value.ctypes.data == before


@every_optimizer
def test_permanent_leaves_are_trained_with_backward(optimizer):
    w = tensor([5.0, -3.0]).requires_grad_()
    run = optimizer({"w": w}, learning_rate=0.1)
    for _ in range(300):
        bnp.sum(bnp.square(w - 1.0)).backward()
        run()
    assert w.tracked
    assert np.allclose(w.value, 1, atol=1e-6)


@every_optimizer
def test_a_graph_that_is_yet_to_be_walked_keeps_its_values(optimizer):
    w = tensor([2.0, 3.0]).requires_grad_()
    run = optimizer([w], learning_rate=1.0)
    waiting = bnp.sum(bnp.square(w))
    w.grad = np.ones(2)
    run()
    assert w.value.tolist() != [2.0, 3.0]
    waiting.backward()
    assert w.grad.tolist() == [4.0, 6.0]


@every_optimizer
def test_the_dtype_stays_whatever_the_type_of_the_learning_rate(optimizer):
    for rate in (0.1, np.float64(0.1), np.array(0.1), 1, np.float32(0.1)):
        w = tensor([1.0], np.float32)
        run = optimizer([w], learning_rate=rate)
        w.grad = np.ones(1, np.float32)
        run()
        assert w.value.dtype == np.float32


def test_sgd_remembers_no_gradient():
    w = tensor([1.0])
    run = sgd([w], learning_rate=1.0)
    w.grad = np.array([np.nan])
    run()
    assert np.isnan(w.value).all()
    w.value = np.array([1.0])
    w.grad = np.array([0.25])
    run()
    assert w.value.tolist() == [0.75]


# ----- the learning rate -----


@every_optimizer
def test_a_schedule_is_asked_for_each_step(optimizer):
    asked = []

    def schedule(step):
        asked.append(step)
        return 1.0 if step == 0 else 0.0

    w = tensor([0.0])
    run = optimizer([w], learning_rate=schedule)
    assert asked == []
    positions = []
    for _ in range(3):
        w.grad = np.array([1.0])
        run()
        positions.append(float(w.value[0]))
    assert asked == [0, 1, 2]
    assert positions[0] != 0.0
    assert positions[0] == positions[1] == positions[2]


@every_optimizer
def test_a_tensor_is_read_at_each_step(optimizer):
    w, rate = tensor([0.0], np.float32), bnp.array(1.0)
    run = optimizer([w], learning_rate=rate)
    positions = []
    for length in (1.0, 0.0, 2.0):
        rate[...] = length
        w.grad = np.array([1.0], np.float32)
        run()
        positions.append(float(w.value[0]))
    assert positions[0] == positions[1] != positions[2]
    assert w.dtype == np.float32


@every_optimizer
def test_a_tensor_out_of_range_is_refused_before_anything_moves(optimizer):
    w, rate = tensor([1.0]), bnp.array(1.0)
    run = optimizer([w], learning_rate=rate)
    rate[...] = -1.0
    w.grad = np.array([1.0])
    with pytest.raises(ValueError, match=r"`learning_rate` is -1\.0 at step 0"):
        run()
    assert w.value.tolist() == [1.0]
    with pytest.raises(ValueError, match=r"finite and not negative"):
        optimizer([w], learning_rate=rate)


@every_optimizer
@pytest.mark.parametrize(
    ("rate", "found"),
    [
        (bnp.array([0.1]), r"Tensor of shape \(1,\) and float64"),
        (bnp.array(1), r"Tensor of shape \(\) and int64"),
        (bnp.array(0.1).requires_grad_(), r"tracked Tensor of shape \(\)"),
    ],
)
def test_a_tensor_that_is_no_learning_rate_is_refused(optimizer, rate, found):
    with pytest.raises(TypeError, match=rf"`learning_rate` is a {found}.*untracked, of shape"):
        optimizer([tensor([1.0])], learning_rate=rate)


@pytest.fixture
def recording():
    """Let the CPU say that what is computed is only written down, as a GPU does in a capture."""
    register(dataclasses.replace(NUMPY, capturing=lambda: True))
    yield
    register(NUMPY)


@every_optimizer
@pytest.mark.parametrize("rate", [lambda step: 1.0, bnp.array(1.0)], ids=["schedule", "on the CPU"])
def test_a_number_that_a_graph_would_keep_is_refused(optimizer, rate, recording):
    w = tensor([1.0])
    run = optimizer([w], learning_rate=rate)
    run()  # without a gradient nothing is written down
    w.grad = np.array([1.0])
    with pytest.raises(RuntimeError, match=r"CUDA graph .* rate\[\.\.\.\] = 0\.01"):
        run()
    assert w.value.tolist() == [1.0]
    assert w.grad.tolist() == [1.0]


@every_optimizer
def test_a_constant_may_be_written_down(optimizer, recording):
    w = tensor([1.0])
    run = optimizer([w], learning_rate=1.0)
    w.grad = np.array([1.0])
    run()
    assert w.value.tolist() != [1.0]


# ----- errors -----


@every_optimizer
@pytest.mark.parametrize("empty", [[], (), {}, [(), {}]])
def test_an_empty_tree_is_refused(optimizer, empty):
    with pytest.raises(ValueError, match=rf"{optimizer.__name__}: `weights` holds no Tensor"):
        optimizer(empty, learning_rate=0.1)


@every_optimizer
@pytest.mark.parametrize("leaf", [np.ones(2), 1.0, "W", None], ids=repr)
def test_leaves_that_are_no_tensors_are_refused(optimizer, leaf):
    words = (
        rf"{optimizer.__name__}: `weights\[0\]\[1\]` is {type(leaf).__name__}, not a Tensor.*"
        r"backpass\.numpy\.array"
    )
    with pytest.raises(TypeError, match=words):
        optimizer([(tensor([1.0]), leaf)], learning_rate=0.1)


@every_optimizer
@pytest.mark.parametrize("dtype", [int, bool])
def test_integers_are_refused(optimizer, dtype):
    words = r"`weights\['n'\]` holds (int64|bool).*\.astype\(float\)"
    with pytest.raises(TypeError, match=words):
        optimizer({"n": tensor([1], dtype)}, learning_rate=0.1)


@every_optimizer
@pytest.mark.parametrize("rate", [-0.1, -1, float("nan"), float("inf")])
def test_a_learning_rate_out_of_range_is_refused(optimizer, rate):
    words = rf"{optimizer.__name__}: `learning_rate` is {rate}, .* finite and not negative"
    with pytest.raises(ValueError, match=words):
        optimizer([tensor([1.0])], learning_rate=rate)


@every_optimizer
def test_a_schedule_out_of_range_is_refused_before_anything_moves(optimizer):
    w = tensor([1.0])
    run = optimizer([w], learning_rate=lambda step: -1.0)
    w.grad = np.array([1.0])
    with pytest.raises(ValueError, match=r"`learning_rate` is -1\.0 at step 0"):
        run()
    assert w.value.tolist() == [1.0]
    assert w.grad.tolist() == [1.0]


@every_optimizer
@pytest.mark.parametrize("rate", ["fast", None, [0.1]], ids=repr)
def test_a_learning_rate_that_is_no_number_is_refused(optimizer, rate):
    with pytest.raises(TypeError, match="`learning_rate` must be a number or a function"):
        optimizer([tensor([1.0])], learning_rate=rate)


@pytest.mark.parametrize("beta", [-0.1, 1.0, 1.5, float("nan")])
def test_a_beta_out_of_range_is_refused(beta):
    with pytest.raises(ValueError, match=rf"`beta` is {beta}, .* at least 0 and less than 1"):
        sgd_momentum([tensor([1.0])], learning_rate=0.1, beta=beta)


@every_optimizer
def test_a_gradient_of_another_shape_is_refused_before_anything_moves(optimizer):
    a, b = tensor([1.0]), tensor([1.0, 2.0])
    run = optimizer([a, b], learning_rate=0.1)
    a.grad, b.grad = np.ones(1), np.ones(1)
    with pytest.raises(ValueError, match=r"`weights\[1\]\.grad` has shape \(1,\).*\(2,\)"):
        run()
    assert a.value.tolist() == [1.0]
    assert b.value.tolist() == [1.0, 2.0]


# ----- the primitives -----


def test_the_whole_tree_takes_one_call(monkeypatch):
    calls = []
    weights = [tensor([1.0]), tensor([2.0, 3.0])]
    for module_primitive in (sgd_update, momentum_update):
        plain = module_primitive.run
        monkeypatch.setattr(
            module_primitive,
            "run",
            lambda arrays, options, plain=plain, name=module_primitive.name: (
                calls.append((name, len(arrays))),
                plain(arrays, options),
            ),
        )
    for optimizer in (sgd, sgd_momentum):
        run = optimizer(weights, learning_rate=0.1)
        for w in weights:
            w.grad = np.ones_like(w.value)
        run()
    assert calls == [("sgd_update", 4), ("momentum_update", 6)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_the_updates_write_into_what_they_are_given(dtype):
    w, v, g = (np.array(x, dtype) for x in ([1.0, 2.0], [0.0, 4.0], [2.0, 4.0]))
    assert momentum_update.op(w, v, g, learning_rate=0.5, momentum=0.5) is None
    assert v.tolist() == [1.0, 4.0]
    assert w.tolist() == [0.5, 0.0]
    assert g.tolist() == [2.0, 4.0]
    assert sgd_update.op(w, g, learning_rate=0.25) is None
    assert w.tolist() == [0.0, -1.0]
    assert w.dtype == v.dtype == dtype
