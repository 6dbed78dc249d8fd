"""Where a body of tests runs: NumPy with its kernels, NumPy alone, CuPy."""

import contextlib
import dataclasses
import functools
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from backpass.core.backends import NUMPY, Backend, register
from backpass.core.primitive import Primitive


@dataclasses.dataclass(frozen=True)
class Place:
    """A backend under test, with the public namespaces that belong to it."""

    name: str
    backend: Backend
    numpy: Any

    def namespace(self, module: str) -> Any:
        """Return the namespace that stands for `"numpy"`, `"numpy.linalg"`, `"scipy.special"`."""
        library, _, inner = module.partition(".")
        if library == "numpy":
            return getattr(self.numpy, inner) if inner else self.numpy
        return importlib.import_module(f"backpass.{module}")

    def put(self, x: Any) -> Any:
        """Copy a NumPy array there; on the CPU it stays as it is."""
        return x if self.backend.device == "cpu" else self.backend.from_host(x)

    def fetch(self, x: Any) -> Any:
        """Return a Tensor's value, or an array, as a NumPy array."""
        return self.backend.to_host(getattr(x, "value", x))


def primitives(package: str = "backpass") -> tuple[Primitive, ...]:
    """Return every primitive that a loaded module of a package holds, once."""
    return _primitives(tuple(name for name in sys.modules if f"{name}.".startswith(f"{package}.")))


@functools.lru_cache(8)
def _primitives(modules: tuple[str, ...]) -> tuple[Primitive, ...]:
    values = [v for name in modules for v in list(vars(sys.modules[name]).values())]
    return tuple({id(v): v for v in values if isinstance(v, Primitive)}.values())


def forget_kernels() -> None:
    """Let every primitive look up its kernels anew."""
    for primitive in primitives():
        primitive.kernels.clear()
        primitive.pulls.clear()


@contextlib.contextmanager
def without_kernels(backend: Backend = NUMPY) -> Iterator[Backend]:
    """Let a backend's array library compute everything."""
    bare = dataclasses.replace(backend, kernels={})
    register(bare)
    forget_kernels()
    try:
        yield bare
    finally:
        register(backend)
        forget_kernels()


@functools.cache
def cupy_place() -> Place | str:
    """Return the place with a GPU, or why there is none."""
    try:
        namespace = importlib.import_module("backpass.cupy")
        cupy = importlib.import_module("cupy")
        cupy.zeros(1).get()
        from backpass.core.backends import backend_on

        return Place("cupy", backend_on("cuda"), namespace)
    except Exception as error:
        return f"no GPU: {type(error).__name__}: {error}"


def require_gpu() -> Place:
    """Return the place with a GPU; skip the test without one, or fail if one is required."""
    found = cupy_place()
    if isinstance(found, Place):
        return found
    if os.environ.get("BACKPASS_REQUIRE_GPU") == "1":
        pytest.fail(f"{found} (and BACKPASS_REQUIRE_GPU is set)")
    pytest.skip(found)


@contextlib.contextmanager
def numpy_with_kernels() -> Iterator[Place]:
    """NumPy, with the Rust kernels over it."""
    if not NUMPY.kernels:
        pytest.fail("backpass.cpu has not been loaded: there are no kernels to test")
    yield Place("kernels", NUMPY, importlib.import_module("backpass.numpy"))


@contextlib.contextmanager
def numpy_alone() -> Iterator[Place]:
    """NumPy computes everything."""
    with without_kernels() as bare:
        yield Place("numpy", bare, importlib.import_module("backpass.numpy"))


@contextlib.contextmanager
def cupy() -> Iterator[Place]:
    """CuPy, where there is a GPU."""
    yield require_gpu()


PLACES: dict[str, Callable[[], contextlib.AbstractContextManager[Place]]] = {
    "kernels": numpy_with_kernels,
    "numpy": numpy_alone,
    "cupy": cupy,
}
