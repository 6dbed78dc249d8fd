"""Fashion-MNIST, which shares its files' form and names with MNIST."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

from backpass.nn.datasets import (
    FASHION_MNIST_CLASSES,
    FashionMnist,
    fashion_mnist,
    load_fashion_mnist,
    load_mnist,
)
from backpass.nn.datasets import mnist as mnist_module

NAMES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def idx(array):
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.tobytes()


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch):
    monkeypatch.delenv("BACKPASS_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(fashion_mnist, "MIRRORS", ())
    monkeypatch.setattr(mnist_module, "MIRRORS", ())


def write(folder, labels=(20, 10)):
    """Write a made-up set; `labels` are two arrays, or how many there are of each."""
    rng = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = []
    for found in labels:
        if isinstance(found, int):
            found = rng.integers(0, 10, found)
        arrays.append(rng.integers(0, 256, (len(found), 28, 28), dtype=np.uint8))
        arrays.append(np.asarray(found, np.uint8))
    for name, array in zip(NAMES, arrays, strict=True):
        (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array), 1))
    return arrays


def test_the_four_files_of_a_folder(tmp_path):
    arrays = write(tmp_path)
    data = load_fashion_mnist(tmp_path)
    assert isinstance(data, FashionMnist)
    assert all(np.array_equal(a, b) for a, b in zip(data, arrays, strict=True))
    assert [array.dtype for array in data] == [np.uint8, np.int64, np.uint8, np.int64]
    assert len(FASHION_MNIST_CLASSES) == 10


def test_the_environment_names_the_folder_above(tmp_path, monkeypatch):
    digits = write(tmp_path)
    clothes = write(tmp_path / "fashion-mnist", (30, 10))
    monkeypatch.setenv("BACKPASS_DATA", str(tmp_path))
    assert np.array_equal(load_fashion_mnist().train_labels, clothes[1])
    assert np.array_equal(load_mnist().train_labels, digits[1])


def test_the_cache_has_a_folder_for_each(tmp_path):
    arrays = write(tmp_path / "cache" / "backpass" / "fashion-mnist")
    assert np.array_equal(load_fashion_mnist().train_images, arrays[0])


def test_what_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKPASS_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError, match="Fashion-MNIST could not be loaded") as caught:
        load_fashion_mnist()
    assert f"{tmp_path / 'fashion-mnist' / NAMES[0]}[.gz]: there is no such file" in str(
        caught.value
    )


def test_missing_files_are_downloaded_and_checked(tmp_path, monkeypatch):
    write(tmp_path / "there")
    data = {name: (tmp_path / "there" / f"{name}.gz").read_bytes() for name in NAMES}
    asked = []

    def download(name, sha256, mirrors, folder):
        asked.append((name, sha256, mirrors))
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(data[name.removesuffix(".gz")])
        return folder / name

    monkeypatch.setattr("backpass.nn.datasets.idx_images.download", download)
    monkeypatch.setattr(fashion_mnist, "MIRRORS", ("https://one/", "https://two/"))
    assert len(load_fashion_mnist(tmp_path / "here").train_labels) == 20
    assert asked == [
        (f"{name}.gz", fashion_mnist.SHA256[name], ("https://one/", "https://two/"))
        for name in NAMES
    ]


def test_the_hashes_are_those_of_four_files():
    hashes = fashion_mnist.SHA256
    assert set(hashes) == set(NAMES)
    assert {len(h) for h in hashes.values()} == {len(hashlib.sha256().hexdigest())}
    assert not set(hashes.values()) & set(mnist_module.SHA256.values())


def test_one_set_is_not_taken_for_the_other(tmp_path):
    """The classes of Fashion-MNIST occur equally often, those of MNIST do not."""
    balanced = np.arange(10_000) % 10
    other = np.where(balanced == 3, 7, balanced)
    write(tmp_path / "clothes", (20, balanced))
    write(tmp_path / "digits", (20, other))
    assert len(load_fashion_mnist(tmp_path / "clothes").test_labels) == 10_000
    assert len(load_mnist(tmp_path / "digits").test_labels) == 10_000
    for load, folder in ((load_fashion_mnist, "digits"), (load_mnist, "clothes")):
        with pytest.raises(
            ValueError, match=r"is not of .*MNIST: its classes .* a folder of its own"
        ):
            load(tmp_path / folder)
