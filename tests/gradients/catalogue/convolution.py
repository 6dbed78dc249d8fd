"""NumPy's convolutions of vectors."""

from typing import Any

from ..cases import Case, case

#: The function, the lengths of the two, the mode.
VECTORS = (
    ("convolve", 5, 3, "full"),
    ("convolve", 5, 2, "same"),
    ("convolve", 2, 5, "valid"),
    ("correlate", 2, 5, "full"),
    ("correlate", 5, 2, "same"),
    ("correlate", 5, 3, "valid"),
)


def _call(name: str, mode: str) -> Any:
    return lambda np, x, y: getattr(np, name)(x, y, mode)


CASES: list[Case] = [
    case(
        name,
        _call(name, mode),
        (n,),
        (m,),
        label=f"vectors_{mode}",
        complex=True,
        without="autograd",
    )
    for name, n, m, mode in VECTORS
]
