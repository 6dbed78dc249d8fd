"""A recurrence whose memory grows with the root of its length: `checkpoint_scan`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

from backpass.core import tree
from backpass.core.calls import name_of
from backpass.core.checkpoint_policies import Policy
from backpass.core.ops.shaping import array_split, concatenate, stack
from backpass.core.segments import checkpoint
from backpass.core.tensor import Tensor

#: `step(carry, x)` returns the next carry, and what is noted of this step.
Step = Callable[[Any, Any], tuple[Any, Any]]


def checkpoint_scan(
    step: Step,
    carry: Any,
    xs: Any = None,
    length: int | None = None,
    *,
    reverse: bool = False,
    segments: int | Sequence[int] | None = None,
    policy: Policy | None = None,
) -> tuple[Any, Any]:
    """Run a recurrence, `carry, y = step(carry, x)` for each x in turn; return carry and all y.

    It is `jax.lax.scan` in plain Python: `step` may branch, print, and reach Tensors outside.  The
    steps are cut into segments of about equal length, and each is a `checkpoint`.  So the backward
    pass holds one carry a segment and the inside of one segment at a time: of n steps about
    2 sqrt(n), not n, for one more run of each step.

    Parameters
    ----------
    step
        The function of one step.  It returns a pair: the next carry, and a tree of arrays that is
        noted, or `None`.  It runs twice, and must do the same both times: see `checkpoint`.
    carry
        The first carry: a tree.
    xs
        A tree of arrays with a first axis of n, or `None`; step i gets `x[i]` of each.
    length
        n, where there are no `xs`.
    reverse
        Whether the last x comes first; y[i] still belongs to x[i].
    segments
        How many there are; by default the root of n.  Several numbers cut segments again: with
        `(10, 10)`, 1000 steps are 10 segments of 100, and each of these 10 of 10 steps.  30 carries
        and insides are held then, not 63, and each step runs three times.  `k` numbers of about
        `n**(1 / (k + 1))` are best.  Each level holds the cotangents of its own of what `step`
        reaches outside, the weights: many levels are for carries that are larger than these.
    policy
        What the innermost segments keep instead of computing it again: see `checkpoint`.  It is
        kept for all segments at once with one number, and within one outer segment with several.

    Returns
    -------
    tuple
        The last carry, and the y of all steps, stacked along a new first axis.

    Raises
    ------
    ValueError
        If there are no steps, if the first axes differ, or if `segments` are less than 1.
    TypeError
        If a leaf of `xs` has no first axis, or `step` does not return a pair.

    Notes
    -----
    Sources: T. Chen, B. Xu, C. Zhang, C. Guestrin, "Training deep nets with sublinear memory cost",
    arXiv:1604.06174 (2016); A. Griewank, A. Walther, "Evaluating Derivatives", 2nd ed. (2008),
    chapter 12.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> from backpass.core import checkpoint_scan, grad
    >>> def last(w):
    ...     h, hs = checkpoint_scan(lambda h, x: (np.tanh(w * h + x), h), 0.0, np.ones(100))
    ...     return h
    >>> print(f"{grad(last)(0.5):.4f}")
    0.1974
    """
    count = _count(xs, length)
    numbers = [round(math.sqrt(count))] if segments is None else segments
    levels = (numbers,) if isinstance(numbers, int) else tuple(numbers)
    for number in levels:
        if not isinstance(number, int) or number < 1:
            raise ValueError(
                f"checkpoint_scan: segments={segments!r}: say how many, one number or several, "
                "each at least 1"
            )
    return _Scan(step, reverse, policy)(carry, xs, count, levels)


class _Scan:
    """The steps, and how they are cut."""

    def __init__(self, step: Step, reverse: bool, policy: Policy | None) -> None:
        self.step = step
        self.reverse = reverse
        self.policy = policy
        self.__name__ = name_of(step)

    def __call__(self, carry: Any, xs: Any, count: int, levels: tuple[int, ...]) -> tuple[Any, Any]:
        """Run `count` steps, cut into as many segments as `levels` says, and these again."""
        if not levels:
            return self._plainly(carry, xs, count)
        number, *inner = levels
        sizes = _sizes(count, number)
        segment = checkpoint(self, policy=None if inner else self.policy)
        parts = []
        for piece, size in self._in_order(zip(_cut(xs, sizes), sizes)):
            carry, part = segment(carry, piece, size, tuple(inner))
            parts.append(part)
        return carry, _together(concatenate, self._in_order(parts))

    def _plainly(self, carry: Any, xs: Any, count: int) -> tuple[Any, Any]:
        ys = []
        for i in self._in_order(range(count)):
            made = self.step(carry, _row(xs, i))
            if not isinstance(made, tuple | list) or len(made) != 2:
                raise TypeError(
                    f"checkpoint_scan: {self.__name__} must return a pair (carry, y), y may be "
                    f"None; it returned {type(made).__name__}"
                )
            carry, y = made
            ys.append(y)
        return carry, _together(stack, self._in_order(ys))

    def _in_order(self, items: Any) -> list[Any]:
        """Return items in the order of the steps; and back again."""
        return list(items)[:: -1 if self.reverse else 1]


def _count(xs: Any, length: int | None) -> int:
    """Return how many steps there are."""
    counts = set() if length is None else {length}
    for x in tree.leaves(xs):
        if x is None:
            continue
        shape = getattr(x, "shape", None)
        if not shape:
            raise TypeError(
                f"checkpoint_scan: xs holds {x!r}, which has no first axis to take one by one: "
                "make arrays of it, or let step reach it otherwise"
            )
        counts.add(shape[0])
    if len(counts) > 1:
        raise ValueError(
            f"checkpoint_scan: the first axes of xs and length differ: {sorted(counts)}"
        )
    if not counts:
        raise ValueError("checkpoint_scan: without xs, say how many steps there are: length=")
    (count,) = counts
    if count < 1:
        raise ValueError("checkpoint_scan: there are no steps, and so no y whose shape is known")
    return count


def _sizes(count: int, number: int) -> list[int]:
    """Return the lengths of segments, the longer ones first."""
    number = min(number, count)
    size, longer = divmod(count, number)
    return [size + 1] * longer + [size] * (number - longer)


def _cut(xs: Any, sizes: Sequence[int]) -> list[Any]:
    """Return a tree for each segment; the cotangents of the pieces are joined at once."""
    leaves, structure = tree.flatten(xs)
    ends = list(itertools.accumulate(sizes))
    pieces: list[list[Any]] = []
    for x in leaves:
        if x is None:
            pieces.append([None] * len(sizes))
        elif isinstance(x, Tensor):
            pieces.append([*array_split(x, ends[:-1])])
        else:
            pieces.append([x[end - size : end] for end, size in zip(ends, sizes)])
    return [tree.unflatten(structure, [piece[i] for piece in pieces]) for i in range(len(sizes))]


def _row(xs: Any, i: int) -> Any:
    return tree.map(lambda x: None if x is None else x[i], xs)


def _together(join: Callable[[Any], Any], ys: Sequence[Any]) -> Any:
    """Return trees as one, each leaf made of all theirs."""
    return tree.map(lambda *leaves: None if leaves[0] is None else join(leaves), *ys)
