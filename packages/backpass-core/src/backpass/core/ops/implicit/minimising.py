"""Minima of functions: `minimize`, `minimize_scalar`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from backpass.core.operators import operators
from backpass.core.ops.implicit import calling
from backpass.core.ops.implicit.constraints import constraints_of
from backpass.core.ops.implicit.stationary import Bounds, Stationary
from backpass.core.tensor import Tensor
from backpass.core.values import plain

Function = Callable[..., Any]

_GRADIENT_FREE = ("nelder-mead", "powell", "cobyla", "cobyqa")
_BY_PRODUCTS = ("newton-cg", "trust-ncg", "trust-krylov", "trust-constr")
_BY_HESSIAN = ("dogleg", "trust-exact")


def minimize(
    fun: Function,
    x0: Any,
    args: Any = (),
    method: Any = None,
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    bounds: Any = None,
    constraints: Any = (),
    tol: float | None = None,
    callback: Any = None,
    options: dict[str, Any] | None = None,
) -> Any:
    """Find a local minimum of fun(x, *args); dx = -inv(d2f/dx2) d2f/(dx dargs) dargs.

    SciPy's result, with Tensors as its `x` and `fun`: differentiable in every Tensor in `args`, in
    trees, too, and in those that `fun` reaches through closures, in both modes and to every order.
    Nothing flows to `x0`.  `fun` gets Tensors and returns one number; while SciPy looks for the
    minimum nothing is recorded.  Where `jac`, `hess` and `hessp` are None, Backpass computes what
    the method wants, in the place of SciPy's differences (`jac="2-point"`); where they are given
    they serve the search only.  A variable at a bound that holds it back moves with the bound:
    there are gradients for Tensors in pairs of `bounds`, too; and for those in the functions and
    the `args` of `constraints` that hold.  The derivatives are as accurate as the solution: see
    `tol`.  Numbers are float64, on the CPU.

    Raises
    ------
    TypeError
        For complex numbers, arrays on a device, and a `fun` that returns None.
    numpy.linalg.LinAlgError
        When it is differentiated, if the Hessian is singular there.

    Warns
    -----
    RuntimeWarning
        When it is differentiated, if the search has not converged.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import grad
    >>> f = lambda x, a: (x[0] - a) ** 2 + (x[1] - x[0] ** 2) ** 2
    >>> nearest = lambda a: minimize(f, [0.0, 0.0], (a,), tol=1e-10)
    >>> np.round(grad(lambda a: np.sum(nearest(a).x))(2.0), 6)
    Tensor(5.0)
    """
    from scipy.optimize import minimize as solve

    args = calling.as_args(args)
    x = numpy.atleast_1d(calling.start(x0, "minimize"))
    if x.ndim != 1:
        raise ValueError(f"minimize: x0 must have one axis, it has shape {x.shape}")
    pair = jac is True

    def value(x: Any, args: Any) -> Any:
        out = fun(x, *args)
        return calling.number(out[0] if pair else out, fun, "minimize")

    problem = Stationary("minimize", value, args)
    search = calling.plainly(fun, args, "minimize")
    target: Function = search if pair else lambda x: float(numpy.reshape(search(x), ()))
    named = method.lower() if isinstance(method, str) else ""
    wants_gradient = jac is None and named not in _GRADIENT_FREE
    wants_curvature = hess is None and hessp is None and named in (*_BY_PRODUCTS, *_BY_HESSIAN)
    if (wants_gradient or wants_curvature) and problem.differentiable(x):
        if wants_gradient:
            target, jac = problem.value_and_gradient, True
        if wants_curvature and named in _BY_PRODUCTS:
            hessp = problem.hessian_product
        elif wants_curvature:
            hess = problem.hessian
    jac, hess, hessp = (
        calling.plainly(f, args, "minimize") if callable(f) and f not in own else f
        for own in [(problem.hessian, problem.hessian_product)]
        for f in (jac, hess, hessp)
    )
    limits = Bounds(bounds, x.size, "minimize")
    conditions = constraints_of(constraints)
    if bounds is not None and not hasattr(bounds, "lb"):
        bounds = list(zip(*(side.tolist() for side in limits.plain())))
    result = solve(
        target,
        x,
        (),
        method,
        jac,
        hess,
        hessp,
        bounds,
        [c.for_scipy(x) for c in conditions],
        tol,
        callback,
        options,
    )
    failure = None if result.success else str(result.message)
    # The search inside of a barrier comes near to it only.
    near = 1e-2 if named == "trust-constr" else 1e-6
    result.x = problem.solution(
        numpy.array(result.x, float), limits, near, failure, constraints=conditions
    )
    _value_at(result, value, args)
    return result


def _value_at(result: Any, value: Function, args: Any) -> None:
    """Let the least value, too, depend on what the minimum depends on."""
    found = float(numpy.reshape(result.fun, ()))
    result.fun = value(result.x, args) if result.x.tracked else Tensor(numpy.float64(found))


def minimize_scalar(
    fun: Function,
    bracket: Any = None,
    bounds: Any = None,
    args: Any = (),
    method: str | None = None,
    tol: float | None = None,
    options: dict[str, Any] | None = None,
) -> Any:
    """Find a local minimum of a function of one number; dx = -d2f/(dx dargs) dargs / (d2f/dx2).

    SciPy's result, with Tensors as its `x` and `fun`; see `minimize`.  Nothing flows to `bracket`;
    a minimum at one of the `bounds` moves with it.

    Raises
    ------
    TypeError
        For complex numbers, arrays on a device, and a `fun` that returns None.
    numpy.linalg.LinAlgError
        When it is differentiated, if the second derivative is 0 there.

    Warns
    -----
    RuntimeWarning
        When it is differentiated, if the search has not converged.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import grad
    >>> lowest = lambda a: minimize_scalar(lambda x: np.cosh(x) - a * x).x
    >>> round(float(grad(lowest)(1.0)), 4), round(1 / float(np.cosh(np.arcsinh(1.0))), 4)
    (0.7071, 0.7071)
    """
    from scipy.optimize import minimize_scalar as solve

    args = calling.as_args(args)
    name = "minimize_scalar"
    search = calling.plainly(fun, args, name)
    ends = None if bounds is None else [float(calling.start(b, name, "bounds")) for b in bounds]
    places = (
        None if bracket is None else [float(calling.start(b, name, "bracket")) for b in bracket]
    )
    result = solve(
        lambda x: float(numpy.reshape(search(numpy.float64(x)), ())),
        places,
        ends,
        (),
        method,
        tol,
        options,
    )

    def value(x: Any, args: Any) -> Any:
        out = fun(operators.reshape(x, shape=()), *args)
        return calling.number(out, fun, name)

    limits = Bounds(None if bounds is None else [list(bounds)], 1, name)
    failure = None if result.success else str(result.get("message", "no message"))
    # A search between bounds comes near to them only.
    near = 10 * float((options or {}).get("xatol", tol or 1e-5))
    problem = Stationary(name, value, args)
    x = numpy.array([plain(result.x)], float)
    result.x = operators.reshape(problem.solution(x, limits, near, failure), shape=())
    _value_at(result, value, args)
    return result
