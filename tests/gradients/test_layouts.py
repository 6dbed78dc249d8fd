"""However an argument lies in memory, value and gradient are those of a contiguous one."""

from collections.abc import Callable
from typing import Any

import numpy
import pytest

from backpass.core import Tensor

from .catalogue import CASES
from .running import function, gradients


def _spaced(x: Any) -> Any:
    wide = numpy.full(tuple(2 * n for n in x.shape), numpy.nan, x.dtype)
    view = wide[(slice(None, None, 2),) * x.ndim]
    view[...] = x
    return view


def _reversed(x: Any) -> Any:
    index = (slice(None, None, -1),) * x.ndim
    return numpy.ascontiguousarray(x[index])[index]


def _columns_first(x: Any) -> Any:
    return numpy.asfortranarray(x)


def _read_only(x: Any) -> Any:
    made = x.copy()
    made.flags.writeable = False
    return made


def _swapped(x: Any) -> Any:
    return x.astype(x.dtype.newbyteorder(">"))


LAYOUTS: dict[str, Callable[[Any], Any]] = {
    "spaced": _spaced,
    "reversed": _reversed,
    "columns_first": _columns_first,
    "read_only": _read_only,
    "big_endian": _swapped,
}
SOLID = [case for case in CASES if any(a.shape for a in case.args)]


def on_device(backend: Any, x: Any, layout: str) -> Any:
    """Lay an array out there."""
    if x.ndim == 0:
        return backend.put(x)
    if backend.backend.device == "cpu":
        return LAYOUTS[layout](x)
    there = backend.put(x)
    if layout == "columns_first":
        return backend.backend.library.asfortranarray(there)
    spread = (2 if layout == "spaced" else -1,) * x.ndim
    index = tuple(slice(None, None, step) for step in spread)
    shape = tuple(2 * n for n in x.shape) if layout == "spaced" else x.shape
    made = backend.backend.library.zeros(shape, x.dtype)[index]
    made[...] = there
    return made


@pytest.mark.parametrize("case", SOLID, ids=[case.id for case in SOLID])
def test_the_layout_changes_nothing(case, backend):
    plain = case.arguments()
    put = [backend.put(x) for x in plain]
    f = function(case, backend)
    values = [backend.fetch(t) for t in f(*map(Tensor, put))]
    wanted = gradients(case, backend, put)
    for layout in LAYOUTS:
        if backend.backend.device != "cpu" and layout in ("read_only", "big_endian"):
            continue  # there are no such arrays
        args = [on_device(backend, x, layout) for x in plain]
        for found, right in zip(f(*map(Tensor, args)), values, strict=True):
            close(backend.fetch(found), right, layout)
        for x, g, right in zip(args, gradients(case, backend, args), wanted, strict=True):
            assert g.shape == x.shape, layout
            assert g.dtype == x.dtype, layout
            close(g, right, layout)
        for x, old in zip(args, plain, strict=True):
            numpy.testing.assert_array_equal(backend.fetch(x), old, err_msg=layout)


def close(found: Any, right: Any, layout: str) -> None:
    """Compare but for rounding."""
    numpy.testing.assert_allclose(found, right, rtol=1e-12, atol=1e-13, err_msg=layout)
