"""The Trainer: beside a loop by hand, interrupted anywhere, and with losses that are not finite."""

import csv
import itertools
import math
import os
import pickle
import subprocess
import sys

import numpy
import pytest

import backpass.numpy as np
from backpass import nn
from backpass.nn import random
from backpass.nn.data import ArrayDataset, DataLoader
from backpass.nn.datasets import load_digits
from backpass.nn.metrics import F1, Accuracy, ConfusionMatrix
from backpass.nn.training import (
    AverageWeights,
    Callback,
    Checkpointer,
    CSVLog,
    EarlyStopping,
    FollowPlateau,
    NonFiniteError,
    Trainer,
    plot_learning_curve,
)
from backpass.scipy.special import log_softmax


class Momentum:
    """The least that a Trainer asks of an optimizer, with a state."""

    def __init__(self, model, rate=0.5, beta=0.9):
        self.named = dict(model.named_parameters())
        self.rate, self.beta = rate, beta
        self.velocities = {name: numpy.zeros_like(p.value) for name, p in self.named.items()}

    def step(self):
        for name, p in self.named.items():
            if p.grad is not None:
                v = self.velocities[name] = self.beta * self.velocities[name] + p.grad
                p.value = p.value - self.rate * v

    def zero_grad(self):
        for p in self.named.values():
            p.grad = None

    def state_dict(self):
        return dict(self.velocities)

    def load_state_dict(self, state):
        self.velocities = {name: state[name].copy() for name in self.named}


class Noisy(nn.Module):
    """Two layers, with noise between them and a running mean."""

    def __init__(self, noise=0.0):
        self.first, self.second = nn.Linear(64, 32), nn.Linear(32, 10)
        self.mean = nn.Buffer(numpy.zeros(32, "f4"))
        self.noise = noise

    def forward(self, x):
        h = np.tanh(self.first(x))
        if self.training:
            self.mean.value = 0.9 * self.mean.value + 0.1 * h.value.mean(0)
            if self.noise:
                mask = numpy.random.default_rng(random.next_key()).random(h.shape) > self.noise
                h = h * mask.astype("f4")
        return self.second(h)


def cross_entropy(logits, target):
    return -np.mean(np.sum(log_softmax(logits, axis=1) * np.eye(10, dtype="f4")[target], axis=1))


@pytest.fixture(scope="module")
def digits():
    images, labels = load_digits()
    return images.reshape(-1, 64).astype("f4") / 16, labels


def loader(digits, start=0, stop=300, batch=64, **options):
    x, y = digits
    return DataLoader(ArrayDataset((x[start:stop], y[start:stop])), batch, **options)


def trainer(model=None, noise=0.0, rate=0.1, loss=cross_entropy, **options):
    if model is None:
        nn.seed(3)
        model = Noisy(noise)
    return Trainer(model, Momentum(model, rate), loss, **{"progress": False, **options})


def weights(made):
    return {name: value.tobytes() for name, value in made.model.state_dict().items()}


# ----- the loop ----------------------------------------------------------------------------------


def test_it_learns_the_digits_and_measures(digits):
    made = trainer(metrics=[Accuracy(), F1(), ConfusionMatrix()])
    train = loader(digits, 0, 1400, shuffle=True, seed=0)
    history = made.fit(train, 15, loader(digits, 1400, 1797, 100))
    assert history is made.history
    assert [row["epoch"] for row in history] == list(range(1, 16))
    measured = ["loss", "accuracy", "f1", "confusion_matrix"]
    assert list(history[0]) == ["epoch", *measured, *(f"validation_{name}" for name in measured)]
    last = history[-1]
    assert last["validation_accuracy"] > 0.9
    assert last["loss"] < history[0]["loss"] / 4
    matrix = numpy.array(last["validation_confusion_matrix"])
    assert matrix.sum() == 397
    assert matrix.trace() / 397 == last["validation_accuracy"]
    assert (made.epoch, made.step, made.batch) == (15, 15 * 22, 0)
    assert all(p.grad is None for p in made.model.parameters())


def test_it_does_what_a_loop_by_hand_does(digits):
    made = trainer(noise=0.2)
    history = made.fit(loader(digits, shuffle=True, seed=5), 3)

    nn.seed(3)
    model = Noisy(0.2)
    optimizer = Momentum(model, 0.1)
    batches = loader(digits, shuffle=True, seed=5)
    for row in history:
        total = 0.0
        for x, y in batches:
            loss = cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            total += float(loss.value) * len(x)
        assert row["loss"] == total / 300
    for name, value in model.state_dict().items():
        assert value.tobytes() == weights(made)[name], name


@pytest.mark.parametrize("sizes", [(300,), (100, 100, 100), (7, 200, 93), (150, 150)])
def test_accumulated_batches_are_one_large_batch(digits, sizes):
    x, y = digits[0][:300].astype(float), digits[1][:300]
    parts = list(itertools.pairwise([0, *itertools.accumulate(sizes)]))
    batches = [(x[a:b], y[a:b]) for a, b in parts]
    found = []
    for given, accumulate in (([(x, y)], 1), (batches, 4)):
        nn.seed(3)
        made = trainer(Noisy().to("float64"), accumulate=accumulate)
        history = made.fit(given, 2)
        assert made.step == 2
        found.append((made.model.state_dict(), history[-1]["loss"]))
    assert found[0][1] == pytest.approx(found[1][1], rel=1e-12)
    for name in ("first.weight", "second.bias"):
        numpy.testing.assert_allclose(found[1][0][name], found[0][0][name], rtol=1e-10, atol=1e-14)


def test_evaluate_is_exact_over_uneven_batches_and_leaves_the_model_alone(digits):
    made = trainer(noise=0.5, metrics={"right": Accuracy()})
    made.model.second.eval()
    before = weights(made)
    whole = made.evaluate(loader(digits, batch=300))
    for size in (1, 7, 299):
        found = made.evaluate(loader(digits, batch=size))
        assert found["right"] == whole["right"]
        assert found["loss"] == pytest.approx(whole["loss"], rel=1e-6)
    logits = made.model.eval()(digits[0][:300])
    assert whole["right"] == (logits.value.argmax(1) == digits[1][:300]).mean()
    made.model.train()
    made.model.second.eval()
    made.evaluate(loader(digits))
    assert made.model.training
    assert not made.model.second.training  # frozen statistics stay so, in fit too
    made.fit(loader(digits), 1, loader(digits))
    assert not made.model.second.training
    assert before.keys() == weights(made).keys()


def test_batches_of_another_form_are_for_a_subclass(digits):
    class Reconstruction(Trainer):
        def compute(self, batch):
            x = batch["x"]
            again = self.model(x)
            return np.mean((again - x) ** 2), again, x

    nn.seed(0)
    model = nn.Linear(64, 64)
    made = Reconstruction(model, Momentum(model), None, progress=False)
    history = made.fit([{"x": digits[0][:50]}, {"x": digits[0][50:70]}], 5)
    assert history[-1]["loss"] < history[0]["loss"]
    with pytest.raises(TypeError, match=r"must be a pair \(x, target\), not of type dict"):
        trainer().fit([{"x": digits[0][:5]}], 1)
    with pytest.raises(TypeError, match="not a tuple of 3"):
        trainer().fit([(1, 2, 3)], 1)


def test_fit_goes_on_where_it_is(digits):
    once, twice = trainer(noise=0.1), trainer(noise=0.1)
    nn.seed(4)
    once.fit(loader(digits, shuffle=True, seed=1), 4)
    nn.seed(4)
    batches = loader(digits, shuffle=True, seed=1)
    twice.fit(batches, 2)
    twice.fit(batches, 4)
    twice.fit(batches, 4)  # nothing is left to do
    assert weights(once) == weights(twice)
    assert once.history == twice.history


def test_it_can_be_stopped_within_an_epoch_and_goes_on(digits):
    class StopAt(Callback):
        def on_step_end(self, trainer):
            if trainer.step == 7:
                trainer.stop()

    for kind in (lambda: loader(digits, shuffle=True, seed=1), lambda: list(loader(digits))):
        nn.seed(3)
        whole = trainer()
        whole.fit(kind(), 3)
        made = trainer(callbacks=[StopAt()])
        batches = kind()
        made.fit(batches, 3)
        assert (made.epoch, made.batch, made.step) == (1, 2, 7)
        made.fit(batches, 3)
        assert made.step == 7
        made.stopping = False
        made.fit(batches, 3)
        assert made.step == 15
        assert weights(made) == weights(whole)
        assert made.history == whole.history


OPTIMIZERS = {
    "SGD": lambda model: nn.optimizers.SGD(
        model, nn.optimizers.schedules.cosine(0.1, 15), momentum=0.9
    ),
    "AdamW": lambda model: nn.optimizers.AdamW(model, 1e-3),
}


@pytest.mark.parametrize("make", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_optimizers_with_schedules_and_clipping(digits, make):
    nn.seed(3)
    model = Noisy()
    made = Trainer(
        model, make(model), cross_entropy, clip_norm=0.5, clip_value=0.05, progress=False
    )
    history = made.fit(loader(digits), 3)

    nn.seed(3)
    model = Noisy()
    optimizer = make(model)
    for row in history:
        for x, y in loader(digits):
            cross_entropy(model(x), y).backward()
            nn.optimizers.clip_grad_norm(model, 0.5)
            nn.optimizers.clip_grad_value(model, 0.05)
            optimizer.step()
            optimizer.zero_grad()
        assert row["learning_rate"] == optimizer.learning_rates[0]
    for name, value in model.state_dict().items():
        assert value.tobytes() == weights(made)[name], name


def test_a_learning_rate_falls_on_a_plateau_and_weights_are_averaged(digits, tmp_path):
    found = []
    for stop in (None, 7):
        nn.seed(3)
        while True:
            model = Noisy()
            rate = nn.optimizers.schedules.Plateau(0.1, factor=0.5, patience=0)
            average = nn.optimizers.ExponentialMovingAverage(model, 0.9)
            made = Trainer(
                model,
                nn.optimizers.SGD(model, rate, momentum=0.9),
                cross_entropy,
                callbacks=[
                    Rows([3.0, 2.0, 2.0, 1.0]),
                    FollowPlateau(rate, "score"),
                    AverageWeights(average),
                    Checkpointer(tmp_path / str(stop), every=1),
                    Crash(stop),
                ],
                progress=False,
            )
            try:
                made.fit(loader(digits), 4, resume=tmp_path / str(stop))
            except SystemExit:
                stop = None
                continue
            break
        assert [row["learning_rate"] for row in made.history] == [0.1, 0.1, 0.1, 0.05]
        assert average.updates == 20
        found.append(
            (weights(made), {k: numpy.array(v).tobytes() for k, v in average.state_dict().items()})
        )
    assert found[0] == found[1]
    with pytest.raises(ValueError, match="FollowPlateau: `monitor` is 'nothing'"):
        trainer(callbacks=[FollowPlateau(rate, "nothing")]).fit(loader(digits), 1)


@pytest.mark.parametrize("kind", [loader, lambda *a, **o: list(loader(*a))], ids=["loader", "list"])
def test_after_ctrl_c_in_a_step_it_goes_on_with_the_same_batch(digits, kind):
    whole = trainer()
    whole.fit(kind(digits), 2)
    calls = []

    def interrupted(prediction, target):
        calls.append(1)
        loss = cross_entropy(prediction, target)
        if len(calls) == 8:
            loss.backward()
            raise KeyboardInterrupt
        return loss

    made = trainer(loss=interrupted)
    batches = kind(digits)
    with pytest.raises(KeyboardInterrupt) as caught:
        made.fit(batches, 2)
    assert caught.value.__notes__ == ["Trainer: after 2 batches of epoch 2"]
    made.fit(batches, 2)
    assert made.step == whole.step
    for name in ("first.weight", "second.bias"):  # the running mean has seen the batch twice
        assert weights(made)[name] == weights(whole)[name]
    assert made.history == whole.history


def test_a_loss_may_have_the_shape_of_one_element(digits):
    shaped = lambda p, t: np.reshape(cross_entropy(p, t), (1, 1))  # noqa: E731
    found = [trainer(loss=loss, accumulate=2) for loss in (cross_entropy, shaped)]
    for made in found:
        made.fit(loader(digits), 2, loader(digits))
    assert weights(found[0]) == weights(found[1])
    assert found[0].history == found[1].history


# ----- callbacks ---------------------------------------------------------------------------------


class Diary(Callback):
    def __init__(self):
        self.lines = []

    def on_fit_begin(self, trainer):
        self.lines.append("fit")

    def on_epoch_begin(self, trainer):
        self.lines.append(f"epoch {trainer.epoch}")

    def on_step_end(self, trainer):
        self.lines.append(f"step {trainer.step}, batch {trainer.batch}")

    def on_epoch_end(self, trainer):
        self.lines.append(f"epoch {trainer.epoch} done, {len(trainer.history)} rows")

    def on_fit_end(self, trainer):
        self.lines.append("done")

    def on_error(self, trainer, error):
        self.lines.append(f"{type(error).__name__} in step {trainer.step}")


def test_callbacks_are_told_what_happens(digits):
    diary = Diary()
    trainer(callbacks=[diary], accumulate=2).fit(loader(digits, 0, 150, 50), 2)
    assert diary.lines == [
        "fit",
        "epoch 0",
        "step 1, batch 2",
        "step 2, batch 3",
        "epoch 1 done, 1 rows",
        "epoch 1",
        "step 3, batch 2",
        "step 4, batch 3",
        "epoch 2 done, 2 rows",
        "done",
    ]


def test_callbacks_are_told_of_errors_and_the_loader_is_closed(digits):
    class Interrupt(Callback):
        def on_step_end(self, trainer):
            if trainer.step == 2:
                raise KeyboardInterrupt

    closed = []

    class Source:
        def __iter__(self):
            try:
                yield from [(digits[0][:50], digits[1][:50])] * 5
            finally:
                closed.append(True)

    diary = Diary()
    with pytest.raises(KeyboardInterrupt):
        trainer(callbacks=[diary, Interrupt()]).fit(Source(), 1)
    assert diary.lines[-1] == "KeyboardInterrupt in step 2"
    assert "done" not in diary.lines
    assert closed


class Rows(Callback):
    """Puts other numbers into the history."""

    def __init__(self, values):
        self.values = values

    def on_epoch_end(self, trainer):
        trainer.history[-1]["score"] = self.values[trainer.epoch - 1]


def test_early_stopping_gives_the_best_weights_back(digits):
    kept = {}

    class Keep(Callback):
        def on_epoch_end(self, trainer):
            kept[trainer.epoch] = weights(trainer)

    values = [3.0, 2.0, 2.5, math.nan, 1.95, 2.1, 2.0, 2.0, 0.0, 0.0]
    stop = EarlyStopping(3, "score", least=0.01)
    made = trainer(callbacks=[Rows(values), Keep(), stop])
    made.fit(loader(digits), 10)
    assert made.epoch == 8
    assert (stop.best, stop.best_epoch) == (1.95, 5)
    assert weights(made) == kept[5] != kept[8]

    stop = EarlyStopping(3, "score", mode="max", restore_best=False)
    made = trainer(callbacks=[Rows(values), Keep(), stop])
    made.fit(loader(digits), 10)
    assert (made.epoch, stop.best_epoch) == (4, 1)
    assert weights(made) == kept[4]

    stop = EarlyStopping(10, "score")
    made = trainer(callbacks=[Rows([1.0, 2.0, 3.0]), Keep(), stop])
    made.fit(loader(digits), 3)  # not early, and yet
    assert weights(made) == kept[1]

    with pytest.raises(
        ValueError, match=r"`monitor` is 'validation_loss', but .* \['loss'\]; with"
    ):
        trainer(callbacks=[EarlyStopping()]).fit(loader(digits), 1)
    for wrong in ({"patience": 0}, {"mode": "least"}, {"least": -1.0}):
        with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` is"):
            EarlyStopping(**wrong)


def test_the_progress_bar_shows_loss_and_metrics(digits, capsys):
    made = trainer(metrics=[Accuracy()], progress=True)
    made.fit(loader(digits), 2, loader(digits))
    shown = capsys.readouterr()
    assert shown.out == ""
    row = made.history[-1]
    assert "epoch 2/2: 100%" in shown.err
    assert "5/5" in shown.err
    for name in ("loss", "accuracy", "validation_loss", "validation_accuracy"):
        assert f"{name} {row[name]:.4g}" in shown.err


def test_the_log_has_a_line_for_each_epoch(digits, tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("of another training\n" * 9)
    made = trainer(metrics=[Accuracy(), ConfusionMatrix()], callbacks=[CSVLog(path)])
    made.fit(loader(digits), 3, loader(digits))
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    names = ["epoch", "loss", "accuracy", "validation_loss", "validation_accuracy"]
    assert list(rows[0]) == names
    assert len(rows) == 3
    for row, wanted in zip(rows, made.history, strict=True):
        assert {name: float(row[name]) for name in names} == {n: wanted[n] for n in names}


def test_the_learning_curve_is_drawn(digits, tmp_path):
    pytest.importorskip("matplotlib")
    made = trainer(metrics=[Accuracy(), ConfusionMatrix()])
    made.fit(loader(digits), 2, loader(digits))
    figure = plot_learning_curve(made.history, tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes()[:4] == b"\x89PNG"
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "accuracy"]
    lines = figure.axes[1].get_lines()
    assert [line.get_label() for line in lines] == ["training", "validation"]
    assert list(lines[1].get_ydata()) == [row["validation_accuracy"] for row in made.history]
    with pytest.raises(ValueError, match="`history` is empty"):
        plot_learning_curve([])


# ----- interruption ------------------------------------------------------------------------------


class Crash(Callback):
    last = True  # and after the Checkpointer

    def __init__(self, step):
        self.step = step

    def on_step_end(self, trainer):
        if trainer.step == self.step:
            raise SystemExit


@pytest.fixture(scope="module")
def uninterrupted(digits, tmp_path_factory):
    return run(digits, tmp_path_factory.mktemp("whole"))


def run(digits, folder, crashes=(None,), seed=3):
    """Train; be interrupted, and go on in new objects."""
    for attempt, crash in enumerate(crashes):
        nn.seed(seed + attempt)  # a new process knows nothing of the old one
        made = trainer(
            Noisy(0.3),
            metrics=[Accuracy()],
            callbacks=[
                Checkpointer(folder / "run", every=2, keep=2),
                EarlyStopping(2, "validation_loss"),
                CSVLog(folder / "log.csv"),
                *([] if crash is None else [Crash(crash)]),
            ],
        )
        batches = loader(digits, shuffle=True, workers=attempt % 2)
        try:
            made.fit(batches, 4, loader(digits, 300, 400), resume=folder / "run")
        except SystemExit:
            continue
        return made, (folder / "log.csv").read_bytes()
    raise AssertionError


@pytest.mark.parametrize("crashes", [(1,), (2,), (5,), (6,), (7, 9, 11), (19,), (20,)])
def test_a_training_that_was_killed_goes_on_bit_for_bit(digits, tmp_path, uninterrupted, crashes):
    whole, log = uninterrupted
    made, again = run(digits, tmp_path, (*crashes, None))
    if crashes[0] > 1:  # else there was no checkpoint, and it began anew with another seed
        assert weights(made) == weights(whole)
        assert made.history == whole.history
        assert again == log
        assert made.optimizer.state_dict().keys() == whole.optimizer.state_dict().keys()
        for name, v in made.optimizer.state_dict().items():
            assert v.tobytes() == whole.optimizer.velocities[name].tobytes()
        assert made.callbacks[0].best == whole.callbacks[0].best
    assert len(os.listdir(tmp_path / "run")) == 2


def test_a_finished_training_is_not_gone_on_with(digits, tmp_path, uninterrupted):
    whole, log = uninterrupted
    run(digits, tmp_path)
    made, again = run(digits, tmp_path, seed=8)
    assert made.step == whole.step
    assert weights(made) == weights(whole)
    assert again == log


def test_a_checkpoint_can_be_saved_and_loaded_by_hand(digits, tmp_path):
    made = trainer(noise=0.3)
    made.fit(loader(digits, seed=0, shuffle=True), 1)
    made.save(tmp_path / "last.safetensors")
    made.fit(made.loader, 2)
    other = trainer()
    other.model.noise = 0.3
    assert other.load(tmp_path / "last.safetensors")
    assert (other.epoch, other.step) == (1, 5)
    other.fit(loader(digits, seed=9, shuffle=True), 2)
    assert weights(other) == weights(made)
    assert not other.load(tmp_path / "nothing")
    again = trainer()
    again.load(tmp_path / "last.safetensors")
    with pytest.raises(TypeError, match="holds the state of a loader, but `loader` is a list of"):
        again.fit(list(loader(digits)), 2)


def test_what_cannot_be_gone_on_with_is_refused(digits):
    made = trainer()
    made.fit(list(loader(digits)), 1)
    made.batch = 2
    with pytest.raises(TypeError, match="goes on after 2 batches of an epoch, but `loader`"):
        made.fit(iter(list(loader(digits))), 3)
    made.optimizer = type("Bare", (), {"step": None})()
    with pytest.raises(TypeError, match="has no method `state_dict`: a checkpoint needs its"):
        made.save("never.safetensors")
    with pytest.raises(ValueError, match="`every` is 0"):
        Checkpointer("never", every=0)


PROGRAM = """
import hashlib, sys
sys.path.insert(0, {folder!r})
import test_trainer as t
images, labels = t.load_digits()
digits = images.reshape(-1, 64).astype("f4") / 16, labels
made = t.trainer(noise=0.2, metrics=[t.Accuracy()])
made.fit(t.loader(digits, 0, 1200, 400, shuffle=True, workers={workers}), 3)
print(hashlib.sha256(repr((t.weights(made), made.history)).encode()).hexdigest())
"""


def test_the_number_of_threads_changes_no_bit():
    found = set()
    for threads in (1, 2):
        program = PROGRAM.format(folder=os.path.dirname(__file__), workers=threads - 1)
        names = ("BACKPASS_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
        environment = os.environ | dict.fromkeys(names, str(threads))
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, env=environment
        )
        assert done.returncode == 0, done.stderr
        found.add(done.stdout)
    assert len(found) == 1


# ----- what is not finite ------------------------------------------------------------------------


class Logarithm(nn.Module):
    def forward(self, x):
        return np.log(np.abs(x))


class Deep(nn.Module):
    def __init__(self):
        self.layers = [nn.Linear(3, 4), Logarithm(), nn.Linear(4, 1)]
        self.calls = nn.Buffer(numpy.zeros(4, "f4"))

    def forward(self, x):
        for layer in self.layers[:2]:
            x = layer(x)
        self.calls.writable()[...] += x.value.mean(0)
        random.next_key()
        return self.layers[2](x)


def squares(prediction, target):
    return np.mean((prediction - target) ** 2)


def deep(loss=squares, **options):
    nn.seed(0)
    made = trainer(Deep(), loss=loss, rate=1e-3, **options)
    made.model.layers[0].bias.value = numpy.zeros(4, "f4")
    return made


@pytest.fixture
def batches():
    generator = numpy.random.default_rng(0)
    return [(generator.standard_normal((8, 3)).astype("f4"), numpy.ones((8, 1), "f4"))] * 3


@pytest.fixture
def quiet():
    with numpy.errstate(all="ignore"):
        yield


@pytest.mark.usefixtures("quiet")
def test_a_nan_loss_names_the_operation_and_leaves_all_as_it_was(batches):
    made = deep()
    made.model.layers[0].bias.requires_grad_(False)  # stays 0
    made.fit(batches, 2)
    bad = [*batches[:2], (batches[0][0].copy(), batches[0][1])]
    bad[2][0][5] = 0
    seen = {}

    class Look(Callback):
        def on_step_end(self, trainer):
            seen.update(weights(trainer), numbers=random.get_state(), at=trainer.state_dict())

    made.callbacks.append(Look())
    with pytest.raises(NonFiniteError) as caught:
        made.fit(bad, 3)
    error = caught.value
    assert (error.step, error.epoch, error.batch) == (9, 3, 3)
    assert math.isnan(error.loss)
    assert error.operation == "log"
    assert error.layer == "layers.1 (Logarithm())"
    text = str(error)
    assert text.startswith("the loss is nan in step 9 (epoch 3, batch 3): `log` first made it so (")
    assert "test_trainer.py" in text
    assert "`np.log(np.abs(x))`, in layers.1 (Logarithm())): 4 of 32 elements are infinite" in text
    assert "of which `linear`" in text
    assert "in layers.2 (Linear(4, 1))) made nan" in text
    numbers, at = seen.pop("numbers"), seen.pop("at")
    assert weights(made) == seen  # the Buffer, too
    assert random.get_state() == numbers
    assert made.state_dict() == at
    assert all(p.grad is None for p in made.model.parameters())
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.operation, again.step) == (text, "log", 9)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("loss", "operation", "value"),
    [
        (lambda p, t: np.mean(np.exp(1e4 + 0 * p)), "exp", math.inf),
        (lambda p, t: np.mean(np.sqrt(-1 - p * p)), "sqrt", math.nan),
        (lambda p, t: np.sum(p) / np.sum(p * 0), "divide", None),
        (lambda p, t: np.mean(p * np.log(t - 1)), "log", None),  # of the batch alone
        # What is infinite on purpose, and goes nowhere, is not blamed.
        (lambda p, t: np.sum(np.exp(np.where(t > 0, -np.inf, p))) + np.sqrt(-np.sum(p * p)),
         "sqrt", math.nan),
    ],
    ids=["exp", "sqrt", "divide", "of the batch", "with a mask"],
)  # fmt: skip
def test_the_operation_is_named(loss, operation, value, batches):
    made = deep(loss)
    with pytest.raises(NonFiniteError) as caught:
        made.fit(batches, 1)
    assert caught.value.operation == operation
    assert caught.value.layer == ""
    assert (caught.value.step, caught.value.batch) == (1, 1)
    if value is not None:
        assert repr(caught.value.loss) == repr(value)


@pytest.mark.usefixtures("quiet")
def test_weights_and_batches_that_are_not_finite_are_named(batches):
    made = deep()
    made.model.layers[2].weight.value[0, 1] = numpy.nan
    with pytest.raises(
        NonFiniteError, match=r"the Parameter `layers.2.weight`: 1 of 4 elements is nan"
    ) as caught:
        made.fit(batches, 1)
    assert caught.value.operation == ""
    made = deep()
    wrong = batches[0][0].copy()
    wrong[2, :2] = numpy.inf
    with pytest.raises(NonFiniteError, match=r"the batch's array `0`: 2 of 24 elements are inf"):
        made.fit([(wrong, batches[0][1])], 1)


@pytest.mark.usefixtures("quiet")
def test_gradients_that_are_not_finite_stop_the_training_where_they_are_clipped(batches):
    made = deep(lambda p, t: np.sqrt(np.sum(0 * p)) + np.mean(p), clip_norm=1.0)
    before = weights(made)
    with pytest.raises(
        NonFiniteError, match="the norm of the gradients is nan in step 1 "
    ) as caught:
        made.fit(batches, 1)
    assert "the gradient of `layers.0.weight`: 12 of 12 elements are nan" in str(caught.value)
    del before["calls"]  # the forward pass was finite
    assert before.items() <= weights(made).items()
    assert all(p.grad is None for p in made.model.parameters())


@pytest.mark.usefixtures("quiet")
def test_a_loss_that_cannot_be_had_again_or_takes_numbers_is_still_an_error(batches):
    calls = []

    def once(prediction, target):
        calls.append(1)
        return np.mean(prediction) * (numpy.nan if len(calls) == 1 else 1)

    with pytest.raises(NonFiniteError, match="in a second run of the same batch it was finite"):
        deep(once).fit(batches, 1)

    def takes_a_number(prediction, target):
        return np.mean(np.log(prediction * 0 * float(numpy.asarray(target).max())))

    with pytest.raises(NonFiniteError, match="`log` first made it so"):
        deep(takes_a_number).fit(batches, 1)


@pytest.mark.usefixtures("quiet")
def test_a_nan_in_validation_is_reported_and_never_the_best(batches):
    bad = [(batches[0][0] * 0, batches[0][1])]
    made = deep(callbacks=[EarlyStopping(2)])
    made.model.layers[0].bias.requires_grad_(False)
    history = made.fit(batches, 5, bad)
    assert len(history) == 2
    assert math.isnan(history[0]["validation_loss"])


# ----- what is wrong -----------------------------------------------------------------------------


def test_an_empty_loader_is_refused(digits):
    for empty in ([], iter([])):
        with pytest.raises(ValueError, match="`loader` gave no batch in epoch 1"):
            trainer().fit(empty, 1)
        with pytest.raises(ValueError, match="`loader` gave no batch"):
            trainer().evaluate(empty)
    once = iter([(digits[0][:9], digits[1][:9])])
    with pytest.raises(ValueError, match="in epoch 2: it is empty, or an iterator that can be"):
        trainer().fit(once, 2)


def test_wrong_models_optimizers_metrics_and_losses_are_refused(digits):
    class Bare(nn.Module):
        pass

    with pytest.raises(ValueError, match="a Bare, has no Parameters"):
        trainer(Bare())
    with pytest.raises(ValueError, match="all Parameters of `model` are frozen"):
        trainer(nn.Linear(2, 2).freeze())
    with pytest.raises(TypeError, match=r"`model` is of type dict, not a backpass\.nn\.Module"):
        Trainer({}, None, None)
    with pytest.raises(TypeError, match="of type function, has no method `step`"):
        Trainer(nn.Linear(2, 2), lambda: None, None)
    with pytest.raises(TypeError, match="which is no metric: pass objects"):
        trainer(metrics=[Accuracy])
    with pytest.raises(ValueError, match="are called 'f1'"):
        trainer(metrics=[F1("macro"), F1("micro")])
    with pytest.raises(ValueError, match="`accumulate` is 0"):
        trainer(accumulate=0)
    for bound in ("clip_norm", "clip_value"):
        with pytest.raises(ValueError, match=f"`{bound}` is 0, but it must be positive"):
            trainer(**{bound: 0})
    for loss, kind, words in (
        (lambda p, t: np.sum(p, axis=1), ValueError, r"one number, .* a Tensor of shape \(64,\)"),
        (lambda p, t: np.mean(p.value), TypeError, "does not depend on a Parameter"),
        (lambda p, t: np.sum(p) * 1j, TypeError, "complex64, but it must be a real number"),
        (lambda p, t: 1.0, ValueError, "one number, the mean over the batch, not of type float"),
        (lambda p, t: None, ValueError, "not of type NoneType"),
    ):
        with pytest.raises(kind, match=words):
            trainer(loss=loss).fit(loader(digits), 1)
