"""What `checkpoint` runs again, what its policies keep, and `checkpoint_scan`."""

import collections
import contextlib
import functools
import threading

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.numpy as np
from backpass.core import (
    Tensor,
    backends,
    checkpoint,
    checkpoint_name,
    checkpoint_scan,
    grad,
    hessian,
    hvp,
    interception,
    jacobian,
    jvp,
    linearize,
    no_grad,
    observing,
    stop_gradient,
    value_and_grad,
    vjp,
)
from backpass.core import checkpoint_policies as policies
from backpass.core.backends import Backend
from backpass.core.extend import elementwise, primitive
from backpass.core.graph import recording
from backpass.core.segments import replay, running_again
from backpass.core.testing import check_grads

W = numpy.linspace(-1, 1, 9).reshape(3, 3) + 0.1 * numpy.eye(3)
X = numpy.array([0.3, -0.7, 1.1])
POLICIES = [
    policies.nothing_saveable,
    policies.everything_saveable,
    policies.dots_saveable,
    policies.save_only_these_names("product"),
    policies.save_anything_except_these_names("product"),
]


def layer(w, x):
    product = checkpoint_name(w @ x, "product")
    parts = np.split(np.tanh(product) * 2.0, 3)
    return np.sum(np.sin(parts[0]) * product) + parts[2][0] ** 2


@contextlib.contextmanager
def counted():
    """Count the kernels that run in this thread, by their primitives' names."""
    runs = collections.Counter()

    def around(primitive, kernel):
        def run(*values, **kwargs):
            runs[primitive.name] += 1
            return kernel(*values, **kwargs)

        return run

    with interception.intercepting(around):
        yield runs


def runs_of(f, *args):
    with counted() as runs:
        f(*args)
    return runs


def again(f, *args, policy=None):
    """Return which kernels a checkpoint runs beyond those of the plain function's gradient."""
    plain = runs_of(grad(f), *args)
    return runs_of(grad(checkpoint(f, policy=policy)), *args) - plain


# ----- what runs again ----------------------------------------------------------------------------


def test_without_a_policy_everything_runs_again():
    once = runs_of(layer, np.array(W), X)
    assert again(layer, W, X) == once
    assert again(layer, W, X, policy=policies.nothing_saveable) == once


def test_what_a_policy_keeps_does_not_run_again():
    once = runs_of(layer, np.array(W), X)
    assert not again(layer, W, X, policy=policies.everything_saveable)
    dots = again(layer, W, X, policy=policies.dots_saveable)
    assert dots == once - collections.Counter({"matmul": 1})


def test_a_name_spares_the_operation_that_made_the_value():
    once = runs_of(layer, np.array(W), X)
    spared = collections.Counter({"matmul": 1, "checkpoint_name": 1})
    for policy in (
        policies.save_only_these_names("other", "product"),
        policies.save_any_names_but_these("other"),
    ):
        assert again(layer, W, X, policy=policy) == once - spared
    for policy in (
        policies.save_only_these_names("other"),
        policies.save_any_names_but_these("product"),
        policies.save_only_these_names(),
    ):
        assert again(layer, W, X, policy=policy) == once
    excepted = policies.save_anything_except_these_names("product")
    assert again(layer, W, X, policy=excepted) == spared


def test_either_of_two_policies_keeps():
    def f(w, x):
        return np.sum(np.exp(checkpoint_name(np.tanh(w @ x), "a")))

    both = policies.save_from_both_policies(
        policies.save_only_these_names("a"), policies.dots_saveable
    )
    assert set(again(f, W, X, policy=both)) == {"exp", "sum"}


@pytest.mark.parametrize(
    ("f", "all_dots", "no_batch"),
    [
        (lambda x: x @ x[0], 1, 1),
        (lambda x: x @ x, 1, 0),
        (lambda x: np.tensordot(x, x, 1), 1, 1),
        (lambda x: np.einsum("bij,jk->bik", x, x[0]), 1, 1),
        (lambda x: np.einsum("bij,bjk->bik", x, x), 1, 0),
        (lambda x: np.einsum("bij->bji", x), 0, 0),
        (lambda x: x * x, 0, 0),
    ],
    ids="one-matrix both-stacked tensordot einsum-matrix einsum-stacked transposed none".split(),
)
def test_which_products_have_batch_axes(f, all_dots, no_batch):
    kept = []

    def noting(policy):
        def noted(primitive, *operands, **keywords):
            kept.append(policy(primitive, *operands, **keywords))
            return kept[-1]

        return noted

    x = np.array(numpy.ones((3, 3, 3)))
    for policy, expected in (
        (policies.dots_saveable, all_dots),
        (policies.dots_with_no_batch_dims_saveable, no_batch),
    ):
        kept.clear()
        checkpoint(f, policy=noting(policy))(x)
        assert sum(kept) == expected


def test_a_policy_sees_operands_and_keywords():
    seen = []

    def policy(primitive, *operands, **keywords):
        seen.append((primitive.name, [x.shape for x in operands], keywords.get("axis")))
        return False

    checkpoint(lambda x: np.sum(np.exp(x), axis=0), policy=policy)(np.array(W))
    assert seen == [("exp", [(3, 3)], None), ("sum", [(3, 3)], 0)]


def test_outputs_that_are_tuples_are_kept():
    def f(x):
        a, b, c = np.split(x, 3)
        values, vectors = np.linalg.eigh(np.outer(x, x) + np.diag(np.array([1.0, 2.0, 3.0])))
        return np.sum(a * b + c) + np.sum(values**2 * vectors[0] ** 2)

    def policy(primitive, *operands, **keywords):
        return primitive.name in ("split", "eigh")

    assert "eigh" in again(f, X)
    assert not {"split", "eigh"} & set(again(f, X, policy=policy))
    assert_array_equal(grad(checkpoint(f, policy=policy))(X), grad(f)(X))


def test_numbers_that_are_weak_stay_so():
    def f(x):
        return np.array([1.0, 2.0], dtype=numpy.float32) * (x * 2.0 + 1.0)

    kept = checkpoint(f, policy=policies.everything_saveable)
    out, pull = vjp(kept, 0.5)
    assert out.dtype == numpy.float32
    assert_array_equal(pull(numpy.ones(2, numpy.float32))[0], 6.0)


def test_a_kernel_and_a_policy_may_use_operations_themselves():
    @primitive
    def cube(xp, x):
        return np.multiply.op(np.multiply.op(x, x), x)

    elementwise(cube, lambda x: 3 * x * x)

    def policy(primitive, *operands, **keywords):
        asked.append(primitive.name)
        return bool(np.sum(np.exp(operands[0])).value < 1e9)

    asked = []
    assert_allclose(grad(lambda x: np.sum(checkpoint(cube, policy=policy)(x)))(X), 3 * X * X)
    assert asked == ["cube"]


class FarArray(numpy.ndarray):
    """Stands for an array of a device."""


def test_what_is_offloaded_waits_in_the_hosts_memory():
    moves = []

    def to_host(x):
        moves.append("to host")
        return numpy.array(x)

    def from_host(x):
        moves.append("back")
        return numpy.array(x).view(FarArray)

    far = Backend("Far", (FarArray,), numpy, device="far", from_host=from_host, to_host=to_host)
    loaded = list(backends._loaded)
    backends._loaded[:] = [far, *loaded]

    def f(w, x):
        parts = np.split(checkpoint_name(w @ x, "product"), 3)
        return np.sum(np.exp(parts[0]) * np.sin(parts[1]))

    expected = grad(f, (0, 1))(W, X)
    names = policies.save_and_offload_only_these_names(
        names_which_can_be_saved=["other"], names_which_can_be_offloaded=["product"]
    )
    everything = policies.save_from_both_policies(
        lambda primitive, *_, **__: policies.OFFLOAD if primitive.name != "sum" else False,
        policies.nothing_saveable,
    )
    try:
        args = W.view(FarArray), X.view(FarArray)
        once = set(runs_of(f, np.array(args[0]), args[1]))
        for policy, there, spared in (
            (policies.offload_dot_with_no_batch_dims, 1, {"matmul"}),
            (names, 1, {"matmul", "checkpoint_name"}),
            (everything, 8, once - {"sum"}),
        ):
            assert set(again(f, *args, policy=policy)) == once - spared
            moves.clear()
            found = grad(checkpoint(f, policy=policy), (0, 1))(*args)
            for a, b in zip(found, expected, strict=True):
                assert type(a) is FarArray
                assert_allclose(a, b)
            assert moves.count("to host") == there
            assert "back" in moves
    finally:
        backends._loaded[:] = loaded
        for p in list(observing._filled):
            p.kernels.pop(FarArray, None)
            p.pulls.pop(FarArray, None)
    # What is in the host's memory anyway stays where it is.
    on_host = checkpoint(f, policy=policies.offload_dot_with_no_batch_dims)
    assert_array_equal(grad(on_host)(W, X), expected[0])


# ----- the same derivatives -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "policy", [None, *POLICIES], ids="none nothing everything dots only except".split()
)
def test_every_transformation_gives_the_same(policy):
    f = checkpoint(layer, policy=policy)
    for g, h in zip(value_and_grad(f, (0, 1))(W, X), value_and_grad(layer, (0, 1))(W, X)):
        for a, b in zip(g if isinstance(g, tuple) else (g,), h if isinstance(h, tuple) else (h,)):
            assert_array_equal(a, b)
    assert_allclose(jacobian(lambda x: f(W, x))(X), grad(lambda x: layer(W, x))(X))
    assert_allclose(hessian(lambda x: f(W, x))(X), hessian(lambda x: layer(W, x))(X))
    for transformation in (hvp, jvp):
        found = transformation(lambda x: f(W, x), (X,), (X[::-1],))
        expected = transformation(lambda x: layer(W, x), (X,), (X[::-1],))
        for a, b in zip(found, expected):
            assert_allclose(a, b)
    _, push = linearize(lambda x: f(W, x), X)
    _, expected = linearize(lambda x: layer(W, x), X)
    for direction in numpy.eye(3):
        assert_allclose(push(direction), expected(direction))
    third = [grad(lambda x, h=h: hvp(lambda x: h(W, x), (x,), (X,))[-1].sum()) for h in (f, layer)]
    assert_allclose(third[0](X), third[1](X))


@pytest.mark.parametrize("policy", POLICIES[1:3])
def test_policies_to_second_order(policy):
    check_grads(checkpoint(layer, policy=policy), (W, X), order=2)

    # Complex numbers, a tree, a keyword, an integer, something that is no array.
    @checkpoint(policy=policy)
    def f(p, n, *, scale, text):
        z = p["z"] * scale
        return {"out": (z @ z) * n, "text": text}

    z = X + 1j * X[::-1]
    for part in (np.real, np.imag):
        check_grads(lambda z: part(f({"z": z}, 2, scale=0.5j, text="a")["out"]), (z,), order=2)  # noqa: B023


@pytest.mark.parametrize("policy", [None, policies.dots_saveable, policies.everything_saveable])
def test_checkpoints_nest(policy):
    wrap = checkpoint(policy=policy)

    def chain(f, depth):
        if not depth:
            return f
        half = wrap(chain(f, depth - 1))
        return lambda w, x: half(w, half(w, x))

    def step(w, x):
        return np.tanh(w @ x) + 0.1 * x

    def plain(w, x):
        for _ in range(8):
            x = step(w, x)
        return np.sum(x * x)

    def nested(w, x):
        out = chain(step, 3)(w, x)
        return np.sum(out * out)

    for i in (0, 1):
        assert_allclose(grad(nested, i)(W, X), grad(plain, i)(W, X), rtol=1e-12)
    assert_allclose(hessian(nested, 1)(W, X), hessian(plain, 1)(W, X), rtol=1e-10)
    assert_allclose(jvp(nested, (W, X), (W, X))[1], jvp(plain, (W, X), (W, X))[1], rtol=1e-12)


def test_an_outer_policy_reaches_into_an_inner_checkpoint():
    def f(x):
        return np.sum(np.exp(np.tanh(x)))

    inner = checkpoint(f)
    both = runs_of(grad(checkpoint(inner)), X)["tanh"]
    kept = runs_of(grad(checkpoint(inner, policy=policies.everything_saveable)), X)["tanh"]
    assert (both, kept) == (3, 2)
    twice = checkpoint(
        checkpoint(f, policy=policies.everything_saveable), policy=policies.everything_saveable
    )
    assert runs_of(grad(twice), X)["tanh"] == 1


@pytest.mark.parametrize("policy", [None, policies.everything_saveable])
def test_tensors_outside_are_reached_through_several_levels(policy):
    wrap = checkpoint(policy=policy)
    v = np.array(X).requires_grad_()

    def f(w, plainly):
        make = (lambda f: f) if plainly else wrap
        middle = np.sin(w)

        def outer(x):
            bent = np.tanh(x * w)

            def inner(y):
                return y * bent * middle * v

            return make(inner)(x) + bent

        return np.sum(make(outer)(X) ** 2)

    expected = grad(lambda w: f(w, True))(0.5)
    expected_v, v.grad = v.grad, None
    assert_allclose(grad(lambda w: f(w, False))(0.5), expected)
    assert_allclose(v.grad, expected_v)
    v.grad = None
    second = [grad(grad(lambda w, p=p: f(w, p)))(0.5) for p in (True, False)]
    assert_allclose(*second)


def test_what_is_written_in_place_is_kept_apart():
    def f(x):
        y = checkpoint_name(x * 2.0, "y")
        y[0] = y[1] * y[0]
        z = np.exp(y)
        z[1] = z[2] * z[2]
        z = checkpoint_name(z, "z")
        z[2] = z[2] * z[1]
        return np.sum(z)

    for policy in (None, policies.everything_saveable, policies.save_only_these_names("y", "z")):
        for transform in (grad, hessian):
            assert_array_equal(transform(checkpoint(f, policy=policy))(X), transform(f)(X))
    x = Tensor(X.copy()).requires_grad_()
    checkpoint(f, policy=policies.everything_saveable)(x).backward(retain_graph=True)
    assert_array_equal(x.grad, grad(f)(X))


def test_a_function_that_differentiates_inside():
    def f(x):
        return np.sum(grad(lambda y: np.sum(np.sin(y) * x))(x) ** 2)

    for policy in (None, policies.everything_saveable, policies.dots_saveable):
        assert_array_equal(grad(checkpoint(f, policy=policy))(X), grad(f)(X))
        assert_allclose(hessian(checkpoint(f, policy=policy))(X), hessian(f)(X))


def test_auxiliary_data_and_several_walks():
    def f(x):
        y = np.tanh(x)
        return np.sum(y), (y, "text")

    kept = checkpoint(f, policy=policies.everything_saveable)
    g, (y, text) = grad(kept, has_aux=True)(X)
    assert_allclose(g, 1 - numpy.tanh(X) ** 2)
    assert_allclose(y.value, numpy.tanh(X))
    assert text == "text"
    assert not y.tracked
    _, pull = vjp(lambda x: kept(x)[1][0], X)
    assert_array_equal(pull(X)[0], pull(X)[0])


def test_nothing_is_recorded_where_nothing_is_tracked():
    kept = checkpoint(layer, policy=policies.everything_saveable)
    assert not kept(W, X).tracked
    w = np.array(W).requires_grad_()
    with no_grad():
        assert not kept(w, X).tracked

    def half(x):
        with no_grad():
            y = x * 2.0
        return y * x + stop_gradient(x)

    check = checkpoint(half, policy=policies.everything_saveable)
    assert_array_equal(grad(lambda x: np.sum(check(x)))(X), 2 * X)


# ----- functions that do something else -----------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        (
            np.exp,
            np.sin,
            r"wavering.* 2 was exp .*is now sin of operands of shape \(3,\)",
        ),
        (np.exp, lambda x: x, "operation 2 was exp of shapes .* is now sum"),
        (lambda x: x, np.exp, "operation 2 was sum .* is now exp"),
        (lambda x: x, lambda x: x[:2], "operation 2 was sum .* is now getitem"),
    ],
    ids="another missing new view".split(),
)
def test_another_operation_in_the_second_run_is_an_error(first, second, message):
    @checkpoint(policy=policies.everything_saveable)
    def wavering(x):
        return np.sum((second if running_again() else first)(x * x))

    with pytest.raises(RuntimeError, match=message):
        grad(wavering)(X)


def test_other_shapes_more_or_less_in_the_second_run_are_errors():
    @checkpoint(policy=policies.everything_saveable)
    def other_shape(x):
        return np.sum(x * (X[:1] if running_again() else X))

    @checkpoint(policy=policies.everything_saveable)
    def less(x):
        return x * x if running_again() else np.exp(x * x)

    @checkpoint(policy=policies.everything_saveable)
    def more(x):
        return np.exp(x * x) if running_again() else x * x

    @checkpoint
    def another_structure(x):
        return (x, x) if running_again() else x

    for f, message in (
        (other_shape, r"was multiply of shapes \(3,\), \(3,\), and is now multiply"),
        (less, "operation 2 was exp .* is now no more"),
        (more, "operation 2 was no more, and is now exp"),
        (another_structure, "another_structure, a checkpointed function, returned"),
    ):
        with pytest.raises(RuntimeError, match=message):
            grad(lambda x: np.sum(f(x)))(X)  # noqa: B023
    assert_array_equal(grad(lambda x: np.sum(x * x))(X), 2 * X)


def test_an_exception_in_either_run_leaves_nothing_behind():
    calls = []

    def f(x):
        calls.append(x)
        y = np.tanh(x)
        if len(calls) == fails:
            raise KeyError("the user's")
        return np.sum(y)

    fails = 0
    for run in (1, 2):
        fails = run
        calls.clear()
        with pytest.raises(KeyError, match="the user's"):
            grad(checkpoint(f, policy=policies.everything_saveable))(X)
        assert recording.again == 0
        assert not running_again()
        assert observing.observed == [0]
    fails = 0
    assert_allclose(grad(checkpoint(f, policy=policies.everything_saveable))(X), grad(f)(X))


def test_an_operation_whose_exception_is_caught():
    def f(x):
        y = x * x
        try:
            y = y @ np.ones(5)
        except ValueError:
            y = y @ np.ones(3)
        return y

    kept = checkpoint(f, policy=policies.everything_saveable)
    assert_array_equal(grad(kept)(X), 2 * X)


def test_what_cannot_be_checkpointed_is_refused():
    with pytest.raises(TypeError, match=r"policy must be a function, not 'dots'.*checkpoint_polic"):
        checkpoint(layer, policy="dots")
    with pytest.raises(TypeError, match="fun must be a function, not 3"):
        checkpoint(3)
    with pytest.raises(TypeError, match="returned None for exp"):
        checkpoint(np.exp, policy=lambda *_, **__: None)(np.array(X))
    with pytest.raises(TypeError, match=r"returned a generator.*return a list"):
        grad(lambda x: sum(checkpoint(lambda x: (np.sin(y) for y in x))(x)))(X)
    with pytest.raises(TypeError, match="name must be a string, not 3"):
        checkpoint_name(X, 3)
    with pytest.raises(TypeError, match="names are strings, not 3"):
        policies.save_only_these_names(3)
    with pytest.raises(ValueError, match=r"\['a'\] stand in both"):
        policies.save_and_offload_only_these_names(
            names_which_can_be_saved=["a"], names_which_can_be_offloaded=["a", "b"]
        )


def test_a_name_does_nothing_else():
    assert_array_equal(checkpoint_name(X, "x").value, X)
    named = checkpoint_name({"a": X, "b": (None, 2.0)}, "x")
    assert_array_equal(named["a"].value, X)
    assert named["b"][0] is None
    check_grads(lambda x: checkpoint_name(x, "x") * x, (X,), order=2)


def test_what_is_random_is_the_same_again():
    state = numpy.random.default_rng(0)
    bits = state.bit_generator
    replay(lambda: bits.state, lambda saved: setattr(bits, "state", saved))

    @checkpoint(policy=policies.dots_saveable)
    def f(x):
        return np.sum(np.exp(x) * state.standard_normal(3))

    before = bits.state
    found = grad(f)(X)
    after = bits.state
    bits.state = before
    assert_array_equal(found, numpy.exp(X) * state.standard_normal(3))
    assert bits.state == after


def test_other_threads_go_on():
    started, go, done = threading.Event(), threading.Event(), []

    def other():
        started.wait()
        for _ in range(50):
            done.append(grad(lambda x: np.sum(np.exp(x) * x))(X))
        go.set()

    thread = threading.Thread(target=other)
    thread.start()

    def f(x):
        y = np.exp(x)
        started.set()
        go.wait()
        return np.sum(np.exp(y))

    kept = []

    def policy(primitive, *operands, **keywords):
        kept.append(primitive.name)
        return True

    found = grad(checkpoint(f, policy=policy))(X)
    thread.join()
    assert kept == ["exp", "exp", "sum"]
    assert_array_equal(found, grad(f)(X))
    for g in done:
        assert_array_equal(g, grad(lambda x: np.sum(np.exp(x) * x))(X))


# ----- a recurrence -------------------------------------------------------------------------------


def recurrence(w, h, xs):
    carry, ys = h, []
    for a, b in zip(xs["a"], xs["b"]):
        carry = (np.tanh(w @ carry[0] + a), carry[1] + np.sum(carry[0]) * b)
        ys.append({"h": carry[0] * 2.0, "none": None})
    return carry, {"h": np.stack([y["h"] for y in ys]), "none": None}


def scanned(w, h, xs, **options):
    def step(carry, x):
        carry = (np.tanh(w @ carry[0] + x["a"]), carry[1] + np.sum(carry[0]) * x["b"])
        return carry, {"h": carry[0] * 2.0, "none": None}

    return checkpoint_scan(step, h, xs, **options)


def total(run, *args):
    (h, s), ys = run(*args)
    assert ys["none"] is None
    return np.sum(h) * s + np.sum(ys["h"] ** 2)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"segments": 1},
        {"segments": 100},
        {"segments": (3, 2)},
        {"segments": (2, 2, 2), "policy": policies.dots_saveable},
        {"policy": policies.everything_saveable},
        {"length": 11},
    ],
)
def test_a_scan_is_a_loop(options):
    random = numpy.random.default_rng(0)
    args = W, (X, 0.5), {"a": random.standard_normal((11, 3)), "b": random.standard_normal(11)}
    f = functools.partial(total, functools.partial(scanned, **options))
    every = tuple(range(3))
    tensors = (np.array(W), (np.array(X), 0.5), {k: np.array(v) for k, v in args[2].items()})
    value, found = value_and_grad(f, every)(*tensors)
    expected_value, expected = value_and_grad(functools.partial(total, recurrence), every)(*tensors)
    assert value == expected_value
    for a, b in zip(_leaves(found), _leaves(expected), strict=True):
        assert_allclose(a, b, rtol=1e-10, atol=1e-12)
    # Constants are handed on as they are.
    assert_allclose(grad(lambda w: f(w, *args[1:]))(W), _leaves(expected)[0], rtol=1e-10)
    second = [
        hvp(lambda w, g=g: g(w, *args[1:]), (W,), (W,))[-1]
        for g in (f, functools.partial(total, recurrence))
    ]
    assert_allclose(*second, rtol=1e-9)


def _leaves(x):
    from backpass.core import tree

    return [numpy.asarray(getattr(t, "value", t)) for t in tree.leaves(x)]


def test_a_scan_backwards_and_without_xs():
    xs = numpy.arange(7.0)
    carry, ys = checkpoint_scan(lambda c, x: (c * 0.5 + x, c), 0.0, xs, reverse=True)
    c, expected = 0.0, []
    for x in xs[::-1]:
        expected.append(c)
        c = c * 0.5 + x
    assert carry == c
    assert_array_equal(ys.value, expected[::-1])
    carry, ys = checkpoint_scan(lambda c, x: (c * 2.0, x), np.array(1.0), length=10)
    assert carry.value == 1024
    assert ys is None


def test_a_scan_says_what_is_wrong():
    def step(c, x):
        return c, x

    for message, args, options in (
        ("without xs, say how many", (0.0,), {}),
        ("there are no steps", (0.0, numpy.ones((0, 2))), {}),
        (r"first axes of xs and length differ: \[3, 4\]", (0.0, [np.ones(3), np.ones(4)]), {}),
        ("segments=0: say how many", (0.0, np.ones(3)), {"segments": 0}),
        ("each at least 1", (0.0, np.ones(3)), {"segments": (2, 1.5)}),
    ):
        with pytest.raises(ValueError, match=message):
            checkpoint_scan(step, *args, **options)
    with pytest.raises(TypeError, match=r"xs holds 2.0, which has no first axis"):
        checkpoint_scan(step, 0.0, [2.0])
    with pytest.raises(TypeError, match=r"must return a pair .* it returned Tensor"):
        checkpoint_scan(lambda c, x: c + x, 0.0, np.ones(3))
