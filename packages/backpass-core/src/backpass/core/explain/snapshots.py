"""Values as they were when they were seen: small ones whole, large ones in a few numbers.

A snapshot does not hold the array it was taken of: the engine may write into it later, and a large
one should not be kept alive to be looked at.  What lies on a GPU stays there until it is shown.
"""

from __future__ import annotations

import functools
import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy

from backpass.core.backends import PYTHON_SCALARS, backend_of

#: Arrays of up to so many elements are kept, and shown, in full.
WHOLE = 64

#: Elements of one row go into lines of about that length.
WIDTH = 80

#: What is known of an array that is not shown in full.
STATISTICS = ("min", "mean", "max")


class Snapshot:
    """A value, or what is to be known of a large one.

    Attributes
    ----------
    shape
        The lengths of the axes.
    dtype
        The type of the elements, as text; `"float"` and the like for a Python number.
    device
        `"cpu"` or `"cuda"`.
    """

    __slots__ = ("_kept", "device", "dtype", "shape")

    def __init__(self, value: Any) -> None:
        self.device = "cpu"
        self._kept: Any
        if type(value) in PYTHON_SCALARS or isinstance(value, numpy.generic):
            self.shape: tuple[int, ...] = ()
            is_python = type(value) in PYTHON_SCALARS
            self.dtype = type(value).__name__ if is_python else _dtype_name(value.dtype)
            self._kept = value
            return
        backend = backend_of((value,))
        self.device = backend.device
        self.shape, self.dtype = tuple(value.shape), _dtype_name(value.dtype)
        if value.size <= WHOLE:
            self._kept = value.copy()
            return
        self._kept = None
        if value.dtype.kind in "biufc":
            measured = abs(value) if value.dtype.kind == "c" else value
            self._kept = tuple(getattr(measured, name)() for name in STATISTICS)

    @property
    def whole(self) -> bool:
        """Whether the value was kept in full."""
        return not isinstance(self._kept, tuple) and self._kept is not None

    @property
    def size(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def numbers(self) -> Any:
        """The value: a number, or a NumPy array; `None` if it was too large to be kept."""
        return _on_host(self._kept) if self.whole else None

    @property
    def statistics(self) -> dict[str, float]:
        """Least, mean and greatest element (of complex numbers, of their absolute values)."""
        if self.whole:
            x = numpy.asarray(self.numbers)
            if not x.size or x.dtype.kind not in "biufc":
                return {}
            x = abs(x) if x.dtype.kind == "c" else x
            return {name: getattr(x, name)().item() for name in STATISTICS}
        kept: Sequence[Any] = self._kept or ()
        return {name: numpy.asarray(_on_host(x)).item() for name, x in zip(STATISTICS, kept)}

    def text(self, precision: int = 6) -> str:
        """Return the value as text: one line for a number or a summary, several for a matrix.

        Numbers have `precision` significant digits at least, and never look exact when they are
        not.
        """
        if not self.whole:
            lengths = " x ".join(map(str, self.shape))
            facts = ", ".join(f"{k} {_number(v, precision)}" for k, v in self.statistics.items())
            return f"{lengths} {self.dtype}" + (f": {facts}" if facts else "")
        x = self.numbers
        if self.shape == ():
            x = x[()] if isinstance(x, numpy.ndarray) else x
            return _number(x, precision)
        if not x.size:
            return f"[] of shape {self.shape}"
        return _rows(_padded(x.tolist(), precision))

    def __str__(self) -> str:
        return self.text()

    def __repr__(self) -> str:
        return f"<Snapshot {self.text()}>"


def _padded(elements: Any, precision: int) -> Any:
    """Return nested lists of numbers as nested lists of text, all of one width."""
    flat: list[str] = []

    def written(x: Any) -> Any:
        if isinstance(x, list):
            return [written(part) for part in x]
        flat.append(_number(x, precision))
        return len(flat) - 1

    places = written(elements)
    width = max(map(len, flat)) if isinstance(elements[0], list) else 0

    def filled(x: Any) -> Any:
        return [filled(part) for part in x] if isinstance(x, list) else flat[x].rjust(width)

    return filled(places)


def _rows(parts: Any, margin: str = "") -> str:
    """Return nested lists of text in brackets, a row a line."""
    inside = margin + " "
    if isinstance(parts[0], list):
        apart = ",\n" if isinstance(parts[0][0], str) else ",\n\n"
        return "[" + f"{apart}{inside}".join(_rows(part, inside) for part in parts) + "]"
    line = ", ".join(parts)
    if len(line) > WIDTH:
        wrapped = textwrap.wrap(line, WIDTH, break_long_words=False)
        line = f"\n{inside}".join(wrapped)
    return f"[{line}]"


@functools.cache
def _dtype_name(dtype: Any) -> str:
    return str(dtype)


def _on_host(value: Any) -> Any:
    """Return an array in the computer's memory."""
    if type(value) in PYTHON_SCALARS or isinstance(value, numpy.generic | numpy.ndarray):
        return value
    return backend_of((value,)).to_host(value)


def _number(x: Any, precision: int) -> str:
    """Return a number as text: short, with a dot where it is a float."""
    if type(x) is float:
        text = f"{x:.{precision}g}"
        return text if any(c in text for c in ".enai") else f"{text}.0"
    x = x.item() if hasattr(x, "item") else x
    if isinstance(x, float):
        return _number(float(x), precision)
    if isinstance(x, bool | int):
        return str(x)
    if isinstance(x, complex):
        sign = "-" if math.copysign(1, x.imag) < 0 else "+"
        return f"{_number(x.real, precision)}{sign}{_number(abs(x.imag), precision)}j"
    return str(x)
