"""Functions of `scipy.signal`."""

from functools import partial
from typing import Any

from ..cases import Case, case

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


CASES: list[Case] = [
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
