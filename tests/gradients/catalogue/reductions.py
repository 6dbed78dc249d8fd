"""Functions that reduce axes."""

from collections.abc import Callable
from typing import Any

from ..cases import Argument, Case, case

_MASK = [[True, False, True], [False, True, True]]
_SHAPE = (2, 3)
#: Label: the keywords, the same for every reduction.
KEYWORDS: dict[str, dict[str, Any]] = {
    "": {},
    "axis_None_kept": {"axis": None, "keepdims": True},
    "axis_0": {"axis": 0},
    "axis_1_kept": {"axis": 1, "keepdims": True},
    "axis_-1": {"axis": -1},
    "axis_-2_kept": {"axis": -2, "keepdims": True},
    "axes": {"axis": (0, 1)},
    "axes_negative_kept": {"axis": (-1, 0), "keepdims": True},
    "one_axis_of_tuple": {"axis": (1,)},
}


def calling(name: str, **keywords: Any) -> Callable[..., Any]:
    """Return a call with keywords; a `where` goes to the device."""
    mask = keywords.pop("where", None)
    if mask is None:
        return lambda np, x: getattr(np, name)(x, **keywords)
    return lambda np, x: getattr(np, name)(x, where=np.array(mask), **keywords)


def _each(name: str, is_complex: bool, low: float = -2, high: float = 2) -> list[Case]:
    made = [
        case(
            name,
            calling(name, **keywords),
            Argument(_SHAPE, low, high),
            label=label,
            complex=is_complex,
        )
        for label, keywords in KEYWORDS.items()
    ]
    return [
        *made,
        case(name, calling(name), Argument((), low, high), label="0d", complex=is_complex),
        case(name, calling(name), Argument((4,), low, high), label="1d", complex=is_complex),
        case(
            name,
            calling(name, axis=(0, -1)),
            Argument((2, 3, 2), low, high),
            label="3d_axes",
            complex=is_complex,
        ),
        case(
            name,
            lambda np, x: getattr(np, name)(x, axis=1),
            Argument((0, 3), low, high),
            label="empty_result",
            complex=is_complex,
        ),
        case(name, lambda np, x: getattr(x, name)(), Argument((2, 2), low, high), label="method"),
    ]


_TRACKED = Argument((), 0.4, 0.9)
_X = Argument(_SHAPE)

CASES: list[Case] = [
    *_each("sum", True),
    *_each("mean", True),
    *_each("prod", True),
    *_each("max", False),
    *_each("min", False),
    *_each("var", True),
    *_each("std", True),
    # ----- no axis at all -----
    case("sum", calling("sum", axis=()), _X, label="no_axes"),
    case("max", calling("max", axis=()), _X, label="no_axes"),
    case("prod", calling("prod", axis=()), _X, label="no_axes"),
    case("mean", calling("mean", axis=()), _X, label="no_axes"),
    # ----- nothing to reduce -----
    case("sum", calling("sum", axis=0), (0, 3), label="of_nothing"),
    case("prod", calling("prod", axis=0), (0, 3), label="of_nothing"),
    case("prod", calling("prod", axis=1), (3, 1), label="of_one"),
    case("max", calling("max", axis=0, initial=0.5), (0, 3), label="of_nothing"),
    # ----- where= -----
    *(
        case(
            name,
            calling(name, where=_MASK, **keywords),
            _X,
            label=f"where{label}",
            complex=True,
            without="autograd",
        )
        for name in ("sum", "mean", "prod", "var", "std")
        for label, keywords in {"": {}, "_axis": {"axis": 1, "keepdims": True}}.items()
    ),
    case(
        "sum",
        calling("sum", where=[True, False, True]),
        _X,
        label="where_broadcast",
        without="autograd",
    ),
    case(
        "mean",
        calling("mean", where=[[True], [False]], axis=0),
        _X,
        label="where_broadcast",
        without="autograd",
    ),
    case(
        "var",
        calling("var", where=[True, False, True], axis=1, ddof=1),
        _X,
        label="where_broadcast",
        without="autograd",
    ),
    *(
        case(
            name,
            calling(name, where=_MASK, initial=initial, axis=axis),
            _X,
            label=f"where_axis_{axis}",
            without="autograd",
        )
        for name, initial in (("max", -9.0), ("min", 9.0))
        for axis in (None, 0)
    ),
    # ----- a mean that is known -----
    *(
        case(
            name,
            lambda np, x, m, name=name: getattr(np, name)(x, axis=1, mean=m, ddof=1),
            _X,
            Argument((2, 1)),
            label="mean",
            complex=True,
            without="autograd jax cupy",
        )
        for name in ("var", "std")
    ),
    case(
        "var",
        lambda np, x: np.var(x, mean=np.array(0.3), where=np.array(_MASK), keepdims=True),
        _X,
        label="mean_where",
        without="autograd jax cupy",
    ),
    # ----- initial=, tracked or not -----
    case("sum", calling("sum", initial=0.7), _X, label="initial", without="autograd"),
    case(
        "prod",
        calling("prod", initial=0.7, axis=0),
        _X,
        label="initial",
        complex=True,
        without="autograd",
    ),
    case("max", calling("max", initial=0.6, axis=0), _X, label="initial", without="autograd"),
    case("min", calling("min", initial=0.6, axis=0), _X, label="initial", without="autograd"),
    *(
        case(
            name,
            lambda np, x, i, name=name: getattr(np, name)(x, axis=0, initial=i),
            _X,
            _TRACKED,
            label="tracked_initial",
            without="autograd",
        )
        for name in ("sum", "prod", "max", "min")
    ),
    *(
        case(
            name,
            lambda np, x, i, name=name: getattr(np, name)(x, axis=0, initial=i),
            _X,
            Argument((), *bounds),
            label="tracked_initial_wins",
            without="autograd",
        )
        for name, bounds in (("max", (2.5, 3)), ("min", (-3, -2.5)))
    ),
    case(
        "max",
        lambda np, x, i: np.max(x, where=np.array(_MASK), initial=i, keepdims=True),
        _X,
        Argument((), -3, -2.5),
        label="tracked_initial_where",
        without="autograd",
    ),
    case(
        "min",
        lambda np, x, i: np.min(x, axis=1, initial=i),
        (2, 0),
        _TRACKED,
        label="tracked_initial_of_nothing",
        without="autograd cupy jax",
    ),
    # ----- dtype= -----
    *(
        case(
            name,
            lambda np, x, name=name: getattr(np, name)(x, dtype=np.complex128),
            _X,
            label="dtype_complex128",
            without="autograd",
        )
        for name in ("sum", "mean", "prod", "cumsum")
    ),
    *(
        case(
            name,
            lambda np, x, name=name: getattr(np, name)(x, axis=1, dtype=np.float64),
            _X,
            label="dtype_float64",
            without="autograd",
        )
        for name in ("sum", "mean", "prod", "cumsum", "var", "std")
    ),
    # ----- ddof= -----
    *(
        case(
            name,
            calling(name, **keywords),
            _X,
            label="_".join(keywords),
            complex=True,
            without="autograd" if "correction" in keywords else "",
        )
        for name in ("var", "std")
        for keywords in ({"ddof": 1}, {"axis": 1, "ddof": 1}, {"axis": 0, "correction": 1})
    ),
    # ----- products with zeros -----
    case("prod", lambda np, x: np.prod(x * np.array([1.0, 0.0, 1.0])), (3,), label="one_zero"),
    case(
        "prod",
        lambda np, x: np.prod(x * np.array([0.0, 1.0, 0.0]), axis=0),
        (3,),
        label="two_zeros",
    ),
    # ----- sums on the way -----
    case("cumsum", calling("cumsum"), _X, complex=True),
    case("cumsum", calling("cumsum", axis=0), _X, label="axis_0", complex=True),
    case("cumsum", calling("cumsum", axis=-1), _X, label="axis_-1"),
    case("cumsum", calling("cumsum"), (), label="0d"),
    case("cumsum", calling("cumsum", axis=1), (2, 0), label="empty"),
]
