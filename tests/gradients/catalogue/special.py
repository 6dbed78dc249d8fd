"""Functions of `scipy.special`."""

from functools import partial
from typing import Any

from ..cases import Argument, Case, case

_case = partial(case, module="scipy.special")

#: Name: the interval of the operand.
UNARY: dict[str, tuple[float, float]] = {"erf": (-1.5, 1.5), "erfc": (-1.5, 1.5), "expit": (-3, 3)}
#: SciPy has these for complex numbers, CuPy and JAX have not.
ANALYTIC = ("erf", "erfc")
#: Label: the keywords of a reduction, and the shape of what is reduced.
AXES: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "": ({}, (2, 3)),
    "axis_0": ({"axis": 0}, (2, 3)),
    "axis_-1": ({"axis": -1}, (2, 3)),
    "axes": ({"axis": (0, 2)}, (2, 3, 2)),
    "axes_negative": ({"axis": (-1, 0)}, (2, 3)),
    "1d": ({}, (4,)),
    "one": ({"axis": 1}, (3, 1)),
    "empty_result": ({"axis": 1}, (0, 3)),
}


def _reduction(name: str, keywords: dict[str, Any]) -> Any:
    return lambda sp, x: getattr(sp, name)(x, **keywords)


CASES: list[Case] = [
    *(
        _case(
            name,
            lambda sp, x, name=name: getattr(sp, name)(x),
            Argument(shape, low, high),
            label=label,
        )
        for name, (low, high) in UNARY.items()
        for label, shape in {"": (2, 3), "0d": (), "empty": (2, 0)}.items()
    ),
    *(
        _case(
            name,
            lambda sp, x, name=name: getattr(sp, name)(x),
            Argument(shape, *UNARY[name]),
            label=f"analytic{label}",
            complex=True,
            without="cupy jax",
        )
        for name in ANALYTIC
        for label, shape in {"": (2, 3), "_0d": (), "_empty": (2, 0)}.items()
    ),
    *(
        _case(name, _reduction(name, keywords), shape, label=label)
        for name in ("logsumexp", "softmax", "log_softmax")
        for label, (keywords, shape) in AXES.items()
        # SciPy refuses what it makes of no elements.
        if not (label == "empty_result" and name == "logsumexp")
    ),
    _case("logsumexp", _reduction("logsumexp", {"keepdims": True}), (2, 3), label="kept"),
    _case(
        "logsumexp",
        _reduction("logsumexp", {"axis": 1, "keepdims": True}),
        (2, 3),
        label="axis_1_kept",
    ),
    _case(
        "logsumexp",
        _reduction("logsumexp", {"axis": (0, -1), "keepdims": True}),
        (2, 3, 2),
        label="axes_kept",
    ),
    _case("logsumexp", _reduction("logsumexp", {}), (2, 3), label="complex", complex=True),
    _case("logsumexp", _reduction("logsumexp", {}), (), label="0d"),
    _case("logsumexp", _reduction("logsumexp", {}), Argument((3,), 800, 900), label="large"),
    _case("softmax", _reduction("softmax", {}), Argument((3,), 800, 803), label="large"),
    _case("log_softmax", _reduction("log_softmax", {}), Argument((3,), 800, 803), label="large"),
]
