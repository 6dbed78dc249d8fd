"""Weights in safetensors files: what comes back, what the library reads, and damaged files."""

import json
import os
import pickle
import stat
import subprocess
import sys

import numpy
import pytest
import safetensors.numpy

from backpass import nn
from backpass.core import Tensor
from backpass.nn.saving.atomic import remove_leftovers, replacing

KINDS = "bool uint8 int8 uint16 int16 uint32 int32 uint64 int64".split()
FLOATS = "float16 float32 float64 complex64 complex128".split()


class Tied(nn.Module):
    def __init__(self):
        self.inner = nn.Linear(3, 3)
        self.outer = nn.Linear(3, 3)
        self.outer.weight = self.inner.weight
        self.calls = nn.Buffer(7)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


def raw_file(path, code, shape, data):
    """Write a file as the format is described, by hand."""
    header = json.dumps({"w": {"dtype": code, "shape": shape, "data_offsets": [0, len(data)]}})
    path.write_bytes(len(header).to_bytes(8, "little") + header.encode() + data)


@pytest.mark.parametrize("dtype", KINDS + FLOATS)
@pytest.mark.parametrize("shape", [(), (0, 3), (5,), (2, 3, 4)])
def test_arrays_of_every_dtype_and_shape_come_back(path, dtype, shape):
    random = numpy.random.default_rng(0)
    x = random.integers(0, 100, shape).astype(dtype)
    if dtype.startswith("complex"):
        x = (x + 1j * random.standard_normal(shape)).astype(dtype)
    nn.save({"x": x, "other": numpy.ones(3, "f4")}, path)
    found = nn.load(path)
    assert set(found) == {"x", "other"}
    assert type(found["x"]) is numpy.ndarray
    assert found["x"].dtype == dtype
    assert found["x"].shape == shape
    assert found["x"].tobytes() == x.tobytes()
    found["x"][...] = 0  # the caller's own


def test_arrays_are_aligned_in_the_file(path):
    arrays = {name: numpy.ones(3, name) for name in ["bool", *FLOATS, *KINDS]}
    nn.save(arrays, path)
    data = path.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:begin])
    del header["__metadata__"]
    for entry in header.values():
        start, end = entry["data_offsets"]
        assert (begin + start) % ((end - start) // max(1, numpy.prod(entry["shape"]))) == 0


def test_values_that_compare_badly_come_back_bit_for_bit(path):
    bits = numpy.array([0x7FC00001, 0xFFC12345, 0x80000000, 0x7F800000, 1], "u4")
    double = numpy.array([complex(-0.0, numpy.nan), complex(numpy.inf, -0.0)])
    nn.save({"single": bits.view("f4"), "double": double}, path)
    found = nn.load(path)
    assert found["single"].tobytes() == bits.tobytes()
    assert found["double"].tobytes() == double.tobytes()


def test_views_and_foreign_byte_orders_are_stored_as_their_values(path):
    x = numpy.arange(24.0).reshape(4, 6)
    views = {"T": x.T, "step": x[::2, ::-3], "big": x.astype(">f8"), "one": numpy.float32(3)}
    views |= {"big complex": x.astype(">c16"), "big bits": x.astype(">c8").T}
    nn.save({**views, "tensor": Tensor(x[0]), "broadcast": numpy.broadcast_to(x[0], (3, 6))}, path)
    found = nn.load(path)
    for name, value in views.items():
        numpy.testing.assert_array_equal(found[name], value)
    numpy.testing.assert_array_equal(found["tensor"], x[0])
    numpy.testing.assert_array_equal(found["broadcast"], [x[0]] * 3)


def test_the_library_reads_our_files_and_we_read_its(path):
    arrays = {
        "a": numpy.arange(6, dtype="f4").reshape(2, 3),
        "count": numpy.array(3),
        "none": numpy.zeros((0, 2), bool),
        "half": numpy.ones(3, "f2"),
    }
    nn.save(arrays, path, metadata={"author": "ä"})
    found = safetensors.numpy.load_file(path)
    assert found.keys() == arrays.keys()
    for name, x in arrays.items():
        numpy.testing.assert_array_equal(found[name], x, strict=True)
    safetensors.numpy.save_file(arrays, path, metadata={"author": "theirs"})
    assert nn.load_metadata(path) == {"author": "theirs"}
    for name, x in nn.load(path).items():
        numpy.testing.assert_array_equal(x, arrays[name], strict=True)


def test_bfloat16_is_read_as_float32(path):
    bits = numpy.array([0x3F80, 0xC049, 0x7F80, 0x0001], "<u2")
    raw_file(path, "BF16", [2, 2], bits.tobytes())
    found = nn.load(path)["w"]
    expected = numpy.array([[1.0, -3.140625], [numpy.inf, 9.1835e-41]], "f4")
    assert found.dtype == numpy.float32
    numpy.testing.assert_allclose(found, expected, rtol=1e-4)


def test_numbers_that_numpy_has_not_are_refused(path):
    raw_file(path, "F8_E4M3", [2], bytes(2))
    with pytest.raises(nn.CorruptFileError, match=r"weights.safetensors holds `w` as F8_E4M3"):
        nn.load(path)


def test_a_model_goes_into_a_file_and_comes_back(path):
    nn.seed(0)
    model, other = Tied(), Tied()
    nn.save(model, path, metadata={"width": "3"})
    assert nn.load_metadata(path) == {"width": "3"}
    assert nn.load_into(other, path) == ((), ())
    assert other.outer.weight is other.inner.weight
    for name, x in model.state_dict().items():
        numpy.testing.assert_array_equal(other.state_dict()[name], x, strict=True)
    assert other.calls.dtype == model.calls.dtype


def test_tied_weights_are_stored_once_and_loaded_under_all_names(path):
    model = Tied()
    nn.save(model, path)
    assert set(safetensors.numpy.load_file(path)) == {
        "inner.weight", "inner.bias", "outer.bias", "calls",
    }  # fmt: skip
    found = nn.load(path)
    assert set(found) == set(model.state_dict())
    numpy.testing.assert_array_equal(found["outer.weight"], model.inner.weight.value)
    Tied().load_state_dict(found)


def test_a_file_of_the_wrong_architecture_is_refused_whole(path):
    nn.save({"weight": numpy.zeros((2, 4), "f4"), "scale": numpy.ones(2, "f4")}, path)
    model = nn.Linear(3, 2)
    before = model.state_dict()
    with pytest.raises(ValueError, match=r"load_into: .*weights.safetensors") as caught:
        nn.load_into(model, path)
    for words in ("`bias` is missing", "`scale` is not expected", "`weight` has the shape (2, 4)"):
        assert words in str(caught.value)
    for name, x in model.state_dict().items():
        numpy.testing.assert_array_equal(x, before[name])
    nn.save({"bias": numpy.ones(2, "f4"), "scale": numpy.ones(2, "f4")}, path)
    assert nn.load_into(model, path, strict=False) == (("weight",), ("scale",))
    numpy.testing.assert_array_equal(model.bias.value, 1)


@pytest.mark.parametrize(
    ("what", "metadata", "error", "words"),
    [
        ({"x": [1.0]}, None, TypeError, "'x' is a list"),
        ({"x": numpy.array(["a"])}, None, TypeError, "`x` holds <U1"),
        ({"x": numpy.array([None])}, None, TypeError, "`x` holds object"),
        ({1: numpy.ones(2)}, None, TypeError, "1 is a ndarray"),
        ({"__metadata__": numpy.ones(2)}, None, ValueError, "__metadata__"),
        ({}, {"steps": 3}, TypeError, "'steps': 3"),
        ({}, {"backpass": "x"}, ValueError, "taken"),
    ],
)
def test_what_cannot_be_saved_is_named_and_the_old_file_stays(path, what, metadata, error, words):
    path.write_bytes(b"old")
    with pytest.raises(error, match=words):
        nn.save(what, path, metadata)
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == [path.name]


def test_a_missing_folder_or_file_is_named(path):
    with pytest.raises(FileNotFoundError, match="nowhere is no folder"):
        nn.save({}, path.parent / "nowhere" / "x.safetensors")
    with pytest.raises(FileNotFoundError, match=r"weights\.safetensors"):
        nn.load(path)
    with pytest.raises(IsADirectoryError):
        nn.load(path.parent)


def test_an_empty_model_has_a_file(path):
    nn.save({}, path)
    assert nn.load(path) == {}


# ----- damaged files and other formats ----------------------------------------------------------


def test_a_file_that_was_cut_off_is_refused_at_every_length(path):
    nn.save({"x": numpy.arange(4.0)}, path)
    data = path.read_bytes()
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(nn.CorruptFileError, match=r"weights\.safetensors") as caught:
            nn.load(path)
    assert f"of {len(data)} bytes, {length} are there; take another copy" in str(caught.value)


def test_every_changed_bit_is_noticed(path):
    arrays = {"x": numpy.arange(4, dtype="f4"), "n": numpy.array(3)}
    nn.save(arrays, path, {"a": "b"})
    data = path.read_bytes()
    flipped = numpy.random.default_rng(0).integers(8, size=len(data))
    unnoticed = 0
    for i, bit in enumerate(flipped):
        changed = bytearray(data)
        changed[i] ^= 1 << bit
        path.write_bytes(changed)
        try:
            found = nn.load(path)
        except nn.CorruptFileError:
            pass
        else:  # a blank between the header and the data, or one letter of an escape
            unnoticed += 1
            assert found.keys() == arrays.keys()
            for name, x in arrays.items():
                numpy.testing.assert_array_equal(found[name], x, strict=True)
    assert unnoticed <= 8


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"PK\x03\x04" + bytes(99), "is a zip archive, as torch.save"),
        (pickle.dumps({"x": numpy.ones(3)}), "is a pickle, which can run any code"),
        (b"\x93NUMPY" + bytes(99), "numpy.save"),
        (b"Once upon a time, there was no header.", "no safetensors file"),
        ((5).to_bytes(8, "little") + b"[1,2]", "is damaged"),
    ],
)
def test_other_formats_are_told_apart(path, data, words):
    path.write_bytes(data)
    with pytest.raises(nn.CorruptFileError) as caught:
        nn.load(path)
    assert str(path) in str(caught.value)
    assert words in str(caught.value)
    with pytest.raises(nn.CorruptFileError):
        nn.load_metadata(path)


def test_a_newer_format_is_refused(path):
    safetensors.numpy.save_file({}, path, {"backpass": '{"version": 2}', "backpass.sha256": ""})
    with pytest.raises(ValueError, match="of version 2 of the format"):
        nn.load_metadata(path)


# ----- atomic writing ---------------------------------------------------------------------------


def _stop_after(function, *args):
    function(*args)
    raise KeyboardInterrupt


def test_an_exception_leaves_the_old_file_and_nothing_else(path):
    path.write_bytes(b"old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        _stop_after(file.write, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(path.parent) == [path.name]


def test_a_full_disk_is_reported_with_the_files_name(path):
    resource = pytest.importorskip("resource", reason="this system has no limits of its kind")
    nn.save({"x": numpy.ones(3)}, path)
    before = path.read_bytes()
    program = (
        "import numpy, resource, sys\n"
        "from backpass import nn\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, (9999, {resource.RLIM_INFINITY}))\n"
        "try:\n"
        "    nn.save({'x': numpy.ones(10**6)}, sys.argv[1])\n"
        "except OSError as error:\n"
        "    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True)
    assert str(path) in run.stdout, run.stderr
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_files_have_the_usual_rights_and_links_stay_links(path):
    link = path.parent / "link"
    link.symlink_to(path)
    nn.save({}, link)
    assert link.is_symlink()
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask


def test_the_file_and_its_name_are_synced_before_the_old_one_goes(path, monkeypatch):
    calls = []

    def noted(real):
        return lambda *args: calls.append(real.__name__) or real(*args)

    for real in (os.fsync, os.replace):
        monkeypatch.setattr(os, real.__name__, noted(real))
    nn.save({}, path)
    assert calls == ["fsync", "replace", "fsync"]


def test_leftovers_of_killed_processes_go_but_not_the_files_of_living_ones(path):
    pytest.importorskip("fcntl", reason="this system has no such locks")
    left = path.parent / f".{path.name}.0123abcd.tmp"
    left.write_bytes(b"half")
    other = path.parent / ".other.0123abcd.tmp"
    other.write_bytes(b"half")
    with replacing(path) as file:
        assert not left.exists()
        assert other.exists()
        remove_leftovers(path.parent, "*")
        assert os.path.exists(file.name)
        assert not other.exists()
    assert os.listdir(path.parent) == [path.name]
