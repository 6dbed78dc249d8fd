"""`explain`: the steps forward and backward, and how they are written."""

import dataclasses
import re
import subprocess
import sys
import threading
import time
import warnings

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.numpy as np
from backpass.core import (
    Tensor,
    checkpoint,
    custom_vjp,
    explain,
    grad,
    no_grad,
    stop_gradient,
)
from backpass.core.explain.explanation import Explanation
from backpass.core.explain.snapshots import WHOLE, Snapshot
from backpass.core.extend import defvjp, primitive
from backpass.core.graph import pauses, recording


def product_and_sine(x, y):
    return x * np.sin(y) + x**2


def label(explained, index):
    return explained.variables[index].label


def calls(explained):
    return {v.label: v.call for v in explained.variables if v.kind == "operation"}


def contributions(explained):
    """Return (variable, operand, formula) of each contribution, in reading order."""
    return [
        (label(explained, step.variable), label(explained, c.variable), c.named)
        for step in explained.steps
        for c in step.contributions
    ]


# ----- what is seen -------------------------------------------------------------------------------


def test_forward_and_backward_of_two_numbers():
    explained = explain(product_and_sine, (0, 1))(2.0, 0.5)
    assert calls(explained) == {
        "v1": "sin(y)",
        "v2": "x * v1",
        "v3": "x ** 2",
        "v4": "v2 + v3",
    }
    assert contributions(explained) == [
        ("v4", "v2", "dv4"),
        ("v4", "v3", "dv4"),
        ("v3", "x", "dv3 * 2 * x"),
        ("v2", "x", "dv2 * v1"),
        ("v2", "v1", "dv2 * x"),
        ("v1", "y", "dv1 * cos(y)"),
    ]
    assert label(explained, explained.output) == "v4"
    assert_allclose(explained.gradients, (numpy.sin(0.5) + 4, 2 * numpy.cos(0.5)))


def test_the_numbers_add_up():
    explained = explain(product_and_sine, (0, 1))(2.0, 0.5)
    x = explained.variables[0]
    parts = [c for s in explained.steps for c in s.contributions if c.variable == x.index]
    assert [c.first for c in parts] == [True, False]
    assert sum(c.value.numbers for c in parts) == parts[-1].total.numbers == x.cotangent.numbers
    assert x.cotangent.numbers == explained.gradients[0]


@pytest.mark.parametrize("place", range(5))
def test_local_derivatives_are_those_of_finite_differences(place):
    functions = [np.tanh, np.exp, np.sqrt, np.log, np.arctan]
    f, numeric = functions[place], getattr(numpy, functions[place].name)
    x = numpy.array([0.3, 1.7, 2.5])
    explained = explain(lambda x: np.sum(f(x)))(x)
    derivative = explained.steps[-1].contributions[0].derivative
    slope = (numeric(x + 1e-6) - numeric(x - 1e-6)) / 2e-6
    assert_allclose(derivative.numbers, slope, rtol=1e-8)
    assert derivative.text() in str(explained)
    assert_allclose([float(n) for n in derivative.text()[1:-1].split(", ")], slope, rtol=1e-5)


def test_cotangents_are_those_of_finite_differences():
    def f(x):
        return np.sum(np.exp(np.sin(x)) * x)

    def after(v1):
        # The rest of f, from v1 = sin(x) on, at the same x.
        return numpy.sum(numpy.exp(v1) * x)

    x = numpy.array([0.3, 1.1])
    explained = explain(f)(x)
    v1 = next(v for v in explained.variables if v.label == "v1")
    assert v1.call == "sin(x)"
    step = 1e-6 * numpy.eye(2)
    slope = [(after(numpy.sin(x) + h) - after(numpy.sin(x) - h)) / 2e-6 for h in step]
    assert_allclose(v1.cotangent.numbers, slope, rtol=1e-8)


def test_a_shared_node_is_one_variable():
    explained = explain(lambda x: (lambda y: y * y + y)(np.sin(x)))(1.0)
    assert calls(explained) == {"v1": "sin(x)", "v2": "v1 * v1", "v3": "v2 + v1"}
    totals = [
        c.total.numbers
        for step in explained.steps
        for c in step.contributions
        if label(explained, c.variable) == "v1"
    ]
    s = numpy.sin(1.0)
    assert_allclose(totals, [1.0, 1 + s, 1 + 2 * s])


def test_a_condition_is_named_and_not_that_of_another_call():
    explained = explain(lambda x: np.where(x > 1, x, 2 * x) + np.where(x > 9, x, 3 * x))(2.0)
    formulas = {c.named for s in explained.steps for c in s.contributions}
    assert {"where(v1, dv3, 0.0)", "where(v4, dv6, 0.0)"} <= formulas
    assert [v.value.numbers for v in explained.variables if v.label in ("v1", "v4")] == [
        True,
        False,
    ]


def test_what_was_broadcast_is_summed():
    explained = explain(lambda x, b: np.sum((x + b) ** 2), (0, 1))(
        numpy.ones((3, 2)), numpy.array([1.0, 2.0])
    )
    found = [c for s in explained.steps for c in s.contributions if c.variable == 1]
    assert [c.spread for c in found] == [(3, 2)]
    assert_array_equal(found[0].value.numbers, [12.0, 18.0])
    assert "summed from shape (3, 2) to (2,), because b had been broadcast" in str(explained)


def test_constants():
    data = numpy.array([1.0, 2.0])
    explained = explain(lambda x: np.sum(x * data * 3.0 + data))(numpy.array([5.0, 6.0]))
    constants = [v.label for v in explained.variables if v.kind == "constant"]
    assert constants == ["c1", "3.0"]
    assert list(calls(explained).values()) == ["x * c1", "v1 * 3.0", "v2 + c1", "sum(v3)"]


def test_trees_are_named_by_their_leaves():
    @dataclasses.dataclass
    class Layer:
        w: object
        b: object

    def f(layers, x):
        for layer in layers:
            x = np.tanh(layer.w * x) + layer.b["bias"]
        return x

    layers = [Layer(np.array(0.5), {"bias": np.array(0.1)})] * 2
    explained = explain(f)(layers, 0.3)
    names = [v.label for v in explained.variables if v.kind == "argument"]
    assert names == [
        "layers[0].w",
        "layers[0].b['bias']",
        "layers[1].w",
        "layers[1].b['bias']",
    ]
    assert explained.gradients[0].w == grad(f)(layers, 0.3)[0].w


def test_parameters_are_found_and_left_alone():
    w = np.array([1.0, 2.0]).requires_grad_()
    scales = {"last": [np.array(3.0).requires_grad_()]}

    def f(x):
        return np.sum(w * x) * scales["last"][0]

    explained = explain(f)(np.array([3.0, 4.0]))
    found = {v.label: v.cotangent.text() for v in explained.variables if v.kind == "parameter"}
    assert found == {"w": "[9.0, 12.0]", "scales['last'][0]": "11.0"}
    assert w.grad is None
    assert scales["last"][0].grad is None
    assert_array_equal(explain(lambda: np.sum(w * w), ())().variables[0].cotangent.numbers, [2, 4])


def test_several_outputs():
    a = numpy.array([[2.0, 1.0], [1.0, 3.0]])
    explained = explain(lambda a: np.sum(np.linalg.eigh(a)[0] ** 2))(a)
    parts = [v for v in explained.variables if v.kind == "part"]
    assert [v.label for v in parts] == ["v1[0]", "v1[1]"]
    assert_allclose(parts[0].value.numbers, numpy.linalg.eigvalsh(a))
    step = explained.steps[-1]
    assert label(explained, step.variable) == "v1"
    assert step.cotangent[1] is None
    assert_allclose(step.cotangent[0].numbers, 2 * numpy.linalg.eigvalsh(a))
    assert "dv1[1] = 0, not used" in str(explained)


def test_rules_of_products_are_formulas():
    x, y = numpy.ones((2, 3)), numpy.ones((3, 2))
    explained = explain(lambda x, y: np.sum(x @ y), (0, 1))(x, y)
    assert [c.named for c in explained.steps[-1].contributions] == ["dv1 @ y.T", "x.T @ dv1"]
    explained = explain(lambda y: np.sum(x @ y))(y)
    assert [c.named for c in explained.steps[-1].contributions] == ["c1.T @ dv1"]


def test_a_rule_without_a_formula_is_told_in_words():
    explained = explain(np.prod)(numpy.array([2.0, 3.0]))
    assert explained.steps[0].contributions[0].formula == ""
    assert "the derivative in an element is the product of the others" in explained.steps[0].note
    assert "da = by the rule of prod = [3.0, 2.0]" in str(explained)


def test_a_rule_of_the_users_own():
    @primitive
    def softplus(xp, x):
        return xp.log1p(xp.exp(x))

    defvjp(softplus, lambda g, ans: g * (1 - np.exp.op(-ans)))
    explained = explain(lambda x: 2.0 * softplus(x))(0.5)
    assert contributions(explained)[-1] == ("v1", "x", "dv1 * (1 - exp(-v1))")
    assert_allclose(explained.gradients, 2 / (1 + numpy.exp(-0.5)))


def test_formulas_follow_the_keywords_of_the_call():
    explained = explain(lambda x: np.sinc(np.sinc(x)))(0.3)
    assert [c.named for s in explained.steps for c in s.contributions] == [
        "dv2 * sinc_derivative(v1, order=1)",
        "dv1 * sinc_derivative(x, order=1)",
    ]


def test_complex_derivatives_are_those_of_the_call():
    # The rule for real numbers is the sign.
    explained = explain(lambda z: np.abs(z) ** 2)(1 + 2j)
    assert "sign" not in explained.steps[-1].contributions[0].formula
    assert explained.gradients == grad(lambda z: np.abs(z) ** 2)(1 + 2j)
    cube = explain(lambda z: z**3, holomorphic=True)(1 + 2j)
    assert_allclose(cube.gradients, 3 * (1 + 2j) ** 2)


def test_operations_without_a_derivative():
    explained = explain(lambda x: np.sum(np.where(x > 0, x, 0.0)))(numpy.array([-1.0, 2.0]))
    first = next(v for v in explained.variables if v.kind == "operation")
    assert (first.call, first.depends, first.cotangent) == ("x > 0", False, None)
    assert calls(explained)["v2"] == "where(v1, x, 0.0)"
    assert "no derivative" in str(explained)


def test_what_leaves_the_graph():
    def f(x):
        with no_grad():
            c = x * 5
        return x * c * stop_gradient(x)

    explained = explain(f)(2.0)
    assert explained.gradients == 20.0
    assert [v.depends for v in explained.variables if v.kind == "operation"] == [False, True, True]


def test_what_the_output_does_not_depend_on():
    def f(x):
        np.exp(x)
        return x * 2

    explained = explain(f)(1.0)
    assert list(calls(explained).values()) == ["exp(x)", "x * 2"]
    assert [label(explained, s.variable) for s in explained.steps] == ["v2"]
    assert explain(lambda x: 3.0)(1.0).gradients == 0
    assert "does not depend on what is differentiated" in str(explain(lambda x: 3.0)(1.0))
    assert "dx = 1" in str(explain(lambda x: x)(1.0))


def test_assignment():
    def f(x):
        b = np.zeros(3)
        b[0] = x[0] * 2
        b[1:] = x
        return np.sum(b * b)

    explained = explain(f)(numpy.array([1.0, 2.0]))
    assert "c1 with [0] set to v2" in calls(explained).values()
    assert_array_equal(explained.gradients, [10.0, 4.0])


def test_functions_that_are_one_node():
    @custom_vjp
    def clipped(x):
        return x

    clipped.defvjp(lambda x: (x, None), lambda residuals, g: (min(g, 1.0),))
    explained = explain(lambda x: 5 * clipped(x))(2.0)
    assert calls(explained) == {"v1": "clipped(x)", "v2": "5 * v1"}
    assert explained.variables[1].value.numbers == 2.0
    assert explained.gradients == 1.0
    explained = explain(lambda x: checkpoint(lambda z: np.tanh(z) * 2)(x))(0.3)
    assert calls(explained) == {"v1": "checkpoint(x)"}
    assert_allclose(explained.variables[1].value.numbers, 2 * numpy.tanh(0.3))


def test_hooks_run_once():
    seen = []

    def f(x):
        y = x * x
        y.register_hook(lambda g: (seen.append(g), g * 10)[1])
        return np.sum(y)

    explained = explain(f)(numpy.array([1.0, 2.0]))
    assert len(seen) == 1
    assert_array_equal(explained.gradients, [20.0, 40.0])
    assert "hook" in explained.steps[-1].note


# ----- derivatives inside, and outside ----------------------------------------------------------


def test_a_gradient_inside_is_part_of_the_graph():
    def f(x):
        return x * grad(lambda y: x * y**3)(x)

    explained = explain(f)(2.0)
    assert explained.gradients == grad(f)(2.0) == 96.0
    assert "for a function differentiated inside" in str(explained)


def test_a_pure_gradient_inside_is_a_constant():
    explained = explain(lambda x: x * grad(lambda y: y * y * y)(2.0))(5.0)
    assert list(calls(explained).values()) == ["x * 12.0"]


def test_inside_a_gradient_all_that_is_tracked_is_a_constant():
    def f(x):
        return x * explain(lambda y: y * x)(x).gradients

    assert grad(f)(3.0) == 3.0


def test_inside_an_explanation():
    inner = []

    def f(x):
        inner.append(explain(lambda y: np.sin(y) * y)(2.0))
        return x * inner[-1].gradients

    explained = explain(f)(3.0)
    assert len(calls(explained)) == 1
    assert len(calls(inner[0])) == 2


# ----- the same as grad -------------------------------------------------------------------------


def test_gradients_are_those_of_grad_to_the_last_bit():
    random = numpy.random.default_rng(0)
    w = [random.standard_normal(s).astype("f") for s in [(5, 4), (4,), (4, 3), (3,)]]
    x = random.standard_normal((6, 5)).astype("f")

    def loss(w):
        h = np.tanh(x @ w[0] + w[1])
        out = h @ w[2] + w[3]
        # Elements that are read one by one are added in place.
        return (
            np.mean((out - np.max(out, axis=1, keepdims=True)) ** 2) - w[1][0] * w[1][2] * h[0, 1]
        )

    for a, b in zip(explain(loss, 0)(w).gradients, grad(loss, 0)(w), strict=True):
        assert a.dtype == b.dtype == "float32"
        assert a.tobytes() == b.tobytes()


def test_zeros_keep_their_sign():
    def f(x):
        return np.sum(x * numpy.array([-0.0, -0.0, 1.0])) + x[0] * 0.0 + x[2]

    x = numpy.array([1.0, 2.0, 3.0])
    assert explain(f)(x).gradients.tobytes() == grad(f)(x).tobytes()


@pytest.mark.parametrize("argnums", [None, 0, 1, (0,), (0, 1), (1, 0), -1])
def test_argnums(argnums):
    def f(x, y):
        return np.sum(x * y)

    args = (numpy.array([1.0, 2.0]), numpy.array([3.0, 4.0]))
    ours, expected = explain(f, argnums)(*args).gradients, grad(f, argnums)(*args)
    assert type(ours) is type(expected)
    assert_array_equal(ours, expected)


def test_several_tensors_are_a_list():
    args = (np.array(2.0), np.array(3.0))
    assert explain(lambda x, y: x * y)(*args).gradients == [3.0, 2.0]


def test_auxiliary_data_are_passed_over():
    assert explain(lambda x: (x * x, "data"), has_aux=True)(3.0).gradients == 6.0


@pytest.mark.parametrize(
    ("f", "args"),
    [
        (lambda x: x * 2, (numpy.ones(3),)),
        (lambda x: None, (1.0,)),
        (lambda x: "text", (1.0,)),
        (lambda x: x * 1j, (1.0,)),
        (lambda x: x, (numpy.arange(3),)),
        (lambda x: x, ("text",)),
        (lambda x: x, ([1.0, 2.0],)),
        (lambda: 1.0, ()),
    ],
)
def test_errors_are_those_of_grad(f, args):
    with pytest.raises(TypeError) as expected:
        grad(f)(*args)
    with pytest.raises(TypeError) as found:
        explain(f)(*args)
    assert str(found.value) == str(expected.value)


def test_errors_of_the_function_pass_and_nobody_watches_afterwards():
    def f(x):
        np.sin(x)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        explain(f)(1.0)
    assert recording.watcher is None
    assert not pauses[0]


def test_nothing_is_left_behind():
    explain(product_and_sine)(2.0, 0.5)
    assert recording.watcher is None
    assert not pauses[0]
    kept = []
    explain(lambda x: kept.append(x * x) or kept[-1])(2.0)
    assert not kept[0].tracked


def test_other_threads_are_not_watched():
    def f(x):
        other = threading.Thread(target=lambda: grad(lambda y: np.sin(np.cos(y)))(1.0))
        other.start()
        other.join()
        return x * x

    assert list(calls(explain(f)(2.0)).values()) == ["x * x"]


def test_the_pythons_engine_says_the_same():
    program = (
        "import numpy, backpass.numpy as np\n"
        "from backpass.core import explain\n"
        "def f(x, w):\n"
        "    h = np.tanh(x @ w)\n"
        "    return np.sum(np.where(h > 0, h, h * 0.1) ** 2) + h[0, 0]\n"
        "x = numpy.linspace(-1, 1, 6).reshape(2, 3)\n"
        "print(explain(f, (0, 1))(x, x.T))"
    )

    def run(engine):
        environment = {"BACKPASS_ENGINE": engine}
        command = [sys.executable, "-c", program]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True)

    assert run("python").stdout == run("compiled").stdout != ""


# ----- the user's lines -------------------------------------------------------------------------


def layer(x, w):
    return np.maximum(
        x * w,
        0.1,
    )


def two_layers(x):
    for w in (2.0, 3.0):
        x = layer(x, w)
    return numpy.add(x, 1.0) + np.linalg.norm(x)


def test_operations_know_their_line():
    explained = explain(two_layers)(numpy.array(0.5))
    places = [v.place for v in explained.variables if v.kind == "operation"]
    assert {p.file for p in places} == {__file__}
    found = [p.expression for p in places]
    assert found[:4] == ["x * w", "np.maximum( x * w, 0.1, )"] * 2
    assert found[4:6] == ["numpy.add(x, 1.0)", "np.linalg.norm(x)"]
    first = two_layers.__code__.co_firstlineno
    assert places[4].line == first + 3
    assert places[4].text == "return numpy.add(x, 1.0) + np.linalg.norm(x)"
    assert places[4].function == "two_layers"
    assert "test_explain.py" in str(explained)


def test_calls_of_functions_are_regions():
    explained = explain(two_layers)(numpy.array(0.5))
    regions = [v.region for v in explained.variables if v.kind == "operation"]
    assert regions[:4] == [("layer",)] * 2 + [("layer (2)",)] * 2
    assert set(regions[4:]) == {()}


def test_objects_that_are_called_are_regions():
    class Dense:
        def __init__(self, w):
            self.w = w

        def __call__(self, x):
            return np.tanh(self.w * x)

    class Network:
        def __init__(self):
            self.layers = [Dense(2.0), Dense(3.0)]

        def forward(self, x):
            for one in self.layers:
                x = one(x)
            return x

    network = Network()
    explained = explain(lambda x: network.forward(x) * 2)(0.5)
    regions = [v.region for v in explained.variables if v.kind == "operation"]
    assert regions == [
        ("Network", "Dense"),
        ("Network", "Dense"),
        ("Network", "Dense (2)"),
        ("Network", "Dense (2)"),
        (),
    ]


def test_a_function_without_lines_of_the_users():
    explained = explain(np.tanh)(0.5)
    assert [v.place for v in explained.variables] == [None, None]
    assert "v1 = tanh(x)" in str(explained)


def test_a_program_without_source():
    program = (
        "import backpass.numpy as np\nfrom backpass.core import explain\n"
        "print(explain(lambda x: np.sin(x) * x)(1.0))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert "v1 = sin(x)" in run.stdout


# ----- values -----------------------------------------------------------------------------------


def test_large_arrays_are_summed_up():
    x = numpy.linspace(0.0, 1.0, 200).reshape(10, 20)
    explained = explain(lambda x: np.mean(np.exp(x)))(x)
    v1 = explained.variables[1]
    assert not v1.value.whole
    assert v1.value.numbers is None
    assert_allclose(
        list(v1.value.statistics.values()), [1.0, numpy.exp(x).mean(), numpy.e], rtol=1e-12
    )
    assert v1.value.text() == "10 x 20 float64: min 1.0, mean 1.71899, max 2.71828"
    assert len(str(explained)) < 1500


def test_snapshots_do_not_change_with_the_array():
    x = numpy.array([1.0, 2.0])
    snapshot = Snapshot(x)
    x[:] = 0
    assert_array_equal(snapshot.numbers, [1.0, 2.0])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2, "2"),
        (2.0, "2.0"),
        (numpy.float32(0.1), "0.1"),
        (1e-9, "1e-09"),
        (1 - 2j, "1.0-2.0j"),
        (numpy.array([True, False]), "[True, False]"),
        (numpy.array([1, -2]), "[1, -2]"),
        (numpy.array(3.5), "3.5"),
        (numpy.zeros((0, 3)), "[] of shape (0, 3)"),
        (numpy.array([numpy.nan, -numpy.inf]), "[nan, -inf]"),
        (numpy.eye(2), "[[1.0, 0.0],\n [0.0, 1.0]]"),
        (numpy.zeros((2, 1, 2)), "[[[0.0, 0.0]],\n\n [[0.0, 0.0]]]"),
        (numpy.zeros(WHOLE + 1, "f"), "65 float32: min 0.0, mean 0.0, max 0.0"),
        (numpy.zeros(WHOLE + 1, "?"), "65 bool: min False, mean 0.0, max False"),
    ],
)
def test_values_as_text(value, text):
    assert Snapshot(value).text() == text


def test_long_rows_are_wrapped():
    lines = Snapshot(numpy.arange(60.0)).text().split("\n")
    assert len(lines) > 1
    assert max(map(len, lines)) < 90


# ----- writing ----------------------------------------------------------------------------------

AS_TEXT = """\
product_and_sine: 4 operations, output v4 = 4.95885. Going backward, dx is the derivative of the
output with respect to x.

Forward
  x = 2.0
  y = 0.5
  v1 = sin(y) = 0.479426
  v2 = x * v1 = 0.958851
  v3 = x ** 2 = 4.0
  v4 = v2 + v3 = 4.95885

Backward
  v4 = v2 + v3, dv4 = 1.0
    dv2 = dv4 = 1.0
    dv3 = dv4 = 1.0
  v3 = x ** 2, dv3 = 1.0
    dx = dv3 * 2 * x = 1.0 * 4.0 = 4.0
  v2 = x * v1, dv2 = 1.0
    dx += dv2 * v1 = 1.0 * 0.479426 = 0.479426, in all 4.47943
    dv1 = dv2 * x = 1.0 * 2.0 = 2.0
  v1 = sin(y), dv1 = 2.0
    dy = dv1 * cos(y) = 2.0 * 0.877583 = 1.75517

Gradient
  dx = 4.47943
  dy = 1.75517"""


def without_places(text):
    return re.sub(r"\n? *# .*", "", text)


def test_as_text():
    assert without_places(str(explain(product_and_sine, (0, 1))(2.0, 0.5))) == AS_TEXT


def test_lines_are_not_too_long():
    x = numpy.linspace(-1, 1, 12).reshape(3, 4)
    explained = explain(lambda x: np.sum(np.tanh(x @ x.T) ** 2))(x)
    assert max(map(len, without_places(str(explained)).split("\n"))) <= 96


def test_files(tmp_path):
    explained = explain(product_and_sine, (0, 1))(2.0, 0.5)
    text = explained.save(tmp_path / "x.txt")
    assert text.read_text(encoding="utf-8") == f"{explained}\n"
    table = explained.save(str(tmp_path / "x.MD")).read_text(encoding="utf-8")
    assert "| `dv3 = 1.0` | `x` | `dv3 * 2 * x` | `2 * x = 4.0` | `4.0` | `dx = 4.0` |" in table
    for name in ("x", "x.pdf"):
        with pytest.raises(ValueError, match=r"the ending .* is unknown: use one of \.txt, \.md"):
            explained.save(tmp_path / name)


def test_cells_are_escaped(tmp_path):
    explained = explain(lambda x: x | 1 if False else np.where(x < 1, x, 2 * x))(0.5)
    assert "x &lt; 1" in explained._repr_html_()
    table = explained.save(tmp_path / "x.md").read_text(encoding="utf-8")
    rows = [line for line in table.split("\n") if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", row)) in (3, 5, 7) for row in rows)


def test_the_class_is_documented():
    explained = explain(product_and_sine)(2.0, 0.5)
    assert isinstance(explained, Explanation)
    assert repr(explained).startswith("<Explanation of product_and_sine")
    assert isinstance(explained.gradients, numpy.float64)
    assert not isinstance(explained.gradients, Tensor)


# ----- how long it takes ------------------------------------------------------------------------


def test_a_thousand_operations():
    def chain(x):
        for _ in range(500):
            x = np.tanh(x * 1.01)
        return x

    begun = time.perf_counter()
    explained = explain(chain)(0.5)
    spent = time.perf_counter() - begun
    assert len(calls(explained)) == len(explained.steps) == 1000
    assert explained.gradients == grad(chain)(0.5)
    # A tenth of a second on an idle machine; tests/benchmarks/explaining.py measures it.
    assert spent < 10
    assert str(explained).count("\n") > 3000


def test_rules_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explained = explain(lambda x: np.sum(np.where(x > 0, np.sqrt(np.abs(x)), 0.0)))(
            numpy.array([0.0, 4.0])
        )
    assert_array_equal(explained.gradients, [0.0, 0.25])
