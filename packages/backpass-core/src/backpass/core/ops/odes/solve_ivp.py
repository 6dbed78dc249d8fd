"""`scipy.integrate.solve_ivp`, differentiable."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable
from typing import Any

import numpy

from backpass.core.operators import operators
from backpass.core.ops.odes.dense import DenseSolution
from backpass.core.ops.odes.equations import Equation
from backpass.core.ops.odes.solution import Run
from backpass.core.ops.odes.solvers import USUAL, Solver
from backpass.core.ops.odes.states import read_state, read_times
from backpass.core.ops.odes.trajectories import Path, Trajectory
from backpass.core.ops.shaping import as_operand, concatenate_arrays
from backpass.core.segments import Operands
from backpass.core.tensor import Tensor
from backpass.core.values import plain

_METHODS = ("RK23", "RK45", "DOP853", "Radau", "BDF", "LSODA")
#: Options that say how the user's Jacobian is made or packed.
_JACOBIANS = ("jac", "jac_sparsity", "lband", "uband")


def solve_ivp(
    fun: Callable[..., Any],
    t_span: Any,
    y0: Any,
    method: Any = "RK45",
    t_eval: Any = None,
    dense_output: bool = False,
    events: Any = None,
    vectorized: bool = False,
    args: Any = None,
    **options: Any,
) -> Any:
    """Solve dy/dt = fun(t, y, *args) from y0 at t_span[0] to t_span[1], by SciPy.

    Reverse mode solves the adjoint equation da/dt = -a df/dy backwards, with dL/dy0 = a(t0),
    dL/dp = integral of a df/dp, and dL/dt = g f(t, y(t)) for each time; y comes from the
    interpolant of the forward solve, which serves stiff equations, too.  Forward mode solves the
    variational equation.  An event's time moves by -dg / (dg/dt + dg/dy f).

    There are gradients for `y0`, the ends of `t_span`, `t_eval`, every Tensor in `args` (trees,
    too), and every tracked Tensor that `fun` and the events reach otherwise, all as accurate as
    `rtol` and `atol` say.  Where SciPy chooses the times, they are constants but for the ends; and
    the last one is that of the event, if an event has ended the integration.

    `fun` and the events get Tensors.  `y0` may be a number, an array of any shape, or a tree of
    them; `fun` gets and returns the like, and `y` has the axis of time last, `y_events` first.
    The implicit methods get df/dy exactly, by as many walks back as y has elements, unless `jac` or
    `jac_sparsity` is given.  All methods but LSODA solve for complex states.

    Returns
    -------
    scipy.integrate._ivp.ivp.OdeResult
        SciPy's fields; `t`, `y`, and the entries of `t_events` and `y_events` are Tensors, and
        `sol` gives Tensors, differentiable in its time, too.

    Raises
    ------
    TypeError
        If a state or time is on a device or a time complex, or `fun` returns None.
    ValueError
        If the method is none of SciPy's, or a shape or structure is wrong.
    RuntimeError
        When differentiated: if the solution has not come to its end, or `fun` reaches a tracked
        Tensor only then.
    ZeroDivisionError
        When differentiated, if an event is used whose function only touches zero.

    Examples
    --------
    When does a ball fall from a height of 20 to the ground, and how does that change with it?

    >>> import backpass.numpy as np
    >>> from backpass.core import value_and_grad
    >>> from backpass.scipy.integrate import solve_ivp
    >>> def ground(t, y):
    ...     return y[0]
    >>> ground.terminal = True
    >>> def falls(height):
    ...     return solve_ivp(lambda t, y: [y[1], -10.0], (0, 9), [height, 0.0], events=ground).t[-1]
    >>> time, slope = value_and_grad(falls)(20.0)
    >>> round(float(time), 6), round(float(slope), 6)  # sqrt(2 height / 10)
    (2.0, 0.05)
    """
    from scipy.integrate import OdeSolver
    from scipy.integrate import solve_ivp as scipy_solve_ivp

    if method not in _METHODS and not (inspect.isclass(method) and issubclass(method, OdeSolver)):
        raise ValueError(
            f"solve_ivp: method={method!r}: it must be one of {', '.join(_METHODS)}, or a class of "
            "scipy.integrate.OdeSolver"
        )
    state, start = read_state(y0, "solve_ivp", scalars=True)
    if vectorized and (state.structure is not None or len(state.shapes[0]) != 1):
        raise ValueError(
            "solve_ivp: vectorized=True is for states of one axis: use one, or leave it"
        )
    ends = read_times(t_span, "t_span", "solve_ivp")
    if ends.shape != (2,):
        raise ValueError(f"solve_ivp: t_span must be two times, it has shape {ends.shape}")
    first, last = (
        operators.getitem(ends, index=slice(0, 1)),
        operators.getitem(ends, index=slice(1, 2)),
    )
    chosen = None if t_eval is None else read_times(t_eval, "t_eval", "solve_ivp")
    moving = concatenate_arrays([first, last if chosen is None else chosen])
    extra = _arguments(args)
    options = {name: plain(x) for name, x in options.items()}
    equation = Equation(
        "solve_ivp",
        fun,
        Operands((start, moving, extra)),
        state,
        events=[events] if callable(events) else list(events or ()),
        columns=bool(vectorized),
    )
    solver = Solver(method, options, USUAL["solve_ivp"])
    run = Run(equation, solver)
    _set_jacobian(options, run)
    field = run.on_arrays(equation.field)
    if not run.tracked:
        # What it reaches says whether there will be a derivative, which needs the interpolant.
        field(float(plain(ends)[0]), plain(start))
    found = scipy_solve_ivp(
        field,
        plain(ends),
        plain(start),
        method,
        None if chosen is None else plain(chosen),
        dense_output or run.tracked,
        None if events is None else [_scipy_event(run, k) for k in range(len(equation.events))],
        **options,
    )
    answer = _Answer(found, run, (first, last), chosen, plain(start))
    if dense_output:
        found.sol = DenseSolution(found.sol, answer.path, run, start, first, extra)
    else:
        found.sol = None
    return answer.result()


def _arguments(args: Any) -> tuple[Any, ...]:
    if args is None:
        return ()
    try:
        return tuple(args)
    except TypeError:
        raise TypeError(
            f"solve_ivp: args must be a tuple of the further arguments: args=({args!r},)"
        ) from None


def _scipy_event(run: Run, k: int) -> Callable[[float, Any], Any]:
    """Return an event at plain arrays, with what SciPy reads off the user's function."""
    event, function = run.equation.events[k], run.on_arrays(run.equation.event(k))

    def on_arrays(t: float, y: Any) -> Any:
        return float(function(t, y))

    for name in ("terminal", "direction"):
        if hasattr(event, name):
            setattr(on_arrays, name, getattr(event, name))
    return on_arrays


def _set_jacobian(options: dict[str, Any], run: Run) -> None:
    """Let SciPy have df/dy: the user's, or our own where a method wants one."""
    jac = options.get("jac")
    if callable(jac):
        args = run.equation.args(run.constants)
        state = run.equation.state

        def at(t: float, y: Any) -> Any:
            made = jac(Tensor(numpy.float64(t)), state.tree(Tensor(y.copy())), *args)
            return plain(as_operand(made))

        options["jac"] = at
    elif jac is not None and not hasattr(jac, "T"):
        options["jac"] = numpy.asarray(jac)
    banded = options.get("lband") is not None or options.get("uband") is not None
    if jac is None and not banded and options.get("jac_sparsity") is None:
        if run.solver.takes_jacobian:
            options["jac"] = run.jacobian
    elif jac is not None and not banded:
        # In bands it serves the solution alone.
        run.given = options["jac"]


class _Answer:
    """What SciPy has found, hung on the graph.

    The rows of the solution's node are y at the start, at the times, and at the events.
    """

    def __init__(
        self, found: Any, run: Run, ends: tuple[Any, Any], chosen: Any, start: Any
    ) -> None:
        self.found = found
        self.run = run
        self.state = run.equation.state
        self.ends = ends
        self.chosen = chosen
        n = self.state.size
        events = found.t_events or []
        self.counts = [len(t) for t in events]
        self.kinds = [k for k, count in enumerate(self.counts) for _ in range(count)]
        marks = numpy.concatenate([numpy.zeros(0), *events])
        crossings = [y.reshape(-1, n) for y in found.y_events or []]
        if chosen is None:
            # The last time is the end's, or the event's that has ended it.
            stop = -1 if found.status == 1 else None
            rows, times = found.y.T[:stop], found.t[:stop]
            sources: list[int | None] = [0, *[None] * (len(times) - 1)]
            if found.status == 0 and len(times) > 1:
                sources[-1] = 1
        else:
            solved = numpy.reshape(numpy.transpose(found.y), (-1, n))
            rows = numpy.concatenate([start[None], solved])
            times = numpy.concatenate([plain(ends[0]), numpy.reshape(found.t, -1)])
            sources = list(range(len(times)))
        self.count = len(times)
        self.path = None
        if found.sol is not None:
            self.path = Path(found.sol, run.solver, stiff=found.njev > 0)
        trajectory = Trajectory(
            numpy.concatenate([rows, *crossings]),
            times,
            sources,
            marks,
            self.kinds,
            self.path,
            "" if found.status >= 0 else found.message,
        )
        self.times = times
        self.rows, self.marks = run.hang(trajectory)

    def result(self) -> Any:
        """Return SciPy's result with Tensors in it."""
        found = self.found
        if self.chosen is None:
            t, rows = self._at_steps()
        else:
            t = operators.getitem(self.chosen, index=slice(0, self.count - 1))
            rows = operators.getitem(self.rows, index=slice(1, self.count))
        found.t = t if isinstance(t, Tensor) else Tensor(t)
        found.y = self.state.along(rows, last=True)
        if found.t_events is not None:
            found.t_events, found.y_events = [], []
            ends = numpy.cumsum([0, *self.counts]).tolist()
            for i, j in itertools.pairwise(ends):
                found.t_events.append(operators.getitem(self.marks, index=slice(i, j)))
                place = slice(self.count + i, self.count + j)
                crossings = operators.getitem(self.rows, index=place)
                found.y_events.append(self.state.along(crossings, last=False))
        return found

    def _at_steps(self) -> tuple[Any, Any]:
        """Return the times that SciPy has chosen, and y there; the last may be an event's."""
        first, last = self.ends
        rows = operators.getitem(self.rows, index=slice(0, self.count))
        if self.found.status == 0:
            return concatenate_arrays([first, self.times[1:-1], last]), rows
        parts = [first, self.times[1:]]
        if self.found.status == 1:
            k = self._ending()
            i = self.count + k
            ending = operators.getitem(self.rows, index=slice(i, i + 1))
            parts.append(operators.getitem(self.marks, index=slice(k, k + 1)))
            rows = concatenate_arrays([rows, ending])
        return concatenate_arrays(parts), rows

    def _ending(self) -> int:
        """Return which of the events has ended the integration."""
        events = self.run.equation.events
        last = self.found.t[-1]
        return max(
            k
            for k, (kind, t) in enumerate(zip(self.kinds, plain(self.marks)))
            if t == last and getattr(events[kind], "terminal", False)
        )
