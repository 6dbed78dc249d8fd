"""The operators of HIPS autograd: their forms of call, their structures, their errors."""

import inspect
from collections import OrderedDict

import numpy
import pytest

import backpass.autograd
import backpass.autograd.numpy as np
from backpass.autograd import (
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
from backpass.core import Tensor

random = numpy.random.default_rng(0)
X = random.standard_normal(3)
V = random.standard_normal(3)
M = random.standard_normal((3, 3))


def cubes(x):
    """Give a vector whose Jacobian is `3 * (M x)**2 * M`."""
    return np.dot(M, x) ** 3


def total(x):
    return np.sum(cubes(x))


JACOBIAN = 3 * ((M @ X) ** 2)[:, None] * M
HESSIAN = 6 * (M.T * (M @ X)) @ M


def close(found, expected, rtol=1e-10):
    assert type(found) is type(expected)
    numpy.testing.assert_allclose(found, expected, rtol=rtol, strict=True)


# ----- reverse mode -----------------------------------------------------------------------------


def test_grad():
    close(grad(total)(X), JACOBIAN.sum(axis=0))


@pytest.mark.parametrize("argnum", [(0, 1), [0, 1]])
def test_several_arguments_give_a_tuple(argnum):
    found = grad(lambda x, y: np.sum(x * y), argnum)(X, 2.0)
    assert type(found) is tuple
    close(found[0], numpy.full(3, 2.0))
    close(found[1], X.sum())


def test_the_order_of_the_arguments_counts():
    by_y, by_x = grad(lambda x, y: np.sum(x * y), (1, 0))(X, 2.0)
    close(by_x, numpy.full(3, 2.0))
    close(by_y, X.sum())


def test_keyword_arguments_are_constants():
    close(grad(lambda x, *, power: np.sum(x**power))(X, power=2), 2 * X)


def test_gradients_have_the_structure_of_their_argument():
    found = grad(lambda p: np.sum(p["a"] * p["b"][0]) * p["b"][1])({"a": X, "b": (V, 3.0)})
    assert type(found) is dict
    assert type(found["b"]) is tuple
    close(found["a"], 3 * V)
    close(found["b"][0], 3 * X)
    close(found["b"][1], (X * V).sum())


def test_plain_arrays_in_lists_are_differentiated():
    found = grad(lambda layers: sum(np.sum(np.dot(w, b)) for w, b in layers))([(M, X), [M, V]])
    assert [type(pair) for pair in found] == [tuple, list]
    close(found[0][1], M.sum(axis=0))
    close(found[1][0], numpy.tile(V, (3, 1)))


def test_results_are_plain_and_their_own():
    x = X.copy()
    g = grad(lambda x: np.sum(x * 1.0))(x)
    assert type(g) is numpy.ndarray
    g[0] = 7.0
    numpy.testing.assert_array_equal(x, X)
    assert type(grad(lambda x: x**2)(3.0)) is numpy.float64


def test_value_and_grad():
    value, g = value_and_grad(total)(X)
    close(value, ((M @ X) ** 3).sum())
    close(g, JACOBIAN.sum(axis=0))


def test_grad_and_aux_keeps_what_is_returned_beside():
    g, (doubled, note) = grad_and_aux(lambda x: (np.sum(x**2), (2 * x, "note")))(X)
    close(g, 2 * X)
    close(doubled, 2 * X)
    assert note == "note"


@pytest.mark.parametrize("name", ["elementwise_grad", "egrad"])
def test_elementwise_grad_is_the_gradient_of_the_sum(name):
    function = getattr(backpass.autograd, name)
    close(function(np.tanh)(X), 1 - numpy.tanh(X) ** 2)
    close(function(cubes)(X), JACOBIAN.sum(axis=0))
    assert egrad is elementwise_grad


def test_grad_named():
    close(grad_named(lambda a, b: np.sum(a * b**2), "b")(X, V), 2 * X * V)
    with pytest.raises(ValueError, match="no argument 'c' among a, b"):
        grad_named(lambda a, b: a, "c")


def test_multigrad_dict():
    def f(x, y=2.0, *more, **named):
        return np.sum(x) * y + more[0] * named["z"]

    found = multigrad_dict(f)(X, 3.0, 5.0, z=7.0)
    assert type(found) is OrderedDict
    assert list(found) == ["x", "y", "more", "named"]
    close(found["x"], numpy.full(3, 3.0))
    close(found["y"], X.sum())
    assert found["more"] == (7.0,)
    assert found["named"] == {"z": 5.0}
    close(multigrad_dict(lambda x, y=2.0: x * y**2)(3.0)["y"], numpy.float64(12.0))


def test_jacobian_has_the_axes_of_the_output_first():
    close(jacobian(cubes)(X), JACOBIAN)
    assert jacobian(lambda x: np.outer(x, V[:2]))(X).shape == (3, 2, 3)
    assert jacobian(np.sum)(M).shape == (3, 3)
    close(jacobian(lambda y, x: y * x, 1)(2.0, X), 2 * numpy.eye(3))
    close(jacobian(lambda x: x**2)(3.0), numpy.float64(6.0))


def test_hessian():
    close(hessian(total)(X), HESSIAN)
    assert hessian(cubes)(X).shape == (3, 3, 3)
    close(hessian(cubes)(X).sum(axis=0), HESSIAN)
    close(hessian(lambda a, x: a * total(x), 1)(2.0, X), 2 * HESSIAN)


def test_make_vjp_returns_the_function_and_the_value():
    pull, value = make_vjp(cubes)(X)
    close(value, (M @ X) ** 3)
    close(pull(V), V @ JACOBIAN)
    close(pull(2 * V), 2 * V @ JACOBIAN)


def test_make_vjp_of_containers():
    pull, value = make_vjp(lambda p: [2 * p[0], {"q": p[1] ** 2}])((X, 3.0))
    assert type(value) is list
    close(value[1]["q"], numpy.float64(9.0))
    by_x, by_y = pull([V, {"q": 1.0}])
    close(by_x, 2 * V)
    close(by_y, numpy.float64(6.0))


# ----- forward mode, and second order -----------------------------------------------------------


def test_make_jvp_returns_value_and_tangent():
    value, tangent = make_jvp(cubes)(X)(V)
    close(value, (M @ X) ** 3)
    close(tangent, JACOBIAN @ V)


def test_make_jvp_of_several_arguments():
    value, tangent = make_jvp(lambda x, y: x * y, (0, 1))(X, 2.0)((V, 1.0))
    close(value, 2 * X)
    close(tangent, 2 * V + X)


def test_reverse_mode_makes_forward_mode():
    close(make_jvp_reversemode(cubes)(X)(V), JACOBIAN @ V)


def test_deriv():
    close(deriv(np.sin)(1.0), numpy.float64(numpy.cos(1.0)))
    close(deriv(np.sin)(X), numpy.cos(X))


def test_make_hvp_returns_the_product_and_the_gradient():
    product, g = make_hvp(total)(X)
    close(g, JACOBIAN.sum(axis=0))
    close(product(V), HESSIAN @ V)
    close(product(X), HESSIAN @ X)


def test_the_product_takes_the_vector_last():
    close(hessian_vector_product(total)(X, V), HESSIAN @ V)
    close(hessian_vector_product(lambda a, x: a * total(x), 1)(2.0, X, V), 2 * HESSIAN @ V)
    tensor = numpy.outer(X, V)
    found = hessian_tensor_product(lambda m: np.sum(m**3))(M, tensor)
    close(found, 6 * M * tensor)


def test_the_product_with_the_jacobian():
    close(vector_jacobian_product(cubes)(X, V), V @ JACOBIAN)
    close(tensor_jacobian_product(lambda a, x: a * cubes(x), 1)(2.0, X, V), 2 * V @ JACOBIAN)
    # A vector with fewer axes than the output leaves the others.
    assert tensor_jacobian_product(lambda x: np.outer(x, x))(X, V).shape == (3, 3)


def test_the_gauss_newton_product():
    close(make_ggnvp(cubes)(X)(V), JACOBIAN.T @ JACOBIAN @ V)
    found = make_ggnvp(lambda a, x: a * cubes(x), lambda y: np.sum(np.exp(y)), 1)(0.1, X)(V)
    curvature = numpy.diag(numpy.exp(0.1 * (M @ X) ** 3))
    close(found, 0.01 * JACOBIAN.T @ curvature @ JACOBIAN @ V)


def test_checkpoint():
    slow = checkpoint(cubes)
    close(slow(X), (M @ X) ** 3)
    close(jacobian(slow)(X), JACOBIAN)
    close(hessian(checkpoint(total))(X), HESSIAN)


# ----- nesting ----------------------------------------------------------------------------------


def test_an_inner_gradient_is_differentiated():
    close(grad(lambda x: x * grad(lambda y: x * y * y)(x))(3.0), numpy.float64(54.0))
    close(jacobian(grad(total))(X), HESSIAN)
    close(grad(lambda x: np.sum(make_jvp(cubes)(x)(V)[1]))(X), HESSIAN @ V)
    close(make_jvp(grad(total))(X)(V)[1], HESSIAN @ V)


def test_what_an_inner_call_returns_is_tracked():
    seen = []

    def f(x):
        value, g = value_and_grad(total)(x)
        seen.extend([value, g])
        return np.sum(g)

    close(grad(f)(X), HESSIAN.sum(axis=0))
    assert all(isinstance(t, Tensor) for t in seen)


def test_what_does_not_depend_on_the_outer_argument_is_plain():
    seen = []

    def f(x):
        seen.append(value_and_grad(total)(V))
        return np.sum(x)

    grad(f)(X)
    assert [type(part) for part in seen[0]] == [numpy.float64, numpy.ndarray]


# ----- complex numbers --------------------------------------------------------------------------


def test_complex_gradients():
    z = 1.0 + 2.0j
    assert grad(lambda z: np.abs(z) ** 2)(z) == 2 - 4j
    numpy.testing.assert_allclose(holomorphic_grad(lambda z: z**3)(z), 3 * z**2)
    found = grad(lambda z: np.real(np.sum(z * np.conj(z))))(X + 1j * V)
    numpy.testing.assert_allclose(found, 2 * (X - 1j * V))
    assert make_vjp(lambda z: z**2)(z)[0](1j) == 2j * z


# ----- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("operator", [grad, value_and_grad])
def test_an_output_of_several_numbers_is_refused(operator):
    with pytest.raises(TypeError, match=r"shape \(3,\).*jacobian\(\) or elementwise_grad\(\)"):
        operator(lambda x: x)(X)
    close(grad(lambda x: x[:1])(X), numpy.array([1.0, 0.0, 0.0]))


@pytest.mark.parametrize("operator", [grad, elementwise_grad, jacobian, make_vjp])
@pytest.mark.parametrize("x", [3, True])
def test_integers_are_refused(operator, x):
    kind = type(x).__name__
    with pytest.raises(TypeError, match=f"Can't differentiate w.r.t. type <class '{kind}'>"):
        operator(lambda x: x**2)(x)


def test_integer_arrays_are_refused():
    with pytest.raises(TypeError, match=r"int64: only floats.*astype\(float\)"):
        grad(np.sum)(numpy.arange(3))


@pytest.mark.parametrize("operator", [grad, elementwise_grad])
def test_complex_outputs_are_refused(operator):
    with pytest.raises(TypeError, match="complex number"):
        operator(lambda z: z)(1.0 + 2.0j)


@pytest.mark.parametrize("operator", [grad, jacobian])
def test_argnum_is_checked(operator):
    with pytest.raises(TypeError, match="argnum must be an int or a tuple of ints, not 'x'"):
        operator(total, "x")
    with pytest.raises(TypeError, match="argnum=1: total was called with 1 positional"):
        operator(total, 1)(X)


def test_an_output_that_depends_on_nothing_is_zero_with_a_warning():
    with pytest.warns(UserWarning, match="does not depend"):
        assert grad(lambda x: 3.0)(2.0) == 0
    with pytest.raises(TypeError, match="forget return"):
        grad(lambda x: None)(2.0)


def test_functions_are_named_after_what_they_compute():
    assert grad(total).__name__ == "grad_of_total_wrt_argnum_0"
    assert "jacobian of cubes with respect to its argument 0" in jacobian(cubes).__doc__


def test_every_operator_has_a_docstring():
    for name in backpass.autograd.__all__:
        found = getattr(backpass.autograd, name)
        assert inspect.getdoc(found), name
