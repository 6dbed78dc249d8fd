"""The reader of IDX files: whole files, and each way of being broken."""

import gzip
import struct

import numpy as np
import pytest

from backpass.nn.datasets.idx import read_idx


def idx(array, magic=None):
    head = bytes([0, 0, 8, array.ndim]) if magic is None else magic
    return head + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (5, 4, 3), dtype=np.uint8)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gzip"])
def test_reads_what_was_written(tmp_path, images, pack):
    file = tmp_path / "images"
    file.write_bytes(pack(idx(images)))
    result = read_idx(file, ndim=3)
    assert result.dtype == np.uint8
    assert result.flags.writeable
    assert np.array_equal(result, images)


def test_reads_an_array_without_elements(tmp_path):
    file = tmp_path / "labels"
    file.write_bytes(idx(np.zeros(0, np.uint8)))
    assert read_idx(file, ndim=1).shape == (0,)


GZIP_FAULT = "its gzip stream is broken off or damaged"
BREAKINGS = {
    "empty": (lambda data: b"", r"begins with the bytes \(none\)"),
    "two bytes": (lambda data: data[:2], "begins with the bytes 00 00, where"),
    "half a header": (lambda data: data[:9], "ends within its header, after 9 bytes of 16"),
    "a byte missing": (lambda data: data[:-1], "5 x 4 x 3 = 60 bytes of data, but 59 follow"),
    "a byte too many": (lambda data: data + b"!", "5 x 4 x 3 = 60 bytes of data, but 61 follow"),
    "a web page": (lambda data: b"<html>" + data, "begins with the bytes 3c 68 74 6d"),
    "floats": (
        lambda data: b"\0\0\x0d\3" + data[4:],
        "00 00 0d 03, .* 3 dimensions .* 00 00 08 03",
    ),
    "dimensions": (lambda data: b"\0\0\x08\1" + data[4:], "the bytes 00 00 08 01, where"),
    "gzip broken off": (lambda data: gzip.compress(data)[:-20], GZIP_FAULT),
    "gzip header only": (lambda data: gzip.compress(data)[:10], GZIP_FAULT),
    "not gzip": (lambda data: b"\x1f\x8b" + data, GZIP_FAULT),
    "gzip checksum": (lambda data: gzip.compress(data)[:-5] + b"12345", GZIP_FAULT),
    "gzip of too little": (lambda data: gzip.compress(data[:-2]), "60 bytes of data, but 58"),
}


@pytest.mark.parametrize(("breaking", "words"), BREAKINGS.values(), ids=BREAKINGS.keys())
def test_a_broken_file_is_named_with_its_fault_and_the_way_out(tmp_path, images, breaking, words):
    file = tmp_path / "broken"
    file.write_bytes(breaking(idx(images)))
    with pytest.raises(ValueError, match=words) as caught:
        read_idx(file, ndim=3)
    assert str(caught.value).startswith(f"{file} cannot be used: ")
    assert "Delete the file and put a whole one in its place" in str(caught.value)


def test_damage_inside_the_compressed_data_is_noticed(tmp_path):
    packed = bytearray(gzip.compress(idx(np.arange(200, dtype=np.uint8))))
    packed[40] ^= 0xFF
    file = tmp_path / "flipped"
    file.write_bytes(packed)
    with pytest.raises(ValueError, match="gzip stream is broken off or damaged"):
        read_idx(file, ndim=1)


def test_one_dimension_is_spoken_of_in_the_singular(tmp_path, images):
    file = tmp_path / "images"
    file.write_bytes(idx(images))
    with pytest.raises(ValueError, match="with 1 dimension begins with 00 00 08 01"):
        read_idx(file, ndim=1)
