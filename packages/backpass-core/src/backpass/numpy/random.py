"""NumPy's random numbers, as Tensors.

`default_rng(seed)` makes a generator; the functions share a global state that `seed` sets.

Examples
--------
>>> import backpass.numpy as np
>>> np.random.seed(0)
>>> np.random.randn(2).shape
(2,)
"""

import numpy as _numpy
from backpass.core.ops.sampling import Generator
from backpass.core.ops.sampling import Sampling as _Sampling

_made = _Sampling(_numpy)
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
