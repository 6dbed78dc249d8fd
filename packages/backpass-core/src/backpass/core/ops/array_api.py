"""What the array API standard asks a namespace about itself.

Source: the Python array API standard, 2024.12, "Inspection".
"""

from __future__ import annotations

from typing import Any

import numpy

#: The data types by the standard's kinds.
_KINDS: dict[str, tuple[str, ...]] = {
    "bool": ("bool",),
    "signed integer": ("int8", "int16", "int32", "int64"),
    "unsigned integer": ("uint8", "uint16", "uint32", "uint64"),
    "real floating": ("float32", "float64"),
    "complex floating": ("complex64", "complex128"),
}
_KINDS["integral"] = (*_KINDS["signed integer"], *_KINDS["unsigned integer"])
_KINDS["numeric"] = (*_KINDS["integral"], *_KINDS["real floating"], *_KINDS["complex floating"])
_EVERY = (*_KINDS["bool"], *_KINDS["numeric"])


class NamespaceInfo:
    """The answers of `xp.__array_namespace_info__()`.

    Parameters
    ----------
    device
        Where the namespace makes arrays: `"cpu"` or `"cuda"`.

    Examples
    --------
    >>> NamespaceInfo("cpu").default_dtypes()["real floating"]
    dtype('float64')
    >>> sorted(NamespaceInfo("cpu").dtypes(kind="real floating"))
    ['float32', 'float64']
    """

    def __init__(self, device: str) -> None:
        self._device = device

    def capabilities(self) -> dict[str, Any]:
        """Tell what is optional in the standard and is there."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """Return the device on which arrays are made."""
        return self._device

    def devices(self) -> list[str]:
        """Return the devices on which the namespace makes arrays."""
        return [self._device]

    def default_dtypes(self, *, device: Any = None) -> dict[str, Any]:
        """Return the dtypes of what is made without `dtype=`."""
        self._check(device)
        names = {
            "real floating": "float64",
            "complex floating": "complex128",
            "integral": "int64",
            "indexing": "int64",
        }
        return {kind: numpy.dtype(name) for kind, name in names.items()}

    def dtypes(self, *, device: Any = None, kind: Any = None) -> dict[str, Any]:
        """Return the standard's dtypes of a kind, or of a tuple of kinds, by their names."""
        self._check(device)
        kinds = kind if isinstance(kind, tuple) else (kind,)
        names: list[str] = []
        for one in kinds:
            if one is not None and one not in _KINDS:
                raise ValueError(f"dtypes: kind={one!r} is not one of {', '.join(_KINDS)}")
            names += _EVERY if one is None else _KINDS[one]
        return {name: numpy.dtype(name) for name in names}

    def _check(self, device: Any) -> None:
        if device not in (None, self._device):
            raise ValueError(f"device={device!r} is not this namespace's, {self._device!r}")
