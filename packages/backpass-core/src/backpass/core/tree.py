"""Trees: lists, tuples, dicts and dataclasses of Tensors; a thin layer over `optree`.

`None` is a leaf: it stands in results where a leaf is not differentiated.

Other classes are trees if they say what their children are: `__tree_flatten__(x)` returns the
children, what else is needed to build the object again, and a name for each child;
`__tree_unflatten__(rest, children)` builds it.  Two trees have one structure where `rest` is equal.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

#: The optree namespace in which classes are registered as trees.
NAMESPACE = "backpass"


def flatten(tree: Any) -> tuple[list[Any], Any]:
    """Return the leaves of `tree`, and its structure.

    Examples
    --------
    >>> leaves, structure = flatten({"w": [1.0, 2.0], "b": None})
    >>> leaves
    [None, 1.0, 2.0]
    >>> unflatten(structure, leaves)
    {'w': [1.0, 2.0], 'b': None}
    """
    leaves, structure = _optree().tree_flatten(tree, none_is_leaf=True, namespace=NAMESPACE)
    for leaf in leaves:
        if type(leaf) not in _no_trees and _register(type(leaf)):
            return flatten(tree)
    return leaves, structure


@functools.cache
def _optree() -> Any:
    # When it is first needed: importing it takes longer than importing all of Backpass.
    import optree

    return optree


#: Types of leaves that have been seen to be no trees.
_no_trees: set[type] = set()


def _register(kind: type) -> bool:
    """Make a tree of a class that says how, or of a dataclass; tell whether `kind` is one."""
    if hasattr(kind, "__tree_flatten__"):
        pair = kind.__tree_flatten__, kind.__tree_unflatten__  # type: ignore[attr-defined]
        _optree().register_pytree_node(kind, *pair, namespace=NAMESPACE)
        return True
    if not dataclasses.is_dataclass(kind):
        _no_trees.add(kind)
        return False
    names = tuple(f.name for f in dataclasses.fields(kind))

    def children(x: Any) -> tuple[list[Any], None, tuple[str, ...]]:
        return [getattr(x, name) for name in names], None, names

    def rebuild(_: None, values: Any) -> Any:
        # Past __init__, which may take other arguments or check what a structure need not obey.
        made = object.__new__(kind)
        for name, value in zip(names, values):
            object.__setattr__(made, name, value)
        return made

    _optree().register_pytree_node(kind, children, rebuild, namespace=NAMESPACE)
    return True


def unflatten(structure: Any, leaves: list[Any]) -> Any:
    """Return a tree of that structure with those leaves."""
    return _optree().tree_unflatten(structure, leaves)


def leaves(tree: Any) -> list[Any]:
    """Return the leaves of `tree`.

    Examples
    --------
    >>> leaves([(1, 2), {"a": 3}])
    [1, 2, 3]
    """
    return flatten(tree)[0]


def map(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """Apply a function to the leaves of trees of one structure.

    Raises
    ------
    ValueError
        If the structures differ.

    Examples
    --------
    >>> map(lambda x, y: x + y, [1, (2, 3)], [10, (20, 30)])
    [11, (22, 33)]
    """
    found, structure = flatten(tree)
    rest = []
    for other in others:
        more, other_structure = flatten(other)
        if other_structure != structure:
            raise ValueError(f"tree.map: the structures differ: {structure} and {other_structure}")
        rest.append(more)
    return unflatten(structure, [function(*xs) for xs in zip(found, *rest)])


__all__ = ["flatten", "leaves", "map", "unflatten"]
