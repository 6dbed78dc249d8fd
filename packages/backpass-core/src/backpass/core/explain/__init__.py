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

    Notes
    -----
    Where an operation is elementwise its formula is `rules.expression`'s: the rule, run on symbols.
    Other rules are watched while they run on the values of the call.  Either way it is the rule
    itself, with its letters replaced and whole numbers calculated.  A rule that is longer than a
    line is told in words.

    `v1`, `v2`, ... are intermediate results, and `dv1` is the cotangent of `v1`: the derivative of
    the output with respect to it (A. Griewank, A. Walther, "Evaluating Derivatives", 2008).

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import explain
    >>> def f(x, y):
    ...     return x * np.sin(y) + x**2
    >>> print(explain(f, (0, 1))(2.0, 0.5))
    f: 4 operations, output v4 = 4.95885. Going backward, dx is the derivative of the output with
    respect to x.
    <BLANKLINE>
    Forward
      x = 2.0
      y = 0.5
      v1 = sin(y) = 0.479426                      # line 2: np.sin(y)
      v2 = x * v1 = 0.958851                      # line 2: x * np.sin(y)
      v3 = x ** 2 = 4.0                           # line 2: x**2
      v4 = v2 + v3 = 4.95885                      # line 2: x * np.sin(y) + x**2
    <BLANKLINE>
    Backward
      v4 = v2 + v3, dv4 = 1.0
        dv2 = dv4 = 1.0
        dv3 = dv4 = 1.0
      v3 = x ** 2, dv3 = 1.0
        dx = dv3 * 2 * x = 1.0 * 4.0 = 4.0
      v2 = x * v1, dv2 = 1.0
        dx += dv2 * v1 = 1.0 * 0.479426 = 0.479426, in all 4.47943
        dv1 = dv2 * x = 1.0 * 2.0 = 2.0
      v1 = sin(y), dv1 = 2.0
        dy = dv1 * cos(y) = 2.0 * 0.877583 = 1.75517
    <BLANKLINE>
    Gradient
      dx = 4.47943
      dy = 1.75517
    """

    @functools.wraps(fun)
    def explained(*args: Any, **kwargs: Any) -> Explanation:
        from backpass.core.explain.explanation import Explanation
        from backpass.core.explain.tracing import trace

        found = trace(fun, argnums, args, kwargs, has_aux, holomorphic)
        return Explanation(found.name, found.variables, found.output, found.steps, found.gradients)

    return explained


__all__ = ["explain"]
