"""Linear algebra behind CuPy's rules: what CuPy has."""

import numpy.linalg

import cupy

for _name in """
cholesky cond cross det eig eigh eigvals eigvalsh inv lstsq matmul matrix_power matrix_rank
matrix_transpose norm pinv qr slogdet solve svd tensorinv tensorsolve
""".split():
    globals()[_name] = cupy._passing(getattr(numpy.linalg, _name))
LinAlgError = numpy.linalg.LinAlgError
