"""The parameters of an optimizer: found in a tree, named, and copied to be written into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy

from backpass.core import Tensor, tree
from backpass.core.backends import copied
from backpass.core.devices import beside
from backpass.core.operators import operators
from backpass.core.values import plain
from backpass.nn.optimizers.steps import (
    Array,
    Place,
    Tree,
    check_kind,
    distinct,
    is_buffer,
    located,
)
from backpass.nn.parameter import holding


class Named(NamedTuple):
    """A parameter.

    Attributes
    ----------
    name
        Its path, with points, by which its state is saved.
    place
        Where it is, for messages.
    leaf
        The Tensor, or in the pure way of use perhaps an array.
    """

    name: str
    place: Place
    leaf: Any


def trained(optimizer: str, params: Tree, root: str = "params", prefix: str = "") -> list[Named]:
    """Return the distinct Tensors of a tree that may be trained, frozen ones among them.

    Raises
    ------
    TypeError
        If a leaf is not a Tensor of floats or complex numbers.
    ValueError
        If there is none, or two have one name.
    """
    if isinstance(params, Iterator):  # such as model.parameters()
        params = list(params)
    wanted = {id(w) for _, w in distinct(optimizer, params, root)}
    found: dict[int, Named] = {}
    for x in named_leaves(optimizer, params, root):
        if id(x.leaf) in wanted:
            found.setdefault(id(x.leaf), x._replace(name=f"{prefix}{x.name}".rstrip(".")))
    return list(found.values())


def named_leaves(optimizer: str, params: Tree, root: str) -> list[Named]:
    """Return all leaves of a tree, which must be Tensors or arrays, with their names.

    Raises
    ------
    TypeError
        If one is neither, or holds neither floats nor complex numbers and is no Buffer.
    ValueError
        If two have one name.
    """
    found = []
    seen: dict[str, Place] = {}
    paths = tree.flatten(params)[1].paths()
    for path, (place, leaf) in zip(paths, located(params, root), strict=True):
        name = ".".join(map(str, path))
        if name in seen:
            raise ValueError(
                f"{optimizer}: `{seen[name]}` and `{place}` would both be saved as {name!r}: "
                "rename one"
            )
        seen[name] = place
        if not hasattr(leaf, "dtype"):
            raise TypeError(
                f"{optimizer}: `{place}` is {type(leaf).__name__}, not a Tensor; make it one with "
                "backpass.numpy.array(...)"
            )
        if not is_buffer(leaf):
            check_kind(optimizer, place, leaf)
        found.append(Named(name, place, leaf))
    return found


def are_groups(params: Tree) -> bool:
    """Tell whether these are groups of parameters: dicts with the key ``"params"``."""
    return (
        isinstance(params, list | tuple)
        and len(params) > 0
        and all(isinstance(group, dict) and "params" in group for group in params)
    )


def is_constant(leaf: Any) -> bool:
    """Tell whether a leaf is a Buffer or a frozen Parameter."""
    return isinstance(leaf, Tensor) and leaf.constant


def own(x: Array, w: Array) -> Array:
    """Return a copy of an array, beside another, to write into."""
    return Tensor(beside(x, w)).writable()


def owned(xs: Sequence[Array]) -> list[Array]:
    """Return copies of arrays to write into, made in one call where that can be done."""
    arrays = [numpy.array(x) if isinstance(x, numpy.generic) else x for x in xs]
    found = operators.copies(*arrays)
    return [copied(x) for x in arrays] if found is NotImplemented else found


def anew(leaf: Any, array: Array) -> Any:
    """Return a Tensor like another that holds an array itself; the array, in place of an array."""
    return holding(leaf, array) if isinstance(leaf, Tensor) else array


def arrays_among(name: str, found: list[Any]) -> dict[int, Array]:
    """Return the arrays among leaves, by their indices."""
    arrays = {}
    for i, g in enumerate(found):
        if g is None:
            continue
        if isinstance(g, Tensor) and g.tracked:
            raise TypeError(
                f"{name}: a gradient is tracked, but its way to a step is not differentiated: use "
                "backpass.core.stop_gradient"
            )
        if not hasattr(plain(g), "dtype"):
            raise TypeError(f"{name}: `gradients` holds {type(g).__name__}, not an array or None")
        arrays[i] = plain(g)
    return arrays


def with_arrays(found: list[Any], structure: Any, arrays: dict[int, Array]) -> Tree:
    """Return a tree with other arrays in the places of some leaves; Tensors stay Tensors."""
    made = list(found)
    for i, g in arrays.items():
        made[i] = found[i].remade(g) if isinstance(found[i], Tensor) else g
    return tree.unflatten(structure, made)
