"""SciPy's linear algebra, differentiable: plain arrays for plain arrays."""

import backpass.scipy.linalg as _differentiable
from backpass.autograd.plain import plainly as _plainly

block_diag = _plainly(_differentiable.block_diag)
cho_factor = _plainly(_differentiable.cho_factor)
cho_solve = _plainly(_differentiable.cho_solve)
cholesky = _plainly(_differentiable.cholesky)
circulant = _plainly(_differentiable.circulant)
det = _plainly(_differentiable.det)
eigh = _plainly(_differentiable.eigh)
eigvalsh = _plainly(_differentiable.eigvalsh)
expm = _plainly(_differentiable.expm)
hankel = _plainly(_differentiable.hankel)
inv = _plainly(_differentiable.inv)
logm = _plainly(_differentiable.logm)
lstsq = _plainly(_differentiable.lstsq)
lu = _plainly(_differentiable.lu)
lu_factor = _plainly(_differentiable.lu_factor)
lu_solve = _plainly(_differentiable.lu_solve)
norm = _plainly(_differentiable.norm)
pinv = _plainly(_differentiable.pinv)
qr = _plainly(_differentiable.qr)
solve = _plainly(_differentiable.solve)
solve_banded = _plainly(_differentiable.solve_banded)
solve_sylvester = _plainly(_differentiable.solve_sylvester)
solve_triangular = _plainly(_differentiable.solve_triangular)
sqrtm = _plainly(_differentiable.sqrtm)
svd = _plainly(_differentiable.svd)
svdvals = _plainly(_differentiable.svdvals)
toeplitz = _plainly(_differentiable.toeplitz)

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
