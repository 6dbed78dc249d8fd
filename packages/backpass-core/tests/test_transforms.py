"""The transformations other than `grad`."""

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.numpy as np
from backpass.core import (
    Tensor,
    checkpoint,
    custom_vjp,
    elementwise_grad,
    grad,
    hessian,
    hvp,
    jacobian,
    jvp,
    linearize,
    value_and_grad,
    vjp,
)
from backpass.core.testing import check_grads

X = numpy.array([0.3, -0.7, 1.1])


def plain(t):
    return t.value if isinstance(t, Tensor) else t


# ----- vjp ----------------------------------------------------------------------------------------


def test_vjp_gives_the_output_and_a_pull():
    out, pull = vjp(lambda x, y: x * y, X, 2.0)
    assert isinstance(out, Tensor)
    assert not out.tracked
    gx, gy = pull(numpy.ones(3))
    assert_array_equal(gx, [2.0, 2.0, 2.0])
    assert gy == pytest.approx(X.sum())


def test_a_pull_can_be_called_again_and_gives_fresh_arrays():
    _, pull = vjp(np.tanh, X)
    (first,), (second,) = pull(numpy.ones(3)), pull(numpy.ones(3))
    first[:] = 0
    assert_allclose(second, 1 - numpy.tanh(X) ** 2)


def test_vjp_of_trees():
    def f(p):
        return {"s": np.sum(p["a"] * p["b"]), "d": [p["a"] - p["b"]]}

    out, pull = vjp(f, {"a": X, "b": 2 * X})
    assert set(out) == {"s", "d"}
    (g,) = pull({"s": 1.0, "d": [numpy.ones(3)]})
    assert_allclose(g["a"], 2 * X + 1)
    assert_allclose(g["b"], X - 1)


def test_vjp_has_aux():
    _, pull, aux = vjp(lambda x: (x * 2, {"twice": x + x}), X, has_aux=True)
    assert not aux["twice"].tracked
    assert_array_equal(pull(numpy.ones(3))[0], [2.0, 2.0, 2.0])


def test_vjp_refuses_a_cotangent_that_does_not_fit():
    _, pull = vjp(lambda x: x * 2, X)
    with pytest.raises(ValueError, match=r"shape \(2,\), its output \(3,\)"):
        pull(numpy.ones(2))
    with pytest.raises(TypeError, match="structure of its output"):
        pull([numpy.ones(3)])


def test_vjp_of_an_output_that_depends_on_nothing():
    _, pull = vjp(lambda x: (x * 2, np.ones(2)), X)
    (g,) = pull((numpy.ones(3), numpy.ones(2)))
    assert_array_equal(g, [2.0, 2.0, 2.0])
    _, pull = vjp(lambda x: np.ones(2), X)
    (g,) = pull(numpy.ones(2))
    assert type(g) is numpy.ndarray
    assert_array_equal(g, numpy.zeros(3))


def test_a_cotangent_is_cast_to_the_dtype_of_its_output():
    _, pull = vjp(lambda x: x * 2, X.astype("float32"))
    assert pull(numpy.ones(3))[0].dtype == numpy.float32


def test_vjp_never_touches_grad():
    x, w = np.array(X), np.array(X).requires_grad_()
    vjp(lambda x: x * w, x)[1](numpy.ones(3))
    assert x.grad is None
    assert w.grad is None


SAME = {
    "the argument itself": lambda x: x,
    "a view of it": lambda x: x.reshape(3),
    "plus zero": lambda x: x + 0.0,
    "twice": lambda x: [x, x],
}


@pytest.mark.parametrize("name", SAME)
def test_cotangents_and_tangents_are_not_shared_with_what_was_given(name):
    g, f = numpy.ones(3), SAME[name]
    given = [g, g] if name == "twice" else g
    (found,) = vjp(f, X)[1](given)
    assert not numpy.shares_memory(found, g)
    t = jvp(f, (X,), (g,))[1]
    t = t if name == "twice" else [t]
    assert not numpy.shares_memory(t[0], g)
    assert len(t) == 1 or not numpy.shares_memory(t[0], t[1])


# ----- jvp and linearize --------------------------------------------------------------------------


def test_jvp_gives_the_output_and_its_tangent():
    out, t = jvp(np.tanh, (X,), (numpy.ones(3),))
    assert isinstance(out, Tensor)
    assert not out.tracked
    assert type(t) is numpy.ndarray
    assert_allclose(t, 1 - numpy.tanh(X) ** 2)


def test_jvp_of_several_primals_with_a_tangent_left_out():
    _, t = jvp(lambda x, y: x * y, (X, 2.0), (None, 1.0))
    assert_array_equal(t, X)


def test_jvp_of_trees():
    _, t = jvp(lambda p: [p["a"] ** 2, p["b"]], ({"a": 3.0, "b": X},), ({"a": 1.0, "b": X},))
    assert t[0] == 6.0
    assert_array_equal(t[1], X)


def test_jvp_has_aux():
    out, t, aux = jvp(lambda x: (x * x, "note"), (3.0,), (1.0,), has_aux=True)
    assert (plain(out), t, aux) == (9.0, 6.0, "note")


def test_jvp_of_an_output_that_depends_on_nothing_is_zero():
    _, t = jvp(lambda x: (np.ones(2), x), (3.0,), (1.0,))
    assert_array_equal(t[0], [0.0, 0.0])
    assert t[1] == 1.0


def test_jvp_refuses_what_does_not_fit():
    with pytest.raises(TypeError, match="tuples or lists"):
        jvp(np.tanh, X, X)
    with pytest.raises(TypeError, match="1 primals, 2 tangents"):
        jvp(np.tanh, (X,), (X, X))
    with pytest.raises(ValueError, match=r"shape \(2,\), the primal \(3,\)"):
        jvp(np.tanh, (X,), (numpy.ones(2),))
    with pytest.raises(TypeError, match="structure"):
        jvp(lambda p: p[0] * p[1], ([1.0, 2.0],), ([1.0],))


def test_a_tangent_has_the_dtype_of_its_output():
    _, t = jvp(lambda x: x * 2, (X.astype("float32"),), (numpy.ones(3),))
    assert t.dtype == numpy.float32
    _, t = jvp(lambda x: np.mean(x) * numpy.float64(2), (X.astype("float32"),), (numpy.ones(3),))
    assert t.dtype == numpy.float64


def test_linearize_pushes_any_number_of_times():
    out, push = linearize(lambda x, y: x * y, X, 2.0)
    assert_allclose(plain(out), 2 * X)
    assert_array_equal(push(numpy.ones(3), 0.0), [2.0, 2.0, 2.0])
    assert_allclose(push(numpy.zeros(3), 1.0), X)
    out, push, aux = linearize(lambda x: (x**3, 5), 2.0, has_aux=True)
    assert (push(1.0), aux) == (12.0, 5)


def test_linearize_is_linear_and_transposes_vjp():
    def f(x):
        return np.cumsum(np.sin(x) * x[::-1])

    _, push = linearize(f, X)
    _, pull = vjp(f, X)
    u, v = numpy.array([1.0, -2.0, 0.5]), numpy.array([0.2, 0.7, -1.0])
    assert_allclose(v @ push(u), u @ pull(v)[0])
    assert_allclose(push(2 * u), 2 * push(u))


# ----- jacobian, hessian, hvp, elementwise_grad ---------------------------------------------------


def test_a_jacobian_has_the_outputs_axes_first():
    j = jacobian(lambda x: np.outer(x, x)[:, :2])(X)
    assert j.shape == (3, 2, 3)
    expected = numpy.einsum("ik,j->ijk", numpy.eye(3), X) + numpy.einsum(
        "jk,i->ijk", numpy.eye(3), X
    )
    assert_allclose(j, expected[:, :2])


def test_a_jacobian_of_trees():
    j = jacobian(lambda p: {"s": p["a"] * p["b"]})({"a": X, "b": numpy.float64(2.0)})
    assert_allclose(j["s"]["a"], 2 * numpy.eye(3))
    assert_allclose(j["s"]["b"], X)


def test_a_jacobian_of_several_arguments():
    jx, jy = jacobian(lambda x, y: x * y, (0, 1))(X, 2 * X)
    assert_allclose(jx, numpy.diag(2 * X))
    assert_allclose(jy, numpy.diag(X))
    assert_allclose(jacobian(lambda x, y: x * y, 1)(X, 2 * X), numpy.diag(X))


def test_a_jacobian_has_aux_and_keywords():
    j, aux = jacobian(lambda x, k=1.0: (x * k, k), has_aux=True)(X, k=3.0)
    assert_allclose(j, 3 * numpy.eye(3))
    assert aux == 3.0


def test_a_jacobian_of_a_scalar_and_of_nothing():
    assert jacobian(lambda x: x**3)(2.0) == 12.0
    assert_array_equal(jacobian(lambda x: np.ones(2))(X), numpy.zeros((2, 3)))
    assert jacobian(lambda x: x[:0])(X).shape == (0, 3)
    with pytest.raises(TypeError, match="did you forget return"):
        jacobian(lambda x: None)(X)


def test_a_complex_jacobian_needs_holomorphic():
    z = X + 1j
    with pytest.raises(TypeError, match="holomorphic=True"):
        jacobian(lambda z: z * z)(z)
    assert_allclose(jacobian(lambda z: z * z, holomorphic=True)(z), numpy.diag(2 * z))


def test_a_hessian_is_the_jacobian_of_the_gradient():
    def f(x):
        return np.sum(np.exp(x) * x[::-1])

    h = hessian(f)(X)
    assert_allclose(h, jacobian(grad(f))(X))
    assert_allclose(h, h.T)


def test_a_hessian_of_trees_and_of_several_arguments():
    h = hessian(lambda p: p["a"] ** 2 * p["b"])({"a": 3.0, "b": 5.0})
    assert h["a"]["a"] == 10.0
    assert h["a"]["b"] == h["b"]["a"] == 6.0
    assert h["b"]["b"] == 0.0
    h = hessian(lambda x, y: x**2 * y, (0, 1))(3.0, 5.0)
    assert h == ((10.0, 6.0), (6.0, 0.0))


def test_a_hessian_has_aux():
    h, aux = hessian(lambda x: (x**3, "aux"), has_aux=True)(2.0)
    assert h == 12.0
    assert aux == "aux"


def test_hvp_is_the_hessian_times_a_vector():
    def f(x):
        return np.sum(np.exp(x) * x[::-1])

    v = numpy.array([1.0, -2.0, 0.5])
    assert_allclose(hvp(f, (X,), (v,)), hessian(f)(X) @ v)


def test_hvp_of_several_primals():
    hx, hy = hvp(lambda x, y: x**2 * y, (3.0, 5.0), (1.0, 2.0))
    assert (hx, hy) == (10.0 + 12.0, 6.0)


def test_hvp_of_a_linear_function_is_zero():
    assert_array_equal(hvp(np.sum, (X,), (X,)), numpy.zeros(3))


def test_elementwise_grad():
    assert_allclose(elementwise_grad(np.tanh)(X), 1 - numpy.tanh(X) ** 2)
    assert_allclose(elementwise_grad(lambda x, y: x * y, 1)(X, 2 * X), X)
    assert elementwise_grad(lambda x: x * x)(3.0) == 6.0
    with pytest.raises(TypeError, match="did you forget return"):
        elementwise_grad(lambda x: None)(X)


@pytest.mark.parametrize(
    "transformation", [jacobian, hessian, elementwise_grad, lambda f: lambda x: hvp(f, (x,), (X,))]
)
def test_no_transformation_but_grad_touches_grad(transformation):
    x, w = np.array(X), np.array(X).requires_grad_()
    transformation(lambda x: np.sum(x * x * w))(x)
    assert x.grad is None
    assert w.grad is None


# ----- checkpoint ---------------------------------------------------------------------------------


def block(x, y):
    return np.tanh(x * y) + np.sin(x)


def test_checkpoint_gives_the_values_and_gradients_of_the_function():
    x, y = X, numpy.float64(0.8)
    expected = grad(lambda x, y: np.sum(block(x, y)), (0, 1))(x, y)
    found = grad(lambda x, y: np.sum(checkpoint(block)(x, y)), (0, 1))(x, y)
    for a, b in zip(found, expected, strict=True):
        assert_allclose(a, b)
    assert_allclose(checkpoint(block)(x, y).value, block(np.array(x), y).value)


def test_checkpoint_to_second_order_and_forward():
    check_grads(checkpoint(block), (X, numpy.float64(0.8)), order=2)


def test_checkpoints_nest():
    inner = checkpoint(block)
    outer = checkpoint(lambda x, y: inner(inner(x, y), y))
    check_grads(outer, (X, numpy.float64(0.8)), order=2)


def test_checkpoint_runs_again_and_frees():
    runs = []

    def f(x):
        runs.append(x)
        return np.tanh(x)

    grad(lambda x: np.sum(checkpoint(f)(x)))(X)
    assert len(runs) == 2


def test_checkpoint_reaches_tracked_tensors_through_closures():
    def f(w):
        return np.sum(checkpoint(lambda x: np.tanh(x * w))(X))

    assert_allclose(grad(f)(0.5), grad(lambda w: np.sum(np.tanh(X * w)))(0.5))
    check_grads(f, (numpy.float64(0.5),), order=2)


def test_checkpoint_reaches_permanent_leaves_through_closures():
    w = np.array(X).requires_grad_()
    grad(lambda x: np.sum(checkpoint(lambda x: np.tanh(x * w))(x)))(np.array(X))
    assert_allclose(w.grad, X * (1 - numpy.tanh(X * X) ** 2))
    w.grad = None
    np.sum(checkpoint(lambda: np.tanh(w))()).backward()
    assert_allclose(w.grad, 1 - numpy.tanh(X) ** 2)


def test_checkpoint_of_trees_and_keywords():
    @checkpoint
    def f(p, *, scale):
        return {"a": p["a"] * scale, "b": (p["b"] ** 2, "text")}

    def total(p, s):
        out = f(p, scale=s)
        assert out["b"][1] == "text"
        return np.sum(out["a"]) + out["b"][0]

    g, s = grad(total, (0, 1))({"a": X, "b": 3.0}, 2.0)
    assert_array_equal(g["a"], [2.0, 2.0, 2.0])
    assert g["b"] == 6.0
    assert s == pytest.approx(X.sum())


def test_checkpoint_of_an_output_that_is_not_used():
    f = checkpoint(lambda x: (np.sin(x), np.cos(x)))
    assert_allclose(grad(lambda x: np.sum(f(x)[0]))(X), numpy.cos(X))


# ----- custom_vjp ---------------------------------------------------------------------------------


def make_log1pexp():
    @custom_vjp
    def log1pexp(x):
        return np.log1p(np.exp(x))

    def fwd(x):
        return log1pexp.fun(x), x

    def bwd(x, g):
        return (g * (1 - 1 / (1 + np.exp(x))),)

    log1pexp.defvjp(fwd, bwd)
    return log1pexp


def test_a_rule_of_ones_own_is_used():
    f = make_log1pexp()
    assert grad(f)(100.0) == 1.0
    assert grad(f)(0.0) == 0.5
    assert f(0.0).value == pytest.approx(numpy.log(2))
    assert not f(np.array(0.0)).tracked


def test_a_rule_of_ones_own_is_differentiated_to_second_order_and_forward():
    check_grads(make_log1pexp(), (X,), order=2)
    assert grad(grad(make_log1pexp()))(0.0) == pytest.approx(0.25)
    assert jvp(make_log1pexp(), (0.0,), (1.0,))[1] == 0.5
    assert grad(lambda x: jvp(make_log1pexp(), (x,), (1.0,))[1])(0.0) == pytest.approx(0.25)
    assert jvp(grad(make_log1pexp()), (0.0,), (1.0,))[1] == pytest.approx(0.25)


def test_a_wrong_rule_shows_that_it_is_used():
    @custom_vjp
    def f(x):
        return x * x

    f.defvjp(lambda x: (x * x, None), lambda _, g: (g * 100,))
    assert grad(f)(1.0) == 100.0
    assert grad(lambda x: f(x) * 2)(1.0) == 200.0


def test_nondiff_argnums_come_first_to_the_backward_function():
    seen = []

    def power(n, x):
        return x**n

    power = custom_vjp(power, nondiff_argnums=(0,))

    def fwd(n, x):
        return x**n, x

    def bwd(n, x, g):
        seen.append(n)
        return (g * n * x ** (n - 1),)

    power.defvjp(fwd, bwd)
    assert grad(lambda x: power(3, x))(2.0) == 12.0
    assert seen == [3]
    assert grad(grad(lambda x: power(3, x)))(2.0) == 12.0


def test_custom_vjp_of_trees_with_none_for_what_gets_nothing():
    @custom_vjp
    def f(p, q):
        return {"y": p["a"] * p["b"], "z": q}

    def fwd(p, q):
        return {"y": p["a"] * p["b"], "z": q}, (p["a"], p["b"])

    def bwd(residuals, g):
        a, b = residuals
        return {"a": g["y"] * b, "b": g["y"] * a}, None

    f.defvjp(fwd, bwd)
    g = grad(lambda p: f(p, 1.0)["y"], 0)({"a": 2.0, "b": 5.0})
    assert g == {"a": 5.0, "b": 2.0}
    gp, gq = grad(lambda p, q: f(p, q)["y"] + f(p, q)["z"], (0, 1))({"a": 2.0, "b": 5.0}, 1.0)
    assert gp == {"a": 5.0, "b": 2.0}
    assert gq == 0.0


def test_custom_vjp_inside_grad_of_grad_with_residuals_that_depend_on_the_argument():
    @custom_vjp
    def f(x):
        return x**3

    f.defvjp(lambda x: (x**3, x * x), lambda square, g: (g * 3 * square,))
    assert grad(f)(2.0) == 12.0
    assert grad(grad(f))(2.0) == 12.0
    assert grad(grad(grad(f)))(2.0) == 6.0


def test_custom_vjp_says_what_is_wrong():
    @custom_vjp
    def f(x):
        return x

    with pytest.raises(TypeError, match="f has no rule: call its defvjp"):
        f(1.0)
    f.defvjp(lambda x: x, lambda r, g: (g,))
    with pytest.raises(TypeError, match="must return a pair"):
        grad(f)(1.0)
    f.defvjp(lambda x: (x, None), lambda r, g: g)
    with pytest.raises(TypeError, match="a tuple of 1 cotangents"):
        grad(f)(1.0)
    f.defvjp(lambda x: (x, None), lambda r, g: ([g],))
    with pytest.raises(TypeError, match="structure of its arguments"):
        grad(f)(1.0)


def test_custom_vjp_refuses_a_tracked_closure():
    def outer(w):
        @custom_vjp
        def f(x):
            return x * w

        f.defvjp(lambda x: (x * w, None), lambda r, g: (g,))
        return f(1.0)

    with pytest.raises(TypeError, match="not among its arguments"):
        grad(outer)(2.0)


def test_custom_vjp_keeps_name_and_docstring():
    @custom_vjp
    def f(x):
        """Identity."""
        return x

    assert f.__name__ == "f"
    assert f.__doc__ == "Identity."


def test_checkpoint_and_custom_vjp_below_permanent_leaves():
    w = np.array(X).requires_grad_()
    for f in (make_log1pexp(), checkpoint(lambda w: np.log1p(np.exp(w)))):
        w.grad = None
        loss = np.sum(f(w))
        loss.backward(retain_graph=True)
        loss.backward()
        assert_allclose(w.grad, 2 / (1 + numpy.exp(-X)))
        with pytest.raises(RuntimeError, match="retain_graph=True"):
            loss.backward()


def test_value_and_grad_of_a_checkpointed_custom_rule():
    f = checkpoint(make_log1pexp())
    value, g = value_and_grad(f)(0.0)
    assert value.value == pytest.approx(numpy.log(2))
    assert g == 0.5


# ----- check_grads --------------------------------------------------------------------------------


def test_check_grads_finds_a_wrong_rule():
    @custom_vjp
    def wrong(x):
        return x * x

    wrong.defvjp(lambda x: (x * x, x), lambda x, g: (3 * g * x,))
    with pytest.raises(AssertionError, match="argument 0, entry"):
        check_grads(wrong, (X,), order=1, modes=("rev",))
    with pytest.raises(AssertionError, match="fwd, order 1"):
        check_grads(wrong, (X,), order=1, modes=("fwd",))


def test_check_grads_finds_a_wrong_second_derivative():
    @custom_vjp
    def flat(x):
        return x**3

    flat.defvjp(lambda x: (x**3, x), lambda x, g: (g * 3 * np.array(plain(x)) ** 2,))
    check_grads(flat, (X,), order=1)
    with pytest.raises(AssertionError, match="order 2"):
        check_grads(flat, (X,), order=2, modes=("rev",))


def test_check_grads_refuses_single_precision_and_unknown_modes():
    with pytest.raises(TypeError, match="float32"):
        check_grads(np.tanh, (X.astype("float32"),))
    with pytest.raises(TypeError, match="unknown mode 'both'"):
        check_grads(np.tanh, (X,), modes=("both",))


def test_check_grads_goes_through_trees_and_complex_arguments():
    check_grads(lambda p: {"y": p[0] * p[1]["z"]}, ([X, {"z": X + 1j}],), order=2)
