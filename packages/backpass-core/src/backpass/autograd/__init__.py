"""HIPS autograd's interface over the engine of Backpass.

A program written for `autograd` runs after the word has become `backpass.autograd` in its imports.

Examples
--------
>>> import backpass.autograd.numpy as np
>>> from backpass.autograd import elementwise_grad, grad
>>> def tanh(x):
...     return (1.0 - np.exp(-2 * x)) / (1.0 + np.exp(-2 * x))
>>> grad(tanh)(1.0)
np.float64(0.419974341614026)
>>> elementwise_grad(tanh)(np.zeros(2))
array([1., 1.])
"""

from backpass.autograd import builtins, core, extend, numpy, tracer, wrap_util
from backpass.autograd.builtins import dict, isinstance, list, tuple, type
from backpass.autograd.differential_operators import (
    checkpoint,
    deriv,
    egrad,
    elementwise_grad,
    grad,
    grad_and_aux,
    grad_named,
    hessian,
    hessian_tensor_product,
    hessian_vector_product,
    holomorphic_grad,
    jacobian,
    make_ggnvp,
    make_hvp,
    make_jvp,
    make_jvp_reversemode,
    make_vjp,
    multigrad_dict,
    tensor_jacobian_product,
    value_and_grad,
    vector_jacobian_product,
)
from backpass.autograd.primitives import primitive

__all__ = [
    "builtins",
    "checkpoint",
    "core",
    "deriv",
    "dict",
    "egrad",
    "elementwise_grad",
    "extend",
    "grad",
    "grad_and_aux",
    "grad_named",
    "hessian",
    "hessian_tensor_product",
    "hessian_vector_product",
    "holomorphic_grad",
    "isinstance",
    "jacobian",
    "list",
    "make_ggnvp",
    "make_hvp",
    "make_jvp",
    "make_jvp_reversemode",
    "make_vjp",
    "multigrad_dict",
    "numpy",
    "primitive",
    "tensor_jacobian_product",
    "tracer",
    "tuple",
    "type",
    "value_and_grad",
    "vector_jacobian_product",
    "wrap_util",
]
