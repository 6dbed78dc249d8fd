"""Integrals of what is sampled."""

from functools import partial

from ..cases import Argument, Case, case

#: What is sampled: the shape, the axis, and the shape of the coordinates.
SAMPLES: dict[str, tuple[tuple[int, ...], int, tuple[int, ...]]] = {
    "odd": ((5,), -1, (5,)),
    "even": ((2, 4), 1, (4,)),
    "axis": ((5, 2), 0, (5, 2)),
    "two": ((2,), -1, (2,)),
}
_samples = partial(case, module="scipy.integrate")


def _without(name: str, *more: str) -> str:
    """Return the libraries that lack one of the rules."""
    return " ".join(("autograd", *(["jax"] if name != "trapezoid" else []), *more))


CASES: list[Case] = [
    *(
        _samples(
            name,
            lambda si, y, x, name=name, axis=axis: getattr(si, name)(y, x=x.cumsum(0), axis=axis),
            shape,
            Argument(places, 0.5, 1.5),
            label=label,
            without=_without(name),
        )
        for name, labels in {
            "trapezoid": ("axis",),
            "simpson": ("odd", "even", "two"),
            "cumulative_trapezoid": ("even",),
            "cumulative_simpson": ("even", "axis"),
        }.items()
        for label in labels
        for shape, axis, places in [SAMPLES[label]]
    ),
    *(
        _samples(
            name,
            lambda si, y, dx, name=name: getattr(si, name)(y, dx=dx, axis=0),
            shape,
            Argument((), 0.4, 0.9, real=True),
            label=f"step_{shape[0]}",
            complex=name != "cumulative_simpson",
            without=_without(name),
        )
        for name, shape in (
            ("trapezoid", (3, 2)),
            ("simpson", (3, 2)),
            ("simpson", (4, 2)),
            ("cumulative_trapezoid", (3, 2)),
            ("cumulative_simpson", (4, 2)),
        )
    ),
    _samples(
        "cumulative_trapezoid",
        lambda si, y: si.cumulative_trapezoid(y, initial=0),
        (3,),
        label="initial",
        without="autograd jax",
    ),
    _samples(
        "cumulative_simpson",
        lambda si, y, start: si.cumulative_simpson(y, initial=start),
        (2, 4),
        (2, 1),
        label="initial",
        without="autograd jax",
    ),
]
