"""Implicit functions beside JAX's `custom_root` and HIPS autograd's `fixed_point`."""

import numpy
import pytest
from numpy.testing import assert_allclose

import backpass.numpy as np
from backpass.core import fixed_point, grad, hessian, jvp
from backpass.scipy.optimize import root

random = numpy.random.default_rng(4)
W = 0.3 * random.standard_normal((4, 4))
B = random.standard_normal(4)


def ours_by_iteration(w, b):
    return np.sum(fixed_point(lambda x: np.tanh(w @ x + b), numpy.zeros(4), tol=1e-14) ** 2)


def ours_by_root(w, b):
    f = lambda x: x - np.tanh(w @ x + b)  # noqa: E731
    return np.sum(root(f, numpy.zeros(4), tol=1e-13).x ** 2)


@pytest.mark.parametrize("ours", [ours_by_iteration, ours_by_root])
def test_jax(ours):
    jax = pytest.importorskip("jax", reason="JAX is not installed")
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy

    def theirs(w, b):
        def f(x):
            return x - jnp.tanh(w @ x + b)

        def search(f, x):
            return jax.lax.fori_loop(0, 200, lambda _, x: x - f(x), x)

        def tangent(f, y):
            return jnp.linalg.solve(jax.jacobian(f)(y), y)

        return jnp.sum(jax.lax.custom_root(f, jnp.zeros(4), search, tangent) ** 2)

    for i in range(2):
        assert_allclose(grad(ours, i)(W, B), jax.grad(theirs, i)(W, B), rtol=1e-9, atol=1e-11)
    assert_allclose(hessian(ours, 1)(W, B), jax.hessian(theirs, 1)(W, B), rtol=1e-8, atol=1e-10)
    pair = ((W, B), (W[::-1].copy(), B[::-1].copy()))
    assert_allclose(jvp(ours, *pair)[1], jax.jvp(theirs, *pair)[1], rtol=1e-9)


def test_hips_autograd():
    autograd = pytest.importorskip("autograd", reason="HIPS autograd is not installed")
    anp = pytest.importorskip("autograd.numpy")
    fixed_points = pytest.importorskip("autograd.misc.fixed_points")

    def theirs(w, b):
        f = lambda a: lambda x: anp.tanh(anp.dot(a[0], x) + a[1])  # noqa: E731
        distance = lambda x, y: anp.max(anp.abs(x - y))  # noqa: E731
        a = autograd.builtins.tuple((w, b))
        return anp.sum(fixed_points.fixed_point(f, a, anp.zeros(4), distance, 1e-14) ** 2)

    for i in range(2):
        found = grad(ours_by_iteration, i)(W, B)
        assert_allclose(found, autograd.grad(theirs, i)(W, B), rtol=1e-9, atol=1e-11)
