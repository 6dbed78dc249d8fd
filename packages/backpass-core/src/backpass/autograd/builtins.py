"""Python's `isinstance`, `type` and containers for differentiated values.

Lists, tuples and dicts stay what they are while they are differentiated, so that Python's own
serve; `isinstance` and `type` look at the value that a Tensor holds.
"""

from __future__ import annotations

import builtins
from builtins import dict, list, tuple  # noqa: UP029 - to export them
from typing import Any

from backpass.autograd.plain import getval


def isinstance(x: Any, kind: Any) -> bool:
    """Tell whether `x`, or the value of the Tensor `x`, is an instance of `kind`.

    Examples
    --------
    >>> from backpass.autograd import grad
    >>> grad(lambda x: x * x if isinstance(x, float) else x)(3.0)
    np.float64(6.0)
    """
    return builtins.isinstance(x, kind) or builtins.isinstance(getval(x), kind)


def type(x: Any) -> builtins.type[Any]:
    """Return the type of `x`, or of the value of the Tensor `x`.

    Examples
    --------
    >>> type([1.0])
    <class 'list'>
    """
    return builtins.type(getval(x))


__all__ = ["dict", "isinstance", "list", "tuple", "type"]
