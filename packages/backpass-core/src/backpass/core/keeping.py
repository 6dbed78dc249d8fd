"""What a node keeps for its rules, in the words of its operation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy

from backpass.core import tree
from backpass.core.backends import backend_of_type
from backpass.core.graph import Node
from backpass.core.primitive import Primitive
from backpass.core.tensor import Hooked
from backpass.core.values import plain


def bare(primitive: Any) -> Any:
    """Return a primitive without the hooks that hang on it."""
    while isinstance(primitive, Hooked):
        primitive = primitive.primitive
    return primitive


def operand_name(node: Node, i: int) -> str:
    """Return the name of an operand; empty where it has none, or is the only one."""
    primitive = bare(node.primitive)
    if isinstance(primitive, Primitive):
        names = primitive.names(len(node.parents))
        return names[i] if i < len(names) else ""
    return str(i) if len(node.parents) > 1 else ""


def kept(node: Node) -> Iterator[tuple[str, Any]]:
    """List the arrays that a node keeps, each with what it is to the operation."""
    for name, value in _labelled(node):
        for x in _arrays(value):
            yield name, x


def _labelled(node: Node) -> Iterator[tuple[str, Any]]:
    primitive, saved = bare(node.primitive), node.saved
    if isinstance(primitive, Primitive):
        count = len(node.parents)
        names = ["its output", *(f"its operand {name}" for name in primitive.names(count))]
        several = hasattr(primitive, "keep")
        if several and primitive.kind != "elementwise":
            yield from zip(names, saved)
        else:
            for rule, part in zip(primitive.vjps, saved if several or count > 1 else (saved,)):
                if rule is not None:
                    yield from zip([names[p] for p in rule.positions], part or ())
    else:
        yield "what it keeps", saved
        # Of a checkpointed function the constants, of a rule of the user's the residuals.
        yield "a constant", getattr(getattr(primitive, "operands", None), "leaves", None)
        yield "a residual", getattr(primitive, "residuals", None)
    for key, value in (node.kwargs or {}).items():
        yield f"its keyword {key}", value


def _arrays(value: Any) -> Iterator[Any]:
    value = plain(value)
    if value is None or isinstance(value, Node | numpy.generic):
        return
    if isinstance(value, tuple | list):
        for part in value:
            yield from _arrays(part)
    elif hasattr(value, "nbytes") and hasattr(value, "dtype"):
        if backend_of_type(type(value)) is not None and value.dtype.kind != "O":
            yield value
    elif isinstance(value, Mapping):
        for part in tree.leaves(value):
            yield from _arrays(part)
