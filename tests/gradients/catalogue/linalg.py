"""Functions of `numpy.linalg`."""

import math
from functools import partial
from typing import Any

from ..cases import Case, case

_case = partial(case, module="numpy.linalg")

#: Label: the shape of matrices whose entries are random, and so their eigenvalues apart.
SQUARE: dict[str, tuple[int, ...]] = {
    "": (3, 3),
    "1": (1, 1),
    "2": (2, 2),
    "stack": (2, 3, 3),
    "deep_stack": (2, 1, 2, 2),
    "empty_stack": (0, 2, 2),
    "empty": (0, 0),
}
#: Label: the shape of a matrix x whose product with its adjoint is well conditioned.
WIDE: dict[str, tuple[int, ...]] = {
    "": (3, 6),
    "1": (1, 2),
    "stack": (2, 2, 5),
    "empty_stack": (0, 2, 3),
    "empty": (0, 0),
}
#: Label: the shapes of the matrix and the right-hand side.
SOLVE: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "": ((3, 3), (3, 2)),
    "vector": ((3, 3), (3,)),
    "stacks": ((2, 3, 3), (2, 3, 2)),
    "stack_matrix": ((2, 3, 3), (3, 2)),
    "stack_vector": ((2, 3, 3), (3,)),
    "square_stack_vector": ((3, 3, 3), (3,)),
    "matrix_stack": ((2, 2), (3, 2, 1)),
    "crossed_stacks": ((2, 1, 2, 2), (3, 2, 1)),
    "no_columns": ((2, 2), (2, 0)),
    "empty": ((0, 0), (0,)),
    "empty_stack": ((0, 2, 2), (0, 2, 3)),
}
#: Label: the shape, and the keywords.
VECTOR_NORM: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "": ((4,), {}),
    "matrix": ((2, 3), {}),
    "3d": ((2, 2, 2), {}),
    "0d": ((), {}),
    "kept": ((2, 3), {"keepdims": True}),
    "axis": ((2, 3), {"axis": 1}),
    "axis_kept": ((2, 3), {"axis": 0, "keepdims": True}),
    "axis_negative": ((2, 3, 2), {"axis": -2}),
    "2": ((4,), {"ord": 2}),
    "1": ((4,), {"ord": 1}),
    "inf": ((4,), {"ord": math.inf}),
    "-inf": ((4,), {"ord": -math.inf}),
    "3": ((4,), {"ord": 3}),
    "1.5": ((4,), {"ord": 1.5}),
    "0.5": ((4,), {"ord": 0.5}),
    "-1": ((4,), {"ord": -1}),
    "-2": ((4,), {"ord": -2}),
    "0": ((4,), {"ord": 0}),
    "1_axis": ((2, 3), {"ord": 1, "axis": 0}),
    "inf_axis_kept": ((2, 3), {"ord": math.inf, "axis": 1, "keepdims": True}),
    "-inf_axis": ((2, 3), {"ord": -math.inf, "axis": (1,)}),
    "3_axis": ((2, 3), {"ord": 3, "axis": -1}),
    "empty": ((0,), {}),
    "empty_result": ((0, 3), {"axis": 1}),
}
MATRIX_ORDERS: dict[str, Any] = {
    "default": None,
    "fro": "fro",
    "nuc": "nuc",
    "1": 1,
    "-1": -1,
    "2": 2,
    "-2": -2,
    "inf": math.inf,
    "-inf": -math.inf,
}
MODES = ("reduced", "r")


def _calling(name: str, *args: Any, **keywords: Any) -> Any:
    return lambda la, *xs: getattr(la, name)(*xs, *args, **keywords)


def _adjoint(x: Any) -> Any:
    return x.swapaxes(-1, -2).conj()


def _positive(x: Any) -> Any:
    return x @ _adjoint(x)


def _hermitian(x: Any) -> Any:
    return x + _adjoint(x)


def _symmetric_function(la: Any, x: Any) -> Any:
    """Return something in which the phases of eigenvectors drop out."""
    w, v = la.eigh(_positive(x))
    return w, (v * (w * w)[..., None, :]) @ _adjoint(v)


def _square(la: Any, x: Any) -> Any:
    """Return x @ x, by a way on which order, signs and phases of eigenvectors drop out."""
    w, v = la.eig(x)
    return ((v * (w * w)[..., None, :]) @ la.inv(v)).real


def _projectors(u: Any) -> Any:
    """Return the products of each column's elements with their conjugates."""
    return u[..., :, None, :] * u.conj()[..., None, :, :]


def _singular(la: Any, x: Any, **keywords: Any) -> Any:
    """Return something in which the common phases of singular vectors drop out."""
    u, s, vh = la.svd(x, full_matrices=False, **keywords)
    return s, (u * (s * s)[..., None, :]) @ vh


def _full(la: Any, x: Any) -> Any:
    """Return something in which the basis of the rest of the space drops out, too."""
    u, _, vh = la.svd(x)
    k = min(x.shape[-2:])
    return u[..., k:] @ _adjoint(u[..., k:]), _adjoint(vh[..., k:, :]) @ vh[..., k:, :]


def _least_squares(la: Any, a: Any, b: Any, rcond: float | None = None) -> Any:
    """Return the solution, the residuals and the singular values, without the rank."""
    x, residuals, _, s = la.lstsq(a, b, rcond)
    return x, residuals, s


def _untied(x: Any) -> Any:
    """Return something whose columns and rows have different sums."""
    return x + 0.1 * x * x


CASES: list[Case] = [
    # ----- inverses and systems -----
    *(_case("inv", _calling("inv"), shape, label=k, complex=True) for k, shape in SQUARE.items()),
    *(
        _case("solve", _calling("solve"), *shapes, label=k, complex=True, without=without)
        for k, shapes in SOLVE.items()
        for without in ["autograd" if "stack" in k else ""]
    ),
    *(
        _case(
            "pinv",
            _calling("pinv", **keywords),
            shape,
            label=label,
            complex=True,
            without="autograd" if keywords else "",
        )
        for label, shape, keywords in (
            ("", (3, 3), {}),
            ("tall", (4, 2), {}),
            ("wide", (2, 4), {}),
            ("stack", (2, 3, 2), {}),
            ("rcond", (3, 2), {"rcond": 1e-6}),
            ("rtol", (3, 2), {"rtol": 1e-6}),
            ("rtol_None", (3, 2), {"rtol": None}),
            ("empty", (0, 3), {}),
        )
    ),
    _case(
        "pinv",
        lambda la, x: la.pinv(_positive(x), hermitian=True),
        (2, 5),
        label="hermitian",
        complex=True,
        without="autograd",
    ),
    _case(
        "pinv",
        lambda la, x: la.pinv(x, hermitian=True),
        (3, 3),
        label="hermitian_triangle",
        complex=True,
        without="autograd jax",
    ),
    _case(
        "pinv",
        lambda la, x, y: la.pinv(x @ y, 1e-4) @ x,
        (3, 2),
        (2, 4),
        label="deficient",
        complex=True,
        without="autograd",
    ),
    *(
        _case("lstsq", _least_squares, *shapes, label=k, complex=True)
        for k, shapes in {
            "": ((4, 2), (4,)),
            "matrix": ((4, 2), (4, 3)),
            "square": ((3, 3), (3,)),
            "wide": ((2, 4), (2,)),
        }.items()
    ),
    _case("lstsq", partial(_least_squares, rcond=1e-8), (4, 2), (4,), label="rcond"),
    _case("tensorinv", _calling("tensorinv"), (2, 3, 3, 2), complex=True),
    _case("tensorinv", _calling("tensorinv", ind=1), (4, 2, 2), label="1", complex=True),
    _case("tensorsolve", _calling("tensorsolve"), (2, 3, 3, 2), (2, 3), complex=True),
    _case(
        "tensorsolve",
        _calling("tensorsolve", axes=(1,)),
        (2, 4, 2),
        (2, 2),
        label="axes",
        complex=True,
    ),
    # ----- determinants -----
    *(_case("det", _calling("det"), shape, label=k, complex=True) for k, shape in SQUARE.items()),
    *(
        _case(
            "det",
            lambda la, x, y: la.det(x @ y),
            (n, rank),
            (rank, n),
            label=f"{n}_of_rank_{rank}",
            complex=True,
            without="autograd jax",
        )
        for n, rank in ((2, 1), (3, 2), (3, 1), (4, 2))
    ),
    *(
        _case("slogdet", _calling("slogdet"), shape, label=f"of_{k}", complex=True)
        for k, shape in SQUARE.items()
    ),
    # ----- factors -----
    *(
        _case("cholesky", lambda la, x: la.cholesky(_positive(x)), shape, label=k, complex=True)
        for k, shape in WIDE.items()
    ),
    _case(
        "cholesky",
        lambda la, x: la.cholesky(_positive(x), upper=True),
        (3, 6),
        label="upper",
        complex=True,
        without="autograd",
    ),
    *(
        _case("qr", _calling("qr", mode), shape, label=f"{mode}{label}", complex=True)
        for mode in MODES
        for label, shape in {
            "": (3, 3),
            "_tall": (4, 2),
            "_stack": (2, 3, 2),
            "_empty_stack": (0, 2, 2),
        }.items()
    ),
    _case("qr", _calling("qr"), (2, 4), label="wide", complex=True, without="jax"),
    _case("qr", _calling("qr"), (2, 2, 3), label="wide_stack", without="jax"),
    _case("qr", _calling("qr", "complete"), (2, 3), label="complete", without="jax"),
    # ----- eigenvalues -----
    *(
        _case("eigh", lambda la, x: la.eigh(_hermitian(x)), shape, label=k, phases=True)
        for k, shape in SQUARE.items()
    ),
    *(
        _case(
            "eigh",
            _calling("eigh", triangle),
            (3, 3),
            label=triangle,
            without="autograd jax",
            phases=True,
        )
        for triangle in "LU"
    ),
    _case("eigh", _symmetric_function, (3, 5), label="function", complex=True),
    _case(
        "eigh",
        lambda la, x: _projectors(la.eigh(_hermitian(x), UPLO="U")[1]),
        (2, 2, 2),
        label="projectors",
        complex=True,
    ),
    *(
        _case("eigvalsh", lambda la, x: la.eigvalsh(_hermitian(x)), shape, label=k, complex=True)
        for k, shape in SQUARE.items()
    ),
    *(
        _case(
            "eigvalsh",
            _calling("eigvalsh", UPLO=triangle),
            (3, 3),
            label=triangle,
            complex=True,
            without="autograd jax",
        )
        for triangle in "LU"
    ),
    *(
        _case("eig", _calling("eig"), shape, label=k, complex=True, without="autograd jax cupy")
        for k, shape in SQUARE.items()
    ),
    # CuPy's have signs of their own, and are complex always.
    *(
        _case("eig", _square, shape, label=f"square_{k}", complex=True, without="autograd jax")
        for k, shape in SQUARE.items()
        if 0 not in shape
    ),
    _case(
        "eig",
        lambda la, x: la.eig(_positive(x)),
        (3, 5),
        label="real",
        without="autograd jax cupy",
    ),
    *(
        _case(
            "eigvals",
            _calling("eigvals"),
            shape,
            label=k,
            complex=True,
            without="cupy" if 0 in shape else "",
        )
        for k, shape in SQUARE.items()
    ),
    # ----- singular values -----
    *(
        _case("svd", partial(_singular), shape, label=label, complex=True)
        for label, shape in {
            "": (3, 3),
            "tall": (4, 2),
            "wide": (2, 4),
            "stack": (2, 3, 2),
            "empty_stack": (0, 2, 3),
            "no_rows": (0, 3),
        }.items()
    ),
    *(
        _case("svd", _calling("svd", full_matrices=False), shape, label=f"raw_{label}", phases=True)
        for label, shape in {"square": (3, 3), "tall": (4, 2), "wide": (2, 4)}.items()
    ),
    _case("svd", _calling("svd"), (3, 3), label="full_square", phases=True),
    *(
        _case("svd", _full, shape, label=f"full_{label}", complex=True, without="autograd jax")
        for label, shape in {"tall": (4, 2), "wide": (2, 4), "stack": (2, 3, 1)}.items()
    ),
    *(
        _case("svd", lambda la, x: la.svd(x)[1], shape, label=f"full_values_{label}", complex=True)
        for label, shape in {"tall": (4, 2), "wide": (2, 4)}.items()
    ),
    _case("svd", _calling("svd", compute_uv=False), (3, 2), label="values", complex=True),
    *(
        _case(
            "svd",
            lambda la, x: la.svd(_hermitian(x), hermitian=True),
            shape,
            label=f"hermitian{label}",
            without="autograd",
            phases=True,
        )
        for label, shape in {"": (3, 3), "_stack": (2, 2, 2), "_deep_stack": (2, 1, 2, 2)}.items()
    ),
    _case(
        "svd",
        lambda la, x: la.svd(_hermitian(x), compute_uv=False, hermitian=True),
        (2, 3, 3),
        label="hermitian_values",
        complex=True,
        without="autograd",
    ),
    *(
        _case("svdvals", _calling("svdvals"), shape, label=k, complex=True)
        for k, shape in {"": (3, 3), "tall": (4, 2), "stack": (2, 2, 3)}.items()
    ),
    # ----- norms -----
    *(
        _case("norm", _calling("norm", **keywords), shape, label=label, complex=True)
        for label, (shape, keywords) in VECTOR_NORM.items()
    ),
    *(
        _case(
            "norm",
            lambda la, x, ord=ord: la.norm(_untied(x), ord),
            (3, 2),
            label=f"matrix_{label}",
            complex=True,
        )
        for label, ord in MATRIX_ORDERS.items()
        if ord is not None
    ),
    *(
        _case(
            "norm",
            lambda la, x, args=(ord, axes, keepdims): la.norm(_untied(x), *args),
            (2, 3, 2),
            label=f"plane_{label}{'_kept' if keepdims else ''}",
        )
        for label, ord in MATRIX_ORDERS.items()
        for axes, keepdims in (((0, 1), False), ((2, -2), True))
    ),
    _case("matrix_norm", _calling("matrix_norm"), (2, 3, 2), complex=True),
    _case("matrix_norm", _calling("matrix_norm", ord="nuc", keepdims=True), (2, 3, 2), label="nuc"),
    *(
        _case("vector_norm", _calling("vector_norm", **keywords), (2, 3, 2), label=label)
        for label, keywords in {
            "": {},
            "kept": {"keepdims": True},
            "axis": {"axis": 1, "ord": 1},
            "axis_kept": {"axis": -1, "keepdims": True},
            "axes": {"axis": (0, 2), "ord": 3},
            "axes_kept": {"axis": (2, 0), "keepdims": True},
        }.items()
    ),
    *(
        _case("cond", _calling("cond", p), (3, 3), label=label, complex=True)
        for label, p in MATRIX_ORDERS.items()
    ),
    _case("cond", _calling("cond"), (2, 3, 2), label="stack"),
    _case("cond", _calling("cond", 1), (2, 2, 2), label="stack_1"),
    # ----- products -----
    *(
        _case("multi_dot", lambda la, *xs: la.multi_dot(xs), *shapes, label=label, complex=True)
        for label, shapes in {
            "": ((2, 3), (3, 1), (1, 2)),
            "two": ((2, 3), (3, 2)),
            "four": ((2, 3), (3, 2), (2, 1), (1, 3)),
            "vectors": ((3,), (3, 2), (2,)),
            "first_vector": ((3,), (3, 2), (2, 2)),
            "last_vector": ((2, 3), (3, 2), (2,)),
            "two_vectors": ((3,), (3,)),
        }.items()
    ),
    *(
        _case("matrix_power", _calling("matrix_power", n), shape, label=f"{n}", complex=True)
        for n, shape in ((1, (2, 2)), (2, (2, 2)), (5, (2, 2)), (-1, (3, 3)), (-3, (2, 2, 2)))
    ),
    _case("matrix_transpose", _calling("matrix_transpose"), (2, 3), label="linalg"),
    _case("diagonal", _calling("diagonal"), (2, 3, 4), label="linalg"),
    _case("diagonal", _calling("diagonal", offset=-1), (2, 3, 4), label="linalg_offset"),
    _case("trace", _calling("trace"), (2, 3, 4), label="linalg"),
    _case("trace", _calling("trace", offset=1), (2, 3, 4), label="linalg_offset"),
    _case("outer", _calling("outer"), (3,), (2,), label="linalg", complex=True),
    _case("cross", _calling("cross"), (2, 3), (3,), label="linalg", complex=True),
    _case("cross", _calling("cross", axis=0), (3, 2), (3, 2), label="linalg_axis"),
    _case("matmul", _calling("matmul"), (2, 3), (3, 2), label="linalg"),
    _case("tensordot", _calling("tensordot", axes=1), (2, 3), (3, 2), label="linalg"),
    _case("vecdot", _calling("vecdot"), (2, 3), (3,), label="linalg", complex=True),
    _case("vecdot", _calling("vecdot", axis=0), (3, 2), (3, 2), label="linalg_axis", complex=True),
]

NO_GRADIENT = {"numpy.linalg": "LinAlgError matrix_rank"}

LIMITS = {
    "jax": {
        "lstsq-square": "it gives a residual where NumPy gives none",
        "lstsq-wide": "it gives a residual where NumPy gives none",
        "det-empty": "its derivative of an empty determinant raises",
        "norm-empty": "its derivative of an empty norm is nan",
        **{
            f"svd-full_values_{label}": "it differentiates no full decomposition"
            for label in ("tall", "wide")
        },
        **{
            f"eigvals{f'-{label}' if label else ''}": "it has no second derivative of eigenvalues"
            for label in SQUARE
        },
    },
    "autograd": {
        **{
            f"pinv-{label}": "its gradient is wrong for complex matrices that are not square"
            for label in ("tall", "wide", "stack")
        },
        **{
            f"slogdet-of_{label}": "it takes the sign of a complex determinant for constant"
            for label in SQUARE
            if not label.startswith("empty")
        },
    },
}
