"""Interpolation between given points."""

from typing import Any

from ..cases import Argument, Case, case

_KNOTS = (-1.6, -0.7, 0.4, 1.5)


def _interp(**keywords: Any) -> Any:
    return lambda np, x, f: np.interp(x, np.array(_KNOTS), f, **keywords)


def _moved(np: Any, x: Any, knots: Any, f: Any) -> Any:
    return np.interp(x, np.sort(knots), f)


def _beyond(np: Any, x: Any, f: Any, left: Any, right: Any) -> Any:
    return np.interp(x, np.array(_KNOTS), f, left, right)


def _periodic(np: Any, x: Any, knots: Any, f: Any, period: Any) -> Any:
    return np.interp(x, knots, f, period=period)


_X = Argument((2, 3), real=True)
_BESIDE = Argument((3,), -1.5, 1.4, real=True)

CASES: list[Case] = [
    case("interp", _interp(), _X, (4,), complex=True, without="autograd"),
    case("interp", _interp(), Argument((), -0.5, 0.3), (4,), label="0d", without="autograd"),
    case("interp", _interp(), (0,), (4,), label="empty", without="autograd"),
    case("interp", _moved, _BESIDE, Argument((4,), -2.5, 2.5), (4,), label="knots"),
    case("interp", _beyond, _X, (4,), (), (), label="beyond", without="autograd"),
    case(
        "interp",
        lambda np, x, k, f: np.interp(x, k, f),
        (2,),
        Argument((1,)),
        (1,),
        label="one_knot",
        without="autograd jax",
    ),
    case(
        "interp",
        _periodic,
        (5,),
        Argument((3,), 3.1, 5.9),
        (3,),
        Argument((), 1.3, 1.7),
        label="period",
        without="autograd",
    ),
]
