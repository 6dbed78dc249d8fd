"""`scipy.integrate.odeint`, differentiable."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backpass.core.ops.odes.equations import Equation
from backpass.core.ops.odes.solution import Run
from backpass.core.ops.odes.solvers import Odepack, failure_of
from backpass.core.ops.odes.states import read_state, read_times
from backpass.core.ops.odes.trajectories import Trajectory
from backpass.core.ops.shaping import as_operand
from backpass.core.segments import Operands
from backpass.core.values import plain


def odeint(
    func: Callable[..., Any],
    y0: Any,
    t: Any,
    args: Any = (),
    Dfun: Any = None,
    col_deriv: Any = 0,
    full_output: Any = 0,
    ml: int | None = None,
    mu: int | None = None,
    rtol: Any = None,
    atol: Any = None,
    tcrit: Any = None,
    h0: float = 0.0,
    hmax: float = 0.0,
    hmin: float = 0.0,
    ixpr: Any = 0,
    mxstep: int = 0,
    mxhnil: int = 0,
    mxordn: int = 12,
    mxords: int = 5,
    printmessg: Any = 0,
    tfirst: bool = False,
) -> Any:
    """Solve dy/dt = func(y, t, *args) from y0 at t[0]; row i is y(t[i]).

    Reverse mode solves the adjoint equation da/dt = -a df/dy backwards from each t[i], with
    dL/dy0 = a(t[0]), dL/dp = integral of a df/dp, and dL/dt[i] = g[i] f(y(t[i]), t[i]); forward
    mode solves the variational equation.  Both first solve for y once more, by the class `LSODA`,
    for its interpolant.  There are gradients for `y0`, `t`, every Tensor in `args` (trees, too),
    and every tracked Tensor that `func` reaches otherwise, all as accurate as `rtol` and `atol`
    say.  `func` gets Tensors and returns an array, a Tensor or a list of them.  `y0` may also be an
    array of any shape, or a tree of them; `func` then gets and returns the like, and the result has
    the axis of time first.  `Dfun` serves the solution, not its derivatives; `full_output` and
    `tcrit` are refused.

    Raises
    ------
    TypeError
        For `full_output`, `tcrit`, complex numbers, arrays on a device, and a `func` that returns
        None.
    ValueError
        If t has more than one axis, or `func` returns something else than y's shape or structure.
    RuntimeError
        When differentiated: if the solution has not come to its end, if `func` reaches a tracked
        Tensor only then, or, in second derivatives, if the way back misses the solution.
    """
    from scipy.integrate import odeint as scipy_odeint

    if full_output or tcrit is not None:
        raise TypeError(
            f"odeint: {'full_output' if full_output else 'tcrit'}= is not supported: "
            + ("only the solution is returned" if full_output else "integrate piece by piece")
        )
    state, start = read_state(y0, "odeint", scalars=False)
    if start.dtype.kind == "c":
        raise TypeError(
            "odeint: y0 is complex: solve for the real and imaginary parts, or use solve_ivp"
        )
    times = read_times(t, "t", "odeint")
    options = {
        "rtol": plain(rtol),
        "atol": plain(atol),
        "hmax": hmax,
        "hmin": hmin,
        "mxstep": mxstep,
        "mxhnil": mxhnil,
        "mxordn": mxordn,
        "mxords": mxords,
    }
    only_here = {"h0": h0, "ixpr": ixpr, "printmessg": printmessg, "ml": ml, "mu": mu}
    extra = args if isinstance(args, tuple) else (args,)
    equation = Equation("odeint", func, Operands((start, times, extra)), state, time_first=tfirst)
    run = Run(equation, Odepack(options))
    if Dfun is not None:
        given = equation.args(run.constants)
        only_here |= {
            "Dfun": lambda t, y: plain(as_operand(Dfun(*((t, y) if tfirst else (y, t)), *given))),
            "col_deriv": col_deriv,
        }
    field = run.on_arrays(equation.field)
    rows, about = scipy_odeint(
        field,
        plain(start),
        plain(times),
        tfirst=True,
        full_output=True,
        **options,
        **only_here,
    )
    found = Trajectory(rows, plain(times), range(len(rows)), failure=failure_of(about))
    solved, _ = run.hang(found)
    return state.along(solved, last=False)
