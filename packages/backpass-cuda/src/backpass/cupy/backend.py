"""CuPy's backend: the arrays, and the library that works on them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from backpass.core.backends import Backend, register
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


def from_host(x: Any) -> Any:
    """Copy a NumPy array or scalar to the device."""
    return require().asarray(x)


def to_host(x: Any) -> Any:
    """Copy an array to the host, as a NumPy array."""
    return require().asnumpy(x)


class _Unavailable:
    """Stands for CuPy's array type where there is no CuPy: there are no such arrays."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """Raise `DeviceUnavailable`."""
        return require().ndarray(*args, **kwargs)


library = Library()
#: CuPy's array type.
ndarray: type[Any] = next(iter(array_types()), _Unavailable)
#: What the entry point names.
CupyBackend = Backend(
    name="CuPy",
    array_types=array_types(),
    library=library,
    scipy="cupyx.scipy",
    device="cuda",
    from_host=from_host,
    to_host=to_host,
)
register(CupyBackend)
