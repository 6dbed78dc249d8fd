"""Medians and quantiles: arguments without ties, quantiles between two elements."""

from typing import Any

from ..cases import Argument, Case, case

_NUMBERS = [[True, False, True], [False, True, True], [True, True, True], [True, True, True]]
#: Of 5 elements none of these lies at one, by any method.
_Q = Argument((2,), 0.23, 0.87, real=True)
_CONTINUOUS = (
    "linear",
    "interpolated_inverted_cdf",
    "hazen",
    "weibull",
    "median_unbiased",
    "normal_unbiased",
)
_JUMPING = (
    "inverted_cdf",
    "averaged_inverted_cdf",
    "closest_observation",
    "lower",
    "higher",
    "nearest",
    "midpoint",
)


def _lost(np: Any, x: Any) -> Any:
    return np.where(np.array(_NUMBERS), x, np.nan)


def _call(name: str, *q: Any, **keywords: Any) -> Any:
    def call(np: Any, x: Any) -> Any:
        args = [np.array(k) if isinstance(k, list) else k for k in q]
        x = _lost(np, x) if name.startswith("nan") else x
        return getattr(np, name)(x, *args, **keywords)

    return call


CASES: list[Case] = [
    *(
        case(name, _call(name, **keywords), shape, label=label, without="autograd")
        for name in ("median", "nanmedian")
        for label, shape, keywords in (
            ("", (4, 3), {}),
            ("axis_0", (4, 3), {"axis": 0, "keepdims": True}),
            ("axes", (4, 3), {"axis": (1, 0)}),
        )
    ),
    case("median", _call("median"), (5,), label="odd", without="autograd"),
    case("median", _call("median", axis=1), (2, 3, 2), label="3d", without="autograd"),
    case("median", _call("median"), (), label="0d", without="autograd"),
    case("median", _call("median", axis=0), (3, 0), label="empty_result", without="autograd"),
    case("nanmedian", lambda np, x: np.nanmedian(x), (4,), label="of_numbers", without="autograd"),
    *(
        case(
            name,
            _call(name, q, **keywords),
            (4, 3),
            label=label,
            without="autograd jax" if label == "kept" else "autograd",
        )
        for name, scale in (
            ("quantile", 1),
            ("percentile", 100),
            ("nanquantile", 1),
            ("nanpercentile", 100),
        )
        for label, q, keywords in (
            ("", 0.3 * scale, {}),
            ("several", [0.1 * scale, 0.5 * scale, 1.0 * scale], {"axis": 0}),
            ("kept", 0.7 * scale, {"axis": (0, 1), "keepdims": True}),
        )
    ),
    case(
        "quantile",
        _call("quantile", [k / 20 for k in range(21)], axis=-1),
        (2, 4),
        label="many",
        without="autograd",
    ),
    case(
        "nanquantile",
        _call("nanquantile", [k / 20 for k in range(21)], axis=0),
        (4, 3),
        label="many",
        without="autograd",
    ),
    *(
        case(
            "quantile",
            lambda np, x, q, method=method: np.quantile(x, q, axis=0, method=method),
            (5, 2),
            _Q,
            label=f"q_{method}",
            without="autograd" if method == "linear" else "autograd jax cupy",
        )
        for method in _CONTINUOUS
    ),
    *(
        case(
            "quantile",
            _call("quantile", [0.23, 0.6, 0.87], method=method),
            (5,),
            label=method,
            without="autograd jax cupy",
        )
        for method in _JUMPING
    ),
    case(
        "percentile",
        lambda np, x, q: np.percentile(x, q),
        (5,),
        Argument((), 15, 35, real=True),
        label="q",
        without="autograd",
    ),
    case(
        "nanquantile",
        lambda np, x, q: np.nanquantile(_lost(np, x), q, axis=0),
        (4, 3),
        Argument((2,), 0.4, 0.6, real=True),
        label="q",
        without="autograd",
    ),
    case(
        "nanpercentile",
        lambda np, x, q: np.nanpercentile(_lost(np, x), q, axis=1, keepdims=True),
        (4, 3),
        Argument((1,), 40, 90, real=True),
        label="q",
        without="autograd",
    ),
    *(
        case(
            name,
            lambda np, x, name=name: getattr(np, name)(
                _lost(np, x) if name.startswith("nan") else x,
                [0.2, 0.7],
                axis=0,
                method="inverted_cdf",
                weights=np.array([1.0, 0.5, 3.0, 2.0])
                if name == "quantile"
                else np.array([[1.0, 0.5, 3.0], [2.0, 1.0, 1.5], [1.0, 1.0, 2.0], [0.3, 1.0, 4.0]]),
            ),
            (4, 3),
            label="weights",
            without="autograd jax cupy",
        )
        for name in ("quantile", "nanquantile")
    ),
]
