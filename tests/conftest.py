"""What pages are run in."""

import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def as_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run a page in a folder of its own, beside `minipass`, with a made-up MNIST in BACKPASS_DATA.

    Each image has one line of ink, whose height is its label; nothing is fetched from a network.
    """
    folder = tmp_path / "mnist"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for part, count in ("train", 320), ("t10k", 40):
        labels = rng.integers(0, 10, count, dtype=np.uint8)
        images = np.zeros((count, 28, 28), np.uint8)
        images[np.arange(count), labels] = 255
        for kind, array in ("images-idx3", images), ("labels-idx1", labels):
            head = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            (folder / f"{part}-{kind}-ubyte").write_bytes(head + array.tobytes())
    monkeypatch.setenv("BACKPASS_DATA", str(folder))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "docs" / "course")
    yield
    sys.modules.pop("minipass", None)
