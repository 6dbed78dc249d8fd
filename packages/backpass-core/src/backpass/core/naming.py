"""Names for values, by which a policy of `checkpoint` chooses what is kept."""

from __future__ import annotations

from typing import Any

from backpass.core import tree
from backpass.core.arity import primitive
from backpass.core.rules import linear


@primitive(name="checkpoint_name")
def named(xp: Any, x: Any, *, name: str) -> Any:
    """Return the operand: there is nothing to compute."""
    return x


linear(named, lambda g: g)


def checkpoint_name(x: Any, name: str) -> Any:
    """Return a tree of Tensors, arrays or numbers whose leaves a policy of `checkpoint` can name.

    What a policy keeps by its name is not computed again: the operation that has made the value is
    not either, if that is the last one before the name is given, and made nothing else.  Apart from
    this the name does nothing; the derivative is the identity's.

    Raises
    ------
    TypeError
        If `name` is not a string.

    Examples
    --------
    >>> from backpass.core import checkpoint_name, grad
    >>> grad(lambda x: checkpoint_name(x * x, "square"))(3.0)
    np.float64(6.0)
    """
    if not isinstance(name, str):
        raise TypeError(f"checkpoint_name: name must be a string, not {name!r}")
    return tree.map(lambda leaf: leaf if leaf is None else named(leaf, name=name), x)
