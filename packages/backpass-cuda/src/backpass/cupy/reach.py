"""The Tensors that a function can reach by itself: through its closure, its globals, its object.

A captured function reads and writes them where they lie when it is captured, so what it reaches
must be known: to keep the memory, and to notice when a name stands for something else.
"""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Callable, Iterable, Iterator
from types import (
    BuiltinFunctionType,
    CodeType,
    FrameType,
    FunctionType,
    MethodType,
    ModuleType,
)
from typing import Any, NamedTuple

import numpy

from backpass.core.primitive import Primitive
from backpass.core.tensor import Tensor
from backpass.cupy.library import ndarray

#: What leads to no Tensor, or to those of others only.
_ENDS = (
    BuiltinFunctionType, CodeType, FrameType, ModuleType, Primitive, bool, bytes, complex, float,
    int, numpy.dtype, numpy.generic, numpy.ndarray, str, type(None),
)  # fmt: skip
#: Packages whose functions reach no Tensors by global names.
_LIBRARIES = frozenset("backpass cupy cupy_backends cupyx numpy optree scipy".split())
_MISSING = object()


class Place(NamedTuple):
    """Where an array lies, without holding the array: who else holds one forbids writes into it.

    Attributes
    ----------
    at
        The address of its memory, which is kept, so that no other array can have it; the identity
        of a scalar; `None` for an array on the CPU.
    array
        Makes the array anew.
    """

    at: int | None
    array: Callable[[], Any]


def place(x: Any) -> Place:
    """Return where an array, or a scalar, lies."""
    if isinstance(x, numpy.ndarray):
        return Place(None, weakref.ref(x))
    if not isinstance(x, ndarray):
        return Place(id(x), lambda: x)
    data, shape, dtype, strides = x.data, x.shape, x.dtype, x.strides
    return Place(_location(x), lambda: ndarray(shape, dtype, data, strides))


def _location(x: Any) -> int | None:
    if isinstance(x, ndarray):
        return int(x.data.ptr)
    return None if isinstance(x, numpy.ndarray) else id(x)


class Held(NamedTuple):
    """A Tensor, a name through which it is reached, and where its array and its gradient lie."""

    tensor: Tensor
    name: str
    value: Place
    grad: Place

    def value_stays(self) -> bool:
        """Tell whether the Tensor has the array that it had."""
        return _location(self.tensor.value) == self.value.at

    def grad_stays(self) -> bool:
        """Tell whether the Tensor has the gradient that it had, mostly none."""
        return _location(self.tensor.grad) == self.grad.at

    def restore(self) -> None:
        """Give the Tensor the array and the gradient that it had."""
        if not self.value_stays():
            self.tensor.value = self.value.array()
        if not self.grad_stays():
            self.tensor.grad = self.grad.array()


def hold(tensor: Tensor, name: str) -> Held:
    """Return a Tensor with where its array and its gradient lie now."""
    return Held(tensor, name, place(tensor.value), place(tensor.grad))


class Reached:
    """What functions and other objects reach.

    Attributes
    ----------
    tensors
        By identity.
    arrays
        Where arrays lie that are in no Tensor, and the name through which they are reached.
    names
        Cells and namespaces of the user's functions, the name there, and what it stands for.
    """

    def __init__(self, roots: Iterable[Any]) -> None:
        self.tensors: dict[int, Held] = {}
        self.arrays: list[tuple[Place, str]] = []
        self.names: list[tuple[Any, str, Any]] = []
        seen: set[int] = set()
        waiting = [(root, "an argument") for root in roots]
        while waiting:
            found, name = waiting.pop()
            if id(found) in seen or isinstance(found, _ENDS):
                continue
            seen.add(id(found))
            if isinstance(found, Tensor):
                self.tensors[id(found)] = hold(found, name)
            elif isinstance(found, ndarray):
                self.arrays.append((place(found), name))
            else:
                waiting.extend(self._next(found, name))

    def _next(self, found: Any, name: str) -> Iterator[tuple[Any, str]]:
        """Yield what an object leads to, with the name through which it is reached."""
        if isinstance(found, type):
            if not of_a_library(found.__module__):
                yield from ((x, name) for x in (*vars(found).values(), *found.__bases__))
        elif isinstance(found, MethodType):
            yield from ((found.__self__, name), (found.__func__, name))
        elif not isinstance(found, FunctionType):
            yield from ((x, name) for x in (*gc.get_referents(found), type(found)))
        else:
            # A library's functions reach Tensors by their closures only, as an optimizer's do, and
            # what they count there is their own business.
            of_the_user = not of_a_library(found.__globals__.get("__name__"))
            for free, cell in zip(found.__code__.co_freevars, found.__closure__ or ()):
                contents = _contents(cell)
                if of_the_user:
                    self.names.append((cell, free, contents))
                yield contents, free if of_the_user else name
            given = (found.__defaults__, found.__kwdefaults__, found.__dict__)
            yield from ((x, name) for x in given)
            if of_the_user:
                yield from self._named(found)

    def _named(self, function: FunctionType) -> Iterator[tuple[Any, str]]:
        """Yield what a function's global names stand for, and those in its modules."""
        names = set(_names(function.__code__))
        waiting, seen = [function.__globals__], {id(function.__globals__)}
        while waiting:
            namespace = waiting.pop()
            for name in names & namespace.keys():
                found = namespace[name]
                if not isinstance(found, ModuleType):
                    self.names.append((namespace, name, found))
                    yield found, name
                elif not of_a_library(found.__name__) and id(vars(found)) not in seen:
                    seen.add(id(vars(found)))
                    waiting.append(vars(found))

    def names_of_arrays(self) -> dict[Any, str]:
        """Return the names through which Tensors, and arrays in no Tensor, are reached."""
        return {
            **{("Tensor", key): held.name for key, held in self.tensors.items()},
            **{("array", found.at): name for found, name in self.arrays},
        }

    def stays(self) -> bool:
        """Tell whether all Tensors lie where they did, and all names stand for the same."""
        for held in self.tensors.values():
            if not (held.value_stays() and held.grad_stays()):
                return False
        for home, name, found in self.names:
            now = home.get(name, _MISSING) if type(home) is dict else _contents(home)
            if now is not found:
                return False
        return True


def _contents(cell: Any) -> Any:
    """Return what a variable of an enclosing function stands for."""
    try:
        return cell.cell_contents
    except ValueError:  # for nothing, yet
        return _MISSING


def _names(code: CodeType) -> Iterator[str]:
    """Yield the global names and the attributes in a function's code, and in those inside it."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def of_a_library(module: str | None) -> bool:
    """Tell whether a module is one of Python's, or of a library below."""
    root = (module or "").partition(".")[0]
    return root in _LIBRARIES or root in sys.stdlib_module_names
