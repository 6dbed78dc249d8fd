"""What the kernels use: memory, and threads.

The kernels' results lie in memory from a pool, because asking the system for it on every step costs
more than small kernels do.  Results never depend on the number of threads.
"""

from __future__ import annotations

import warnings

from backpass.core.backends import backend_on, backends
from backpass.core.extension import cpu


def memory_stats(device: str = "cpu") -> dict[str, int]:
    """Return the state of a device's memory pool.

    Arrays that NumPy itself has made are not counted.

    Parameters
    ----------
    device
        `"cpu"`; or `"cuda"`, the current GPU.

    Returns
    -------
    dict
        `"in_use"`, the bytes that arrays hold, and `"cached"`, the bytes that wait to be used
        again.  On the CPU also `"allocations"`, how often memory was asked for so far, and
        `"reused"`, how often it had been used before; all four are 0 without backpass-cpu.  On a
        GPU the pool is CuPy's, which does not count those; there are `"device_free"` and
        `"device_total"`, the bytes of the device, instead, and only they if the program has set an
        allocator that has no pool.

    Raises
    ------
    RuntimeError
        If no backend for the device is installed, or there is no GPU.

    Examples
    --------
    >>> import backpass.numpy as np
    >>> before = memory_stats()
    >>> x = np.exp(np.zeros(1000))
    >>> memory_stats()["in_use"] - before["in_use"] >= 8 * 1000
    True
    """
    return backend_on(device).memory_stats()


def empty_cache() -> None:
    """Give the memory that waits to be used again back to the system, on each device.

    The next step has to ask for it anew, which is slow: call it where memory is short, as after an
    evaluation in large batches.  The environment variable `BACKPASS_POOL_LIMIT` bounds how many
    bytes may wait on the CPU (without it, a quarter of the memory); with 0 none do.  On a GPU
    `CUPY_GPU_MEMORY_LIMIT` bounds the pool as a whole; captured graphs keep the memory they use.

    Examples
    --------
    >>> before = memory_stats()["cached"]
    >>> empty_cache()
    >>> memory_stats()["cached"] <= before
    True
    """
    for backend in backends():
        backend.empty_cache()


def get_num_threads() -> int:
    """Return how many threads a kernel may use on the CPU.

    At first it is the environment variable `BACKPASS_NUM_THREADS`, or the number of processors that
    the process may use, at most 64.  Without backpass-cpu it is 1: NumPy has settings of its own.

    Examples
    --------
    >>> get_num_threads() >= 1
    True
    """
    return 1 if cpu is None else int(cpu.get_num_threads())


def set_num_threads(n: int) -> None:
    """Let each kernel use up to `n` threads on the CPU, from now on and in all Python threads.

    Results do not depend on it, to the last bit.  Several processes, or Python threads, that
    compute at once share the processors best with `n` of 1.

    Parameters
    ----------
    n
        From 1 to 64; the thread that calls a kernel is one of them.

    Raises
    ------
    ValueError
        If `n` is out of range.
    TypeError
        If `n` is no whole number.

    Warns
    -----
    RuntimeWarning
        Without backpass-cpu: nothing is set.

    Examples
    --------
    >>> before = get_num_threads()
    >>> set_num_threads(1)
    >>> get_num_threads()
    1
    >>> set_num_threads(before)
    """
    if cpu is not None:
        cpu.set_num_threads(n)
        return
    warnings.warn(
        f"set_num_threads({n!r}) does nothing: backpass-cpu is not loaded, and NumPy's threads are "
        "set by its own means (OPENBLAS_NUM_THREADS)",
        RuntimeWarning,
        stacklevel=2,
    )
