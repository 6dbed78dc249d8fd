"""Stationary points: where a gradient vanishes, or would if bounds did not hold a variable back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy

from backpass.core.graph import next_serial
from backpass.core.operators import operators
from backpass.core.ops.closures import Closure, unseen
from backpass.core.ops.elementwise import where
from backpass.core.ops.implicit import calling
from backpass.core.ops.implicit.constraints import Constraint
from backpass.core.ops.implicit.equation import Equation, jacobian
from backpass.core.ops.shaping import as_operand, concatenate_arrays, stack_
from backpass.core.recording import no_grad
from backpass.core.tensor import Tensor
from backpass.core.values import plain

Function = Callable[..., Any]

_ADVICE = (
    "add a small multiple of sum(x**2) to what is minimised, or, where only its least value is "
    "differentiated, evaluate it at stop_gradient(x)"
)
_CONSTRAINED = (
    "leave out constraints that say the same, or add a small multiple of sum(x**2) to fun"
)


class Bounds:
    """Lower and upper bounds of variables: lists of numbers and Tensors, infinite where none is.

    Parameters
    ----------
    bounds
        As SciPy takes them: pairs, with None for no bound; an object with `lb` and `ub`, or, where
        `by_side`, a pair of them; or None.
    n
        The number of variables.
    """

    def __init__(self, bounds: Any, n: int, name: str, by_side: bool = False) -> None:
        self.given = bounds is not None
        if bounds is None:
            sides: list[Any] = [-numpy.inf, numpy.inf]
        elif hasattr(bounds, "lb"):
            sides = [bounds.lb, bounds.ub]
        elif by_side:
            sides = list(bounds)
        else:
            pairs = [list(pair) for pair in bounds]
            if len(pairs) != n or any(len(pair) != 2 for pair in pairs):
                raise ValueError(f"{name}: bounds must be {n} pairs (low, high), one a variable")
            sides = [[pair[k] for pair in pairs] for k in range(2)]
        self.lower, self.upper = (
            self._side(side, n, infinite) for side, infinite in zip(sides, (-numpy.inf, numpy.inf))
        )

    @staticmethod
    def _side(side: Any, n: int, infinite: float) -> list[Any]:
        if not isinstance(side, list | tuple):
            side = as_operand(side)
            side = [side] * n if not side.shape else list(side)
        return [infinite if x is None else x for x in side]

    def plain(self) -> tuple[Any, Any]:
        """Return the lower and the upper bounds as arrays."""
        return tuple(  # type: ignore[return-value]
            numpy.array([float(plain(x)) for x in side]) for side in (self.lower, self.upper)
        )


class Stationary:
    """A function of a vector that is minimised: its value, gradient and Hessian, on constants.

    Parameters
    ----------
    value
        `value(x, args)` returns a number.
    """

    def __init__(self, name: str, value: Function, args: Any) -> None:
        from backpass.core.transforms import grad, value_and_grad

        self.name = name
        self.value = value
        self.args = args
        self.closure = Closure(name, value, args)
        self._gradient_of: Function = lambda x, args: grad(lambda x: value(x, args), 0)(x)
        constants = self.closure.constants
        self._pair = value_and_grad(lambda x: value(x, constants), 0)
        self._slope = Closure(name, self._gradient_of, args)
        self._last: tuple[Any, Any] | None = None

    def differentiable(self, x: Any) -> bool:
        """Tell whether the value at x is recorded."""
        return bool(self._at(self.closure, x).depends)

    def value_and_gradient(self, x: Any) -> tuple[Any, Any]:
        """Return the value at x, and the gradient."""
        with no_grad(), unseen():
            value, g = self._pair(numpy.array(x))
        return plain(value), plain(g)

    def hessian_product(self, x: Any, v: Any) -> Any:
        """Return the Hessian at x times a vector."""
        found = self._curved(x).push([numpy.array(v, float)], False)
        return numpy.zeros_like(x) if found is None else found

    def hessian(self, x: Any) -> Any:
        """Return the Hessian at x."""
        return jacobian(self._curved(x), numpy.array(x), numpy.array(x))

    def _curved(self, x: Any) -> Any:
        # SciPy asks for several products at one point.
        if self._last is None or not numpy.array_equal(self._last[0], x):
            self._last = (numpy.array(x), self._at(self._slope, x))
        return self._last[1]

    def _at(self, closure: Closure, x: Any) -> Any:
        return closure.linearized((Tensor(numpy.array(x)),), closure.parameters(), in_rule=False)

    def solution(
        self,
        x: Any,
        bounds: Bounds,
        near: float,
        failure: str | None = None,
        refusal: str | None = None,
        constraints: Sequence[Constraint] = (),
    ) -> Tensor:
        """Hang a solution, an array, on the graph.

        A variable that a bound holds back moves with it, and a constraint that holds stays so; for
        the rest the gradient of the Lagrangian stays 0.  A bound or a constraint holds if the
        solution is on it, or so near that the multiplier, with which the gradient presses against
        it, is larger than the distance; `near` is the largest distance.
        """
        args = (self.args, [c.args for c in constraints], bounds.lower, bounds.upper)
        closure = Closure(self.name, lambda z, args: system(z, *args), args)
        if not closure.paused:
            self._observe(closure, x, constraints)
        if not closure.tracked:
            return Tensor(x)
        n = x.size
        held = self._held(x, bounds, near) if bounds.given else numpy.zeros((2, n), bool)
        active, multipliers, ends = self._active(x, constraints, ~held.any(axis=0), near)
        constrained = multipliers.size > 0
        lagrangian = self._lagrangian(constraints, active)

        def system(z: Any, given: Any, extra: Any, *sides: Any) -> Any:
            x, holding = z, None
            if constrained:
                x, pressure = (operators.getitem(z, index=i) for i in (slice(n), slice(n, None)))
                r, holding = lagrangian(x, pressure, given, extra)
            else:
                r = self._gradient_of(x, given)
            for chosen, side in zip(held, sides):
                if chosen.any():
                    bound = [end if here else 0.0 for end, here in zip(side, chosen)]
                    r = where.op(chosen, x - stack_.op(*bound, axis=0), r)
            return concatenate_arrays([r, holding - ends]) if constrained else r

        advice = _CONSTRAINED if constrained else _ADVICE
        equation = Equation(closure, "the Hessian", advice, failure, refusal)
        found = equation.solution(numpy.concatenate([x, multipliers]), observe=False)
        return operators.getitem(found, index=slice(n)) if constrained else found

    def _observe(self, closure: Closure, x: Any, constraints: Sequence[Constraint]) -> None:
        """See what a closure captures: the values tell, and are cheaper than their gradients."""
        begun = next_serial()
        with unseen():
            found = [self.value(Tensor(x), self.closure.constants)]
            found += [c.values(Tensor(x), calling.constants(c.args)) for c in constraints]
        for out in found:
            closure.observed(out, begun)

    def _held(self, x: Any, bounds: Bounds, near: float) -> Any:
        """Tell which variables are held by their lower, and by their upper bounds."""
        g = self.value_and_gradient(x)[1]
        held = numpy.zeros((2, x.size), bool)
        for k, (side, sign) in enumerate(zip(bounds.plain(), (1, -1))):
            distance = sign * (x - side)
            close = distance <= near * numpy.maximum(1, abs(side))
            held[k] = close & (distance <= numpy.maximum(sign * g, 0))
        return held

    def _active(
        self, x: Any, constraints: Sequence[Constraint], free: Any, near: float
    ) -> tuple[list[Any], Any, Any]:
        """Return which values of each constraint hold, their multipliers, and what they equal."""
        rows, chosen, distances, signs, ends = [], [], [], [], []
        for c in constraints:
            at = self._at(Closure(self.name, c.values, calling.constants(c.args)), x)
            values = plain(at.output)
            low, high = c.ends(values.size)
            far = numpy.minimum(values - low, high - values)
            chosen.append(far <= near * numpy.maximum(1, abs(values)))
            at_low = values - low <= high - values
            rows.append(jacobian(at, values, x)[chosen[-1]])
            distances.append(numpy.where(low == high, -numpy.inf, far)[chosen[-1]])
            signs.append(numpy.where(at_low, -1.0, 1.0)[chosen[-1]])
            ends.append(numpy.where(at_low, low, high)[chosen[-1]])
        if not constraints or not any(c.any() for c in chosen):
            return chosen, numpy.zeros(0), None
        matrix, distance, sign, end = map(numpy.concatenate, (rows, distances, signs, ends))
        g = self.value_and_gradient(x)[1]

        def multipliers_of(matrix: Any) -> Any:
            return numpy.linalg.lstsq(matrix[:, free].T, -g[free], rcond=None)[0]

        keep = distance <= numpy.maximum(sign * multipliers_of(matrix), 0)
        whole = numpy.concatenate(chosen)
        whole[whole] = keep
        chosen = numpy.split(whole, numpy.cumsum([c.size for c in chosen])[:-1])
        return chosen, multipliers_of(matrix[keep]), end[keep]

    def _lagrangian(self, constraints: Sequence[Constraint], active: list[Any]) -> Function:
        """Return the gradient of the Lagrangian, and what holds, as a function."""
        from backpass.core.transforms import grad

        def holding(x: Any, extra: Any) -> Any:
            parts = [
                operators.getitem(c.values(x, args), index=numpy.flatnonzero(chosen))
                for c, args, chosen in zip(constraints, extra, active)
            ]
            return concatenate_arrays(parts)

        def both(x: Any, multipliers: Any, given: Any, extra: Any) -> tuple[Any, Any]:
            def total(x: Any) -> Any:
                return self.value(x, given) + operators.sum(multipliers * holding(x, extra))

            return grad(total, 0)(x), holding(x, extra)

        return both
