"""Minima of sums of squares: `least_squares`, `curve_fit`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy

from backpass.core.calls import name_of
from backpass.core.cotangents import cast
from backpass.core.operators import operators
from backpass.core.ops.elementwise import arctan, log1p, sqrt, square, where
from backpass.core.ops.implicit import calling
from backpass.core.ops.implicit.roots import automatic_jacobian
from backpass.core.ops.implicit.stationary import Bounds, Stationary
from backpass.core.ops.shaping import as_operand
from backpass.core.tensor import Tensor
from backpass.core.values import plain

Function = Callable[..., Any]

#: SciPy's losses rho(z) of the squares z.
_LOSSES: dict[str, Function] = {
    "linear": lambda z: z,
    "soft_l1": lambda z: 2 * (sqrt.op(1 + z) - 1),
    # The root is not evaluated where z is 0, and its slope infinite.
    "huber": lambda z: where.op(plain(z) <= 1, z, 2 * sqrt.op(where.op(plain(z) <= 1, 1.0, z)) - 1),
    "cauchy": lambda z: log1p.op(z),
    "arctan": lambda z: arctan.op(z),
}
_LOSS = (
    "where loss= is a function the solution cannot be differentiated: use one of SciPy's losses by "
    "its name, or minimize()"
)
_OMITS = (
    "with nan_policy='omit' the parameters cannot be differentiated: leave the nan out of the data"
)


def least_squares(
    fun: Function,
    x0: Any,
    jac: Any = None,
    bounds: Any = (-numpy.inf, numpy.inf),
    method: str = "trf",
    ftol: float | None = 1e-8,
    xtol: float | None = 1e-8,
    gtol: float | None = 1e-8,
    x_scale: Any = None,
    loss: Any = "linear",
    f_scale: float = 1.0,
    diff_step: Any = None,
    tr_solver: str | None = None,
    tr_options: dict[str, Any] | None = None,
    jac_sparsity: Any = None,
    max_nfev: int | None = None,
    verbose: int = 0,
    args: Any = (),
    kwargs: dict[str, Any] | None = None,
    callback: Any = None,
    workers: Any = None,
) -> Any:
    """Find a local minimum of half the sum of loss(fun(x, *args)**2); dx as for `minimize`.

    SciPy's result, with Tensors as its `x` and `cost`; see `minimize`, also for `bounds`.  `jac` is
    Backpass's where it is None, and SciPy's differences if it is "2-point".  The derivative uses
    the whole Hessian, not the Gauss-Newton part that SciPy uses on its way.  There are none in
    `f_scale` and in keyword arguments, nor for a `loss` that is a function.

    Raises
    ------
    TypeError
        For complex numbers, arrays on a device, and a `fun` that returns None; when the result is
        differentiated, if `loss` is a function.
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
    >>> t, y = np.array([0.0, 1.0, 5.0]), np.array([1.0, 3.0, 4.0])
    >>> slope = lambda y: least_squares(lambda x: x[0] + x[1] * t - y, [0.0, 0.0]).x[1]
    >>> np.round(grad(slope)(y), 6)
    Tensor([-0.142857, -0.071429,  0.214286])
    """
    from scipy.optimize import least_squares as solve

    name = "least_squares"
    args, named = calling.as_args(args), kwargs or {}
    x = numpy.atleast_1d(calling.start(x0, name))

    def residuals(x: Any, args: Any) -> Any:
        return calling.vector(fun(x, *args, **named), fun, name)

    if jac is None:
        jac = automatic_jacobian(name, residuals, args, x) or "2-point"
    elif callable(jac):
        slopes = jac
        jac = calling.plainly(lambda x, *args: slopes(x, *args, **named), args, name)
    search = calling.plainly(lambda x, *args: residuals(x, args), args, name)
    limits = Bounds(bounds, x.size, name, by_side=True)
    more = {"x_scale": x_scale, "callback": callback, "workers": workers}
    result = solve(
        search,
        x,
        jac,
        limits.plain(),
        method,
        ftol,
        xtol,
        gtol,
        loss=loss,
        f_scale=f_scale,
        diff_step=diff_step,
        tr_solver=tr_solver,
        tr_options={} if tr_options is None else tr_options,
        jac_sparsity=jac_sparsity,
        max_nfev=max_nfev,
        verbose=verbose,
        # What SciPy has by another default, or in newer versions only.
        **{option: given for option, given in more.items() if given is not None},
    )
    rho = None if callable(loss) else _LOSSES[loss]

    def cost(x: Any, args: Any) -> Any:
        f = residuals(x, args)
        z = square.op(f / f_scale)
        return 0.5 * f_scale**2 * operators.sum(z if rho is None else rho(z))

    failure = None if result.success else str(result.message)
    problem = Stationary(name, cost, args)
    # Methods that stay inside the bounds come near to them only.
    x = numpy.array(result.x, float)
    result.x = problem.solution(x, limits, 1e-4, failure, None if rho else _LOSS)
    result.cost = cost(result.x, args) if result.x.tracked else Tensor(numpy.float64(result.cost))
    return result


def curve_fit(
    f: Function,
    xdata: Any,
    ydata: Any,
    p0: Any = None,
    sigma: Any = None,
    absolute_sigma: bool = False,
    check_finite: bool | None = None,
    bounds: Any = (-numpy.inf, numpy.inf),
    method: str | None = None,
    jac: Any = None,
    *,
    full_output: bool = False,
    nan_policy: str | None = None,
    **kwargs: Any,
) -> tuple[Any, ...]:
    """Fit f(xdata, *p) to ydata by least squares; p is differentiable in the data.

    SciPy's tuple, with a Tensor of the parameters as its first entry: differentiable in `xdata`,
    `ydata`, `sigma` and every Tensor that `f` reaches through closures, in both modes and to every
    order.  The covariances are a constant array.  Nothing flows to `p0`.  `jac` is Backpass's where
    it is None.

    Raises
    ------
    TypeError
        For complex numbers, arrays on a device, an `f` that returns None, and, where the data are
        differentiated, for `nan_policy="omit"`.
    numpy.linalg.LinAlgError
        When it is differentiated, if the Hessian is singular there.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import jacobian
    >>> line = lambda x, a, b: a * x + b
    >>> slope = lambda y: curve_fit(line, np.array([0.0, 1.0, 5.0]), y)[0][0]
    >>> np.round(jacobian(slope)(np.array([1.0, 3.0, 4.0])), 6)
    Tensor([-0.142857, -0.071429,  0.214286])
    """
    from scipy.optimize import curve_fit as solve

    name = "curve_fit"
    data = [_data(x, what) for x, what in ((xdata, "xdata"), (ydata, "ydata"), (sigma, "sigma"))]
    x_plain, y_plain, s_plain = map(plain, data)
    if s_plain is not None and s_plain.size == 1:
        # SciPy takes one deviation for all, but not together with a Jacobian.
        s_plain = numpy.full(y_plain.size, s_plain.item())

    def model(p: Any, xs: Any) -> Any:
        return calling.vector(f(xs, *(p[i] for i in range(p.shape[0]))), f, name)

    def search(xs: Any, *p: float) -> Any:
        return calling.plainly(model, (_tensor(xs),), name)(numpy.array(p))

    # SciPy counts the parameters of f where it has no p0.
    search.__signature__ = inspect.signature(f)  # type: ignore[attr-defined]

    def given_jacobian(xs: Any, *p: float) -> Any:
        return calling.plainly(lambda p, xs: jac(xs, *p), (_tensor(xs),), name)(numpy.array(p))

    def own_jacobian(xs: Any, *p: float) -> Any:
        at = numpy.array(p)
        found = automatic_jacobian(name, lambda p, _: model(p, _tensor(xs)), (), at)
        if found is None:
            raise TypeError(
                f"curve_fit: {name_of(f)} returned what was not recorded, so that there is no "
                "Jacobian: use jac='2-point' and method='trf'"
            )
        return found(at)

    automatic = jac is None and not kwargs.get("col_deriv")
    found = solve(
        search,
        x_plain,
        y_plain,
        None if p0 is None else numpy.atleast_1d(calling.start(p0, name, "p0")),
        s_plain,
        absolute_sigma,
        check_finite,
        bounds if hasattr(bounds, "lb") else tuple(map(_plain_side, bounds)),
        method,
        own_jacobian if automatic else given_jacobian if callable(jac) else jac,
        full_output=full_output,
        nan_policy=nan_policy,
        **kwargs,
    )
    popt = numpy.array(found[0], float)
    rho = _LOSSES.get(kwargs.get("loss", "linear"))
    f_scale = kwargs.get("f_scale", 1.0)

    def cost(p: Any, args: Any) -> Any:
        xs, ys, sigma = args
        r = model(p, xs) - operators.reshape(ys, shape=(-1,))
        r = r if sigma is None else _whitened(r, sigma)
        z = square.op(r / f_scale)
        return operators.sum(z if rho is None else rho(z))

    refusal = _OMITS if nan_policy == "omit" else None if rho else _LOSS
    limits = Bounds(bounds, popt.size, name, by_side=True)
    problem = Stationary(name, cost, tuple(data))
    return (problem.solution(popt, limits, 1e-4, None, refusal), *found[1:])


def _data(x: Any, what: str) -> Any:
    """Return data in double precision; what is no array is the user's own."""
    if not isinstance(x, Tensor | list | tuple) and not hasattr(x, "dtype"):
        return x
    x = as_operand(x)
    calling.start(x, "curve_fit", what)
    return cast(x, numpy.dtype(float))


def _tensor(x: Any) -> Any:
    return Tensor(x) if isinstance(x, numpy.ndarray) else x


def _plain_side(side: Any) -> Any:
    return numpy.array(plain(as_operand(side)), float)


def _whitened(r: Any, sigma: Any) -> Any:
    """Return residuals as parts of their errors: of deviations, or of a matrix of covariances."""
    if sigma.shape in ((), (1,), r.shape):
        return r / sigma
    from backpass.core.ops.linalg.decompositions import cholesky
    from backpass.core.ops.linalg.solving import solve

    return solve.op(cholesky(sigma), r)
