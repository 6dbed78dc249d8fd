"""A module as a tree: where its Parameters and Buffers are, and how to build it with others there.

A module is searched through its attributes, and through lists, tuples and dicts of them. A module
that has been built anew, with gradients or fresh Tensors in the places of its leaves, remembers
those places in an attribute of its own: what stands there cannot be told from other values.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from backpass.core import Tensor
from backpass.nn.parameter import Buffer, Parameter

#: The attribute in which a module that has been built anew remembers its places.
PLACES = "_places"


class Slot:
    """A leaf's place in a module that has been built anew; shared weights share one."""

    __slots__ = ("trained",)

    def __init__(self, trained: bool) -> None:
        self.trained = trained


class Place(NamedTuple):
    """Where a leaf is.

    Attributes
    ----------
    name
        Its path, with points: ``"layers.0.weight"``.
    leaf
        What is there.
    key
        The same for two places that share a leaf.
    trained
        Whether it is a Parameter's place, rather than a Buffer's.
    """

    name: str
    leaf: Any
    key: int
    trained: bool


class Container:
    """What `Module` derives from: marks the objects whose attributes are searched."""

    __slots__ = ()


def joined(name: str, part: object) -> str:
    """Return the path of a part."""
    return f"{name}.{part}" if name else str(part)


def parts(value: Any) -> Iterator[tuple[Any, Any]]:
    """Return the keys and the values that a container holds; nothing for other objects."""
    if isinstance(value, Container):
        return ((k, v) for k, v in vars(value).items() if k != PLACES)
    if isinstance(value, list | tuple):
        return iter(enumerate(value))
    if isinstance(value, dict):
        return iter(value.items())
    return iter(())


def containers(value: Any, name: str = "", seen: set[int] | None = None) -> Iterator[Any]:
    """Return the modules in a value as pairs (path, module), each once, the outer ones first."""
    seen = set() if seen is None else seen
    if isinstance(value, Container):
        if id(value) in seen:
            return
        seen.add(id(value))
        yield name, value
    for key, part in parts(value):
        if isinstance(part, Container | list | tuple | dict):
            yield from containers(part, joined(name, key), seen)


def places(value: Any) -> list[Place]:
    """Return the places of all leaves in a module, those that share a leaf one after the other."""
    found: list[Place] = []
    _search(value, "", None, set(), found)
    return found


def distinct(found: list[Place]) -> list[Place]:
    """Return the places without those whose leaf has been met before."""
    return list({place.key: place for place in reversed(found)}.values())[::-1]


def _search(value: Any, name: str, mark: Any, seen: set[int], found: list[Place]) -> None:
    if type(mark) is Slot:
        found.append(Place(name, value, id(mark), mark.trained))
    elif isinstance(value, Tensor):
        if isinstance(value, Parameter | Buffer):
            found.append(Place(name, value, id(value), isinstance(value, Parameter)))
    elif isinstance(value, Container):
        if id(value) in seen:
            return
        seen.add(id(value))
        marks = vars(value).get(PLACES, {})
        for key, part in parts(value):
            _search(part, joined(name, key), marks.get(key), seen, found)
    elif isinstance(value, list | tuple | dict):
        for key, part in parts(value):
            _search(part, joined(name, key), mark and mark.get(key), seen, found)
    elif isinstance(value, set | frozenset):
        for part in value:
            if isinstance(part, Container | Parameter | Buffer):
                raise TypeError(
                    f"`{name}` is a set that holds a {type(part).__name__}: a set has no order, "
                    "so its members have no names; use a list or a dict"
                )


class Rebuilding:
    """Builds a module anew, with other leaves in its places.

    Attributes
    ----------
    leaves
        The leaf that belongs at each place, by the place's key.
    """

    def __init__(self, leaves: Mapping[int, Any]) -> None:
        self.leaves = leaves
        self._slots: dict[int, Slot] = {}
        self._made: dict[int, Any] = {}

    def module(self, old: Any) -> Any:
        """Return a module like `old`: the same attributes, but for the leaves."""
        made = self._made.get(id(old))
        if made is not None:
            return made
        made = self._made[id(old)] = object.__new__(type(old))
        marks, known = {}, vars(old).get(PLACES, {})
        for key, part in parts(old):
            vars(made)[key], mark = self._part(part, known.get(key))
            if mark is not None:
                marks[key] = mark
        vars(made)[PLACES] = marks
        return made

    def _part(self, value: Any, mark: Any) -> tuple[Any, Any]:
        """Return what stands for a value, and the mark of its places."""
        if type(mark) is Slot:
            return self._leaf(id(mark), mark.trained)
        if isinstance(value, Tensor):
            if isinstance(value, Parameter | Buffer):
                return self._leaf(id(value), isinstance(value, Parameter))
        elif isinstance(value, Container):
            return self.module(value), None
        elif isinstance(value, list | tuple | dict):
            return self._container(value, mark or {})
        return value, None

    def _leaf(self, key: int, trained: bool) -> tuple[Any, Slot]:
        slot = self._slots.setdefault(key, Slot(trained))
        return self.leaves[key], slot

    def _container(self, value: Any, known: Any) -> tuple[Any, Any]:
        marks, made, same = {}, {}, True
        for key, part in parts(value):
            made[key], mark = self._part(part, known.get(key))
            same = same and made[key] is part
            if mark is not None:
                marks[key] = mark
        if same and not marks:
            return value, None
        if isinstance(value, tuple):
            kind = type(value)
            items = made.values()
            return (kind(*items) if hasattr(kind, "_fields") else kind(items)), marks
        new = copy.copy(value)
        for key, part in made.items():
            new[key] = part
        return new, marks


class Rest:
    """What a module is without its leaves: two are equal if they have leaves of the same names."""

    __slots__ = ("_found", "_module", "names")

    def __init__(self, module: Any, found: list[Place]) -> None:
        self._module = module
        self._found = found
        self.names = tuple(place.name for place in found)

    def built(self, leaves: Any) -> Any:
        """Return a module with these leaves, which come in the order of the names."""
        by_key = {place.key: leaf for place, leaf in zip(self._found, leaves, strict=True)}
        return Rebuilding(by_key).module(self._module)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Rest)
            and type(self._module) is type(other._module)
            and self.names == other.names
        )

    def __hash__(self) -> int:
        return hash((type(self._module), self.names))

    def __repr__(self) -> str:
        return f"{type(self._module).__name__}({', '.join(self.names)})"


__all__ = [
    "PLACES",
    "Container",
    "Place",
    "Rebuilding",
    "Rest",
    "Slot",
    "containers",
    "distinct",
    "joined",
    "parts",
    "places",
]
