"""Users' functions as SciPy's solvers call them: arrays in, arrays out, nothing recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from backpass.core import tree
from backpass.core.backends import backend_of
from backpass.core.calls import name_of
from backpass.core.cotangents import cast
from backpass.core.operators import operators
from backpass.core.ops.closures import unseen
from backpass.core.ops.shaping import as_operand
from backpass.core.recording import no_grad
from backpass.core.tensor import Tensor
from backpass.core.values import plain

Function = Callable[..., Any]


def as_args(args: Any) -> tuple[Any, ...]:
    """Return SciPy's `args` as a tuple: one argument may stand alone."""
    return args if isinstance(args, tuple) else (args,)


def constants(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return arguments with nothing tracked in them."""
    return tree.map(lambda t: type(t)(t.value) if isinstance(t, Tensor) else t, args)  # type: ignore[no-any-return]


def plainly(fun: Function, args: tuple[Any, ...], name: str) -> Function:
    """Return `fun(x, *args)` as a function of an array, without a graph."""
    fixed = constants(args)

    def call(x: Any, *rest: Any) -> Any:
        with no_grad(), unseen():
            # SciPy may use its array again for the next point.
            out = fun(Tensor(numpy.array(x)[()]), *map(_wrapped, rest), *fixed)
        return numbers(out, fun, name)

    return call


def _wrapped(x: Any) -> Any:
    return Tensor(x) if isinstance(x, numpy.ndarray) else x


def numbers(out: Any, fun: Function, name: str) -> Any:
    """Return what a user's function returned as plain arrays: a tuple for a tuple."""
    if isinstance(out, tuple):
        return tuple(numbers(part, fun, name) for part in out)
    return plain(operand(out, fun, name))


def operand(out: Any, fun: Function, name: str) -> Any:
    """Return what a user's function returned as something with a shape, real."""
    if out is None:
        raise TypeError(f"{name}: {name_of(fun)} returned None: did you forget return?")
    out = as_operand(out)
    if out.dtype.kind == "c":
        raise TypeError(
            f"{name}: {name_of(fun)} returned complex numbers: solve for real and imaginary parts"
        )
    if backend_of((plain(out),)).device != "cpu":
        raise TypeError(
            f"{name}: {name_of(fun)} returned an array on a device, SciPy solves on the CPU: move "
            "its arguments there"
        )
    return out


def vector(out: Any, fun: Function, name: str) -> Any:
    """Return what a user's function returned as a vector in double precision."""
    flat = operators.reshape(operand(out, fun, name), shape=(-1,))
    return cast(flat, numpy.dtype(float))


def number(out: Any, fun: Function, name: str) -> Any:
    """Return what a user's function returned as one number in double precision."""
    out = operand(out, fun, name)
    size = int(numpy.prod(out.shape))
    if size != 1:
        raise ValueError(
            f"{name}: {name_of(fun)} returned an array of shape {tuple(out.shape)}: it must return "
            "one number"
        )
    return cast(operators.reshape(out, shape=()), numpy.dtype(float))


def start(x0: Any, name: str, what: str = "x0") -> Any:
    """Return where to begin as an array in double precision; nothing flows to it."""
    x = plain(as_operand(x0))
    if backend_of((x,)).device != "cpu":
        raise TypeError(f"{name}: {what} lies on a device, SciPy solves on the CPU: move it there")
    if x.dtype.kind == "c":
        raise TypeError(f"{name}: {what} is complex: solve for the real and imaginary parts")
    return numpy.array(x, float)
