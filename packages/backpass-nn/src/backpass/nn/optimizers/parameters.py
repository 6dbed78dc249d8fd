"""The parameters of an optimizer: found in a tree, named, and copied to be written into."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from backpass.core import Tensor, tree
from backpass.core.devices import beside
from backpass.nn.optimizers.steps import Array, Tree, check_kind, is_buffer, leaves, located


class Named(NamedTuple):
    """A parameter.

    Attributes
    ----------
    name
        Its path, with points, by which its state is saved.
    place
        Where it is, in the words of a program, for messages.
    leaf
        The Tensor, or in the pure way of use perhaps an array.
    """

    name: str
    place: str
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
    wanted = {id(w) for w in leaves(optimizer, params, root).values()}
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
    seen: dict[str, str] = {}
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


def anew(leaf: Any) -> tuple[Any, Array]:
    """Return a Tensor like another, or an array, of the same value; and its array to write into."""
    if isinstance(leaf, Tensor):
        made = leaf.remade(leaf.value)
        return made, made.writable()
    array = Tensor(leaf).writable()
    return array, array
