"""Backends: who computes, chosen by the type of the arrays.

A `Backend` is an array type, the library that works on it, and a table of kernels that are faster
than the library.  NumPy's is made here, with the Rust kernels of `backpass.cpu` laid over NumPy's
functions.  Others come from plugins: a distribution that names an object in the entry-point group
`backpass.backends` is found without being imported, and loaded when the first array of an unknown
type turns up.
"""

from __future__ import annotations

import importlib
import time
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy

from backpass.core import host
from backpass.core.complaints import complain
from backpass.core.contractions import contractions
from backpass.core.extension import cpu
from backpass.core.operators import operators
from backpass.core.tensor import OWNING

GROUP = "backpass.backends"
#: Python's own numbers take the dtype of the array beside them.
PYTHON_SCALARS = (bool, int, float, complex)

Kernel = Callable[..., Any]


def no_pool() -> dict[str, int]:
    """Return the statistics of a backend without a memory pool."""
    return dict.fromkeys(("in_use", "cached", "allocations", "reused"), 0)


@dataclass(frozen=True, eq=False)
class Backend:
    """The whole contract of a backend.

    Attributes
    ----------
    name
        For messages: `"NumPy"`.
    array_types
        The types of the values it works on.
    library
        The array library, with NumPy's names.
    namespace
        The module whose functions work on its Tensors: `"backpass.numpy"`.
    scipy
        The package with SciPy's names: `"scipy"`; modules of it are imported when first used.
    kernels
        Functions that stand before the library's, by the primitive's name; `"tanh.vjp"`, or
        `"divide.vjp1"`, for a rule; `"their.module:name"` for somebody else's primitive.  One that
        does not handle its operands returns `NotImplemented`.
    device
        Where the arrays lie: `"cpu"`, `"cuda"`.
    from_host, to_host
        Copy a NumPy array to the device, and back.
    begin_to_host
        `begin_to_host(x)` begins to copy, and returns a function that waits for the copy alone, not
        for what the device has been given to do since, and returns it.
    memory_stats, empty_cache
        What `backpass.core.memory_stats` and `backpass.core.empty_cache` say and do there.
    explain
        The error to raise in the place of one of the library's, in words that say what to do;
        `None` where it has no better ones.
    place
        `place(function, name)` returns the function as one that runs on the device of its operands,
        where the backend has several.  It is asked once for each function and type of array.
    local
        `local(x, device)` returns an array of the backend on one of its devices, the `.device` of
        an array, or by default the one where arrays are made now; copied if it lies on another.
    capturing
        Whether what is computed now is only written down, to be run later and again and again: a
        number read from Python then stays what it is.
    clock
        The time in nanoseconds, when the device has done all that it was given to do.
    reports
        Whether its kernels look at the labels and indices that they read, so that nobody has to
        wait for these: one that is out of range makes what is computed from it nan, and is the
        error of the next copy to the host.
    """

    name: str
    array_types: tuple[type, ...]
    library: ModuleType
    namespace: str = "backpass.numpy"
    scipy: str = "scipy"
    kernels: Mapping[str, Kernel] = field(default_factory=dict)
    device: str = "cpu"
    from_host: Kernel = numpy.asarray
    to_host: Kernel = numpy.asarray
    begin_to_host: Callable[[Any], Callable[[], Any]] = lambda x: lambda: x
    memory_stats: Callable[[], dict[str, int]] = no_pool
    empty_cache: Callable[[], None] = lambda: None
    explain: Callable[[Exception], Exception | None] = lambda error: None
    place: Callable[[Kernel, str], Kernel] = lambda function, name: function
    local: Callable[..., Any] = lambda x, device=None: x
    capturing: Callable[[], bool] = lambda: False
    clock: Callable[[], int] = time.perf_counter_ns
    reports: bool = False

    def function(self, name: str, module: str) -> Kernel:
        """Return the library's function of that name; `module` is `"numpy"`, `"scipy.special"`.

        Raises
        ------
        NotImplementedError
            If the library has none.
        """
        if module == "numpy":
            home = self.library
        else:
            home = importlib.import_module(module.replace("scipy", self.scipy, 1))
        found = getattr(home, name, None)
        if found is None:
            raise NotImplementedError(f"{self.name} has no {module}.{name}")
        return found  # type: ignore[no-any-return]


def _decline(*operands: Any) -> Any:
    return NotImplemented


def _numpy_backend() -> Backend:
    compiled: Mapping[str, Kernel] = {} if cpu is None else cpu.KERNELS
    kernels = {**host.kernels(compiled), **contractions(compiled), **compiled}
    operators.unbroadcast = compiled.get("unbroadcast", _decline)
    types = (numpy.ndarray, numpy.generic)
    if cpu is None:
        return Backend("NumPy", types, numpy, kernels=kernels)
    OWNING.add(cpu.Block)
    return Backend(
        "NumPy",
        types,
        numpy,
        kernels=kernels,
        memory_stats=cpu.memory_stats,
        empty_cache=cpu.empty_cache,
    )


NUMPY = _numpy_backend()

_loaded: list[Backend] = []
_waiting: list[Any] | None = None


def register(backend: Backend) -> None:
    """Add a backend, or put it in the place of the one of that name."""
    names = [b.name for b in _loaded]
    place = names.index(backend.name) if backend.name in names else len(names)
    _loaded[place : place + 1] = [backend]
    operators.copies = _first_of([b.kernels["copies"] for b in _loaded if "copies" in {*b.kernels}])


def _first_of(kernels: Sequence[Kernel]) -> Kernel:
    """Return what asks one kernel after the other, until one does not decline."""
    if len(kernels) < 2:
        return kernels[0] if kernels else _decline

    def first(*operands: Any) -> Any:
        for kernel in kernels:
            found = kernel(*operands)
            if found is not NotImplemented:
                break
        return found

    return first


register(NUMPY)


def backends() -> tuple[Backend, ...]:
    """Return the backends loaded so far."""
    return tuple(_loaded)


def load_plugins() -> None:
    """Load the plugins that are installed and not loaded yet; a broken one is reported."""
    global _waiting
    if _waiting is None:
        import importlib.metadata  # slow, and rarely needed

        _waiting = list(importlib.metadata.entry_points(group=GROUP))
    while _waiting:
        entry = _waiting.pop()
        try:
            register(entry.load())
        except Exception as error:
            warnings.warn(
                f"the backpass plugin {entry.name!r} ({entry.value}) cannot be loaded: "
                f"{type(error).__name__}: {error}. Its arrays are not supported; "
                "reinstall or remove its distribution",
                RuntimeWarning,
                stacklevel=2,
            )


def backend_of_type(kind: type) -> Backend | None:
    """Return the backend for values of type `kind`; `None` if there is none loaded.

    Raises
    ------
    TypeError
        For NumPy's masked arrays and matrices, whose arithmetic is not that of arrays.
    """
    if kind is numpy.matrix or kind.__module__.startswith("numpy.ma"):
        raise TypeError(
            f"{kind.__name__} is not supported: "
            + (
                "use numpy.asarray(m), and @ for products"
                if kind is numpy.matrix
                else "use where(mask, 0, m.data)"
            )
        )
    for backend in _loaded:
        if issubclass(kind, backend.array_types):
            return backend
    return None


def backend_of(values: Iterable[Any]) -> Backend:
    """Return the backend of the first value that is an array; NumPy's if none is.

    Scalars, Python's and NumPy's, go with the arrays of any device.  What no backend knows (lists,
    for one) is left to NumPy, which turns it into an array or says why it cannot.
    """
    for value in values:
        kind = type(value)
        if kind in PYTHON_SCALARS or issubclass(kind, numpy.generic):
            continue
        found = backend_of_type(kind)
        if found is None and hasattr(value, "__cuda_array_interface__"):
            load_plugins()
            found = backend_of_type(kind)
            if found is None:
                raise TypeError(
                    f"no backend for values of type {kind.__module__}.{kind.__qualname__}: "
                    "install it with pip install backpass-core[cuda]"
                )
        if found is not None:
            return found
    return NUMPY


def backend_on(device: str) -> Backend:
    """Return the backend whose arrays lie on a device: `"cpu"` or `"cuda"`.

    Raises
    ------
    RuntimeError
        If no backend for it is installed.
    """
    for attempt in (False, True):
        if attempt:
            load_plugins()
        for backend in _loaded:
            if backend.device == device:
                return backend
    known = ", ".join(repr(b.device) for b in _loaded if b.device != "symbols")
    raise RuntimeError(
        f"no backend for the device {device!r}, only for {known}: "
        "install the GPU with pip install backpass-core[cuda]"
    )


def explain_mixture(name: str, values: Iterable[Any]) -> TypeError | None:
    """Return the error for operands of two backends; `None` if they are of one."""
    met: dict[str, tuple[int, Any]] = {}
    for i, value in enumerate(values):
        backend = backend_of_type(type(value))
        if backend is not None and not isinstance(value, numpy.generic):
            met.setdefault(backend.device, (i, value))
    if len(met) < 2:
        return None
    parts = [
        f"operand {i} is {type(v).__module__.partition('.')[0]}.{type(v).__name__} on {device!r}"
        for device, (i, v) in met.items()
    ]
    return TypeError(
        f"{name}: {', '.join(parts)}: move one of them with "
        "backpass.core.to_device(tree, 'cpu' or 'cuda')"
    )


# ----- errors, in better words -------------------------------------------------------------------


def explain(error: Exception) -> Exception | None:
    """Return the error to raise in the place of a library's; `None` where none has a better one."""
    for backend in _loaded:
        found = backend.explain(error)
        if found is not None:
            return found
    return None


def made_beside(values: Iterable[Any], make: Callable[[Any], Any]) -> Any:
    """Return what `make(library)` makes, with the library of the arrays `values`, on their device.

    A failure is explained.
    """
    values = tuple(values)
    backend = backend_of(values)
    try:
        return backend.place(lambda *_: make(backend.library), "an array")(*values)
    except Exception as error:
        complain(error)


def copied(value: Any) -> Any:
    """Return a copy of an array, on its device, that owns its memory."""
    return made_beside((value,), lambda xp: xp.array(value))


def on_host(value: Any) -> Any:
    """Return an array of a device as one of NumPy's; all others as they are."""
    if isinstance(value, numpy.ndarray | numpy.generic):
        return value
    if not hasattr(type(value), "__cuda_array_interface__"):
        return value
    return backend_of((value,)).to_host(value)


def namespace_of(value: Any) -> ModuleType:
    """Return the module whose functions work on Tensors with such a value."""
    return importlib.import_module(backend_of((value,)).namespace)


operators.copy = copied
operators.namespace = namespace_of
operators.on_host = on_host
operators.explain = explain
