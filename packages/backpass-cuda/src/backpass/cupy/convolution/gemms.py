"""Products for convolutions: cuBLAS, told where each factor and the result lie.

Unlike `products`, it writes into memory that is there already, adds to what is there, and keeps
sums of half precision in float32.  Matrices are by rows, as everywhere but in cuBLAS.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from backpass.cupy import blas
from backpass.cupy.launching import THREADS
from backpass.cupy.library import library, ndarray
from backpass.cupy.products import KINDS, addresses
from backpass.cupy.strides import Strides


class Operand(NamedTuple):
    """A stack of matrices by rows.

    Attributes
    ----------
    step
        How many elements a row lies from the next.
    apart
        How many elements a matrix lies from the next; of a stack with two axes, for each.
    transposed
        Whether the product takes the transpose.
    """

    step: int
    apart: Any = 0
    transposed: bool = False


#: From the addresses of left, right and result.
Product = Callable[[int, int, int], None]

_FLOAT = 0
_ALGORITHM = -1


def product(
    dtype: Any,
    how: str,
    lengths: tuple[int, int, int],
    left: Operand,
    right: Operand,
    made: Operand,
    *,
    count: Any = 1,
    add: bool = False,
    summed: bool = False,
) -> Product:
    """Return what computes `count` products of (rows, inner) and (inner, columns).

    Two counts are a stack with two axes, whose results follow each other.

    Parameters
    ----------
    lengths
        Rows, inner and columns.
    add
        Add to what is there.
    summed
        Write float32 where the factors are halves.
    """
    rows, inner, columns = lengths
    data, computes, one, zero = KINDS[dtype.name]
    compute = computes[how]
    out = _FLOAT if summed and dtype.itemsize == 2 else data
    pointer, wide, cuda = blas.pointer, blas.wide, library.cuda
    device_id, current_stream = cuda.device.get_device_id, cuda.get_current_stream
    library_ = blas.load()
    # By columns everything is its own transpose, and the factors change places.
    y_t, x_t = int(right.transposed), int(left.transposed)
    beta = one if add else zero
    if count == 1:
        gemm, name = library_.cublasGemmEx, "cublasGemmEx"

        def call(handle: Any, x: int, y: int, to: int) -> int:
            return gemm(  # type: ignore[no-any-return]
                handle, y_t, x_t, columns, rows, inner, one, pointer(y), data, right.step,
                pointer(x), data, left.step, beta, pointer(to), out, made.step,
                compute, _ALGORITHM,
            )  # fmt: skip
    elif isinstance(count, tuple):
        gemm, name = library_.cublasGemmBatchedEx, "cublasGemmBatchedEx"
        number, size = math.prod(count), dtype.itemsize
        by = Strides(count, tuple([tuple([n * size for n in a.apart]) for a in (left, right)]))
        kernel, steps = addresses(2), by.packed()
        blocks, apart = -(-number // THREADS), made.apart * (4 if out != data else size)

        def call(handle: Any, x: int, y: int, to: int) -> int:
            found = ndarray((3, number), "uint64")
            kernel.launch(blocks, THREADS, (found, number, x, y, to, apart, steps))
            xs = found.data.ptr
            ys = xs + 8 * number
            return gemm(  # type: ignore[no-any-return]
                handle, y_t, x_t, columns, rows, inner, one, pointer(ys), data, right.step,
                pointer(xs), data, left.step, beta, pointer(ys + 8 * number), out, made.step,
                number, compute, _ALGORITHM,
            )  # fmt: skip
    else:
        gemm, name = library_.cublasGemmStridedBatchedEx, "cublasGemmStridedBatchedEx"
        x_apart, y_apart, made_apart = map(wide, (left.apart, right.apart, made.apart))

        def call(handle: Any, x: int, y: int, to: int) -> int:
            return gemm(  # type: ignore[no-any-return]
                handle, y_t, x_t, columns, rows, inner, one, pointer(y), data, right.step, y_apart,
                pointer(x), data, left.step, x_apart, beta, pointer(to), out, made.step, made_apart,
                count, compute, _ALGORITHM,
            )  # fmt: skip

    def run(x: int, y: int, to: int) -> None:
        status = call(blas.handle(device_id(), current_stream().ptr), x, y, to)
        if status:
            raise blas.failure(name, status)

    return run


__all__ = ["Operand", "Product", "product"]
