"""Roots of equations: `root`, `root_scalar`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from backpass.core.operators import operators
from backpass.core.ops.closures import Closure, unseen
from backpass.core.ops.implicit import calling
from backpass.core.ops.implicit.equation import Equation, jacobian
from backpass.core.recording import no_grad
from backpass.core.tensor import Tensor
from backpass.core.values import plain

Function = Callable[..., Any]

_ADVICE = "has every unknown an equation of its own? is it a multiple root?"
#: The methods of `root` that use a Jacobian.
_WITH_JACOBIAN = ("hybr", "lm")


def root(
    fun: Function,
    x0: Any,
    args: Any = (),
    method: str = "hybr",
    jac: Any = None,
    tol: float | None = None,
    callback: Function | None = None,
    options: dict[str, Any] | None = None,
) -> Any:
    """Find an x with fun(x, *args) = 0; dx = -inv(df/dx) df/dargs dargs.

    SciPy's result, with a Tensor as its `x`: differentiable in every Tensor in `args`, in trees,
    too, and in those that `fun` reaches through closures, in both modes and to every order.
    Nothing flows to `x0`.  `fun` gets Tensors and returns an array, a Tensor, or a list of them;
    while SciPy looks for the root nothing is recorded.  `jac` serves the search only; where it is
    None, "hybr" and "lm" get the Jacobian from Backpass, in the place of SciPy's differences.
    Numbers are float64, on the CPU.

    Raises
    ------
    TypeError
        For complex numbers, arrays on a device, and a `fun` that returns None.
    ValueError
        If the root is to be differentiated and `fun` has more or fewer values than x.
    numpy.linalg.LinAlgError
        When it is differentiated, if the Jacobian is singular there.

    Warns
    -----
    RuntimeWarning
        When it is differentiated, if the search has not converged.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import grad
    >>> f = lambda x, a: [x[0] + x[1] - a, x[0] - x[1] ** 2]
    >>> root(f, [1.0, 1.0], (6.0,)).x
    Tensor([4., 2.])
    >>> round(float(grad(lambda a: root(f, [1.0, 1.0], (a,)).x[1])(6.0)), 6)
    0.2
    """
    from scipy.optimize import root as solve

    args = calling.as_args(args)
    x = calling.start(x0, "root")
    pair = not callable(jac) and bool(jac) and method.lower() in _WITH_JACOBIAN

    def flat(x: Any, args: Any) -> Any:
        out = fun(x, *args)
        return calling.vector(out[0] if pair else out, fun, "root")

    if callable(jac):
        jac = calling.plainly(jac, args, "root")
    elif jac is None and method.lower() in _WITH_JACOBIAN and not (options or {}).get("col_deriv"):
        jac = automatic_jacobian("root", flat, args, x.reshape(-1))
    search = calling.plainly(fun, args, "root")
    result = solve(search, x, (), method, jac, tol, callback, options)
    solution = numpy.asarray(result.x)
    shape = solution.shape

    closure = Closure("root", lambda x, args: flat(operators.reshape(x, shape=shape), args), args)
    failure = None if result.success else str(result.message)
    equation = Equation(closure, "the Jacobian of fun", _ADVICE, failure)
    found = equation.solution(solution.reshape(-1))
    count = numpy.size(result.fun)
    if found.tracked and count != solution.size:
        raise ValueError(
            f"root: fun has {count} values for {solution.size} unknowns: such an x is no root that "
            "could be differentiated: use least_squares"
        )
    result.x = Tensor(solution) if not found.tracked else operators.reshape(found, shape=shape)
    return result


def automatic_jacobian(name: str, flat: Function, args: Any, x: Any) -> Function | None:
    """Return df/dx as a function of x; `None` if `flat(x, args)` is not recorded at this x."""
    fixed = calling.constants(args)
    closure = Closure(name, lambda x, _: flat(x, fixed), ())

    def matrix(x: Any) -> Any:
        at = closure.linearized((Tensor(numpy.array(x)),), (), in_rule=False)
        return jacobian(at, plain(at.output), x)

    at = closure.linearized((Tensor(x),), (), in_rule=False)
    return matrix if at.depends else None


def root_scalar(
    f: Function,
    args: Any = (),
    method: str | None = None,
    bracket: Any = None,
    fprime: Any = None,
    fprime2: Any = None,
    x0: Any = None,
    x1: Any = None,
    xtol: float | None = None,
    rtol: float | None = None,
    maxiter: int | None = None,
    options: dict[str, Any] | None = None,
) -> Any:
    """Find a number x with f(x, *args) = 0; dx = -df/dargs dargs / (df/dx).

    SciPy's result, with a Tensor as its `root`; see `root`.  Nothing flows to `bracket`, `x0` and
    `x1`.  Newton's and Halley's methods get the derivatives that are not given from Backpass.

    Raises
    ------
    TypeError
        For complex numbers, arrays on a device, and an `f` that returns None.
    numpy.linalg.LinAlgError
        When it is differentiated, if df/dx is 0 there.

    Warns
    -----
    RuntimeWarning
        When it is differentiated, if the search has not converged.

    Examples
    --------
    >>> from backpass.core import grad
    >>> cube_root = lambda a: root_scalar(lambda x: x**3 - a, bracket=[0, 10]).root
    >>> round(float(grad(cube_root)(8.0)), 6)
    0.083333
    """
    from scipy.optimize import root_scalar as solve

    args = calling.as_args(args)
    pair = any(bool(p) and not callable(p) for p in (fprime, fprime2))

    def value(x: Any, args: Any) -> Any:
        out = f(x, *args)
        return calling.number(out[0] if pair else out, f, "root_scalar")

    def search(x: Any) -> Any:
        found = calling.plainly(f, args, "root_scalar")(numpy.float64(x))
        return tuple(map(_float, found)) if pair else _float(found)

    def place(x: Any, what: str) -> float | None:
        return None if x is None else _float(calling.start(x, "root_scalar", what))

    begin, second = place(x0, "x0"), place(x1, "x1")
    ends = None if bracket is None else [place(x, "bracket") for x in bracket]
    slopes = [
        calling.plainly(p, args, "root_scalar") if callable(p) else p for p in (fprime, fprime2)
    ]
    chosen = (method or "").lower()
    if not method and ends is None and (fprime or second is None):
        chosen = "halley" if fprime and fprime2 else "newton"
    if chosen in ("newton", "halley") and begin is not None and not pair:
        own = _automatic_slopes(value, args, begin)
        slopes = [ours if given is None else given for given, ours in zip(slopes, own)]
        slopes[1] = slopes[1] if chosen == "halley" else None
    result = solve(search, (), method, ends, *slopes, begin, second, xtol, rtol, maxiter, options)

    def residual(x: Any, args: Any) -> Any:
        return operators.reshape(value(operators.reshape(x, shape=()), args), shape=(1,))

    closure = Closure("root_scalar", residual, args)
    failure = None if result.converged else str(result.flag)
    advice = "the derivative of f is 0 there, as at a multiple root"
    equation = Equation(closure, "the derivative of f", advice, failure)
    found = equation.solution(numpy.array([result.root], float))
    result.root = operators.reshape(found, shape=())
    return result


def _float(x: Any) -> float:
    return float(numpy.reshape(x, ()))


def _automatic_slopes(value: Function, args: Any, x0: float) -> list[Any]:
    """Return the first and the second derivative; None where the value at x0 is not recorded."""
    from backpass.core.transforms import grad

    fixed = calling.constants(args)
    closure = Closure("root_scalar", lambda x, _: value(x, fixed), ())
    if not closure.linearized((Tensor(numpy.float64(x0)),), (), in_rule=False).depends:
        return [None, None]
    first = grad(lambda x: value(x, fixed), 0)

    def plainly(derivative: Function) -> Function:
        def call(x: Any) -> float:
            with no_grad(), unseen():
                return _float(plain(derivative(numpy.float64(x))))

        return call

    return [plainly(first), plainly(grad(first, 0))]
