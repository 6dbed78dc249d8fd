"""Elements picked by their places, by a condition, or from one of several arrays."""

from typing import Any

from ..cases import Case, case


def _take(indices: Any, **keywords: Any) -> Any:
    return lambda np, x: np.take(x, np.array(indices), **keywords)


def _along(indices: Any, **keywords: Any) -> Any:
    return lambda np, x: np.take_along_axis(x, np.array(indices), **keywords)


def _compress(condition: Any, **keywords: Any) -> Any:
    return lambda np, x: np.compress(np.array(condition), x, **keywords)


def _choose(numbers: Any, mode: str = "raise") -> Any:
    return lambda np, *xs: np.choose(np.array(numbers), xs, mode=mode)


CASES: list[Case] = [
    case("take", _take([0, 0, 2]), (3,), complex=True, without="autograd"),
    case("take", _take([[0, 5], [5, 1]]), (2, 3), label="flattened", without="autograd"),
    case("take", _take([1, -1, 1], axis=1), (2, 3), label="axis_1", without="autograd"),
    case("take", _take([[0, 1], [1, 1]], axis=-2), (2, 2, 2), label="3d", without="autograd"),
    case("take", _take([5, -7, 0], mode="wrap"), (3,), label="wrap", without="autograd"),
    case("take", _take([5, 1, 0], axis=0, mode="clip"), (3, 2), label="clip", without="autograd"),
    case("take", lambda np, x: np.take(x, 1, axis=1), (2, 3), label="one", without="autograd"),
    case("take", lambda np, x: np.take(x, 0), (), label="0d", without="autograd"),
    case(
        "take_along_axis",
        _along([[2, 2, 0], [1, 0, 1]], axis=1),
        (2, 3),
        complex=True,
        without="autograd",
    ),
    case("take_along_axis", _along([1, 1, -1], axis=None), (2, 2), label="flattened"),
    case("take_along_axis", _along([[-1, 0, 0]], axis=0), (2, 3), label="negative"),
    case("take_along_axis", _along([[[0], [0]]], axis=-2), (2, 2, 3), label="broadcast"),
    case(
        "take_along_axis",
        lambda np, x: np.take_along_axis(x, np.argsort(x, axis=0), axis=0),
        (3, 2),
        label="argsort",
    ),
    # JAX wants to know conditions, and the numbers of mode "raise", before it compiles.
    case("compress", _compress([True, False, True]), (3,), complex=True, without="autograd jax"),
    case("compress", _compress([0, 1, 1, 0], axis=1), (2, 4), label="axis", without="autograd jax"),
    case("compress", _compress([False, True]), (2, 2), label="short", without="autograd jax"),
    case(
        "extract",
        lambda np, x: np.extract(np.array([[True, False], [False, True]]), x),
        (2, 2),
        complex=True,
        without="autograd jax",
    ),
    case("choose", _choose([2, 0, 1, 0]), (4,), (4,), (4,), complex=True, without="autograd jax"),
    case("choose", _choose([[0], [1]]), (3,), (), label="broadcast", without="autograd jax"),
    case(
        "choose",
        _choose([3, -1, 0], "wrap"),
        (3,),
        (3,),
        label="wrap",
        complex=True,
        without="autograd",
    ),
    case("choose", _choose([3, -1, 0], "clip"), (3,), (3,), label="clip", without="autograd"),
    case(
        "choose",
        lambda np, x: np.choose(np.array([1, 0]), x),
        (2, 2),
        label="of_one_array",
        without="autograd jax",
    ),
]
