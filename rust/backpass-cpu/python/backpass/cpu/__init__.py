"""Fast kernels for NumPy arrays on the CPU.

`KERNELS` maps a function's name to its kernel: ``KERNELS["tanh"](x)`` is ``numpy.tanh(x)``, and
``KERNELS["tanh.vjp"](g, ans)`` its fused rule. A kernel returns `NotImplemented` for operands that
it does not handle, and the caller then turns to NumPy. Rules get the cotangent first and obey
strong zero: where it is exactly 0 the result is 0, even if the local derivative is infinite or nan.

Results lie in memory from a pool: their ``base`` is a `Block`. `memory_stats` counts the pool's
bytes and blocks, `empty_cache` gives idle ones back to the system. `set_num_threads` bounds the
threads of a kernel, on which results do not depend.

Examples
--------
>>> import numpy as np
>>> x = np.array([0, 4, 9], dtype=np.float32)
>>> ans = KERNELS["sqrt"](x)
>>> ans
array([0., 2., 3.], dtype=float32)
>>> KERNELS["sqrt.vjp"](np.array([0, 1, 1], dtype=np.float32), ans)
array([0.        , 0.25      , 0.16666667], dtype=float32)
>>> KERNELS["sqrt"](np.array([4, 9])) is NotImplemented
True
>>> type(ans.base) is Block
True
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
