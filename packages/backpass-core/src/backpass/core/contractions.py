"""Einstein sums of two operands as matrix products: a kernel made of compiled ones.

NumPy sums products one by one, and CuPy's product cannot be part of a CUDA graph.  Here the labels
are sorted into four groups: those of the stack (in both operands and the output), those summed over
(in both operands), and the rows and columns (in one operand and the output).  Transposed views then
make a stack of matrix products of the sum, whose kernel reads them as they lie.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

Kernel = Callable[..., Any]

#: Below so many multiplications for each of many small products, NumPy's loop is faster.
SMALL = 128


@dataclass(frozen=True)
class Plan:
    """How to lay out the operands of a sum of two.

    Attributes
    ----------
    swapped
        Whether the second operand gives the rows.
    sums
        Axes of each operand that are summed first: their labels are nowhere else.
    orders
        The order of each operand's axes: the stack, the rows, the axes summed over; the stack, the
        axes summed over, the columns. Empty where it is right already.
    stack, rows, inside, columns
        How many labels are in each group.
    plain
        Whether it is a product of a matrix or vector and another.
    last
        The order of the result's axes in the output; `None` where it is right already.
    """

    swapped: bool
    sums: tuple[tuple[int, ...], tuple[int, ...]]
    orders: tuple[tuple[int, ...], tuple[int, ...]]
    stack: int
    rows: int
    inside: int
    columns: int
    plain: bool
    last: tuple[int, ...] | None


@functools.lru_cache(1024)
def plan(left: str, right: str, output: str) -> Plan:
    """Return the plan for a sum; no label may be twice in one operand."""
    both = set(left) & set(right)
    stack = "".join(c for c in output if c in both)
    swapped = False
    for swapped in (False, True):
        x, y = (right, left) if swapped else (left, right)
        rows = "".join(c for c in output if c in x and c not in both)
        columns = "".join(c for c in output if c in y and c not in both)
        if stack + rows + columns == output:
            break
    made = stack + rows + columns
    inside = "".join(c for c in x if c in both and c not in output)
    sums = tuple(
        tuple(i for i, c in enumerate(term) if c not in both and c not in output) for term in (x, y)
    )
    kept = ["".join(c for i, c in enumerate(t) if i not in s) for t, s in zip((x, y), sums)]
    orders = tuple(
        () if term == order else tuple(map(term.index, order))
        for term, order in zip(kept, (stack + rows + inside, stack + inside + columns))
    )
    last = None if made == output else tuple(map(made.index, output))
    return Plan(
        swapped,
        sums,  # type: ignore[arg-type]
        orders,  # type: ignore[arg-type]
        len(stack),
        len(rows),
        len(inside),
        len(columns),
        not stack and len(inside) == 1 and len(rows) <= 1 and len(columns) <= 1,
        last,
    )


def _laid_out(x: Any, sums: tuple[int, ...], order: tuple[int, ...]) -> Any:
    if sums:
        x = x.sum(sums)
    return x.transpose(*order) if order else x


def contractions(
    compiled: Mapping[str, Kernel],
    array: type[Any] = numpy.ndarray,
    contiguous: Kernel = numpy.ascontiguousarray,
    dtypes: str = "fd",
    small: int = SMALL,
) -> dict[str, Kernel]:
    """Return the kernel of `einsum`, on the compiled products; none where there are none.

    Parameters
    ----------
    compiled
        Kernels, among them `matmul` and `multiply`.
    array
        The type of the operands.
    contiguous
        Gives an array in C order.
    dtypes
        The characters of the dtypes that are worth it.
    small
        Below so many multiplications each, many products are left to the library.
    """
    if "matmul" not in compiled:
        return {}
    matmul, multiply = compiled["matmul"], compiled["multiply"]

    def einsum(*xs: Any, inputs: Sequence[str], output: str, optimize: Any = False) -> Any:
        """Sum products of two operands over labelled axes."""
        if len(xs) != 2:
            return NotImplemented
        a, b = xs
        if type(a) is not array or type(b) is not array:
            return NotImplemented
        if a.dtype != b.dtype or a.dtype.char not in dtypes:
            return NotImplemented
        sorted_ = plan(inputs[0], inputs[1], output)
        if sorted_.swapped:
            a, b = b, a
        a = _laid_out(a, sorted_.sums[0], sorted_.orders[0])
        b = _laid_out(b, sorted_.sums[1], sorted_.orders[1])
        if sorted_.plain:
            # Lengths of 1 that would be spread are refused, as those that do not fit.
            return matmul(a, b)
        depth, rows, inside = sorted_.stack, sorted_.rows, sorted_.inside
        stack, tall = a.shape[:depth], a.shape[depth : depth + rows]
        summed, wide = a.shape[depth + rows :], b.shape[depth + inside :]
        if b.shape[: depth + inside] != stack + summed:
            return NotImplemented  # lengths of 1 are spread, or do not fit
        if not inside and not (rows and sorted_.columns):
            shape = stack + tall if rows else stack + (1,) * sorted_.columns
            made = multiply(a.reshape(shape), b.reshape(stack + (1,) * rows + wide))
        else:
            m, k, n = math.prod(tall), math.prod(summed), math.prod(wide)
            if depth and m * k * n < small:
                return NotImplemented
            made = matmul(a.reshape((*stack, m, k)), b.reshape((*stack, k, n)))
            if made is not NotImplemented:
                made = made.reshape(stack + tall + wide)
        if made is NotImplemented:
            return made
        if sorted_.last is not None:
            made = made.transpose(*sorted_.last)
        return contiguous(made) if output else made[()]

    return {"einsum": einsum}
