"""`draw`: the graph of a function or of a Tensor as a picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from backpass.core.tensor import Tensor

if TYPE_CHECKING:
    from backpass.core.explain.model import Trace
    from backpass.core.explain.pictures import Picture


def draw(target: Tensor | Trace | Callable[..., Any], /, *args: Any, **kwargs: Any) -> Picture:
    r"""Return a picture of a graph: a notebook shows it, `save` writes it into a file.

    Parameters
    ----------
    target
        A function, which is run on the arguments that follow and differentiated as by `grad`; or
        what `explain` returned, which can name the arguments to be differentiated; or a tracked
        Tensor, whose graph is looked at and not freed.  A Tensor's graph knows only those values
        that its rules need, and no names; the gradients are those of the sum of its elements.
    args, kwargs
        The function's arguments.

    Returns
    -------
    Picture
        Boxes with values and gradients, as SVG, PNG, DOT or Mermaid.

    Raises
    ------
    TypeError
        If `target` is none of these, or there are arguments for something that is not called; and
        as `grad` does.
    ValueError
        If a Tensor is not tracked.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import draw
    >>> picture = draw(lambda x: np.sin(x) * x, 2.0)
    >>> picture
    <Picture: Graph of <lambda>, 3 boxes>
    >>> print(picture.dot().splitlines()[3])
      n0 [label="x\nvalue 2.0\ngrad 0.0770038", fillcolor="#e3edfd", color="#3b6fc4"];
    """
    from backpass.core.explain import explain
    from backpass.core.explain.model import Trace
    from backpass.core.explain.pictures import Picture
    from backpass.core.explain.pictures.recorded import trace_of

    if not isinstance(target, Tensor | Trace):
        if not callable(target):
            raise TypeError(
                f"draw(): target is a {type(target).__name__}: it must be a function, followed by "
                "its arguments, a tracked Tensor, or what explain(f)(x) returns"
            )
        return Picture(explain(target)(*args, **kwargs))
    if args or kwargs:
        raise TypeError(
            f"draw(): arguments are given, but target is a {type(target).__name__}, which is not "
            "called: leave them out, or pass the function"
        )
    return Picture(trace_of(target) if isinstance(target, Tensor) else target)


__all__ = ["draw"]
