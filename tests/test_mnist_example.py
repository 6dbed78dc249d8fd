"""The programs in examples/mnist, on data small enough for a test."""

import gzip
import importlib
import struct
import sys
from pathlib import Path

import numpy as np
import pytest

from backpass.core import to_device

FOLDER = Path(__file__).resolve().parents[1] / "examples" / "mnist"
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def example(monkeypatch):
    """Import the example's modules as its programs do: from its own folder."""
    names = {"data", "train", "plots", "results"}
    monkeypatch.syspath_prepend(FOLDER)
    for name in names & sys.modules.keys():
        monkeypatch.delitem(sys.modules, name)
    yield importlib.import_module
    for name in names & sys.modules.keys():
        del sys.modules[name]


@pytest.fixture
def mnist_folder(tmp_path):
    """Write a made-up MNIST: 60 images for training, 20 for testing, brighter for higher digits."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, count in ("train", 60), ("t10k", 20):
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        images = rng.integers(0, 30, (count, 28, 28), dtype=np.uint8)
        images += (labels * 25)[:, None, None]
        for kind, array in ("images-idx3", images), ("labels-idx1", labels):
            head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            file = folder / f"{part}-{kind}-ubyte.gz"
            file.write_bytes(gzip.compress(head + array.tobytes()))
    return folder


# ----- data.py -----


def test_the_data_are_rows_of_pixels_and_one_hot_labels(example, mnist_folder, monkeypatch):
    monkeypatch.setenv("BACKPASS_DATA", str(mnist_folder))
    data = example("data")
    n, train_images, train_labels, test_images, test_labels = data.load_mnist()
    assert n == 60
    assert train_images.shape == (60, 784)
    assert test_images.shape == (20, 784)
    assert train_labels.shape == (60, 10)
    assert test_labels.shape == (20, 10)
    for array in train_images, train_labels, test_images, test_labels:
        assert array.dtype == np.float64
    assert train_images.min() >= 0
    assert 0.5 < train_images.max() <= 1
    assert (np.sort(train_labels, axis=1) == np.eye(10)[-1]).all()
    # The pixels and labels belong together: the brightness gives the digit away.
    assert np.array_equal(
        np.round((train_images.mean(1) * 255 - 14.5) / 25), train_labels.argmax(axis=1)
    )


# ----- train.py -----


def test_the_program_prints_its_epochs_and_draws_its_pictures(
    example, mnist_folder, tmp_path, capsys
):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    output = tmp_path / "new" / "pictures"
    example("train").main(
        ["--data", str(mnist_folder), "--epochs", "2", "--output", str(output), "--seed", "1"]
    )
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "MNIST: 60 images for training, 20 for testing"
    assert lines[1].startswith("epoch  1 of 2: loss ")
    assert lines[2].startswith("epoch  2 of 2: loss ")
    assert "% in training" in lines[2]
    assert lines[2].endswith("% in the test")
    assert lines[3].startswith("trained in ")
    assert sorted(file.name for file in output.iterdir()) == ["learning-curve.png", "misread.png"]
    for file in output.iterdir():
        assert file.read_bytes().startswith(PNG)
        assert file.stat().st_size > 5000


def test_without_mnist_the_embedded_digits_are_used_and_named(
    example, tmp_path, monkeypatch, capsys
):
    from backpass.nn.datasets import mnist

    monkeypatch.setattr(mnist, "MIRRORS", ())
    monkeypatch.setenv("BACKPASS_DATA", str(tmp_path))
    example("train").main(["--epochs", "1", "--output", str(tmp_path / "pictures")])
    out = capsys.readouterr().out
    assert "MNIST could not be loaded" in out
    assert "Training on the embedded digits instead." in out
    assert "the embedded digits: 1,438 images for training, 359 for testing" in out


def test_a_folder_that_was_asked_for_and_holds_nothing_ends_the_program(
    example, tmp_path, monkeypatch
):
    from backpass.nn.datasets import mnist

    monkeypatch.setattr(mnist, "MIRRORS", ())
    with pytest.raises(SystemExit, match=r"train\.py: MNIST could not be loaded"):
        example("train").main(["--data", str(tmp_path)])


def test_a_device_that_is_not_there_ends_the_program(example, tmp_path):
    try:
        to_device(np.zeros(1), "cuda")
    except RuntimeError:
        pass
    else:
        pytest.skip("there is a GPU")
    with pytest.raises(SystemExit, match=r"train\.py: .+pip install '?backpass-core\[cuda\]"):
        example("train").main(["--data", "digits", "--device", "cuda", "--output", str(tmp_path)])


def test_without_matplotlib_the_program_says_what_brings_the_pictures(
    example, mnist_folder, tmp_path, monkeypatch, capsys
):
    train = example("train")
    monkeypatch.setitem(sys.modules, "plots", None)
    train.main(["--data", str(mnist_folder), "--epochs", "1", "--output", str(tmp_path / "none")])
    assert "pip install backpass-nn[plot]" in capsys.readouterr().out
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("epochs", ["0", "-1", "many"])
def test_the_number_of_epochs_is_checked(example, epochs, capsys):
    with pytest.raises(SystemExit):
        example("train").main(["--epochs", epochs])
    assert "--epochs" in capsys.readouterr().err


def test_a_training_learns_and_repeats_itself(example):
    train = example("train")
    data = train.digits(seed=0)
    small = train.Data(
        "some digits",
        data.train_images[:320],
        data.train_labels[:320],
        data.test_images[:100],
        data.test_labels[:100],
    )
    first, second = (train.train(small, epochs=4, seed=3) for _ in range(2))
    assert first.losses == second.losses
    assert first.losses[-1] < 0.5 * first.losses[0]
    assert first.test_accuracies[-1] > 0.7
    assert first.test_accuracies[-1] == np.mean(first.test_readings == small.test_labels)
    assert len(first.losses) == len(first.train_accuracies) == len(first.test_accuracies) == 4
    for W, b in first.weights:
        assert W.dtype == b.dtype == np.float32
    assert train.train(small, epochs=1, seed=4).losses != train.train(small, epochs=1).losses


def test_the_digits_are_divided_without_overlap_and_anew_for_each_seed(example):
    train = example("train")
    data, again, other = train.digits(0), train.digits(0), train.digits(1)
    assert (len(data.train_images), len(data.test_images)) == (1438, 359)
    rows = np.concatenate([data.train_images, data.test_images])
    assert len(np.unique(rows, axis=0)) == len(np.unique(train.load_digits().images, axis=0))
    assert np.array_equal(data.test_images, again.test_images)
    assert not np.array_equal(data.test_images, other.test_images)


def test_the_embedded_digits_are_learned(example):
    train = example("train")
    history = train.train(train.digits(seed=0), seed=0)
    assert history.test_accuracies[-1] >= 0.975


# ----- plots.py and results.py -----


def test_no_misread_image_still_makes_a_picture(example, tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    train, plots = example("train"), example("plots")
    data = train.digits(seed=0)
    history = train.History([], [0.5], [1.0], [1.0], data.test_labels)
    plots.plot_misread(data, history, tmp_path / "misread.png")
    assert (tmp_path / "misread.png").read_bytes().startswith(PNG)


def test_the_table_has_a_row_for_each_seed_and_their_mean(example):
    train, results = example("train"), example("results")
    text = results.table(train.digits, range(2), epochs=1, device="cpu")
    lines = text.splitlines()
    assert lines[0] == (
        "the embedded digits, 1,438 images for training and 359 for testing, 1 epochs:"
    )
    assert [line.split("|")[1].strip() for line in lines[4:]] == ["0", "1", "mean"]
    first, second, mean = (float(line.split("|")[2].strip(" %")) for line in lines[4:])
    assert abs((first + second) / 2 - mean) < 0.02
