"""Functions of `numpy.fft`."""

from functools import partial
from typing import Any

from ..cases import Argument, Case, case

_case = partial(case, module="numpy.fft")

#: Label: the keywords of a transform along one axis, and the shape of what is transformed.
ONE: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "": ({}, (6,)),
    "odd": ({}, (5,)),
    "2d": ({}, (2, 4)),
    "axis": ({"axis": 0}, (4, 2)),
    "axis_negative": ({"axis": -2}, (3, 2, 2)),
    "shorter": ({"n": 4}, (7,)),
    "shorter_odd": ({"n": 3}, (6,)),
    "longer": ({"n": 8}, (3,)),
    "longer_odd": ({"n": 7, "axis": 0}, (3, 2)),
    "ortho": ({"norm": "ortho"}, (4,)),
    "ortho_odd": ({"norm": "ortho"}, (5,)),
    "forward": ({"norm": "forward"}, (4,)),
    "forward_odd": ({"norm": "forward", "n": 5}, (4,)),
    "backward": ({"norm": "backward"}, (4,)),
}
#: Label: the keywords of a transform along several axes, and the shape of what is transformed.
SEVERAL: dict[str, tuple[dict[str, Any], tuple[int, ...]]] = {
    "": ({}, (3, 4)),
    "even_odd": ({}, (4, 3)),
    "3d": ({}, (2, 3, 2)),
    "axes": ({"axes": (0, 2)}, (3, 2, 4)),
    "axes_turned": ({"axes": (-1, 0)}, (3, 4)),
    "lengths": ({"s": (2, 5), "axes": (0, 1)}, (3, 4)),
    "lengths_kept": ({"s": (-1, 4), "axes": (0, 1)}, (3, 2)),
    "ortho": ({"norm": "ortho"}, (3, 4)),
    "forward": ({"norm": "forward"}, (2, 3)),
}
TRANSFORMS = (
    *("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"),
    *("fft2", "ifft2", "fftn", "ifftn", "rfft2", "irfft2", "rfftn", "irfftn"),
)
FROM_REAL = ("rfft", "ihfft", "rfft2", "rfftn")
TO_REAL = ("irfft", "hfft", "irfft2", "irfftn")


def _transform(name: str, keywords: dict[str, Any]) -> Any:
    return lambda fft, x: getattr(fft, name)(x, **keywords)


def _others(name: str, label: str) -> str:
    """Return the libraries that lack a call."""
    lacking = []
    if label == "lengths_kept":
        # -1 for the length that is there is NumPy's alone.
        lacking += ["jax", "autograd", "cupy"]
    if name in TO_REAL + FROM_REAL:
        # It asks for even lengths, and for the last axes.
        lacking += ["autograd"]
    return " ".join(lacking)


CASES: list[Case] = [
    *(
        _case(
            name,
            _transform(name, keywords),
            shape,
            label=label,
            complex=name not in FROM_REAL,
            without=_others(name, label),
        )
        for name in TRANSFORMS[:6]
        for label, (keywords, shape) in ONE.items()
    ),
    *(
        _case(
            name,
            _transform(name, keywords),
            shape,
            label=label,
            complex=name not in FROM_REAL,
            without=_others(name, label),
        )
        for name in TRANSFORMS[6:]
        for label, (keywords, shape) in SEVERAL.items()
    ),
    # The transforms are linear: only what follows them has a second derivative.
    *(
        _case(
            name,
            lambda fft, x, name=name: getattr(fft, name)(x) * getattr(fft, name)(x),
            shape,
            label=label,
            complex=name not in FROM_REAL,
            without=_others(name, label),
        )
        for name in (*TRANSFORMS, "fftshift")
        for label, shape in (("squared", (3, 4)), ("squared_odd", (4, 3)))
    ),
    *(
        _case(name, _transform(name, keywords), shape, label=label, complex=True)
        for name in ("fftshift", "ifftshift")
        for label, keywords, shape in [
            ("", {}, (2, 3)),
            ("1d", {}, (5,)),
            ("axis", {"axes": 1}, (2, 3)),
            ("axes", {"axes": (0, -1)}, (3, 2, 4)),
        ]
    ),
    *(
        _case(
            name,
            lambda fft, d, name=name, n=n: getattr(fft, name)(n, d),
            Argument((), 0.5, 2.0),
            label=f"{n}",
            without="autograd",
        )
        for name in ("fftfreq", "rfftfreq")
        for n in (5, 6)
    ),
]
