"""Fixed points of arrays on the device; SciPy's solvers, which do not go there."""

import numpy
import pytest

import backpass.cupy as np
from backpass.core import fixed_point, grad, jvp
from backpass.scipy.integrate import quad
from backpass.scipy.optimize import minimize, root


@pytest.mark.parametrize("method", ["iteration", "newton"])
@pytest.mark.parametrize("n", [3, 70])
def test_a_fixed_point_stays_on_the_device(cupy, method, n):
    a = cupy.asarray(numpy.linspace(1.0, 4.0, n))

    def total(a):
        x = fixed_point(lambda x, a: 0.5 * (x + a / x), cupy.ones(n), a, method=method)
        return np.sum(x)

    slopes = grad(total)(a)
    assert isinstance(slopes, cupy.ndarray)
    numpy.testing.assert_allclose(slopes.get(), 0.5 / numpy.sqrt(a.get()), rtol=1e-8)
    bent = jvp(grad(total), (a,), (cupy.ones(n),))[1]
    numpy.testing.assert_allclose(bent.get(), -0.25 * a.get() ** -1.5, rtol=1e-7)


def test_scipys_solvers_say_that_they_do_not_go_there(cupy):
    a = cupy.asarray(numpy.array([1.0, 2.0]))
    with pytest.raises(TypeError, match="root: x0 lies on a device"):
        root(lambda x: x - 1, a)
    with pytest.raises(TypeError, match="minimize: <lambda> returned an array on a device"):
        minimize(lambda x: np.sum(a), [1.0])
    with pytest.raises(TypeError, match="quad: a lies on a device"):
        quad(lambda x: x, a[0], 1.0)
