"""Diagonal matrices along the last axes: a function of HIPS autograd that NumPy does not have."""

from __future__ import annotations

from typing import Any

import numpy

from backpass.core.backends import backend_of
from backpass.core.ops.indexing import setitem
from backpass.core.values import plain


def make_diagonal(D: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Put the last axis on the diagonal of square matrices; the diagonal of g flows back.

    Raises
    ------
    NotImplementedError
        If the arguments are not `offset=0, axis1=-1, axis2=-2`, as HIPS autograd has it.

    Examples
    --------
    >>> make_diagonal(numpy.array([1.0, 2.0]), axis1=-1, axis2=-2)
    array([[1., 0.],
           [0., 2.]])
    """
    if (offset, axis1, axis2) != (0, -1, -2):
        raise NotImplementedError("make_diagonal: only offset=0, axis1=-1, axis2=-2")
    D = D if hasattr(D, "dtype") else numpy.asarray(D)
    xp = backend_of((plain(D),)).library
    n = D.shape[-1]
    along = xp.arange(n)
    return setitem.op(xp.zeros((*D.shape, n), D.dtype), D, index=(..., along, along))
