"""Events: where a function of time and state is zero, and how that moves.

The time t of an event is an implicit function: g(t, y(t)) = 0.  Where y at a fixed time moves by v,
and g by dg, the event moves by dt = -(dg + dg/dy v) / (dg/dt + dg/dy f), and y there by v + f dt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from backpass.core.calls import name_of
from backpass.core.operators import operators
from backpass.core.ops.odes.places import Place
from backpass.core.values import plain

#: A rate of this part of what the event's function might change by is no crossing.
_GRAZING = 1e-7


class Crossing:
    """One event of a solution.

    Attributes
    ----------
    local
        The event's function there.
    field
        dy/dt there.
    by_y, slopes
        dg/dy, and dg/dp for what is asked for: `None` where nothing depends on it.
    rate
        dg/dt along the solution.
    """

    def __init__(self, place: Place, k: int, asked: Sequence[int]) -> None:
        i = len(place.found.times) + k
        self.place = place
        self.t = float(place.instants[i])
        self.function = place.equation.events[place.found.kinds[k]]
        event = place.equation.event(place.found.kinds[k])
        self.local = place.local(event, place.rows[i], place.time(i), with_time=True)
        self.field = place.field(i)
        nodes = [*self.local.nodes[:2], *place.owners(self.local, asked)]
        by_y, by_t, *self.slopes = self.local.pull(numpy.ones(()), nodes, again=True)
        self.by_y = numpy.zeros(place.equation.state.size) if by_y is None else by_y
        self.rate = real(operators.sum(self.by_y * self.field))
        if by_t is not None:
            self.rate = self.rate + by_t
        self._by_t = 0.0 if by_t is None else abs(float(plain(by_t)))

    @property
    def grazing(self) -> bool:
        """Whether the solution only touches the zero: then the time has no derivative."""
        place = self.place
        span = float(numpy.ptp(place.instants)) or 1.0
        extent = numpy.max(numpy.abs(place.found.rows), axis=0, initial=0) / span
        fast = numpy.abs(plain(self.by_y)) * (extent + numpy.abs(plain(self.field)))
        return not abs(float(plain(self.rate))) > _GRAZING * (float(numpy.sum(fast)) + self._by_t)

    def check(self) -> None:
        """Raise if the event is grazing."""
        if self.grazing:
            raise ZeroDivisionError(
                f"{self.place.equation.caller}: the event {name_of(self.function)} at "
                f"t={self.t:g} is grazing: its function changes by {float(plain(self.rate)):.2g} "
                "a unit of time there, so that the time of the event has no derivative: use "
                "stop_gradient on t_events and y_events, or let the solution cross the zero"
            )


def real(x: Any) -> Any:
    """Return the real part: what counts of the product of a cotangent and a tangent."""
    return operators.real(x) if plain(x).dtype.kind == "c" else x
