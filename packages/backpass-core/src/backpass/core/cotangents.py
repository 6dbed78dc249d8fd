"""Un-broadcasting, casting and adding cotangents: written once, for every rule.

A rule may return a cotangent of the broadcast shape and of whatever dtype its arithmetic gave.
Here it gets the shape and the dtype of the argument it belongs to.
"""

from __future__ import annotations

from typing import Any

from backpass.core.operators import operators


class Parts:
    """The cotangents of a primitive with several outputs: one each, `None` for one not used."""

    __slots__ = ("items",)
    shape = None
    dtype = None

    def __init__(self, items: list[Any]) -> None:
        self.items = items


def accumulate(old: Any, new: Any) -> Any:
    """Add two cotangents of one node, out of place: somebody else may hold either of them."""
    if type(old) is Parts:
        pairs = zip(old.items, new.items, strict=True)
        return Parts(
            [b if a is None else a if b is None else operators.add(a, b) for a, b in pairs]
        )
    return operators.add(old, new)


def fit_cotangent(g: Any, like: Any) -> Any:
    """Give the cotangent `g` the shape and dtype of `like`, the node it flows to."""
    shape, target = g.shape, like.shape
    fitted = operators.unbroadcast(g, target, like.dtype)
    if fitted is not NotImplemented:
        return fitted
    extra = len(shape) - len(target)
    if shape == target:
        pass
    elif extra > 0 and shape[extra:] == target:
        # New leading axes only, as for a bias.
        if target == ():
            g = operators.sum(g)
        elif extra == 1:
            g = operators.reshape(g, shape=target) if shape[0] == 1 else operators.sum(g, axis=0)
        else:
            g = operators.sum(g, axis=tuple(range(extra)))
    else:
        if extra < 0:
            # A value that is written may have more axes than its place: lengths of 1 come first.
            g = operators.reshape(g, shape=(1,) * -extra + shape)
            shape, extra = g.shape, 0
        spread = [
            axis
            for axis, length in enumerate(target, start=extra)
            if length == 1 and shape[axis] != 1
        ]
        if extra or spread:
            g = operators.sum(g, axis=(*range(extra), *spread), keepdims=True)
        if extra:
            g = operators.reshape(g, shape=g.shape[extra:])
        if g.shape != target:
            g = operators.broadcast_to(g, shape=target)
    return cast(g, like.dtype)


def fit_tangent(t: Any, like: Any) -> Any:
    """Give the tangent `t` the shape and dtype of `like`, the node it has reached."""
    if like.shape is None:
        return t
    if t.shape != like.shape:
        t = operators.broadcast_to(t, shape=like.shape)
    return cast(t, like.dtype)


def cast(g: Any, dtype: Any) -> Any:
    """Cast to `dtype`; of a complex value for something real, the real part counts."""
    if g.dtype is dtype or g.dtype == dtype:
        return g
    if g.dtype.kind == "c" and dtype.kind != "c":
        g = operators.real(g)
    return g if g.dtype == dtype else operators.astype(g, dtype=dtype)
