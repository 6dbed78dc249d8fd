"""Whether values are finite, and what they are in a line."""

from __future__ import annotations

import math
from typing import Any

import numpy

from backpass.core.backends import PYTHON_SCALARS, backend_of, on_host
from backpass.core.cotangents import Parts
from backpass.core.dtypes import kind_of
from backpass.core.values import plain


class Finiteness:
    """Looks for nans, for infinite values, or for both."""

    def __init__(self, nan: bool, inf: bool) -> None:
        self._nan, self._inf = nan, inf

    def fault(self, x: Any) -> str:
        """Return what is wrong with a value, or several: "2 of 3 elements are nan"; "" if nothing.

        Sums are looked at first: one that is finite has no terms that are not.
        """
        if type(x) is Parts:
            x = x.items
        if isinstance(x, tuple | list):
            return next(filter(None, map(self.fault, x)), "")
        x = plain(x)
        if isinstance(x, float | complex) and not isinstance(x, numpy.generic):
            x = numpy.asarray(x)[()]
        dtype = getattr(x, "dtype", None)
        if dtype is None or kind_of(dtype) not in "fc":
            return ""
        with numpy.errstate(all="ignore"):
            xp = backend_of((x,)).library
            if bool(xp.isfinite(x.sum())):
                return ""
            nans = int(xp.isnan(x).sum()) if self._nan else 0
            # A complex number may be both; nan counts.
            infinite = int((xp.isinf(x) & ~xp.isnan(x)).sum()) if self._inf else 0
        return _counted({"nan": nans, "infinite": infinite}, x)


def _counted(counts: dict[str, int], x: Any) -> str:
    found = {kind: n for kind, n in counts.items() if n}
    if not x.shape:
        return str(x) if found else ""
    return " and ".join(
        f"{n} of {x.size} elements {'is' if n == 1 else 'are'} {kind}" for kind, n in found.items()
    )


#: For either.
ANY = Finiteness(nan=True, inf=True)


def summary(x: Any) -> str:
    """Return type, shape and values in a line."""
    x = plain(x)
    if type(x) is Parts:
        x = x.items
    if isinstance(x, tuple | list):
        return "; ".join("none" if part is None else summary(part) for part in x)
    if type(x) in PYTHON_SCALARS or not hasattr(x, "dtype"):
        text = repr(x)
        return text if len(text) <= 40 else f"{text[:37]}..."
    kind = kind_of(x.dtype)
    device = backend_of((x,)).device
    where = "" if device == "cpu" else f" on {device!r}"
    if not x.shape:
        return f"{x.dtype}{where}, {numpy.asarray(on_host(x))[()]}"
    text = f"{x.dtype} of shape {tuple(x.shape)}{where}"
    if not x.size or kind not in "biufc":
        return text
    with numpy.errstate(all="ignore"):
        values = numpy.asarray(on_host(x))
        fault = ANY.fault(values)
        measured = abs(values) if kind == "c" else values
        finite = measured[numpy.isfinite(measured)] if kind in "fc" else measured
    if not finite.size:
        return f"{text}: {fault}"
    least, most = finite.min().item(), finite.max().item()
    of = "absolute values " if kind == "c" else ""
    span = f"all {_short(least)}" if least == most else f"from {_short(least)} to {_short(most)}"
    span = of + span
    return f"{text}: {fault}, the others {span}" if fault else f"{text}: {span}"


def _short(x: float) -> str:
    return f"{x:.6g}" if isinstance(x, float) and math.isfinite(x) else str(x)
