"""The optimizers and schedules, step for step beside PyTorch's."""

import itertools

import numpy as onp
import pytest

import backpass.numpy as np
from backpass.nn import Buffer, Module, Parameter, optimizers
from backpass.nn.optimizers import schedules

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

STEPS = 50
SHAPES = ((3, 4), (4,), (), (2, 1, 3))
MATRICES = ((3, 5), (5, 3), (4, 4), (1, 6))


def product(**choices):
    return [
        dict(zip(choices, values, strict=True)) for values in itertools.product(*choices.values())
    ]


#: Our keywords, where PyTorch calls them otherwise.
THEIRS = {"learning_rate": "lr", "learning_rate_decay": "lr_decay"}

CASES = [
    *(
        ("SGD", {"learning_rate": 0.1, **options})
        for options in product(momentum=[0.0, 0.9], dampening=[0.0, 0.3], weight_decay=[0.0, 0.05])
    ),
    *(
        ("SGD", {"learning_rate": 0.1, "momentum": 0.8, "nesterov": True, "weight_decay": decay})
        for decay in (0.0, 0.05)
    ),
    *(
        (kind, {"learning_rate": 0.05, **options})
        for kind in ("Adam", "AdamW")
        for options in product(amsgrad=[False, True], weight_decay=[0.0, 0.1])
    ),
    ("Adam", {"learning_rate": 0.1, "betas": (0.5, 0.7), "eps": 1e-3}),
    ("AdamW", {}),
    ("Adam", {}),
    *(
        ("RMSprop", {"learning_rate": 0.02, **options})
        for options in product(centered=[False, True], momentum=[0.0, 0.9], weight_decay=[0.0, 0.1])
    ),
    ("RMSprop", {"learning_rate": 0.02, "alpha": 0.8, "eps": 1e-3}),
    ("Adagrad", {}),
    *(
        ("Adagrad", {"learning_rate": 0.3, **options})
        for options in product(
            learning_rate_decay=[0.0, 0.1],
            weight_decay=[0.0, 0.1],
            initial_accumulator_value=[0.0, 0.5],
        )
    ),
]
IDS = [
    "-".join([kind, *(f"{key}={value}" for key, value in options.items())])
    for kind, options in CASES
]


def beginnings(dtype, shapes=SHAPES):
    rng = onp.random.default_rng(0)
    return [draw(rng, dtype, shape) for shape in shapes]


def draw(rng, dtype, shape):
    x = rng.normal(size=shape)
    if onp.dtype(dtype).kind == "c":
        x = x + 1j * rng.normal(size=shape)
    return onp.asarray(x, dtype)


def gradients(dtype, shapes=SHAPES):
    """Gradients that depend on nothing: some steps leave a parameter out."""
    rng = onp.random.default_rng(1)
    for i in range(STEPS):
        yield [
            None if k == 1 and i % 7 in (0, 3) else draw(rng, dtype, shape)
            for k, shape in enumerate(shapes)
        ]


def theirs(kind, values, options):
    params = [torch.nn.Parameter(torch.tensor(x)) for x in values]
    renamed = {THEIRS.get(key, key): value for key, value in options.items()}
    return params, getattr(torch.optim, kind)(params, **renamed)


def agree(x, y, dtype, steps=STEPS):
    """Rounding errors add up over the steps."""
    limit = steps * onp.finfo(dtype).eps * 4
    assert x.dtype == dtype
    onp.testing.assert_allclose(x, y.detach().numpy(), rtol=limit, atol=limit)


def run_beside(kind, options, dtype, shapes=SHAPES):
    values = beginnings(dtype, shapes)
    params, their_optimizer = theirs(kind, values, options)
    weights = [Parameter(x) for x in values]
    optimizer = getattr(optimizers, kind)(weights, **options)
    pure = getattr(optimizers, kind)(**options)
    tree = [Parameter(x) for x in values]
    state = pure.init(tree)
    for gs in gradients(dtype, shapes):
        for w, p, g in zip(weights, params, gs, strict=True):
            # A complex gradient is the conjugate of PyTorch's.
            w.grad = None if g is None else g.conj()
            p.grad = None if g is None else torch.tensor(g)
        optimizer.step()
        their_optimizer.step()
        tree, state = pure.update([w.grad for w in weights], state, tree)
        for w, p, q in zip(weights, params, tree, strict=True):
            agree(w.value, p, dtype)
            onp.testing.assert_array_equal(q.value, w.value)
    return optimizer, their_optimizer, params


@pytest.mark.parametrize("dtype", ["float32", "float64", "complex128"])
@pytest.mark.parametrize(("kind", "options"), CASES, ids=IDS)
def test_fifty_steps(kind, options, dtype):
    run_beside(kind, options, dtype)


#: What we keep, and what PyTorch calls it.
STATES = {
    "mean": "exp_avg",
    "square": "exp_avg_sq",
    "maximum": "max_exp_avg_sq",
    "step": "step",
}


def test_what_is_kept_of_a_parameter_is_the_same():
    optimizer, their_optimizer, params = run_beside("Adam", {"amsgrad": True}, "float64")
    state = optimizer.state_dict()
    for i, p in enumerate(params):
        kept = their_optimizer.state[p]
        assert kept.keys() == set(STATES.values())
        for ours, their in STATES.items():
            onp.testing.assert_allclose(state[f"{i}.{ours}"], kept[their].numpy(), rtol=1e-12)


@pytest.mark.parametrize("adjustment", ["original", "match_rms_adamw", "spectral_unclamped"])
@pytest.mark.parametrize("nesterov", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_muon(adjustment, nesterov, dtype, monkeypatch):
    """PyTorch's iterates in bfloat16: here in the type of the parameter, to compare it."""

    class InFull:
        bfloat16 = getattr(torch, dtype)

        def __getattr__(self, name):
            return getattr(torch, name)

    monkeypatch.setattr("torch.optim._muon.torch", InFull())
    values = beginnings(dtype, MATRICES)
    params = [torch.nn.Parameter(torch.tensor(x)) for x in values]
    shared = {"momentum": 0.9, "nesterov": nesterov, "weight_decay": 0.2}
    their_optimizer = torch.optim.Muon(params, lr=0.02, adjust_lr_fn=adjustment, **shared)
    weights = [Parameter(x) for x in values]
    optimizer = optimizers.Muon(weights, learning_rate=0.02, adjustment=adjustment, **shared)
    for gs in gradients(dtype, MATRICES):
        for w, p, g in zip(weights, params, gs, strict=True):
            w.grad = g
            p.grad = None if g is None else torch.tensor(g)
        optimizer.step()
        their_optimizer.step()
        for w, p in zip(weights, params, strict=True):
            # The iteration multiplies errors, by up to 3.4 five times.
            agree(w.value, p, dtype, steps=10 * STEPS)


def test_muon_as_it_is():
    """A step of PyTorch's differs by what bfloat16 leaves out."""
    values = beginnings("float32", MATRICES)
    params = [torch.nn.Parameter(torch.tensor(x)) for x in values]
    their_optimizer = torch.optim.Muon(params, lr=0.02)
    weights = [Parameter(x) for x in values]
    optimizer = optimizers.Muon(weights, learning_rate=0.02)
    for w, p, g in zip(weights, params, beginnings("float32", MATRICES), strict=True):
        w.grad, p.grad = g, torch.tensor(g)
    optimizer.step()
    their_optimizer.step()
    for w, p in zip(weights, params, strict=True):
        onp.testing.assert_allclose(w.value, p.detach().numpy(), atol=0.02 * 0.05)


def test_groups_and_a_schedule():
    values = beginnings("float64")
    params = [torch.nn.Parameter(torch.tensor(x)) for x in values]
    weights = [Parameter(x) for x in values]
    their_optimizer = torch.optim.AdamW(
        [{"params": params[:2], "weight_decay": 0.5}, {"params": params[2:], "lr": 0.3}], lr=0.1
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(their_optimizer, lambda step: 0.9**step)
    optimizer = optimizers.AdamW(
        [
            {"params": weights[:2], "weight_decay": 0.5},
            {"params": weights[2:], "learning_rate": schedules.exponential(0.3, 0.9)},
        ],
        learning_rate=schedules.exponential(0.1, 0.9),
    )
    for gs in gradients("float64"):
        for w, p, g in zip(weights, params, gs, strict=True):
            w.grad = g
            p.grad = None if g is None else torch.tensor(g)
        optimizer.step()
        their_optimizer.step()
        scheduler.step()
        for w, p in zip(weights, params, strict=True):
            agree(w.value, p, "float64")


@pytest.mark.parametrize("norm_type", [1.0, 2.0, 3.0, float("inf")])
@pytest.mark.parametrize("max_norm", [0.5, 1e6])
@pytest.mark.parametrize("dtype", ["float32", "float64", "complex64"])
def test_clipping_by_norm(norm_type, max_norm, dtype):
    gs = beginnings(dtype)
    params = [torch.nn.Parameter(torch.zeros_like(torch.tensor(g))) for g in gs]
    weights = [np.zeros_like(g) for g in gs]
    for w, p, g in zip(weights, params, gs, strict=True):
        w.grad, p.grad = g, torch.tensor(g)
    norm = optimizers.clip_grad_norm(weights, max_norm, norm_type=norm_type)
    right = torch.nn.utils.clip_grad_norm_(params, max_norm, norm_type=norm_type)
    assert onp.isclose(norm, float(right), rtol=1e-6)
    clipped, again = optimizers.clip_by_norm(gs, max_norm, norm_type=norm_type)
    assert again == norm
    for w, p, c in zip(weights, params, clipped, strict=True):
        # PyTorch adds 1e-6 to the norm.
        onp.testing.assert_allclose(w.grad, p.grad.numpy(), rtol=5e-6)
        assert w.grad.dtype == dtype
        onp.testing.assert_array_equal(c, w.grad)


def test_clipping_by_value():
    gs = beginnings("float32")
    params = [torch.nn.Parameter(torch.zeros_like(torch.tensor(g))) for g in gs]
    weights = [np.zeros_like(g) for g in gs]
    for w, p, g in zip(weights, params, gs, strict=True):
        w.grad, p.grad = g, torch.tensor(g)
    optimizers.clip_grad_value(weights, 0.3)
    torch.nn.utils.clip_grad_value_(params, 0.3)
    for w, p, c in zip(weights, params, optimizers.clip_by_value(gs, 0.3), strict=True):
        onp.testing.assert_array_equal(w.grad, p.grad.numpy())
        onp.testing.assert_array_equal(c, w.grad)


class Model(Module):
    def __init__(self, values):
        self.weights = [Parameter(x) for x in values]
        self.count = Buffer(3)


def test_the_moving_average():
    values = beginnings("float64")
    model = Model(values)
    theirs = torch.nn.ParameterList(torch.nn.Parameter(torch.tensor(x)) for x in values)
    average = optimizers.ExponentialMovingAverage(model, decay=0.9)
    their_average = torch.optim.swa_utils.AveragedModel(
        theirs, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9)
    )
    their_average.update_parameters(theirs)  # the first one copies
    for gs in gradients("float64"):
        for w, p, g in zip(model.weights, theirs, gs, strict=True):
            if g is not None:
                w[...] = g
                p.data = torch.tensor(g)
        average.update()
        their_average.update_parameters(theirs)
    with average.swapped():
        for w, p in zip(model.weights, their_average.module, strict=True):
            onp.testing.assert_allclose(w.value, p.detach().numpy(), rtol=1e-13)


# ----- mixed precision -----


@pytest.mark.parametrize("kind", ["SGD", "AdamW", "RMSprop"])
def test_a_scaled_loss(kind):
    """The scale, the steps that are left out, and gradients that are clipped in between."""
    numbers = {"growth": 3.0, "backoff": 0.25, "interval": 2}
    scaler = optimizers.LossScaler(2.0**10, **numbers)
    their_scaler = torch.amp.GradScaler(
        "cpu", 2.0**10, growth_factor=3.0, backoff_factor=0.25, growth_interval=2
    )
    values = beginnings("float32")
    params, their_optimizer = theirs(kind, values, {"learning_rate": 0.05})
    weights = [Parameter(x) for x in values]
    optimizer = getattr(optimizers, kind)(weights, 0.05)
    rng = onp.random.default_rng(2)
    for i in range(40):
        gs = [draw(rng, "float32", shape) for shape in SHAPES]
        if i % 5 == 3 or i in (10, 11):
            gs[i % 4] = onp.full_like(gs[i % 4], (onp.inf, -onp.inf, onp.nan)[i % 3])
        scaled = sum((np.sum(w * g) for w, g in zip(weights, gs, strict=True)), np.array(0.0, "f"))
        with onp.errstate(invalid="ignore"):
            scaler.scale(scaled).backward()
        their_scaler.scale(
            sum((p * torch.tensor(g)).sum() for p, g in zip(params, gs, strict=True))
        ).backward()
        if i % 2:
            with onp.errstate(invalid="ignore"):
                scaler.unscale(optimizer)
                optimizers.clip_grad_norm(weights, 1.0)
            their_scaler.unscale_(their_optimizer)
            torch.nn.utils.clip_grad_norm_(params, 1.0)
        scaler.step(optimizer)
        their_scaler.step(their_optimizer)
        scaler.update()
        their_scaler.update()
        optimizer.zero_grad()
        their_optimizer.zero_grad()
        assert scaler.value == their_scaler.get_scale()
        assert scaler.state_dict()["streak"] == their_scaler.state_dict()["_growth_tracker"]
        for w, p in zip(weights, params, strict=True):
            onp.testing.assert_allclose(w.value, p.detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("kind", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
def test_master_weights(kind, dtype):
    """Weights in half precision are those of a step in single, rounded."""
    half = dtype if dtype == "float16" else pytest.importorskip("ml_dtypes").bfloat16
    values = [x.astype(half) for x in beginnings("float32")]
    options = {"learning_rate": 0.01}
    params, their_optimizer = theirs(kind, [x.astype("float32") for x in values], options)
    weights = [Parameter(x) for x in values]
    optimizer = getattr(optimizers, kind)(weights, **options)
    for gs in gradients("float32"):
        for w, p, g in zip(weights, params, gs, strict=True):
            w.grad = None if g is None else g.astype(half)
            p.grad = None if g is None else torch.tensor(w.grad.astype("float32"))
        optimizer.step()
        their_optimizer.step()
    state = optimizer.state_dict()
    for i, (w, p) in enumerate(zip(weights, params, strict=True)):
        agree(state[f"{i}.master"], p, "float32")
        onp.testing.assert_array_equal(w.value, state[f"{i}.master"].astype(half))


# ----- schedules -----

SCHEDULES = [
    (schedules.step(0.3, 7, 0.5), lambda s, o: s.StepLR(o, 7, 0.5)),
    (schedules.multistep(0.3, [3, 10, 11], 0.2), lambda s, o: s.MultiStepLR(o, [3, 10, 11], 0.2)),
    (schedules.exponential(0.3, 0.93), lambda s, o: s.ExponentialLR(o, 0.93)),
    (schedules.cosine(0.3, 59, 0.01), lambda s, o: s.CosineAnnealingLR(o, 59, 0.01)),
    (schedules.linear(0.3 / 4, 0.3 * 0.8, 20), lambda s, o: s.LinearLR(o, 0.25, 0.8, 20)),
    (schedules.polynomial(0.3, 30, 2.5), lambda s, o: s.PolynomialLR(o, 30, 2.5)),
    *(
        (
            schedules.one_cycle(
                0.3, 60, rising=0.4, anneal=anneal, three_phases=three, final_divisor=100
            ),
            lambda s, o, anneal=anneal, three=three: s.OneCycleLR(
                o,
                0.3,
                60,
                pct_start=0.4,
                anneal_strategy=anneal[:3] if anneal == "cosine" else anneal,
                cycle_momentum=False,
                three_phase=three,
                final_div_factor=100,
            ),
        )
        for anneal in ("cosine", "linear")
        for three in (False, True)
    ),
    (
        schedules.warm_up(schedules.cosine(0.3, 50), 10, start=0.3 / 3),
        lambda s, o: s.SequentialLR(
            o, [s.LinearLR(o, 1 / 3, 1.0, 10), s.CosineAnnealingLR(o, 50)], [10]
        ),
    ),
    (
        schedules.chained([0.03, schedules.exponential(0.3, 0.9), 0.15], [5, 40]),
        lambda s, o: s.SequentialLR(
            o,
            [s.ConstantLR(o, 0.1, 999), s.ExponentialLR(o, 0.9), s.ConstantLR(o, 0.5, 999)],
            [5, 40],
        ),
    ),
]
NAMES = (
    "step multistep exponential cosine linear polynomial one_cycle one_cycle-3 one_cycle-linear "
    "one_cycle-linear-3 warm_up chained"
).split()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("rate", "make"), SCHEDULES, ids=NAMES)
def test_schedule(rate, make):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    scheduler = make(torch.optim.lr_scheduler, optimizer)
    for step in range(60):
        right = optimizer.param_groups[0]["lr"]
        assert rate(step) == pytest.approx(right, rel=1e-12, abs=1e-15), step
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("threshold_mode", ["rel", "abs"])
@pytest.mark.parametrize("cooldown", [0, 3])
def test_plateau(mode, threshold_mode, cooldown):
    options = {
        "mode": mode,
        "factor": 0.5,
        "patience": 2,
        "threshold": 0.01,
        "threshold_mode": threshold_mode,
        "cooldown": cooldown,
    }
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    right = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, min_lr=0.01, **options)
    rate = schedules.Plateau(0.3, min_rate=0.01, **options)
    rng = onp.random.default_rng(0)
    metrics = [*onp.exp(-onp.arange(20) / 5) + 0.02 * rng.normal(size=20), onp.nan, *[0.5] * 30]
    seen = set()
    for step, metric in enumerate(metrics if mode == "min" else [-x for x in metrics]):
        if step % 10 == 7:
            rate, old = schedules.Plateau(0.3, min_rate=0.01, **options), rate
            rate.load_state_dict(old.state_dict())
        right.step(metric)
        rate.observe(metric)
        assert rate(step) == pytest.approx(optimizer.param_groups[0]["lr"], rel=1e-12)
        seen.add(rate(step))
    assert len(seen) > 3
