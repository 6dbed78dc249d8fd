"""Fast kernels for NumPy arrays on the CPU.

`KERNELS` maps a function's name to its kernel: ``KERNELS["tanh"](x)`` is ``numpy.tanh(x)``, and
``KERNELS["tanh.vjp"](g, ans)`` its fused rule. A kernel returns `NotImplemented` for operands that
it does not handle, and the caller then turns to NumPy.
"""

from backpass.cpu._kernels import (
    KERNELS,
    Block,
    __version__,
    empty_cache,
    get_num_threads,
    memory_stats,
    set_num_threads,
)

__all__ = [
    "KERNELS",
    "Block",
    "__version__",
    "empty_cache",
    "get_num_threads",
    "memory_stats",
    "set_num_threads",
]
