"""Differences of neighbours, and derivatives on a grid."""

from typing import Any

from ..cases import Argument, Case, case


def _diff(**keywords: Any) -> Any:
    return lambda np, x: np.diff(x, **keywords)


def _gradient(*args: Any, **keywords: Any) -> Any:
    return lambda np, f: np.gradient(f, *args, **keywords)


_STEP = Argument((), 0.4, 0.9)
#: Far enough apart, and in no order: coordinates need none.
_PLACES = Argument((5,), 1, 9)

CASES: list[Case] = [
    case("diff", _diff(), (5,), complex=True),
    case("diff", _diff(), (2, 3), label="rows"),
    case("diff", _diff(axis=0), (4, 3), label="axis_0"),
    case("diff", _diff(axis=-2), (2, 3, 2), label="3d", complex=True),
    case("diff", _diff(n=2), (6,), label="twice"),
    case("diff", _diff(n=3, axis=0), (5, 2), label="thrice"),
    case("diff", _diff(n=0), (3,), label="never"),
    case("diff", _diff(n=3), (3,), label="nothing_left"),
    case("diff", _diff(n=5), (2, 3), label="less_than_nothing"),
    case(
        "diff",
        lambda np, x, y, z: np.diff(x, prepend=y, append=z),
        (2, 3),
        (),
        (2, 2),
        label="prepend_and_append",
        without="autograd",
    ),
    case(
        "diff",
        lambda np, x: np.diff(x, n=2, axis=0, prepend=0.0),
        (3, 2),
        label="prepend",
        without="autograd",
    ),
    case("gradient", _gradient(), (5,), complex=True),
    case("gradient", _gradient(), (2,), label="two"),
    case("gradient", _gradient(), (3, 4), label="2d"),
    case("gradient", _gradient(axis=0), (3, 4), label="axis"),
    case("gradient", _gradient(axis=(1, 0)), (3, 4), label="axes"),
    case("gradient", _gradient(axis=(-1,)), (3, 4), label="negative"),
    *(
        case("gradient", _gradient(**keywords), shape, label=label, without="autograd jax")
        for label, shape, keywords in (
            ("edge_order", (5,), {"edge_order": 2}),
            ("edge_order_2d", (3, 4), {"edge_order": 2}),
            ("edge_order_short", (3, 2), {"edge_order": 2, "axis": 0}),
        )
    ),
    case("gradient", _gradient(0.5), (3, 4), label="step", without="autograd"),
    case("gradient", _gradient(0.5, 2), (3, 4), label="steps", without="autograd"),
    case(
        "gradient",
        lambda np, f, h: np.gradient(f, h),
        (3, 4),
        _STEP,
        label="tracked_step",
        complex=True,
        without="autograd",
    ),
    *(
        case(
            "gradient",
            lambda np, f, x, axis=axis, order=order: np.gradient(f, x, axis=axis, edge_order=order),
            shape,
            _PLACES,
            label=f"coordinates_{label}",
            without="autograd jax",
        )
        for label, shape, axis, order in (
            ("1d", (5,), None, 1),
            ("edges", (5,), 0, 2),
        )
    ),
    *(
        case(
            "gradient",
            lambda np, f, x, axis=axis, order=order: np.gradient(f, x, axis=axis, edge_order=order),
            shape,
            _PLACES,
            label=f"coordinates_axis_{axis}",
            without="autograd jax",
        )
        for shape, axis, order in (((5, 2), 0, 2), ((2, 5), 1, 1))
    ),
    case(
        "gradient",
        lambda np, f, x, h: np.gradient(f, x, h),
        (5, 3),
        _PLACES,
        _STEP,
        label="coordinates_and_step",
        without="autograd jax",
    ),
    case("ediff1d", lambda np, x: np.ediff1d(x), (2, 3), complex=True, without="autograd"),
    case(
        "ediff1d",
        lambda np, x, y, z: np.ediff1d(x, to_end=y, to_begin=z),
        (4,),
        (2,),
        (),
        label="ends",
        without="autograd",
    ),
    case("trapezoid", lambda np, y: np.trapezoid(y), (4,), complex=True, without="autograd"),
    case(
        "trapezoid",
        lambda np, y, h: np.trapezoid(y, dx=h, axis=0),
        (4, 2),
        _STEP,
        label="step",
        without="autograd",
    ),
    case(
        "trapezoid",
        lambda np, y, x: np.trapezoid(y, x, axis=1),
        (2, 4, 2),
        (4,),
        label="places",
        without="autograd",
    ),
    case("trapezoid", lambda np, y, x: np.trapezoid(y, x), (2, 4), (2, 4), label="grid"),
    case("unwrap", lambda np, x: np.unwrap(x), Argument((6,), -9, 9), without="autograd"),
    case(
        "unwrap",
        lambda np, x, period: np.unwrap(x, 1.5, 0, period=period),
        Argument((5, 2), -4, 4),
        Argument((), 1.1, 1.3),
        label="period",
        without="autograd jax",
    ),
]
LIMITS = {
    "jax": {
        "diff-less_than_nothing": "it refuses more differences than elements",
    },
}
