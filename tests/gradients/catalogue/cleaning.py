"""Functions that put numbers in the place of nan and infinity."""

from typing import Any

from ..cases import Argument, Case, case


def _spoilt(np: Any, x: Any) -> Any:
    """Return x with a nan and both infinities beside it."""
    return np.concatenate([x, np.array([np.nan, np.inf, -np.inf], dtype=x.dtype)])


_NUMBER = Argument((), 0.4, 0.9)

CASES: list[Case] = [
    case("nan_to_num", lambda np, x: np.nan_to_num(x), (2, 3), complex=True),
    case("nan_to_num", lambda np, x: np.nan_to_num(x), (), label="0d"),
    case(
        "nan_to_num",
        lambda np, x: np.nan_to_num(_spoilt(np, x), nan=2.0, posinf=3.0, neginf=-3.0) * 2,
        (3,),
        label="numbers",
        without="autograd",
    ),
    case(
        "nan_to_num",
        lambda np, x, a, b, c: np.nan_to_num(_spoilt(np, x), nan=a, posinf=b, neginf=c),
        (2,),
        _NUMBER,
        _NUMBER,
        _NUMBER,
        label="tracked_numbers",
        without="autograd cupy",
    ),
    case("real_if_close", lambda np, x: np.real_if_close(x), (3,), complex=True),
    case(
        "real_if_close",
        lambda np, x: np.real_if_close(x * (1 + 1e-15j)),
        (3,),
        label="close",
        without="jax autograd",
    ),
    case(
        "real_if_close",
        lambda np, x: np.real_if_close(x * (1 + 1e-3j), tol=0.5),
        (3,),
        label="tol",
        without="jax autograd",
    ),
    case("angle", lambda np, z: np.angle(z, deg=True), Argument((3,), 0.3, 2), label="degrees"),
    case(
        "divmod",
        lambda np, x, y: np.divmod(x, y)[1],
        Argument((4,), gap=0.3),
        Argument((4,), -1.1, 1.1, 0.4),
        without="autograd",
    ),
]
