"""Programs on the GPU: those of docs/gpu.md, and the original README's second, unchanged.

That one trains a network on the images of a module `data`: examples/mnist has one with the real
images, and one that is made up gives a few easy ones, with which every line runs in a moment, on
CuPy's stand-in, too.
"""

import importlib.util
import itertools
import sys
from types import ModuleType
from typing import Any, NamedTuple

import numpy
import pytest

from .given import mnist_folder, seed_program
from .gradients.places import require_gpu
from .markdown import programs, run
from .repository import GPU_PAGE, ROOT

EPOCHS = 10
#: How many of the real images are for training, and how many for testing.
REAL = (8000, 2000)
MADE_UP = (20, 10)


def test_the_page_about_gpus_shows_what_its_programs_print():
    require_gpu()
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = programs(GPU_PAGE)
    assert len(shown) > 3
    for program, output in shown:
        assert run(program, names) == (output or "")


# ----- the second program of the original README -------------------------------------------------


class Row(NamedTuple):
    """A line of the program's table."""

    epoch: int
    train_accuracy: float
    test_accuracy: float
    loss: float


@pytest.fixture
def made_up_data() -> ModuleType:
    """Give a module whose images are noisy copies of ten patterns, one for each digit."""
    random = numpy.random.default_rng(0)
    patterns = 0.8 * (random.random((10, 784)) < 0.3)

    def rows(count: int) -> tuple[Any, Any]:
        digits = numpy.arange(count) % 10
        return patterns[digits] * random.uniform(0.8, 1.2, (count, 784)), numpy.eye(10)[digits]

    train, test = map(rows, MADE_UP)
    module = ModuleType("data")
    module.load_mnist = lambda: (MADE_UP[0], *train, *test)  # type: ignore[attr-defined]
    return module


@pytest.fixture
def real_data(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Give the module of the example, which divides the test images where there are no others."""
    monkeypatch.setenv("BACKPASS_DATA", str(mnist_folder()))
    spec = importlib.util.spec_from_file_location("data", ROOT / "examples/mnist/data.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run_with(data: ModuleType, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], list[Row]]:
    """Run the program; give its names, and the table it printed, whose form is checked."""
    program = seed_program(1)
    place = require_gpu()
    monkeypatch.setitem(sys.modules, "data", data)
    monkeypatch.setattr(sys, "path", [*sys.path])  # the program appends to it
    place.numpy.random.seed(0)
    names: dict[str, Any] = {"__name__": "__main__"}
    lines = run(program, names).splitlines()
    assert lines[0] == "Loading training data..."
    assert lines[1].split("|")[0].strip() == "Epoch"
    assert lines[-2:] == ["", "Finished."]
    rows = []
    for line in lines[2:-2]:
        epoch, *numbers = line.split("|")
        rows.append(Row(int(epoch), *map(float, numbers)))
    assert [row.epoch for row in rows] == list(range(EPOCHS))
    assert numpy.isfinite(rows).all()
    return names, rows


def accuracy_in_the_test(names: dict[str, Any]) -> float:
    """Return the share of the test images that the network reads right after the last epoch."""
    images, labels = names["test_images"], names["test_labels"]
    return float(names["accuracy"](images, names["weights"], labels).value.get())


def test_every_line_runs(made_up_data, monkeypatch):
    names, rows = run_with(made_up_data, monkeypatch)
    on_the_device = require_gpu().backend.array_types
    for t in itertools.chain.from_iterable(names["weights"]):
        assert isinstance(t.value, on_the_device)
        assert t.dtype == numpy.float64
        assert t.parents is None
        assert t.ref == 0
        assert t.grad is None  # run_optimizer clears it after each step
    losses = [row.loss for row in rows]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.5 * losses[0]
    # Guessing reads a tenth of them; the same over NumPy, with eight seeds, 0.9 to 1.
    assert rows[-1].train_accuracy >= 0.7
    assert accuracy_in_the_test(names) >= 0.7


# Minutes, and a real GPU: the 80,000 steps of ten epochs, one image at a time.
@pytest.mark.slow
def test_it_learns_to_read_digits(real_data, monkeypatch):
    names, rows = run_with(real_data, monkeypatch)
    assert names["N"] == len(names["train_images"]) == REAL[0]
    assert len(names["test_images"]) == REAL[1]
    assert rows[0].test_accuracy < 0.3  # nothing has been learned when the first row is printed
    losses = [row.loss for row in rows]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.1 * losses[0]
    # The same program over NumPy, with five seeds: 0.941 to 0.951 in the test, after ten epochs;
    # 0.948 to 0.954 in training, and 0.938 to 0.948 in the test, after nine.
    assert accuracy_in_the_test(names) >= 0.93
    assert rows[-1].test_accuracy >= 0.92
    assert rows[-1].train_accuracy >= 0.93
