"""SciPy's functions behind CuPy's rules: those that CuPy has."""

import cupy
import scipy.linalg

for _name in """
bandwidth block_diag expm khatri_rao lu lu_factor lu_solve solve_triangular toeplitz
""".split():
    globals()[_name] = cupy._passing(getattr(scipy.linalg, _name))
