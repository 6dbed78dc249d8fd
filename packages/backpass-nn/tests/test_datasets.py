"""MNIST from folders and from (local) mirrors; the embedded digits."""

import contextlib
import gzip
import hashlib
import http.server
import logging
import struct
import subprocess
import sys
import threading

import numpy as np
import pytest

from backpass.nn.datasets import Digits, Mnist, load_digits, load_mnist, mnist

TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
NAMES = (*TRAIN, *TEST)


def idx(array):
    shape = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + shape + array.tobytes()


def made_up(seed, count):
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    return images, rng.integers(0, 10, count, dtype=np.uint8)


@pytest.fixture(scope="module")
def arrays():
    """A small MNIST: 20 training images, 10 test images."""
    return dict(zip(NAMES, (*made_up(0, 20), *made_up(1, 10)), strict=True))


@pytest.fixture(scope="module")
def published(arrays):
    return {name: gzip.compress(idx(array), mtime=0) for name, array in arrays.items()}


@pytest.fixture(autouse=True)
def offline(tmp_path, monkeypatch, published):
    """No test reaches the real mirrors, the user's folder or the user's cache."""
    monkeypatch.delenv("BACKPASS_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(mnist, "MIRRORS", ())
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in published.items()}
    monkeypatch.setattr(mnist, "SHA256", hashes)


@pytest.fixture
def fill(published):
    def fill(folder, names=NAMES, compressed=True):
        folder.mkdir(parents=True, exist_ok=True)
        for name in names:
            if compressed:
                (folder / f"{name}.gz").write_bytes(published[name])
            else:
                (folder / name).write_bytes(gzip.decompress(published[name]))
        return folder

    return fill


def is_whole(data, arrays):
    return isinstance(data, Mnist) and all(
        np.array_equal(got, arrays[name]) for got, name in zip(data, NAMES, strict=True)
    )


# ----- folders -----


@pytest.mark.parametrize("compressed", [True, False])
def test_the_four_files_of_a_folder(tmp_path, fill, arrays, compressed):
    data = load_mnist(fill(tmp_path / "here", compressed=compressed))
    assert is_whole(data, arrays)
    assert [array.dtype for array in data] == [np.uint8, np.int64, np.uint8, np.int64]


def test_compressed_and_plain_files_mix(tmp_path, fill, arrays):
    fill(tmp_path, TRAIN, compressed=True)
    fill(tmp_path, TEST, compressed=False)
    assert is_whole(load_mnist(str(tmp_path)), arrays)


def test_the_environment_names_a_folder(tmp_path, fill, arrays, monkeypatch):
    monkeypatch.setenv("BACKPASS_DATA", str(fill(tmp_path / "named")))
    assert is_whole(load_mnist(), arrays)


def test_the_argument_goes_before_the_environment(tmp_path, fill, arrays, monkeypatch):
    monkeypatch.setenv("BACKPASS_DATA", str(tmp_path / "nothing"))
    assert is_whole(load_mnist(fill(tmp_path / "argument")), arrays)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="XDG_CACHE_HOME is Linux's")
def test_the_cache_folder_is_the_last_resort(tmp_path, fill, arrays):
    fill(tmp_path / "cache" / "backpass" / "mnist")
    assert is_whole(load_mnist(), arrays)


def test_a_home_folder_is_expanded(tmp_path, fill, arrays, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    fill(tmp_path / "data")
    assert is_whole(load_mnist("~/data"), arrays)


def test_a_file_is_no_folder(tmp_path):
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(NotADirectoryError, match="the argument `folder` must name the folder"):
        load_mnist(file)


def test_the_test_images_alone_are_divided_and_the_user_is_told(tmp_path, fill, arrays, caplog):
    fill(tmp_path, TEST)
    data = load_mnist(tmp_path)
    images, labels = (arrays[name] for name in TEST)
    assert np.array_equal(data.train_images, images[:8])
    assert np.array_equal(data.train_labels, labels[:8])
    assert np.array_equal(data.test_images, images[8:])
    assert np.array_equal(data.test_labels, labels[8:])
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert record.getMessage() == (
        f"MNIST: only the 10 test images are in {tmp_path}; the first 8 are used for training "
        "and the last 2 for testing"
    )


def test_a_program_that_does_not_configure_logging_prints_the_division(tmp_path, fill):
    fill(tmp_path, TEST)
    program = f"from backpass.nn.datasets import load_mnist; load_mnist({str(tmp_path)!r})"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert run.stderr.count("\n") == 1
    assert run.stderr.startswith("MNIST: only the 10 test images are in ")


def test_the_test_images_in_the_cache_are_divided_when_nothing_can_be_downloaded(
    tmp_path, fill, caplog
):
    fill(tmp_path / "cache" / "backpass" / "mnist", TEST)
    with serve(lambda handler, path: handler.send_error(503)) as address:
        data = from_mirrors(None, [address])
    assert len(data.train_images) == 8
    assert "only the 10 test images" in caplog.text


# ----- files that are not what they should be -----


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        (TEST[0], np.zeros((10, 8, 8), np.uint8), "holds 10 images of 8 x 8 pixels, where MNIST"),
        (TEST[0], np.zeros((0, 28, 28), np.uint8), "holds 0 images"),
        (TEST[1], np.zeros(9, np.uint8), "holds 9 labels for the 10 images of .*t10k-images"),
        (TEST[1], np.full(10, 10, np.uint8), "holds the label 10, where MNIST has 0 to 9"),
        (TEST[1], np.zeros((10, 1), np.uint8), "begins with the bytes 00 00 08 02"),
    ],
)
def test_a_file_with_the_wrong_contents_is_named(tmp_path, fill, name, array, words):
    fill(tmp_path)
    file = tmp_path / f"{name}.gz"
    file.write_bytes(gzip.compress(idx(array)))
    with pytest.raises(ValueError, match=words) as caught:
        load_mnist(tmp_path)
    assert str(caught.value).startswith(f"{file} cannot be used: ")
    assert "Delete the file" in str(caught.value)


def test_a_truncated_file_is_not_used(tmp_path, fill, published):
    fill(tmp_path)
    file = tmp_path / f"{TRAIN[0]}.gz"
    file.write_bytes(published[TRAIN[0]][:-100])
    with pytest.raises(ValueError, match="gzip stream is broken off") as caught:
        load_mnist(tmp_path)
    assert str(file) in str(caught.value)


# ----- downloading -----


@contextlib.contextmanager
def serve(answer):
    """Serve HTTP on this machine; `answer(handler, file)` answers each request."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            answer(self, self.path.rpartition("/")[2].removesuffix(".gz"))

        def log_message(self, *args):
            """Keep the tests' output clean."""

    asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield Address(f"http://127.0.0.1:{server.server_port}/mnist/", asked)
        finally:
            server.shutdown()
            thread.join()


class Address(str):
    def __new__(cls, text, asked):
        self = super().__new__(cls, text)
        self.asked = asked
        return self


def send(handler, data, promised=None):
    handler.send_response(200)
    if promised != 0:
        handler.send_header("Content-Length", str(promised or len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def from_mirrors(folder, mirrors):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mnist, "MIRRORS", tuple(str(mirror) for mirror in mirrors))
        return load_mnist(folder)


@pytest.fixture
def whole(published):
    return lambda handler, name: send(handler, published[name])


def test_all_is_downloaded_once(tmp_path, arrays, whole, capfd):
    folder = tmp_path / "new" / "folder"
    with serve(whole) as address:
        assert is_whole(from_mirrors(folder, [address]), arrays)
        assert len(address.asked) == 4
        assert is_whole(from_mirrors(folder, [address]), arrays)
        assert len(address.asked) == 4
    assert sorted(file.name for file in folder.iterdir()) == sorted(f"{n}.gz" for n in NAMES)
    assert "100%" in capfd.readouterr().err  # the progress bars


def test_only_what_is_missing_is_downloaded(tmp_path, fill, arrays, whole):
    fill(tmp_path, (*TRAIN, TEST[0]), compressed=False)
    with serve(whole) as address:
        assert is_whole(from_mirrors(tmp_path, [address]), arrays)
        assert address.asked == [f"/mnist/{TEST[1]}.gz"]


def test_nothing_is_downloaded_into_a_named_folder_with_the_test_images(tmp_path, fill, whole):
    fill(tmp_path, TEST)
    with serve(whole) as address:
        assert len(from_mirrors(tmp_path, [address]).train_images) == 8
        assert address.asked == []


def test_the_training_images_are_downloaded_into_a_cache_with_the_test_images(
    tmp_path, fill, arrays, whole
):
    fill(tmp_path / "cache" / "backpass" / "mnist", TEST)
    with serve(whole) as address:
        assert is_whole(from_mirrors(None, [address]), arrays)


def broken_off(handler, data):
    send(handler, data[: len(data) // 2], promised=len(data))
    handler.close_connection = True


FAULTS = {
    "not found": (lambda handler, data: handler.send_error(404), "404"),
    "broken off": (broken_off, "IncompleteRead|Connection broken"),
    "truncated": (lambda handler, data: send(handler, data[:-10]), "SHA256 hash"),
    "truncated, of unknown length": (
        lambda handler, data: send(handler, data[:-10], promised=0),
        "SHA256 hash",
    ),
    "altered": (lambda handler, data: send(handler, data[:-1] + b"?"), "SHA256 hash"),
    "a web page": (lambda handler, data: send(handler, b"<html>moved</html>"), "SHA256 hash"),
}


@pytest.mark.parametrize(("fault", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_a_failed_download_leaves_nothing_and_is_reported(
    tmp_path, published, arrays, whole, fault, words
):
    with (
        serve(lambda handler, name: fault(handler, published[name])) as address,
        pytest.raises(FileNotFoundError, match=words) as caught,
    ):
        from_mirrors(tmp_path, [address])
    assert f"{address}{TRAIN[0]}.gz: " in str(caught.value)
    assert list(tmp_path.iterdir()) == []

    with serve(whole) as address:  # and the next call begins anew
        assert is_whole(from_mirrors(tmp_path, [address]), arrays)


@pytest.mark.parametrize(("fault", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_the_second_mirror_is_asked_when_the_first_fails(
    tmp_path, published, arrays, whole, fault, words
):
    with (
        serve(lambda handler, name: fault(handler, published[name])) as first,
        serve(whole) as second,
    ):
        assert is_whole(from_mirrors(tmp_path, [first, second]), arrays)
    assert len(first.asked) == len(second.asked) == 4


def test_a_mirror_that_does_not_answer_is_passed_over(tmp_path, arrays, whole):
    with serve(whole) as closed:
        pass
    with serve(whole) as address:
        assert is_whole(from_mirrors(tmp_path, [closed, address]), arrays)


def test_one_error_says_all_that_was_tried_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("BACKPASS_DATA", str(tmp_path / "data"))
    with (
        serve(lambda handler, name: handler.send_error(404)) as first,
        serve(lambda handler, name: handler.send_error(503)) as second,
        pytest.raises(FileNotFoundError) as caught,
    ):
        from_mirrors(None, [first, second])
    lines = str(caught.value).splitlines()
    assert lines[0] == "MNIST could not be loaded. What was tried:"
    assert lines[1:5] == [
        f"  {tmp_path / 'data' / name}[.gz]: there is no such file" for name in NAMES
    ]
    assert lines[5].startswith(f"  {first}{TRAIN[0]}.gz: 404 ")
    assert lines[6].startswith(f"  {second}{TRAIN[0]}.gz: 503 ")
    assert lines[7] == (
        "Put the four files of MNIST into a folder and name it in BACKPASS_DATA, "
        "or use load_digits(), which needs no files."
    )
    assert len(lines) == 8


def test_without_a_named_folder_the_error_says_how_to_name_one():
    with pytest.raises(FileNotFoundError, match="in BACKPASS_DATA or as the argument `folder`"):
        load_mnist()


# ----- the embedded digits -----


def test_the_digits_are_the_published_ones():
    digits = load_digits()
    assert isinstance(digits, Digits)
    assert digits.images.shape == (1797, 8, 8)
    assert digits.images.dtype == np.uint8
    assert digits.labels.dtype == np.int64
    # How often each digit occurs in optdigits.tes, from the set's own description.
    assert np.bincount(digits.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    # The first image in optdigits.tes, a zero.
    assert digits.images[0].tolist() == [
        [0, 0, 5, 13, 9, 1, 0, 0],
        [0, 0, 13, 15, 10, 15, 5, 0],
        [0, 3, 15, 2, 0, 11, 8, 0],
        [0, 4, 12, 0, 0, 8, 8, 0],
        [0, 5, 8, 0, 0, 9, 8, 0],
        [0, 4, 11, 0, 1, 12, 7, 0],
        [0, 2, 14, 5, 10, 12, 0, 0],
        [0, 0, 6, 13, 10, 0, 0, 0],
    ]
    assert digits.images.max() == 16


def test_the_digits_of_two_calls_are_not_shared():
    load_digits().images[:] = 0
    assert load_digits().images.any()
