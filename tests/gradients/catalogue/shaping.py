"""Functions that move elements."""

from collections.abc import Callable
from typing import Any

from ..cases import Argument, Case, case


def _one(name: str, shape: tuple[int, ...], *rows: Any, without: str = "") -> list[Case]:
    """Return cases of a function of one array; a row is a label and what follows the array."""
    made = []
    for label, args, keywords in rows:

        def call(np: Any, x: Any, args: Any = args, keywords: Any = keywords) -> Any:
            return getattr(np, name)(x, *args, **keywords)

        made.append(case(name, call, shape, label=label, complex=True, without=without))
    return made


def joining(name: str, **keywords: Any) -> Callable[..., Any]:
    """Return a call that joins its operands."""
    return lambda np, *xs: getattr(np, name)(xs, **keywords)


CASES: list[Case] = [
    # ----- shapes -----
    *_one("reshape", (2, 3), ("", ((3, 2),), {}), ("-1", (-1,), {}), ("3d", ((1, 2, -1),), {})),
    *_one("reshape", (2, 3), ("copy", ((6,),), {"copy": True}), without="autograd cupy"),
    *_one("reshape", (2, 3), ("keyword", (), {"shape": (6,)}), without="autograd cupy"),
    *_one("reshape", (0, 3), ("empty", ((3, 0),), {})),
    *_one("reshape", (), ("0d", ((1, 1),), {})),
    *_one("ravel", (2, 3), ("", (), {})),
    *_one("ravel", (), ("0d", (), {})),
    *_one("ravel", (2, 3), ("columns_first", ("F",), {})),
    *_one(
        "reshape",
        (2, 3, 2),
        ("columns_first", ((4, -1),), {"order": "F"}),
        ("columns_first_flat", (-1,), {"order": "F"}),
        without="cupy",
    ),
    *_one("expand_dims", (2, 3), ("", (0,), {}), ("-1", (-1,), {}), ("1", (), {"axis": 1})),
    *_one("expand_dims", (2, 3), ("axes", ((0, -1),), {})),
    *_one("expand_dims", (), ("0d", (0,), {})),
    *_one("squeeze", (1, 3, 1), ("", (), {}), ("axis", (0,), {}), ("axes", ((0, -1),), {})),
    *_one("squeeze", (1,), ("1d", (), {})),
    *_one("atleast_1d", (), ("0d", (), {})),
    *_one("atleast_1d", (2, 2), ("2d", (), {})),
    *_one("atleast_2d", (), ("0d", (), {})),
    *_one("atleast_2d", (3,), ("1d", (), {})),
    *_one("atleast_3d", (), ("0d", (), {})),
    *_one("atleast_3d", (3,), ("1d", (), {})),
    *_one("atleast_3d", (2, 3), ("2d", (), {})),
    *_one("atleast_3d", (1, 2, 3), ("3d", (), {})),
    *(
        case(
            f"atleast_{n}d",
            lambda np, x, y, n=n: getattr(np, f"atleast_{n}d")(x, y),
            (),
            (2,),
            label="several",
        )
        for n in (1, 2, 3)
    ),
    *_one("broadcast_to", (3,), ("", ((2, 3),), {}), ("3d", ((2, 1, 3),), {})),
    *_one("broadcast_to", (2, 1), ("column", ((2, 3),), {}), ("new_axes", ((4, 2, 3),), {})),
    *_one("broadcast_to", (), ("0d", ((2, 3),), {}), ("to_0d", ((),), {})),
    case(
        "broadcast_arrays",
        lambda np, x, y, z: np.broadcast_arrays(x, y, z),
        (3,),
        (2, 1),
        (),
        complex=True,
        without="autograd",
    ),
    *_one("broadcast_to", (1, 3), ("empty", ((0, 3),), {})),
    # ----- axes -----
    *_one("transpose", (2, 3), ("", (), {}), ("axes", ((1, 0),), {})),
    *_one(
        "transpose",
        (2, 3, 2),
        ("3d", (), {}),
        ("3d_axes", ((2, 0, 1),), {}),
        ("negative", ((-1, 0, 1),), {}),
    ),
    *_one("permute_dims", (2, 3, 2), ("", ((1, 2, 0),), {})),
    *_one("permute_dims", (2, 3), ("keyword", (), {"axes": (1, 0)})),
    *_one("matrix_transpose", (2, 3, 2), ("", (), {})),
    *_one("swapaxes", (2, 3, 2), ("", (0, 2), {}), ("negative", (-1, 1), {}), ("same", (1, 1), {})),
    *_one(
        "moveaxis",
        (2, 3, 2),
        ("", (0, 2), {}),
        ("negative", (-1, 0), {}),
        ("several", ((0, 1), (-1, 0)), {}),
    ),
    *_one(
        "rollaxis",
        (2, 3, 2),
        ("", (2,), {}),
        ("start", (0, 3), {}),
        ("negative", (-1, -2), {}),
        ("same", (1, 1), {}),
    ),
    *_one(
        "rot90",
        (2, 3),
        ("", (), {}),
        ("2", (2,), {}),
        ("3", (3,), {}),
        ("0", (0,), {}),
        ("-1", (-1,), {}),
    ),
    *_one("rot90", (2, 3, 2), ("axes", (1, (1, 2)), {}), ("axes_reversed", (1, (2, 0)), {})),
    # ----- order -----
    *_one(
        "flip",
        (2, 3),
        ("", (), {}),
        ("axis", (0,), {}),
        ("negative", (-1,), {}),
        ("axes", ((0, 1),), {}),
    ),
    *_one("fliplr", (2, 3), ("", (), {})),
    *_one("flipud", (2, 3), ("", (), {})),
    *_one(
        "roll",
        (2, 3),
        ("", (1,), {}),
        ("negative", (-2,), {}),
        ("axis", (1, 1), {}),
        ("axes", ((1, 2), (0, 1)), {}),
        ("one_shift", (1, (0, 1)), {}),
        ("far", (7, -1), {}),
    ),
    # ----- repetition -----
    *_one(
        "repeat",
        (2, 3),
        ("", (2,), {}),
        ("axis", (2, 1), {}),
        ("negative", (3, -2), {}),
        ("counts", ([0, 2, 1], 1), {}),
        ("0", (0, 1), {}),
    ),
    *_one(
        "tile",
        (2, 3),
        ("", (2,), {}),
        ("axes", ((2, 1),), {}),
        ("new_axes", ((2, 1, 2),), {}),
        ("0", (0,), {}),
    ),
    *_one("tile", (), ("0d", ((2, 2),), {})),
    *_one(
        "repeat",
        (2, 3),
        ("counts_axis_0", ([3, 0],), {"axis": 0}),
        ("each", ([1, 2] * 3,), {}),
        without="jax",
    ),
    *_one("repeat", (), ("0d", (2,), {}), ("0d_axis", (2, -1), {})),
    # ----- diagonals and triangles -----
    *_one("diagonal", (3, 3), ("", (), {}), ("1", (1,), {}), ("-1", (-1,), {}), ("far", (5,), {})),
    *_one(
        "diagonal",
        (2, 3, 2),
        ("axes", (0, 2, 0), {}),
        ("axes_offset", (1, 0, 1), {}),
        ("axes_negative", (-1, 1, -1), {}),
    ),
    *_one("diagonal", (2, 3, 4), ("offset_3d", (-1, 2, 1), {}), ("offset_2", (2, 1, 2), {})),
    *_one("diag", (2, 3), ("", (), {}), ("1", (1,), {}), ("-1", (-1,), {})),
    *_one(
        "diag", (3,), ("of_vector", (), {}), ("of_vector_1", (1,), {}), ("of_vector_-2", (-2,), {})
    ),
    *_one("diagflat", (2, 2), ("", (), {}), ("-1", (-1,), {}), without="autograd"),
    *_one("diag", (0,), ("of_nothing", (), {}), ("of_nothing_1", (1,), {})),
    *_one("trace", (3, 3), ("", (), {}), ("1", (1,), {}), ("-1", (-1,), {})),
    *_one("trace", (2, 3, 2), ("axes", (0, 0, 2), {}), ("offset_axes", (-1, 1, 0), {})),
    case("trace", lambda np, x: np.trace(x) ** 2, (2, 2, 3), label="squared", complex=True),
    case(
        "trace",
        lambda np, x: np.trace(x, dtype=np.complex128),
        (2, 2),
        label="dtype",
        without="autograd",
    ),
    *_one("tril", (3, 3), ("", (), {}), ("1", (1,), {}), ("-1", (-1,), {})),
    *_one("tril", (2, 2, 3), ("3d", (), {})),
    *_one("tril", (3,), ("1d", (), {}), without="autograd jax"),
    *_one("triu", (3,), ("1d", (1,), {}), without="autograd jax"),
    *_one("triu", (3, 3), ("", (), {}), ("1", (1,), {}), ("-1", (-1,), {})),
    *_one("triu", (2, 3, 2), ("3d", (), {})),
    # ----- joining -----
    case("concatenate", joining("concatenate"), (2, 3), (1, 3), complex=True),
    case("concatenate", joining("concatenate", axis=-1), (2, 3), (2, 1), label="axis"),
    case("concatenate", joining("concatenate", axis=None), (2, 3), (2,), label="flattened"),
    case("concatenate", joining("concatenate"), (3,), (0,), (2,), label="empty"),
    case("concatenate", lambda np, x: np.concatenate([x, x]), (2, 2), label="itself"),
    case(
        "concatenate",
        lambda np, x: np.concatenate((x, np.array([1.5]))),
        (2,),
        label="with_a_constant",
    ),
    case(
        "concatenate",
        lambda np, x: np.concatenate([x, x], dtype=np.complex128),
        (2,),
        label="dtype",
        without="autograd",
    ),
    case(
        "concatenate",
        joining("concatenate"),
        Argument((2,), real=True),
        (2,),
        label="of_real_and_complex",
        complex=True,
    ),
    case(
        "concatenate",
        lambda np, x: np.concatenate([x, x], dtype=np.float64, casting="safe"),
        (2,),
        label="casting",
        without="autograd jax cupy",
    ),
    case("stack", joining("stack"), (2, 3), (2, 3), complex=True),
    case("stack", joining("stack", axis=-1), (2, 3), (2, 3), label="axis"),
    case("stack", joining("stack"), (), (), (), label="0d"),
    case("vstack", joining("vstack"), (3,), (2, 3), complex=True),
    case("vstack", joining("vstack"), (), (), label="0d"),
    case("hstack", joining("hstack"), (3,), (2,), complex=True),
    case("hstack", joining("hstack"), (2, 3), (2, 1), label="2d"),
    case("hstack", joining("hstack"), (), (2,), label="0d"),
    case("dstack", joining("dstack"), (2,), (2,), complex=True),
    case("dstack", joining("dstack"), (2, 3, 1), (2, 3), label="3d"),
    case("column_stack", joining("column_stack"), (2,), (2, 2), complex=True),
    case("append", lambda np, x, y: np.append(x, y), (2, 3), (2,), complex=True),
    case("append", lambda np, x, y: np.append(x, y, axis=0), (2, 3), (1, 3), label="axis"),
    # ----- cutting -----
    *_one(
        "split",
        (4, 3),
        ("", (2,), {}),
        ("axis", (3, 1), {}),
        ("negative", (3, -1), {}),
        ("before", ([1, 3],), {}),
        ("before_end", ([3, 9],), {}),
    ),
    *_one(
        "array_split",
        (5, 3),
        ("", (2,), {}),
        ("many", (7,), {}),
        ("axis", (2, 1), {}),
        ("before", ((2, 2),), {}),
        ("negative", ([-2],), {}),
    ),
    *_one("vsplit", (4, 3), ("", (2,), {})),
    *_one("hsplit", (2, 4), ("", (2,), {})),
    *_one("hsplit", (4,), ("1d", ([1],), {})),
    *_one("dsplit", (1, 2, 4), ("", (2,), {})),
    *_one(
        "unstack", (2, 3), ("", (), {}), ("axis", (), {"axis": 1}), ("negative", (), {"axis": -1})
    ),
    # ----- copies -----
    *_one("copy", (2, 3), ("", (), {}), ("columns_first", ("F",), {}), without="jax"),
    case("astype", lambda np, x: np.astype(x, np.complex128), (2, 3), without="autograd"),
    case("astype", lambda np, x: np.astype(x, np.float64), (2, 3), label="same"),
    case(
        "astype",
        lambda np, x: np.astype(np.astype(x, np.complex128), np.complex128) * 1j,
        (3,),
        label="chain",
        without="autograd",
    ),
]
