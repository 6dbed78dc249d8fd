"""SciPy's solvers: how an equation is solved, and how the ones that its derivative solves are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

#: dy/dt at plain arrays: `field(t, y)`.
Plain = Callable[[float, Any], Any]
#: df/dy at plain arrays, or a constant: an array or a sparse matrix.
Jacobian = Any

#: SciPy's tolerances where none are given.
USUAL = {"odeint": (1.49012e-8, 1.49012e-8), "solve_ivp": (1e-3, 1e-6)}
#: What `odeint` says when it has come to the end; the second, when there was no way to go.
_ARRIVED = ("Integration successful.", "Nothing was done; the integration time was 0.")
#: What holds for derived equations, too.
_STEPS = ("max_step", "min_step")


class StepFailed(RuntimeError):
    """SciPy's solver has not come to the end; the message is its."""


class Solver:
    """A method of SciPy's, and its options.

    Attributes
    ----------
    method
        One of `solve_ivp`'s: its name or its class.
    options
        Those that hold for derived equations, too: steps' bounds.
    rtol, atol
        The tolerances; arrays where they differ by component.
    """

    def __init__(self, method: Any, options: dict[str, Any], usual: tuple[float, float]) -> None:
        self.method = method
        self.rtol = usual[0] if options.get("rtol") is None else options["rtol"]
        self.atol = usual[1] if options.get("atol") is None else options["atol"]
        self.options = {name: options[name] for name in _STEPS if name in options}

    @property
    def explicit(self) -> bool:
        """Whether it is a Runge-Kutta method without equations to solve in a step."""
        from scipy.integrate import DOP853, RK23, RK45

        return issubclass(self.kind, RK23 | RK45 | DOP853)

    @property
    def takes_jacobian(self) -> bool:
        """Whether it wants df/dy."""
        from scipy.integrate import BDF, LSODA, Radau

        return issubclass(self.kind, BDF | LSODA | Radau)

    @property
    def kind(self) -> Any:
        """The class of the method."""
        import scipy.integrate

        return (
            getattr(scipy.integrate, self.method) if isinstance(self.method, str) else self.method
        )

    @property
    def limits(self) -> tuple[float, float]:
        """Tolerances for something of size 1 and of another scale than y: cotangents, tangents."""
        rtol, atol = float(numpy.min(self.rtol)), float(numpy.max(self.atol))
        return rtol, min(rtol, atol) or 1e-3 * rtol

    def with_tolerances(self, rtol: Any, atol: Any) -> Solver:
        """Return this solver with others."""
        return Solver(self.method, {**self.options, "rtol": rtol, "atol": atol}, (0.0, 0.0))

    def at(self, field: Plain, start: Any, times: Any, jacobian: Jacobian) -> Any:
        """Return y at all times, one row each; the times go one way, and may repeat."""
        from scipy.integrate import solve_ivp

        first, last = float(times[0]), float(times[-1])
        rows = numpy.empty((len(times), len(start)), numpy.result_type(start, numpy.float64))
        rows[:] = start
        later = times != first
        if not later.any():
            return rows
        points, places = numpy.unique(times[later], return_inverse=True)
        points = points if last > first else points[::-1]
        solved = solve_ivp(
            field, (first, last), start, self.method, points, **self._arguments(jacobian)
        )
        if solved.status < 0:
            raise StepFailed(solved.message)
        places = places if last > first else len(points) - 1 - places
        rows[later] = solved.y.T[places]
        return rows

    def _arguments(self, jacobian: Jacobian) -> dict[str, Any]:
        from scipy.integrate import BDF, Radau

        # Those have one limit only.
        alone = issubclass(self.kind, BDF | Radau)
        rtol = numpy.min(self.rtol) if alone else self.rtol
        found = {**self.options, "rtol": rtol, "atol": self.atol}
        if jacobian is not None and self.takes_jacobian:
            found["jac"] = jacobian
        return found

    def along(
        self,
        field: Plain,
        start: Any,
        span: tuple[float, float],
        jacobian: Jacobian,
        *,
        dense: bool,
    ) -> tuple[Any, Any, int]:
        """Return y at the end of `span`, its interpolant if that is asked for, and uses of df/dy.

        Raises
        ------
        StepFailed
            If a step does.
        """
        from scipy.integrate import BDF, LSODA, OdeSolution

        kind = self.kind
        solver = kind(field, span[0], start, span[1], **self._arguments(jacobian))
        times, pieces = [span[0]], []
        while solver.status == "running":
            message = solver.step()
            if solver.status == "failed":
                raise StepFailed(message)
            if dense:
                times.append(solver.t)
                pieces.append(solver.dense_output())
        if not dense:
            return solver.y, None, solver.njev
        path = OdeSolution(times, pieces, alt_segment=kind in (BDF, LSODA))
        return solver.y, path, solver.njev


class Odepack(Solver):
    """SciPy's `odeint`: LSODA without an interpolant, which `along` solves for anew."""

    def __init__(self, options: dict[str, Any]) -> None:
        steps = {
            name: options[own]
            for own, name in (("hmax", "max_step"), ("hmin", "min_step"))
            if options[own]
        }
        limits = {name: options[name] for name in ("rtol", "atol")}
        super().__init__("LSODA", {**steps, **limits}, USUAL["odeint"])
        self.odepack = options

    def with_tolerances(self, rtol: Any, atol: Any) -> Solver:
        """Return this solver with others."""
        return Odepack({**self.odepack, "rtol": rtol, "atol": atol})

    def at(self, field: Plain, start: Any, times: Any, jacobian: Jacobian) -> Any:
        """Return y at all times, one row each."""
        from scipy.integrate import odeint

        rows, about = odeint(field, start, times, tfirst=True, full_output=True, **self.odepack)
        if failure := failure_of(about):
            raise StepFailed(failure)
        return rows


def failure_of(about: dict[str, Any]) -> str:
    """Return why `odeint` has not come to the end, from its full output; nothing if it has."""
    message: str = about["message"]
    return "" if message in _ARRIVED else message
