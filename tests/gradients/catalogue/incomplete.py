"""The incomplete gamma and beta functions, and the distribution functions that are made of them."""

from functools import partial

from ..cases import Argument, Case, case

_case = partial(case, module="scipy.special")

#: Name: the intervals of its operands, one pair below the mean, one above.
FUNCTIONS: dict[str, list[list[tuple[float, float]]]] = {
    "gammainc": [[(2.0, 4.0), (0.5, 1.5)], [(0.4, 1.6), (2.0, 4.0)]],
    "gammaincc": [[(2.0, 4.0), (0.5, 1.5)], [(0.4, 1.6), (2.0, 4.0)]],
    "betainc": [[(2.0, 3.0), (0.5, 1.5), (0.2, 0.5)], [(0.4, 0.8), (1.5, 3.0), (0.5, 0.8)]],
    "betaincc": [[(2.0, 3.0), (0.5, 1.5), (0.2, 0.5)], [(0.4, 0.8), (1.5, 3.0), (0.5, 0.8)]],
    "stdtr": [[(2.0, 4.0), (-2.0, -1.2)], [(0.8, 3.0), (-0.7, 1.9)]],
}
UNARY: dict[str, tuple[float, float]] = {
    "ndtr": (-2.0, 2.0),
    "log_ndtr": (-3.0, 2.0),
    "ndtri": (0.1, 0.9),
}

CASES: list[Case] = [
    *(
        _case(
            name,
            lambda sp, *xs, name=name: getattr(sp, name)(*xs),
            *(Argument(shape, *interval) for shape, interval in zip(shapes, intervals)),
            label=label,
        )
        for name, (below, above) in FUNCTIONS.items()
        for label, intervals, shapes in (
            ("", below, [(4,)] * 3),
            ("above", above, [(4,)] * 3),
            ("broadcast", above, [(2, 1), (3,), ()]),
            ("0d", below, [()] * 3),
            ("empty", below, [(0,)] * 3),
        )
    ),
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
            Argument((2, 3), -1.5, 1.5),
            label="complex",
            complex=True,
            without="cupy jax autograd",
        )
        for name in ("ndtr", "log_ndtr")
    ),
    *(
        _case(
            name,
            lambda sp, x, name=name, ps=ps: getattr(sp, name)(*ps, x),
            Argument((5,), 0.1, 0.9),
            label="numbers",
        )
        for name, ps in {
            "gammainc": (2.5,),
            "gammaincc": (2.5,),
            "betainc": (2.5, 1.5),
            "betaincc": (2.5, 1.5),
            "stdtr": (2.5,),
        }.items()
    ),
    # Where density and distribution function are tiny.
    _case(
        "log_ndtr",
        lambda sp, x: sp.log_ndtr(x),
        Argument((4,), -12.0, -8.0),
        label="tail",
    ),
]

LIMITS: dict[str, dict[str, str]] = {
    "jax": {
        **{
            c.id: "it has no second derivative in a"
            for c in CASES
            if c.name in ("gammainc", "gammaincc") and c.label != "numbers"
        },
        **{
            c.id: "it has no derivative in a and b"
            for c in CASES
            if c.name == "betainc" and c.label != "numbers"
        },
    }
}
