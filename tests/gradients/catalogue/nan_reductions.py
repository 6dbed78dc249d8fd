"""Reductions that leave nan out; a row has one, and one column nothing else."""

from typing import Any

from ..cases import Argument, Case, case

_NUMBERS = [[True, False, True], [False, False, True], [True, False, True]]
_ALSO = [[True, True, False], [True, True, True], [True, False, True]]
_X = Argument((3, 3))


def _call(name: str, **keywords: Any) -> Any:
    where = keywords.pop("where", None)

    def call(np: Any, x: Any) -> Any:
        x = np.where(np.array(_NUMBERS), x, np.nan)
        options = keywords if where is None else {**keywords, "where": np.array(where)}
        return getattr(np, name)(x, **options)

    return call


def _case(name: str, label: str = "", **options: Any) -> Case:
    keywords = options.pop("keywords", {})
    return case(
        name, _call(name, **keywords), _X, label=label, **{"without": "autograd", **options}
    )


_MOMENTS = ("nanmean", "nanvar", "nanstd")
_EXTREMES = ("nanmax", "nanmin")
CASES: list[Case] = [
    *(
        _case(name, label, keywords=keywords, complex=name not in _EXTREMES)
        for name in ("nansum", "nanprod", *_MOMENTS, *_EXTREMES)
        for label, keywords in (("", {}), ("axes_kept", {"axis": (0, -1), "keepdims": True}))
    ),
    # A column of nan alone is 0, or 1; an extreme, a mean of it would warn.
    *(_case(name, "axis_0", keywords={"axis": 0}) for name in ("nansum", "nanprod")),
    *(_case(name, "axis_1", keywords={"axis": 1}) for name in (*_MOMENTS, *_EXTREMES)),
    *(
        _case(name, "where", keywords={"where": _ALSO}, without="autograd cupy")
        for name in ("nansum", "nanprod", *_MOMENTS)
    ),
    *(
        _case(name, "initial", keywords={"axis": 0, "initial": 0.1}, without="autograd cupy")
        for name in ("nansum", "nanprod", *_EXTREMES)
    ),
    *(
        _case(
            name,
            "where_and_initial",
            keywords={"axis": 0, "initial": initial, "where": _ALSO},
            without="autograd cupy",
        )
        for name, initial in (("nanmax", -9.0), ("nanmin", 9.0))
    ),
    *(_case(name, "ddof", keywords={"ddof": 1}, complex=True) for name in ("nanvar", "nanstd")),
    *(
        _case(name, "mean", keywords={"mean": 0.3, "correction": 1}, without="autograd jax cupy")
        for name in ("nanvar", "nanstd")
    ),
    *(
        _case(name, label, keywords=keywords, complex=not label)
        for name in ("nancumsum", "nancumprod")
        for label, keywords in (("", {}), ("axis_0", {"axis": 0}))
    ),
    # ----- nothing is nan -----
    *(
        case(
            name,
            lambda np, x, name=name: getattr(np, name)(x, axis=0),
            (2, 3),
            label="of_numbers",
            without="autograd jax",
        )
        for name in ("nansum", "nanprod", *_MOMENTS, *_EXTREMES, "nancumsum", "nancumprod")
    ),
]
LIMITS = {
    "jax": {"nanstd-axis_1": "its derivative is nan where one number is left"},
}
