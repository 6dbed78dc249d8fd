"""Checking derivatives against differences, called as HIPS autograd's are."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy

from backpass.autograd.plain import getval
from backpass.autograd.vspaces import vspace
from backpass.autograd.wrap_util import Argnum, Function, unary_to_nary
from backpass.core import testing, tree


@unary_to_nary
def check_grads(f: Function, x: Any, modes: Sequence[str] = ("fwd", "rev"), order: int = 2) -> None:
    """Return a function that checks the derivatives of `f` at its arguments.

    See `backpass.core.testing.check_grads`, which does the work.

    Raises
    ------
    AssertionError
        If a derivative is off.

    Examples
    --------
    >>> import backpass.autograd.numpy as np
    >>> check_grads(lambda x, y: np.sin(x) * y, (0, 1), modes=["rev"])(0.3, np.ones(2))
    """
    testing.check_grads(f, (x,), order=order, modes=tuple(modes))


def check_vjp(f: Function, x: Any) -> None:
    """Check reverse mode, to first order."""
    testing.check_grads(f, (x,), order=1, modes=("rev",))


def check_jvp(f: Function, x: Any) -> None:
    """Check forward mode, to first order."""
    testing.check_grads(f, (x,), order=1, modes=("fwd",))


def check_equivalent(x: Any, y: Any) -> None:
    """Check that two values are of one structure, and equal up to 1e-6.

    Raises
    ------
    AssertionError
        If they are not.
    """
    if vspace(x) != vspace(y):
        raise AssertionError(f"not of one vector space: {vspace(x)} and {vspace(y)}")
    for a, b in zip(tree.leaves(getval(x)), tree.leaves(getval(y))):
        numpy.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-6)


def combo_check(
    fun: Function, argnum: Argnum = 0, *options: Any, **named: Any
) -> Callable[..., None]:
    """Return a function of lists of arguments that checks `fun` at every combination of them.

    The other parameters are those of `check_grads`.

    Examples
    --------
    >>> import backpass.autograd.numpy as np
    >>> combo_check(np.sum, 0, order=1)([np.ones(2), np.ones((2, 3))], axis=[None, 0])
    """

    def check(*args: Sequence[Any], **kwargs: Sequence[Any]) -> None:
        choices = [[(name, x) for x in xs] for name, xs in kwargs.items()]
        for chosen in itertools.product(*args):
            for keywords in itertools.product(*choices):
                check_grads(fun, argnum, *options, **named)(*chosen, **dict(keywords))

    return check


__all__ = ["check_equivalent", "check_grads", "check_jvp", "check_vjp", "combo_check"]
