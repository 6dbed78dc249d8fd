"""A program for HIPS autograd: Rosenbrock's function through scipy.optimize.minimize."""

import numpy
import pytest
from scipy.optimize import minimize, rosen, rosen_der, rosen_hess, rosen_hess_prod

import backpass.autograd.numpy as np
from backpass.autograd import grad, hessian, hessian_vector_product, value_and_grad

START = numpy.array([1.3, 0.7, 0.8, 1.9])


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def minimized(method):
    if method == "BFGS":
        return minimize(value_and_grad(rosenbrock), START, jac=True, method=method)
    return minimize(
        rosenbrock,
        START,
        jac=grad(rosenbrock),
        hessp=hessian_vector_product(rosenbrock),
        method=method,
    )


def results():
    direction = numpy.arange(4.0)
    return {
        "value": rosenbrock(START),
        "gradient": grad(rosenbrock)(START),
        "hessian": hessian(rosenbrock)(START),
        "product": hessian_vector_product(rosenbrock)(START, direction),
        **{method: minimized(method).x for method in ("BFGS", "Newton-CG", "trust-ncg")},
    }


def test_the_derivatives_are_those_that_scipy_has():
    found = results()
    assert found["value"] == rosen(START)
    numpy.testing.assert_allclose(found["gradient"], rosen_der(START), rtol=1e-12)
    numpy.testing.assert_allclose(found["hessian"], rosen_hess(START), rtol=1e-12)
    numpy.testing.assert_allclose(
        found["product"], rosen_hess_prod(START, numpy.arange(4.0)), rtol=1e-12
    )


@pytest.mark.parametrize("method", ["BFGS", "Newton-CG", "trust-ncg"])
def test_each_method_finds_the_minimum(method):
    found = minimized(method)
    assert found.success
    numpy.testing.assert_allclose(found.x, numpy.ones(4), atol=1e-4)
