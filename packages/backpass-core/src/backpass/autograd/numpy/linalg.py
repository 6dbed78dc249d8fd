"""Linear algebra, differentiable: plain arrays for plain arrays."""

import numpy as _numpy
from numpy.linalg import (
    LinAlgError,
    cross,
)

import backpass.numpy.linalg as _differentiable
from backpass.autograd.plain import plainly as _plainly

cholesky = _plainly(_differentiable.cholesky, _numpy.linalg.cholesky)
cond = _plainly(_differentiable.cond, _numpy.linalg.cond)
det = _plainly(_differentiable.det, _numpy.linalg.det)
diagonal = _plainly(_differentiable.diagonal, _numpy.linalg.diagonal)
eig = _plainly(_differentiable.eig, _numpy.linalg.eig)
eigh = _plainly(_differentiable.eigh, _numpy.linalg.eigh)
eigvals = _plainly(_differentiable.eigvals, _numpy.linalg.eigvals)
eigvalsh = _plainly(_differentiable.eigvalsh, _numpy.linalg.eigvalsh)
inv = _plainly(_differentiable.inv, _numpy.linalg.inv)
lstsq = _plainly(_differentiable.lstsq, _numpy.linalg.lstsq)
matmul = _plainly(_differentiable.matmul, _numpy.linalg.matmul)
matrix_norm = _plainly(_differentiable.matrix_norm, _numpy.linalg.matrix_norm)
matrix_power = _plainly(_differentiable.matrix_power, _numpy.linalg.matrix_power)
matrix_rank = _plainly(_differentiable.matrix_rank, _numpy.linalg.matrix_rank)
matrix_transpose = _plainly(_differentiable.matrix_transpose, _numpy.linalg.matrix_transpose)
multi_dot = _plainly(_differentiable.multi_dot, _numpy.linalg.multi_dot)
norm = _plainly(_differentiable.norm, _numpy.linalg.norm)
outer = _plainly(_differentiable.outer, _numpy.linalg.outer)
pinv = _plainly(_differentiable.pinv, _numpy.linalg.pinv)
qr = _plainly(_differentiable.qr, _numpy.linalg.qr)
slogdet = _plainly(_differentiable.slogdet, _numpy.linalg.slogdet)
solve = _plainly(_differentiable.solve, _numpy.linalg.solve)
svd = _plainly(_differentiable.svd, _numpy.linalg.svd)
svdvals = _plainly(_differentiable.svdvals, _numpy.linalg.svdvals)
tensordot = _plainly(_differentiable.tensordot, _numpy.linalg.tensordot)
tensorinv = _plainly(_differentiable.tensorinv, _numpy.linalg.tensorinv)
tensorsolve = _plainly(_differentiable.tensorsolve, _numpy.linalg.tensorsolve)
trace = _plainly(_differentiable.trace, _numpy.linalg.trace)
vecdot = _plainly(_differentiable.vecdot, _numpy.linalg.vecdot)
vector_norm = _plainly(_differentiable.vector_norm, _numpy.linalg.vector_norm)

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
