"""Each class of optimizers against its formula, written out for one number after another."""

import itertools

import numpy as np
import pytest

import backpass.numpy as bnp
from backpass.core import Tensor
from backpass.nn.optimizers import SGD, Adagrad, Adam, AdamW, Lion, Muon, RMSprop

STEPS = 6
SHAPES = ((2, 3), (), (0,), (3,))


def product(**choices):
    return [dict(zip(choices, values)) for values in itertools.product(*choices.values())]


# ----- the formulas: of one number, with its gradient and what is remembered of it -----


def sgd(w, g, memory, t, lr, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False):
    g = g + weight_decay * w
    if momentum:
        v = memory["v"] = g if t == 1 else momentum * memory["v"] + (1 - dampening) * g
        g = g + momentum * v if nesterov else v
    return w - lr * g


def adam(w, g, memory, t, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, amsgrad=False):
    g = g + weight_decay * w
    m = memory["m"] = betas[0] * memory.get("m", 0) + (1 - betas[0]) * g
    v = memory["v"] = betas[1] * memory.get("v", 0) + (1 - betas[1]) * g * g
    if amsgrad:
        v = memory["top"] = max(v, memory.get("top", 0))
    return w - lr * (m / (1 - betas[0] ** t)) / (np.sqrt(v / (1 - betas[1] ** t)) + eps)


def adamw(w, g, memory, t, lr, weight_decay=0.01, **options):
    return adam(w * (1 - lr * weight_decay), g, memory, t, lr, **options)


def rmsprop(w, g, memory, t, lr, alpha=0.99, eps=1e-8, weight_decay=0.0, momentum=0.0, centered=0):
    g = g + weight_decay * w
    v = memory["v"] = alpha * memory.get("v", 0) + (1 - alpha) * g * g
    if centered:
        m = memory["m"] = alpha * memory.get("m", 0) + (1 - alpha) * g
        v = v - m * m
    d = memory["d"] = momentum * memory.get("d", 0) + g / (np.sqrt(v) + eps)
    return w - lr * d


def adagrad(
    w, g, memory, t, lr, learning_rate_decay=0.0, weight_decay=0.0, initial_accumulator_value=0.0
):
    g = g + weight_decay * w
    s = memory["s"] = memory.get("s", initial_accumulator_value) + g * g
    return w - lr / (1 + (t - 1) * learning_rate_decay) * g / (np.sqrt(s) + 1e-10)


def lion(w, g, memory, t, lr, betas=(0.9, 0.99), weight_decay=0.0):
    m = memory.get("m", 0)
    c = betas[0] * m + (1 - betas[0]) * g
    memory["m"] = betas[1] * m + (1 - betas[1]) * g
    return w - lr * (np.sign(c) + weight_decay * w)


CASES = [
    *(
        (SGD, sgd, o)
        for o in product(momentum=[0.0, 0.9], dampening=[0.0, 0.4], weight_decay=[0.1])
    ),
    (SGD, sgd, {}),
    (SGD, sgd, {"momentum": 0.9, "nesterov": True}),
    *((Adam, adam, o) for o in product(weight_decay=[0.0, 0.1], amsgrad=[False, True])),
    (Adam, adam, {"betas": (0.3, 0.5), "eps": 0.1}),
    *((AdamW, adamw, o) for o in product(weight_decay=[0.01, 0.5], amsgrad=[False, True])),
    *((RMSprop, rmsprop, o) for o in product(momentum=[0.0, 0.9], centered=[False, True])),
    (RMSprop, rmsprop, {"alpha": 0.5, "eps": 0.1, "weight_decay": 0.1}),
    *(
        (Adagrad, adagrad, o)
        for o in product(learning_rate_decay=[0.0, 0.1], initial_accumulator_value=[0.0, 0.5])
    ),
    (Adagrad, adagrad, {"weight_decay": 0.1}),
    *((Lion, lion, o) for o in product(weight_decay=[0.0, 0.1], betas=[(0.9, 0.99), (0.5, 0.7)])),
]


def draw(rng, dtype, shape):
    x = rng.normal(size=shape)
    return np.asarray(x + 1j * rng.normal(size=shape) if np.dtype(dtype).kind == "c" else x, dtype)


def by_hand(formula, array, gradients, counts, memories, options):
    """Move each number, or the two parts of a complex one, by itself."""
    flat, g = array.reshape(-1), gradients.reshape(-1)
    for i in range(flat.size):
        memory = memories.setdefault(i, ({}, {}))
        if array.dtype.kind == "c":
            real = formula(flat[i].real, g[i].real, memory[0], counts, **options)
            imag = formula(flat[i].imag, g[i].imag, memory[1], counts, **options)
            flat[i] = real + 1j * imag
        else:
            flat[i] = formula(flat[i], g[i], memory[0], counts, **options)


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
@pytest.mark.parametrize(
    ("kind", "formula", "options"), CASES, ids=[f"{k.__name__}-{o}" for k, _, o in CASES]
)
def test_steps(kind, formula, options, dtype):
    """In place and purely; of one parameter some gradients do not arrive."""
    rng = np.random.default_rng(0)
    right = [draw(rng, dtype, shape) for shape in SHAPES]
    weights, params = [bnp.array(x) for x in right], [bnp.array(x) for x in right]
    right = [x.astype("complex128" if dtype == "complex128" else "float64") for x in right]
    optimizer, pure = kind(weights, 0.1, **options), kind(learning_rate=0.1, **options)
    state = pure.init(params)
    memories, counts = [{} for _ in SHAPES], [0] * len(SHAPES)
    for step in range(STEPS):
        gs = [draw(rng, dtype, shape) for shape in SHAPES]
        if step in (0, 3):
            gs[3] = None
        for i, (w, g) in enumerate(zip(weights, gs)):
            w.grad = g
            if g is None:
                continue
            counts[i] += 1
            by_hand(formula, right[i], g.conj(), counts[i], memories[i], {"lr": 0.1, **options})
        optimizer.step()
        params, state = pure.update(gs, state, params)
    limit = 1e-4 if dtype == "float32" else 1e-12
    for w, p, x in zip(weights, params, right):
        assert w.dtype == p.dtype == dtype
        np.testing.assert_allclose(w.value, x, rtol=limit, atol=limit)
        np.testing.assert_array_equal(p.value, w.value)
    assert optimizer.steps == state["steps"] == STEPS
    saved = optimizer.state_dict()
    assert saved.keys() == state.keys()
    for key, value in saved.items():
        np.testing.assert_array_equal(value, state[key])


def newton_schulz(x, coefficients, iterations):
    """By the singular values: the iteration leaves the singular vectors."""
    a, b, c = coefficients
    u, s, vt = np.linalg.svd(x, full_matrices=False)
    s = s / np.sqrt(np.sum(s * s))
    for _ in range(iterations):
        s = a * s + b * s**3 + c * s**5
    return u @ np.diag(s) @ vt


@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (1, 3), (0, 3)])
@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize(
    ("adjustment", "factor"),
    [
        ("original", lambda m, n: max(1, m / n) ** 0.5),
        ("match_rms_adamw", lambda m, n: 0.2 * max(m, n) ** 0.5),
        ("spectral_unclamped", lambda m, n: (m / n) ** 0.5),
    ],
)
def test_muon(shape, nesterov, adjustment, factor):
    rng = np.random.default_rng(0)
    right, b = rng.normal(size=shape), np.zeros(shape)
    w = bnp.array(right)
    optimizer = Muon(
        w, 0.1, momentum=0.8, nesterov=nesterov, weight_decay=0.3, adjustment=adjustment
    )
    for _ in range(3):
        w.grad = g = rng.normal(size=shape)
        optimizer.step()
        b = 0.8 * b + 0.2 * g
        d = 0.8 * b + 0.2 * g if nesterov else b
        if right.size:
            d = factor(*shape) * newton_schulz(d, (3.4445, -4.7750, 2.0315), 5)
        right = right * (1 - 0.1 * 0.3) - 0.1 * d
    np.testing.assert_allclose(w.value, right, rtol=1e-9, atol=1e-9)


def test_muon_of_a_gradient_that_is_zero_or_large():
    w = bnp.array(np.ones((2, 3), np.float32))
    optimizer = Muon(w, 0.5, weight_decay=0.0)
    w.grad = np.zeros((2, 3), np.float32)
    optimizer.step()
    np.testing.assert_array_equal(w.value, np.ones((2, 3)))
    w.grad = np.full((2, 3), 1e30, np.float32)
    optimizer.step()
    assert np.isfinite(w.value).all()
    assert w.dtype == np.float32


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW, RMSprop, Adagrad, Lion])
def test_float16_stays_float16(kind):
    w = bnp.array(np.ones(3, np.float16))
    optimizer = kind(w, np.float64(0.25))
    w.grad = np.ones(3, np.float16)
    optimizer.step()
    assert w.dtype == np.float16
    assert (w.value != 1).all()
    arrays = {key: x for key, x in optimizer.state_dict().items() if hasattr(x, "dtype")}
    assert "master" in arrays
    assert all(x.dtype == np.float32 for x in arrays.values())


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW, RMSprop, Adagrad, Lion, Muon])
def test_it_finds_a_minimum(kind):
    target = np.array([[1.0, 2.0], [3.0, -4.0]])
    w = Tensor(np.zeros((2, 2))).requires_grad_()
    rate = {"Adagrad": 1.0, "SGD": 0.1}.get(kind.__name__, 0.2)
    optimizer = kind(w, lambda step: rate * 0.98**step, weight_decay=0.0)
    for _ in range(400):
        bnp.sum(bnp.square(w - target)).backward()
        optimizer.step()
        optimizer.zero_grad()
    np.testing.assert_allclose(w.value, target, atol=0.05)


def test_a_rate_in_an_array_is_read_at_each_step():
    """As on a GPU, where numbers are left on the device."""
    arrays = [np.ones(3, np.float32), np.zeros(3, np.float32), np.zeros(3, np.float32)]
    arrays.append(np.full(3, 2, np.float32))
    other = [x.copy() for x in arrays]
    shared = dict(beta1=0.9, beta2=0.99, eps=1e-8, weight_decay=0.1, decoupled=True, amsgrad=False)
    from backpass.nn.optimizers import adam_update

    adam_update.run(arrays, dict(learning_rate=0.1, step=3, **shared))
    adam_update.run(other, dict(learning_rate=np.array(0.1), step=np.array(3.0), **shared))
    for x, y in zip(arrays, other):
        np.testing.assert_allclose(x, y, rtol=1e-6)
        assert y.dtype == np.float32
