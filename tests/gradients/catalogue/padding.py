"""Padding in every mode."""

from typing import Any

from ..cases import Argument, Case, case


def _pad(*args: Any, **keywords: Any) -> Any:
    return lambda np, x: np.pad(x, *args, **keywords)


#: Label: the shape, the widths, the mode, its keywords.
PADS: dict[str, tuple[Any, Any, str, dict[str, Any]]] = {
    "edge": ((3,), 2, "edge", {}),
    "edge_2d": ((2, 3), ((1, 0), (2, 1)), "edge", {}),
    "reflect": ((4,), (3, 2), "reflect", {}),
    "reflect_far": ((3,), (7, 6), "reflect", {}),
    "reflect_2d": ((3, 2), ((2, 1), (0, 1)), "reflect", {}),
    "reflect_one": ((1, 2), 1, "reflect", {}),
    "symmetric": ((3,), (2, 3), "symmetric", {}),
    "symmetric_far": ((2, 2), 3, "symmetric", {}),
    "wrap": ((3,), (2, 4), "wrap", {}),
    "wrap_2d": ((2, 3), ((1, 1), (0, 4)), "wrap", {}),
    "maximum": ((4,), 2, "maximum", {}),
    "maximum_length": ((2, 4), (1, 2), "maximum", {"stat_length": 2}),
    "minimum": ((2, 3), 1, "minimum", {}),
    "minimum_lengths": ((4,), 1, "minimum", {"stat_length": (1, 3)}),
    "mean": ((2, 3), ((1, 0), (1, 2)), "mean", {}),
    "mean_lengths": ((3, 4), 1, "mean", {"stat_length": ((1, 2), (2, 9))}),
    "median": ((5,), 1, "median", {}),
    "median_even": ((2, 4), 1, "median", {"stat_length": ((1, 1), (4, 2))}),
    "linear_ramp": ((3,), (2, 3), "linear_ramp", {}),
    "linear_ramp_2d": (
        (2, 3),
        ((1, 0), (2, 1)),
        "linear_ramp",
        {"end_values": ((1.0, 2.0), (3.0, -4.0))},
    ),
}
ODD: dict[str, tuple[Any, Any, str]] = {
    "odd_reflect": ((4,), (3, 2), "reflect"),
    "odd_reflect_far": ((3,), (9, 4), "reflect"),
    "odd_reflect_2d": ((3, 2), ((0, 2), (1, 1)), "reflect"),
    "odd_reflect_one": ((1, 2), 1, "reflect"),
    "odd_symmetric": ((3,), (2, 3), "symmetric"),
    "odd_symmetric_far": ((2, 2), (1, 5), "symmetric"),
}

CASES: list[Case] = [
    case("pad", _pad(2), (3,), complex=True),
    case("pad", _pad(((1, 0), (0, 2)), "constant"), (2, 3), label="2d", complex=True),
    case("pad", _pad((1, 2)), (2, 2), label="pair"),
    case("pad", _pad(0), (2, 2), label="nothing"),
    case("pad", _pad(1), (), label="0d"),
    case("pad", _pad(1), (0,), label="of_nothing"),
    case(
        "pad",
        _pad(1, constant_values=((1.0, 2.0), (3.0, 4.0))),
        (2, 3),
        label="constants",
        without="autograd",
    ),
    case("pad", _pad(1, constant_values=0.5), (2,), label="constant", without="autograd"),
    case(
        "pad",
        lambda np, x, c: np.pad(x, ((2, 1), (0, 2)), constant_values=c),
        (2, 2),
        (),
        label="tracked_constant",
        without="autograd cupy",
    ),
    case(
        "pad",
        lambda np, x, a, b: np.pad(x, 1, "constant", constant_values=((a, b), (b, a * b))),
        (2, 2),
        (),
        (),
        label="tracked_constants",
        without="autograd cupy jax",
    ),
    case(
        "pad",
        lambda np, x, e: np.pad(x, 2, "linear_ramp", end_values=e),
        (3,),
        (),
        label="tracked_end",
        without="autograd cupy jax",
    ),
    *(
        case(
            "pad",
            _pad(widths, mode, **keywords),
            shape,
            label=label,
            complex=mode not in ("maximum", "minimum", "median"),
            without="autograd",
        )
        for label, (shape, widths, mode, keywords) in PADS.items()
    ),
    *(
        case(
            "pad",
            _pad(widths, mode, reflect_type="odd"),
            shape,
            label=label,
            complex=True,
            without="autograd",
        )
        for label, (shape, widths, mode) in ODD.items()
    ),
    case(
        "pad",
        lambda np, x: np.pad(x * x, 1, "wrap") * np.pad(x, 1, "edge"),
        Argument((3,)),
        label="product",
        without="autograd",
    ),
]
LIMITS = {
    "jax": {
        "pad-of_nothing": "it refuses empty arrays",
    },
}
