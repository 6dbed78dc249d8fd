"""Matrix products on the GPU, by cuBLAS: one launch, without copies of transposed operands.

cuBLAS stores matrices by columns.  Read so, an array in C order is its own transpose, and the
product of the transposes in the other order, (x y)^T = y^T x^T, lies in memory as x y in C order.
So y is cuBLAS's first factor and x its second, each as it is or transposed, and rows may lie any
distance apart.  The rules read transposes by the same means, without making a view.

What a product needs to know besides addresses is found once for each kind of operands, and kept.
"""

from __future__ import annotations

import ctypes
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy

from backpass.cupy import blas, precision
from backpass.cupy.launching import THREADS, Kernel
from backpass.cupy.library import library, ndarray
from backpass.cupy.plans import Plans
from backpass.cupy.strides import Strides

#: Lengths and distances from here on take cuBLAS's routines of 64 bits.
WIDE = 2**31

#: From two arrays to their product, or `NotImplemented`.
Plan = Callable[[Any, Any], Any]
#: From a handle and the addresses of x, y and the result to cuBLAS's status.
Launch = Callable[[Any, int, int, int], int]


class Kind(NamedTuple):
    """A dtype in cuBLAS's terms: of the data, of sums by precision, and 1 and 0 as factors."""

    data: int
    compute: dict[str, int]
    one: Any
    zero: Any


def _factors(kind: type) -> tuple[Any, Any]:
    # The imaginary parts are read where the data are complex.
    return ctypes.byref((kind * 2)(1, 0)), ctypes.byref((kind * 2)(0, 0))  # type: ignore[operator]


#: CUBLAS_COMPUTE_32F, _32F_FAST_TF32 and _64F.
_IN_SINGLE, _IN_TF32 = {"highest": 68, "tf32": 68}, {"highest": 68, "tf32": 77}
_IN_DOUBLE = {"highest": 70, "tf32": 70}
_SINGLE, _DOUBLE = _factors(ctypes.c_float), _factors(ctypes.c_double)
#: By the dtype's name; the numbers are CUDA_R_16F and the like.
KINDS = {
    "float16": Kind(2, _IN_SINGLE, *_SINGLE),
    "bfloat16": Kind(14, _IN_SINGLE, *_SINGLE),
    "float32": Kind(0, _IN_TF32, *_SINGLE),
    "float64": Kind(1, _IN_DOUBLE, *_DOUBLE),
    "complex64": Kind(4, _IN_TF32, *_SINGLE),
    "complex128": Kind(5, _IN_DOUBLE, *_DOUBLE),
}
#: CUBLAS_GEMM_DEFAULT: cuBLAS chooses the kernel.
_ALGORITHM = -1
_ADDRESS = numpy.dtype("uint64")


# ----- layouts -----------------------------------------------------------------------------------


class Factor(NamedTuple):
    """An operand as a stack of matrices: lengths and steps, in elements.

    A vector is a matrix of one row on the left, and of one column on the right.
    """

    stack: tuple[int, ...]
    stack_steps: tuple[int, ...]
    rows: int
    columns: int
    row_step: int
    column_step: int

    def transposed(self) -> Factor:
        """Return the stack of the transposes."""
        return self._replace(
            rows=self.columns,
            columns=self.rows,
            row_step=self.column_step,
            column_step=self.row_step,
        )

    def stored(self) -> tuple[int, int] | None:
        """Return how cuBLAS reads a matrix: whether transposed, and the leading dimension.

        `None` if elements lie next to each other neither in rows nor in columns.
        """
        rows, columns, down, right = self[2:]
        if (right == 1 or columns == 1) and (down >= columns or rows == 1):
            return 0, columns if rows == 1 else down
        if (down == 1 or rows == 1) and (right >= rows or columns == 1):
            return 1, rows if columns == 1 else right
        return None


def factor(x: Any, left: bool) -> Factor:
    """Return an operand of a product as a stack of matrices."""
    shape, steps = x.shape, tuple([stride // x.itemsize for stride in x.strides])
    if len(shape) == 1:
        (n,), (step,) = shape, steps
        return Factor((), (), 1, n, n, step) if left else Factor((), (), n, 1, step, n)
    return Factor(shape[:-2], steps[:-2], *shape[-2:], *steps[-2:])


class Axis(NamedTuple):
    """An axis of the stack of products: its length, and the steps of both operands."""

    length: int
    left: int
    right: int


def stack_axes(left: Factor, right: Factor) -> tuple[tuple[int, ...], list[Axis]] | None:
    """Return the shape of the stack, and its axes: those passed in one stride are one.

    `None` if the shapes do not fit.
    """
    shape: list[int] = []
    axes: list[Axis] = []
    count = max(len(left.stack), len(right.stack))
    for i in range(-count, 0):
        lengths, steps = [], []
        for one in (left, right):
            own = -i <= len(one.stack)
            lengths.append(one.stack[i] if own else 1)
            steps.append(one.stack_steps[i] if own and one.stack[i] != 1 else 0)
        if lengths[0] != lengths[1] and 1 not in lengths:
            return None
        n = lengths[1] if lengths[0] == 1 else lengths[0]
        shape.append(n)
        if n == 1:
            continue
        if axes and axes[-1].left == steps[0] * n and axes[-1].right == steps[1] * n:
            axes[-1] = Axis(axes[-1].length * n, *steps)
        else:
            axes.append(Axis(n, *steps))
    return tuple(shape), axes


def below_each_other(left: Factor, axes: list[Axis]) -> Factor:
    """Return the left operand with the matrices of inner axes below each other, as one.

    That is possible for axes along which the right operand stays the same, and the rows go on in
    equal steps; such axes are taken off the list.
    """
    while axes and not axes[-1].right:
        n, step, _ = axes[-1]
        tall = left._replace(rows=left.rows * n, row_step=step if left.rows == 1 else left.row_step)
        if (left.rows != 1 and step != left.rows * left.row_step) or tall.stored() is None:
            break
        axes.pop()
        left = tall
    return left


# ----- launching ---------------------------------------------------------------------------------


class Task(NamedTuple):
    """A stack of products, as cuBLAS is told of it: three ways to launch it.

    Numbers go to cuBLAS as `integer` makes them.  All that does not change is made beforehand, and
    may be read by several threads; addresses are made anew for each call.
    """

    kind: Kind
    compute: int
    left: Factor
    right: Factor
    axes: list[Axis]
    itemsize: int

    @property
    def number(self) -> int:
        """How many products there are."""
        return math.prod(axis.length for axis in self.axes)

    @property
    def size(self) -> int:
        """How many elements a product has."""
        return self.left.rows * self.right.columns

    def launcher(self) -> tuple[str, Launch]:
        """Return the name of cuBLAS's routine, and what calls it."""
        if not self.axes:
            name, make = "cublasGemmEx", self._single
        elif len(self.axes) == 1 and min(self.axes[0]) >= 0:
            name, make = "cublasGemmStridedBatchedEx", self._strided
        else:
            name, make = "cublasGemmBatchedEx", self._addressed
        integer: Callable[[int], Any] = int
        if max(*self._numbers(int), self.number) >= WIDE:
            name, integer = f"{name}_64", blas.wide
        return name, make(getattr(blas.load(), name), integer)

    def _numbers(self, integer: Callable[[int], Any]) -> tuple[Any, ...]:
        """Return what all routines are told: lengths, and of y and x, whether transposed, step."""
        read = self.right.stored(), self.left.stored()
        (y_transposed, y_step), (x_transposed, x_step) = read  # type: ignore[misc]
        lengths = self.right.columns, self.left.rows, self.left.columns
        return (y_transposed, x_transposed, *map(integer, (*lengths, y_step, x_step)))

    def _single(self, gemm: Any, integer: Callable[[int], Any]) -> Launch:
        """Compute one product."""
        y_t, x_t, m, n, k, y_step, x_step = self._numbers(integer)
        (data, _, one, zero), compute, pointer = self.kind, self.compute, blas.pointer

        def launch(handle: Any, x: int, y: int, ans: int) -> int:
            return gemm(  # type: ignore[no-any-return]
                handle, y_t, x_t, m, n, k, one, pointer(y), data, y_step, pointer(x), data, x_step,
                zero, pointer(ans), data, m, compute, _ALGORITHM,
            )  # fmt: skip

        return launch

    def _strided(self, gemm: Any, integer: Callable[[int], Any]) -> Launch:
        """Compute products whose operands follow each other at equal distances."""
        y_t, x_t, m, n, k, y_step, x_step = self._numbers(integer)
        (data, _, one, zero), compute, pointer = self.kind, self.compute, blas.pointer
        x_next, y_next, ans_next = map(blas.wide, (*self.axes[0][1:], self.size))
        count = integer(self.number)

        def launch(handle: Any, x: int, y: int, ans: int) -> int:
            return gemm(  # type: ignore[no-any-return]
                handle, y_t, x_t, m, n, k, one, pointer(y), data, y_step, y_next,
                pointer(x), data, x_step, x_next, zero, pointer(ans), data, m, ans_next,
                count, compute, _ALGORITHM,
            )  # fmt: skip

        return launch

    def _addressed(self, gemm: Any, integer: Callable[[int], Any]) -> Launch:
        """Compute products whose operands lie anywhere: a launch before finds their addresses."""
        y_t, x_t, m, n, k, y_step, x_step = self._numbers(integer)
        (data, _, one, zero), compute, pointer = self.kind, self.compute, blas.pointer
        count, total, ans_next = self.number, integer(self.number), self.size * self.itemsize
        by = Strides(
            tuple([axis.length for axis in self.axes]),
            tuple([tuple([axis[i] * self.itemsize for axis in self.axes]) for i in (1, 2)]),
        )
        kernel, blocks, steps = addresses(len(self.axes)), -(-count // THREADS), by.packed()

        def launch(handle: Any, x: int, y: int, ans: int) -> int:
            found = ndarray((3, count), _ADDRESS)
            kernel.launch(blocks, THREADS, (found, count, x, y, ans, ans_next, steps))
            xs = found.data.ptr
            ys = xs + 8 * count
            return gemm(  # type: ignore[no-any-return]
                handle, y_t, x_t, m, n, k, one, pointer(ys), data, y_step, pointer(xs), data,
                x_step, zero, pointer(ys + 8 * count), data, m, total, compute, _ALGORITHM,
            )  # fmt: skip

        return launch


@functools.cache
def addresses(axes: int) -> Kernel:
    """Return the kernel that writes down where each x, y and result of a stack begins."""
    struct = Strides((0,) * axes, ((0,) * axes,) * 2).struct
    return Kernel(
        "addresses_of_matrices",
        f"""{struct}

extern "C" __global__ void addresses_of_matrices(
    unsigned long long* found, long long count, unsigned long long x, unsigned long long y,
    unsigned long long ans, long long next, Strides by
) {{
    const long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= count) return;
    long long rest = i;
    #pragma unroll
    for (int axis = {axes - 1}; axis >= 0; --axis) {{
        const long long place = rest % by.lengths[axis];
        rest /= by.lengths[axis];
        x += place * by.steps[0][axis];
        y += place * by.steps[1][axis];
    }}
    found[i] = x;
    found[count + i] = y;
    found[2 * count + i] = ans + i * next;
}}
""",
    )


# ----- plans -------------------------------------------------------------------------------------

#: Turns two arrays into the factors of a product; `None` for what is declined.
Arrangement = Callable[[Any, Any], tuple[Factor, Factor] | None]


def _plan(x: Any, y: Any, arrange: Arrangement, product: Plan, how: str) -> Plan:
    """Return the plan for operands like these."""
    kind = KINDS.get(x.dtype.name) if x.dtype.isnative else None
    if kind is None or x.dtype != y.dtype or not x.ndim or not y.ndim or blas.load() is None:
        return _decline
    factors = arrange(x, y)
    found = factors and stack_axes(*factors)
    if factors is None or found is None or factors[0].columns != factors[1].rows:
        return _decline
    left, right = factors
    stack, axes = found
    rows, columns = (left.rows,) * (x.ndim > 1), (right.columns,) * (y.ndim > 1)
    shape, dtype = (*stack, *rows, *columns), x.dtype
    if not x.size or not y.size:  # no elements, or sums of no terms
        return lambda x, y: library.zeros(shape, dtype)
    if any(n > 1 and step % x.itemsize for a in (x, y) for n, step in zip(a.shape, a.strides)):
        return _decline
    again = [a.stored() is None for a in factors]
    if any(again):
        return lambda x, y: product(*[_copy(a) if b else a for a, b in zip((x, y), again)])
    left = below_each_other(left, axes)
    task = Task(kind, kind.compute[how], left, right, axes, x.itemsize)
    return _computing(*task.launcher(), shape, dtype)


def _decline(x: Any, y: Any) -> Any:
    return NotImplemented


def _copy(x: Any) -> Any:
    """Copy into C order; what is spread over a stack stays so."""
    once = tuple([slice(None if step else 1) for step in x.strides[:-2]])
    made = x[once].copy()
    return made if made.shape == x.shape else library.broadcast_to(made, x.shape)


def _computing(routine: str, launch: Launch, shape: tuple[int, ...], dtype: Any) -> Plan:
    """Return the plan of a product that is launched so."""
    cuda, handle = library.cuda, blas.handle
    device_id, current_stream = cuda.device.get_device_id, cuda.get_current_stream

    def compute(x: Any, y: Any) -> Any:
        there, other, device = x.data, y.data, device_id()
        if there.device_id != device or other.device_id != device:
            return NotImplemented
        ans = ndarray(shape, dtype)
        at = handle(device, current_stream().ptr)
        status = launch(at, there.ptr, other.ptr, ans.data.ptr)
        if status:
            raise blas.failure(routine, status, (x, y))
        return ans

    return compute


# ----- the kernels -------------------------------------------------------------------------------


def _as_they_are(x: Any, y: Any) -> tuple[Factor, Factor]:
    return factor(x, True), factor(y, False)


def _vectors_and_matrices(x: Any, y: Any) -> tuple[Factor, Factor] | None:
    return None if x.ndim > 2 or y.ndim > 2 else _as_they_are(x, y)


# The rules of matmul and dot, where neither operand was a vector that needs an axis of its own.
def _right_transposed(g: Any, y: Any) -> tuple[Factor, Factor] | None:
    if y.ndim < 2 or 2 < y.ndim == g.ndim + 1:
        return None
    return factor(g, True), factor(y, False).transposed()


def _left_transposed(x: Any, g: Any) -> tuple[Factor, Factor] | None:
    if x.ndim < 2 or (g.ndim < x.ndim and x.ndim > 2):
        return None
    return factor(x, True).transposed(), factor(g, False)


def product_of(arrange: Arrangement, doc: str) -> Plan:
    """Return a kernel that multiplies two arrays, arranged so."""
    plans = Plans()

    def product(x: Any, y: Any) -> Any:
        if type(x) is not ndarray or type(y) is not ndarray:
            return NotImplemented
        how = precision.current
        key = (
            x.dtype, x.shape, x._c_contiguous or x.strides,
            y.dtype, y.shape, y._c_contiguous or y.strides, how,
        )  # fmt: skip
        plan = plans.get(key)
        if plan is None:
            plan = plans.keep(key, _plan(x, y, arrange, product, how))
        return plan(x, y)

    product.__doc__ = doc
    return product


matmul = product_of(_as_they_are, "Multiply matrices, vectors and stacks of matrices.")
dot = product_of(_vectors_and_matrices, "Multiply vectors and matrices.")
_pull_x = product_of(_right_transposed, "Multiply the cotangent by y, transposed.")
_pull_y_of = product_of(_left_transposed, "Multiply x, transposed, by the cotangent.")


def _pull_y(g: Any, x: Any) -> Any:
    """Multiply x, transposed, by the cotangent."""
    return _pull_y_of(x, g)


KERNELS: dict[str, Plan] = {
    "matmul": matmul,
    "matmul.vjp0": _pull_x,
    "matmul.vjp1": _pull_y,
    "dot": dot,
    "dot.vjp0": _pull_x,
    "dot.vjp1": _pull_y,
}
