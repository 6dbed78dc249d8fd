"""Arrays with elements left out, put in, or repeated to fill a shape."""

from typing import Any

import numpy

from ..cases import Case, case


def _delete(obj: Any, **keywords: Any) -> Any:
    return lambda np, x: np.delete(x, obj, **keywords)


def _insert(obj: Any, **keywords: Any) -> Any:
    return lambda np, x, y: np.insert(x, obj, y, **keywords)


CASES: list[Case] = [
    case("delete", _delete(1), (4,), complex=True, without="autograd"),
    case("delete", _delete(-1, axis=0), (3, 2), label="row", without="autograd"),
    case("delete", _delete(slice(0, 3, 2), axis=1), (2, 4), label="slice", without="autograd"),
    case(
        "delete",
        lambda np, x: np.delete(x, numpy.array([2, 0, 2])),
        (2, 2),
        label="several",
        without="autograd",
    ),
    case(
        "delete",
        lambda np, x: np.delete(x, np.array([True, False, True])),
        (3,),
        label="mask",
        without="autograd",
    ),
    case("insert", _insert(1), (3,), (), complex=True, without="autograd"),
    case("insert", _insert(-1), (3,), (2,), label="several_at_one", without="autograd"),
    case("insert", _insert(1, axis=0), (2, 3), (3,), label="row", without="autograd"),
    case("insert", _insert(0, axis=1), (2, 3), (2,), label="columns", without="autograd"),
    case("insert", _insert(slice(0, 2)), (3,), (), label="slice", without="autograd"),
    case(
        "insert",
        lambda np, x, y: np.insert(x, np.array([2, 0]), y, axis=1),
        (2, 3),
        (2, 1),
        label="several",
        complex=True,
        without="autograd",
    ),
    case(
        "insert",
        lambda np, x, y: np.insert(x, np.array([True, False, True]), y),
        (3,),
        (2,),
        label="mask",
        without="autograd jax",
    ),
    case("resize", lambda np, x: np.resize(x, (2, 4)), (3,), complex=True, without="autograd"),
    case("resize", lambda np, x: np.resize(x, 3), (2, 2), label="smaller", without="autograd"),
    case("resize", lambda np, x: np.resize(x, (2, 1)), (), label="number", without="autograd"),
    case(
        "trim_zeros",
        lambda np, x: np.trim_zeros(np.pad(x, 1)),
        (3,),
        without="autograd jax",
    ),
    case(
        "trim_zeros",
        lambda np, x: np.trim_zeros(np.pad(x, 1), "f", axis=1),
        (2, 2),
        label="axis",
        without="autograd jax",
    ),
]
