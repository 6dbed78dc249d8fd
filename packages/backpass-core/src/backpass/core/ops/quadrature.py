"""Functions of `scipy.integrate`: integrals of functions with parameters.

By Leibniz's rule the derivative of an integral from a to b is f(b) db - f(a) da, and the integral
of the derivative of f: that is an integral in turn, and so has derivatives of its own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy

from backpass.core.backends import backend_of
from backpass.core.calls import name_of
from backpass.core.cotangents import cast
from backpass.core.graph import Node
from backpass.core.operators import operators
from backpass.core.ops.closures import Closure
from backpass.core.ops.elementwise import cos, imag, sin
from backpass.core.ops.shaping import as_operand, concatenate_arrays
from backpass.core.tensor import Tensor, live
from backpass.core.values import plain

Function = Callable[..., Any]
#: Integrates a function of a number between two numbers: returns value, error, and what else.
Rule = Callable[[Function, float, float], tuple[Any, ...]]


def quad(
    func: Function,
    a: Any,
    b: Any,
    args: Any = (),
    full_output: int = 0,
    epsabs: float = 1.49e-8,
    epsrel: float = 1.49e-8,
    limit: int = 50,
    points: Any = None,
    weight: str | None = None,
    wvar: Any = None,
    wopts: Any = None,
    maxp1: int = 50,
    limlst: int = 50,
    complex_func: bool = False,
) -> tuple[Any, ...]:
    """Integrate func(x, *args) from a to b; f(b) db - f(a) da + (integral of df) flows.

    SciPy's tuple, with a Tensor as the value, and the estimate of its error; differentiable in `a`
    and `b` (not at infinity), in every Tensor in `args`, in trees, too, and in those that `func`
    reaches through closures, in both modes and to every order.  The derivatives are integrals to
    the same tolerances.  `func` gets Tensors and returns one number.  `points` says where `func`
    may jump; that they move is not seen.  There are no derivatives in `wvar`, nor in the ends where
    `weight` is "alg", "alg-loga", "alg-logb" or "alg-log", as it is made of them.

    Raises
    ------
    TypeError
        For arrays on a device, for a `func` that returns None or complex numbers without
        `complex_func`, and for what has no derivative.
    ValueError
        If `func` returns more than one number.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import grad
    >>> area = lambda s: quad(lambda x: np.exp(-x * x / (2 * s * s)), -np.inf, np.inf)[0]
    >>> round(float(grad(area)(1.0)), 6), round(math.sqrt(2 * math.pi), 6)
    (2.506628, 2.506628)
    """
    options = {
        "epsabs": epsabs,
        "epsrel": epsrel,
        "limit": limit,
        "points": None if points is None else [float(plain(x)) for x in points],
        "weight": weight,
        "wvar": _constant(wvar, "wvar"),
        "wopts": wopts,
        "maxp1": maxp1,
        "limlst": limlst,
    }
    given = args if isinstance(args, tuple) else (args,)
    if complex_func:
        parts = []
        for part in (operators.real, imag.op):
            piece = lambda x, *args, part=part: part(as_operand(func(x, *args)))  # noqa: E731
            parts.append(_quad(piece, a, b, given, options, full_output))
        (re, re_error, *re_rest), (im, im_error, *im_rest) = parts
        rest = [{"real": tuple(re_rest), "imag": tuple(im_rest)}] if full_output else []
        return (re + im * 1j, re_error + 1j * im_error, *rest)
    return _quad(func, a, b, given, options, full_output)


def _quad(
    func: Function, a: Any, b: Any, args: Any, options: dict[str, Any], full_output: int
) -> tuple[Any, ...]:
    def integrand(x: Any, args: Any) -> Any:
        f = _result(func(x, *args), func, "quad")
        if int(numpy.prod(f.shape)) != 1:
            raise ValueError(
                f"quad: {name_of(func)} returned an array of shape {tuple(f.shape)}: it must "
                "return one number; use quad_vec"
            )
        return operators.reshape(f, shape=())

    weight, wvar = options["weight"], options["wvar"]
    ends = {
        None: lambda x: 1.0,
        "cos": lambda x: cos.op(x * wvar),
        "sin": lambda x: sin.op(x * wvar),
        "cauchy": lambda x: 1.0 / (x - wvar),
    }.get(weight)
    closure = Closure("quad", integrand, args, doubled=True)
    first = _by_quad(options, full_output)
    return Integral(closure, _by_components(options), ends).between(first, a, b)


def quad_vec(
    f: Function,
    a: Any,
    b: Any,
    epsabs: float = 1e-200,
    epsrel: float = 1e-8,
    norm: str = "2",
    cache_size: float = 100e6,
    limit: float = 10000,
    workers: Any = 1,
    points: Any = None,
    quadrature: str | None = None,
    full_output: bool = False,
    *,
    args: Any = (),
) -> tuple[Any, ...]:
    """Integrate an array f(x, *args) from a to b; f(b) db - f(a) da + (integral of df) flows.

    See `quad`.  `f` returns an array, a Tensor or a list of them, real; `workers` must be 1.

    Raises
    ------
    TypeError
        For `workers`, arrays on a device, and an `f` that returns None or complex numbers.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import grad
    >>> powers = lambda b: quad_vec(lambda x: [x, x * x], 0.0, b)[0]
    >>> grad(lambda b: np.sum(powers(b)))(2.0)
    np.float64(6.0)
    """
    if workers != 1:
        raise TypeError("quad_vec: workers= is not supported: f is called in this thread")
    options = {
        "epsabs": epsabs,
        "epsrel": epsrel,
        "norm": norm,
        "cache_size": cache_size,
        "limit": limit,
        "points": None if points is None else [float(plain(x)) for x in points],
        "quadrature": quadrature,
    }
    given = args if isinstance(args, tuple) else (args,)
    closure = Closure(
        "quad_vec", lambda x, args: _result(f(x, *args), f, "quad_vec"), given, doubled=True
    )

    def rule_for(shape: Any, rough: bool, full_output: bool = False) -> Rule:
        def rule(g: Function, low: float, high: float) -> tuple[Any, ...]:
            from scipy.integrate import quad_vec as solve

            limits = _tolerances(options, rough)
            return solve(g, low, high, **limits, full_output=full_output)  # type: ignore[no-any-return]

        return rule

    first = rule_for(None, False, full_output)
    return Integral(closure, rule_for, lambda x: 1.0).between(first, a, b)


def dblquad(
    func: Function,
    a: Any,
    b: Any,
    gfun: Any,
    hfun: Any,
    args: Any = (),
    epsabs: float = 1.49e-8,
    epsrel: float = 1.49e-8,
) -> tuple[Any, float]:
    """Integrate func(y, x, *args) over x from a to b and y from gfun(x) to hfun(x).

    An integral of integrals, each as `quad` computes and differentiates it; `gfun` and `hfun` are
    numbers, Tensors, or functions of x.

    Examples
    --------
    >>> from backpass.core import grad
    >>> triangle = lambda c: dblquad(lambda y, x: c * x * y, 0.0, 1.0, 0.0, lambda x: x)[0]
    >>> round(float(triangle(4.0)), 9), round(float(grad(triangle)(4.0)), 9)
    (0.5, 0.125)
    """
    given = args if isinstance(args, tuple) else (args,)
    errors = [0.0]

    def inner(x: Any, *args: Any) -> Any:
        low, high = (side(x) if callable(side) else side for side in (gfun, hfun))
        value, error = quad(
            lambda y, *args: func(y, x, *args), low, high, args, epsabs=epsabs, epsrel=epsrel
        )
        errors[0] = max(errors[0], error)
        return value

    value, error = quad(inner, a, b, given, epsabs=epsabs, epsrel=epsrel)
    return value, max(errors[0], error)


# ----- SciPy's rules ------------------------------------------------------------------------------


def _by_quad(options: dict[str, Any], full_output: int = 0) -> Rule:
    def rule(f: Function, a: float, b: float) -> tuple[Any, ...]:
        from scipy.integrate import quad as solve

        found = solve(lambda x: float(f(x)), a, b, (), full_output, **options)
        return (numpy.float64(found[0]), *found[1:])

    return rule


def _by_components(options: dict[str, Any]) -> Callable[[tuple[int, ...], bool], Rule]:
    """Return how the integrals of `quad`'s derivatives are found, by their shape."""

    def rule_for(shape: tuple[int, ...], rough: bool) -> Rule:
        limits = _tolerances(options, rough)
        one = _by_quad(limits)
        if shape == ():
            return one
        if shape == (1,) or options["weight"] is not None:
            # Only `quad` has weights: one component after the other.
            return lambda f, a, b: (
                numpy.array([one(lambda x, i=i: f(x)[i], a, b)[0] for i in range(shape[0])]),
            )

        def together(f: Function, a: float, b: float) -> tuple[Any, ...]:
            from scipy.integrate import quad_vec as solve

            names = ("epsabs", "epsrel", "points")
            return solve(f, a, b, **{name: limits[name] for name in names})  # type: ignore[no-any-return]

        return together

    return rule_for


def _tolerances(options: dict[str, Any], rough: bool) -> dict[str, Any]:
    """Return options for a derivative; a rough one has no more than single precision's digits."""
    if not rough:
        return options
    return options | {name: max(options[name], 1e-6) for name in ("epsabs", "epsrel")}


# ----- the rule for all of them -------------------------------------------------------------------


class Integral:
    """An integral of f(x, *args) between two ends; the primitive of its value.

    Parameters
    ----------
    integrand
        A function of x and `args`, to an array of one shape.
    rule_for
        Returns the rule for the integral of a derivative, by its shape, and by whether it is rough:
        to what is captured in single precision.
    weight
        By what the integrand is multiplied, at the ends; None where the ends have no derivative.
    """

    def __init__(
        self,
        integrand: Closure,
        rule_for: Callable[[tuple[int, ...], bool], Rule],
        weight: Function | None,
    ) -> None:
        self.integrand = integrand
        self.name = integrand.name
        self.rule_for = rule_for
        self.weight = weight

    def between(self, rule: Rule, a: Any, b: Any) -> tuple[Any, ...]:
        """Integrate from a to b, by a rule, and hang the value on the graph."""
        ends = [_end(a, self.name, "a"), _end(b, self.name, "b")]
        values = [plain(end) for end in ends]

        def f(x: Any) -> Any:
            return plain(self.integrand(Tensor(numpy.float64(x))))

        value, *rest = rule(f, *map(float, values))
        nodes = [live(end) if isinstance(end, Tensor) else None for end in ends]
        if self.integrand.paused or not (any(nodes) or self.integrand.tracked):
            return (Tensor(value), *rest)
        if self.weight is None and any(nodes):
            raise TypeError(
                f"{self.name}: there is no derivative in a and b where weight= is made of them: "
                "substitute x in func, or use stop_gradient"
            )
        return (Tensor(value, self.integrand.node(self, nodes, values, value)), *rest)

    def _inputs(self, node: Node, on_tensors: bool) -> tuple[list[Tensor], list[Tensor]]:
        nodes = node.parents if on_tensors else [None] * len(node.parents)
        ends = [Tensor(value, owner) for value, owner in zip(node.saved, nodes)]
        return ends, self.integrand.parameters(nodes[2:])

    def _at_end(self, x: Tensor, parameters: Sequence[Tensor]) -> Any:
        """Return the integrand at an end; 0 at infinity."""
        if math.isinf(x.value):
            return numpy.float64(0.0)
        f = self.integrand.fun(x, self.integrand.operands.filled(parameters))
        return f * self.weight(x)  # type: ignore[misc]

    def _again(self, shape: tuple[int, ...], f: Function, args: Any, ends: Sequence[Tensor]) -> Any:
        """Return the integral of a derivative."""
        made = Integral(Closure(self.name, f, args, doubled=True), self.rule_for, self.weight)
        rough = any(node.dtype.itemsize < 8 for node in self.integrand.captured)
        return made.between(self.rule_for(shape, rough), *ends)[0]

    def pullback(self, g: Any, node: Node, wanted: Collection[Node] | None) -> Sequence[Any]:
        """Multiply by the integrand at the ends, and integrate what flows to the parameters."""
        on_tensors = type(g) is Tensor
        ends, parameters = self._inputs(node, on_tensors)
        made: list[Any] = [None] * len(node.parents)
        asked = [
            i
            for i, p in enumerate(node.parents)
            if p is not None and (wanted is None or p in wanted)
        ]
        for i, sign in ((0, -1.0), (1, 1.0)):
            if i in asked:
                made[i] = operators.sum(sign * g * self._at_end(ends[i], parameters))
        inner = [i for i in asked if i > 1]
        likes = [node.parents[i] for i in inner]
        sizes = [int(numpy.prod(like.shape)) for like in likes]

        def integrand(x: Any, args: Any) -> Any:
            parameters, g = args
            at = self.integrand.linearized((x,), parameters)
            g = g if on_tensors else plain(g)
            found = at.pull(g, [i - 1 for i in inner])
            return concatenate_arrays(
                [
                    numpy.zeros(size) if gx is None else operators.reshape(gx, shape=(size,))
                    for gx, size in zip(found, sizes)
                ]
            )

        if sum(sizes):
            cotangent = g if on_tensors else Tensor(g)
            total = self._again((sum(sizes),), integrand, (parameters, cotangent), ends)
            begin = 0
            for i, like, size in zip(inner, likes, sizes):
                part = operators.getitem(total, index=slice(begin, begin + size))
                made[i] = operators.reshape(part, shape=like.shape)
                begin += size
        if on_tensors:
            return [x if x is None or isinstance(x, Tensor) else Tensor(x) for x in made]
        return [plain(x) for x in made]

    def pushforward(self, tangents: Sequence[Any], node: Node, on_tensors: bool) -> Any:
        """Multiply by the integrand at the ends, and integrate the integrand's tangent."""
        ends, parameters = self._inputs(node, on_tensors)
        given = [None if t is None else t if isinstance(t, Tensor) else Tensor(t) for t in tangents]
        out: Any = None
        for t, end, sign in zip(given, ends, (-1.0, 1.0)):
            if t is not None:
                moved = sign * t * self._at_end(end, parameters)
                out = moved if out is None else out + moved

        def integrand(x: Any, args: Any) -> Any:
            parameters, moved = args
            at = self.integrand.linearized((x,), parameters)
            moved = moved if on_tensors else [plain(t) for t in moved]
            found = at.push([None, *moved], on_tensors)
            return numpy.zeros(node.shape)[()] if found is None else found

        if any(t is not None for t in given[2:]):
            more = self._again(node.shape, integrand, (parameters, given[2:]), ends)
            out = more if out is None else out + more
        return out if on_tensors or out is None else plain(out)


def _result(out: Any, func: Function, name: str) -> Any:
    """Return what the user's function returned as real numbers in double precision."""
    if out is None:
        raise TypeError(f"{name}: {name_of(func)} returned None: did you forget return?")
    out = as_operand(out)
    if out.dtype.kind == "c":
        raise TypeError(
            f"{name}: {name_of(func)} returned complex numbers: integrate real and imaginary part"
            + (", or use complex_func=True" if name == "quad" else "")
        )
    if backend_of((plain(out),)).device != "cpu":
        raise TypeError(
            f"{name}: {name_of(func)} returned an array on a device, SciPy integrates on the CPU"
        )
    return cast(out, numpy.dtype(float))


def _end(x: Any, name: str, what: str) -> Any:
    """Return an end of the interval as one real number."""
    x = as_operand(x)
    if backend_of((plain(x),)).device != "cpu":
        raise TypeError(
            f"{name}: {what} lies on a device, SciPy integrates on the CPU: move it there"
        )
    if x.dtype.kind == "c" or int(numpy.prod(x.shape)) != 1:
        raise TypeError(f"{name}: {what} must be one real number")
    return cast(operators.reshape(x, shape=()), numpy.dtype(float))


def _constant(x: Any, name: str) -> Any:
    """Return an option that has no derivative."""
    parts = x if isinstance(x, list | tuple) else [x]
    if any(isinstance(part, Tensor) and part.tracked for part in parts):
        raise TypeError(
            f"quad: there is no derivative in {name}: write the weight into func, or use "
            "stop_gradient"
        )
    return tuple(map(plain, x)) if isinstance(x, list | tuple) else plain(x)
