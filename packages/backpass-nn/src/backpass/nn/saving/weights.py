"""Saving the weights of a model, and loading them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from backpass.core.values import plain
from backpass.nn.module import Mismatch, Module
from backpass.nn.saving.files import OWN, read_file, read_metadata, write_file
from backpass.nn.structure import places

PathLike = str | os.PathLike[str]


def save(
    model: Module | Mapping[str, Any], path: PathLike, metadata: Mapping[str, str] | None = None
) -> None:
    """Save the weights of a model in a safetensors file.

    PyTorch reads it with ``safetensors.torch``, and other libraries with theirs. The file is there
    as a whole or not at all: until it is on the disk, an older one of that name stays.

    Parameters
    ----------
    model : Module or mapping of str to array
        A module, whose Parameters and Buffers are saved under their paths; or arrays by their
        names, such as a `state_dict`. Arrays may lie on a GPU. Tied weights are stored once, as
        ``safetensors.torch.save_model`` does.
    path : str or path
        The file, by custom ``.safetensors``.
    metadata : mapping of str to str, optional
        Texts to keep in the file, such as the settings that the model was built with;
        `load_metadata` returns them.

    Raises
    ------
    TypeError
        If something is not an array, or of a dtype that the format does not have: it has bool,
        integers, float16, float32, float64, and complex64. complex128 is stored as pairs of
        float64, which `load` puts together again.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import os, tempfile
    >>> from backpass import nn
    >>> path = os.path.join(tempfile.mkdtemp(), "line.safetensors")
    >>> nn.save(nn.Linear(3, 2), path, metadata={"sizes": "3, 2"})
    >>> {name: x.shape for name, x in nn.load(path).items()}
    {'weight': (2, 3), 'bias': (2,)}
    """
    arrays = state_of(model)
    for name, value in arrays.items():
        if not isinstance(name, str) or not (hasattr(value, "dtype") and hasattr(value, "shape")):
            raise TypeError(
                f"save: {name!r} is a {type(value).__name__}: expected arrays by their names"
            )
    write_file(Path(path), arrays, _texts(metadata or {}), {})


def load(path: PathLike) -> dict[str, Any]:
    """Return the arrays of a safetensors file, by their names.

    Parameters
    ----------
    path : str or path
        A file that `save` has written, or ``safetensors.torch.save_file``, or another library.

    Returns
    -------
    dict of str to numpy.ndarray
        For ``model.load_state_dict``. Arrays of bfloat16, which NumPy has not, become float32,
        which holds each of their values.

    Raises
    ------
    CorruptFileError
        If the file is cut off or damaged, or no safetensors file. A file that `save` has written is
        compared with its checksum; files of others do not have one.
    OSError
        If it cannot be read.

    See Also
    --------
    save : Has an example.
    load_into : Loads a file into a model.
    """
    return read_file(Path(path))[0]


def load_into(model: Module, path: PathLike, strict: bool = True) -> Mismatch:
    """Set a model's Parameters and Buffers to the values in a safetensors file.

    Parameters
    ----------
    model : Module
        A model of the architecture that was saved, on any device.
    path : str or path
        As in `load`.
    strict : bool
        Whether the file must have all names of the model, and no others.

    Returns
    -------
    Mismatch
        The names that were missing, and those that were not expected: none if `strict`.

    Raises
    ------
    CorruptFileError, OSError
        As in `load`.
    ValueError
        If the file does not fit the model: all that is missing, unexpected or misshapen is listed,
        and the model is as it was.

    Examples
    --------
    >>> import os, tempfile
    >>> from backpass import nn
    >>> path = os.path.join(tempfile.mkdtemp(), "line.safetensors")
    >>> nn.save(nn.Linear(3, 2), path)
    >>> nn.load_into(nn.Linear(3, 2), path)
    Mismatch(missing=(), unexpected=())
    """
    arrays, _, own = read_file(Path(path))
    if "checkpoint" in own:
        raise ValueError(
            f"load_into: {path} is a checkpoint: use load_checkpoint(path, model=model, "
            "random=False), which loads the model alone"
        )
    try:
        return model.load_state_dict(arrays, strict)
    except ValueError as error:
        raise ValueError(f"load_into: {path}: {error}") from None


def load_metadata(path: PathLike) -> dict[str, str]:
    """Return the texts that `save` was given as `metadata`, without reading the arrays.

    Examples
    --------
    >>> import os, tempfile
    >>> from backpass import nn
    >>> path = os.path.join(tempfile.mkdtemp(), "line.safetensors")
    >>> nn.save(nn.Linear(3, 2), path, metadata={"sizes": "3, 2"})
    >>> nn.load_metadata(path)
    {'sizes': '3, 2'}
    """
    return read_metadata(Path(path))[0]


def state_of(part: Any) -> dict[str, Any]:
    """Return a part's state; a module's arrays themselves, so that one sees which are shared."""
    if isinstance(part, Module):
        return {place.name: plain(place.leaf) for place in places(part)}
    state = part if isinstance(part, Mapping) else part.state_dict()
    return {name: plain(value) for name, value in state.items()}


def _texts(metadata: Mapping[str, str]) -> dict[str, str]:
    for key, text in metadata.items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise TypeError(
                f"save: `metadata`: {key!r}: {text!r}: both must be str; use json.dumps"
            )
        if key.startswith(OWN):
            raise ValueError(f"save: `metadata`: {key!r}: keys with {OWN!r} are taken")
    return dict(metadata)


__all__ = ["PathLike", "load", "load_into", "load_metadata", "save", "state_of"]
