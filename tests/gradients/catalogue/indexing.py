"""Reading and writing elements."""

from typing import Any

from ..cases import Case, case

#: Label: the index, and the shape of what is indexed.
INDICES: dict[str, tuple[Any, tuple[int, ...]]] = {
    "integer": (1, (2, 3)),
    "negative": (-1, (2, 3)),
    "element": ((1, 2), (2, 3)),
    "slice": (slice(1, None), (3, 2)),
    "step": (slice(None, None, 2), (5,)),
    "backwards": (slice(None, None, -1), (4,)),
    "column": ((slice(None), 1), (2, 3)),
    "ellipsis": ((..., 0), (2, 3, 2)),
    "new_axis": ((None, slice(None), None), (3,)),
    "0d": ((), ()),
    "empty": (slice(3, 1), (4,)),
}
#: The same with arrays in the index, as lists.
ARRAYS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "repeated": (([0, 0, 1],), (3,)),
    "rows": (([1, 0, 1],), (2, 3)),
    "negative_rows": (([-1, 0, -1],), (2, 3)),
    "pairs": (([0, 1, 0], [2, 1, 2]), (2, 3)),
    "crossed": (([[0], [1]], [[0, 2]]), (2, 3)),
    "2d": (([[0, 1], [1, 1]],), (2, 3)),
    "mask": (([True, False, True],), (3, 2)),
    "mask_2d": (([[True, False], [True, True]],), (2, 2)),
    "mask_of_none": (([False, False],), (2,)),
}


def _with_arrays(np: Any, parts: Any) -> Any:
    made = tuple(np.array(p) for p in parts)
    return made[0] if len(made) == 1 else made


def _write(np: Any, x: Any, y: Any, index: Any) -> Any:
    made = np.array(x)
    made[index] = y
    return made


_READS: list[Case] = [
    *(
        case("getitem", lambda np, x, i=i: x[i], shape, label=label, complex=True)
        for label, (i, shape) in INDICES.items()
    ),
    *(
        case("getitem", lambda np, x, i=i: x[_with_arrays(np, i)], shape, label=label, complex=True)
        for label, (i, shape) in ARRAYS.items()
    ),
    case(
        "getitem",
        lambda np, x: x[np.array([0, 0, 1]), 1:],
        (2, 3),
        label="array_and_slice",
        complex=True,
    ),
    case(
        "getitem",
        lambda np, x: x[0, :, np.array([1, 1])],
        (2, 3, 2),
        label="array_apart",
        complex=True,
    ),
    case("getitem", lambda np, x: x[x > 0], (5,), label="mask_of_x", without="jax"),
    case("getitem", lambda np, x: [row * row for row in x], (2, 3), label="iteration"),
    case("getitem", lambda np, x: x[1:] * x[:-1], (5,), label="neighbours", complex=True),
]
_WRITES: list[Case] = [
    *(
        case(
            "setitem",
            lambda np, x, y, i=i: _write(np, x, y, i),
            shape,
            (),
            label=label,
            complex=True,
            without="jax autograd",
        )
        for label, (i, shape) in INDICES.items()
    ),
    case(
        "setitem",
        lambda np, x, y: _write(np, x, y, (slice(None), 1)),
        (2, 3),
        (2,),
        label="column_of_values",
        complex=True,
        without="jax autograd",
    ),
    case(
        "setitem",
        lambda np, x, y: _write(np, x, y, (slice(None), slice(1, None))),
        (2, 3),
        (2, 1),
        label="broadcast_values",
        complex=True,
        without="jax autograd",
    ),
    case(
        "setitem",
        lambda np, x, y: _write(np, x, y, np.array([0, 2])),
        (3, 2),
        (2, 2),
        label="rows",
        complex=True,
        without="jax autograd",
    ),
    case(
        "setitem",
        lambda np, x, y: _write(np, x, y, np.array([0, 0, 2])),
        (3,),
        (3,),
        label="last_write_stands",
        without="jax autograd cupy",
    ),
    case(
        "setitem",
        lambda np, x, y: _write(np, x, y, np.array([True, False, True])),
        (3,),
        (2,),
        label="mask",
        complex=True,
        without="jax autograd",
    ),
    case(
        "setitem",
        lambda np, x, y: _write(np, _write(np, x * x, y * y, 0), x[1] * y, 1),
        (3,),
        (),
        label="twice",
        without="jax autograd",
    ),
]
CASES: list[Case] = _READS + _WRITES
