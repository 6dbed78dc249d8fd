"""Arrays put together from parts."""

from typing import Any

from ..cases import Argument, Case, case

_FIRST, _SECOND = [[True, False, True]], [[False], [True]]


def _select(np: Any, x: Any, y: Any, d: Any) -> Any:
    return np.select([np.array(_FIRST), np.array(_SECOND)], [x, y], d)


CASES: list[Case] = [
    case("block", lambda np, x, y: np.block([x, y]), (2,), (3,), complex=True),
    case(
        "block",
        lambda np, a, b, c, d: np.block([[a, b], [c, d]]),
        (2, 2),
        (2, 1),
        (1, 2),
        (1, 1),
        label="matrix",
        complex=True,
    ),
    case("block", lambda np, x, y: np.block([[x], [y]]), (3,), (2, 3), label="rows"),
    case("block", lambda np, x, y: np.block([x, 1.0, y]), (), (2,), label="numbers"),
    case("block", lambda np, x: np.block([[x, x]]), (2, 1, 2), label="3d"),
    case("block", lambda np, x: np.block(x), (2, 3), label="one"),
    case("select", _select, (2, 3), (3,), (), complex=True),
    case(
        "select",
        lambda np, x: np.select([x > 1, x < -1], [x * x, x], 0),
        Argument((6,)),
        label="conditions_of_x",
    ),
    case("vander", lambda np, x: np.vander(x), (3,), complex=True, without="autograd"),
    case(
        "vander",
        lambda np, x: np.vander(x, 4, increasing=True),
        (2,),
        label="increasing",
        without="autograd",
    ),
    case("vander", lambda np, x: np.vander(x, 0), (2,), label="nothing", without="autograd"),
    case(
        "r_",
        lambda np, x, y: np.r_[x, 0.5, 1:4, y],
        (2,),
        (),
        complex=True,
        without="jax",
    ),
    case("r_", lambda np, x: np.r_["1,2,0", x, x * x], (3,), label="columns", without="jax"),
    case("r_", lambda np, x: np.r_["0,2", x, x * x], (3,), label="rows", without="jax"),
    case("r_", lambda np, x: np.r_["-1", x, x[:, :1]], (2, 3), label="axis", without="jax"),
    case("r_", lambda np, x: np.r_["0,3,1", x], (2,), label="place", without="jax cupy"),
    case("r_", lambda np, x: np.r_[x, 0:1:3j], (2,), label="range", without="jax"),
    case("c_", lambda np, x, y: np.c_[x, y], (3,), (3, 2), complex=True, without="jax"),
    case("c_", lambda np, x: np.c_[x, 0:3, np.ones(3)], (3,), label="range", without="jax"),
]
