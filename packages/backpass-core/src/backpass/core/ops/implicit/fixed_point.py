"""Fixed points: the x with x = f(x)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from backpass.core import tree
from backpass.core.backends import backend_of
from backpass.core.ops.closures import Closure, unseen
from backpass.core.ops.implicit.equation import Equation
from backpass.core.ops.implicit.layout import Layout
from backpass.core.recording import no_grad
from backpass.core.tensor import Tensor
from backpass.core.values import WeakTensor, plain

Function = Callable[..., Any]
METHODS = ("iteration", "newton")

_ADVICE = "start from another x0, or make f depend on x otherwise"


def fixed_point(
    f: Function,
    x0: Any,
    *args: Any,
    method: str = "iteration",
    tol: float | None = None,
    max_iterations: int = 1000,
) -> Any:
    """Return the x with x = f(x, *args) that is found from x0.

    Its derivative is that of the solution, by the implicit function theorem, and not that of the
    iterations: with v = g + v df/dx, v df/dargs flows back, and nothing is kept of the way there.
    There are gradients for every Tensor in `args`, and for those that `f` reaches through closures,
    to every order and in both modes; nothing flows to `x0`, which only says where to begin.

    Parameters
    ----------
    f
        A function of x and `args`, of Tensors; it returns what x is.
    x0
        Where to begin: a number, an array, or a tree of them, on any device, real or complex.
    args
        What else `f` depends on: trees, too.
    method
        `"iteration"` computes x = f(x) until it stays; f must be a contraction there. `"newton"`
        solves with the derivative of f: it takes few steps, and finds points that repel as well.
    tol
        The largest |f(x) - x|, as a part of 1 + max|x|; eps**(2/3) by default, for float64 4e-11.
        The derivatives are about as accurate.
    max_iterations
        How many steps to take.

    Raises
    ------
    RuntimeError
        If it has not converged by then, or comes to nan.
    numpy.linalg.LinAlgError
        When it is differentiated, or by Newton's method: if 1 is an eigenvalue of df/dx.

    Examples
    --------
    The cosine's fixed point, and how it moves:

    >>> import backpass.numpy as np
    >>> from backpass.core import fixed_point, grad
    >>> settled = lambda a: fixed_point(lambda x, a: np.cos(a * x), 1.0, a)
    >>> round(settled(1.0).item(), 6)
    0.739085
    >>> x = settled(1.0).item()
    >>> slope = -np.sin(x).item()
    >>> np.allclose(grad(settled)(1.0), slope * x / (1 - slope))
    True
    """
    if method not in METHODS:
        raise ValueError(f"fixed_point: method must be one of {METHODS}, not {method!r}")
    with no_grad(), unseen():
        constants = tree.map(_untracked, args)
        start = tree.map(_number, x0)
        # What f makes of x0 says the dtypes, and where arrays lie.
        first = f(start, *constants)
    _check(first, f)
    layout = Layout(first, "fixed_point")
    if tree.flatten(start)[1] != layout.structure:
        raise TypeError(
            f"fixed_point: f must return what its argument is, {tree.flatten(start)[1]}, not "
            f"{layout.structure}"
        )
    equation = fixed_point_equation(f, args, layout)
    tol = float(numpy.finfo(layout.dtype).eps) ** (2 / 3) if tol is None else tol
    # Newton's method must not run away before it begins.
    begin = start if method == "newton" and layout.fits(start) else first
    x = plain(layout.vector(begin))
    xp = backend_of((x,)).library
    for _ in range(max_iterations):
        with no_grad():
            step = plain(equation.residual(Tensor(x)))
        size = _largest(step)
        if size <= tol * (1 + _largest(x)):
            break
        if not numpy.isfinite(size):
            raise RuntimeError(f"fixed_point: f gives nan or inf after some steps: {_ADVICE}")
        if method == "newton":
            step = equation.solve(equation.at(x), -step, transposed=False)
        x = xp.asarray(x + step)
    else:
        raise RuntimeError(
            f"fixed_point: {max_iterations} steps have not come to a fixed point, f(x) - x is up "
            f"to {size:.3g}: "
            + (
                "f may not be a contraction: use method='newton', or a larger tol"
                if method == "iteration"
                else "start nearer to it, or use a larger tol"
            )
        )
    return layout.tree(equation.solution(x))


def fixed_point_equation(f: Function, args: Any, layout: Layout) -> Equation:
    """Return the equation f(x, *args) - x = 0."""

    def residual(x: Any, args: Any) -> Any:
        return layout.vector(f(layout.tree(x), *args)) - x

    closure = Closure("fixed_point", residual, args)
    return Equation(closure, "the matrix df/dx - 1", _ADVICE)


def _check(out: Any, f: Function) -> None:
    if out is None:
        raise TypeError("fixed_point: f returned None: did you forget return?")


def _largest(x: Any) -> float:
    return float(abs(x).max()) if x.size else 0.0


def _untracked(x: Any) -> Any:
    return type(x)(x.value) if isinstance(x, Tensor) else x


def _number(x: Any) -> Any:
    if isinstance(x, Tensor):
        return _untracked(x)
    if hasattr(x, "dtype"):
        return Tensor(x)
    # A Python number leaves the dtype to what `f` computes with.
    return WeakTensor(numpy.asarray(x, float if isinstance(x, int) else None)[()])
