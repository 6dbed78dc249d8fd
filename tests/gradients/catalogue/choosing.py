"""Functions that choose among their operands."""

from typing import Any

from ..cases import Argument, Case, case

_MASK = [[True, False, True], [False, False, True]]


def _where(np: Any, x: Any, y: Any) -> Any:
    return np.where(np.array(_MASK), x, y)


def _clip(np: Any, x: Any, low: Any, high: Any) -> Any:
    return np.clip(x, low, high)


_LOW, _HIGH = (-1.5, -0.4), (0.4, 1.5)

CASES: list[Case] = [
    case("where", _where, (2, 3), (2, 3), complex=True),
    case("where", _where, (3,), (2, 1), label="rows", complex=True),
    case("where", _where, (), (2, 3), label="scalar", complex=True),
    case("where", _where, (), (), label="scalars"),
    case("where", lambda np, x: np.where(np.array(_MASK), x, 0.0), (2, 3), label="with_a_float"),
    case("where", lambda np, x: np.where(x > 0, x * x, -x), Argument((5,), gap=0.1), label="of_x"),
    case(
        "where",
        lambda np, x: np.where(np.array([True, False]), x, 1j),
        (2,),
        label="of_real_and_complex",
        without="autograd",
    ),
    case("clip", _clip, (2, 3), Argument((), *_LOW), Argument((), *_HIGH)),
    case("clip", _clip, (2, 3), Argument((3,), *_LOW), Argument((2, 1), *_HIGH), label="broadcast"),
    case(
        "clip",
        lambda np, x: np.clip(x, -1.03, None),
        (5,),
        label="low",
    ),
    case("clip", lambda np, x: np.clip(x, None, 0.55), (5,), label="high"),
    case(
        "clip",
        lambda np, x: np.clip(x, min=-1.03, max=0.55),
        (5,),
        label="keywords",
        without="autograd",
    ),
]
