"""The two ways of use of the optimizers: on modules, trees and groups; state, saved and resumed."""

import copy
import dataclasses
import json

import numpy as np
import pytest

import backpass.numpy as bnp
from backpass.core import Tensor, grad, tree
from backpass.core.backends import NUMPY, register
from backpass.nn import Buffer, Module, Parameter
from backpass.nn.optimizers import (
    SGD,
    Accumulate,
    Adagrad,
    Adam,
    AdamW,
    Lion,
    Muon,
    Optimizer,
    RMSprop,
    clip_grad_norm,
    schedules,
    sgd,
)

KINDS = [SGD, Adam, AdamW, RMSprop, Adagrad, Lion]
every_kind = pytest.mark.parametrize("kind", KINDS)
MAKERS = {
    "SGD": lambda *a, **k: SGD(*a, momentum=0.9, dampening=0.5, **k),
    "Adam": lambda *a, **k: Adam(*a, amsgrad=True, **k),
    "AdamW": AdamW,
    "RMSprop": lambda *a, **k: RMSprop(*a, momentum=0.9, centered=True, **k),
    "Adagrad": lambda *a, **k: Adagrad(*a, learning_rate_decay=0.1, **k),
    "Lion": Lion,
}
every_maker = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)


class Layer(Module):
    def __init__(self, rng):
        self.weight = Parameter(rng.normal(size=(3, 3)).astype(np.float32))
        self.bias = Parameter(np.zeros(3, np.float32))
        self.count = Buffer(0)

    def forward(self, x):
        return bnp.tanh(bnp.dot(x, self.weight) + self.bias)


class Model(Module):
    def __init__(self, seed=0):
        rng = np.random.default_rng(seed)
        self.layers = [Layer(rng), Layer(rng)]
        self.gain = Parameter(np.float32(1))

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return x * self.gain


X = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)


def loss(model, x):
    return bnp.mean(bnp.square(model(x) - 1))


def train(model, optimizer, steps):
    for _ in range(steps):
        loss(model, X).backward()
        optimizer.step()
        optimizer.zero_grad()


def values(model):
    return [np.array(p.value) for p in model.parameters()]


def equal(xs, ys):
    return all(np.array_equal(x, y) for x, y in zip(xs, ys, strict=True))


# ----- the two ways -----


@every_maker
def test_a_model_is_trained_the_same_in_both_ways(make):
    model, given = Model(), Model()
    first = values(given)
    train(model, make(model, learning_rate=0.05), 5)
    optimizer = make(learning_rate=0.05)
    params, state = given, optimizer.init(given)
    for _ in range(5):
        before = {key: np.array(value) for key, value in state.items()}
        gradients = grad(loss, argnums=0)(params, X)
        held = tree.map(copy.copy, gradients)
        new_params, new_state = optimizer.update(gradients, state, params)
        assert all(np.array_equal(before[key], value) for key, value in state.items())
        assert equal(
            [g for g in tree.leaves(held) if g is not None],
            [g for g in tree.leaves(gradients) if g is not None],
        )
        params, state = new_params, new_state
    assert equal(values(params), values(model))
    assert not equal(values(params), first)
    assert equal(values(given), first)
    assert isinstance(params, Model)
    assert all(isinstance(p, Parameter) and p.requires_grad for p in params.parameters())
    assert all(p.grad is None for p in given.parameters())
    assert [a is b for a, b in zip(params.buffers(), given.buffers(), strict=True)] == [True, True]
    assert equal([p.dtype for p in params.parameters()], [np.float32] * 5)


def test_the_loss_falls():
    model = Model()
    before = float(loss(model, X).value)
    train(model, Adam(model, learning_rate=0.01), 50)
    assert float(loss(model, X).value) < 0.3 * before


@every_kind
def test_what_is_frozen_stays(kind):
    model = Model()
    model.layers[0].freeze()
    model.layers[1].bias.grad = np.ones(3, np.float32)
    first = values(model)
    optimizer = kind(model, learning_rate=0.1)
    train(model, optimizer, 1)
    assert [np.array_equal(x, y) for x, y in zip(first, values(model))] == [True, True] + [
        False
    ] * 3
    pure = kind(learning_rate=0.1)
    gradients = grad(loss, argnums=0)(model, X)
    params, state = pure.update(gradients, pure.init(model), model)
    assert params.layers[0].weight is model.layers[0].weight
    assert not any(key.startswith("layers.0.weight.m") for key in state)
    # A frozen one whose gradient came before.
    model.gain.grad = np.float32(1)
    model.gain.requires_grad_(False)
    before = float(model.gain.value)
    optimizer.step()
    assert float(model.gain.value) == before
    # Unfrozen, they begin to learn.
    model.unfreeze()
    train(model, optimizer, 1)
    assert not np.array_equal(first[0], model.layers[0].weight.value)
    gradients = grad(loss, argnums=0)(params.unfreeze(), X)
    params, state = pure.update(gradients, state, params)
    assert state["layers.0.weight.step"] == 1


@every_kind
def test_pure_use_on_arrays_and_tensors(kind):
    optimizer = kind(learning_rate=0.5)
    for make in (np.asarray, bnp.array):
        params = {"w": make(np.ones((2, 2))), "s": [make(np.float64(2.0)), make(np.ones(2))]}
        gradients = {"w": np.ones((2, 2)), "s": [np.float64(1.0), None]}
        state = optimizer.init(params)
        made, state = optimizer.update(gradients, state, params)
        assert type(made["w"]) is type(params["w"])
        assert made["s"][1] is params["s"][1]
        assert (np.asarray(made["w"]) != 1).all()
        assert np.asarray(made["s"][0]) != 2
        assert np.asarray(params["w"]).tolist() == [[1, 1], [1, 1]]
        assert state["s.0.step"] == 1
        assert state["s.1.step"] == 0


def test_parameters_come_in_many_forms():
    for form in (
        lambda m: m,
        lambda m: m.parameters(),
        lambda m: list(m.parameters()),
        lambda m: {"model": m},
        lambda m: [{"params": m.parameters()}],
        lambda m: [{"params": m.layers}, {"params": m.gain}],
    ):
        model, other = Model(), Model()
        train(model, Adam(form(model), learning_rate=0.01), 3)
        train(other, Adam(other, learning_rate=0.01), 3)
        assert equal(values(model), values(other))


def test_the_functions_take_models():
    for form in (lambda m: m, lambda m: m.parameters(), lambda m: [m]):
        model, other = Model(), Model()
        run, optimizer = sgd(form(model), 0.1), SGD(other, 0.1)
        loss(model, X).backward()
        run()
        train(other, optimizer, 1)
        assert equal(values(model), values(other))
        assert model.gain.grad is None
        assert clip_grad_norm(form(model), 1.0) == 0


@dataclasses.dataclass
class Pair:
    w: Tensor
    b: Tensor


def test_an_optimizer_is_shown_with_its_hyperparameters():
    assert repr(Lion(learning_rate=0.5)) == (
        "Lion(learning_rate=0.5, betas=(0.9, 0.99), weight_decay=0.0)"
    )
    groups = [{"params": bnp.ones(1)}, {"params": [bnp.ones(1), bnp.ones(2)]}]
    assert repr(Lion(groups)).startswith("Lion(3 parameters, 2 groups, learning_rate=0.0001, ")


def test_names_are_paths():
    tree = {"layers": [Pair(bnp.ones(1), bnp.ones(2)), Layer(np.random.default_rng(0))]}
    names = ["layers.0.w", "layers.0.b", "layers.1.weight", "layers.1.bias"]
    assert list(SGD(tree).parameters()) == names
    assert SGD().init(tree).keys() == SGD(tree).state_dict().keys()
    assert list(SGD(bnp.ones(1), momentum=0.5).state_dict()) == [
        "optimizer",
        "steps",
        "velocity",
        "step",
    ]


def test_groups_have_their_own_hyperparameters():
    a, b, c = (bnp.array([1.0]) for _ in range(3))
    optimizer = SGD(
        [
            {"params": [a], "learning_rate": 0.5},
            {"params": {"b": b}, "momentum": 0.5},
            {"params": c, "weight_decay": 1.0, "learning_rate": lambda step: step + 1.0},
        ],
        learning_rate=0.25,
    )
    assert optimizer.learning_rates == [0.5, 0.25, 1.0]
    assert list(optimizer.parameters()) == ["0.0", "1.b", "2"]
    for _ in range(2):
        for w in (a, b, c):
            w.grad = np.array([1.0])
        optimizer.step()
    assert (a.value[0], b.value[0], c.value[0]) == (0.0, 1 - 0.25 - 0.375, -1 - 2 * 0.0)
    assert optimizer.learning_rates == [0.5, 0.25, 3.0]
    assert {k for k in optimizer.state_dict() if "." in k} == {
        "0.0.step",
        "1.b.velocity",
        "1.b.step",
        "2.step",
    }


def test_shared_parameters_move_once():
    w, other = bnp.array([1.0]), bnp.array([1.0])
    optimizer, twin = Adam([w, [w]], learning_rate=0.5), Adam([other], learning_rate=0.5)
    w.grad = other.grad = np.array([1.0])
    optimizer.step()
    twin.step()
    assert w.value == other.value


def test_step_leaves_gradients_and_zero_grad_clears_them():
    w = bnp.array([1.0])
    optimizer = SGD([w], learning_rate=0.5)
    w.grad = np.array([1.0])
    optimizer.step()
    assert w.grad.tolist() == [1.0]
    optimizer.zero_grad()
    assert w.grad is None


@every_maker
def test_arrays_that_others_hold_are_left_alone(make):
    w = bnp.array([1.0, 2.0])
    held, view, g = w.value, w[:1], np.array([1.0, 1.0])
    optimizer = make([w], learning_rate=1.0)
    for _ in range(2):
        w.grad = g
        optimizer.step()
    assert held.tolist() == [1.0, 2.0]
    assert view.value.tolist() == [1.0]
    assert g.tolist() == [1.0, 1.0]


def test_a_whole_model_takes_one_call(monkeypatch):
    from backpass.nn.optimizers import adam_update

    calls = []
    plain = adam_update.run
    monkeypatch.setattr(adam_update, "run", lambda xs, o: (calls.append(len(xs)), plain(xs, o)))
    model = Model()
    optimizer = Adam(model)
    train(model, optimizer, 2)
    assert calls == [20, 20]
    # One that has had fewer gradients takes a step of its own: its bias is another.
    for p in model.parameters():
        p.grad = None
    model.gain.grad = np.float32(1)
    optimizer.step()
    train(model, optimizer, 1)
    assert calls == [20, 20, 4, 16, 4]


# ----- saving -----


@every_maker
def test_a_training_is_resumed_bit_for_bit(make):
    whole, model = Model(), Model()
    rate = schedules.cosine(0.05, 10)
    train(whole, make(whole, learning_rate=rate), 7)
    optimizer = make(model, learning_rate=rate)
    train(model, optimizer, 4)
    state, weights = optimizer.state_dict(), model.state_dict()
    kept = {key: np.array(value) for key, value in state.items()}
    train(model, optimizer, 2)
    assert all(np.array_equal(kept[key], value) for key, value in state.items())
    json.dumps({k: v for k, v in state.items() if not isinstance(v, np.ndarray)}, allow_nan=False)
    other = Model(seed=5)
    other.load_state_dict(weights)
    resumed = make(other, learning_rate=rate)
    resumed.load_state_dict(json_and_arrays(state))
    train(other, resumed, 3)
    assert equal(values(other), values(whole))


def json_and_arrays(state):
    numbers = {k: v for k, v in state.items() if not isinstance(v, np.ndarray)}
    return json.loads(json.dumps(numbers)) | {k: v for k, v in state.items() if k not in numbers}


def test_a_state_is_loaded_into_an_optimizer_that_has_gone_another_way():
    a, b = Model(), Model()
    first, second = Adam(a), Adam(b)
    train(a, first, 2)
    train(b, second, 5)
    second.load_state_dict(first.state_dict())
    b.load_state_dict(a.state_dict())
    train(a, first, 2)
    train(b, second, 2)
    assert equal(values(a), values(b))
    # A state from before anything was trained sets everything back.
    begun = Adam(Model()).state_dict()
    second.load_state_dict(begun)
    assert equal(second.state_dict().values(), begun.values())


def test_the_pure_state_is_that_of_the_other_way():
    model = Model()
    optimizer = Adam(model)
    train(model, optimizer, 2)
    gradients = grad(loss, argnums=0)(model, X)
    params, state = Adam().update(gradients, optimizer.state_dict(), model)
    train(model, optimizer, 1)
    assert equal(values(params), values(model))
    optimizer.load_state_dict(state)


def test_what_a_schedule_remembers_is_saved():
    w, rate = bnp.array([1.0]), bnp.array(0.5)
    plateau = schedules.Plateau(1.0, patience=0)
    groups = [{"params": w, "learning_rate": plateau}, {"params": bnp.array(1.0)}]
    optimizer = SGD(groups, learning_rate=rate)
    plateau.observe(1.0)
    plateau.observe(1.0)
    rate[...] = 0.25
    state = optimizer.state_dict()
    assert state["0.learning_rate.rate"] == pytest.approx(0.1)
    assert state["1.learning_rate"] == 0.25
    again, rate = schedules.Plateau(1.0, patience=0), bnp.array(0.5)
    other = SGD(
        [{"params": bnp.array([1.0]), "learning_rate": again}, {"params": bnp.array(1.0)}], rate
    )
    other.load_state_dict(state)
    assert other.learning_rates == optimizer.learning_rates
    assert again.best == 1.0
    assert float(rate) == 0.25
    del state["0.learning_rate.rate"], state["0.learning_rate.bad"]
    with pytest.raises(ValueError, match="Plateau: the state has"):
        other.load_state_dict(state)
    with pytest.raises(ValueError, match="`learning_rate` is missing"):
        SGD(w, rate).load_state_dict(SGD(w).state_dict())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("gain.mean"), r"`gain\.mean` is missing"),
        (lambda s: s.pop("gain.step"), r"`gain\.step` is missing"),
        (lambda s: s.pop("steps"), "`steps` is missing"),
        (lambda s: s.update({"other.mean": np.ones(1)}), r"`other\.mean` is not expected"),
        (lambda s: s.update({"gain.mean": np.ones(2, "f")}), r"`gain\.mean` has shape \(2,\) and"),
        (
            lambda s: s.update({"gain.mean": np.float64(1)}),
            r"float64, but the parameter, of shape \(\) and float32",
        ),
        (lambda s: s.update({"gain.mean": 1.0}), r"`gain\.mean` is float, not an array"),
        (lambda s: s.update({"gain.step": -1}), r"`gain\.step` is -1, not a number of steps"),
        (lambda s: s.update({"steps": 1.5}), r"`steps` is 1\.5, not a number of steps"),
        (lambda s: s.update({"optimizer": "Lion"}), "it belongs to Lion"),
        (lambda s: s.pop("optimizer"), "it belongs to something else"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_whole(change, words):
    model = Model()
    optimizer = Adam(model)
    train(model, optimizer, 1)
    state = optimizer.state_dict()
    before = {key: np.array(value) for key, value in state.items()}
    train(model, optimizer, 1)
    now = optimizer.state_dict()
    change(state)
    with pytest.raises(ValueError, match=f"Adam: the state does not fit.*{words}"):
        optimizer.load_state_dict(state)
    assert equal(optimizer.state_dict().values(), now.values())
    pure = Adam()
    gradients = grad(loss, argnums=0)(model, X)
    with pytest.raises(ValueError, match=words):
        pure.update(gradients, state, model)
    del before


# ----- what is captured in a graph -----


@pytest.fixture
def recording():
    """Let the CPU say that what is computed is only written down, as a GPU does in a capture."""
    register(dataclasses.replace(NUMPY, capturing=lambda: True))
    yield
    register(NUMPY)


def with_gradient(kind, **options):
    w = bnp.array([1.0])
    optimizer = kind([w], learning_rate=0.5, **options)
    w.grad = np.array([1.0])
    return w, optimizer


@pytest.mark.parametrize(
    ("kind", "options", "words"),
    [
        (Adam, {}, "make the optimizer with capturable=True"),
        (AdamW, {}, "make the optimizer with capturable=True"),
        (SGD, {"momentum": 0.9, "dampening": 0.5}, "take it outside of the capture"),
        (Adagrad, {"learning_rate_decay": 0.5}, "take it outside of the capture"),
    ],
)
def test_the_number_of_a_step_is_not_written_down(kind, options, words, recording):
    w, optimizer = with_gradient(kind, **options)
    with pytest.raises(RuntimeError, match=rf"{kind.__name__}: .* CUDA graph .*{words}"):
        optimizer.step()
    assert w.value.tolist() == [1.0]
    assert optimizer.steps == 0
    assert optimizer.state_dict()["0.step"] == 0


def test_later_steps_of_damped_momentum_may_be_written_down():
    w, optimizer = with_gradient(SGD, momentum=0.9, dampening=0.5)
    optimizer.step()
    register(dataclasses.replace(NUMPY, capturing=lambda: True))
    try:
        optimizer.step()
    finally:
        register(NUMPY)
    assert w.value.tolist() == [1 - 0.5 - 0.5 * (0.9 + 0.5)]


@pytest.mark.parametrize("kind", [SGD, Lion, RMSprop, Adagrad])
def test_steps_that_are_all_alike_may_be_written_down(kind, recording):
    w, optimizer = with_gradient(kind)
    optimizer.step()
    assert w.value.tolist() != [1.0]


def test_what_is_kept_does_not_begin_in_a_graph(recording):
    w = Parameter([1.0], requires_grad=False)
    optimizer = Lion(w, learning_rate=0.5)
    w.requires_grad_()
    w.grad = np.array([1.0])
    with pytest.raises(RuntimeError, match="take a step before"):
        optimizer.step()


def test_an_accumulation_is_not_written_down(recording):
    w, optimizer = with_gradient(SGD)
    accumulating = Accumulate(optimizer, 2)
    with pytest.raises(RuntimeError, match=r"CUDA graph .* take the steps outside"):
        accumulating.step()
    assert (w.value.tolist(), accumulating.pending) == ([1.0], 0)


@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_a_count_on_the_device_gives_the_same_steps(kind):
    model, other = Model(), Model()
    optimizer = kind(other, learning_rate=0.01, capturable=True)
    train(model, kind(model, learning_rate=0.01), 3)
    register(dataclasses.replace(NUMPY, capturing=lambda: True))
    try:
        train(other, optimizer, 3)
    finally:
        register(NUMPY)
    for x, y in zip(values(model), values(other)):
        np.testing.assert_allclose(x, y, rtol=1e-5)
    assert optimizer.state_dict()["gain.step"] == 3
    resumed = kind(other, learning_rate=0.01, capturable=True)
    resumed.load_state_dict(optimizer.state_dict())
    assert resumed.state_dict()["gain.step"] == 3
    other.zero_grad()
    other.gain.grad = np.float32(1)
    with pytest.raises(RuntimeError, match=r"`params\.layers\.0\.weight\.grad` is None, but with"):
        optimizer.step()


# ----- accumulation -----


def test_batches_that_are_accumulated_are_one():
    model, other = Model(), Model()
    whole, parts = Adam(model, 0.01), Accumulate(Adam(other, 0.01), steps=5)
    train(model, whole, 2)
    for _ in range(2):
        for i in range(5):
            loss(other, X[i : i + 1]).backward()
            parts.step()
            parts.zero_grad()
    assert whole.steps == parts.steps == 2
    assert parts.learning_rates == [0.01]
    for x, y in zip(values(model), values(other)):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5)


def test_an_accumulation_is_resumed_bit_for_bit():
    def go(model, optimizer, start, stop):
        for i in range(start, stop):
            loss(model, X[i % 5 : i % 5 + 1]).backward()
            optimizer.step()
            optimizer.zero_grad()

    whole, model = Model(), Model()
    go(whole, Accumulate(Adam(whole, 0.01), 3), 0, 10)
    optimizer = Accumulate(Adam(model, 0.01), 3)
    go(model, optimizer, 0, 5)
    state, weights = optimizer.state_dict(), model.state_dict()
    assert state["pending"] == 2
    other = Model(seed=3)
    other.load_state_dict(weights)
    resumed = Accumulate(Adam(other, 0.01), 3)
    resumed.load_state_dict(json_and_arrays(state))
    go(other, resumed, 5, 10)
    assert equal(values(other), values(whole))
    with pytest.raises(ValueError, match="has 2 gradients added up, but 2 make a step"):
        Accumulate(Adam(other), 2).load_state_dict(state)
    with pytest.raises(ValueError, match=r"`gain\.gradient` must be an array of shape \(\)"):
        resumed.load_state_dict(state | {"gain.gradient": np.ones(2)})
    with pytest.raises(ValueError, match="`pending` is missing"):
        resumed.load_state_dict(resumed.optimizer.state_dict())


def test_an_accumulated_step_that_fails_leaves_everything():
    w = bnp.array([1.0])
    optimizer = Accumulate(SGD([w], learning_rate=lambda step: -1.0), steps=2)
    w.grad = np.array([4.0])
    optimizer.step()
    with pytest.raises(ValueError, match="learning_rate"):
        optimizer.step()
    assert w.grad.tolist() == [4.0]
    assert optimizer.pending == 1
    for wrong in (SGD(), None):
        with pytest.raises(TypeError, match="`optimizer` must be an optimizer with parameters"):
            Accumulate(wrong, 2)
    with pytest.raises(ValueError, match="`steps` is 0"):
        Accumulate(SGD([w]), 0)


# ----- errors -----


@every_kind
def test_an_optimizer_without_parameters_says_so(kind):
    for use in (
        lambda o: o.step(),
        lambda o: o.zero_grad(),
        lambda o: o.state_dict(),
        lambda o: o.load_state_dict({}),
    ):
        with pytest.raises(
            RuntimeError, match=rf"{kind.__name__}.* needs the parameters: {kind.__name__}"
        ):
            use(kind())


@every_kind
@pytest.mark.parametrize(
    ("params", "error", "words"),
    [
        ([], ValueError, "`params` holds no Tensor"),
        ([1.0], TypeError, r"`params\[0\]` is float, not a Tensor"),
        ([bnp.array([1])], TypeError, r"`params\[0\]` holds int64"),
        ({"a.b": bnp.ones(1), "a": {"b": bnp.ones(1)}}, ValueError, r"both be saved as 'a\.b'"),
        (
            [{"params": bnp.ones(1), "rate": 1}],
            TypeError,
            r"`params\[0\]` has 'rate', which is none",
        ),
        ([{"params": []}], ValueError, r"`params\[0\]\['params'\]` holds no Tensor"),
        ([{"params": [1]}], TypeError, r"`params\[0\]\['params'\]\[0\]` is int"),
        ([{"params": bnp.ones(1), "learning_rate": -1}], ValueError, "`learning_rate` is -1"),
    ],
)
def test_wrong_parameters_are_refused(kind, params, error, words):
    with pytest.raises(error, match=f"{kind.__name__}: .*{words}"):
        kind(params)


def test_a_parameter_in_two_groups_is_refused():
    w = bnp.ones(1)
    with pytest.raises(ValueError, match=r"`params\[1\].*` is in two groups, also as `params\[0\]"):
        SGD([{"params": w}, {"params": [w]}])


def test_muon_names_what_is_no_matrix():
    model = Model()
    with pytest.raises(
        ValueError, match=r"`params\.layers\.0\.bias` has shape \(3,\) and float32.*AdamW"
    ):
        Muon(model)
    with pytest.raises(ValueError, match="real matrices"):
        Muon().init([bnp.ones((2, 2), complex)])
    matrices = [p for p in model.parameters() if p.ndim == 2]
    others = [p for p in model.parameters() if p.ndim != 2]
    optimizers: list[Optimizer] = [Muon(matrices, 0.05), AdamW(others, 0.05)]
    before = float(loss(model, X).value)
    for _ in range(30):
        loss(model, X).backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad()
    assert float(loss(model, X).value) < before / 2


@pytest.mark.parametrize(
    ("kind", "options", "error", "words"),
    [
        (SGD, {"momentum": 1.0}, ValueError, "`momentum` is 1.0, .* at least 0, less than 1"),
        (SGD, {"dampening": 2.0}, ValueError, "`dampening` is 2.0"),
        (SGD, {"weight_decay": -1}, ValueError, "`weight_decay` is -1, .* finite and not negative"),
        (SGD, {"weight_decay": float("nan")}, ValueError, "`weight_decay` is nan"),
        (SGD, {"weight_decay": float("inf")}, ValueError, "`weight_decay` is inf"),
        (SGD, {"nesterov": True}, ValueError, "`nesterov` needs `momentum`"),
        (SGD, {"nesterov": 1}, TypeError, "`nesterov` must be True or False"),
        (Adam, {"betas": 0.9}, TypeError, "`betas` must be two numbers"),
        (Adam, {"betas": (0.9, 1.0)}, ValueError, r"`betas\[1\]` is 1.0"),
        (Adam, {"eps": "small"}, TypeError, "`eps` must be a number, not 'small'"),
        (AdamW, {"amsgrad": None}, TypeError, "`amsgrad` must be True or False"),
        (RMSprop, {"alpha": -0.1}, ValueError, "`alpha` is -0.1"),
        (Adagrad, {"learning_rate_decay": -0.1}, ValueError, "`learning_rate_decay` is -0.1"),
        (Lion, {"betas": (0.9,)}, TypeError, "`betas` must be two numbers"),
        (Muon, {"adjustment": "none"}, ValueError, "`adjustment` is 'none', .* 'original'"),
        (Muon, {"iterations": 0}, ValueError, "`iterations` is 0"),
        (Muon, {"iterations": 2.5}, TypeError, "`iterations` must be a whole number"),
        (Muon, {"coefficients": (1, 2)}, TypeError, "`coefficients` must be three numbers"),
        (Adam, {"learning_rate": float("nan")}, ValueError, "`learning_rate` is nan"),
        (Adam, {"learning_rate": "fast"}, TypeError, "`learning_rate` must be a number"),
    ],
)
def test_wrong_hyperparameters_are_refused(kind, options, error, words):
    with pytest.raises(error, match=f"{kind.__name__}: {words}"):
        kind(**options)
    group = {"params": bnp.ones((2, 2)), **options}
    with pytest.raises(error, match=f"{kind.__name__}: {words}"):
        kind([group])


@every_kind
def test_wrong_gradients_are_refused_before_anything_moves(kind):
    a, b = bnp.array([1.0]), bnp.array([1.0, 2.0])
    optimizer = kind([{"params": a}, {"params": b}], learning_rate=0.5)
    before = optimizer.state_dict()
    for wrong, error, words in (
        (np.ones(1), ValueError, r"`params\[1\]\['params'\]\.grad` has shape \(1,\).*\(2,\)"),
        (np.ones(2, complex), TypeError, "holds complex128, but its Tensor float64"),
    ):
        a.grad, b.grad = np.ones(1), wrong
        with pytest.raises(error, match=words):
            optimizer.step()
        assert a.value.tolist() == [1.0]
        assert equal(optimizer.state_dict().values(), before.values())


@every_kind
def test_wrong_pure_gradients_are_refused(kind):
    params = {"w": bnp.array([1.0, 2.0])}
    optimizer = kind()
    state = optimizer.init(params)
    tracked = Tensor(np.ones(2)).requires_grad_() * 2
    for wrong, error, words in (
        ([np.ones(2)], ValueError, "`gradients` and `params` have different structures"),
        ({"w": np.ones(3)}, ValueError, r"`gradients\['w'\]` has shape \(3,\)"),
        ({"w": 1.0}, TypeError, r"`gradients\['w'\]` is float, not an array or None"),
        ({"w": tracked}, TypeError, r"`gradients\['w'\]` is tracked"),
        ({"w": np.ones(2, complex)}, TypeError, r"`gradients\['w'\]` holds complex128"),
    ):
        with pytest.raises(error, match=words):
            optimizer.update(wrong, state, params)
    for nothing in ([], [Buffer(1.0)]):
        with pytest.raises(ValueError, match="holds nothing to train"):
            optimizer.init(nothing)
    with pytest.raises(TypeError, match=r"`params\[0\]` is float"):
        optimizer.init([1.0])
