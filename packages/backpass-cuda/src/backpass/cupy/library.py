"""CuPy itself, looked for when the first of its functions is: importing Backpass needs no GPU."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from backpass.cupy.availability import array_types, require


class Library(ModuleType):
    """CuPy, looked for when the first of its functions is."""

    def __init__(self) -> None:
        super().__init__("cupy")

    def __getattr__(self, name: str) -> Any:
        # Only called for what has not been looked up before.
        if name.startswith("__"):
            raise AttributeError(name)
        found = getattr(require(), name)
        setattr(self, name, found)
        return found


class _Unavailable:
    """Stands for CuPy's array type where there is no CuPy: there are no such arrays."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Raise `DeviceUnavailable`."""
        return require().ndarray(*args, **kwargs)


library = Library()
#: CuPy's array type.
ndarray: type[Any] = next(iter(array_types()), _Unavailable)
