"""`detect_anomaly`: it finds the operation, the operand and the line, and changes nothing else."""

import pickle
import threading
import warnings

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.autograd as autograd
import backpass.numpy as np
from backpass.core import (
    AnomalyError,
    AnomalyWarning,
    Tensor,
    checkpoint,
    custom_vjp,
    detect_anomaly,
    explain,
    grad,
    hvp,
    jvp,
    observing,
    vjp,
)
from backpass.core.graph import pauses, recording
from backpass.core.ops.elementwise import tanh
from backpass.scipy.integrate import odeint

X = numpy.array([0.0, 1.0, 2.0])


def anomaly_of(f, *args, **settings):
    """Return what is raised while `f` runs."""
    with (
        numpy.errstate(all="ignore"),
        pytest.raises(AnomalyError) as raised,
        detect_anomaly(**settings),
    ):
        f(*args)
    return raised.value.anomaly


def summed(f):
    return grad(lambda x: np.sum(f(x)))


# ----- forward ------------------------------------------------------------------------------------


def test_the_first_operation_is_named_with_its_operands_and_the_line():
    found = anomaly_of(summed(lambda x: np.exp(np.log(x))), X)
    assert (found.kind, found.operation, found.operand) == ("value", "log", "")
    assert found.place.file == __file__
    assert found.place.expression == "np.log(x)"
    assert "1 of 3 elements is infinite" in found.message
    assert f"{__file__}:{found.place.line}" in found.message
    assert "x: float64 of shape (3,): from 0 to 2" in found.message


def test_an_operand_that_was_not_finite_before_is_named():
    y = numpy.array([1.0, numpy.nan, 2.0], numpy.float32)
    found = anomaly_of(summed(lambda x: x * y), X)
    assert (found.kind, found.operation, found.operand) == ("operand", "multiply", "y")
    assert "y: float32 of shape (3,): 1 of 3 elements is nan, the others from 1 to 2" in (
        found.message
    )


def test_what_is_not_tracked_is_looked_at_too():
    assert anomaly_of(lambda: np.array([1.0]) / np.array([0.0])).operation == "divide"
    assert anomaly_of(autograd.numpy.log, X).operation == "log"


def test_complex_values_python_numbers_and_several_outputs():
    assert anomaly_of(lambda: np.array([0j]) ** -1).operation == "reciprocal"
    assert anomaly_of(grad(lambda x: np.log(x)), 0.0).operation == "log"
    found = anomaly_of(lambda: np.linalg.slogdet(np.zeros((2, 2))))
    assert found.operation == "slogdet"


def test_either_fault_can_be_left_alone():
    inf, nan = (lambda x: np.log(x)), (lambda x: np.log(-1 - x))
    with detect_anomaly(check_inf=False):
        assert_array_equal(inf(X).value[:1], -numpy.inf)
        with pytest.raises(AnomalyError, match="nan"):
            nan(X)
    with numpy.errstate(invalid="ignore"), detect_anomaly(check_nan=False):
        assert numpy.isnan(nan(X).value).all()
        with pytest.raises(AnomalyError, match="infinite"):
            inf(X)


def test_assignment_and_primitives_of_other_kinds_are_looked_at():
    def assigned(x):
        z = np.zeros(3)
        z[1] = x[0]
        z[2] = numpy.inf
        return z

    assert anomaly_of(summed(assigned), X).operation == "setitem"

    @autograd.extend.primitive
    def steep(x):
        return x / (x - x)

    found = anomaly_of(lambda: steep(np.array([1.0])))
    assert found.operation == "steep"


# ----- rules --------------------------------------------------------------------------------------


def test_the_first_rule_is_named_with_the_line_that_recorded_the_operation():
    def loss(x):
        root = np.sqrt(x)
        return np.sum(root * 3.0)

    found = anomaly_of(grad(loss), X)
    assert (found.kind, found.operation, found.operand) == ("derivative", "sqrt", "x")
    assert found.place.text == "root = np.sqrt(x)"
    assert found.place.function.endswith("loss")
    assert "cotangent that arrived: float64 of shape (3,): all 3" in found.message


def test_the_operand_is_named():
    x, y = numpy.array([1e200]), numpy.array([1e-100])
    found = anomaly_of(grad(lambda x, y: np.sum(x / y), (0, 1)), x, y)
    assert (found.operation, found.operand) == ("divide", "y")


def test_forward_mode():
    found = anomaly_of(jvp, np.sqrt, (X,), (numpy.ones(3),))
    assert (found.kind, found.operation) == ("derivative", "sqrt")
    assert "tangent" in found.message


def test_the_second_derivative_says_in_whose_rule_it_is():
    with pytest.warns(AnomalyWarning, match="sqrt"):
        found = anomaly_of(grad(grad(lambda x: np.sqrt(x) ** 3)), 0.0)
    assert found.kind == "derivative"
    assert "in the derivative of sqrt" in found.message
    assert found.place.expression == "np.sqrt(x)"


@pytest.mark.parametrize(
    "walk",
    [
        lambda: vjp(lambda x: x * 2, X)[1](numpy.array([1.0, numpy.inf, 0.0])),
        lambda: jvp(lambda x: x * 2, (X,), (numpy.array([1.0, numpy.nan, 0.0]),)),
        lambda: (Tensor(X).requires_grad_() * 2).backward(numpy.full(3, numpy.inf)),
    ],
    ids=["vjp", "jvp", "backward"],
)
def test_a_cotangent_that_is_given_is_named_as_such(walk):
    found = anomaly_of(walk)
    assert (found.kind, found.operation) == ("given", "")
    assert "that was given" in found.message


def test_finite_cotangents_may_add_up_to_something_infinite():
    found = anomaly_of(summed(lambda x: x * 1e308 + x * 1e308), numpy.array([1e-9]))
    assert (found.kind, found.operation) == ("sum", "an argument")
    found = anomaly_of(summed(lambda x: (x * 1) * 1e308 + (x * 1) * 1e308), numpy.array([1e-9]))
    assert found.kind == "sum"


def test_hooks_and_what_was_recorded_before():
    w = Tensor(X).requires_grad_()
    y = w * 2
    y.register_hook(lambda g: g * numpy.inf)
    found = anomaly_of(np.sum(y).backward)
    assert (found.operation, found.place) == ("multiply", None)
    assert "a hook hangs on its value" in found.message
    assert "recorded before detect_anomaly() began" in found.message


def test_inside_of_checkpoint_odeint_and_a_rule_of_the_user():
    found = anomaly_of(summed(checkpoint(lambda x: np.sqrt(x))), X)
    assert (found.operation, found.place.expression) == ("sqrt", "np.sqrt(x)")

    @custom_vjp
    def odd(x):
        return x

    odd.defvjp(lambda x: (x, x), lambda r, g: (g / r,))
    assert anomaly_of(summed(odd), X).operation == "odd"

    def field(y, t, a):
        return -a * np.sqrt(y) * 0.1

    times = numpy.linspace(0.0, 1.0, 3)
    solve = grad(lambda a: np.sum(odeint(field, numpy.array([1.0]), times, args=(a,))))
    want = solve(0.3)
    with detect_anomaly() as found:
        assert_allclose(solve(0.3), want, rtol=1e-7)
    assert found.found == []


# ----- strong zeros -------------------------------------------------------------------------------


def test_strong_zeros_are_listed_with_their_lines_and_warned_of_once(recwarn):
    f = summed(lambda x: np.sqrt(x) ** 2)
    with detect_anomaly() as found:
        for _ in range(3):
            assert_array_equal(f(X), [0, 1, 1])
    assert [w.filename for w in recwarn] == [__file__]
    assert recwarn[0].category is AnomalyWarning
    (zero,) = found.strong_zeros
    assert (zero.operation, zero.mode, zero.count) == ("sqrt", "reverse", 3)
    assert zero.place.expression == "np.sqrt(x)"
    assert found.found == []


def test_a_value_that_is_chosen_away(recwarn):
    def f(x):
        return np.sum(np.where(x > 0, np.log(x), 0.0))

    with detect_anomaly(forward=False) as found:
        assert_array_equal(grad(f)(X), [0, 1, 0.5])
        jvp(f, (X,), (numpy.array([0.0, 1.0, 1.0]),))
    assert [(z.operation, z.mode) for z in found.strong_zeros] == [
        ("log", "reverse"),
        ("log", "forward"),
    ]


def test_a_zero_that_hides_nothing_is_not_listed():
    with detect_anomaly() as found:
        summed(lambda x: np.where(x > 5, np.exp(x), 0.0))(X)
    assert found.strong_zeros == []


# ----- what is kept -------------------------------------------------------------------------------


def changing(f, change):
    """Return the anomaly of a gradient in which `change` is called after `f`."""

    def loss(x):
        out = np.sum(f(x))
        change()
        return out

    return anomaly_of(grad(loss), numpy.ones(3))


def test_an_operand_that_is_written_to_is_named_with_the_element():
    y = numpy.array([1.0, 2.0, 3.0])
    found = changing(lambda x: x * y, lambda: y.__setitem__(1, 5.0))
    assert (found.kind, found.operation, found.operand) == ("changed", "multiply", "y")
    assert "[1] was 2.0, is 5.0" in found.message
    assert found.place.expression == "x * y"


def test_views_outputs_keywords_residuals_and_constants():
    whole = numpy.ones((3, 2))
    found = changing(lambda x: x * whole[:, 0], lambda: whole.fill(2))
    assert found.operand == "y"
    kept = []
    found = changing(lambda x: kept.append(np.exp(x)) or kept[0], lambda: kept[0].value.fill(2))
    assert (found.operation, found.operand) == ("exp", "its output")
    mask = numpy.array([True, False, True])
    found = changing(lambda x: np.sum(x, where=mask), lambda: mask.fill(True))
    assert (found.operation, found.operand) == ("sum", "its keyword where")
    y = numpy.ones(3)
    found = changing(lambda x: checkpoint(np.multiply)(x, y), lambda: y.fill(2))
    assert found.operation == "checkpoint"


@pytest.mark.parametrize(
    "change",
    [
        lambda y: y.__setitem__((57, 3), numpy.nextafter(y[57, 3], 9)),
        lambda y: y.__setitem__(slice(None), y[::-1].copy()),
    ],
    ids=["one bit", "another order"],
)
def test_large_arrays(change):
    y = numpy.random.default_rng(0).uniform(1, 2, (100, 7))[:, ::2]
    found = anomaly_of(grad(lambda x: np.sum(np.sum(x * y)) + (change(y) or 0.0)), 1.0)
    assert (found.kind, found.operand) == ("changed", "y")


def test_what_nobody_writes_to_is_left_alone():
    y = numpy.broadcast_to(numpy.arange(100.0), (50, 100))
    with detect_anomaly() as found:
        assert grad(lambda x: np.sum(x * y))(1.0) == y.sum()
        z = Tensor(numpy.zeros(3))
        z[0] = 1.0
        grad(lambda x: np.sum(x * z))(X)
        z[0] = 2.0
    assert found.found == []


# ----- the context --------------------------------------------------------------------------------


def test_warnings_instead_of_errors(recwarn):
    with numpy.errstate(all="ignore"), detect_anomaly("warn") as found:
        for _ in range(2):
            g = summed(lambda x: np.sqrt(x) + np.log(x))(X)
    assert numpy.isinf(g[0])
    assert [a.operation for a in found.found] == ["log", "log", "sqrt"]
    assert [a.kind for a in found.found] == ["value", "derivative", "derivative"]
    assert {w.filename for w in recwarn} == {__file__}


def test_a_decorator_nested_contexts_and_errors_leave_nothing_behind():
    @detect_anomaly()
    def step(x):
        return summed(np.log)(x)

    before = pauses[0]
    for _ in range(2):
        with pytest.raises(AnomalyError, match="log"):
            step(X)
    with pytest.raises(AnomalyError, match="came with the data"):
        step(numpy.full(3, numpy.nan))
    with detect_anomaly(), detect_anomaly("warn"), pytest.raises(ZeroDivisionError):
        1 / 0  # noqa: B018
    assert (pauses[0], recording.observer, *observing.observed, *observing.unfused) == (
        before,
        None,
        0,
        0,
    )
    summed(np.tanh)(X)
    assert numpy.ndarray in tanh.kernels
    assert numpy.ndarray in tanh.pulls


def test_other_threads_are_not_looked_at():
    made = []

    def elsewhere():
        with numpy.errstate(divide="ignore"):
            made.append(summed(np.log)(X))

    with detect_anomaly() as found:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert numpy.isinf(made[0][0])
    assert found.found == []


def test_gradients_are_those_of_every_other_day():
    random = numpy.random.default_rng(0)
    w, x = random.standard_normal((4, 4)), random.standard_normal(4)

    def f(w):
        return np.sum(np.tanh(w @ x) ** 2) + np.linalg.det(w)

    want = grad(f)(w), hvp(f, (w,), (w,)), explain(f)(w).gradients
    with detect_anomaly() as found:
        got = grad(f)(w), hvp(f, (w,), (w,)), explain(f)(w).gradients
    for a, b in zip(want, got, strict=True):
        assert_allclose(a, b, rtol=1e-12)
    assert (found.found, found.strong_zeros) == ([], [])


def test_errors_are_pickled_and_settings_checked():
    with pytest.raises(AnomalyError) as raised, detect_anomaly():
        np.log(X)
    assert pickle.loads(pickle.dumps(raised.value)).anomaly == raised.value.anomaly
    with pytest.raises(ValueError, match="action='ignore'"):
        detect_anomaly("ignore")


def test_no_warning_where_all_is_well():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with detect_anomaly():
            grad(grad(lambda x: np.tanh(x) ** 2))(0.0)
