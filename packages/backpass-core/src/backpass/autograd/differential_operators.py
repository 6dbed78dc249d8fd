"""HIPS autograd's operators on functions, over the transformations of `backpass.core`.

`argnum` is the position of the argument to be differentiated, or a tuple of positions; arguments
may be floats, arrays, and lists, tuples and dicts of them.  Gradients are plain arrays in the
structure of the argument; where they depend on something that is differentiated outside, Tensors.
"""

from __future__ import annotations

import functools
import inspect
from collections import OrderedDict
from typing import Any

from backpass.autograd import core
from backpass.autograd.plain import plainly, settled
from backpass.autograd.vspaces import vspace
from backpass.autograd.wrap_util import (
    Argnum,
    Function,
    check_argnum,
    chosen,
    unary_to_nary,
    wrap_nary_f,
)
from backpass.core import segments, transforms
from backpass.core.operators import operators
from backpass.core.ops.linear import tensordot

# ----- reverse mode -----------------------------------------------------------------------------


def grad(fun: Function, argnum: Argnum = 0) -> Function:
    """Return a function that computes the gradient of a function to one real number.

    Raises
    ------
    TypeError
        If the output is not one real number, or the argument is an integer.

    Examples
    --------
    >>> import backpass.autograd.numpy as np
    >>> grad(lambda x: np.sum(x**2))(np.array([1.0, 2.0]))
    array([2., 4.])
    >>> grad(lambda x, y: x * y, (0, 1))(2.0, 3.0)
    (np.float64(3.0), np.float64(2.0))
    """
    check_argnum(argnum)
    transformed = transforms.grad(fun, argnum)

    @wrap_nary_f(fun, grad, argnum)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        chosen(fun, args, argnum)
        return transformed(*args, **kwargs)

    return gradient


def value_and_grad(fun: Function, argnum: Argnum = 0) -> Function:
    """Return a function that computes the output of `fun` and its gradient: for scipy.optimize.

    Raises
    ------
    TypeError
        As `grad`.

    Examples
    --------
    >>> value_and_grad(lambda x: x * x)(3.0)
    (np.float64(9.0), np.float64(6.0))
    """
    check_argnum(argnum)
    transformed = transforms.value_and_grad(fun, argnum)

    @wrap_nary_f(fun, value_and_grad, argnum)
    def value_and_gradient(*args: Any, **kwargs: Any) -> Any:
        chosen(fun, args, argnum)
        value, g = transformed(*args, **kwargs)
        return settled(value), g

    return value_and_gradient


def grad_and_aux(fun: Function, argnum: Argnum = 0) -> Function:
    """Return a function to the gradient of the first output of `fun`, and its second output.

    Examples
    --------
    >>> grad_and_aux(lambda x: (x * x, "note"))(3.0)
    (np.float64(6.0), 'note')
    """
    check_argnum(argnum)
    transformed = transforms.grad(fun, argnum, has_aux=True)

    @wrap_nary_f(fun, grad_and_aux, argnum)
    def gradient_and_aux(*args: Any, **kwargs: Any) -> Any:
        chosen(fun, args, argnum)
        g, aux = transformed(*args, **kwargs)
        return g, settled(aux)

    return gradient_and_aux


def elementwise_grad(fun: Function, argnum: Argnum = 0) -> Function:
    """Return a function that computes the gradient of the sum of the outputs of `fun`.

    Where each output depends on its own input only, that is the derivative of each.

    Examples
    --------
    >>> import backpass.autograd.numpy as np
    >>> elementwise_grad(np.tanh)(np.zeros(2))
    array([1., 1.])
    """
    check_argnum(argnum)
    transformed = transforms.elementwise_grad(fun, argnum)

    @wrap_nary_f(fun, elementwise_grad, argnum)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        chosen(fun, args, argnum)
        return transformed(*args, **kwargs)

    return gradient


egrad = elementwise_grad


def grad_named(fun: Function, argname: str) -> Function:
    """Return the gradient of `fun` with respect to its argument of that name.

    Raises
    ------
    ValueError
        If `fun` has no such argument.

    Examples
    --------
    >>> grad_named(lambda x, y: x * y**2, "y")(3.0, 2.0)
    np.float64(12.0)
    """
    names = list(inspect.signature(fun).parameters)
    if argname not in names:
        raise ValueError(f"grad_named: no argument {argname!r} among {', '.join(names)}")
    return grad(fun, names.index(argname))


def multigrad_dict(fun: Function) -> Function:
    """Return a function to a dict of the gradients of `fun` with respect to all its arguments.

    Examples
    --------
    >>> dict(multigrad_dict(lambda x, y=2.0: x * y**2)(3.0))
    {'x': np.float64(4.0), 'y': np.float64(12.0)}
    """
    signature = inspect.signature(fun)

    def of_arguments(arguments: Any) -> Any:
        bound = inspect.BoundArguments(signature, OrderedDict(arguments))
        return fun(*bound.args, **bound.kwargs)

    @functools.wraps(fun)
    def gradients(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        found = transforms.grad(of_arguments, 0)(dict(bound.arguments))
        return OrderedDict((name, found[name]) for name in bound.arguments)

    return gradients


@unary_to_nary
def holomorphic_grad(fun: Function, x: Any) -> Any:
    """Return a function that computes the complex derivative of a holomorphic function."""
    return grad(lambda z: operators.methods["real"](fun(z)))(x)


@unary_to_nary
def jacobian(fun: Function, x: Any) -> Any:
    """Return a function to the Jacobian: an array of shape `output.shape + argument.shape`."""
    return settled(transforms.jacobian(fun)(x))


@unary_to_nary
def hessian(fun: Function, x: Any) -> Any:
    """Return a function to the Hessian: the Jacobian of the Jacobian."""
    return settled(transforms.jacobian(transforms.jacobian(fun))(x))


make_vjp = unary_to_nary(core.make_vjp)
make_jvp = unary_to_nary(core.make_jvp)

# ----- forward mode -----------------------------------------------------------------------------


@unary_to_nary
def deriv(fun: Function, x: Any) -> Any:
    """Return a function to the derivative along the vector of ones, in forward mode."""
    return core.make_jvp(fun, x)(vspace(x).ones())[1]


@unary_to_nary
def make_jvp_reversemode(fun: Function, x: Any) -> Any:
    """Return a function to the function from tangents to tangents, by transposing reverse mode."""
    pull, out = core.make_vjp(fun, x)
    return core.make_vjp(pull, vspace(out).zeros())[0]


# ----- second order -----------------------------------------------------------------------------


@unary_to_nary
def make_hvp(fun: Function, x: Any) -> Any:
    """Return a function to the function of a vector v to the Hessian times v, and the gradient.

    The graph is recorded once for any number of vectors.
    """
    return core.make_vjp(grad(fun), x)


def hessian_tensor_product(fun: Function, argnum: int = 0) -> Function:
    """Return a function of the arguments of `fun` and a vector, to the Hessian times the vector.

    Examples
    --------
    >>> import backpass.autograd.numpy as np
    >>> hessian_tensor_product(lambda x: np.sum(x**3))(np.array([1.0, 2.0]), np.ones(2))
    array([ 6., 12.])
    """

    @unary_to_nary
    def product(f: Function, x: Any, vector: Any) -> Any:
        return transforms.hvp(f, (x,), (vector,))

    @wrap_nary_f(fun, hessian_tensor_product, argnum)
    def hessian_times(*args: Any, **kwargs: Any) -> Any:
        *rest, vector = args
        return product(fun, argnum, vector)(*rest, **kwargs)

    return hessian_times


hessian_vector_product = hessian_tensor_product


def tensor_jacobian_product(fun: Function, argnum: int = 0) -> Function:
    """Return a function of the arguments of `fun` and a vector, to the vector times the Jacobian.

    A vector of fewer axes than the output is multiplied with the output's first ones.

    Examples
    --------
    >>> import backpass.autograd.numpy as np
    >>> tensor_jacobian_product(lambda x: x**2)(np.array([1.0, 2.0]), np.array([1.0, 10.0]))
    array([ 2., 40.])
    """

    @unary_to_nary
    def product(f: Function, x: Any, vector: Any) -> Any:
        axes = len(vspace(vector).shape)
        return settled(transforms.jacobian(lambda x: tensordot(vector, f(x), axes))(x))

    @wrap_nary_f(fun, tensor_jacobian_product, argnum)
    def vector_times_jacobian(*args: Any, **kwargs: Any) -> Any:
        *rest, vector = args
        return product(fun, argnum, vector)(*rest, **kwargs)

    return vector_times_jacobian


vector_jacobian_product = tensor_jacobian_product


def _half_square(x: Any) -> Any:
    """Return half the sum of squares along the last axis."""
    return 0.5 * operators.sum(x * x, axis=-1)


def make_ggnvp(f: Function, g: Function = _half_square, f_argnum: int = 0) -> Function:
    """Return a function to the product of a vector with the generalised Gauss-Newton matrix.

    The matrix is J' H J for the Jacobian J of `f` and the Hessian H of `g` at the output of `f`.

    Source: N. N. Schraudolph, "Fast Curvature Matrix-Vector Products", Neural Computation 14
    (2002).

    Examples
    --------
    >>> import backpass.autograd.numpy as np
    >>> make_ggnvp(lambda x: x**2)(np.array([1.0, 2.0]))(np.ones(2))
    array([ 4., 16.])
    """

    @unary_to_nary
    def product(f: Function, x: Any) -> Function:
        pull, out = core.make_vjp(f, x)
        push = core.make_jvp(f, x)
        curve = core.make_vjp(grad(g), out)[0]

        def times(v: Any) -> Any:
            return pull(curve(push(v)[1]))

        return times

    return product(f, f_argnum)  # type: ignore[no-any-return]


# ----- memory -----------------------------------------------------------------------------------


def checkpoint(fun: Function) -> Function:
    """Return `fun` as a function that is computed again for the backward pass: memory for time.

    Examples
    --------
    >>> import backpass.autograd.numpy as np
    >>> grad(checkpoint(lambda x: np.sum(np.tanh(x))))(np.zeros(2))
    array([1., 1.])
    """
    return plainly(segments.checkpoint(fun))


__all__ = [
    "checkpoint",
    "deriv",
    "egrad",
    "elementwise_grad",
    "grad",
    "grad_and_aux",
    "grad_named",
    "hessian",
    "hessian_tensor_product",
    "hessian_vector_product",
    "holomorphic_grad",
    "jacobian",
    "make_ggnvp",
    "make_hvp",
    "make_jvp",
    "make_jvp_reversemode",
    "make_vjp",
    "multigrad_dict",
    "tensor_jacobian_product",
    "value_and_grad",
    "vector_jacobian_product",
]
