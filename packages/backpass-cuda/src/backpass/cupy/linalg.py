"""Linear algebra on the GPU, differentiable.

CuPy raises no error for singular matrices: their inverses hold inf and nan.  The eigenvalues of
`eig` and `eigvals` are in cuSOLVER's order, which is not NumPy's, and always complex.
"""

from numpy.linalg import LinAlgError

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
