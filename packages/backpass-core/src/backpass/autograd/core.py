"""Reverse and forward mode of a function of one argument: what every operator here is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backpass.autograd.plain import settled
from backpass.autograd.primitives import (
    JVPNode,
    VJPNode,
    def_linear,
    defjvp,
    defjvp_argnum,
    defjvp_argnums,
    defvjp,
    defvjp_argnum,
    defvjp_argnums,
    primitive,
)
from backpass.autograd.vspaces import VSpace, vspace
from backpass.core import transforms

Function = Callable[..., Any]


def make_vjp(fun: Function, x: Any) -> tuple[Function, Any]:
    """Return the function that carries cotangents of `fun(x)` back to `x`, and `fun(x)`.

    Examples
    --------
    >>> pull, value = make_vjp(lambda x: x**3, 2.0)
    >>> pull(1.0), value
    (np.float64(12.0), np.float64(8.0))
    """
    out, pull = transforms.vjp(fun, x)

    def vjp(g: Any) -> Any:
        return pull(g)[0]

    return vjp, settled(out)


def make_jvp(fun: Function, x: Any) -> Function:
    """Return the function from a tangent of `x` to `fun(x)` and its tangent.

    Examples
    --------
    >>> make_jvp(lambda x: x**3, 2.0)(1.0)
    (np.float64(8.0), np.float64(12.0))
    """
    out, push = transforms.linearize(fun, x)
    value = settled(out)

    def jvp(v: Any) -> tuple[Any, Any]:
        return value, push(v)

    return jvp


__all__ = [
    "JVPNode",
    "VJPNode",
    "VSpace",
    "def_linear",
    "defjvp",
    "defjvp_argnum",
    "defjvp_argnums",
    "defvjp",
    "defvjp_argnum",
    "defvjp_argnums",
    "make_jvp",
    "make_vjp",
    "primitive",
    "vspace",
]
