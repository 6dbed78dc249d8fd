"""Cumulative products and sums, with and without zeros."""

from typing import Any

from ..cases import Case, case

_MASKS = {
    "one_zero": [1.0, 0.0, 1.0, 1.0],
    "two_zeros": [1.0, 0.0, 1.0, 0.0],
    "three_zeros": [0.0, 0.0, 1.0, 0.0],
}


def _call(name: str, *args: Any, **keywords: Any) -> Any:
    return lambda np, x: getattr(np, name)(x, *args, **keywords)


# HIPS autograd has no rule for any of them.
CASES: list[Case] = [
    case("cumprod", _call("cumprod"), (2, 3), complex=True, without="autograd"),
    case("cumprod", _call("cumprod", 0), (3, 2), label="axis_0", complex=True, without="autograd"),
    case("cumprod", _call("cumprod", axis=1), (2, 3, 2), label="3d", without="autograd"),
    case("cumprod", _call("cumprod"), (), label="0d", without="autograd"),
    case("cumprod", _call("cumprod", axis=1), (2, 0), label="empty", without="autograd"),
    case("cumprod", lambda np, x: x.cumprod(axis=-1), (2, 2), label="method", without="autograd"),
    case(
        "cumprod",
        lambda np, x: np.cumprod(x, axis=0, dtype=np.complex128),
        (3,),
        label="dtype",
        without="autograd",
    ),
    *(
        case(
            "cumprod",
            lambda np, x, mask=mask: np.cumprod(x * np.array(mask)),
            (4,),
            label=label,
            complex=True,
            without="autograd",
        )
        for label, mask in _MASKS.items()
    ),
    case(
        "cumprod",
        lambda np, x: np.cumprod(0.9 + x / 80),
        (70,),
        label="by_division",
        without="autograd",
    ),
    *(
        case(
            name,
            _call(name, **keywords),
            shape,
            label=label,
            complex=not label,
            without="autograd",
        )
        for name in ("cumulative_sum", "cumulative_prod")
        for label, shape, keywords in (
            ("", (3,), {}),
            ("axis", (2, 3), {"axis": -1}),
            ("initial", (3, 2), {"axis": 0, "include_initial": True}),
        )
    ),
    case(
        "cumulative_sum",
        lambda np, x: np.cumulative_sum(x, dtype=np.complex128),
        (3,),
        label="dtype",
        without="autograd",
    ),
]
