"""Reverse-mode automatic differentiation: the graph, the Tensor, and `grad`.

Examples
--------
>>> import backpass.numpy as np
>>> from backpass.core import grad
>>> grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0, 3.0]))
array([2., 4., 6.])
"""

import backpass.core.ops  # noqa: F401 - fills the table of operators
from backpass.core import checkpoint_policies, extend, testing, tree
from backpass.core.anomalies import AnomalyError, AnomalyWarning, detect_anomaly
from backpass.core.devices import to_device
from backpass.core.explain import explain
from backpass.core.explain.drawing import draw
from backpass.core.extension import __version__
from backpass.core.naming import checkpoint_name
from backpass.core.ops.implicit.fixed_point import fixed_point
from backpass.core.profiling import profile
from backpass.core.recording import no_grad, stop_gradient
from backpass.core.resources import (
    empty_cache,
    get_num_threads,
    memory_stats,
    set_num_threads,
)
from backpass.core.scanning import checkpoint_scan
from backpass.core.segments import checkpoint, custom_vjp
from backpass.core.tensor import Tensor
from backpass.core.transforms import (
    elementwise_grad,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    linearize,
    value_and_grad,
    vjp,
)

__all__ = [
    "AnomalyError",
    "AnomalyWarning",
    "Tensor",
    "__version__",
    "checkpoint",
    "checkpoint_name",
    "checkpoint_policies",
    "checkpoint_scan",
    "custom_vjp",
    "detect_anomaly",
    "draw",
    "elementwise_grad",
    "empty_cache",
    "explain",
    "extend",
    "fixed_point",
    "get_num_threads",
    "grad",
    "hessian",
    "hvp",
    "jacobian",
    "jvp",
    "linearize",
    "memory_stats",
    "no_grad",
    "profile",
    "set_num_threads",
    "stop_gradient",
    "testing",
    "to_device",
    "tree",
    "value_and_grad",
    "vjp",
]
