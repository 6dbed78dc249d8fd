"""Linear algebra behind CuPy's rules: what CuPy has."""

import numpy.linalg

import cupy

for _name in """
cholesky cond cross det eig eigh eigvals eigvalsh inv lstsq matmul matrix_power matrix_rank
matrix_transpose norm pinv qr slogdet solve svd tensorinv tensorsolve
""".split():
    _found = cupy._passing(getattr(numpy.linalg, _name))
    globals()[_name] = cupy._refusing(_found, cupy._NO_CUBLAS)
LinAlgError = numpy.linalg.LinAlgError
