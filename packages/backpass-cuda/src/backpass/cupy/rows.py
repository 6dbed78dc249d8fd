"""Kernels that reduce rows: one launch each, each element read once and each result written once.

How they do it (`row_grids`) is decided once for operands of a shape, strides, dtype and alignment;
a call that repeats looks it up.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from backpass.core.host import axes_from_0, spread_strides
from backpass.cupy.formulas import COMPUTED
from backpass.cupy.launching import Kernel
from backpass.cupy.layouts import dense_steps, layout, steps_of
from backpass.cupy.library import ndarray
from backpass.cupy.partials import workspace
from backpass.cupy.plans import Plans
from backpass.cupy.row_grids import WIDTH, Shape, place
from backpass.cupy.row_programs import Program
from backpass.cupy.row_sources import text


def _is_tuple_of_int(axis: Any) -> bool:
    return type(axis) is tuple and all(type(i) is int for i in axis)


class Plan(NamedTuple):
    """How to compute with operands of certain types and layouts.

    Attributes
    ----------
    kernel, blocks, threads
        What to launch.
    shape, dtype, order
        Of the result.
    rows
        The struct that the kernel gets.
    parts, tickets
        Bytes and counters of the workspace; 0 where every block has rows of its own.
    """

    kernel: Kernel
    blocks: int
    threads: int
    shape: tuple[int, ...]
    dtype: Any
    order: str
    rows: Any
    parts: int
    tickets: int


class Rows:
    """A kernel of the table: called with arrays, it gives an array.

    Parameters
    ----------
    name
        The name of the primitive, or of its rule.
    program
        What it computes.
    """

    __slots__ = ("_kernels", "_plans", "name", "program")

    def __init__(self, name: str, program: Program) -> None:
        self.name = name
        self.program = program
        self._kernels: dict[tuple[str, Shape], Kernel] = {}
        self._plans = Plans()

    def __repr__(self) -> str:
        return f"<CUDA kernel of rows {self.name}>"

    def __call__(
        self,
        *xs: Any,
        axis: Any = None,
        keepdims: bool = False,
        ddof: float = 0,
        **others: Any,
    ) -> Any:
        """Compute; `NotImplemented` for what is left to CuPy, or to the rule."""
        if others:
            return NotImplemented
        if not (axis is None or type(axis) is int or _is_tuple_of_int(axis)):
            return NotImplemented  # 1.0 would be found in place of 1
        key: list[Any] = [axis, keepdims, ddof]
        for x in xs:
            if type(x) is not ndarray:
                return NotImplemented
            key += (x.dtype, x.shape, x._c_contiguous or x.strides, x.data.ptr % WIDTH == 0)
        found = tuple(key)
        try:
            plan = self._plans[found]
        except KeyError:
            plan = self._plans.keep(found, self._plan(xs, axis, keepdims, ddof))
        except TypeError:  # keywords that cannot be looked up are no numbers
            return NotImplemented
        if plan is None:
            return NotImplemented
        kernel, blocks, threads, shape, dtype, order, rows, parts, tickets = plan
        ans = ndarray(shape, dtype, None, None, order)
        if parts:
            kernel.launch(blocks, threads, (*xs, ans, *workspace(parts, tickets), rows))
        else:
            kernel.launch(blocks, threads, (*xs, ans, rows))
        return ans

    def _plan(self, xs: Sequence[Any], axis: Any, keepdims: Any, ddof: Any) -> Plan | None:
        """Return the plan for operands like these; `None` for what is left to others."""
        program = self.program
        if (
            len(xs) != len(program.operands)
            or type(keepdims) is not bool
            or type(ddof) not in (int, float)
        ):
            return None
        given = {"keepdims": keepdims, "ddof": ddof}
        if any(value and name not in program.keywords for name, value in given.items()):
            return None
        dtype = xs[0].dtype
        by_name = dict(zip(program.operands, xs))
        whole = [by_name[name] for name in program.whole]
        shape = whole[0].shape
        axes = axes_from_0(axis, len(shape))
        if (
            axes is None
            or not whole[0].size
            or dtype.char not in COMPUTED
            or not dtype.isnative
            or any(x.dtype != dtype for x in xs)
            or any(x.shape != shape for x in whole)
        ):
            return None
        reduced = tuple(
            [1 if i in axes else n for i, n in enumerate(shape) if keepdims or i not in axes]
        )
        steps = []
        for name, x in by_name.items():
            own = steps_of(x)
            if own is None or (name not in program.whole and x.shape != reduced):
                return None
            if name not in program.whole:
                own = spread_strides(own, len(shape), axes, keepdims)
            steps.append(own)
        order = "F" if program.spread and whole[0]._f_contiguous else "C"
        if whole[0]._c_contiguous:
            order = "C"
        out = dense_steps(shape if program.spread else reduced, order)
        steps.append(out if program.spread else spread_strides(out, len(shape), axes, keepdims))
        found = layout(shape, axes, steps)
        if found is None:
            return None
        n, repeats = found.length, 1
        if program.repeats:
            found, repeats = found.without_repetition()
        numbers = program.numbers(n, repeats, ddof)
        if numbers is None:
            return None
        aligned = all(x.data.ptr % WIDTH == 0 for x in whole)
        placed = place(program, found, dtype, aligned)
        if placed is None:
            return None
        kernel = self._kernels.get((dtype.char, placed.shape))
        if kernel is None:
            name = "backpass_" + self.name.replace(".", "_")
            kernel = Kernel(name, text(name, program, dtype.char, placed.shape))
            self._kernels[dtype.char, placed.shape] = kernel
        return Plan(
            kernel,
            placed.blocks,
            placed.grid.threads * placed.grid.lanes,
            shape if program.spread else reduced,
            dtype,
            order,
            placed.struct(numbers),
            placed.parts,
            placed.tickets,
        )
