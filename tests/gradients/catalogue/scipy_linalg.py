"""Functions of `scipy.linalg`."""

from functools import partial
from typing import Any

import numpy

from ..cases import Argument, Case, case

_case = partial(case, module="scipy.linalg")

#: Label: the keywords.
TRIANGULAR: dict[str, dict[str, Any]] = {
    "": {},
    "lower": {"lower": True},
    "transposed": {"trans": 1},
    "lower_transposed": {"trans": "T", "lower": True},
    "adjoint": {"trans": 2},
    "lower_adjoint": {"trans": "C", "lower": True},
    "unit": {"unit_diagonal": True},
    "lower_unit": {"unit_diagonal": True, "lower": True, "trans": "N"},
    "unit_transposed": {"unit_diagonal": True, "trans": 1},
    "careless": {"check_finite": False},
}
#: Label: the numbers of diagonals below and above, the size, the shape of the right-hand side.
BANDED: dict[str, tuple[tuple[int, int], int, tuple[int, ...]]] = {
    "": ((1, 1), 4, (4,)),
    "matrix": ((1, 1), 4, (4, 2)),
    "lower": ((2, 0), 4, (4,)),
    "upper": ((0, 1), 3, (3, 2)),
    "uneven": ((1, 2), 4, (4, 2)),
    "diagonal": ((0, 0), 3, (3,)),
}
#: Away from 0, so that no diagonal element is small.
_FAR = partial(Argument, gap=0.7)


def _adjoint(x: Any) -> Any:
    return x.swapaxes(-1, -2).conj()


def _positive(x: Any) -> Any:
    return x @ _adjoint(x)


def _regular(x: Any) -> Any:
    """Return matrices with eigenvalues near 4: off the negative axis, and well conditioned."""
    return 0.3 * x + 4.0 * numpy.eye(x.shape[-1])


def _upper(c: Any) -> Any:
    """Return what is specified of a factor of order 2."""
    return c[0, 0], c[0, 1], c[1, 1]


def _numbered(label: str) -> str:
    """Return the label of a function that NumPy has as well."""
    return f"scipy_{label}" if label else "scipy"


def _solution(sl: Any, a: Any, b: Any, **keywords: Any) -> Any:
    x, residuals, _, s = sl.lstsq(a, b, **keywords)
    return x, residuals, s


#: Label: the shapes of the matrix and the right-hand side, and the keywords.
SOLVE: dict[str, tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = {
    "": ((3, 3), (3,), {}),
    "stacks": ((2, 3, 3), (3, 2), {}),
    "one": ((1, 1), (3, 2), {}),
    "transposed": ((2, 3, 3), (3,), {"transposed": True}),
    "symmetric": ((3, 3), (3,), {"assume_a": "sym"}),
    "hermitian": ((3, 3), (3, 1), {"assume_a": "her"}),
    "tridiagonal": ((4, 4), (4,), {"assume_a": "tridiagonal"}),
}
#: Label: the shape of a matrix.
FACTORED: dict[str, tuple[int, ...]] = {
    "": (3, 3),
    "tall": (4, 2),
    "wide": (2, 4),
    "stack": (2, 3, 2),
    "wide_stack": (2, 2, 3),
}


def _factored_solution(sl: Any, a: Any, b: Any, trans: int) -> Any:
    return sl.lu_solve(sl.lu_factor(a), b, trans=trans)


CASES: list[Case] = [
    # ----- determinants, inverses, systems -----
    _case("det", lambda sl, a: sl.det(a), (2, 3, 3), label="scipy", complex=True),
    _case("inv", lambda sl, a: sl.inv(a), (2, 3, 3), label="scipy"),
    *(
        _case(
            "solve",
            lambda sl, a, b, keywords=keywords: sl.solve(a, b, **keywords),
            _FAR(shapes[0]),
            shapes[1],
            label=_numbered(label),
            complex=label != "transposed",
            without="jax" if label else "",
        )
        for label, (*shapes, keywords) in SOLVE.items()
    ),
    _case(
        "solve",
        lambda sl, a, b: sl.solve(_positive(a), b, assume_a="pos"),
        (2, 4),
        (2,),
        label="scipy_positive",
        complex=True,
        without="jax",
    ),
    *(
        _case(
            "cho_solve",
            lambda sl, a, b, lower=lower: sl.cho_solve(sl.cho_factor(_positive(a), lower), b),
            *shapes,
            label=label,
            complex=True,
        )
        for label, lower, *shapes in (
            ("", False, (2, 4), (2,)),
            ("lower", True, (2, 4), (2, 3)),
        )
    ),
    _case(
        "cho_solve",
        lambda sl, c, b: sl.cho_solve((c, True), b),
        _FAR((2, 2, 2)),
        (2, 1),
        label="stack",
        complex=True,
        without="jax",
    ),
    _case(
        "cho_factor",
        lambda sl, a: _upper(sl.cho_factor(_positive(a))[0]),
        (2, 4),
        complex=True,
    ),
    *(
        _case(
            "pinv",
            lambda sl, a, keywords=keywords: sl.pinv(a, **keywords),
            shape,
            label=_numbered(label),
            complex=True,
            without="jax",
        )
        for label, shape, keywords in (
            ("", (2, 3, 2), {}),
            ("limits", (2, 3), {"atol": 1e-9, "rtol": 1e-9}),
        )
    ),
    *(
        _case(
            "lstsq",
            lambda sl, a, b, keywords=keywords: _solution(sl, a, b, **keywords),
            *shapes,
            label=_numbered(label),
            complex=True,
            without="jax",
        )
        for label, *shapes, keywords in (
            ("", (4, 2), (4,), {}),
            ("stack", (4, 2), (2, 4, 1), {"cond": 1e-8}),
            ("wide", (2, 3), (2,), {}),
        )
    ),
    # ----- factors -----
    *(
        _case(
            "cholesky",
            lambda sl, a, lower=lower: sl.cholesky(_positive(a), lower=lower),
            shape,
            label=label,
            complex=True,
        )
        for label, lower, shape in (
            ("scipy", False, (2, 4)),
            ("scipy_lower", True, (2, 2, 4)),
        )
    ),
    *(
        _case("lu_factor", lambda sl, a: sl.lu_factor(a)[0], shape, label=label, complex=True)
        for label, shape in FACTORED.items()
    ),
    *(
        _case("lu", lambda sl, a: sl.lu(a)[1:], shape, label=label, complex=True)
        for label, shape in FACTORED.items()
        if label in ("tall", "wide")
    ),
    _case("lu", lambda sl, a: sl.lu(a, permute_l=True), (3, 2), label="permuted", complex=True),
    *(
        _case(
            "lu_solve",
            partial(_factored_solution, trans=trans),
            *shapes,
            label=label,
            complex=True,
            without="jax" if "stack" in label else "",
        )
        for label, trans, *shapes in (
            ("", 0, (3, 3), (3,)),
            ("transposed", 1, (3, 3), (3, 2)),
            ("adjoint_stack", 2, (2, 3, 3), (3,)),
            ("stack", 0, (3, 3), (2, 3, 1)),
        )
    ),
    *(
        _case(
            "qr",
            lambda sl, a, keywords=keywords: sl.qr(a, **keywords),
            shape,
            label=label,
            complex=True,
            without=without,
        )
        for label, shape, keywords, without in (
            ("scipy", (3, 3), {}, ""),
            ("scipy_economic", (4, 2), {"mode": "economic"}, ""),
            ("scipy_r", (3, 2), {"mode": "r"}, "jax"),
        )
    ),
    *(
        _case(
            "qr",
            lambda sl, a, mode=mode: sl.qr(a, mode=mode, pivoting=True)[:-1],
            shape,
            label=f"pivoted_{mode}",
            complex=True,
            without="jax cupy",
        )
        for mode, shape in (("economic", (2, 3, 2)), ("r", (2, 4)))
    ),
    *(
        _case(
            "svd",
            lambda sl, a, full=full: sl.svd(a, full_matrices=full),
            shape,
            label=f"scipy_{full}",
            phases=True,
        )
        for full, shape in ((True, (3, 3)), (False, (3, 2)))
    ),
    _case("svdvals", lambda sl, a: sl.svdvals(a), (2, 3, 2), label="scipy"),
    # ----- eigenvalues -----
    *(
        _case(
            "eigh",
            lambda sl, a, keywords=keywords: sl.eigh(a, **keywords),
            (3, 3),
            label=_numbered(label),
            phases=True,
            without="jax autograd",
        )
        for label, keywords in {
            "": {},
            "upper": {"lower": False},
            "subset": {"subset_by_index": (1, 2)},
            "interval": {"subset_by_value": (-10.0, 0.5)},
        }.items()
    ),
    *(
        _case(
            "eigh",
            lambda sl, a, b, keywords=keywords: sl.eigh(a, _positive(b), **keywords),
            (2, 2),
            (2, 4),
            label=f"of_type_{keywords['type']}",
            phases=True,
            without="jax",
        )
        for keywords in ({"type": 1, "lower": False}, {"type": 2}, {"type": 3})
    ),
    _case(
        "eigvalsh",
        lambda sl, a, b: sl.eigvalsh(a, _positive(b)),
        (3, 3),
        (3, 6),
        label="scipy",
        complex=True,
        without="jax",
    ),
    _case("norm", lambda sl, a: sl.norm(a, 2), (3, 2), label="scipy", complex=True),
    # ----- functions of matrices -----
    *(
        _case("expm", lambda sl, a: sl.expm(a), shape, label=label, complex=True)
        for label, shape in {"": (3, 3), "1": (1, 1), "stack": (2, 2, 2)}.items()
    ),
    *(
        _case(
            "logm",
            lambda sl, a: sl.logm(_regular(a)),
            shape,
            label=label,
            complex=not label,
            without="cupy",
        )
        for label, shape in {"": (3, 3), "stack": (2, 2, 2)}.items()
    ),
    # ----- matrices with a structure -----
    _case("toeplitz", lambda sl, c: sl.toeplitz(c), (3,), complex=True),
    _case("toeplitz", lambda sl, c, r: sl.toeplitz(c, r), (2, 3), (4,), label="stack"),
    _case("hankel", lambda sl, c: sl.hankel(c), (3,), complex=True),
    _case("hankel", lambda sl, c, r: sl.hankel(c, r), (3,), (2,), label="row"),
    _case("circulant", lambda sl, c: sl.circulant(c), (2, 3)),
    _case(
        "block_diag",
        lambda sl, *xs: sl.block_diag(*xs),
        (2, 3),
        (2,),
        (),
        complex=True,
    ),
    _case(
        "block_diag",
        lambda sl, x, y: sl.block_diag(x, y),
        (2, 1, 2),
        (2, 1),
        label="stack",
        without="jax",
    ),
    # ----- triangular and banded systems -----
    *(
        _case(
            "solve_triangular",
            lambda sl, a, b, keywords=keywords: sl.solve_triangular(a, b, **keywords),
            _FAR((3, 3)),
            shape,
            label=f"{label}{'_vector' if shape == (3,) else ''}",
            complex=True,
        )
        for label, keywords in TRIANGULAR.items()
        for shape in ((3, 2), (3,))
    ),
    *(
        _case(
            "solve_banded",
            lambda sl, ab, b, band=band: sl.solve_banded(band, ab, b),
            _FAR((sum(band) + 1, n)),
            shape,
            label=label,
            complex=True,
            without="cupy",
        )
        for label, (band, n, shape) in BANDED.items()
    ),
    _case(
        "solve_banded",
        lambda sl, ab, b: sl.solve_banded((1, 1), ab, b, check_finite=False),
        _FAR((3, 3)),
        (3,),
        label="careless",
        without="cupy",
    ),
    _case(
        "solve_sylvester",
        lambda sl, a, b, q: sl.solve_sylvester(a, b, q),
        (3, 3),
        (2, 2),
        (3, 2),
        complex=True,
        without="cupy",
    ),
    _case(
        "sqrtm",
        lambda sl, x: sl.sqrtm(x @ _adjoint(x)),
        (3, 5),
        complex=True,
        without="cupy",
    ),
    _case("sqrtm", lambda sl, x: sl.sqrtm(x), (2, 2), label="of_any", without="cupy"),
    _case(
        "sqrtm", lambda sl, x: sl.sqrtm(x), Argument((1, 1), 0.5, 1.5), label="1", without="cupy"
    ),
]

_SHAPES = ("", "_vector")
LIMITS = {
    "jax": {
        "sqrtm": "it does not differentiate sqrtm",
        "sqrtm-of_any": "it does not differentiate sqrtm",
        "sqrtm-1": "it does not differentiate sqrtm",
        "solve_sylvester": "it does not differentiate its Schur decomposition",
    },
    "autograd": {
        f"solve_triangular-{label}{shape}": reason
        for reason, labels in {
            "its gradient counts the diagonal of ones": ("unit", "lower_unit", "unit_transposed"),
            "its gradient is wrong for adjoint systems": ("adjoint", "lower_adjoint"),
        }.items()
        for label in labels
        for shape in _SHAPES
    },
}
