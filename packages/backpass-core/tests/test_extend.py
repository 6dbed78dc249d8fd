"""Primitives of one's own, and the verbs that declare their rules."""

import copy
import math
import pickle
import weakref

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.numpy as np
import backpass.scipy.special as sp
from backpass.core import Tensor, extend, grad, jvp, vjp
from backpass.core.backends import NUMPY
from backpass.core.extend import (
    bilinear,
    defjvp,
    defvjp,
    elementwise,
    linear,
    nondifferentiable,
    primitive,
    refused,
)
from backpass.core.ops.elementwise import cosh, logaddexp, multiply, sin, sqrt, square, tanh
from backpass.core.rules import expression
from backpass.core.testing import check_grads

X = numpy.array([0.3, -0.7, 1.1])
M = numpy.array([[0.3, -0.7, 1.1], [0.6, 0.2, -1.4]])


def test_the_door_has_the_verbs_and_nothing_else():
    assert sorted(extend.__all__) == sorted(
        "bilinear defjvp defvjp elementwise linear nondifferentiable primitive refused".split()
    )
    assert all(hasattr(extend, name) for name in extend.__all__)


# ----- primitives ---------------------------------------------------------------------------------


def test_a_primitive_is_called_with_tensors_and_its_op_with_anything():
    @primitive
    def double(xp, x):
        """Twice x."""
        return 2 * x

    linear(double, lambda g: 2 * g)
    assert isinstance(double(X), Tensor)
    assert type(double.op(X)) is numpy.ndarray
    assert isinstance(double.op(np.array(X)), Tensor)
    assert double.__name__ == double.name == "double"
    assert double.__doc__ == "Twice x."
    assert repr(double) == "<primitive double(x)>"
    check_grads(double, (X,))


def test_a_primitive_may_be_named():
    @primitive(name="twice")
    def function(xp, x):
        return 2 * x

    assert function.name == "twice"


def test_the_first_parameter_is_the_array_library():
    seen = []

    @primitive
    def f(xp, x):
        seen.append(xp)
        return x

    f(X)
    assert seen == [numpy]


def test_a_primitive_stands_for_itself_in_copies():
    assert copy.deepcopy([tanh])[0] is tanh
    assert copy.copy(tanh) is tanh


# ----- elementwise --------------------------------------------------------------------------------


def test_elementwise_gives_both_modes_from_one_derivative():
    @primitive
    def softsign(xp, x):
        return x / (1 + xp.abs(x))

    elementwise(softsign, lambda x: 1 / (1 + abs(x)) ** 2)
    check_grads(softsign, (X,))
    assert grad(softsign)(1.0) == 0.25


def test_elementwise_of_two_operands_broadcasts():
    @primitive
    def mixture(xp, x, y):
        return x * xp.sin(y)

    elementwise(mixture, lambda y: np.sin(y), lambda x, y: x * np.cos(y))
    check_grads(mixture, (M, X))
    check_grads(mixture, (numpy.float64(0.5), M))


def test_elementwise_has_the_strong_zero():
    @primitive
    def root(xp, x):
        return xp.sqrt(x)

    elementwise(root, lambda ans: 0.5 / ans)
    z = numpy.array([0.0, 4.0])
    assert_array_equal(grad(lambda x: np.sum(np.where(x > 0, root(x), 0.0)))(z), [0.0, 0.25])
    assert_array_equal(jvp(root, (z,), (numpy.array([0.0, 1.0]),))[1], [0.0, 0.25])


def test_elementwise_with_keywords_and_with_none():
    @primitive
    def scaled(xp, x, y, *, by=1.0):
        return by * x**2 + xp.floor(y)

    elementwise(scaled, lambda x, *, by=1.0: 2 * by * x, None)
    check_grads(lambda x: scaled(x, X, by=3.0), (X,))
    check_grads(lambda x: scaled(x, X), (X,))
    gx, gy = grad(lambda x, y: np.sum(scaled(x, y, by=3.0)), (0, 1))(X, X)
    assert_allclose(gx, 6 * X)
    assert_array_equal(gy, numpy.zeros(3))


def test_an_elementwise_derivative_that_is_constant():
    @primitive
    def shifted(xp, x):
        return x + 1

    elementwise(shifted, lambda: 1.0)
    check_grads(shifted, (X,))
    assert grad(shifted)(2.0) == 1.0


# ----- linear -------------------------------------------------------------------------------------


def test_linear_runs_itself_forward():
    @primitive
    def twist(xp, x, *, k=1):
        return xp.roll(x, k, axis=-1) * 2

    linear(twist, lambda g, *, k=1: np.roll(g, -k, axis=-1) * 2)
    check_grads(lambda x: twist(x, k=2), (M,))
    check_grads(twist, (M,))


def test_linear_with_an_affine_keyword_leaves_it_out_forward():
    @primitive
    def shifted(xp, x, *, by=0.0):
        return x + by

    linear(shifted, lambda g: g, zero=("by",))
    out, t = jvp(lambda x: shifted(x, by=5.0), (X,), (numpy.ones(3),))
    assert_allclose(out.value, X + 5.0)
    assert_array_equal(t, numpy.ones(3))
    check_grads(lambda x: shifted(x, by=5.0), (X,))


def test_a_linear_rule_gets_shape_and_dtype_only():
    seen = []

    @primitive
    def total(xp, x, *, axis=None):
        return xp.sum(x, axis=axis)

    def rule(g, x, *, axis=None):
        seen.append(x)
        return np.broadcast_to(g, x.shape)

    linear(total, rule)
    value = X + 1
    alive = weakref.ref(value)
    _, pull = vjp(lambda x: total(x * 1.0, axis=0), value)
    del value
    (g,) = pull(1.0)
    assert_array_equal(g, numpy.ones(3))
    assert not hasattr(seen[0], "__array__")
    assert seen[0].shape == (3,)
    assert seen[0].dtype == numpy.float64
    del alive


def test_linear_in_two_of_three_operands():
    @primitive
    def choose(xp, c, x, y):
        return xp.where(c, x, y)

    linear(
        choose,
        None,
        lambda g, c: np.where(c, g, 0.0),
        lambda g, c: np.where(c, 0.0, g),
    )
    c = numpy.array([True, False, True])
    check_grads(lambda x, y: choose(c, x, y) ** 2, (X, M))
    check_grads(lambda x: choose(c, x, 2.0) ** 2, (X,))
    check_grads(lambda y: choose(c, 2.0, y) ** 2, (X,))


def test_linear_in_one_of_two_operands_keeps_the_other():
    @primitive
    def scaled(xp, x, n):
        return xp.ldexp(x, n)

    @primitive
    def scaling(xp, n, x):
        return xp.ldexp(x, n)

    linear(scaled, lambda g, n: scaled.op(g, n), None)
    linear(scaling, None, lambda g, n: scaling.op(n, g))
    n = numpy.array([1, 0, -2])
    for f in (lambda x: scaled(x, n), lambda x: scaling(n, x)):
        check_grads(f, (X,), order=2)
        assert_array_equal(jvp(f, (X,), (numpy.ones(3),))[1], [2.0, 1.0, 0.25])


def test_linear_with_a_joint_rule():
    @primitive
    def add_all(xp, *xs):
        return sum(xs)

    asked = []

    def joint(g, *xs, needs):
        asked.append(needs)
        return [g if need else None for need in needs]

    linear(add_all, joint=joint)
    check_grads(lambda x, y, z: add_all(x, y, z) ** 2, (X, X, X))
    asked.clear()
    grad(lambda x: np.sum(add_all(x, X, x)))(X)
    assert asked == [(True, False, True)]


# ----- bilinear -----------------------------------------------------------------------------------


def test_bilinear_gives_the_product_rule():
    @primitive
    def pairing(xp, x, y):
        return xp.einsum("ij,kj->ik", x, y)

    bilinear(
        pairing,
        lambda g, y: np.einsum("ik,kj->ij", g, y),
        lambda g, x: np.einsum("ik,ij->kj", g, x),
    )
    check_grads(pairing, (M, M + 1))


def test_a_bilinear_rule_reads_the_other_operand_only():
    @primitive
    def product(xp, x, y):
        return x * y

    with pytest.raises(TypeError, match=r"bilinear\(product\): a rule must read g and 'y' only"):
        bilinear(product, lambda g, x: g * x, lambda g, x: g * x)


# ----- nondifferentiable --------------------------------------------------------------------------


def test_nondifferentiable_results_are_never_tracked():
    @primitive
    def steps(xp, x):
        return xp.floor(x)

    @primitive
    def both(xp, x, *, k=1):
        return xp.floor(x) * k

    nondifferentiable(steps, both)
    w = np.array(X).requires_grad_()
    assert not steps(w).tracked
    assert not both(w, k=2).tracked
    assert_array_equal(grad(lambda x: np.sum(x * steps(x)))(X), numpy.floor(X))


# ----- defvjp, defjvp -----------------------------------------------------------------------------


def test_defvjp_and_defjvp_read_what_they_name():
    @primitive
    def squash(xp, x):
        return xp.tanh(x)

    defvjp(squash, lambda g, ans: g * (1 - ans * ans))
    defjvp(squash, lambda t, x: t / np.cosh(x) ** 2)
    check_grads(squash, (X,))


def test_defvjp_with_keywords_that_each_rule_chooses():
    @primitive
    def scaled(xp, x, y, *, by=1.0, power=1, note=None):
        return by * x**power * y

    defvjp(
        scaled,
        lambda g, x, y, *, by=1.0, power=1: g * by * power * x ** (power - 1) * y,
        lambda g, x, **kwargs: g * kwargs.get("by", 1.0) * x ** kwargs.get("power", 1),
    )
    defjvp(
        scaled,
        lambda t, x, y, *, by=1.0, power=1: t * by * power * x ** (power - 1) * y,
        lambda t, x, *, by=1.0, power=1: t * by * x**power,
    )
    check_grads(lambda x, y: scaled(x, y, by=2.0, power=3, note="text"), (X, M))
    check_grads(scaled, (X, X))


def test_a_joint_rule_does_what_is_shared_once():
    runs = []

    @primitive
    def affine(xp, x, w, b):
        return x @ w + b

    def joint(g, ans, x, w, b, *, needs):
        runs.append(needs)
        return (
            np.matmul(g, np.transpose(w)) if needs[0] else None,
            np.matmul(np.transpose(x), g) if needs[1] else None,
            np.sum(g, axis=0) if needs[2] else None,
        )

    defvjp(affine, joint=joint)
    defjvp(
        affine,
        joint=lambda ts, ans, x, w, b: sum(
            part
            for part in (
                None if ts[0] is None else np.matmul(ts[0], w),
                None if ts[1] is None else np.matmul(x, ts[1]),
                ts[2],
            )
            if part is not None
        ),
    )
    w = M.T @ M
    check_grads(lambda x, w, b: affine(x, w, b) ** 2, (M, w, X))
    runs.clear()
    grad(lambda w: np.sum(affine(M, w, X)))(w)
    assert runs == [(False, True, False)]


def test_a_joint_rule_may_have_a_kernel_which_may_decline(monkeypatch):
    calls = []

    def kernel(g, x, y, *, needs, by=1.0):
        calls.append(("kernel", needs, by))
        if by == 2.0:
            return NotImplemented
        return tuple(g * by * z if need else None for z, need in zip((y, x), needs))

    monkeypatch.setitem(NUMPY.kernels, f"{__name__}:scaled_product.vjp", kernel)

    @primitive
    def scaled_product(xp, x, y, *, by=1.0, note=None):
        return x * y * by

    def joint(g, x, y, *, needs, by=1.0):
        calls.append(("rule", needs, by))
        return g * by * y, g * by * x

    defvjp(scaled_product, joint=joint)

    def of(by):
        return lambda x, y: np.sum(scaled_product(x, y, by=by))

    assert_allclose(grad(of(3.0), (0, 1))(X, 2 * X), (6 * X, 3 * X))
    assert_allclose(grad(of(2.0))(X, 2 * X), 4 * X)
    assert calls == [
        ("kernel", (True, True), 3.0),
        ("kernel", (True, False), 2.0),
        ("rule", (True, False), 2.0),
    ]
    calls.clear()
    grad(lambda x: np.sum(x * grad(of(3.0))(x, X)))(X)
    assert "rule" in [who for who, *_ in calls], "what is differentiated again goes by the rule"


def make_halves():
    @primitive(outputs=2)
    def halves(xp, x, *, at=1):
        return x[:at] * 1.0, x[at:] * 1.0

    seen = []

    def vjp_of(g, ans, x, *, at=1):
        seen.append(tuple(part is None for part in g))
        assert len(ans) == 2
        parts = [np.zeros(a.shape) if p is None else p for p, a in zip(g, ans, strict=True)]
        return np.concatenate(parts)

    defvjp(halves, vjp_of)
    defjvp(halves, lambda t, *, at=1: (t[:at], t[at:]))
    return halves, seen


def test_several_outputs_have_none_for_cotangents_that_nobody_asked_for():
    halves, seen = make_halves()
    assert_array_equal(grad(lambda x: np.sum(halves(x)[1] * 3))(X), [0.0, 3.0, 3.0])
    assert_array_equal(grad(lambda x: np.sum(halves(x, at=2)[0]))(X), [1.0, 1.0, 0.0])

    def both(x):
        a, b = halves(x, at=1)
        return np.sum(a) * 2 + np.sum(b * b)

    assert_allclose(grad(both)(X), [2.0, 2 * X[1], 2 * X[2]])
    assert seen == [(True, False), (False, True), (False, False)]


def test_several_outputs_to_second_order_and_forward():
    halves, _ = make_halves()
    check_grads(lambda x: (halves(x)[0] ** 2, halves(x, at=2)[1] ** 3), (X,))

    def f(x):
        a, b = halves(x)
        return np.sum(a * a) * np.sum(b)

    check_grads(f, (X,))


def test_several_outputs_are_tensors_untracked_too():
    halves, _ = make_halves()
    a, b = halves(X)
    assert isinstance(a, Tensor)
    assert not b.tracked
    assert all(type(part) is numpy.ndarray for part in halves.op(X))


def test_several_outputs_that_were_not_declared_are_refused():
    @primitive
    def halves(xp, x):
        return x[:1], x[1:]

    defvjp(halves, lambda g: np.concatenate(g))
    with pytest.raises(TypeError, match=r"halves returned 2 outputs.*@primitive\(outputs=2\)"):
        grad(lambda x: np.sum(halves(x)[0]))(X)


def test_an_integer_output_beside_a_float_is_not_tracked():
    @primitive(outputs=2)
    def top(xp, x, *, axis=-1):
        return xp.max(x, axis=axis), xp.argmax(x, axis=axis)

    def rule(g, ans, x, *, axis=-1):
        return np.where(np.expand_dims(ans[0], axis) == x, np.expand_dims(g[0], axis), 0.0)

    defvjp(top, rule)

    def f(x):
        value, place = top(x)
        assert not place.tracked
        return np.sum(value * place)

    assert_array_equal(grad(f)(M), [[0, 0, 2.0], [0, 0, 0]])


def test_rules_run_only_for_what_is_differentiated():
    runs = []

    @primitive
    def product(xp, x, y):
        return x * y

    defvjp(
        product,
        lambda g, y: runs.append("x") or g * y,
        lambda g, x: runs.append("y") or g * x,
    )
    grad(lambda x, y: np.sum(product(x, y)), 0)(X, X)
    assert runs == ["x"]
    runs.clear()
    w = np.array(X).requires_grad_()
    grad(lambda x: np.sum(product(x, w)), 0)(X)
    assert runs == ["x"]


def test_only_what_a_rule_names_is_kept():
    kept = {}

    @primitive
    def made(xp, x):
        return x + 1.0

    defvjp(made, lambda g: g)

    def f(x):
        y = x * 2.0
        kept["y"] = weakref.ref(y.value)
        z = made(y)
        kept["z"] = weakref.ref(z.value)
        total = np.sum(z)
        del y, z
        assert kept["y"]() is None
        assert kept["z"]() is None
        return total

    assert_array_equal(grad(f)(X), [2.0, 2.0, 2.0])


def test_a_rule_may_return_the_broadcast_shape_and_another_dtype():
    @primitive
    def product(xp, x, y):
        return x * y

    defvjp(product, lambda g, y: g * y, lambda g, x: g * x * numpy.float64(1))
    x = numpy.float32(2.0)
    gx, gy = grad(lambda x, y: np.sum(product(x, y)), (0, 1))(x, X.astype("float32"))
    assert gx.shape == ()
    assert gx.dtype == gy.dtype == numpy.float32


# ----- registration -------------------------------------------------------------------------------


def two():
    @primitive
    def f(xp, x, y):
        return x * y

    return f


def test_a_parameter_that_means_nothing_is_named():
    with pytest.raises(TypeError, match=r"a rule of f has the parameter 'z': use ans, x, y"):
        elementwise(two(), lambda z: z, lambda x: x)
    with pytest.raises(TypeError, match=r"parameter 'output': use g, ans, x, y"):
        defvjp(two(), lambda g, output: g, lambda g: g)


def test_the_first_parameter_of_a_rule_is_g():
    with pytest.raises(TypeError, match=r"the first parameter must be 'g'"):
        defvjp(two(), lambda x, y: x, lambda g: g)
    f = two()
    defvjp(f, lambda g, y: g * y, lambda g, x: g * x)
    with pytest.raises(TypeError, match=r"the first parameter must be 't'"):
        defjvp(f, lambda g, y: g * y, lambda g, x: g * x)


@pytest.mark.parametrize("verb", [elementwise, linear, defvjp], ids=lambda v: v.__name__)
def test_a_rule_for_each_operand_is_needed(verb):
    rule = (lambda: 1.0) if verb is elementwise else (lambda g: g)
    with pytest.raises(TypeError, match=r"f has the operands x, y: declare 2 rules, None where"):
        verb(two(), rule)
    with pytest.raises(TypeError, match=r"declare 2 rules"):
        verb(two(), rule, rule, rule)


def test_defjvp_needs_a_rule_for_each_operand():
    f = two()
    defvjp(f, lambda g, y: g * y, lambda g, x: g * x)
    with pytest.raises(TypeError, match=r"declare 2 rules"):
        defjvp(f, lambda t, y: t * y)


def test_a_rule_can_be_replaced():
    f = two()
    elementwise(f, lambda y: y, lambda x: x)
    assert grad(lambda x: f(x, 3.0))(2.0) == 3.0
    elementwise(f, lambda y: 10 * y, lambda x: x)
    assert grad(lambda x: f(x, 3.0))(2.0) == 30.0


# ----- formulas -----------------------------------------------------------------------------------


def test_expression_shows_the_rule_as_it_computes():
    assert [str(e) for e in expression(tanh)] == ["1 - ans * ans"]
    assert [str(e) for e in expression(multiply)] == ["y", "x"]
    assert [str(e) for e in expression(square)] == ["2 * x"]
    assert [str(e) for e in expression(sin)] == ["cos(x)"]
    assert [str(e) for e in expression(cosh)] == ["sinh(x)"]
    assert [str(e) for e in expression(sqrt)] == ["0.5 / ans"]
    assert "expit" in str(expression(logaddexp)[0])


def test_expressions_evaluate_to_the_derivative():
    names = {
        name: getattr(numpy, name) for name in ("cos", "sinh", "exp", "sqrt", "where", "equal")
    }
    x = 0.7
    for f in (tanh, square, sin, cosh, sqrt):
        formula = str(expression(f)[0])
        value = eval(formula, names | {"x": x, "ans": f.op(numpy.float64(x))})
        assert_allclose(value, grad(f)(x), rtol=1e-14)


def test_expression_brackets_what_needs_brackets():
    @primitive
    def f(xp, x, y):
        return x

    elementwise(f, lambda x, y: -(x + y) * (x - (y - 1)) / (x / y) ** -2, lambda: 0.5)
    first, second = expression(f)
    scope = {"x": 1.7, "y": -0.6}
    x, y = scope["x"], scope["y"]
    assert math.isclose(eval(str(first), scope), -(x + y) * (x - (y - 1)) / (x / y) ** -2)
    assert str(second) == "0.5"


def test_expression_with_none_and_of_other_kinds():
    f = two()
    elementwise(f, lambda y: y, None)
    assert expression(f)[1] is None
    linear(f, lambda g: g, lambda g: g)
    with pytest.raises(TypeError, match=r"expression\(f\): only elementwise functions"):
        expression(f)


@pytest.mark.parametrize("module", [np, sp], ids=["numpy", "scipy.special"])
def test_every_elementwise_function_has_a_formula(module):
    found = [f for f in vars(module).values() if getattr(f, "kind", "") == "elementwise"]
    assert found
    for f in found:
        for formula in expression(f):
            assert str(formula)


def test_every_public_primitive_has_a_rule_and_a_docstring():
    for module in (np, sp):
        for name in module.__all__:
            f = getattr(module, name)
            if hasattr(f, "vjps"):
                assert f.kind, name
                assert f.__doc__, name


def test_a_tensor_that_holds_nothing_of_the_graph_pickles_after_grad():
    w = np.array(X)
    grad(lambda w: np.sum(np.tanh(w)))(w)
    assert_allclose(pickle.loads(pickle.dumps(w)).grad, 1 - numpy.tanh(X) ** 2)


# ----- derivatives that are not to be had ---------------------------------------------------------


def _nth_root():
    @primitive
    def nth_root(xp, n, x):
        return x ** (1 / n)

    return nth_root


def _by_elementwise(f):
    elementwise(f, refused("n is a whole number: use power"), lambda ans, n, x: ans / (n * x))


def _by_defvjp(f):
    defvjp(f, refused("n is a whole number: use power"), lambda g, ans, n, x: g * ans / (n * x))
    defjvp(f, None, lambda t, ans, n, x: t * ans / (n * x))


@pytest.mark.parametrize("declare", [_by_elementwise, _by_defvjp])
def test_a_refused_argument_raises_and_the_others_have_their_rules(declare):
    nth_root = _nth_root()
    declare(nth_root)
    check_grads(lambda x: nth_root(3.0, x), (X + 2,))
    message = r"nth_root has no derivative in its argument 'n': .*use power.*stop_gradient\(n\)"
    with pytest.raises(NotImplementedError, match=message):
        grad(nth_root)(3.0, 8.0)
    with pytest.raises(NotImplementedError, match=message):
        jvp(nth_root, (3.0, 8.0), (1.0, 0.0))
    assert nth_root(3.0, 8.0).value == 2
