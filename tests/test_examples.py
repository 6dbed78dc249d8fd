"""The examples run, a few steps of each, and do what they say."""

import importlib.util
import re
import sys
from pathlib import Path

import numpy
import pytest

FOLDER = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture
def example():
    """Load an example as a module of its own."""

    def load(name):
        spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return module

    yield load
    for name in [name for name in sys.modules if name.startswith("example_")]:
        del sys.modules[name]


def numbers(text):
    return [float(found) for found in re.findall(r"-?\d+\.\d+", text)]


def test_a_gaussian_process_finds_the_noise(example, capsys, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    file = tmp_path / "fit.png"
    example("gaussian_process").main(["--points", "60", "--plot", str(file)])
    out = capsys.readouterr().out
    _, _, noise, true = numbers(out)[:4]
    assert 0.7 * true < noise < 1.4 * true
    assert re.search(r"prediction off by 0\.[01]\d+; (9\d|100)%", out)
    assert file.read_bytes().startswith(b"\x89PNG")


def test_a_gaussian_process_has_the_gradient_of_its_evidence(example):
    from backpass.core.testing import check_grads

    module = example("gaussian_process")
    x, y = module.measurements(8, 0.2, seed=0)
    check_grads(lambda logs: module.negative_evidence(logs, x, y), (numpy.array([0.1, 0.2, -1]),))


def test_a_network_learns_the_heat_equation(example, capsys):
    example("heat_equation").main(["--steps", "60"])
    before, after = numbers(capsys.readouterr().out.splitlines()[-1])[:2]
    assert after < before / 2


def test_the_true_solution_leaves_nothing_of_the_heat_equation(example):
    import backpass.numpy as np

    module = example("heat_equation")

    class Truth(module.Temperature):
        def forward(self, x, t):
            return np.exp(-module.DIFFUSIVITY * numpy.pi**2 * t) * np.sin(numpy.pi * x)

    x, t = numpy.random.default_rng(0).uniform(0, 1, (2, 20))
    numpy.testing.assert_allclose(module.residual(Truth(), x, t), 0, atol=1e-12)


def test_an_autoencoder_learns_to_draw_digits(example, capsys):
    example("autoencoder").main(["--epochs", "3"])
    out = capsys.readouterr().out
    first, last = numbers(next(line for line in out.splitlines() if "in the last" in line))
    assert last < first
    assert out.splitlines()[-1].count("   ") >= 3


def test_a_transformer_learns_characters(example, capsys, tmp_path):
    text = tmp_path / "text.txt"
    text.write_text("the cat sat on the mat. " * 100, encoding="utf-8")
    example("characters").main([str(text), "--steps", "30", "--length", "16", "--write", "20"])
    out = capsys.readouterr().out
    assert out.startswith("2,400 characters, 11 different ones")
    first, last, unseen = numbers(next(line for line in out.splitlines() if "not seen" in line))
    assert last < first * 0.7
    assert unseen < first
    assert len(out.splitlines()[-1]) == 16 + 20


@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_networks_learn_digits_and_leave_what_they_say(example, network, capsys, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    folder = tmp_path / "run"
    command = [network, "--data", "digits", "--epochs", "2", "--output", str(folder)]
    module = example("mnist_networks")
    module.main(command)
    out = capsys.readouterr().out
    rows = [line for line in out.splitlines() if line.startswith("epoch")]
    assert len(rows) == 2
    assert float(re.search(r"([\d.]+)% in the test", rows[-1])[1]) > 40
    found = {path.name for path in folder.iterdir()}
    assert {"log.csv", "weights.safetensors", "learning-curve.png"} <= found
    assert len((folder / "log.csv").read_text(encoding="utf-8").splitlines()) == 3
    # The same command goes on from the checkpoint: nothing is left to do.
    module.main(command)
    assert "epoch" not in capsys.readouterr().out
