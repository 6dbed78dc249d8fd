"""SciPy's linear algebra, differentiable: plain arrays for plain arrays."""

import backpass.scipy.linalg as _differentiable
from backpass.autograd.plain import plainly as _plainly

solve_banded = _plainly(_differentiable.solve_banded)
solve_sylvester = _plainly(_differentiable.solve_sylvester)
solve_triangular = _plainly(_differentiable.solve_triangular)
sqrtm = _plainly(_differentiable.sqrtm)

__all__ = [
    "solve_banded",
    "solve_sylvester",
    "solve_triangular",
    "sqrtm",
]
