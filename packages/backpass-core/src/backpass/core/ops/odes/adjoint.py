"""Reverse mode: the adjoint equation da/dt = -a df/dy, from each time back to the one before.

With dL/dy0 = a(t0), dL/dp = integral of a df/dp, dL/dt = a f.  At each time its row's cotangent is
added to a.

Where the rule runs on arrays, y comes from the interpolant of the forward solve: nothing is
followed back, which with a stiff equation nobody can.  Methods of Runge and Kutta solve for a and
the integral together, and so do the others if there are few parameters: their cost grows with the
square of the unknowns.  Else the integral is a quadrature.  Where the rule is itself to be
differentiated, y is followed back beside a.

Source: A. Norcliffe, M. P. Deisenroth, "Faster Training of Neural ODEs Using Gauss-Legendre
Quadrature", TMLR (2023), for the quadrature.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Sequence
from typing import Any

import numpy

from backpass.core.devices import beside
from backpass.core.graph import Node
from backpass.core.operators import operators
from backpass.core.ops.odes.crossings import Crossing, real
from backpass.core.ops.odes.equations import Local, largest
from backpass.core.ops.odes.places import Place
from backpass.core.ops.odes.quadrature import integral
from backpass.core.ops.odes.solvers import StepFailed
from backpass.core.ops.odes.trajectories import Path
from backpass.core.ops.shaping import concatenate_arrays
from backpass.core.tensor import Tensor
from backpass.core.values import plain

#: So many steps, of y and of a, make a panel of the quadrature, which halves it where it must.
_STEPS = 8
#: So many unknowns are solved for together by methods that solve equations in their steps: LSODA
#: does not where the solution was not stiff.
_FEW, _FEW_IF_STIFF = 1000, 64


def pull(place: Place, g_rows: Any, g_marks: Any, wanted: Collection[Node] | None) -> list[Any]:
    """Return the cotangents of a solution's parents."""
    equation = place.equation
    owners = list(place.node.parents)
    places = equation.operands.places
    needs = [p is not None and (wanted is None or p in wanted) for p in owners]
    # Those of the parameters and captured nodes that are asked for.
    asked = [k for k in equation.inner if needs[k]]
    asked += [k for k in range(len(places), len(owners)) if needs[k]]
    place.ask(asked)
    inner = dict(zip(equation.inner, place.parameters))
    likes = [inner.get(k, owners[k]) for k in asked]
    g_rows = numpy.zeros(place.found.rows.shape) if g_rows is None else g_rows
    gs, totals = _at_rows(place, g_rows, g_marks, asked, likes)
    back = (_BackOnTensors if place.on_tensors else _BackOnArrays)(place, asked, likes)
    a = numpy.zeros(equation.state.size)
    # Rows that nobody has used are passed by; a zero may still have a derivative.
    stops = [i for i in place.order if not i or place.on_tensors or numpy.any(gs[i])]
    for later, i in itertools.pairwise(reversed(stops)):
        a = a + gs[later]
        a, more = back.step(a, later, i)
        totals = [t if m is None else t + m for t, m in zip(totals, more)]
    made: list[Any] = [None] * len(owners)
    for k, where in enumerate(places):
        if needs[k] and where == 0:
            made[k] = a + gs[0]
        if needs[k] and where == 1:
            made[k] = _of_times(place, a, g_rows, owners[k].shape[0])
    for k, like, total in zip(asked, likes, totals):
        made[k] = operators.reshape(total, shape=like.shape)
        there = like.value if isinstance(like, Tensor) else equation.elsewhere.get(like)
        if there is not None:
            made[k] = beside(made[k], there)
    place.end()
    return made


def _at_rows(
    place: Place, g_rows: Any, g_marks: Any, asked: Sequence[int], likes: Sequence[Any]
) -> tuple[list[Any], list[Any]]:
    """Return each row's cotangent at a fixed time, and what the events' functions add for `asked`.

    An event's time and its row move with what makes its function zero.
    """
    gs = [g_rows[i] for i in range(len(place.instants))]
    totals: list[Any] = [numpy.zeros(size(like)) for like in likes]
    count = len(place.found.times)
    for k in range(len(place.found.marks)):
        g, g_time = gs[count + k], 0.0 if g_marks is None else g_marks[k]
        unused = not numpy.any(plain(g)) and not numpy.any(plain(g_time))
        if unused and not place.on_tensors:
            continue
        event = Crossing(place, k, asked)
        if unused and event.grazing:
            continue
        event.check()
        weight = -(g_time + real(operators.sum(g * event.field))) / event.rate
        gs[count + k] = g + weight * event.by_y
        for j, slope in enumerate(event.slopes):
            if slope is not None:
                flat = operators.reshape(slope, shape=totals[j].shape)
                totals[j] = totals[j] + weight * flat
    return gs, totals


def _of_times(place: Place, a: Any, g_rows: Any, count: int) -> Any:
    """Return the cotangent of the operand t, given a at the start, without its row's."""
    parts: list[Any] = [numpy.zeros(1) for _ in range(count)]
    for i, source in enumerate(place.found.sources):
        if source is not None:
            g = g_rows[i] if i else -a
            parts[source] = operators.reshape(real(operators.sum(g * place.field(i))), shape=(1,))
    return concatenate_arrays(parts)


def size(like: Any) -> int:
    """Return how many elements something of a shape has."""
    return int(numpy.prod(like.shape))


class _Back:
    """How a, and the integrals for all that is asked for, get from one row to an earlier one."""

    def __init__(self, place: Place, asked: Sequence[int], likes: Sequence[Any]) -> None:
        self.place = place
        self.asked = asked
        self.likes = likes
        self.n = place.equation.state.size
        self.is_complex = place.found.rows.dtype.kind == "c"
        self.limits = [place.limits()]
        for like in likes:
            rtol, atol = place.limits(like)
            # A gradient is the smaller, the larger its parameter.
            size_of = max(largest(like), 1.0) if isinstance(like, Tensor) else 1.0
            self.limits.append((rtol, atol / size_of))
        ends = numpy.cumsum([self.n, *map(size, likes)]).tolist()
        self.bounds = list(itertools.pairwise([0, *ends]))
        kinds = [numpy.result_type(like.dtype, numpy.float64) for like in likes]
        self.dtype = numpy.result_type(place.found.rows.dtype, *kinds)

    def step(self, a: Any, later: int, i: int) -> tuple[Any, Sequence[Any]]:
        """Return a at row `i`, and the integrals from there to row `later`."""
        place = self.place
        scale = largest(a)
        same = place.instants[i] == place.instants[later]
        if not place.on_tensors and (same or not scale):
            return a, [None] * len(self.likes)
        # The tolerances mean a cotangent of size 1.
        scale = scale or 1.0
        a, *totals = self.solved(a / scale, later, i)
        return a * scale, [
            (total if like.dtype.kind == "c" else real(total)) * scale
            for total, like in zip(totals, self.likes)
        ]

    def solved(self, a: Any, later: int, i: int) -> Sequence[Any]:
        """Solve from row `later` back to row `i`."""
        raise NotImplementedError

    def cotangent(self, a: Any) -> Any:
        """Return a as it is beside y: a complex solver may have made it complex."""
        return a if self.is_complex else real(a)


class _BackOnArrays(_Back):
    """Reads y from the interpolant of the forward solve."""

    def __init__(self, place: Place, asked: Sequence[int], likes: Sequence[Any]) -> None:
        super().__init__(place, asked, likes)
        self._path: Path | None = None

    @property
    def path(self) -> Path:
        """Y as a function of time, solved for when it is first needed."""
        if self._path is None:
            self._path = self.place.path()
        return self._path

    @property
    def together(self) -> bool:
        """Whether the integrals are solved for beside a."""
        solver = self.place.solver
        if solver.explicit:
            return True
        few = self.bounds[-1][1] <= (_FEW_IF_STIFF if self.path.stiff else _FEW)
        own = solver.takes_jacobian and self.place.given is None
        return few and own and not any(like.dtype.kind == "c" for like in self.likes)

    def solved(self, a: Any, later: int, i: int) -> Sequence[Any]:
        """Solve from row `later` back to row `i`."""
        span = float(self.place.instants[later]), float(self.place.instants[i])
        try:
            return (self._together if self.together else self._apart)(a, span)
        except StepFailed as error:
            raise RuntimeError(
                f"{self.place.equation.caller}: the adjoint equation cannot be solved from "
                f"t={span[0]:g} back to t={span[1]:g}: {error} Try other tolerances, or another "
                "method"
            ) from error

    def _local(self, t: float, *, state_only: bool = False) -> Local:
        place = self.place
        return place.local(place.equation.field, self.path(t), numpy.float64(t), fixed=state_only)

    def _pulled(self, local: Local, a: Any, nodes: Sequence[Any], again: bool = False) -> Any:
        """Return -a df/dx, where x are y and all that is asked for, or the first of them, flat."""
        made = numpy.zeros(self.bounds[len(nodes) - 1][1], self.dtype)
        for found, (start, stop) in zip(local.pull(a, nodes, again=again), self.bounds):
            if found is not None:
                made[start:stop] = found.reshape(-1)
        return numpy.negative(made, made)

    def _together(self, a: Any, span: tuple[float, float]) -> Sequence[Any]:
        """Solve for a and the integrals."""
        place, n = self.place, self.n

        def adjoint(t: float, s: Any) -> Any:
            local = self._local(t)
            nodes = [local.nodes[0], *place.owners(local, self.asked)]
            found = self._pulled(local, self.cotangent(s[:n]), nodes)
            local.end()
            return found

        def jacobian(t: float, s: Any) -> Any:
            local = self._local(t)
            nodes = [local.nodes[0], *place.owners(local, self.asked)]
            made = numpy.zeros((len(s), len(s)), self.dtype)
            for i, row in enumerate(numpy.eye(n)):
                made[:, i] = self._pulled(local, row, nodes, again=True)
            local.end()
            return made

        limits = [
            numpy.concatenate(
                [numpy.full(j - i, limit[kind]) for (i, j), limit in zip(self.bounds, self.limits)]
            )
            for kind in (0, 1)
        ]
        start = numpy.zeros(self.bounds[-1][1], self.dtype)
        start[:n] = a
        solver = place.solver.with_tolerances(*limits)
        end, *_ = solver.along(adjoint, start, span, jacobian, dense=False)
        return [self.cotangent(end[:n]), *(end[i:j] for i, j in self.bounds[1:])]

    def _apart(self, a: Any, span: tuple[float, float]) -> Sequence[Any]:
        """Solve for a, and integrate afterwards."""
        place = self.place

        def adjoint(t: float, a: Any) -> Any:
            local = self._local(t, state_only=True)
            found = self._pulled(local, a, local.nodes[:1])
            local.end()
            return found

        def integrand(t: float) -> Sequence[Any]:
            local = self._local(t)
            nodes = [local.nodes[0], *place.owners(local, self.asked)]
            found = self._pulled(local, way(t), nodes)
            local.end()
            return [found[i:j] for i, j in self.bounds[1:]]

        matrix = place.jacobian
        transposed = (lambda t, a: -matrix(t, self.path(t)).T) if callable(matrix) else -matrix.T
        solver = place.solver.with_tolerances(*self.limits[0])
        end, way, _ = solver.along(adjoint, a, span, transposed, dense=bool(self.asked))
        if not self.asked:
            return [end]
        return [end, *integral(integrand, self._edges(span, way.ts), self.limits[1:])]

    def _edges(self, span: tuple[float, float], back: Any) -> list[float]:
        """Return where to cut the integral: y and a have layers, at either end, of their own."""
        steps = numpy.union1d(self.path.ts, back)
        steps = steps[(min(span) < steps) & (steps < max(span))][1::_STEPS].tolist()
        return [span[0], *sorted(steps, reverse=span[0] > span[1]), span[1]]


class _BackOnTensors(_Back):
    """Follows y back beside a, so that all of it can be differentiated."""

    def solved(self, a: Any, later: int, i: int) -> Sequence[Any]:
        """Solve from row `later` back to row `i`."""
        place, n = self.place, self.n

        def adjoint(t: Any, s: Any, parameters: Sequence[Any]) -> Any:
            y, a = self.cotangent(s[:n]), self.cotangent(s[n : 2 * n])
            local = Local(
                place.equation,
                place.equation.field,
                y,
                t,
                parameters,
                on_tensors=True,
                with_time=True,
            )
            nodes = [local.nodes[0], *place.owners(local, self.asked)]
            made = [local.value]
            for found, (start, stop) in zip(local.pull(a, nodes), self.bounds):
                shape = (stop - start,)
                made.append(
                    numpy.zeros(shape) if found is None else -operators.reshape(found, shape=shape)
                )
            return concatenate_arrays(made)

        sizes = [stop - start for start, stop in self.bounds]
        start = concatenate_arrays([place.rows[later], a, *(numpy.zeros(k) for k in sizes[1:])])
        span = concatenate_arrays(
            [operators.reshape(place.time(k), shape=(1,)) for k in (later, i)]
        )
        solver = place.beside(list(zip(sizes, self.limits)))
        before = place.again(adjoint, start, span, (place.parameters,), solver)[1]
        self._check_return(later, i, plain(before)[:n])
        return [
            self.cotangent(before[n : 2 * n]),
            *(before[n + start : n + stop] for start, stop in self.bounds[1:]),
        ]

    def _check_return(self, later: int, i: int, found: Any) -> None:
        """Raise if the way back has not come to where the solution was."""
        place = self.place
        y = place.found.rows[i]
        loosest = max(float(numpy.max(x)) for x in (place.solver.rtol, place.solver.atol))
        allowed = max(1e-3, 1e3 * loosest)
        if not numpy.max(abs(found - y), initial=0) <= allowed * (1 + numpy.max(abs(y), initial=0)):
            raise RuntimeError(
                f"{place.equation.caller}: for a derivative of the gradient the solution would "
                f"have to be followed back from t={place.instants[later]:g} to "
                f"t={place.instants[i]:g}, and it cannot be, as with stiff equations: take the "
                "gradient of a directional derivative instead, grad of jvp"
            )
