"""Mixed precision: master weights, the scale of a loss, a model that computes in half precision."""

import numpy as np
import pytest

import backpass.numpy as bnp
from backpass import nn
from backpass.core import grad
from backpass.core.dtypes import named
from backpass.core.testing import check_grads
from backpass.nn import functional as F
from backpass.nn.half_precision import half_casts
from backpass.nn.optimizers import (
    SGD,
    Accumulate,
    Adagrad,
    Adam,
    AdamW,
    ExponentialMovingAverage,
    Lion,
    LossScaler,
    Muon,
    RMSprop,
    clip_grad_norm,
)

KINDS = [SGD, Adam, AdamW, RMSprop, Adagrad, Lion]
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(params=["float16", "bfloat16"])
def half(request):
    if request.param == "bfloat16":
        pytest.importorskip("ml_dtypes", reason="bfloat16 needs ml_dtypes")
    return request.param


def network():
    nn.seed(0)
    return nn.Sequential(nn.Linear(8, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, 4))


RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(128, 8)).astype("f4")
Y = (X[:, :4].sum(1) > 0) + 2 * (X[:, 4:].sum(1) > 0)
BATCHES = [(X[i : i + 32], Y[i : i + 32]) for i in range(0, 128, 32)]


# ----- master weights ----------------------------------------------------------------------------


@every_kind
def test_steps_too_small_for_half_precision_add_up(kind, half):
    model = nn.Linear(3, 2).to(half)
    model.weight[...] = 1.0
    optimizer = kind(model, learning_rate=1e-5)
    for _ in range(300):
        model.weight.grad = np.ones((2, 3), model.weight.dtype)
        optimizer.step()
    master = optimizer.state_dict()["weight.master"]
    assert master.dtype == np.float32
    assert (master < 1).all()
    np.testing.assert_array_equal(model.weight.value, master.astype(model.weight.dtype))
    if half == "float16":
        assert (model.weight.value < 1).all()


@every_kind
def test_the_steps_are_those_of_single_precision(kind, half):
    model, other = nn.Linear(3, 2).to(half), nn.Linear(3, 2)
    other.load_state_dict({k: v.astype("f4") for k, v in model.state_dict().items()})
    first, second = kind(model, learning_rate=0.05), kind(other, learning_rate=0.05)
    random = np.random.default_rng(0)
    for _ in range(5):
        for p, q in zip(model.parameters(), other.parameters(), strict=True):
            p.grad = random.normal(size=p.shape).astype(p.dtype)
            q.grad = p.grad.astype("f4")
        first.step()
        second.step()
    mine, right = first.state_dict(), second.state_dict()
    for name, q in other.named_parameters():
        np.testing.assert_array_equal(mine.pop(f"{name}.master"), q.value)
    assert mine.keys() == right.keys()
    for key, value in right.items():
        np.testing.assert_array_equal(mine[key], value)


@every_kind
def test_pure_steps_are_the_same(kind, half):
    model = nn.Linear(3, 2).to(half)
    params = model.to(half)
    pure, optimizer = kind(learning_rate=0.05), kind(nn.Linear(3, 2).to(half), learning_rate=0.05)
    params = {"w": bnp.array(np.ones((2, 3), model.weight.dtype))}
    w = bnp.array(np.ones((2, 3), model.weight.dtype))
    optimizer = kind({"w": w}, learning_rate=0.05)
    state = pure.init(params)
    assert state["w.master"].dtype == np.float32
    random = np.random.default_rng(0)
    for _ in range(3):
        w.grad = random.normal(size=(2, 3)).astype(w.dtype)
        before = params["w"].value.copy()
        made, state = pure.update({"w": w.grad}, state, params)
        np.testing.assert_array_equal(params["w"].value, before)
        params = made
        optimizer.step()
    assert params["w"].dtype == w.dtype
    np.testing.assert_array_equal(params["w"].value, w.value)
    for key, value in optimizer.state_dict().items():
        np.testing.assert_array_equal(state[key], value)


def test_muon_keeps_masters(half):
    w = bnp.array(np.ones((3, 2))).astype(half)
    w = bnp.array(w.value)
    optimizer = Muon(w, 1e-6)
    w.grad = np.ones((3, 2), w.dtype)
    optimizer.step()
    assert (optimizer.state_dict()["master"] < 1).all()


def test_only_half_precision_has_a_master():
    model = nn.Sequential(nn.Linear(3, 2).to("float16"), nn.Linear(2, 2))
    optimizer = Adam(model, learning_rate=0.1)
    for p in model.parameters():
        p.grad = np.ones(p.shape, p.dtype)
    optimizer.step()
    masters = [key for key in optimizer.state_dict() if key.endswith("master")]
    assert masters == ["0.weight.master", "0.bias.master"]
    model[0].weight.requires_grad_(False)
    assert "0.weight.master" not in Adam(model).state_dict()


def test_a_state_with_masters_is_saved_and_loaded(half, tmp_path):
    model = nn.Linear(3, 2).to(half)
    optimizer = AdamW(model, learning_rate=1e-4)
    for _ in range(3):
        for p in model.parameters():
            p.grad = np.ones(p.shape, p.dtype)
        optimizer.step()
    path = nn.save_checkpoint(tmp_path / "c.safetensors", step=3, model=model, optimizer=optimizer)
    other = nn.Linear(3, 2).to(half)
    again = AdamW(other, learning_rate=1e-4)
    nn.load_checkpoint(path, model=other, optimizer=again)
    assert other.weight.dtype == model.weight.dtype
    for one in (optimizer, again):
        for p in one.parameters().values():
            p.grad = np.ones(p.shape, p.dtype)
        one.step()
    for key, value in optimizer.state_dict().items():
        np.testing.assert_array_equal(again.state_dict()[key], value)
    np.testing.assert_array_equal(other.weight.value, model.weight.value)


def test_a_state_without_masters_is_refused():
    model = nn.Linear(3, 2)
    state = Adam(model).state_dict()
    with pytest.raises(ValueError, match=r"`weight\.master` is missing"):
        Adam(model.to("float16")).load_state_dict(state)


def test_averages_are_in_single_precision(half):
    w, v = nn.Parameter(np.ones(3)), nn.Parameter(np.ones(2, np.float32))
    w = nn.Parameter(w.value.astype(named(half)))
    average = ExponentialMovingAverage([w, v], decay=0.999)
    w[...], v[...] = 0, 0
    for _ in range(10):
        average.update()
    state = average.state_dict()
    np.testing.assert_allclose(state["0.average"], 0.999**10, rtol=1e-6)
    np.testing.assert_allclose(state["1.average"], 0.999**10, rtol=1e-6)
    for _ in range(2):
        with average.swapped():
            assert w.dtype == named(half)
            np.testing.assert_array_equal(w.value, state["0.average"].astype(w.dtype))
            np.testing.assert_array_equal(v.value, state["1.average"])
        np.testing.assert_array_equal(w.value, 0)
    average.load_state_dict(state)
    np.testing.assert_array_equal(average.state_dict()["0.average"], state["0.average"])


# ----- the scale of a loss -----------------------------------------------------------------------


def slope_of(w, slope):
    """Return a loss in float32, whose gradient is the same for all of w."""
    return bnp.sum(w.astype("float32")) * slope


def backward(loss):
    """Let gradients overflow without NumPy's warning."""
    with np.errstate(over="ignore"):
        loss.backward()


def test_small_gradients_do_not_vanish():
    w = bnp.array(np.ones(3, np.float16)).requires_grad_()
    slope_of(w, 2.0**-30).backward()
    assert (w.grad == 0).all()
    w.grad = None
    optimizer, scaler = SGD([w], learning_rate=1.0), LossScaler()
    scaler.scale(slope_of(w, 2.0**-30)).backward()
    scaler.unscale(optimizer)
    assert w.grad.dtype == np.float32
    np.testing.assert_array_equal(w.grad, np.float32(2.0**-30))


def test_a_step_with_gradients_that_overflow_is_left_out():
    w = bnp.array(np.ones(3, np.float16)).requires_grad_()
    optimizer, scaler = Adam([w], learning_rate=0.5), LossScaler(interval=2)
    before = optimizer.state_dict()
    scales = []
    for slope in (1e2, 1e2, 0.25, 0.25, 0.25):
        backward(scaler.scale(slope_of(w, slope)))
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
        scales.append(scaler.value)
        if len(scales) == 2:
            np.testing.assert_array_equal(w.value, 1)
            after = optimizer.state_dict()
            assert after.pop("steps") == 2
            assert before.pop("steps") == 0
            for key, value in before.items():
                np.testing.assert_array_equal(after[key], value)
    assert scales == [2.0**15, 2.0**14, 2.0**14, 2.0**15, 2.0**15]
    assert (w.value < 1).all()
    assert optimizer.state_dict()["0.step"] == 3


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan])
def test_whatever_is_not_finite_is_found(bad):
    scaler = LossScaler(8.0)
    good, other = np.ones((2, 3), np.float32), np.ones(2, np.float16)
    for place in range(2):
        arrays = [good.copy(), other.copy(), np.array(1.0)]
        arrays[place].flat[-1] = bad
        made, finite = scaler.unscaled(arrays, scaler.init())
        assert finite == 0
        assert [x.dtype for x in made] == [np.float32, np.float32, np.float64]
    made, finite = scaler.unscaled({"a": good, "b": None, "c": other}, scaler.init())
    assert finite == 1
    assert made["b"] is None
    np.testing.assert_array_equal(made["a"], 0.125)
    assert scaler.unscaled([None], scaler.init())[1] == 1


def test_gradients_are_clipped_between():
    w = bnp.array(np.zeros(2, np.float16)).requires_grad_()
    optimizer, scaler = SGD([w], learning_rate=1.0), LossScaler(2.0**10)
    scaler.scale(bnp.sum(w * np.array([3, 4], np.float16))).backward()
    scaler.unscale(optimizer)
    assert clip_grad_norm([w], 1.0) == 5
    scaler.step(optimizer)
    scaler.update()
    np.testing.assert_allclose(w.value, [-0.6, -0.8], rtol=1e-3)


def test_the_scale_stays_in_its_range():
    scaler = LossScaler(1.0, interval=1)
    state = scaler.init()
    assert scaler.updated(state, np.float32(0))["scale"] == 1
    assert state["scale"] == 1
    state["scale"][...] = 2.0**126
    assert scaler.updated(state, True)["scale"] == 2.0**126
    assert scaler.updated(scaler.init(), True)["scale"] == 2


def test_several_optimizers_share_a_scale():
    a, b = (bnp.array(np.ones(2, np.float16)).requires_grad_() for _ in range(2))
    first, second, scaler = SGD([a], 1.0), SGD([b], 1.0), LossScaler()
    backward(scaler.scale(slope_of(a, 0.25) + slope_of(b, 8.0)))
    scaler.step(first)
    scaler.step(second)
    scaler.update()
    assert scaler.value == 2.0**15
    # As in PyTorch, each optimizer leaves out its own step.
    np.testing.assert_array_equal(a.value, 0.75)
    np.testing.assert_array_equal(b.value, 1)


def test_accumulated_gradients_are_divided_once():
    w = bnp.array(np.zeros(2, np.float16)).requires_grad_()
    optimizer, scaler = Accumulate(SGD([w], learning_rate=1.0), steps=2), LossScaler(16.0)
    for slope in (1.0, 3.0):
        scaler.scale(slope_of(w, slope)).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad()
    np.testing.assert_array_equal(w.value, -2)
    scaler.scale(slope_of(w, 1.0)).backward()
    scaler.step(optimizer)
    backward(scaler.scale(slope_of(w, 60000.0)))
    scaler.step(optimizer)
    scaler.update()
    np.testing.assert_array_equal(w.value, -2)
    assert (scaler.value, optimizer.pending) == (8.0, 0)


def test_its_state_is_saved(tmp_path):
    scaler, other = LossScaler(interval=5), LossScaler(interval=5)
    w = bnp.array(np.zeros(2, np.float16)).requires_grad_()
    optimizer = SGD([w], 1.0)
    for slope in (8.0, 0.25):
        backward(scaler.scale(slope_of(w, slope)))
        scaler.step(optimizer)
        with pytest.raises(RuntimeError, match=r"call update\(\) first"):
            scaler.state_dict()
        scaler.update()
        optimizer.zero_grad()
    assert scaler.state_dict() == {"scale": 2.0**15, "streak": 1}
    path = nn.save_checkpoint(tmp_path / "c.safetensors", step=2, scaler=scaler)
    nn.load_checkpoint(path, scaler=other)
    assert other.state_dict() == scaler.state_dict()
    for state in ({}, {"scale": 0.5, "streak": 0}, {"scale": 2.0, "streak": -1}):
        with pytest.raises(ValueError, match="LossScaler"):
            other.load_state_dict(state)
    assert other.state_dict() == scaler.state_dict()


def test_it_says_what_is_wrong():
    for options in ({"initial_scale": 0.5}, {"growth": 0.5}, {"backoff": 1.0}, {"backoff": 0.0}):
        with pytest.raises(ValueError, match="LossScaler"):
            LossScaler(**options)
    with pytest.raises(ValueError, match="interval"):
        LossScaler(interval=0)
    optimizer, scaler = SGD([bnp.ones(2)]), LossScaler()
    scaler.update()
    scaler.unscale(optimizer)
    with pytest.raises(RuntimeError, match="divided already"):
        scaler.unscale(optimizer)
    with pytest.raises(TypeError, match="not an array"):
        scaler.unscaled([1.0], scaler.init())
    assert repr(scaler) == "LossScaler(65536, growth=2, backoff=0.5, interval=2000)"


def test_the_pure_way():
    scaler, optimizer = LossScaler(interval=50), AdamW(learning_rate=3e-3)
    params = {name: p.value.astype("f2") for name, p in network().named_parameters()}
    state, memory = scaler.init(), optimizer.init(params)

    def loss(params, x, y):
        hidden = F.layer_norm(
            F.linear(x, params["0.weight"], params["0.bias"]),
            32,
            params["1.weight"],
            params["1.bias"],
        )
        logits = F.linear(F.relu(hidden), params["3.weight"], params["3.bias"])
        return F.cross_entropy(logits, y)

    losses = []
    for _ in range(30):
        for x, y in BATCHES:
            losses.append(float(loss(params, x.astype("f2"), y)))
            gradients = grad(lambda p, x, y, s=state: scaler.scale(loss(p, x, y), s), argnums=0)(
                params, x.astype("f2"), y
            )
            gradients, finite = scaler.unscaled(gradients, state)
            params, memory = optimizer.update(gradients, memory, params, finite=finite)
            state = scaler.updated(state, finite)
    assert params["0.weight"].dtype == np.float16
    assert np.mean(losses[-4:]) < 0.3 < losses[0]
    assert state["scale"] > 2.0**16


# ----- a model that computes in half precision ---------------------------------------------------


def trained(steps, half=None, masters=False):
    model = network()
    if masters:
        model.to(half)
    optimizer, scaler = AdamW(model, learning_rate=3e-3), LossScaler(interval=50)
    losses = []
    for _ in range(steps):
        for x, y in BATCHES:
            if half and not masters:
                with nn.half_precision(model, half) as dtype:
                    loss = F.cross_entropy(model(x.astype(dtype)), y)
            else:
                loss = F.cross_entropy(model(x.astype(model[0].weight.dtype)), y)
            assert loss.dtype == np.float32
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad()
            losses.append(float(loss.value))
    return model, losses


@pytest.mark.parametrize("masters", [False, True])
def test_a_small_net_learns_as_in_single_precision(half, masters):
    _, right = trained(40)
    model, losses = trained(40, half, masters)
    assert np.mean(losses[-8:]) == pytest.approx(np.mean(right[-8:]), rel=0.05)
    assert np.mean(right[-8:]) < 0.3 < right[0]
    assert model[0].weight.dtype == (named(half) if masters else np.float32)


def test_the_parameters_are_themselves_again(half):
    model = network()
    values = [p.value for p in model.parameters()]
    with nn.half_precision(model, half) as dtype:
        assert all(p.dtype == dtype for p in model.parameters())
        y = model(X.astype(dtype))
    assert y.dtype == (dtype if half == "float16" else np.float32)  # as NumPy's products
    assert all(p.value is v for p, v in zip(model.parameters(), values, strict=True))
    bnp.sum(y).backward()
    assert all(p.grad.dtype == np.float32 for p in model.parameters())
    with pytest.raises(KeyError), nn.half_precision(model, half):
        raise KeyError
    assert all(p.value is v for p, v in zip(model.parameters(), values, strict=True))
    assert all(p.tracked for p in model.parameters())


def test_frozen_parameters_and_others_stay(half):
    model = network()
    model[0].weight.requires_grad_(False)
    model[3].to("float64")
    with nn.half_precision(model, half) as dtype:
        assert model[0].weight.dtype == dtype
        assert not model[0].weight.tracked
        assert model[3].weight.dtype == np.float64
    assert model[0].weight.constant
    empty = nn.ReLU()
    with nn.half_precision(empty, half):
        pass


def test_it_works_within_grad(half):
    model = network()

    def loss(model, x):
        with nn.half_precision(model, half) as dtype:
            return bnp.sum(model(x.astype(dtype)).astype("float32"))

    gradients = grad(loss, argnums=0)(model, X)
    bnp.sum(model(X)).backward()
    for g, p in zip(gradients.parameters(), model.parameters(), strict=True):
        assert g.dtype == np.float32
        np.testing.assert_allclose(g.value if hasattr(g, "value") else g, p.grad, atol=2.0)


def test_other_dtypes_are_refused():
    for dtype in ("float32", "int16"):
        with (
            pytest.raises(ValueError, match="half precision is"),
            nn.half_precision(network(), dtype),
        ):
            pass


def test_without_its_package_bfloat16_says_so(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "ml_dtypes", None)
    with pytest.raises(ImportError, match=r"ml_dtypes.*backpass-core\[bfloat16\]"):
        nn.Linear(2, 2).to("bfloat16")
    with (
        pytest.raises(ImportError, match=r"ml_dtypes.*backpass-core\[bfloat16\]"),
        nn.half_precision(network(), "bfloat16"),
    ):
        pass


def test_casts_are_linear():
    x, y = np.ones(3), np.arange(4.0)
    check_grads(lambda x, y: half_casts.op(x, y, dtype=np.dtype("float64"))[1] * 2.0, (x, y))
    g = grad(lambda x, y: bnp.sum(half_casts(x, y, dtype=np.dtype("f4"))[0]), argnums=(0, 1))(x, y)
    np.testing.assert_array_equal(g[0], 1)
    np.testing.assert_array_equal(g[1], 0)


# ----- the trainer -------------------------------------------------------------------------------


def trainer(half, **options):
    model = network()
    return nn.Trainer(
        model,
        AdamW(model, learning_rate=3e-3),
        F.cross_entropy,
        metrics=[nn.metrics.Accuracy()],
        precision=half,
        progress=False,
        **options,
    )


def test_a_trainer_computes_in_half_precision(half):
    right = trainer("float32").fit(BATCHES, 30, validation=BATCHES)[-1]
    mine = trainer(half, clip_norm=10.0).fit(BATCHES, 30, validation=BATCHES)[-1]
    for key in ("loss", "validation_loss"):
        assert mine[key] == pytest.approx(right[key], rel=0.05)
    assert mine["accuracy"] == pytest.approx(right["accuracy"], abs=0.04)


def test_a_trainers_scale_is_in_its_checkpoints(tmp_path):
    first = trainer("float16")
    first.scaler.load_state_dict({"scale": 4.0, "streak": 3})
    first.fit(BATCHES, 1)
    first.save(tmp_path / "c.safetensors")
    again = trainer("float16")
    again.load(tmp_path / "c.safetensors")
    assert again.scaler.state_dict() == {"scale": 4.0, "streak": 7}
    single = trainer("float32")
    single.load(tmp_path / "c.safetensors")  # in another precision
    assert single.scaler is None


def test_a_trainer_leaves_steps_out_until_the_scale_fits():
    one = trainer("float16", clip_norm=1.0)
    one.scaler.load_state_dict({"scale": 2.0**40, "streak": 0})
    one.fit(BATCHES, 10)
    assert one.scaler.value < 2.0**30
    assert one.step == 40
    assert all(np.isfinite(p.value).all() for p in one.model.parameters())


def test_gradients_that_are_never_finite_stop_a_trainer():
    def loss(prediction, target):
        return F.cross_entropy(prediction, target) + bnp.sum(prediction * 0.0) ** 0.5

    one = trainer("float16", clip_norm=1.0)
    one.loss = loss
    with pytest.raises(nn.training.NonFiniteError), np.errstate(all="ignore"):
        one.fit(BATCHES, 10)
    assert one.scaler.value == 1
