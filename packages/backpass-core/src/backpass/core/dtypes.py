"""What a dtype holds: as NumPy's `kind` says, but bfloat16 is one of floats.

NumPy does not have bfloat16, the upper half of a float32.  `ml_dtypes` makes it a dtype, whose kind
NumPy gives as `"V"`, that of records; its character, `"E"`, is bfloat16's alone.
"""

from __future__ import annotations

from typing import Any

import numpy

#: The kinds of what may be differentiated.  What comes of something tracked is no record, and so
#: the kind alone tells there.
INEXACT = "fcV"
#: The characters of half precision.
HALVES = "eE"


def kind_of(dtype: Any) -> str:
    """Return the kind of a dtype: `"b"`, `"i"`, `"u"`, `"f"`, `"c"`, or another one of NumPy's."""
    return "f" if dtype.char == "E" else dtype.kind


def named(dtype: Any) -> Any:
    """Return a dtype; `"bfloat16"` is that of `ml_dtypes`.

    Raises
    ------
    ImportError
        If it is bfloat16, and `ml_dtypes` is not installed.
    TypeError
        If it is none.
    """
    if dtype == "bfloat16":
        try:
            from ml_dtypes import bfloat16  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            raise ImportError(
                "bfloat16 needs the package ml_dtypes, for NumPy does not have it: "
                "pip install 'backpass-core[bfloat16]'"
            ) from None
        return numpy.dtype(bfloat16)
    return numpy.dtype(dtype)


__all__ = ["HALVES", "INEXACT", "kind_of", "named"]
