"""Between the CPU and the GPU: single arrays, and batches that are copied while others compute.

A copy from memory that the system may move, as that of NumPy's arrays, goes through memory that it
may not: pinned memory.  `prefetch` keeps some of its own, and a stream in which nothing but its
copies runs, so that they and the computation do not wait for each other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy

from backpass.core import tree
from backpass.core.backends import backend_of_type
from backpass.core.complaints import complain
from backpass.core.tensor import Tensor
from backpass.cupy.availability import require
from backpass.cupy.faults import faults
from backpass.cupy.library import library
from backpass.cupy.memory import unsupported
from backpass.cupy.streams import refuse_capture

#: Arrays begin at multiples of so many bytes in pinned memory.
ALIGNMENT = 64


def from_host(x: Any) -> Any:
    """Copy a NumPy array or scalar to the current GPU, in the current stream."""
    cupy = require()
    refuse(x)
    try:
        return cupy.asarray(x)
    except Exception as error:
        complain(error)


def to_host(x: Any) -> Any:
    """Copy an array to the CPU, as a NumPy array; it is there when this returns.

    Raises
    ------
    ValueError
        If kernels have found labels or indices that are out of range: see `faults`.
    """
    made = require().asnumpy(x)
    faults.check()
    return made


def begin_to_host(x: Any) -> Callable[[], Any]:
    """Begin to copy an array to the CPU; return a function that waits for it.

    It waits for the copy and what came before in the current stream of the array's GPU, not for
    what has come since.
    """
    refuse_capture("a copy to the CPU")
    try:
        with library.cuda.Device(x.data.device_id):
            x = x if x.flags.c_contiguous else x.copy()
            stream = library.cuda.get_current_stream()
            # From CuPy's pool, which gives the same piece again and again.
            memory = library.cuda.alloc_pinned_memory(max(x.nbytes, 1))
            there = numpy.frombuffer(memory, x.dtype, x.size).reshape(x.shape)
            if x.size:
                x.data.copy_to_host_async(there.ctypes.data, x.nbytes, stream)
            ended = stream.record()
    except Exception as error:
        complain(error)

    def arrived() -> Any:
        ended.synchronize()
        faults.check()
        return there.copy()

    return arrived


def refuse(x: Any) -> None:
    """Raise a `TypeError` for an array of a type that a GPU does not have."""
    problem = None if getattr(x, "dtype", None) is None else unsupported(x.dtype)
    if problem is not None:
        raise problem


class Staging:
    """Pinned memory through which arrays are copied to the current GPU, one set after another."""

    def __init__(self) -> None:
        self._memory: Any = numpy.empty(0, numpy.uint8)
        self._ended: Any = None

    def send(self, arrays: Sequence[Any], stream: Any) -> list[Any]:
        """Begin to copy NumPy arrays, in a stream; what has been sent before must have arrived.

        The arrays that are returned belong to the current stream, which has to wait: `arrive`.
        """
        self.finish()
        starts, size = [], 0
        for x in arrays:
            starts.append(size)
            size += -(-x.nbytes // ALIGNMENT) * ALIGNMENT
        if size > self._memory.size:
            # Twice as much as before at least: pinned memory is slow to get.
            size = max(size, 2 * self._memory.size)
            self._memory = numpy.frombuffer(
                library.cuda.alloc_pinned_memory(size), numpy.uint8, size
            )
        made = [library.empty(x.shape, x.dtype) for x in arrays]
        # Their memory may have been used before, by what is yet to run in the current stream.
        stream.wait_event(library.cuda.get_current_stream().record())
        for x, there, start in zip(arrays, made, starts, strict=True):
            if not x.size:
                continue
            staged = self._memory[start : start + x.nbytes].view(x.dtype).reshape(x.shape)
            numpy.copyto(staged, x)
            there.data.copy_from_host_async(staged.ctypes.data, x.nbytes, stream)
        self._ended = stream.record()
        return made

    def arrive(self) -> None:
        """Let the current stream wait for what has been sent."""
        library.cuda.get_current_stream().wait_event(self._ended)

    def finish(self) -> None:
        """Wait here until what has been sent has arrived, and the memory can be written again."""
        if self._ended is not None:
            self._ended.synchronize()
            self._ended = None


def prefetch(batches: Iterable[Any], ahead: int = 2) -> Iterator[Any]:
    """Yield batches whose arrays lie on the GPU, copied there while earlier ones are computed with.

    Parameters
    ----------
    batches : iterable of trees
        Lists, tuples, dicts, dataclasses, ... of NumPy arrays.  Tensors on the CPU become Tensors
        on the GPU; numbers, arrays on the GPU and all other leaves are passed on as they are.
    ahead : int
        How many batches are under way beside the one that is yielded.  Each takes its size of the
        GPU's memory, and of pinned memory, which is used again.

    Yields
    ------
    tree
        Each batch in its structure, of the same shapes and dtypes.

    Raises
    ------
    ValueError
        If `ahead` is negative.
    TypeError
        If `batches` cannot be iterated over; and, when the batch is asked for, if an array has a
        dtype that the GPU does not have, or if a Tensor is tracked, since no gradient flows back:
        use `backpass.core.to_device` for it.
    OutOfMemory
        When the batch is asked for, if the GPU has no memory left for it.
    CaptureError
        In a function that is being captured.

    Notes
    -----
    An error of `batches` is raised when the batch is asked for that it has prevented, after all
    those before.

    The arrays belong to the GPU and to the stream that are current when a batch is asked for; ask
    for all of them in one stream, whatever the thread.  `batches` is asked in the thread that asks
    for them here.  A NumPy array may be written to as soon as the next batch has been taken from
    `batches`.

    Examples
    --------
    >>> import numpy
    >>> import backpass.cupy as cp
    >>> batches = ((numpy.full((256, 784), float(i)), i) for i in range(100))
    >>> for x, i in cp.prefetch(batches):  # doctest: +SKIP
    ...     assert float(cp.mean(x)) == i
    """
    if ahead < 0:
        raise ValueError(f"prefetch: `ahead` is {ahead}, but it must not be negative; 2 is usual")
    return _prefetched(iter(batches), ahead)


class _Batch:
    """A batch on its way."""

    def __init__(self, batch: Any, staging: Staging, stream: Any) -> None:
        leaves, self.structure = tree.flatten(batch)
        places = [i for i, x in enumerate(leaves) if _is_on_the_host(x)]
        arrays = [numpy.asarray(getattr(leaves[i], "value", leaves[i])) for i in places]
        for x in arrays:
            refuse(x)
        self.staging, self.leaves = staging, leaves
        try:
            made = staging.send(arrays, stream)
        except Exception as error:
            complain(error)
        for i, x in zip(places, made, strict=True):
            leaves[i] = Tensor(x) if isinstance(leaves[i], Tensor) else x

    def arrived(self) -> Any:
        """Return the batch, for the current stream."""
        self.staging.arrive()
        return tree.unflatten(self.structure, self.leaves)


def _is_on_the_host(x: Any) -> bool:
    """Tell whether a leaf is to be copied."""
    if not isinstance(x, Tensor):
        # Raises for masked arrays and matrices, which are no arrays for Backpass.
        return isinstance(x, numpy.ndarray) and backend_of_type(type(x)) is not None
    if x.tracked:
        raise TypeError(
            "prefetch: a Tensor of a batch is tracked, and no gradient would flow back: pass it "
            "through stop_gradient, or move it with backpass.core.to_device"
        )
    return isinstance(x.value, numpy.ndarray | numpy.generic)


def _prefetched(source: Iterator[Any], ahead: int) -> Iterator[Any]:
    """Yield the batches; errors wait in the queue for their turn, as batches do."""
    queue: deque[_Batch | Exception] = deque()
    stagings = [Staging() for _ in range(ahead + 1)]
    taken, more = 0, True
    number = library.cuda.device.get_device_id()
    stream = library.cuda.Stream(non_blocking=True)
    try:
        while True:
            refuse_capture("prefetch")
            with library.cuda.Device(number):
                while more and len(queue) <= ahead:
                    try:
                        batch = next(source)
                        queue.append(_Batch(batch, stagings[taken % len(stagings)], stream))
                        taken += 1
                    except StopIteration:
                        more = False
                    except Exception as error:
                        queue.append(error)
                        more = False
                if not queue:
                    return
                found = queue.popleft()
                if isinstance(found, Exception):
                    raise found
                arrived = found.arrived()
            yield arrived
    finally:
        # Neither pinned memory nor the arrays' may be used again before the copies have ended.
        for staging in stagings:
            staging.finish()
