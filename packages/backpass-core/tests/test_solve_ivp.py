"""The derivatives of what `solve_ivp` finds: solutions, events, functions of time."""

import dataclasses
import gc
import math
import weakref

import numpy
import pytest
import scipy.integrate
from numpy.testing import assert_allclose, assert_array_equal

import backpass.numpy as np
from backpass.core import (
    Tensor,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    no_grad,
    value_and_grad,
)
from backpass.core.testing import check_grads
from backpass.scipy.integrate import odeint, solve_ivp

CLOSE = {"rtol": 1e-10, "atol": 1e-12}
METHODS = ("RK45", "RK23", "DOP853", "Radau", "BDF", "LSODA")
#: RK23 and BDF take many steps.
LIMITS = {"RK23": (1e-7, 1e-6), "BDF": (1e-7, 1e-5)}
Y = numpy.array([1.0, 0.5])


def decay(t, y, k):
    return -k * y


def oscillator(t, y, k):
    return [y[1], -k * y[0]]


def predators(t, y, a, b, c, d):
    return [a * y[0] - b * y[0] * y[1], d * y[0] * y[1] - c * y[1]]


# ----- against what is known ----------------------------------------------------------------------


@pytest.mark.parametrize("method", METHODS)
def test_exponential_decay_in_all_arguments(method):
    tol, rtol = LIMITS.get(method, (1e-9, 1e-7))

    def last(y0, span, k):
        solved = solve_ivp(decay, span, [y0], method, args=(k,), rtol=tol, atol=tol)
        return solved.y[0, -1]

    end = 1.5 * math.exp(-1.4)
    value, (gy, gt, gk) = value_and_grad(last, (0, 1, 2))(1.5, numpy.array([0.0, 2.0]), 0.7)
    assert_allclose(value.value, end, rtol=rtol)
    assert_allclose([gy, gk], [math.exp(-1.4), -2 * end], rtol=rtol)
    assert_allclose(gt, [0.7 * end, -0.7 * end], rtol=rtol)
    _, tangent = jvp(last, (1.5, numpy.array([0.0, 2.0]), 0.7), (1.0, numpy.array([0.0, 0.5]), 1.0))
    assert_allclose(tangent, math.exp(-1.4) - 0.35 * end - 2 * end, rtol=rtol)


def test_the_oscillator_is_a_rotation_at_the_times_asked_for():
    def solved(y, t):
        return solve_ivp(oscillator, (0, 3), y, "DOP853", t, args=(1.0,), **CLOSE).y

    t = numpy.array([0.0, 1.0, 2.5])
    by_y, by_t = jacobian(solved, (0, 1))(Y, t)
    c, s = numpy.cos(t), numpy.sin(t)
    assert_allclose(by_y, [[[a, b] for a, b in zip(c, s)], [[-b, a] for a, b in zip(c, s)]], 1e-8)
    slopes = [-s * Y[0] + c * Y[1], -c * Y[0] - s * Y[1]]
    assert_allclose(by_t, [numpy.diag(row) for row in slopes], rtol=1e-8, atol=1e-12)


def test_logistic_growth_to_second_order():
    def last(p):
        return solve_ivp(
            lambda t, y: p[1] * y * (1 - y / p[2]), (0, 2), p[:1], t_eval=[2.0], **CLOSE
        ).y[0, 0]

    def exact(p):
        return p[2] / (1 + (p[2] / p[0] - 1) * np.exp(-2 * p[1]))

    p, v = numpy.array([0.3, 0.9, 2.0]), numpy.array([1.0, -2.0, 0.5])
    assert_allclose(grad(last)(p), grad(exact)(p), rtol=1e-8)
    assert_allclose(hessian(last)(p), hessian(exact)(p), rtol=1e-6, atol=1e-8)
    assert_allclose(hvp(last, (p,), (v,)), hvp(exact, (p,), (v,)), rtol=1e-6)


def stepped(y, p, steps=400):
    """Solve for two units of time by the classical method of Runge and Kutta, over Tensors."""
    h = 2 / steps
    f = lambda y: np.stack(predators(0, y, *p))  # noqa: E731
    for _ in range(steps):
        k1 = f(y)
        k2 = f(y + h / 2 * k1)
        k3 = f(y + h / 2 * k2)
        k4 = f(y + h * k3)
        y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    return y


@pytest.mark.parametrize("method", ["RK45", "LSODA"])
def test_the_gradient_is_that_through_the_steps(method):
    def loss(y, p):
        args = tuple(p[i] for i in range(4))
        return np.sum(solve_ivp(predators, (0, 2), y, method, args=args, **CLOSE).y[:, -1] ** 2)

    p = numpy.array([1.5, 1.0, 3.0, 1.0])
    ours = grad(loss, (0, 1))(Y, p)
    theirs = grad(lambda y, p: np.sum(stepped(y, p) ** 2), (0, 1))(Y, p)
    for a, b in zip(ours, theirs):
        assert_allclose(a, b, rtol=1e-7)


# ----- stiff equations ----------------------------------------------------------------------------


def robertson(t, y, k1, k2, k3):
    first, second, third = k1 * y[0], k2 * y[1] * y[1], k3 * y[1] * y[2]
    return [third - first, first - third - second, second]


#: By differences of Radau's solution with tolerances of 1e-12.
ROBERTSON = [-4.2475588, -2.2883551e-9, 1.3730808e-5]


@pytest.mark.parametrize("method", ["Radau", "BDF", "LSODA", "odeint"])
def test_a_stiff_reaction_both_ways(method):
    rates = (0.04, 3e7, 1e4)
    limits = {"rtol": 1e-7, "atol": [1e-9, 1e-13, 1e-9]}

    def last(*rates):
        if method == "odeint":
            solved = odeint(robertson, [1.0, 0, 0], [0, 40.0], rates, tfirst=True, **limits)
            return solved[-1, 0]
        solved = solve_ivp(robertson, (0, 40), [1.0, 0, 0], method, args=rates, **limits)
        return solved.y[0, -1]

    assert_allclose(grad(last, (0, 1, 2))(*rates), ROBERTSON, rtol=1e-5)
    assert_allclose(jvp(last, rates, (None, 1.0, None))[1], ROBERTSON[1], rtol=1e-5)


def test_second_derivatives_of_a_stiff_solution_are_those_of_a_tangent():
    def last(k):
        solved = solve_ivp(
            lambda t, y: -1000 * k * (y - np.cos(t)), (0, 1), [0.5], "Radau", rtol=1e-9, atol=1e-11
        )
        return solved.y[0, -1]

    # cos(t) + sin(t) / (1000 k) and more that is small
    found = grad(lambda k: jvp(last, (k,), (1.0,))[1])(0.7)
    assert_allclose(found, 2 * math.sin(1.0) / (1000 * 0.7**3), rtol=1e-2)
    with pytest.raises(RuntimeError, match=r"from t=.*grad of jvp"):
        grad(grad(last))(0.7)


def test_the_implicit_methods_get_the_exact_jacobian():
    found = solve_ivp(robertson, (0, 40), [1.0, 0, 0], "Radau", args=(0.04, 3e7, 1e4))
    by_hand = scipy.integrate.solve_ivp(
        robertson,
        (0, 40),
        [1.0, 0, 0],
        "Radau",
        args=(0.04, 3e7, 1e4),
        jac=lambda t, y, a, b, c: [
            [-a, c * y[2], c * y[1]],
            [a, -c * y[2] - 2 * b * y[1], -c * y[1]],
            [0, 2 * b * y[1], 0],
        ],
    )
    assert_allclose(found.y.value, by_hand.y, rtol=1e-9)
    assert (found.nfev, found.njev, found.nlu) == (by_hand.nfev, by_hand.njev, by_hand.nlu)


@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("method", ["BDF", "LSODA"])
def test_the_users_jacobian_is_used(method, constant):
    if constant and method == "LSODA":
        pytest.skip("LSODA takes functions only")
    calls = []
    matrix = numpy.array([[0.0, 1.0], [-2.0, 0.0]])

    def jac(t, y, k):
        calls.append(t)
        return [[0.0, 1.0], [-k, 0.0]]

    def last(y0, k):
        options = {"jac": matrix if constant else jac, "rtol": 1e-8, "atol": 1e-8}
        return solve_ivp(oscillator, (0, 1), y0, method, args=(k,), **options).y[0, -1]

    g, gk = grad(last, (0, 1))(Y, 2.0)
    w = math.sqrt(2.0)
    c, s = math.cos(w), math.sin(w)
    assert_allclose(g, [c, s / w], rtol=1e-5)
    assert_allclose(gk, (-s * Y[0] + (c / w - s / w**2) * Y[1]) / (2 * w), rtol=1e-5)
    assert constant or method == "LSODA" or calls


# ----- events -------------------------------------------------------------------------------------


def ground(t, y, g):
    return y[0]


ground.terminal = True
ground.direction = -1

FALL = numpy.array([3.0, 2.0, 9.8])


def thrown(p, **options):
    """Throw a ball from height p[0] with velocity p[1] up, where gravity is p[2]."""
    return solve_ivp(
        lambda t, y, g: [y[1], -g], (0, 20), p[:2], args=(p[2],), events=ground, **options, **CLOSE
    )


def impact(p):
    return (p[1] + np.sqrt(p[1] ** 2 + 2 * p[2] * p[0])) / p[2]


def test_the_time_of_an_impact_to_second_order():
    time = lambda p: thrown(p).t_events[0][0]  # noqa: E731
    assert_allclose(thrown(FALL).t[-1].value, impact(FALL).value, rtol=1e-9)
    assert_allclose(grad(time)(FALL), grad(impact)(FALL), rtol=1e-9)
    assert_allclose(hessian(time)(FALL), hessian(impact)(FALL), rtol=1e-7)
    v = numpy.array([1.0, -1.0, 2.0])
    assert_allclose(jvp(time, (FALL,), (v,))[1], jvp(impact, (FALL,), (v,))[1], rtol=1e-9)


def test_what_ends_the_solution_moves_with_the_impact():
    speed = lambda p: -np.sqrt(p[1] ** 2 + 2 * p[2] * p[0])  # noqa: E731
    for end in (lambda s: s.y[:, -1], lambda s: s.y_events[0][0]):
        found = jacobian(lambda p: end(thrown(p)))(FALL)  # noqa: B023
        assert_allclose(found[1], grad(speed)(FALL), rtol=1e-9)
        assert_allclose(found[0], 0, atol=1e-9)
    assert_allclose(grad(lambda p: thrown(p).t[-1])(FALL), grad(impact)(FALL), rtol=1e-9)
    # The times before it do not move.
    assert_allclose(grad(lambda p: np.sum(thrown(p).t[:-1]) + 0 * p[0])(FALL), 0)


def test_a_ball_that_bounces_three_times():
    # Each flight takes 2 v / g, and v shrinks by e at each bounce.
    def third(height, e, g):
        time, y = 0.0, [height, 0.0]
        for _ in range(3):
            flight = solve_ivp(
                lambda t, y, g: [y[1], -g], (time, time + 9), y, args=(g,), events=ground, **CLOSE
            )
            time, y = flight.t[-1], [0.0, -e * flight.y[1, -1]]
        return time

    def exact(height, e, g):
        return np.sqrt(2 * height / g) * (1 + 2 * e + 2 * e * e)

    args = (2.0, 0.8, 9.8)
    assert_allclose(third(*args).value, exact(*args).value, rtol=1e-9)
    assert_allclose(grad(third, (0, 1, 2))(*args), grad(exact, (0, 1, 2))(*args), rtol=1e-8)


def test_events_that_end_nothing_with_parameters_of_their_own():
    def run(level, y0, start):
        def reaches(t, y):
            return y[0] - level * np.cos(0.1 * t)

        def late(t, y):
            return t - 2.0 * level

        return solve_ivp(
            lambda t, y: [y[1], -y[0]], (start, 9.0), y0, events=[reaches, late], **CLOSE
        )

    def times(level, y0, start):
        found = run(level, y0, start)
        return np.concatenate([*found.t_events, np.ravel(found.y_events[0])])

    args = (0.4, Y, 0.1)
    found = run(*args)
    assert [len(t) for t in found.t_events] == [3, 1]
    assert_allclose(found.t_events[1].value, 0.8)
    check_grads(times, args, order=1, modes=("rev", "fwd"))


def test_a_grazing_event_has_no_derivative():
    def cube(t, y):
        return y[0]

    # y = t**3 + c crosses zero without a slope.
    run = lambda c: solve_ivp(lambda t, y: 3 * t * t, (-1, 1), [c - 1], events=cube, **CLOSE)  # noqa: E731
    assert_allclose(run(0.0).t_events[0].value, 0, atol=1e-4)
    with pytest.raises(ZeroDivisionError, match=r"event cube at t=.* grazing: .*stop_gradient"):
        grad(lambda c: run(c).t_events[0][0])(0.0)
    # Who does not use the event is not troubled by it.
    assert_allclose(grad(lambda c: run(c).y[0, -1])(0.0), 1)


# ----- functions of time --------------------------------------------------------------------------


def test_a_function_of_time_to_second_order():
    def at(y0, k, t):
        solved = solve_ivp(decay, (0, 2), [y0], args=(k,), dense_output=True, **CLOSE)
        return solved.sol(t)[0]

    exact = lambda y0, k, t: y0 * np.exp(-k * t)  # noqa: E731
    args = (1.5, 0.7, 0.9)
    assert_allclose(grad(at, (0, 1, 2))(*args), grad(exact, (0, 1, 2))(*args), rtol=1e-8)
    found, right = (grad(grad(f, 1), 2)(*args) for f in (at, exact))
    assert_allclose(found, right, rtol=1e-7)
    many = numpy.array([1.2, 0.3, 1.2])
    assert_allclose(
        grad(lambda k: np.sum(at(1.5, k, many)))(0.7), -(1.5 * many * numpy.exp(-0.7 * many)).sum()
    )


def test_a_function_of_time_is_scipys():
    theirs = scipy.integrate.solve_ivp(oscillator, (0, 2), Y, args=(2.0,), dense_output=True)
    ours = solve_ivp(oscillator, (0, 2), Y, args=(2.0,), dense_output=True)
    t = numpy.array([0.0, 0.7, 2.0])
    assert_array_equal(ours.sol(t).value, theirs.sol(t))
    assert_array_equal(ours.sol(0.7).value, theirs.sol(0.7))
    assert_array_equal(ours.sol(2.5).value, theirs.sol(2.5))
    assert_array_equal(ours.sol.ts, theirs.sol.ts)

    def beyond(k):
        return solve_ivp(decay, (0, 2), [1.0], args=(k,), dense_output=True).sol(2.5)[0]

    with pytest.raises(ValueError, match=r"sol: t must lie from 0 to 2"):
        grad(beyond)(0.7)


# ----- what fun reaches ---------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["RK45", "LSODA", "Radau"])
def test_captured_parameters_of_a_network_get_their_grads(method):
    random = numpy.random.default_rng(0)
    w, v = (np.array(random.normal(size=s)).requires_grad_() for s in ((2, 4), (4, 2)))

    def loss(w, v):
        f = lambda t, y: np.matmul(np.tanh(np.matmul(y, w)), v)  # noqa: E731
        return np.sum(solve_ivp(f, (0, 1), Y, method, rtol=1e-8, atol=1e-8).y[:, -1] ** 2)

    loss(w, v).backward()
    exact = grad(loss, (0, 1))(w.value, v.value)
    eps = numpy.zeros((2, 4))
    eps[1, 2] = 1e-5
    change = (loss(w.value + eps, v.value) - loss(w.value - eps, v.value)).value / 2e-5
    assert_allclose(w.grad[1, 2], change, rtol=1e-4)
    for a, b in zip((w.grad, v.grad), exact):
        assert_allclose(a, b, rtol=1e-6)


def test_what_is_met_late_gets_its_gradient():
    def last(k):
        f = lambda t, y: -(k if float(t.value) > 0.5 else 0.3) * y  # noqa: E731
        return solve_ivp(f, (0, 1), [1.0], max_step=0.01, rtol=1e-8).y[0, -1]

    assert_allclose(grad(last)(0.7), -0.5 * math.exp(-0.5), rtol=1e-2)


def test_single_precision_stays():
    def last(y0, k):
        return np.sum(solve_ivp(decay, (0, 2), y0, args=(k,)).y[:, -1])

    y0, k = Y.astype("float32"), numpy.array([0.7, 0.2], "float32")
    for g, right in zip(grad(last, (0, 1))(y0, k), (numpy.exp(-2 * k), -2 * Y * numpy.exp(-2 * k))):
        assert g.dtype == numpy.float32
        assert_allclose(g, right, rtol=1e-2)


def test_a_gradient_does_not_depend_on_the_size_of_the_loss():
    def last(y0, k):
        return solve_ivp(oscillator, (0, 5), y0, args=(k,), rtol=1e-6).y[0, -1]

    g = grad(last, (0, 1))(Y, 2.0)
    small = grad(lambda y, k: 1e-20 * last(y, k), (0, 1))(Y, 2.0)
    for a, b in zip(g, small):
        assert_allclose(1e20 * b, a, rtol=1e-12)


def test_a_solution_that_is_kept_does_not_keep_its_past():
    kept, alive = [], []

    def loss(k):
        big = np.exp(k * numpy.ones(100))
        alive.append(weakref.ref(big.node))
        kept.append(solve_ivp(decay, (0, 2), [1.5], args=(np.mean(big),)).y)
        return np.sum(kept[0])

    grad(loss)(0.1)
    gc.collect()
    assert alive[0]() is None
    assert not kept[0].tracked


def test_no_grad_records_nothing():
    def f(k):
        with no_grad():
            fixed = solve_ivp(decay, (0, 2), [1.5], args=(k,), **CLOSE).y[0, -1]
        assert not fixed.tracked
        return fixed * k

    assert_allclose(grad(f)(0.7), 1.5 * math.exp(-1.4), rtol=1e-6)


# ----- states -------------------------------------------------------------------------------------


@dataclasses.dataclass
class Body:
    place: object
    velocity: object


STATES = {
    "dict": (
        {"place": numpy.ones((2, 3)), "velocity": numpy.array(0.5)},
        lambda y, k: {"place": y["velocity"] * np.ones((2, 3)), "velocity": -k * y["place"][0, 0]},
        lambda y: (y["place"], y["velocity"]),
    ),
    "tuple": (
        (numpy.ones(3), numpy.array(0.5)),
        lambda y, k: (y[1] * np.ones(3), -k * y[0][0]),
        lambda y: y,
    ),
    "dataclass": (
        Body(numpy.ones(2), numpy.array(0.5)),
        lambda y, k: Body(y.velocity * np.ones(2), -k * y.place[0]),
        lambda y: (y.place, y.velocity),
    ),
}


@pytest.mark.parametrize("kind", STATES)
def test_a_state_may_be_a_tree(kind):
    y0, f, parts = STATES[kind]
    t = numpy.array([0.0, 0.5, 1.0])

    def ivp(k):
        return solve_ivp(lambda t, y, k: f(y, k), (0, 1), y0, t_eval=t, args=(k,), **CLOSE).y

    def ode(k):
        return odeint(lambda y, t, k: f(y, k), y0, t, args=(k,), rtol=1e-11, atol=1e-11)

    def both(y):
        return [[numpy.shape(x)[-1] for x in parts(y)], [numpy.shape(x)[0] for x in parts(y)]]

    assert both(ivp(2.0))[0] == both(ode(2.0))[1] == [3, 3]
    assert type(ivp(2.0)) is type(y0)
    w = math.sqrt(2.0)
    c, s = math.cos(w), math.sin(w)
    slope = (-s + 0.5 * (c / w - s / w**2)) / (2 * w)
    assert_allclose(grad(lambda k: np.ravel(parts(ivp(k))[0][..., -1])[0])(2.0), slope, rtol=1e-8)
    assert_allclose(grad(lambda k: np.ravel(parts(ode(k))[0][-1])[0])(2.0), slope, rtol=1e-8)


def test_the_leaves_of_a_tree_have_gradients_and_events_see_it():
    def falls(y0):
        hits = lambda t, y: y["place"]  # noqa: E731
        hits.terminal = True
        f = lambda t, y: {"place": y["velocity"], "velocity": -9.8}  # noqa: E731
        found = solve_ivp(f, (0, 9), y0, events=hits, dense_output=True, **CLOSE)
        assert found.y_events[0]["velocity"].shape == (1,)
        assert found.sol([0.1, 0.2])["place"].shape == (2,)
        return found.t[-1]

    g = grad(falls, 0)({"place": 3.0, "velocity": 2.0})
    assert_allclose([g["place"], g["velocity"]], grad(impact)(FALL)[:2], rtol=1e-9)


def test_a_number_and_a_matrix_are_states():
    last = lambda y0, k: solve_ivp(decay, (0, 2), y0, args=(k,), **CLOSE).y[..., -1]  # noqa: E731
    assert_allclose(grad(last, (0, 1))(1.5, 0.7), [math.exp(-1.4), -3 * math.exp(-1.4)], rtol=1e-8)
    start = numpy.ones((2, 3))
    assert last(start, 0.7).shape == (2, 3)
    assert_allclose(grad(lambda y: np.sum(last(y, 0.7)))(start), math.exp(-1.4) * start, rtol=1e-8)


@pytest.mark.parametrize("method", ["RK45", "BDF"])
def test_complex_states(method):
    def last(y0, k):
        y = solve_ivp(
            lambda t, y, k: 1j * k * y, (0, 2), y0, method, args=(k,), rtol=1e-8, atol=1e-8
        ).y[:, -1]
        return np.sum(np.real(y * (1 + 2j)))

    y0, k = numpy.array([1 + 0.5j, -0.3j]), 0.7 + 0.1j
    e = numpy.exp(2j * k)
    gy, gk = grad(last, (0, 1))(y0, k)
    assert_allclose(gy, [(1 + 2j) * e] * 2, rtol=1e-5)
    assert_allclose(gk, numpy.sum(2j * y0 * e * (1 + 2j)), rtol=1e-5)
    real = grad(last, 1)(y0, 0.7)
    assert_allclose(real, numpy.sum(2j * y0 * numpy.exp(1.4j) * (1 + 2j)).real, rtol=1e-5)


def test_a_complex_field_that_is_not_holomorphic_both_ways():
    def last(y0, k):
        f = lambda t, y: -k * y * np.abs(y) + 1j * np.real(y)  # noqa: E731
        return solve_ivp(f, (0, 1), y0, t_eval=[1.0], **CLOSE).y[:, -1]

    check_grads(last, (numpy.array([1 + 0.5j, 0.2 - 0.3j]), 0.7), order=1, modes=("rev", "fwd"))


# ----- calls --------------------------------------------------------------------------------------

CALLS = {
    "steps": {},
    "times": {"t_eval": [0.0, 0.5, 2.0]},
    "integers": {"t_eval": [0, 1, 2]},
    "no_times": {"t_eval": []},
    "options": {"method": "RK23", "max_step": 0.1, "first_step": 0.01, "atol": [1e-4, 1e-6]},
    "dense": {"method": "DOP853", "dense_output": True, "t_eval": [0.1, 0.2]},
    "sparsity": {"method": "BDF", "jac_sparsity": numpy.ones((2, 2))},
    "bands": {"method": "LSODA", "lband": 1, "uband": 1},
}


@pytest.mark.parametrize("name", CALLS)
def test_the_values_are_scipys(name):
    keywords = CALLS[name]
    crosses = lambda t, y, k: y[0]  # noqa: E731
    call = {"args": (2.0,), "events": [crosses, lambda t, y, k: y[1] + 9]} | keywords
    theirs = scipy.integrate.solve_ivp(oscillator, (0, 2), Y, **call)
    ours = solve_ivp(oscillator, (0, 2), Y, **call)
    assert isinstance(ours.y, Tensor)
    assert not ours.y.tracked
    assert_array_equal(ours.t.value, theirs.t)
    assert_array_equal(ours.y.value, numpy.reshape(theirs.y, (2, -1)))
    for a, b in zip(ours.t_events, theirs.t_events):
        assert_array_equal(a.value, b)
    assert_array_equal(ours.y_events[0].value, theirs.y_events[0])
    fields = ("nfev", "njev", "nlu", "status", "message", "success")
    assert [ours[f] for f in fields] == [theirs[f] for f in fields]
    # And with a derivative to come.
    tracked = []
    grad(lambda y: np.sum(tracked.append(solve_ivp(oscillator, (0, 2), y, **call)) or y))(Y)
    assert_array_equal(tracked[0].y.value, ours.y.value)


def test_vectorized_functions_get_columns():
    def f(t, y, k):
        assert y.shape == (2, 1)
        return np.stack([y[1], -k * y[0]])

    def last(k, **options):
        return solve_ivp(f, (0, 1), Y, args=(k,), vectorized=True, **options, **CLOSE).y[0, -1]

    right = grad(lambda k: solve_ivp(oscillator, (0, 1), Y, args=(k,), **CLOSE).y[0, -1])(2.0)
    assert_allclose(grad(last)(2.0), right, rtol=1e-9)
    assert_allclose(grad(lambda k: last(k, method="Radau"))(2.0), right, rtol=1e-7)


def test_backwards_in_time_with_events():
    def run(y0, k):
        found = solve_ivp(
            oscillator, (2, 0), y0, t_eval=[1.5, 0.0], events=lambda t, y, k: y[0] - 0.9, args=(k,),
            **CLOSE,
        )  # fmt: skip
        return np.concatenate([np.ravel(found.y), *found.t_events])

    assert run(Y, 2.0).shape == (5,)
    check_grads(run, (Y, 2.0), order=1, modes=("rev", "fwd"))


# ----- bad input ----------------------------------------------------------------------------------


def test_a_solution_that_failed_has_no_derivative():
    def explode(k):
        found = solve_ivp(lambda t, y: k * y * y, (0, 2), [1.0])
        assert (found.status, found.success) == (-1, False)
        return found.y[0, -1]

    with pytest.raises(RuntimeError, match=r"not complete.*Required step size is less than"):
        grad(explode)(1.0)
    with pytest.raises(RuntimeError, match=r"not complete"):
        jvp(explode, (1.0,), (1.0,))


@pytest.mark.parametrize(
    ("error", "message", "call"),
    [
        (ValueError, r"method='RK5': it must be one of RK23", {"method": "RK5"}),
        (ValueError, r"t_span must be two times", {"t_span": [0.0, 1.0, 2.0]}),
        (ValueError, r"`t_eval` are not within `t_span`", {"t_eval": [5.0]}),
        (ValueError, r"t_eval must have one axis", {"t_eval": [[0.5]]}),
        (TypeError, r"args must be a tuple", {"args": 3.0}),
        (TypeError, r"t_eval is complex", {"t_eval": [0.5j]}),
        (ValueError, r"triple returned shape \(3,\), y has shape \(2,\)", {"fun": "triple"}),
        (TypeError, r"forgetful returned None: did you forget", {"fun": "forgetful"}),
        (ValueError, r"returned a tree of structure", {"y0": {"a": 1.0}}),
        (TypeError, r"y0 holds None", {"y0": {"a": None}}),
        (ValueError, r"vectorized=True is for states", {"y0": 1.0, "vectorized": True}),
        (ValueError, r"the event pair returned shape \(2,\)", {"events": "pair"}),
        (TypeError, r"the event forgetful returned None", {"events": "forgetful"}),
    ],
)
def test_bad_input_is_named(error, message, call):
    def triple(t, y):
        return numpy.ones(3)

    def pair(t, y):
        return numpy.ones(2)

    def forgetful(t, y):
        y * t

    known = {"triple": triple, "pair": pair, "forgetful": forgetful}
    given = {"fun": lambda t, y: numpy.ones(2), "t_span": (0, 1), "y0": Y} | call
    given = {k: known.get(x, x) if isinstance(x, str) else x for k, x in given.items()}
    with pytest.raises(error, match=message):
        solve_ivp(**given)
