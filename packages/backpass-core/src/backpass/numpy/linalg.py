"""Linear algebra, differentiable, on whichever device the operands lie.

Where NumPy gives named tuples, so do these functions, of Tensors.

Examples
--------
>>> import backpass.numpy as np
>>> from backpass.core import grad
>>> from backpass.numpy import linalg
>>> grad(linalg.det)(np.array([[1.0, 2.0], [2.0, 4.0]]))
array([[ 4., -2.],
       [-2.,  1.]])
>>> linalg.eigh(np.array([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
Tensor([1., 2.])
"""

from backpass.core.ops.linalg.decompositions import cholesky, qr
from backpass.core.ops.linalg.determinants import det, slogdet
from backpass.core.ops.linalg.eigen import eig, eigh, eigvals, eigvalsh
from backpass.core.ops.linalg.least_squares import lstsq, pinv
from backpass.core.ops.linalg.norms import cond, matrix_norm, norm, vector_norm
from backpass.core.ops.linalg.products import (
    cross,
    diagonal,
    matrix_power,
    multi_dot,
    outer,
    tensordot,
    trace,
    vecdot,
)
from backpass.core.ops.linalg.singular_values import matrix_rank, svd, svdvals
from backpass.core.ops.linalg.solving import inv, solve, tensorinv, tensorsolve
from backpass.core.ops.linear import matmul
from backpass.core.ops.shaping import matrix_transpose
from numpy.linalg import LinAlgError

__all__ = [
    "LinAlgError",
    "cholesky",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "inv",
    "lstsq",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "tensorinv",
    "tensorsolve",
    "trace",
    "vecdot",
    "vector_norm",
]
