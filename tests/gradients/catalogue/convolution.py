"""NumPy's convolutions of vectors."""

from typing import Any

from ..cases import Case, case

#: Label: the lengths of the two.
LENGTHS = {"": (5, 3), "even": (5, 2), "second_longer": (2, 5)}


def _call(name: str, mode: str) -> Any:
    return lambda np, x, y: getattr(np, name)(x, y, mode)


CASES: list[Case] = [
    case(
        name,
        _call(name, mode),
        (n,),
        (m,),
        label="_".join(filter(None, ("vectors", label, mode))),
        complex=True,
        without="autograd",
    )
    for name in ("convolve", "correlate")
    for label, (n, m) in LENGTHS.items()
    for mode in ("full", "same", "valid")
]
