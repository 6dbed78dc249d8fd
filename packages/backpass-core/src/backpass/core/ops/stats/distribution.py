"""What distributions have in common: their methods, location and scale, the edge of the support."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy

from backpass.core.ops.elementwise import where
from backpass.core.ops.shaping import as_operand
from backpass.core.ops.special.incomplete import as_float, positive
from backpass.core.values import plain

_NUMBERS = (int, float)


class Distribution:
    """A distribution's methods; each mirrors that of `scipy.stats`."""

    def __getattr__(self, name: str) -> NoReturn:
        methods = sorted(m for m in dir(type(self)) if not m.startswith("_"))
        raise AttributeError(
            f"the distribution {type(self).__name__} has no {name!r} here: it has "
            f"{', '.join(methods)}; apply scipy.stats to .value where no gradient is wanted"
        )

    def __repr__(self) -> str:
        return f"<distribution {type(self).__name__}>"


def operands(*xs: Any) -> tuple[Any, ...]:
    """Return what was given as operands of a primitive: lists become arrays, integers floats."""
    return tuple([x if type(x) in _NUMBERS else _operand(x) for x in xs])


def _operand(x: Any) -> Any:
    x = as_operand(x)
    # Unsigned integers would wrap in x - loc.
    dtype = getattr(plain(x), "dtype", None)
    return x if dtype is None or dtype.kind not in "iub" else x.astype(numpy.float64)


# ----- in the functions, on plain arrays --------------------------------------------------------


def is_number(x: Any, value: int) -> bool:
    """Tell whether x is Python's number of that value: then arithmetic with it can be left out."""
    return type(x) in _NUMBERS and x == value


def standard(xp: Any, x: Any, loc: Any, scale: Any) -> Any:
    """Return (x - loc) / scale in float64, as SciPy does whatever is given; nan for scale <= 0."""
    z = as_float(xp, x)
    if not is_number(loc, 0):
        z = z - loc
    return z if is_number(scale, 1) else z / positive(xp, scale)


def log_scale(xp: Any, scale: Any) -> Any:
    """Return log(scale), nan for scale <= 0."""
    return xp.log(positive(xp, as_float(xp, scale)))


# ----- in the rules -----------------------------------------------------------------------------


def standardized(x: Any, loc: Any, scale: Any) -> Any:
    """Return (x - loc) / scale."""
    z = x if is_number(loc, 0) else x - loc
    return over(z, scale)


def over(d: Any, scale: Any) -> Any:
    """Return d / scale."""
    return d if is_number(scale, 1) else d / scale


def within(outside: Any, d: Any) -> Any:
    """Return a derivative inside the support, 0 outside; what is nan is not outside."""
    return where.op(outside, 0.0, d)
