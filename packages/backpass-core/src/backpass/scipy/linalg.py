"""SciPy's linear algebra, differentiable; it is imported when a function is first called.

Examples
--------
>>> import backpass.numpy as np
>>> import backpass.scipy.linalg as sl
>>> sl.sqrtm(np.array([[4.0, 0.0], [0.0, 9.0]]))
Tensor([[2., 0.],
       [0., 3.]])
"""

from backpass.core.ops.linalg.matrix_functions import solve_sylvester, sqrtm
from backpass.core.ops.linalg.triangular import solve_banded, solve_triangular

__all__ = ["solve_banded", "solve_sylvester", "solve_triangular", "sqrtm"]
