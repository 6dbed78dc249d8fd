"""Forward mode: the variational equation dv/dt = df/dy v + df/dp dp, along the solution.

Where it runs on arrays, y comes from the interpolant of the solution; where it is itself to be
differentiated, y is solved for beside v.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy

from backpass.core.operators import operators
from backpass.core.ops.odes.crossings import Crossing
from backpass.core.ops.odes.equations import Local, largest
from backpass.core.ops.odes.places import Place
from backpass.core.ops.odes.solvers import StepFailed
from backpass.core.ops.shaping import concatenate_arrays
from backpass.core.tensor import Tensor
from backpass.core.values import plain


def push(place: Place, tangents: Sequence[Any]) -> list[Any]:
    """Return the tangents of y at the rows, and of the events' times."""
    equation = place.equation
    n, places = equation.state.size, equation.operands.places
    if place.on_tensors:
        tangents = [
            None if x is None else x if isinstance(x, Tensor) else Tensor(x) for x in tangents
        ]
    else:
        tangents = [plain(x) for x in tangents]
    by_place = {where: tangents[k] for k, where in enumerate(places)}
    inner = [tangents[k] for k in equation.inner]
    captured = list(tangents[len(places) :])
    dt = by_place.get(1)
    start = by_place.get(0)
    start = numpy.zeros(n) if start is None else start
    if dt is not None:
        start = start - place.field(0) * dt[0]
    solved = (_on_tensors if place.on_tensors else _on_arrays)(place, start, inner, captured)
    count, points = len(place.found.times), len(place.instants)
    rows = [solved[i] for i in range(points)]
    marks = []
    if dt is not None:
        for i, source in enumerate(place.found.sources):
            if source is not None:
                rows[i] = rows[i] + place.field(i) * dt[source]
    for k, v in enumerate(rows[count:]):
        event = Crossing(place, k, ())
        event.check()
        nodes = (event.local.nodes[0], *event.local.nodes[2:], *equation.captured)
        dg = event.local.push(list(zip(nodes, [v, *inner, *captured])))
        moved = numpy.zeros(()) if dg is None else -dg / event.rate
        marks.append(operators.reshape(moved, shape=(1,)))
        rows[count + k] = v + event.field * moved
    place.end()
    made = concatenate_arrays([operators.reshape(v, shape=(1, n)) for v in rows])
    return [made, concatenate_arrays(marks)] if marks else [made]


def _change(local: Local, equation: Any, v: Any, inner: Any, captured: Any) -> Any:
    """Return df/dy v + df/dp dp."""
    nodes = (local.nodes[0], *local.nodes[2:], *equation.captured)
    found = local.push(list(zip(nodes, [v, *inner, *captured])))
    return numpy.zeros(equation.state.size) if found is None else found


def _on_arrays(place: Place, start: Any, inner: Sequence[Any], captured: Sequence[Any]) -> Any:
    """Return the variation at the rows."""
    equation, path = place.equation, place.path()

    def variation(t: float, v: Any) -> Any:
        local = place.local(equation.field, path(t), numpy.float64(t))
        found = _change(local, equation, v.copy(), inner, captured)
        local.end()
        return found

    jacobian = place.jacobian
    along = (lambda t, v: jacobian(t, path(t))) if callable(jacobian) else jacobian
    # The tolerances mean a tangent of about the size of y where it is that of what has moved.
    sizes = [largest(start)]
    for x, like in itertools.zip_longest((*inner, *captured), place.constants):
        if x is not None:
            sizes.append(largest(x) / (1.0 if like is None else max(largest(like), 1.0)))
    scale = max(sizes) or 1.0
    inner, captured = ([None if x is None else x / scale for x in xs] for xs in (inner, captured))
    solver = place.solver.with_tolerances(*place.limits())
    dtype = numpy.result_type(start, place.found.rows)
    times = place.instants[place.order]
    try:
        found = solver.at(variation, (start / scale).astype(dtype), times, along)
    except StepFailed as error:
        raise RuntimeError(
            f"{equation.caller}: the variational equation cannot be solved: {error} Try "
            "other tolerances, or another method"
        ) from error
    rows = numpy.empty_like(found)
    rows[place.order] = found * scale
    return rows


def _on_tensors(place: Place, start: Any, inner: Sequence[Any], captured: Sequence[Any]) -> Any:
    """Return the variation at the rows; y is solved for beside it."""
    equation, n = place.equation, place.equation.state.size

    def variation(t: Any, s: Any, parameters: Any, inner: Any, captured: Any) -> Any:
        y, v = s[:n], s[n:]
        local = Local(equation, equation.field, y, t, parameters, on_tensors=True, with_time=True)
        return concatenate_arrays([local.value, _change(local, equation, v, inner, captured)])

    both = concatenate_arrays([place.rows[0], start])
    order = place.order
    times = concatenate_arrays([operators.reshape(place.time(i), shape=(1,)) for i in order])
    solver = place.beside([(n, place.limits())])
    args = (place.parameters, list(inner), list(captured))
    solved = place.again(variation, both, times, args, solver)
    where = {i: position for position, i in enumerate(order)}
    return [solved[where[i], n:] for i in range(len(order))]
