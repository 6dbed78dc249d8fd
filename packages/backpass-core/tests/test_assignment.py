"""Writing into Tensors: recorded, and never seen through another Tensor."""

import sys

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.numpy as np
from backpass.core import (
    Tensor,
    checkpoint,
    grad,
    hessian,
    jacobian,
    jvp,
    linearize,
    no_grad,
    stop_gradient,
    vjp,
)
from backpass.core.tensor import COUNTED
from backpass.core.testing import check_grads

X = numpy.array([1.0, 2.0, 3.0])


def leaf(values):
    return np.array(values).requires_grad_()


# ----- in place or in a copy ----------------------------------------------------------------------


def test_a_write_into_an_array_of_ones_own_is_in_place():
    b = np.zeros(3)
    where = id(b.value)
    b[0] = 1.0
    b += 1.0
    b[1:] = [5.0, 6.0]
    assert (id(b.value) == where) == COUNTED
    assert_array_equal(b.value, [2.0, 5.0, 6.0])


def test_a_recorded_write_into_an_array_of_ones_own_is_in_place():
    def f(x):
        b = np.zeros(3)
        where = id(b.value)
        b[0] = x
        b[1] = x * x
        assert (id(b.value) == where) == COUNTED
        return np.sum(b)

    assert grad(f)(3.0) == 7.0


def test_a_write_into_a_kernels_result_is_in_place():
    b = np.array(numpy.zeros(5000)) + np.array(numpy.ones(5000))
    where = id(b.value)
    b[0] = 7.0
    assert (id(b.value) == where) == COUNTED
    assert b.value[0] == 7.0


def test_a_write_into_what_somebody_else_holds_is_in_a_copy():
    raw = numpy.zeros(3)
    b = Tensor(raw)
    b[0] = 1.0
    assert_array_equal(raw, numpy.zeros(3))
    assert_array_equal(b.value, [1.0, 0.0, 0.0])


def test_asarray_shares_and_a_write_does_not_reach_the_array():
    raw = numpy.zeros(3)
    b = np.asarray(raw)
    b += 1.0
    assert_array_equal(raw, numpy.zeros(3))


def test_a_write_into_a_read_only_array_is_in_a_copy():
    b = np.broadcast_to(np.array(1.0), (3,))
    b[0] = 5.0
    assert_array_equal(b.value, [5.0, 1.0, 1.0])
    raw = numpy.zeros(2)
    raw.flags.writeable = False
    b = Tensor(raw)
    del raw
    b[0] = 5.0
    assert_array_equal(b.value, [5.0, 0.0])


def test_a_weak_reference_to_the_value_does_not_make_it_shared():
    b = np.zeros(3)
    view = b.value
    b[0] = 1.0
    assert_array_equal(view, numpy.zeros(3))
    del view


# ----- no Tensor sees another's write -------------------------------------------------------------

VIEWS = {
    "indexing": lambda b: b[1:],
    "an index of ...": lambda b: b[...],
    "a row": lambda b: np.reshape(b, (1, 3))[0],
    "reshape": lambda b: b.reshape(3, 1),
    "reshape to its own shape": lambda b: b.reshape(3),
    "T": lambda b: b.T,
    "transpose": lambda b: np.transpose(b),
    "ravel": lambda b: b.ravel(),
    "squeeze": lambda b: b.squeeze(),
    "expand_dims": lambda b: np.expand_dims(b, 0),
    "swapaxes": lambda b: b.reshape(1, 3).swapaxes(0, 1),
    "flip": lambda b: np.flip(b),
    "broadcast_to": lambda b: np.broadcast_to(b, (2, 3)),
    "real": lambda b: np.real(b),
    "positive": lambda b: +b,
    "split": lambda b: np.split(b, [1])[1],
    "atleast_1d": lambda b: np.atleast_1d(b),
    "atleast_2d": lambda b: np.atleast_2d(b),
    "iteration": lambda b: next(iter(b.reshape(1, 3))),
    "np.array": lambda b: np.array(b),
    "detach": lambda b: b.detach(),
    "stop_gradient": lambda b: stop_gradient(b),
    "Tensor of the value": lambda b: Tensor(b.value),
    "asarray of the value": lambda b: np.asarray(b.value),
    "astype": lambda b: b.astype("float64"),
    "copy": lambda b: b.copy(),
    "clip without bounds": lambda b: np.clip(b),
    "moveaxis": lambda b: np.moveaxis(b, 0, -1),
    "diagonal": lambda b: np.diagonal(np.reshape(b, (1, 3))),
    "repeat once": lambda b: np.repeat(b, 1),
    "tile once": lambda b: np.tile(b, 1),
    "concatenate of one": lambda b: np.concatenate([b]),
}


@pytest.mark.parametrize("name", VIEWS)
@pytest.mark.parametrize("tracked", [False, True])
def test_a_view_does_not_see_a_later_write(name, tracked):
    def f(x):
        b = np.array(X) if not tracked else np.array(X) * x
        v = VIEWS[name](b)
        before = v.value.copy()
        b[:] = 99.0
        b += 1.0
        assert_array_equal(v.value, before)
        assert_array_equal(b.value, [100.0] * 3)
        return np.sum(v) + x

    grad(f)(1.0)


@pytest.mark.parametrize("name", VIEWS)
def test_an_array_does_not_see_a_write_into_its_view(name):
    b = np.array(X)
    v = VIEWS[name](b)
    v[...] = 99.0
    assert_array_equal(b.value, X)
    v = VIEWS[name](b)
    v += 1.0
    assert_array_equal(b.value, X)


@pytest.mark.parametrize("name", VIEWS)
def test_a_view_of_a_view_that_is_gone(name):
    b = np.array(X)
    v = VIEWS[name](b)
    expected = v.value.copy()
    del b
    v[...] = v * 2.0
    assert_array_equal(v.value, 2 * expected)


def test_inputs_are_used_as_they_were():
    def f(x):
        b = np.zeros(3)
        b[:] = x
        y = b * b
        b[:] = 0.0
        return np.sum(y)

    assert_array_equal(grad(f)(X), 2 * X)


def test_an_input_of_every_kind_of_function_is_used_as_it_was():
    for use in (np.square, np.tanh, np.sqrt, lambda b: b @ b, lambda b: np.prod(b),
                lambda b: np.where(b > 1, b * b, b), lambda b: np.einsum("i,i", b, b),
                lambda b: np.concatenate([b, b]) ** 2, lambda b: np.max(b * b)):  # fmt: skip

        def plain(x, use=use):
            return np.sum(use(x * 1.0))

        def f(x, use=use):
            b = x * 1.0
            y = use(b)
            b[:] = 77.0
            b *= 2.0
            return np.sum(y)

        assert_allclose(grad(f)(X), grad(plain)(X))


def test_the_output_of_a_function_is_used_as_it_was():
    def f(x):
        y = np.exp(x)
        z = y * 1.0
        y[:] = 0.0
        return np.sum(z) + np.sum(y)

    assert_allclose(grad(f)(X), numpy.exp(X))


def test_a_second_name_of_a_scalar_is_left_alone():
    def f(x):
        loss = np.sum(x * x)
        best = loss
        loss += 1.0
        assert best.value == 14.0
        assert loss.value == 15.0
        return best

    assert_array_equal(grad(f)(X), 2 * X)


def test_a_second_name_of_an_array_sees_the_change_as_in_numpy():
    b = np.zeros(3)
    c = b
    b += 1.0
    b[0] = 5.0
    assert c is b
    assert_array_equal(c.value, [5.0, 1.0, 1.0])


def test_the_cotangent_given_and_the_gradient_got_are_not_written():
    w = leaf(X)
    g = numpy.ones(3)
    (w * 1.0).backward(g)
    w.grad += 5.0
    assert_array_equal(g, numpy.ones(3))


def test_the_callers_argument_does_not_see_a_write_inside_grad():
    w = np.array(X)

    def f(w):
        w[0] = 0.0
        w *= 2.0
        return np.sum(w * w)

    g = grad(f)(w)
    assert_array_equal(w.value, X)
    assert_array_equal(g, [0.0, 16.0, 24.0])
    raw = X.copy()
    grad(f, 0)(raw)
    assert_array_equal(raw, X)


def written_argument(x):
    x[0] = 0.0
    x *= 2.0
    return x * x


def test_a_written_argument_is_differentiated_by_every_transformation():
    expected = numpy.array([0.0, 16.0, 24.0])
    ones = numpy.ones(3)
    assert_array_equal(vjp(written_argument, X)[1](ones)[0], expected)
    assert_array_equal(jvp(written_argument, (X,), (ones,))[1], expected)
    assert_array_equal(linearize(written_argument, X)[1](ones), expected)
    assert_array_equal(jacobian(written_argument)(X), numpy.diag(expected))
    h = hessian(lambda x: np.sum(written_argument(x)))(X)
    assert_array_equal(h, numpy.diag([0.0, 8.0, 8.0]))
    check_grads(checkpoint(written_argument), (X,), order=2)
    assert_array_equal(X, [1.0, 2.0, 3.0])


def test_an_inner_gradient_can_be_written():
    def f(x):
        g = grad(lambda y: np.sum(y * y))(x)
        g += x
        g[0] = 0.0
        return np.sum(g)

    assert_array_equal(grad(f)(X), [0.0, 3.0, 3.0])


# ----- what is recorded ---------------------------------------------------------------------------


def test_a_write_is_recorded():
    def f(x):
        b = np.zeros(3)
        b[0] = x * 2
        b[1] = x
        b += x
        return np.sum(b * b)

    assert grad(f)(1.0) == 28.0
    assert grad(grad(f))(1.0) == 28.0
    assert jvp(f, (1.0,), (1.0,))[1] == 28.0


def test_what_is_overwritten_gets_nothing():
    def f(x):
        b = x * 1.0
        b[0] = 5.0
        return np.sum(b * b)

    assert_array_equal(grad(f)(X), [0.0, 4.0, 6.0])


def test_an_untracked_array_becomes_tracked_by_a_write():
    def f(x):
        b = np.zeros(2)
        assert not b.tracked
        b[0] = x
        assert b.tracked
        return b[0] * b[0] + b[1]

    assert grad(f)(3.0) == 6.0


def test_lists_of_tensors_can_be_written():
    def f(x):
        b = np.zeros(3)
        b[:2] = [x, x * x]
        b[2] = 1.0
        return np.sum(b)

    assert grad(f)(3.0) == 7.0


def test_a_write_broadcasts_and_its_value_gets_the_sum():
    def f(x):
        b = np.zeros((2, 3))
        b[:, :2] = x
        return np.sum(b * np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]))

    assert grad(f)(1.0) == 12.0

    def rows(v):
        b = np.zeros((2, 3))
        b[:] = v
        return np.sum(b)

    assert_array_equal(grad(rows)(X), [2.0, 2.0, 2.0])


def test_a_value_with_leading_axes_of_length_1():
    def f(x):
        b = np.zeros(3)
        b[:] = x.reshape(1, 3)
        return np.sum(b * b)

    assert_array_equal(grad(f)(X), 2 * X)


@pytest.mark.parametrize(
    "index",
    [1, slice(0, 2), [0, 2], numpy.array([True, False, True]), (slice(None, None, 2),), -1, ...],
    ids=str,
)
def test_a_write_at_any_index_agrees_with_differences(index):
    def f(x, y):
        b = x * x
        b[index] = np.sin(y)
        return b * b

    check_grads(f, (X, numpy.float64(0.5)), order=2)
    check_grads(f, (X, X[index] * 0.3), order=2)


def test_a_mask_of_a_tensor_and_an_index_of_tensors():
    def f(x):
        b = x * 1.0
        b[b > 1.5] = x[0] * 10
        b[np.array(1)] = x[0]
        return np.sum(b)

    assert_array_equal(grad(f)(X), [12.0, 0.0, 0.0])


def test_two_axes_with_repeated_places():
    def f(y):
        b = np.zeros((2, 2))
        b[[0, 0, 1], [1, 1, 0]] = y
        return np.sum(b * np.array([[1.0, 2.0], [3.0, 4.0]]))

    assert_array_equal(grad(f)(X), [0.0, 2.0, 3.0])
    check_grads(lambda y: f(y) ** 2, (X,), order=2)


def test_augmented_writes_at_an_index():
    def f(x):
        b = np.ones(3)
        b[0] += x
        b[1:] *= x
        b[[2, 2]] -= x
        return np.sum(b)

    assert grad(f)(3.0) == 1 + 2 - 1
    b = np.array(X)
    b[1] += 5.0
    assert_array_equal(b.value, [1.0, 7.0, 3.0])


AUGMENTED = {
    "+=": lambda b, x: b.__iadd__(x),
    "-=": lambda b, x: b.__isub__(x),
    "*=": lambda b, x: b.__imul__(x),
    "/=": lambda b, x: b.__itruediv__(x),
    "**=": lambda b, x: b.__ipow__(x),
    "//=": lambda b, x: b.__ifloordiv__(x),
    "%=": lambda b, x: b.__imod__(x),
}


@pytest.mark.parametrize("name", AUGMENTED)
def test_augmented_assignment(name):
    f = AUGMENTED[name]
    expected = X + 0.5
    expected = f(expected, numpy.full(3, 2.0))
    b = np.array(X + 0.5)
    assert f(b, numpy.full(3, 2.0)) is b
    assert_array_equal(b.value, expected)
    if name not in ("//=",):
        check_grads(lambda x, y: f(x * 1.0, y), (X + 0.5, numpy.full(3, 1.7)), order=2)


def test_augmented_assignment_keeps_the_dtype_or_is_refused():
    b = np.array(X.astype("float32"))
    b += numpy.ones(3)
    assert b.dtype == numpy.float32
    g = grad(lambda x: np.sum(np.array(X.astype("float32")).__iadd__(x)))(X)
    assert g.dtype == numpy.float64
    k = np.array([1, 2, 3])
    k += 1
    assert_array_equal(k.value, [2, 3, 4])
    with pytest.raises(TypeError, match="does not fit"):
        k += 0.5
    with pytest.raises(ValueError, match=r"shape \(2, 3\)"):
        b += numpy.ones((2, 3))


def test_a_failed_write_changes_nothing():
    def f(x):
        b = x * 1.0
        with pytest.raises(IndexError):
            b[7] = 1.0
        with pytest.raises(ValueError, match="broadcast"):
            b[:] = np.ones(2) * x[0]
        return np.sum(b * b)

    assert_array_equal(grad(f)(X), 2 * X)


def test_a_tracked_value_into_integers_is_refused():
    def f(x):
        b = np.zeros(3, dtype=int)
        b[0] = x
        return x

    with pytest.raises(TypeError, match="dtype=float"):
        grad(f)(1.0)


def test_a_write_under_no_grad_is_not_recorded():
    w = leaf(X)
    with no_grad():
        b = np.zeros(3)
        b[:] = w
        b += w
    assert not b.tracked
    assert_array_equal(b.value, 2 * X)


# ----- permanent leaves ---------------------------------------------------------------------------


def test_an_in_place_operation_on_a_permanent_leaf_never_records():
    w = leaf(X)
    node = w.node
    w -= 0.5
    w *= 2.0
    w[0] = 7.0
    assert w.node is node
    assert_array_equal(w.value, [7.0, 3.0, 5.0])
    np.sum(w * w).backward()
    assert_array_equal(w.grad, 2 * w.value)


def test_an_in_place_operation_on_a_scalar_leaf_keeps_it():
    w = leaf(2.0)
    v = w
    w -= 0.5
    assert w is v
    assert w.value == 1.5
    assert w.tracked


def test_a_tracked_operand_on_a_permanent_leaf_is_refused():
    w = leaf(X)
    with pytest.raises(TypeError, match="requires_grad_"):
        w += w * 1.0
    with pytest.raises(TypeError, match="requires_grad_"):
        w[0] = w[1]
    assert_array_equal(w.value, X)
    w -= stop_gradient(w) * 0.5
    assert_array_equal(w.value, X * 0.5)


def test_a_graph_built_before_an_update_is_walked_with_the_old_values():
    w = leaf(X)
    loss = np.sum(w * w)
    w -= 0.5
    w[0] = 100.0
    loss.backward()
    assert_array_equal(w.grad, 2 * X)


def test_a_write_under_no_grad_into_a_permanent_leaf():
    w = leaf(X)
    with no_grad():
        w -= 0.1 * w
        w[0] = w[1] * 0.0
    assert w.tracked
    assert_allclose(w.value, [0.0, 1.8, 2.7])


# ----- loops --------------------------------------------------------------------------------------


def filled(x, n):
    b = np.zeros(n)
    for i in range(n):
        b[i] = x * i
    return np.sum(b * b)


def copies_during(f):
    """Return how many times an array was copied while `f` ran."""
    copies = [0]

    def profile(frame, event, what):
        if event == "c_call" and getattr(what, "__name__", "") == "copy":
            copies[0] += 1

    sys.setprofile(profile)
    try:
        f()
    finally:
        sys.setprofile(None)
    return copies[0]


@pytest.mark.skipif(not COUNTED, reason="every write copies where references are not counted")
def test_a_thousand_writes_copy_nothing():
    b = np.zeros(1000)

    def write():
        for i in range(1000):
            b[i] = 1.0

    assert copies_during(write) == 0

    def recorded(x):
        c = np.zeros(1000)

        def write():
            for i in range(1000):
                c[i] = x

        assert copies_during(write) == 0
        return np.sum(c)

    assert grad(recorded)(1.0) == 1000.0


def test_a_thousand_writes_have_the_right_derivatives():
    total = sum(i * i for i in range(1000))
    assert grad(lambda x: filled(x, 1000))(2.0) == 4.0 * total
    assert jvp(lambda x: filled(x, 100), (2.0,), (1.0,))[1] == 4.0 * sum(i * i for i in range(100))
    assert grad(grad(lambda x: filled(x, 100)))(2.0) == 2.0 * sum(i * i for i in range(100))


@pytest.mark.skipif(not COUNTED, reason="every write copies where references are not counted")
def test_the_walk_back_over_n_writes_is_linear_in_n():
    def calls(n):
        made = [0]

        def profile(frame, event, what):
            made[0] += event in ("call", "c_call")

        sys.setprofile(profile)
        try:
            grad(lambda x: filled(x, n))(1.0)
        finally:
            sys.setprofile(None)
        return made[0]

    assert calls(400) <= 4.2 * calls(100)


def test_a_recurrence_written_into_an_array():
    def f(a):
        b = np.zeros(6)
        b[0] = 1.0
        for i in range(5):
            b[i + 1] = a * b[i]
        return b[5]

    assert grad(f)(2.0) == 80.0
    assert grad(grad(f))(2.0) == 160.0
    assert jvp(f, (2.0,), (1.0,))[1] == 80.0


def test_a_matrix_filled_row_by_row():
    def f(x):
        m = np.zeros((3, 3))
        for i in range(3):
            m[i] = x * (i + 1)
            m[i, i] += x[0] * x[1]
        return np.sin(m)

    check_grads(f, (X * 0.3,), order=2)
