"""Safetensors files: named arrays and a text, with a checksum over both.

The format: https://huggingface.co/docs/safetensors. Files are read by the library; it checks that
they are whole. They are written here, because the library copies all arrays first, and leaves it to
the caller to bring the file to the disk.

What the format cannot say stands, as JSON, in the metadata under "backpass": the names that share
an array, which is stored once, and which arrays are of complex128, stored as pairs of float64.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy

from backpass.core.backends import backend_of
from backpass.core.values import plain
from backpass.nn.saving.atomic import replacing

#: The key of the metadata under which our own stand, and that of the checksum.
OWN, CHECKSUM = "backpass", "backpass.sha256"

_CODES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int8": "I8",
    "uint16": "U16",
    "int16": "I16",
    "uint32": "U32",
    "int32": "I32",
    "uint64": "U64",
    "int64": "I64",
    "float16": "F16",
    "float32": "F32",
    "float64": "F64",
    "complex64": "C64",
}


_ELSEWHERE = "take another copy of it, or an older file"


class CorruptFileError(ValueError):
    """A file is damaged, or is none of those that can be read; the message says what to do."""


def host_array(value: Any) -> numpy.ndarray[Any, Any]:
    """Return what has a shape and a dtype as a NumPy array, not copied if it is one."""
    value = plain(value)
    if hasattr(value, "detach"):  # PyTorch's
        value = value.detach().cpu().numpy()
    return numpy.asarray(backend_of((value,)).to_host(value))


def write_file(
    path: Path, arrays: Mapping[str, Any], metadata: Mapping[str, str], own: Mapping[str, Any]
) -> None:
    """Write a file, atomically.

    Parameters
    ----------
    path : Path
        The file.
    arrays : mapping of str to array
        Arrays of any device. One that has several names is stored once.
    metadata : mapping of str to str
        What stands beside them for everybody.
    own : mapping
        What stands beside them for this library: anything that JSON can hold.

    Raises
    ------
    TypeError
        If an array's dtype cannot be stored.
    ValueError
        If an array has the name that the format keeps for the metadata.
    OSError
        If the file cannot be written. An older one is as it was.
    """
    if "__metadata__" in arrays:
        raise ValueError("an array cannot be called `__metadata__`: the format has taken the name")
    names: dict[int, str] = {}
    shared: dict[str, str] = {}
    pairs: list[str] = []
    stored: dict[str, numpy.ndarray[Any, Any]] = {}
    for name, value in arrays.items():
        first = names.setdefault(id(value), name)
        if first != name:
            shared[name] = first
            continue
        array = host_array(value)
        array = numpy.asarray(array, array.dtype.newbyteorder("<"), order="C")
        if array.dtype.name == "complex128":
            pairs.append(name)
            array = array[..., None].view("<f8")
        if array.dtype.name == "bfloat16":  # of a package that who reads it may not have
            array = array.astype("float32")
        if array.dtype.name not in _CODES:
            raise TypeError(
                f"`{name}` holds {array.dtype}, which a safetensors file cannot: convert it, for "
                'instance with .astype("float32")'
            )
        stored[name] = array
    # Large elements first, so that all are aligned for readers that map the file into memory.
    stored = dict(sorted(stored.items(), key=lambda item: -item[1].dtype.itemsize))
    own = {"version": 1, "shared": shared, "complex128": pairs, **own}
    text = {**metadata, OWN: json.dumps(own)}
    text[CHECKSUM] = _checksum(stored, text)
    with replacing(path) as file:
        file.write(_header(stored, text))
        for array in stored.values():
            file.write(_octets(array))


def read_file(
    path: Path,
) -> tuple[dict[str, numpy.ndarray[Any, Any]], dict[str, str], dict[str, Any]]:
    """Return the arrays, the metadata for everybody, and those for this library.

    Arrays of bfloat16, which NumPy has not, become float32, which holds each of their values. Files
    that others have written have no checksum, and give an empty dict in the third place.

    Raises
    ------
    CorruptFileError
        If the file is damaged, or no safetensors file.
    OSError
        If it cannot be read.
    """
    with _opened(path) as file:
        metadata = dict(file.metadata() or {})
        stored = {name: _read_array(path, file, name) for name in file.offset_keys()}
    expected = metadata.pop(CHECKSUM, None)
    if (expected or OWN in metadata) and expected != _checksum(stored, metadata):
        raise CorruptFileError(
            f"{path} is damaged: its contents do not have the checksum that it was written with; "
            f"{_ELSEWHERE}"
        )
    own = _own(path, metadata)
    for name in own.get("complex128", ()):
        stored[name] = stored[name].view("<c16")[..., 0]
    for name, first in own.get("shared", {}).items():
        stored[name] = stored[first]
    return stored, metadata, own


def read_metadata(path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Return a file's metadata, as `read_file` does, from its header alone.

    Raises
    ------
    CorruptFileError
        If the file has not the size and form that its header says. The checksum is not computed.
    OSError
        If it cannot be read.
    """
    with _opened(path) as file:
        metadata = dict(file.metadata() or {})
    metadata.pop(CHECKSUM, None)
    own = _own(path, metadata)
    return metadata, own


def _opened(path: Path) -> Any:
    """Return what the library makes of a file: it maps it into memory, and checks the header."""
    from safetensors import SafetensorError, safe_open

    with open(path, "rb"):  # a clear OSError, if there is one
        pass
    try:
        return safe_open(path, framework="numpy")
    except SafetensorError as error:
        raise CorruptFileError(f"{path} {_diagnosis(path, error)}") from None


def _own(path: Path, metadata: dict[str, str]) -> dict[str, Any]:
    """Take our own out of the metadata."""
    if OWN not in metadata:
        return {}
    try:
        own: dict[str, Any] = json.loads(metadata.pop(OWN))
        version = int(own["version"])
    except (ValueError, KeyError, TypeError):
        raise CorruptFileError(
            f"{path} is damaged: its header cannot be read; {_ELSEWHERE}"
        ) from None
    if version > 1:
        raise ValueError(
            f"{path} is of version {version} of the format, which this version of Backpass cannot "
            "read: use a newer one"
        )
    return own


def _octets(array: numpy.ndarray[Any, Any]) -> Any:
    """Return an array's memory, as what can be written and hashed without a copy."""
    return array.reshape(-1).view(numpy.uint8).data


def _header(arrays: Mapping[str, numpy.ndarray[Any, Any]], metadata: Mapping[str, str]) -> bytes:
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    end = 0
    for name, array in arrays.items():
        start, end = end, end + array.nbytes
        header[name] = {
            "dtype": _CODES[array.dtype.name],
            "shape": array.shape,
            "data_offsets": (start, end),
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _checksum(arrays: Mapping[str, numpy.ndarray[Any, Any]], metadata: Mapping[str, str]) -> str:
    """Return the SHA-256 of everything in a file, in an order of its own, as hexadecimal digits."""
    total = hashlib.sha256(json.dumps(sorted(metadata.items())).encode())
    for name, array in sorted(arrays.items()):
        total.update(json.dumps([name, array.dtype.name, array.shape]).encode())
        total.update(_octets(array))
    return total.hexdigest()


def _read_array(path: Path, file: Any, name: str) -> numpy.ndarray[Any, Any]:
    """Return an array of a file that the library has opened."""
    code = file.get_slice(name).get_dtype()
    if code in _CODES.values():
        return numpy.asarray(file.get_tensor(name))
    if code != "BF16":
        raise CorruptFileError(
            f"{path} holds `{name}` as {code}, which NumPy has not: convert it where it was made"
        )
    offset, header = _read_header(path)
    shape, (start, end) = header[name]["shape"], header[name]["data_offsets"]
    halves = numpy.fromfile(path, "<u2", (end - start) // 2, offset=offset + start)
    return (halves.astype("u4") << 16).view("f4").reshape(shape)


def _read_header(path: Path) -> tuple[int, dict[str, Any]]:
    """Return where the data begin, and the header."""
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > os.fstat(file.fileno()).st_size - 8:
            raise ValueError("header too large")
        header: dict[str, Any] = json.loads(file.read(length))
    return 8 + length, header


#: How files begin that are taken for safetensors files.
_OTHERS = {
    b"PK": "is a zip archive, as torch.save and numpy.savez write",
    b"\x80": "is a pickle, which can run any code and is not read",
    b"\x93NUMPY": "is an array of numpy.save",
    b"\x89HDF": "is an HDF5 file",
}


def _diagnosis(path: Path, error: Exception) -> str:
    """Return what is wrong with a file that the library refuses, and what to do."""
    with open(path, "rb") as file:
        size, start = os.fstat(file.fileno()).st_size, file.read(8)
    if not size:
        return f"is empty; {_ELSEWHERE}"
    for beginning, what in _OTHERS.items():
        if start.startswith(beginning):
            return (
                f"{what}, not a safetensors file: save it as one where it was made, PyTorch's with "
                "safetensors.torch.save_file(model.state_dict(), ...)"
            )
    try:
        begin, header = _read_header(path)
        whole = begin + max(
            (v["data_offsets"][1] for k, v in header.items() if k != "__metadata__"), default=0
        )
    except Exception:
        return f"is damaged, or no safetensors file ({error}); {_ELSEWHERE}"
    if whole > size:
        return f"is cut off: of {whole} bytes, {size} are there; {_ELSEWHERE}"
    return f"is damaged ({error}); {_ELSEWHERE}"


__all__ = ["CorruptFileError", "host_array", "read_file", "read_metadata", "write_file"]
