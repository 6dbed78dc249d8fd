"""CIFAR-10 from files in its binary format."""

import functools
import gzip
import hashlib
import http.server
import io
import tarfile
import threading

import numpy as np
import pytest

from backpass.nn.datasets import CIFAR10_CLASSES, Cifar10, cifar, load_cifar10

NAMES = [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
COUNT = 4


@pytest.fixture(autouse=True)
def small_and_offline(tmp_path, monkeypatch):
    monkeypatch.delenv("BACKPASS_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(cifar, "MIRRORS", ())
    monkeypatch.setattr(cifar, "IMAGES_PER_FILE", COUNT)


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    count = COUNT * len(NAMES)
    return (
        rng.integers(0, 256, (count, 3, 32, 32), dtype=np.uint8),
        rng.integers(0, 10, count, dtype=np.uint8),
    )


@pytest.fixture(scope="module")
def files(arrays):
    """The format: for each image its label, then the red, the green and the blue plane."""
    made = {}
    for i, name in enumerate(NAMES):
        records = b""
        for image, label in zip(*(a[i * COUNT : (i + 1) * COUNT] for a in arrays), strict=True):
            records += bytes([label]) + b"".join(plane.tobytes() for plane in image)
        made[name] = records
    return made


def packed(files):
    """Pack files as the published archive does, beside others."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, data in {"batches.meta.txt": b"airplane\n", **files, "readme.html": b""}.items():
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


def unpack(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def is_whole(data, arrays):
    images, labels = arrays
    n = COUNT * 5
    return (
        isinstance(data, Cifar10)
        and [array.dtype for array in data] == [np.uint8, np.int64, np.uint8, np.int64]
        and np.array_equal(data.train_images, images[:n])
        and np.array_equal(data.train_labels, labels[:n])
        and np.array_equal(data.test_images, images[n:])
        and np.array_equal(data.test_labels, labels[n:])
    )


def test_the_classes_are_ten():
    assert len(CIFAR10_CLASSES) == 10
    assert CIFAR10_CLASSES[3] == "cat"


@pytest.mark.parametrize("below", [".", "cifar-10-batches-bin"])
def test_the_six_files_of_a_folder(tmp_path, files, arrays, below):
    unpack(tmp_path / below, files)
    data = load_cifar10(tmp_path)
    assert is_whole(data, arrays)
    data.train_images[:] = 0  # writeable


def test_the_archive_is_read_as_it_is(tmp_path, files, arrays):
    (tmp_path / cifar.ARCHIVE).write_bytes(packed(files))
    assert is_whole(load_cifar10(str(tmp_path)), arrays)
    assert [file.name for file in tmp_path.iterdir()] == [cifar.ARCHIVE]


def test_the_environment_and_the_cache_have_a_folder_for_it(tmp_path, files, arrays, monkeypatch):
    unpack(tmp_path / "cache" / "backpass" / "cifar-10", files)
    assert is_whole(load_cifar10(), arrays)
    monkeypatch.setenv("BACKPASS_DATA", str(tmp_path))
    with pytest.raises(FileNotFoundError):
        load_cifar10()
    unpack(tmp_path / "cifar-10", files)
    assert is_whole(load_cifar10(), arrays)


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError, match="the files of CIFAR-10"):
        load_cifar10(tmp_path / "file")


def test_the_archive_is_downloaded_once_and_checked(tmp_path, files, arrays, monkeypatch):
    there, here = tmp_path / "there", tmp_path / "here"
    unpack(there, {cifar.ARCHIVE: packed(files)})

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            """Keep the tests' output clean."""

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=there)
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        monkeypatch.setattr(cifar, "MIRRORS", (f"http://127.0.0.1:{server.server_port}/",))
        with pytest.raises(FileNotFoundError, match="SHA256 hash"):
            load_cifar10(here)
        assert list(here.iterdir()) == []
        published = hashlib.sha256(packed(files)).hexdigest()
        if (there / cifar.ARCHIVE).read_bytes() != packed(files):  # gzip writes the time
            published = hashlib.sha256((there / cifar.ARCHIVE).read_bytes()).hexdigest()
        monkeypatch.setattr(cifar, "SHA256", published)
        assert is_whole(load_cifar10(here), arrays)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    assert is_whole(load_cifar10(here), arrays)


def test_one_error_says_what_was_tried(tmp_path):
    with pytest.raises(FileNotFoundError) as caught:
        load_cifar10(tmp_path)
    text = str(caught.value)
    assert text.startswith("CIFAR-10 could not be loaded. What was tried:\n")
    assert f"{tmp_path / cifar.ARCHIVE}: there is no such file" in text
    assert text.endswith("into a folder and name it in the argument `folder`.")


def test_some_of_the_files_are_not_enough(tmp_path, files):
    unpack(tmp_path, {name: files[name] for name in NAMES[:4]})
    words = r"holds data_batch_1\.bin, .*, but not data_batch_5\.bin, test_batch\.bin"
    with pytest.raises(FileNotFoundError, match=words):
        load_cifar10(tmp_path)


BREAKINGS = {
    "short": (lambda data: data[:-1], "has 12,291 bytes, where a file of CIFAR-10 has 4 images"),
    "a record less": (lambda data: data[:-3073], "has 9,219 bytes"),
    "empty": (lambda data: b"", "has 0 bytes"),
    "label": (lambda data: b"\x0a" + data[1:], "holds the label 10, where CIFAR-10 has 0 to 9"),
}


@pytest.mark.parametrize("in_archive", [False, True])
@pytest.mark.parametrize(("breaking", "words"), BREAKINGS.values(), ids=BREAKINGS.keys())
def test_a_broken_file_is_named(tmp_path, files, breaking, words, in_archive):
    broken = {**files, NAMES[2]: breaking(files[NAMES[2]])}
    if in_archive:
        (tmp_path / cifar.ARCHIVE).write_bytes(packed(broken))
    else:
        unpack(tmp_path, broken)
    with pytest.raises(ValueError, match=words) as caught:
        load_cifar10(tmp_path)
    assert NAMES[2] in str(caught.value)
    assert "Delete the file" in str(caught.value)


ARCHIVES = {
    "broken off": (lambda files: packed(files)[:-2000], "broken off or damaged"),
    "flipped": (
        lambda files: (d := packed(files))[:9000] + bytes([d[9000] ^ 255]) + d[9001:],
        "broken off or damaged",
    ),
    "no gzip": (lambda files: b"<html>", "broken off or damaged"),
    "no tar": (lambda files: gzip.compress(b"hello"), "broken off or damaged"),
    "a file less": (
        lambda files: packed({n: files[n] for n in NAMES[:-1]}),
        r"it holds no test_batch\.bin",
    ),
}


@pytest.mark.parametrize(("archive", "words"), ARCHIVES.values(), ids=ARCHIVES.keys())
def test_a_broken_archive_is_named(tmp_path, files, archive, words):
    (tmp_path / cifar.ARCHIVE).write_bytes(archive(files))
    with pytest.raises(ValueError, match=words) as caught:
        load_cifar10(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / cifar.ARCHIVE} cannot be used: ")
