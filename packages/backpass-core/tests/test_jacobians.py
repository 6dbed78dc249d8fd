"""Jacobians whose rows are walked together: they are those of single walks, corners and all."""

import tracemalloc

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.autograd as autograd
import backpass.autograd.numpy as anp
import backpass.numpy as np
from backpass.core import (
    Tensor,
    checkpoint,
    custom_vjp,
    grad,
    hessian,
    jacobian,
    jacobians,
    tree,
)
from backpass.core.extend import defvjp, elementwise, primitive
from backpass.core.testing import check_grads

WALK = jacobians._one_by_one
random = numpy.random.default_rng(5)
X = random.uniform(0.2, 0.9, 4)
A = random.standard_normal((4, 5))
M = random.standard_normal((3, 4))


@pytest.fixture
def together(monkeypatch):
    """No output of several elements may be walked row by row."""

    def refuse(recorded, k, value):
        assert value.size <= 1, "the rows are walked one by one"
        return WALK(recorded, k, value)

    monkeypatch.setattr(jacobians, "_one_by_one", refuse)


@pytest.fixture
def walks(monkeypatch):
    """Count the outputs that are walked row by row."""
    counted = []
    monkeypatch.setattr(
        jacobians, "_one_by_one", lambda *given: counted.append(given) or WALK(*given)
    )
    return counted


def one_by_one(f):
    """Return a transformed function that walks row by row, as a reference."""

    def run(*args):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jacobians, "_together", lambda *_: None)
            patch.setattr(jacobians, "_one_by_one", WALK)
            return f(*args)

    return run


def both(f, *args, rtol=1e-12, atol=1e-14):
    """Check a transformed function against walks row by row, leaf by leaf."""
    ours, theirs = tree.leaves(f(*args)), tree.leaves(one_by_one(f)(*args))
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert type(a) is type(b)
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        assert_allclose(a, b, rtol=rtol, atol=atol)


# ----- what is walked together --------------------------------------------------------------------

PROGRAMS = {
    "chain": lambda x: np.tanh(np.exp(x) * np.sin(x) + 1 / x),
    "products": lambda x: np.tanh(x @ A) @ A.T @ x * x,
    "columns": lambda x: M @ (x * x),
    "matrices": lambda x: (np.reshape(x, (2, 2)) @ A[:2]) @ A.T,
    "matrices_from_the_left": lambda x: M[:, :2] @ np.reshape(x, (2, 2)),
    "stacks": lambda x: A.reshape(2, 2, 5)[:, :, :2] @ np.reshape(x, (2, 2)),
    "einsum": lambda x: np.einsum("i,ij,k->jk", x, A, x),
    "outer": lambda x: np.outer(x, x) - np.kron(x, x).reshape(4, 4),
    "axes": lambda x: np.cumsum(np.moveaxis(np.stack([x, x * x]), 0, 1), axis=0).mean(axis=1),
    "places": lambda x: np.concatenate([x[::-1], x[[0, 0, 2]], x[x > 0.5], np.pad(x, 1)]),
    "mixed_index": lambda x: np.reshape(np.outer(x, x), (2, 2, 4))[[0, 1], :, [1, 2]],
    "written": lambda x: _written(x),
    "broadcast": lambda x: x[:, None] * A + np.where(A > 0, x[0], x[1]),
    "softmax": lambda x: np.exp(x) / np.sum(np.exp(x)) * np.max(x) * np.std(x),
    "linalg": lambda x: np.linalg.solve(M[:, :3] + np.eye(3), x[:3]) * np.linalg.norm(x),
    "sorted": lambda x: np.sort(x) * np.prod(x),
    "fft": lambda x: np.abs(np.fft.rfft(x)),
    "bystander": lambda x: x * np.sum(np.array([1.0, 2.0])),
}


def _written(x):
    made = np.zeros((2, 4))
    made[0] = x * x
    made[1, 1:3] = x[2:]
    return made


@pytest.mark.parametrize("name", PROGRAMS)
def test_rows_are_walked_together(together, name):
    both(jacobian(PROGRAMS[name]), X)


def rosenbrock(x):
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


LOSSES = {
    "rosenbrock": rosenbrock,
    "logistic_regression": lambda w: np.mean(np.logaddexp(0, -np.sign(A[0]) * (w @ A))),
    "softmax_cross_entropy": lambda w: -np.sum(A[0] * (w @ A - np.log(np.sum(np.exp(w @ A))))),
    "network": lambda w: np.sum(np.tanh(np.tanh(w @ A) @ A.T) ** 2),
    "selections": lambda w: np.sum(np.maximum(w, 0.4) ** 3) + np.max(w) * np.min(w),
    "moments": lambda w: np.var(w @ A) + np.linalg.det(np.outer(w, w) + np.eye(4)),
}


@pytest.mark.parametrize("name", LOSSES)
def test_hessians_are_walked_together(together, name):
    both(hessian(LOSSES[name]), X, atol=1e-11)


def test_rosenbrock_has_its_hessian(together):
    x = numpy.array([-1.0, 2.0])
    assert_allclose(hessian(rosenbrock)(x), [[402.0, 400.0], [400.0, 200.0]])


# ----- kinds of arguments and outputs -------------------------------------------------------------


def test_trees_several_outputs_and_several_arguments(together):
    def f(p, y):
        return {"a": p["w"] * y, "b": [p["w"] @ A, p["s"] * y]}

    p = {"w": X, "s": numpy.float64(2.0)}
    both(jacobian(f, (0, 1)), p, X * 2)
    both(jacobian(f, (1,)), p, X * 2)
    blocks = jacobian(f)(p, X)
    assert blocks["b"][0]["w"].shape == (5, 4)
    assert_array_equal(blocks["a"]["s"], numpy.zeros(4))


@pytest.mark.parametrize("kind", ["float32", "float64", "complex64", "complex128", ">f8", ">f4"])
def test_dtypes_are_those_of_single_walks(together, kind):
    tolerance = 1e-5 if kind in ("float32", "complex64", ">f4") else 1e-12
    x = (X * (1 + 0.5j if kind.startswith("c") else 1)).astype(kind)
    both(
        jacobian(lambda x: np.tanh(x * x) + x @ np.outer(x, x), holomorphic=True),
        x,
        rtol=tolerance,
        atol=tolerance,
    )


def test_real_numbers_of_complex_ones_and_the_other_way_round(together):
    both(jacobian(lambda z: np.abs(z) ** 2 + np.imag(z)), X + 2j)
    both(jacobian(lambda x: np.exp(1j * x), holomorphic=True), X)


def test_python_floats_stay_weak(together):
    f = jacobian(lambda s: s * numpy.ones(3, "float32"))
    both(f, 2.0)
    both(jacobian(lambda s: np.stack([s * s, 2 * s])), 3.0)


def test_results_are_fresh_and_writeable(together):
    def shared(x, y):
        return x + y

    a, b = jacobian(shared, (0, 1))(X, X)
    a[...] = 7.0
    assert_array_equal(b, numpy.eye(4))
    w = numpy.ones((4, 4))
    j = jacobian(lambda x: x @ w)(X)
    j[...] = 7.0
    assert_array_equal(w, numpy.ones((4, 4)))
    assert_array_equal(jacobian(lambda x: np.broadcast_to(x, (3, 4)))(X)[1], numpy.eye(4))


def test_empty_outputs_and_arguments():
    both(jacobian(lambda x: x[:0] * 2), X)
    both(jacobian(lambda x: np.concatenate([x, numpy.ones(2)])), numpy.ones(0))
    both(jacobian(lambda x: np.zeros((2, 0)) + np.sum(x)), X)
    both(jacobian(lambda x, y: x * 1.0, (0, 1)), X, X)
    both(grad(lambda w: np.sum(jacobian(lambda x: [w[:2] * 1.0, x * w])(X)[0] + w)), X)


def test_arguments_of_many_axes(together):
    both(jacobian(lambda x: np.sum(x @ A[:2], axis=1)), random.standard_normal((3, 2, 2)))
    both(jacobian(lambda x: np.tensordot(x, A, axes=([1], [0]))), random.standard_normal((2, 4)))


# ----- corners ------------------------------------------------------------------------------------


def test_strong_zeros_and_infinite_derivatives(together):
    x = numpy.array([0.0, 4.0, -1.0])
    both(jacobian(lambda x: np.where(x > 0, np.sqrt(x), 0.0)), x)
    assert_array_equal(jacobian(np.sqrt)(numpy.array([0.0, 4.0])), [[numpy.inf, 0], [0, 0.25]])
    both(jacobian(lambda x: np.sqrt(x) @ numpy.ones((3, 2))), x)
    both(hessian(lambda x: np.sum(np.where(x > 0, x**0.5, 0.0))), x)


def test_a_nan_stays_in_its_row(together):
    x = numpy.array([-1.0, 1.0, 4.0])
    j = jacobian(lambda x: np.log(x) * np.sqrt(x))(x)
    assert_array_equal(numpy.isnan(j), [[True, False, False], [False] * 3, [False] * 3])
    both(jacobian(lambda x: np.cumsum(np.log(x))), x)
    both(jacobian(lambda x: np.sqrt(x)[:, None] * A[:3]), x)


@pytest.mark.parametrize("bad", [numpy.inf, -numpy.inf, numpy.nan])
def test_infinite_weights_make_what_they_make_of_single_rows(together, bad):
    w = A.copy()
    w[1, 2] = bad
    both(jacobian(lambda x: x @ w), X)
    both(jacobian(lambda x: w.T @ x), X)
    both(jacobian(lambda x: np.tanh(x @ w)), X)
    both(jacobian(lambda x: np.maximum(x, w[:, 2])), X)
    both(jacobian(lambda x: x * w[:, 2]), X)


def test_ties_share_and_kinks_have_the_least_gradient(together):
    x = numpy.array([1.0, 1.0, 0.0])
    both(jacobian(lambda x: np.maximum(x, 1.0) + np.abs(x) + np.max(x)), x)
    assert_array_equal(jacobian(lambda x: np.max(x) * np.ones(2))(x)[0], [0.5, 0.5, 0.0])


# ----- derivatives of Jacobians -------------------------------------------------------------------


def test_a_jacobian_is_differentiated(together):
    def f(x):
        return np.sum(jacobian(PROGRAMS["products"])(x) ** 2)

    both(grad(f), X)
    check_grads(f, [X], order=2)


def test_a_jacobian_by_something_outside(together):
    def f(w):
        return np.sum(jacobian(lambda x: np.tanh(x @ (w * A)))(X) ** 2)

    both(grad(f), numpy.float64(0.7))
    both(jacobian(lambda w: jacobian(lambda x: np.tanh(x * w))(X)), X * 2)
    both(grad(lambda w: np.sum(jacobian(lambda x: [x * 2, x * w])(X)[1])), X)


def test_jacobians_of_jacobians(together):
    both(hessian(lambda x: np.sum(hessian(lambda y: np.sum(np.sin(y) * y[0]))(x) ** 2)), X)
    j = jacobian(jacobian(jacobian(lambda x: x**3)))(X)
    assert_allclose(numpy.einsum("iiii->i", j), 6.0)
    assert numpy.count_nonzero(j) == 4


def test_the_drop_in_has_them_too(together):
    assert_allclose(autograd.jacobian(lambda x: anp.tanh(anp.dot(x, A)))(X).shape, (5, 4))
    both(autograd.jacobian(lambda x: anp.tanh(anp.dot(x, A))), X)
    both(autograd.hessian(lambda x: anp.sum(anp.tanh(anp.dot(x, A)) ** 2)), X)


# ----- what is walked row by row ------------------------------------------------------------------


@primitive
def thrice(xp, x):
    return 3 * x


defvjp(thrice, lambda g: 3 * g if float(np.sum(g)) >= 0 else g)


@primitive
def doubled(xp, x):
    return 2 * x


elementwise(doubled, lambda: 2.0)


@custom_vjp
def clipped(x):
    return x * 2


clipped.defvjp(lambda x: (x * 2, x), lambda x, g: (np.clip(g, -1, 1),))

FALLING = {
    "a_rule_that_looks": lambda x: thrice(x) * x,
    "checkpoint": lambda x: checkpoint(np.tanh)(x) * x,
    "custom_vjp": lambda x: clipped(x) * x,
}


@pytest.mark.parametrize("name", FALLING)
def test_what_cannot_be_batched_is_walked_row_by_row(walks, name):
    both(jacobian(FALLING[name]), X)
    assert len(walks) == 1


def test_only_the_output_that_cannot_be_batched(walks):
    both(jacobian(lambda x: [doubled(x) * x, thrice(x)]), X)
    assert len(walks) == 1


def test_hooks_see_single_cotangents(walks):
    seen = []

    def f(x):
        y = x * 2
        y.register_hook(lambda g: seen.append(g.shape))
        return y * y

    assert_allclose(jacobian(f)(X), numpy.diag(8 * X))
    assert seen == [(4,)] * 4
    assert len(walks) == 1


def test_an_error_of_a_rule_is_raised():
    @primitive
    def broken(xp, x):
        return x + 1

    def rule(g):
        raise ZeroDivisionError("the rule's own")

    defvjp(broken, rule)
    with pytest.raises(ZeroDivisionError, match="the rule's own"):
        jacobian(broken)(X)


# ----- memory -------------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [1, 40, 64, 96, 100, 1 << 20])
def test_as_many_rows_go_together_as_the_budget_allows(monkeypatch, budget):
    monkeypatch.setattr(jacobians, "BUDGET", budget)
    sizes = []
    walk = jacobians._walk

    def counted(order, cotangents, *rest):
        sizes.extend(batch.rows for batch in cotangents.values())
        return walk(order, cotangents, *rest)

    monkeypatch.setattr(jacobians, "_walk", counted)
    f = lambda x: np.tanh(np.stack([x, x * x])[:, :3])  # noqa: E731
    both(jacobian(f), X)
    most = max(1, budget // 64)  # the largest is of (2, 4) numbers
    assert sizes == ([] if most == 1 else [most] * (6 // most) + [6 % most] * (6 % most > 0))
    y = Tensor(X)
    both(grad(lambda w: np.sum(jacobian(lambda x: f(x * w))(y) ** 2)), X)


def test_a_large_jacobian_takes_little_beyond_itself(together, monkeypatch):
    monkeypatch.setattr(jacobians, "BUDGET", 1 << 23)
    x = numpy.ones(400)
    f = jacobian(lambda x: np.tanh(x * numpy.ones((400, 1)))[1])
    f(x)
    tracemalloc.start()
    try:
        j = f(x)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The largest cotangents are of 400 rows of (400, 400) numbers, 512 MB in all.
    assert peak < j.nbytes + 8 * jacobians.BUDGET
