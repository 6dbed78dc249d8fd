"""Integrals of what is sampled: SciPy's trapezoidal and Simpson's rules."""

from __future__ import annotations

from typing import Any

import numpy

from backpass.core.ops.differences import diff_
from backpass.core.ops.elementwise import where
from backpass.core.ops.indexing import getitem
from backpass.core.ops.linalg.matrices import library_of, over
from backpass.core.ops.padding import pad_constant
from backpass.core.ops.reductions import cumsum_, sum_
from backpass.core.ops.shaping import (
    as_operand,
    as_operand_beside,
    astype,
    broadcast_to,
    concatenate_arrays,
    flip,
    moveaxis,
    normalize_axis,
)
from backpass.core.tensor import Tensor
from backpass.core.values import as_tensors, plain

# ----- samples and the steps between them -------------------------------------------------------
#
# All is computed along the last axis.


def _along(y: Any, start: int | None, stop: int | None, step: int | None = None) -> Any:
    return getitem.op(y, index=(..., slice(start, stop, step)))


def _samples(name: str, y: Any, axis: int) -> tuple[Any, int]:
    """Return samples of floats, and their axis counted from the first."""
    y = as_operand(y)
    if not len(y.shape):
        raise ValueError(f"{name}: y must have at least one axis")
    if y.dtype.kind not in "fc":
        y = astype.op(y, dtype=float)
    return y, normalize_axis(axis, len(y.shape), name)


def _last(y: Any, axis: int) -> Any:
    """Bring an axis to the end."""
    return y if axis == len(y.shape) - 1 else moveaxis(y, axis, -1)


def _steps(name: str, y: Any, x: Any, dx: Any, axis: int, spread: bool = False) -> Any:
    """Return the steps along the last axis, or one number: `dx`.

    `spread`: coordinates of several axes are broadcast to y.

    Raises
    ------
    ValueError
        If the coordinates do not fit y.
    """
    if x is None:
        if not isinstance(dx, Tensor) and not numpy.ndim(dx):
            return dx
        dx = as_operand_beside(dx, y)
        shape = (*y.shape[:axis], y.shape[axis] - 1, *y.shape[axis + 1 :])
        return _last(broadcast_to.op(dx, shape=shape), axis) if len(dx.shape) else dx
    x = as_operand_beside(x, y)
    if x.dtype.kind not in "fc":
        x = astype.op(x, dtype=float)
    if len(x.shape) != 1:
        x = broadcast_to.op(x, shape=y.shape) if spread else x
        if len(x.shape) != len(y.shape):
            raise ValueError(
                f"{name}: x must be a vector, or have the axes of y: its shape is "
                f"{tuple(x.shape)}, that of y {tuple(y.shape)}"
            )
        x = _last(x, axis)
    if x.shape[-1] != y.shape[axis]:
        raise ValueError(
            f"{name}: x has {x.shape[-1]} points along the axis, y has {y.shape[axis]}"
        )
    return diff_.op(x)


def _fitted(made: Any, dtype: Any) -> Tensor:
    made = made if made.dtype == dtype else astype.op(made, dtype=dtype)
    return as_tensors(made)  # type: ignore[no-any-return]


# ----- trapezoids -------------------------------------------------------------------------------


def _trapezoids(y: Any, steps: Any) -> Any:
    """Return the integral between each two neighbours."""
    return steps * (_along(y, 1, None) + _along(y, None, -1)) / 2.0


def trapezoid(y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1) -> Tensor:
    """Integral of the line through samples; half of the steps beside each sample times g.

    Differentiable in y, in the coordinates x and in the step dx.

    Raises
    ------
    ValueError
        If x does not fit y.
    """
    y, axis = _samples("trapezoid", y, axis)
    steps = _steps("trapezoid", y, x, dx, axis, spread=True)
    return _fitted(sum_.op(_trapezoids(_last(y, axis), steps), axis=-1), y.dtype)


def cumulative_trapezoid(
    y: Any, x: Any = None, dx: Any = 1.0, axis: int = -1, initial: Any = None
) -> Tensor:
    """Integral of the line through samples up to each of them, the first only with `initial=0`.

    Differentiable in y, x and dx.

    Raises
    ------
    ValueError
        If x does not fit y, there is no sample, or `initial` is neither `None` nor 0.
    """
    name = "cumulative_trapezoid"
    y, axis = _samples(name, y, axis)
    if not y.shape[axis]:
        raise ValueError(f"{name}: at least one point is required along the axis")
    if initial is not None and (numpy.ndim(plain(initial)) or plain(initial) != 0):
        raise ValueError(f"{name}: initial must be None or 0, not {initial!r}")
    made = cumsum_.op(_trapezoids(_last(y, axis), _steps(name, y, x, dx, axis)), axis=-1)
    if initial is not None:
        made = pad_constant.op(made, widths=(*((0, 0),) * (len(made.shape) - 1), (1, 0)))
    return _back(made, axis)


def _back(made: Any, axis: int) -> Tensor:
    """Bring the last axis to where it was."""
    found = made if axis == len(made.shape) - 1 else moveaxis(made, -1, axis)
    return as_tensors(found)  # type: ignore[no-any-return]


# ----- parabolas --------------------------------------------------------------------------------


def _triples(y: Any, stop: int) -> list[Any]:
    """Return the first, middle and last samples of the parabolas."""
    return [_along(y, k, stop + k, 2) for k in range(3)]


def _parabolas(y: Any, steps: Any, stop: int) -> Any:
    """Return the integral of the parabolas through three samples each."""
    first, middle, last = _triples(y, stop)
    if not len(getattr(steps, "shape", ())):
        return sum_.op(first + 4.0 * middle + last, axis=-1) * (steps / 3.0)
    h, k = _along(steps, 0, stop, 2), _along(steps, 1, stop + 1, 2)
    both, ratio = h + k, over.op(h, k)
    inner = first * (2.0 - over.op(1.0, ratio)) + middle * (both * over.op(both, h * k))
    return sum_.op(both / 6.0 * (inner + last * (2.0 - ratio)), axis=-1)


def _last_interval(y: Any, steps: Any) -> Any:
    """Return the integral over the last interval, of the parabola through the last three."""
    first, middle, last = (getitem.op(y, index=(..., i)) for i in (-3, -2, -1))
    if not len(getattr(steps, "shape", ())):
        return steps / 12.0 * (5.0 * last + 8.0 * middle - first)
    h, k = (getitem.op(steps, index=(..., i)) for i in (-2, -1))
    alpha = over.op(2 * k * k + 3 * h * k, 6 * (h + k))
    beta = over.op(k * k + 3.0 * h * k, 6 * h)
    eta = over.op(k * k * k, 6 * h * (h + k))
    return alpha * last + beta * middle - eta * first


def simpson(y: Any, x: Any = None, *, dx: Any = 1.0, axis: int = -1) -> Tensor:
    """Integral of the parabolas through samples, three each; differentiable in y, x and dx.

    Of an even number of samples the last interval is that of the parabola through the last three
    (K. Cartwright, J. Math. Sci. Math. Educ. 12, 2017).

    Raises
    ------
    ValueError
        If x does not fit y, dx is not one number, or there is no sample.
    """
    y, axis = _samples("simpson", y, axis)
    n = y.shape[axis]
    if not n:
        raise ValueError("simpson: at least one point is required along the axis")
    if numpy.ndim(plain(dx)):
        raise ValueError("simpson: dx must be one number: use x for steps that differ")
    steps = _steps("simpson", y, x, dx, axis)
    kind = y.dtype
    if n > 2 and (x is not None or (n % 2 == 0 and len(y.shape) == 1)):
        # As SciPy has it.
        kind = numpy.result_type(kind, float)
        steps = steps if x is None else astype.op(steps, dtype=numpy.result_type(steps, float))
    elif x is not None:
        kind = numpy.result_type(kind, steps.dtype)
    y = _last(y, axis)
    y = y if y.dtype == kind else astype.op(y, dtype=kind)
    if n == 2:
        return _fitted(sum_.op(_trapezoids(y, steps), axis=-1), kind)
    made = _parabolas(y, steps, n - 2 if n % 2 else n - 3)
    return _fitted(made if n % 2 else made + _last_interval(y, steps), kind)


def _of_first_intervals(y: Any, steps: Any, even: bool) -> Any:
    """Return the integrals over the first interval of each three neighbours' parabola."""
    f, g, h = _along(y, None, -2), _along(y, 1, -1), _along(y, 2, None)
    one = _along(steps, None, -1)
    if even:
        return one / 3 * (5 * f / 4 + 2 * g - h / 4)
    two = _along(steps, 1, None)
    share = one / (one + two)
    both = share * (one / two)
    return one / 6 * ((3 - share) * f + (3 + both + share) * g - both * h)


def cumulative_simpson(
    y: Any, *, x: Any = None, dx: Any = 1.0, axis: int = -1, initial: Any = None
) -> Tensor:
    """Integral of the parabolas through samples up to each, the first only if `initial` is given.

    Differentiable in y, x, dx and `initial`, which is added.

    Raises
    ------
    ValueError
        If x does not fit y or does not increase, dx or `initial` is neither one number nor one for
        each line, or there is no sample.
    """
    name = "cumulative_simpson"
    y, axis = _samples(name, y, axis)
    n = y.shape[axis]
    one = (*y.shape[:axis], 1, *y.shape[axis + 1 :])
    for key, given in (("dx", dx), ("initial", initial)):
        if given is not None and numpy.shape(plain(given)) not in ((), one):
            raise ValueError(f"{name}: {key} must be one number, or have the shape {one}")
    if n < 3:
        made = _last(cumulative_trapezoid(y, x, dx, axis), axis)
    else:
        steps = _steps(name, y, x, dx, axis)
        if x is not None and bool((plain(steps) <= 0).any()):
            raise ValueError(f"{name}: x must be strictly increasing")
        y = _last(y, axis)
        if not len(getattr(steps, "shape", ())):
            steps = as_operand_beside(steps, y)
        steps = broadcast_to.op(steps, shape=(*y.shape[:-1], n - 1))
        early = _of_first_intervals(y, steps, x is None)
        from_end = [flip.op(z, axis=-1) for z in (y, steps)]
        late = flip.op(_of_first_intervals(from_end[0], from_end[1], x is None), axis=-1)
        # The first of two intervals by the parabola that begins there, the second by that which
        # ends there, and so the last.
        places = library_of(y).arange(n - 1)
        second = (places % 2 == 1) | (places == n - 2)
        by_first = concatenate_arrays([early, _along(late, -1, None)], axis=-1)
        by_second = concatenate_arrays([_along(early, None, 1), late], axis=-1)
        made = cumsum_.op(where.op(second, by_second, by_first), axis=-1)
    if initial is not None:
        start = as_operand_beside(initial, y)
        start = astype.op(start, dtype=float) if start.dtype.kind not in "fc" else start
        start = _last(broadcast_to.op(start, shape=one), axis)
        made = concatenate_arrays([start, made + start], axis=-1)
    return _back(made, axis)
