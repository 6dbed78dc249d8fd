"""SciPy's linear algebra, differentiable; it is imported when a function is first called.

Examples
--------
>>> import backpass.numpy as np
>>> import backpass.scipy.linalg as sl
>>> sl.sqrtm(np.array([[4.0, 0.0], [0.0, 9.0]]))
Tensor([[2., 0.],
       [0., 3.]])
"""

from backpass.core.ops.linalg.exponentials import expm, logm
from backpass.core.ops.linalg.lu import lu, lu_factor, lu_solve
from backpass.core.ops.linalg.matrix_functions import solve_sylvester, sqrtm
from backpass.core.ops.linalg.scipy_factors import (
    cholesky,
    eigh,
    eigvalsh,
    norm,
    qr,
    svd,
    svdvals,
)
from backpass.core.ops.linalg.scipy_systems import (
    cho_factor,
    cho_solve,
    det,
    inv,
    lstsq,
    pinv,
    solve,
)
from backpass.core.ops.linalg.structured import block_diag, circulant, hankel, toeplitz
from backpass.core.ops.linalg.triangular import solve_banded, solve_triangular

__all__ = [
    "block_diag",
    "cho_factor",
    "cho_solve",
    "cholesky",
    "circulant",
    "det",
    "eigh",
    "eigvalsh",
    "expm",
    "hankel",
    "inv",
    "logm",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_solve",
    "norm",
    "pinv",
    "qr",
    "solve",
    "solve_banded",
    "solve_sylvester",
    "solve_triangular",
    "sqrtm",
    "svd",
    "svdvals",
    "toeplitz",
]
