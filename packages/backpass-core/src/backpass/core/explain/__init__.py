"""Seeing backpropagation happen: each step of a function, forward and backward."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backpass.core.explain.explanation import Explanation


def explain(
    fun: Callable[..., Any],
    argnums: int | Sequence[int] | None = None,
    *,
    has_aux: bool = False,
    holomorphic: bool = False,
) -> Callable[..., Explanation]:
    """Return a function that runs `fun`, walks back, and shows each step.

    The parameters are those of `grad`, and so are the gradients, to the last bit.  No `.grad` is
    touched, and what is tracked outside is a constant.  Rules run more than once, so that a rule
    of your own that prints does so more than once, too.

    Parameters
    ----------
    fun
        A function whose output has one element.
    argnums
        What to differentiate, as for `grad`.
    has_aux
        `fun` returns a pair (output, auxiliary data); the data are not shown.
    holomorphic
        `fun` is a holomorphic function of complex arguments.

    Returns
    -------
    function
        Of the arguments of `fun`; it returns an `Explanation`, which `print` shows in a terminal, a
        notebook by itself, and `save` writes into a file.  Forward: each operation with its
        operands, its value and the place in your code.  Backward: the cotangent that arrives, the
        local derivative as a formula and in numbers, and what each operand gets.  Arrays of more
        than 64 elements are summed up: shape, dtype, and least, mean and greatest element.

    Raises
    ------
    TypeError
        As `grad` does, in the same words.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import explain
    >>> def f(x, y):
    ...     return x * np.sin(y) + x**2
    >>> print(explain(f, (0, 1))(2.0, 0.5))
    """

    @functools.wraps(fun)
    def explained(*args: Any, **kwargs: Any) -> Explanation:
        from backpass.core.explain.explanation import Explanation
        from backpass.core.explain.tracing import trace

        found = trace(fun, argnums, args, kwargs, has_aux, holomorphic)
        return Explanation(found.name, found.variables, found.output, found.steps, found.gradients)

    return explained


__all__ = ["explain"]
