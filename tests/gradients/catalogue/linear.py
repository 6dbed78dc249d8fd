"""Products of vectors, matrices and arrays."""

from typing import Any

from ..cases import Case, case

#: Label: the shapes of both operands.
MATMUL: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "": ((2, 3), (3, 2)),
    "vectors": ((3,), (3,)),
    "matrix_vector": ((2, 3), (3,)),
    "vector_matrix": ((3,), (3, 2)),
    "stack_matrix": ((4, 2, 3), (3, 2)),
    "matrix_stack": ((2, 3), (4, 3, 2)),
    "stacks": ((4, 2, 3), (4, 3, 2)),
    "crossed_stacks": ((2, 1, 1, 3), (3, 3, 2)),
    "one_of_stack": ((1, 2, 3), (2, 3, 2)),
    "stack_vector": ((2, 2, 3), (3,)),
    "vector_stack": ((3,), (2, 3, 2)),
    "deep_stack_vector": ((2, 1, 2, 3), (3,)),
    "vector_deep_stack": ((3,), (2, 1, 3, 2)),
    "nothing_inside": ((2, 0), (0, 3)),
    "no_rows": ((0, 2), (2, 3)),
    "one": ((1, 1), (1, 1)),
}
DOT: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "": ((2, 3), (3, 2)),
    "vectors": ((3,), (3,)),
    "matrix_vector": ((2, 3), (3,)),
    "vector_matrix": ((3,), (3, 2)),
    "scalar": ((), (2, 3)),
    "second_scalar": ((2, 3), ()),
    "scalars": ((), ()),
    "3d_vector": ((2, 2, 3), (3,)),
    "vector_3d": ((3,), (2, 3, 2)),
    "3d": ((2, 1, 3), (2, 3, 2)),
    "2d_3d": ((2, 3), (2, 3, 2)),
    "nothing_inside": ((2, 0), (0, 3)),
}
INNER: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "": ((2, 3), (4, 3)),
    "vectors": ((3,), (3,)),
    "matrix_vector": ((2, 3), (3,)),
    "scalar": ((), (2, 3)),
    "3d": ((2, 1, 3), (2, 3)),
}
OUTER: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "": ((3,), (2,)),
    "2d": ((2, 2), (2,)),
    "scalar": ((), (2,)),
    "empty": ((0,), (2,)),
}
KRON: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "": ((2, 3), (2, 2)),
    "vectors": ((3,), (2,)),
    "vector_matrix": ((2,), (2, 3)),
    "matrix_vector": ((2, 3), (2,)),
    "scalar": ((), (2,)),
    "3d": ((2, 1, 2), (2, 2)),
}
VDOT: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "": ((3,), (3,)),
    "2d": ((2, 2), (4,)),
    "scalars": ((), ()),
}
TENSORDOT: dict[str, tuple[tuple[int, ...], tuple[int, ...], Any]] = {
    "": ((2, 3), (2, 3), 2),
    "1": ((2, 3), (3, 2), 1),
    "0": ((2,), (3,), 0),
    "axes": ((2, 3, 2), (3, 2), ([1, 0], [0, 1])),
    "one_axis": ((2, 3), (2, 2), (0, 1)),
    "negative": ((2, 3, 4), (4, 2), ((-1, 0), (-2, 1))),
}
EINSUM: dict[str, tuple[str, tuple[tuple[int, ...], ...]]] = {
    "": ("ij,jk->ik", ((2, 3), (3, 2))),
    "vector": ("ij,j->i", ((2, 3), (3,))),
    "trace": ("ii->", ((3, 3),)),
    "diagonal": ("ii->i", ((3, 3),)),
    "inner_diagonal": ("ijj->ij", ((2, 3, 3),)),
    "thrice": ("iii->i", ((2, 2, 2),)),
    "sum": ("ij->j", ((2, 3),)),
    "total": ("ij->", ((2, 3),)),
    "transpose": ("ij->ji", ((2, 3),)),
    "outer": ("i,j->ij", ((2,), (3,))),
    "label_of_one": ("ij,k->i", ((2, 3), (2,))),
    "implicit": ("ij,jk", ((2, 3), (3, 2))),
    "implicit_order": ("ba", ((2, 3),)),
    "ellipsis": ("...j,j->...", ((2, 2, 3), (3,))),
    "ellipses": ("i...,...j->...ij", ((2, 3), (3, 2))),
    "ellipses_of_two_ranks": ("...i,...i->...", ((2, 3), (4, 2, 3))),
    "ellipsis_implicit": ("...ij,jk", ((2, 2, 3), (3, 2))),
    "three": ("ij,jk,kl->il", ((2, 3), (3, 2), (2, 2))),
    "spaces": (" ij , jk -> ik ", ((2, 3), (3, 2))),
    "batch": ("bij,bjk->bik", ((2, 2, 3), (2, 3, 2))),
    "scalar": (",i->i", ((), (3,))),
}


def _pairs(name: str, table: Any, without: str = "") -> list[Case]:
    return [
        case(
            name,
            lambda np, x, y: getattr(np, name)(x, y),
            *shapes,
            label=label,
            complex=True,
            without=without,
        )
        for label, shapes in table.items()
    ]


VECDOT: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "": ((2, 3), (2, 3)),
    "vectors": ((3,), (3,)),
    "broadcast": ((3,), (4, 2, 3)),
}
MATVEC: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "": ((2, 3), (3,)),
    "vectors": ((2, 3), (2, 2, 3)),
    "stacks": ((4, 2, 3), (4, 3)),
    "crossed": ((2, 1, 2, 3), (3, 3)),
}
VECMAT: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "": ((3,), (3, 2)),
    "vectors": ((2, 2, 3), (3, 2)),
    "stacks": ((4, 3), (4, 3, 2)),
    "crossed": ((3, 3), (2, 1, 3, 2)),
}
#: Label: the shapes of both operands, and the keywords.
CROSS: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, int]]] = {
    "": ((3,), (3,), {}),
    "rows": ((2, 3), (2, 3), {}),
    "broadcast": ((3,), (2, 1, 3), {}),
    "axis": ((3, 2), (3, 2), {"axis": 0}),
    "axes": ((3, 2), (2, 3), {"axisa": 0, "axisb": 1, "axisc": 0}),
}

CASES: list[Case] = [
    *(
        case(
            "cross",
            lambda np, x, y, keywords=keywords: np.cross(x, y, **keywords),
            first,
            second,
            label=label,
            complex=True,
        )
        for label, (first, second, keywords) in CROSS.items()
    ),
    *(
        case(
            "einsum",
            lambda np, *xs, path=path: np.einsum("ij,jk,kl->il", *xs, optimize=path),
            (2, 3),
            (3, 2),
            (2, 2),
            label=f"path_{label}",
            without="autograd cupy jax" if isinstance(path, list) else "autograd",
        )
        for label, path in {
            "greedy": "greedy",
            "optimal": "optimal",
            "list": ["einsum_path", (0, 1), (0, 1)],
        }.items()
    ),
    case(
        "einsum",
        lambda np, x, y: np.einsum("...ij,...j->...i", x, y),
        (2, 1, 2, 3),
        (4, 3),
        label="dots_broadcast",
    ),
    case(
        "einsum",
        lambda np, x, y: np.einsum("i...,i...->...", x, y, optimize=True),
        (3, 2),
        (3, 2),
        label="dots_optimized",
        complex=True,
    ),
    case(
        "einsum",
        lambda np, x, y: np.einsum("ii,i", x, y, dtype=np.complex128),
        (3, 3),
        (3,),
        label="dtype",
        without="autograd cupy jax",
    ),
    *_pairs("matmul", MATMUL),
    case("matmul", lambda np, x, y: x @ y, (2, 3), (3, 2), label="operator", complex=True),
    case("matmul", lambda np, x: x @ x.T, (2, 3), label="itself", complex=True),
    *_pairs("dot", DOT),
    *_pairs("inner", INNER),
    *_pairs("outer", OUTER),
    *_pairs("kron", KRON),
    *_pairs("vecdot", VECDOT),
    *_pairs("matvec", MATVEC),
    *_pairs("vecmat", VECMAT),
    case(
        "vecdot",
        lambda np, x, y: np.vecdot(x, y, axis=0),
        (3, 2),
        (3, 2),
        label="axis",
        complex=True,
    ),
    *_pairs("vdot", VDOT, without="autograd"),
    *(
        case(
            "tensordot",
            lambda np, x, y, axes=axes: np.tensordot(x, y, axes),
            a,
            b,
            label=label,
            complex=True,
        )
        for label, (a, b, axes) in TENSORDOT.items()
    ),
    *(
        case(
            "einsum",
            lambda np, *xs, text=text: np.einsum(text, *xs),
            *shapes,
            label=label,
            complex=True,
            without="jax autograd" if label == "spaces" else "autograd",
        )
        for label, (text, shapes) in EINSUM.items()
    ),
    case(
        "einsum",
        lambda np, x, y: np.einsum(x, [0, 1], y, [1, 2], [0, 2]),
        (2, 3),
        (3, 2),
        label="lists",
        complex=True,
        without="autograd",
    ),
    case(
        "einsum",
        lambda np, x, y: np.einsum(x, [0, 1], y, [1, 2]),
        (2, 3),
        (3, 2),
        label="lists_implicit",
        without="autograd",
    ),
    case(
        "einsum",
        lambda np, *xs: np.einsum("ij,jk,kl->il", *xs, optimize=True),
        (2, 3),
        (3, 2),
        (2, 2),
        label="optimize",
        complex=True,
        without="autograd",
    ),
    case(
        "einsum",
        lambda np, x, y: np.einsum("i,i", x, y),
        (2,),
        (1,),
        label="length_1",
        without="jax autograd cupy",
    ),
    case(
        "einsum",
        lambda np, x: np.einsum("ij,jk->ik", x, x),
        (2, 2),
        label="itself",
        complex=True,
        without="autograd",
    ),
]
