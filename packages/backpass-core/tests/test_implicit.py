"""Fixed points, roots, minima and fits: their derivatives against what is known."""

import gc
import warnings
import weakref

import numpy
import pytest
import scipy.optimize
from numpy.testing import assert_allclose, assert_array_equal

import backpass.numpy as np
from backpass.core import Tensor, fixed_point, grad, hessian, jacobian, jvp, no_grad, vjp
from backpass.core.testing import check_grads
from backpass.scipy.optimize import (
    curve_fit,
    least_squares,
    minimize,
    minimize_scalar,
    root,
    root_scalar,
)

random = numpy.random.default_rng(3)
A = random.standard_normal((12, 3))
B = random.standard_normal(12)
P = numpy.array([1.0, 2.0])


def babylonian(x, a):
    return 0.5 * (x + a / x)


# ----- fixed points -------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["iteration", "newton"])
def test_a_fixed_point_has_derivatives_of_every_order(method):
    def f(a):
        return fixed_point(babylonian, 1.0, a, method=method)

    expected = [2.0, 0.25, -1 / 32, 3 / 256]
    for derivative in expected:
        assert_allclose(np.asarray(f(4.0)).value, derivative, rtol=1e-9)
        f = grad(f)


@pytest.mark.parametrize("n", [3, 70])
def test_a_network_at_rest_to_second_order_with_a_matrix_and_without(n):
    w = random.standard_normal((n, n)) * (0.5 / n**0.5)

    def rest(w, b):
        return fixed_point(lambda x: np.tanh(w @ x + b), numpy.zeros(n), tol=1e-14)

    b = random.standard_normal(n)
    out, pull = vjp(rest, w, b)
    slope = 1 - out.value**2
    g = random.standard_normal(n)
    v = numpy.linalg.solve((numpy.eye(n) - slope[:, None] * w).T, g) * slope
    assert_allclose(pull(g)[1], v, rtol=1e-8)
    assert_allclose(pull(g)[0], numpy.outer(v, out.value), rtol=1e-8, atol=1e-12)
    h = 1e-4
    e = random.standard_normal(n)
    slopes = grad(lambda b: np.sum(rest(w, b) ** 2))
    expected = (slopes(b + h * e) - slopes(b - h * e)) / (2 * h)
    assert_allclose(jvp(slopes, (b,), (e,))[1], expected, rtol=1e-5, atol=1e-6)
    assert_allclose(grad(lambda b: np.sum(slopes(b) * e))(b), expected, rtol=1e-5, atol=1e-6)


def test_a_fixed_point_of_a_tree_with_complex_numbers():
    def settled(c, d):
        def f(x):
            return {"z": 0.3 * x["z"] ** 2 + c, "size": 0.5 * np.abs(x["z"]) + d[0]}

        x = fixed_point(f, {"z": 0j, "size": 0.0}, tol=1e-14)
        return np.real(x["z"]) * x["size"]

    check_grads(settled, (numpy.complex128(0.2 + 0.1j), [numpy.array(0.5)]), order=2)


def test_a_point_that_repels_is_found_by_newtons_method():
    f = lambda x, a: a * x * (1 - x)  # noqa: E731
    found = lambda a: fixed_point(f, 0.6, a, method="newton")  # noqa: E731
    assert_allclose(found(3.5).value, 1 - 1 / 3.5, rtol=1e-10)
    assert_allclose(grad(found)(3.5), 1 / 3.5**2, rtol=1e-9)
    with pytest.raises(RuntimeError, match=r"fixed_point: 50 steps .* method='newton'"):
        fixed_point(f, 0.6, 3.5, max_iterations=50)


def test_nothing_flows_to_where_it_begins_and_dtypes_stay():
    g = grad(lambda a, x: fixed_point(babylonian, x, a), (0, 1))(4.0, 1.0)
    assert_allclose(g, (0.25, 0.0), rtol=1e-8)
    single = numpy.full(2, 4, numpy.float32)
    out, pull = vjp(lambda a: fixed_point(babylonian, 1.0, a), single)
    assert out.dtype == pull(numpy.ones(2, numpy.float32))[0].dtype == numpy.float32


def test_what_a_fixed_point_refuses():
    with pytest.raises(ValueError, match="method must be one of"):
        fixed_point(babylonian, 1.0, 2.0, method="magic")
    with pytest.raises(TypeError, match="did you forget return"):
        fixed_point(lambda x: None, 1.0)
    with pytest.raises(TypeError, match="must return what its argument is"):
        fixed_point(lambda x: (x, x), 1.0)
    with pytest.raises(RuntimeError, match="nan or inf"):
        fixed_point(lambda x: x * numpy.nan, 1.0)
    with pytest.raises(numpy.linalg.LinAlgError, match="df/dx - 1 at the solution is singular"):
        grad(lambda a: fixed_point(lambda x: x + 0 * a, 1.0))(2.0)


# ----- roots --------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["hybr", "lm", "krylov"])
def test_a_root_is_scipys_and_has_derivatives(method):
    def f(x, a):
        return [x[0] + x[1] - a, x[0] - x[1] ** 2]

    def solved(a):
        return root(f, [3.0, 1.0], (a,), method=method, tol=1e-12).x[1]

    # x1 = (sqrt(1 + 4a) - 1) / 2
    for expected in (2.0, 1 / 5, -2 / 125):
        assert_allclose(np.asarray(solved(6.0)).value, expected, rtol=1e-8)
        solved = grad(solved)


def test_a_root_keeps_its_shape_where_scipy_does():
    a = numpy.array([[1.0, 4.0], [9.0, 16.0]])
    start = numpy.sqrt(a) + 0.1

    def x(a):
        return root(lambda x: x * x - a, start, method="krylov", tol=1e-12).x

    assert_allclose(x(a).value, numpy.sqrt(a), rtol=1e-9)
    assert_allclose(grad(lambda a: np.sum(x(a)))(a), 0.5 / numpy.sqrt(a), rtol=1e-8)


def test_a_function_of_plain_arrays_is_solved_as_scipy_does():
    f = lambda x: [numpy.cos(x.value[0]) - x.value[1], x.value[0] - x.value[1]]  # noqa: E731
    g = lambda x: [numpy.cos(x[0]) - x[1], x[0] - x[1]]  # noqa: E731
    assert_array_equal(root(f, [1.0, 1.0]).x.value, scipy.optimize.root(g, [1.0, 1.0]).x)


@pytest.mark.parametrize(
    "options",
    [
        {"bracket": [0, 10]},
        {"x0": 2.5},
        {"x0": 2.5, "x1": 3.0},
        {"x0": 2.5, "method": "halley"},
        {"x0": 2.5, "x1": 3.0, "fprime": lambda x, a: 3 * x * x},
    ],
    ids=["bracket", "newton", "secant", "halley", "fprime"],
)
def test_a_cube_root(options):
    f = lambda a: root_scalar(lambda x, a: x**3 - a, (a,), **options).root  # noqa: E731
    assert_allclose(f(8.0).value, 2, rtol=1e-9)
    assert_allclose(grad(f)(8.0), 1 / 12, rtol=1e-8)
    assert_allclose(grad(grad(f))(8.0), -2 / 9 * 8 ** (-5 / 3), rtol=1e-7)


def test_a_singular_jacobian_and_equations_that_are_too_many():
    with pytest.raises(numpy.linalg.LinAlgError, match=r"Jacobian of fun .* rank 1 where it has 2"):
        grad(lambda a: root(lambda x: [x[0] + x[1] - a, x[0] + x[1] - a], [1.0, 1.0]).x[0])(1.0)
    with pytest.raises(ValueError, match=r"3 values for 1 unknowns.*least_squares"):
        grad(lambda a: root(lambda x: [x[0] - a] * 3, [0.5], method="lm").x[0])(1.0)


def test_a_search_without_success_warns_when_it_is_differentiated():
    def lost(a):
        return root(lambda x: x**3 - a, [5.0], options={"maxfev": 3}).x[0]

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        lost(1.0)
    with pytest.warns(RuntimeWarning, match="root has not converged"):
        grad(lost)(1.0)
    with pytest.raises(numpy.linalg.LinAlgError, match="after a search without success"):
        grad(lambda a: root(lambda x: x * x + a, [1.0]).x[0])(1.0)


# ----- minima -------------------------------------------------------------------------------------


def valley(x, a):
    return (x[0] - a) ** 2 + (x[1] - x[0] ** 2) ** 2


@pytest.mark.parametrize(
    "method", [None, "Nelder-Mead", "CG", "Newton-CG", "L-BFGS-B", "TNC", "SLSQP", "trust-exact"]
)
def test_every_method_finds_a_minimum_and_its_derivatives(method):
    def total(a):
        return np.sum(minimize(valley, [1.9, 3.8], (a,), method=method, tol=1e-10).x)

    assert_allclose(total(2.0).value, 6, rtol=1e-6)
    assert_allclose(grad(total)(2.0), 5, rtol=1e-5)
    assert_allclose(grad(grad(total))(2.0), 2, rtol=1e-4)


def ridge(penalty):
    """Return the loss of a ridge regression on other data, by its penalty, in closed form."""
    w = np.linalg.solve(A[:8].T @ A[:8] + np.exp(penalty) * numpy.eye(3), A[:8].T @ B[:8])
    return np.sum((A[8:] @ w - B[8:]) ** 2)


def searched(penalty):
    def loss(w):
        return np.sum((A[:8] @ w - B[:8]) ** 2) + np.exp(penalty) * np.sum(w * w)

    w = minimize(loss, numpy.zeros(3), method="trust-exact", tol=1e-10).x
    return np.sum((A[8:] @ w - B[8:]) ** 2)


def test_the_penalty_of_a_ridge_regression_to_third_order():
    for f in (lambda f: f, grad, lambda f: grad(grad(f)), lambda f: hessian(grad(f))):
        assert_allclose(
            np.asarray(f(searched)(0.3)).value, np.asarray(f(ridge)(0.3)).value, rtol=1e-8
        )


def test_the_least_value_obeys_the_envelope_theorem():
    def least(a):
        return minimize(lambda x: (x[0] - a) ** 2 + a * x[0] ** 2, [0.0], tol=1e-10).fun

    # a**3 / (1 + a)
    assert_allclose(least(2.0).value, 8 / 3, rtol=1e-12)
    assert_allclose(grad(least)(2.0), 28 / 9, rtol=1e-9)
    assert_allclose(grad(grad(least))(2.0), 52 / 27, rtol=1e-8)


def test_a_minimum_of_a_function_that_holds_a_gradient():
    def lowest(a):
        inner = lambda x: grad(lambda y: a * np.sum(y**4))(x)  # noqa: E731
        return minimize(lambda x: np.sum((inner(x) - 1) ** 2 + x * x), [0.5], tol=1e-12).x[0]

    h = 1e-5
    differences = (lowest(0.3 + h) - lowest(0.3 - h)) / (2 * h)
    assert_allclose(grad(lowest)(0.3), differences.value, rtol=1e-6)


@pytest.mark.parametrize("method", ["L-BFGS-B", "trust-constr", "Nelder-Mead"])
def test_a_variable_at_a_bound_moves_with_the_bound_only(method):
    def held(p, high):
        f = lambda x: np.sum((x - p) ** 2) + x[0] * x[1]  # noqa: E731
        bounds = [(0.0, high), (None, 3.0)]
        return minimize(f, [0.5, 0.5], bounds=bounds, method=method, tol=1e-10).x

    by_p, by_high = jacobian(held, (0, 1))(numpy.array([2.0, 1.0]), 0.7)
    assert_allclose(by_p, [[0, 0], [0, 1]], atol=1e-9)
    assert_allclose(by_high, [1, -0.5], atol=1e-9)
    assert_allclose(minimize_scalar(lambda x: x, bounds=(1.0, 2.0)).x.value, 1, rtol=1e-4)
    ends = grad(lambda low: minimize_scalar(lambda x: x * x, bounds=(low, 2.0)).x)(1.0)
    assert_allclose(ends, 1)


def on_a_circle(p, r):
    return r * p / np.sqrt(np.sum(p * p))


def test_a_minimum_under_constraints_that_hold():
    def nearest(p, r):
        on = {"type": "eq", "fun": lambda x, r: np.sum(x * x) - r * r, "args": (r,)}
        off = {"type": "ineq", "fun": lambda x: 10 - x[0] * p[0]}
        f = lambda x: np.sum((x - p) ** 2)  # noqa: E731
        return minimize(f, [1.0, 0.5], constraints=[on, off], tol=1e-13).x

    for found, expected in zip(
        jacobian(nearest, (0, 1))(P, 1.5), jacobian(on_a_circle, (0, 1))(P, 1.5), strict=True
    ):
        assert_allclose(found, expected, rtol=1e-6, atol=1e-7)
    second = hessian(lambda p: nearest(p, 1.5)[0])(P)
    assert_allclose(second, hessian(lambda p: on_a_circle(p, 1.5)[0])(P), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", ["SLSQP", "COBYLA", "trust-constr"])
@pytest.mark.parametrize("kind", ["linear", "nonlinear"])
def test_scipys_objects_for_constraints(method, kind):
    if kind == "linear":
        limit = scipy.optimize.LinearConstraint([[1.0, 1.0]], -numpy.inf, 1.0)
    else:
        limit = scipy.optimize.NonlinearConstraint(lambda x: np.exp(np.sum(x)), 0.0, numpy.exp(1.0))

    def nearest(p):
        f = lambda x: np.sum((x - p) ** 2)  # noqa: E731
        return minimize(f, [0.0, 0.0], constraints=limit, method=method, tol=1e-8).x

    assert_allclose(nearest(P).value, [0, 1], atol=1e-3)
    assert_allclose(jacobian(nearest)(P), [[0.5, -0.5], [-0.5, 0.5]], atol=1e-2)
    assert_allclose(jacobian(nearest)(P / 10), numpy.eye(2), atol=1e-9)


def test_a_singular_hessian_says_what_to_do():
    flat = lambda a: minimize(lambda x: (x[0] + x[1] - a) ** 2, [0.0, 0.0])  # noqa: E731
    with pytest.raises(numpy.linalg.LinAlgError, match=r"Hessian .* rank 1 .* stop_gradient"):
        grad(lambda a: flat(a).x[0])(1.0)


def test_the_result_is_scipys_with_tensors_in_it():
    ours = minimize(valley, [1.9, 3.8], (2.0,))
    slopes = lambda x, a: numpy.array(  # noqa: E731
        [2 * (x[0] - a) - 4 * x[0] * (x[1] - x[0] ** 2), 2 * (x[1] - x[0] ** 2)]
    )
    theirs = scipy.optimize.minimize(valley, [1.9, 3.8], (2.0,), jac=slopes)
    assert type(ours) is type(theirs)
    assert isinstance(ours.x, Tensor)
    assert isinstance(ours.fun, Tensor)
    assert not ours.x.tracked
    assert_allclose(ours.x.value, theirs.x, rtol=1e-9)
    assert (ours.nfev, ours.nit, ours.message) == (theirs.nfev, theirs.nit, theirs.message)


def test_the_user_s_own_derivatives_serve_the_search():
    calls = []

    def pair(x, a):
        calls.append(x)
        return (x[0] - a) ** 2, [2 * (x[0] - a)]

    found = lambda a: minimize(pair, [0.0], (a,), jac=True).x[0]  # noqa: E731
    assert_allclose(grad(found)(2.0), 1)
    assert all(isinstance(x, Tensor) for x in calls)
    hess = lambda x, a: [[2.0]]  # noqa: E731
    newton = minimize(lambda x, a: (x[0] - a) ** 2, [0.0], (2.0,), "trust-exact", None, hess)
    assert_allclose(newton.x.value, [2.0])


def test_what_is_captured_kept_and_paused():
    w = np.array(2.0).requires_grad_()
    result = minimize(lambda x: valley(x, w), [1.9, 3.8], tol=1e-10)
    (result.x[1] + result.fun).backward()
    assert_allclose(w.grad, 4, rtol=1e-6)
    with no_grad():
        assert not minimize(lambda x: valley(x, w), [1.9, 3.8]).x.tracked
    x = root(lambda x: x - w, [1.0]).x
    kept = weakref.ref(x.node)
    del x, result
    gc.collect()
    assert kept() is None


def test_what_a_solver_refuses():
    with pytest.raises(TypeError, match="minimize: x0 is complex"):
        minimize(valley, [1j, 0], (1.0,))
    with pytest.raises(TypeError, match="minimize: <lambda> returned None"):
        minimize(lambda x: None, [1.0])
    with pytest.raises(ValueError, match=r"minimize: .* must return one number"):
        minimize(lambda x: x, [1.0, 2.0])
    with pytest.raises(ValueError, match="bounds must be 2 pairs"):
        minimize(valley, [1.0, 2.0], (1.0,), bounds=[(0, 1)])
    with pytest.raises(TypeError, match="root: <lambda> returned complex numbers"):
        root(lambda x: x * 1j, [1.0])


# ----- fits ---------------------------------------------------------------------------------------

T = numpy.linspace(0.0, 1.0, 7)
Y = numpy.array([2.1, 1.5, 1.3, 1.1, 0.8, 0.75, 0.5])


def decay(t, height, rate):
    return height * np.exp(-rate * t)


@pytest.mark.parametrize("loss", ["soft_l1", "huber", "cauchy", "arctan"])
def test_robust_losses_are_those_of_minimize(loss):
    rho = {
        "soft_l1": lambda z: 2 * (np.sqrt(1 + z) - 1),
        "huber": lambda z: np.where(z <= 1, z, 2 * np.sqrt(z) - 1),
        "cauchy": np.log1p,
        "arctan": np.arctan,
    }[loss]

    def fitted(y):
        f = lambda x: decay(T, x[0], x[1]) - y  # noqa: E731
        return least_squares(f, [2.0, 1.0], loss=loss, f_scale=0.1, xtol=1e-12, ftol=1e-14).x

    def minimised(y):
        cost = lambda x: 0.005 * np.sum(rho((10 * (decay(T, x[0], x[1]) - y)) ** 2))  # noqa: E731
        return minimize(cost, [2.0, 1.0], method="trust-exact", tol=1e-12).x

    assert_allclose(fitted(Y).value, minimised(Y).value, rtol=1e-5)
    assert_allclose(jacobian(fitted)(Y), jacobian(minimised)(Y), rtol=1e-3, atol=1e-4)


def test_a_straight_line_has_the_known_derivative_in_the_data_and_their_errors():
    def fitted(y, sigma):
        return curve_fit(lambda t, a, b: a * t + b, T, y, sigma=sigma)[0]

    def solved(y, sigma):
        m = np.stack([T, T**0], axis=1)
        c = np.linalg.inv(sigma if sigma.ndim == 2 else np.diag(sigma**2))
        return np.linalg.solve(m.T @ c @ m, m.T @ c @ y)

    errors = 0.5 + T
    for sigma in (errors, numpy.diag(errors) + 0.1):
        assert_allclose(
            jacobian(fitted)(Y, sigma), jacobian(solved)(Y, sigma), rtol=1e-6, atol=1e-8
        )
    for i in range(2):
        found = hessian(lambda s, i=i: fitted(Y, s)[i])(errors)
        expected = hessian(lambda s, i=i: solved(Y, s)[i])(errors)
        assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_a_fit_is_scipys():
    ours = curve_fit(decay, T, Y)
    plain = lambda t, height, rate: height * numpy.exp(-rate * t)  # noqa: E731
    theirs = scipy.optimize.curve_fit(plain, T, Y)
    assert_allclose(ours[0].value, theirs[0], rtol=1e-7)
    assert_allclose(ours[1], theirs[1], rtol=1e-5)
    gap = numpy.where(T[3] == T, numpy.nan, Y)
    assert_allclose(
        curve_fit(decay, T, gap, nan_policy="omit")[0].value,
        scipy.optimize.curve_fit(plain, T, gap, nan_policy="omit")[0],
        rtol=1e-6,
    )
    with pytest.raises(TypeError, match="nan_policy='omit'"):
        grad(lambda y: curve_fit(decay, T, y, nan_policy="omit")[0][0])(gap)


def test_a_loss_that_is_a_function_is_refused_when_it_is_differentiated():
    rho = lambda z: numpy.array([z, numpy.ones_like(z), numpy.zeros_like(z)])  # noqa: E731
    fitted = lambda y: least_squares(lambda x: x - y, [0.0], loss=rho).x[0]  # noqa: E731
    assert_allclose(fitted(2.0).value, 2)
    with pytest.raises(TypeError, match="least_squares: where loss= is a function"):
        grad(fitted)(2.0)
