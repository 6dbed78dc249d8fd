"""Seven mistakes that programs like this one have made; none may come back."""

import ast
import pathlib
import re

import numpy
from numpy.testing import assert_allclose, assert_array_equal

import backpass
import backpass.numpy as np
import backpass.scipy.special as sp
from backpass.core import Tensor, grad, value_and_grad

X = numpy.array([1.0, 2.0, 3.0])


# 1. Two parents that share one gradient array, to which something is then added in place.


def test_two_parents_do_not_share_one_gradient():
    a, b = np.array(X).requires_grad_(), np.array(X).requires_grad_()
    np.sum((a + b) * X).backward()
    assert not numpy.shares_memory(a.grad, b.grad)
    a.grad += 100.0
    assert_array_equal(b.grad, X)


def test_adding_to_one_parents_cotangent_leaves_the_others_alone():
    def f(a, b):
        c = a + b
        return np.sum(c * c) + np.sum(a * 10)

    ga, gb = grad(f, (0, 1))(X, X)
    assert_array_equal(ga, 4 * X + 10)
    assert_array_equal(gb, 4 * X)


def test_returned_gradients_share_nothing_with_each_other_or_with_grad():
    w = [np.array(X), np.array(X), np.array(X)]
    gs = grad(lambda w: np.sum(w[0] + w[1] - w[2]))(w)
    held = [*gs, *(t.grad for t in w)]
    for i, a in enumerate(held):
        for b in held[i + 1 :]:
            assert not numpy.shares_memory(a, b)


# 2. A branch that leads nowhere and stops the walk before it has reached everything.


def test_a_branch_that_is_not_used_does_not_stop_the_walk():
    def f(x):
        y = x * 2
        _unused = np.exp(y) + x
        z = y * 3
        _dead = np.sum(z) * np.floor(y)
        return np.sum(z)

    assert_array_equal(grad(f)(X), [6.0, 6.0, 6.0])


def test_a_constant_branch_does_not_stop_the_walk():
    def f(x):
        y = np.tanh(np.array(X)) * np.sign(x)
        return np.sum(y * x + np.argmax(x))

    assert_allclose(grad(f)(X), numpy.tanh(X))


def test_an_output_of_a_split_that_is_not_used_does_not_stop_the_walk():
    def f(x):
        a, _, c = np.split(x, 3)
        return np.sum(a * c)

    assert_array_equal(grad(f)(X), [3.0, 0.0, 1.0])


def test_paths_of_different_lengths_are_all_walked_before_their_source():
    def f(x):
        y = x * x
        long = y
        for _ in range(10):
            long = long * 1.0
        return np.sum(long + y)

    assert_array_equal(grad(f)(X), 4 * X)


# 3. A second call that returns the sum of both gradients.


def test_a_second_call_returns_its_own_gradient():
    w = np.array(X)
    run = grad(lambda w: np.sum(w * w))
    for _ in range(3):
        assert_array_equal(run(w), 2 * X)
    assert_array_equal(w.grad, 6 * X)


def test_a_gradient_that_was_returned_does_not_grow_later():
    w = np.array(X)
    run = value_and_grad(lambda w: np.sum(w * w))
    _, first = run(w)
    run(w)
    assert_array_equal(first, 2 * X)


# 4. Indexing that cuts the graph without a word.


def test_every_way_of_indexing_keeps_the_graph():
    m = numpy.arange(6.0).reshape(2, 3)
    for index in (0, -1, (0, 1), slice(1), (slice(None), 2), [1, 0], ([0, 1], [1, 1]), ...,
                  m > 2, (None, 1), (..., -1), numpy.array([0, 0]), np.array([1])):  # fmt: skip
        expected = numpy.zeros((2, 3))
        plain = index.value if isinstance(index, Tensor) else index
        numpy.add.at(expected, plain, 1.0)
        assert_array_equal(grad(lambda t, index=index: np.sum(t[index]))(m), expected)


def test_taking_apart_and_putting_together_keeps_the_graph():
    g = grad(lambda x: np.sum(np.array([v * v for v in x])))(X)
    assert_array_equal(g, 2 * X)
    g = grad(lambda x: np.sum(np.stack([x[i] * (i + 1.0) for i in range(3)])))(X)
    assert_array_equal(g, X)


# 5. float32 that turns into float64.


def test_a_training_step_in_float32_stays_in_float32():
    rng = numpy.random.default_rng(0)
    params = [
        np.array(rng.standard_normal(shape), dtype="float32") for shape in [(4, 8), (8,), (8, 3)]
    ]
    x = rng.standard_normal((5, 4)).astype("float32")
    y = numpy.eye(3, dtype="float32")[[0, 1, 2, 0, 1]]
    kinds = []

    def loss(params, x, y):
        w, b, v = params
        h = np.tanh(x @ w + b) / (1 + np.std(x))
        logits = np.maximum(h, 0) @ v * 0.5
        out = -np.mean(np.sum(y * (logits - sp.logsumexp(logits, axis=1, keepdims=True)), axis=1))
        out = out + 1e-4 * sum(np.mean(p**2) for p in params)
        kinds.extend(t.dtype for t in (h, logits, out))
        return out

    for _ in range(2):
        gradients = grad(loss)(params, x, y)
        params = [p - 0.1 * g for p, g in zip(params, gradients, strict=True)]
    assert {k.name for k in kinds} == {"float32"}
    assert {g.dtype.name for g in gradients} == {"float32"}
    assert {p.dtype.name for p in params} == {"float32"}


# 6. A logsumexp that gives the first row's gradient to every row, or to one alone.


def test_logsumexp_gives_every_row_its_own_gradient():
    m = numpy.array([[0.1, 2.0, -1.0], [3.0, 0.0, 0.5]])
    weights = numpy.array([1.0, -2.0])
    shares = numpy.exp(m) / numpy.exp(m).sum(axis=1, keepdims=True)
    for f in (
        lambda x: np.sum(sp.logsumexp(x, axis=1) * weights),
        lambda x: np.sum(sp.logsumexp(x, axis=1, keepdims=True)[:, 0] * weights),
        lambda x: np.sum(sp.logsumexp(x.T, axis=0) * weights),
        lambda x: np.sum(np.log(np.sum(np.exp(x), axis=1)) * weights),
        lambda x: sum(w * sp.logsumexp(row) for w, row in zip(weights, x, strict=True)),
    ):
        assert_allclose(grad(f)(m), shares * weights[:, None])


# 7. A file that can be imported on one operating system only.


def sources():
    for folder in map(pathlib.Path, backpass.__path__):
        yield from sorted(folder.rglob("*.py"))


def modules():
    """Return the modules of the tree by their dotted names, as the file system spells them."""
    found = {}
    for folder in map(pathlib.Path, backpass.__path__):
        for file in folder.rglob("*.py"):
            parts = ["backpass", *file.relative_to(folder).with_suffix("").parts]
            name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found[name] = file
    return found


RESERVED = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"com{i}" for i in range(10)),
    *(f"lpt{i}" for i in range(10)),
}


def test_every_file_name_is_one_on_every_system():
    for name in modules():
        parts = name.split(".")
        assert all(re.fullmatch(r"[a-z_][a-z0-9_]*", part) for part in parts), name
        assert not RESERVED & set(parts), name


def test_no_two_files_differ_by_case_alone():
    names = [str(file).lower() for file in sources()]
    assert len(names) == len(set(names))


def test_every_import_is_spelt_as_its_file():
    found = modules()
    packages = {name for name, file in found.items() if file.name == "__init__.py"} | {"backpass"}
    checked = 0
    for name, file in found.items():
        if not name.startswith(("backpass.core", "backpass.numpy", "backpass.scipy")):
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            asked = []
            if isinstance(node, ast.Import):
                asked = [a.name for a in node.names]
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{file}: relative import"
                asked = [node.module]
            for module in asked:
                if module.split(".")[0] == "backpass" and not module.startswith("backpass.cpu"):
                    checked += 1
                    assert module in found or module in packages, f"{file}: {module}"
    assert checked > 50
