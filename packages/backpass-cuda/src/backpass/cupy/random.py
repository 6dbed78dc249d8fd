"""CuPy's random numbers, as Tensors: drawn on the GPU.

`default_rng(seed)` makes a generator; the functions share a global state that `seed` sets.

Examples
--------
>>> import backpass.cupy as cp
>>> cp.random.randn(784, 200).shape  # doctest: +SKIP
(784, 200)
"""

from backpass.core.ops.sampling import Generator
from backpass.core.ops.sampling import Sampling as _Sampling
from backpass.cupy.library import library as _library

_made = _Sampling(_library)
choice = _made.choice
default_rng = _made.default_rng
normal = _made.normal
permutation = _made.permutation
rand = _made.rand
randint = _made.randint
randn = _made.randn
random = _made.random
seed = _made.seed
shuffle = _made.shuffle
standard_normal = _made.standard_normal
uniform = _made.uniform

__all__ = [
    "Generator",
    "choice",
    "default_rng",
    "normal",
    "permutation",
    "rand",
    "randint",
    "randn",
    "random",
    "seed",
    "shuffle",
    "standard_normal",
    "uniform",
]
