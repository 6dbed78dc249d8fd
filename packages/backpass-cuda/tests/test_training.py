"""A training on the GPU: as on the CPU, and no more waits than it needs."""

import math

import numpy
import pytest

import backpass.numpy as np
from backpass import nn
from backpass.core import Tensor
from backpass.core.backends import backend_of
from backpass.nn.metrics import F1, Accuracy, ConfusionMatrix, Mean, TopK
from backpass.nn.training import EarlyStopping, NonFiniteError, Trainer

pytestmark = pytest.mark.usefixtures("cupy")


@pytest.mark.parametrize("make", [Accuracy, lambda: TopK(2), ConfusionMatrix, F1], ids=range(4))
def test_metrics_are_those_of_the_cpu(cupy, make):
    generator = numpy.random.default_rng(0)
    scores = generator.standard_normal((50, 5)).astype("f4")
    target = generator.integers(0, 5, 50)
    target[7] = -100
    here, there = make(), make()
    for i in range(0, 50, 20):
        batch = scores[i : i + 20], target[i : i + 20]
        here.update(*batch)
        # Targets are moved, if they lie elsewhere.
        there.update(cupy.asarray(batch[0]), cupy.asarray(batch[1]) if i else batch[1])
        assert all(type(part) is cupy.ndarray for part in there._sums.values())
        state = there.state_dict()
        assert all(type(part) is numpy.ndarray for part in state.values())
        there.load_state_dict(state)
    numpy.testing.assert_array_equal(there.compute(), here.compute())


def test_a_mean_of_losses_is_in_double_precision(cupy):
    mean = Mean()
    mean.update(cupy.asarray(0.1, "f4"), 3)
    mean.update(Tensor(cupy.asarray(0.2, "f4")), 1)
    assert mean.compute() == (3 * float(numpy.float32(0.1)) + float(numpy.float32(0.2))) / 4


class Net(nn.Module):
    def __init__(self):
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 1)
        self.calls = nn.Buffer(0)

    def forward(self, x):
        self.calls.writable()[...] += 1
        return self.second(np.log(np.abs(self.first(x))))


class Descent:
    def __init__(self, model):
        self.parameters = list(model.parameters())

    def step(self):
        for p in self.parameters:
            if p.grad is not None:
                p.value = p.value - 0.01 * p.grad

    def zero_grad(self):
        for p in self.parameters:
            p.grad = None


def trainer(device, **options):
    nn.seed(0)
    model = Net().to(device)
    model.first.bias.value *= 0
    model.first.bias.requires_grad_(False)

    def loss(prediction, target):
        return np.mean((prediction - target) ** 2)

    return Trainer(model, Descent(model), loss, progress=False, **options)


def batches(count=4):
    x = numpy.random.default_rng(0).standard_normal((16 * count, 3)).astype("f4")
    y = x.sum(1, keepdims=True)
    return [(x[i : i + 16], y[i : i + 16]) for i in range(0, len(x), 16)]


def test_a_training_is_that_of_the_cpu_with_batches_of_the_cpu(cupy):
    found = []
    for device in ("cpu", "cuda"):
        made = trainer(device, accumulate=2, callbacks=[EarlyStopping(2)])
        made.fit(batches(), 3, batches(2))
        found.append(made)
    here, there = found
    assert all(type(p.value) is cupy.ndarray for p in there.model.parameters())
    assert here.step == there.step == 6
    for row, wanted in zip(there.history, here.history, strict=True):
        assert row == {name: pytest.approx(value, rel=1e-5) for name, value in wanted.items()}


def test_a_step_with_a_nan_is_not_taken(cupy):
    made = trainer("cuda")
    made.fit(batches(), 1)
    before = {name: value.get().tobytes() for name, value in made.model.state_dict().items()}
    wrong = batches(1)
    wrong[0][0][3] = 0
    with pytest.raises(NonFiniteError, match="`log` first made it so") as caught:
        made.fit(wrong, 2)
    assert math.isnan(caught.value.loss)
    assert (caught.value.step, caught.value.epoch, caught.value.batch) == (5, 2, 1)
    after = {name: value.get().tobytes() for name, value in made.model.state_dict().items()}
    assert after == before


@pytest.mark.parametrize("shape", [(), (3,), (2, 3), (0,)])
def test_a_copy_that_has_begun_is_what_was_there_then(cupy, shape):
    x = cupy.arange(math.prod(shape), dtype="f4").reshape(shape)
    wanted = x.get()
    arriving = backend_of((x,)).begin_to_host(x)
    x += 1  # comes after the copy, in the stream
    found = arriving()
    assert type(found) is numpy.ndarray
    numpy.testing.assert_array_equal(found, wanted)
    assert (found.shape, found.dtype) == (shape, "f4")
    y = cupy.arange(6.0).reshape(2, 3).T
    numpy.testing.assert_array_equal(backend_of((y,)).begin_to_host(y)(), y.get())
