"""Functions of Python's applied to parts of an array."""

from typing import Any

from ..cases import Argument, Case, case


def _rows(np: Any, x: Any) -> Any:
    return np.apply_along_axis(lambda row: np.sum(row * row), 1, x)


def _matrices(np: Any, x: Any) -> Any:
    return np.apply_along_axis(lambda row, a: np.outer(row, a * row[:2]), 1, x, 2.0)


def _over(np: Any, x: Any) -> Any:
    return np.apply_over_axes(lambda a, axis: np.sum(a * a, axis), x, [0, -1])


def _pieces(np: Any, x: Any, y: Any) -> Any:
    below, above = lambda x: x * x, lambda x: np.exp(x)
    return np.piecewise(x, [x < -1.0, x > 1.0], [below, above, y])


def _overlapping(np: Any, x: Any) -> Any:
    return np.piecewise(x, [x > -1.0, x > 1.0], [lambda x: x * x, lambda x: x**3])


def _guarded(np: Any, x: Any) -> Any:
    return np.piecewise(x, [x > 0], [lambda x, n, a=0.0: np.log(x) ** n + a, 0.5], 3, a=1.0)


CASES: list[Case] = [
    case("apply_along_axis", _rows, (2, 3), complex=True, without="autograd"),
    case("apply_along_axis", _matrices, (2, 3, 2), label="matrices", without="autograd"),
    case("apply_over_axes", _over, (2, 3, 2), complex=True, without="autograd"),
    # HIPS autograd and JAX want functions of the whole array, and no assignments.
    case("piecewise", _pieces, (2, 3), (), without="autograd jax"),
    case("piecewise", _pieces, (), (), label="0d", without="autograd jax"),
    case("piecewise", _overlapping, (5,), label="overlapping", without="autograd jax"),
    case(
        "piecewise",
        _guarded,
        Argument((5,), gap=0.2),
        label="guarded",
        without="autograd jax",
    ),
]
