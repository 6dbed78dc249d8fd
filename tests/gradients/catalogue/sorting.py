"""Sorting: arguments without ties."""

from typing import Any

from ..cases import Argument, Case, case


def _sort(**keywords: Any) -> Any:
    return lambda np, x: np.sort(x, **keywords)


def _partition(kth: Any, **keywords: Any) -> Any:
    return lambda np, x: np.partition(x, kth, **keywords)


def _in_place(np: Any, x: Any) -> Any:
    made = np.array(x)
    made.sort()
    return made


def _partition_in_place(np: Any, x: Any) -> Any:
    made = np.array(x)
    made.partition(2, axis=0)
    return made


# In HIPS autograd only vectors can be sorted, and partitioned.
CASES: list[Case] = [
    case("sort", _sort(), (7,), complex=True),
    case("sort", _sort(), (1,), label="one"),
    case("sort", _sort(), (0,), label="empty"),
    case("sort", _sort(), (2, 4), label="rows", without="autograd"),
    case("sort", _sort(axis=0), (4, 3), label="axis_0", complex=True, without="autograd"),
    case("sort", _sort(axis=-2), (2, 3, 2), label="3d", without="autograd"),
    case("sort", _sort(axis=None), (2, 3), label="flattened", without="autograd"),
    case("sort", _sort(axis=None), (), label="0d", without="autograd"),
    case("sort", _sort(kind="stable"), (6,), label="kind", without="autograd jax"),
    case("sort", _sort(kind="heapsort"), (6,), label="heapsort", without="autograd jax cupy"),
    case("sort", _sort(stable=True, axis=0), (3, 2), label="stable", without="autograd"),
    case("sort", lambda np, x: np.sort(x * x)[::-1] * x, (5,), label="of_squares"),
    case("sort_complex", lambda np, x: np.sort_complex(x), (5,), complex=True, without="autograd"),
    case("sort", _in_place, (2, 5), label="in_place", without="autograd jax"),
    case("partition", _partition(3), (7,), complex=True, without="jax"),
    case("partition", _partition(-2), (6,), label="negative", without="jax"),
    case("partition", _partition((1, 4)), (7,), label="several", without="autograd jax"),
    case("partition", _partition(1, axis=0), (4, 3), label="axis_0", without="autograd jax"),
    case("partition", _partition(2, axis=None), (2, 3), label="flattened", without="autograd jax"),
    case("partition", _partition_in_place, (4, 2), label="in_place", without="autograd jax"),
    case("unique", lambda np, x: np.unique(x), (2, 4), without="autograd jax"),
    case(
        "unique",
        lambda np, x: np.unique(np.concatenate([x, x]), return_index=True, return_counts=True)[0],
        (3,),
        label="counted",
        without="autograd jax",
    ),
    case(
        "unique",
        lambda np, x: np.unique(x, axis=1),
        (2, 3),
        label="axis",
        without="autograd jax",
    ),
    case("unique_all", lambda np, x: np.unique_all(x)[0], (2, 3), without="autograd jax"),
    case("unique_counts", lambda np, x: np.unique_counts(x)[0], (4,), without="autograd jax"),
    case("unique_inverse", lambda np, x: np.unique_inverse(x)[0], (4,), without="autograd jax"),
    case("unique_values", lambda np, x: np.unique_values(x), (4,), without="autograd jax"),
    case("union1d", lambda np, x, y: np.union1d(x, y), (3,), (2, 2), without="autograd jax"),
    case(
        "intersect1d",
        lambda np, x, y: np.intersect1d(x, np.concatenate([x[1:], y])),
        (4,),
        (2,),
        without="autograd jax",
    ),
    case(
        "setdiff1d",
        lambda np, x: np.setdiff1d(x, x[::2]),
        (5,),
        without="autograd jax",
    ),
    case(
        "setdiff1d",
        lambda np, x: np.setdiff1d(x, x[::2], assume_unique=True),
        (5,),
        label="in_order",
        without="autograd jax",
    ),
    case("setxor1d", lambda np, x: np.setxor1d(x[1:], x[:-1]), (5,), without="autograd jax"),
    case(
        "bincount",
        lambda np, w: np.bincount(np.array([0, 3, 0, 1]), w, minlength=6),
        Argument((4,)),
        without="autograd jax",
    ),
]
