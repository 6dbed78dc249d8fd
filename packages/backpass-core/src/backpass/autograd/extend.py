"""Functions of one's own with rules in HIPS autograd's form.

A rule written with `backpass.autograd.numpy` is differentiable in turn, to any order.  Central
un-broadcasting makes `unbroadcast_f` unnecessary in it, and harmless.

Examples
--------
>>> import backpass.autograd.numpy as np
>>> from backpass.autograd import grad
>>> @primitive
... def logistic(x):
...     return 1 / (1 + np.exp(-x))
>>> defvjp(logistic, lambda ans, x: lambda g: g * ans * (1 - ans))
>>> grad(logistic)(0.0), grad(grad(logistic))(0.0)
(np.float64(0.25), np.float64(0.0))
"""

from backpass.autograd.primitives import (
    JVPNode,
    VJPNode,
    def_linear,
    defjvp,
    defjvp_argnum,
    defjvp_argnums,
    defvjp,
    defvjp_argnum,
    defvjp_argnums,
    notrace_primitive,
    primitive,
    register_notrace,
)
from backpass.autograd.tracer import Box
from backpass.autograd.vspaces import VSpace, vspace

__all__ = [
    "Box",
    "JVPNode",
    "VJPNode",
    "VSpace",
    "def_linear",
    "defjvp",
    "defjvp_argnum",
    "defjvp_argnums",
    "defvjp",
    "defvjp_argnum",
    "defvjp_argnums",
    "notrace_primitive",
    "primitive",
    "register_notrace",
    "vspace",
]
