"""Functions of `scipy.signal`."""

from functools import partial
from typing import Any

from ..cases import Argument, Case, case

_case = partial(case, module="scipy.signal")

#: Label: the shapes of the two.
SHAPES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "": ((5,), (3,)),
    "even": ((6,), (2,)),
    "second_longer": ((3,), (5,)),
    "equal": ((4,), (4,)),
    "2d": ((3, 4), (2, 3)),
    "2d_second_longer": ((2, 2), (3, 4)),
    "3d": ((2, 3, 2), (2, 2, 1)),
}


def _convolution(name: str, keywords: dict[str, Any]) -> Any:
    return lambda signal, x, y: getattr(signal, name)(x, y, **keywords)


def _others(label: str, mode: str) -> str:
    """Return the libraries that mean something else by a call."""
    # Autograd's "same" and "valid" are not SciPy's; JAX's "same" has the longer one's shape.
    lacking = "autograd " if mode != "full" or label.startswith("2d_") else ""
    return lacking + ("jax" if mode == "same" and "second_longer" in label else "")


def _plane(boundary: str, mode: str, fillvalue: float = 0) -> Any:
    return lambda signal, x, y: signal.convolve2d(x, y, mode, boundary, fillvalue)


def _filtered(signal: Any, b: Any, a: Any, x: Any, zi: Any = None, axis: int = -1) -> Any:
    return signal.lfilter(b, a, x, axis, zi)


#: Coefficients of recursion that begin far from 0.
_LEAD = Argument((2,), 1.5, 2.5)
#: Label: the numbers of coefficients and the shapes of the signal and of the state.
FILTERS: dict[str, tuple[int, tuple[int, ...], tuple[int, ...]]] = {
    "": (3, (5,), ()),
    "axis": (2, (4, 3), ()),
    "state": (3, (2, 4), (1, 2)),
    "short_state": (4, (2,), (3,)),
}

CASES: list[Case] = [
    *(
        _case(
            "convolve2d",
            _plane(boundary, mode),
            *shapes,
            label=f"{boundary}_{mode}",
            complex=True,
            without="autograd" if boundary == "fill" else "autograd jax",
        )
        for boundary, mode, *shapes in (
            ("fill", "full", (3, 4), (2, 3)),
            ("fill", "same", (3, 4), (2, 3)),
            ("fill", "valid", (2, 1), (3, 4)),
            ("wrap", "full", (3, 2), (2, 3)),
            ("symm", "same", (3, 4), (2, 3)),
        )
    ),
    _case(
        "convolve2d",
        _plane("fill", "same", 1.5),
        (3, 3),
        (2, 2),
        label="filled",
        without="autograd jax",
    ),
    *(
        _case(
            "lfilter",
            partial(_filtered, axis=0 if label == "axis" else -1),
            (count,),
            _LEAD,
            shape,
            *([state] if state else []),
            label=label,
            complex=True,
            without="autograd jax",
        )
        for label, (count, shape, state) in FILTERS.items()
    ),
    _case(
        "lfilter",
        lambda signal, b, x: signal.lfilter(b, 2.0, x),
        (3,),
        (2, 4),
        label="finite",
        without="autograd jax",
    ),
    *(
        _case(
            name,
            _convolution(name, {"mode": mode} if mode != "full" else {}),
            *shapes,
            label="_".join(filter(None, (label, mode if mode != "full" else ""))),
            complex=True,
            without=_others(label, mode),
        )
        for name in ("convolve", "correlate", "fftconvolve")
        for label, shapes in SHAPES.items()
        for mode in ("full", "same", "valid")
    ),
    *(
        _case(
            name,
            _convolution(name, {"method": method, "mode": mode}),
            (5,),
            (2,),
            label=f"{method}_{mode}",
            complex=True,
            without="autograd",
        )
        for name in ("convolve", "correlate")
        for method in ("direct", "fft")
        for mode in ("full", "valid")
    ),
]
