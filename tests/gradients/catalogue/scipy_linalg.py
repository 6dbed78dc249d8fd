"""Functions of `scipy.linalg`."""

from functools import partial
from typing import Any

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


CASES: list[Case] = [
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
