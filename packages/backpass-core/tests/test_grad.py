"""`grad` and `value_and_grad`: what is differentiated, what comes back, and what is said."""

import collections
import warnings
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.numpy as np
import backpass.scipy.special as sp
from backpass.core import (
    Tensor,
    elementwise_grad,
    grad,
    hessian,
    jacobian,
    jvp,
    linearize,
    value_and_grad,
    vjp,
)
from backpass.core import graph as graph_module


def plain(x):
    return type(x) in (numpy.ndarray, numpy.float64, numpy.float32, numpy.complex128)


# ----- what is differentiated, by default ---------------------------------------------------------


def test_one_tensor_gives_the_bare_gradient():
    w, x = np.array([1.0, 2.0]), numpy.array([3.0, 4.0])
    g = grad(lambda w, x: np.sum(w * w * x))(w, x)
    assert type(g) is numpy.ndarray
    assert_array_equal(g, [6.0, 16.0])


def test_two_tensors_give_a_list_in_order():
    a, b = np.array([1.0, 2.0]), np.array(3.0)
    g = grad(lambda a, k, b: np.sum(a * b) * k)(a, 2.0, b)
    assert type(g) is list
    assert_array_equal(g[0], [6.0, 6.0])
    assert g[1] == 6.0


def test_without_tensors_argument_0_is_differentiated():
    assert grad(lambda x, y: x * y)(2.0, 5.0) == 5.0
    g = grad(lambda x, y: np.sum(x * y))(numpy.array([1.0, 2.0]), numpy.array([3.0, 4.0]))
    assert_array_equal(g, [3.0, 4.0])


def test_tensors_are_found_in_trees():
    w = [(np.array([1.0, 2.0]), np.array(3.0)), {"b": np.array(4.0)}]

    def f(w, x):
        (a, s), rest = w
        return np.sum(a * x) * s + rest["b"] ** 2

    g = grad(f)(w, 2.0)
    assert type(g) is list
    assert type(g[0]) is tuple
    assert_array_equal(g[0][0], [6.0, 6.0])
    assert g[0][1] == 6.0
    assert g[1] == {"b": 8.0}


def test_two_trees_give_a_list_of_trees():
    g = grad(lambda a, b: a[0] * b["x"])([np.array(2.0)], {"x": np.array(3.0)})
    assert g == [[3.0], {"x": 2.0}]


def test_raw_arrays_beside_tensors_are_constants():
    g = grad(lambda w: np.sum(w[0] * w[1]) * w[2])([np.array([1.0]), numpy.array([5.0]), 2.0])
    assert_array_equal(g[0], [10.0])
    assert g[1] is None
    assert g[2] is None


def test_none_and_integers_in_a_tree_are_constants():
    w = {"w": np.array([2.0]), "n": np.array([3]), "none": None, "flag": np.array([True])}
    g = grad(lambda w: np.sum(w["w"] * w["n"]))(w)
    assert_array_equal(g["w"], [3.0])
    assert g["n"] is None
    assert g["none"] is None
    assert g["flag"] is None


def test_structures_are_kept_dataclasses_and_named_tuples_too():
    @dataclass
    class Layer:
        w: Any
        b: Any
        name: str = "layer"

    class Pair(NamedTuple):
        first: Any
        second: Any

    g = grad(lambda m: np.sum(m.w * 3) + m.b)(Layer(np.array([1.0, 2.0]), np.array(1.0)))
    assert type(g) is Layer
    assert_array_equal(g.w, [3.0, 3.0])
    assert g.b == 1.0
    assert g.name is None
    g = grad(lambda p: p.first * p.second)(Pair(np.array(2.0), np.array(5.0)))
    assert g == Pair(5.0, 2.0)


def test_a_frozen_dataclass_and_one_with_its_own_init():
    @dataclass(frozen=True)
    class Scale:
        s: Any

    class Checked:
        pass

    @dataclass(init=False)
    class Squared:
        s: Any

        def __init__(self, root):
            self.s = root * root

    assert grad(lambda m: m.s * 2)(Scale(np.array(1.0))).s == 2.0
    assert grad(lambda m: m.s * 3)(Squared(np.array(1.0))).s == 3.0
    with pytest.raises(TypeError, match="Checked"):
        grad(lambda m: 1.0)(Checked())


@pytest.mark.parametrize("container", [collections.OrderedDict, dict], ids=lambda c: c.__name__)
def test_mappings_keep_their_kind_and_their_order(container):
    g = grad(lambda p: p["b"] * p["a"] ** 2)(container(b=np.array(2.0), a=np.array(3.0)))
    assert type(g) is container
    assert g == container(b=9.0, a=12.0)


def test_other_containers_and_keys_that_cannot_be_sorted():
    g = grad(lambda p: p[0] * p[1])(collections.deque([np.array(2.0), np.array(3.0)]))
    assert g == collections.deque([3.0, 2.0])
    g = grad(lambda p: p[1] * p["a"])({1: np.array(2.0), "a": np.array(3.0)})
    assert g == {1: 3.0, "a": 2.0}


def test_keyword_arguments_are_constants():
    g = grad(lambda x, y: np.sum(x * y))(np.array([1.0]), y=np.array([5.0]))
    assert_array_equal(g, [5.0])


def test_backward_stops_at_the_arguments():
    w = 0.1 * np.random.randn(3)
    g = grad(lambda w: np.sum(w * w))(w)
    assert_allclose(g, 2 * w.value)


def test_one_tensor_given_twice_has_two_gradients():
    w = np.array(3.0)
    assert grad(lambda a, b: a * a * b)(w, w) == [18.0, 9.0]
    assert w.grad == 27.0


# ----- argnums ------------------------------------------------------------------------------------


def test_an_int_gives_the_bare_gradient():
    f = lambda x, y: x * y**2  # noqa: E731
    assert grad(f, 0)(2.0, 3.0) == 9.0
    assert grad(f, 1)(2.0, 3.0) == 12.0
    assert grad(f, -1)(2.0, 3.0) == 12.0


def test_a_tuple_gives_a_tuple():
    f = lambda x, y: x * y**2  # noqa: E731
    assert grad(f, (0, 1))(2.0, 3.0) == (9.0, 12.0)
    assert grad(f, (1,))(2.0, 3.0) == (12.0,)
    assert grad(f, (1, 0))(2.0, 3.0) == (12.0, 9.0)
    assert grad(f, [0, 1])(2.0, 3.0) == (9.0, 12.0)


def test_argnums_take_every_float_leaf_raw_arrays_too():
    g = grad(lambda w: np.sum(w[0] * w[1]) * w[2], 0)([np.array([1.0]), numpy.array([5.0]), 2.0])
    assert_array_equal(g[0], [10.0])
    assert_array_equal(g[1], [2.0])
    assert g[2] == 5.0


def test_argnums_out_of_range_is_said():
    with pytest.raises(TypeError, match=r"argnums=2: .* called with 2 positional arguments"):
        grad(lambda x, y: x * y, 2)(1.0, 2.0)
    with pytest.raises(TypeError, match="keyword arguments are constants"):
        grad(lambda x, y: x * y, 1)(1.0, y=2.0)


def test_empty_argnums_differentiates_permanent_leaves_only():
    w = np.array(3.0).requires_grad_()
    x = np.array(5.0)
    assert grad(lambda x: w * w * x, ())(x) == ()
    assert w.grad == 30.0
    assert x.grad is None


def test_empty_argnums_need_no_arguments():
    w = np.array(3.0).requires_grad_()
    assert grad(lambda: w * w, ())() == ()
    assert w.grad == 6.0


def test_without_arguments_there_is_nothing_to_differentiate():
    with pytest.raises(TypeError, match="argnums="):
        grad(lambda: 1.0)()


# ----- .grad --------------------------------------------------------------------------------------


def test_the_default_adds_to_grad_of_the_callers_tensors():
    w = [(np.array([1.0, 2.0]), np.array(3.0))]
    run = grad(lambda w: np.sum(w[0][0] ** 2) * w[0][1])
    first, second = run(w), run(w)
    assert_array_equal(first[0][0], second[0][0])
    assert_array_equal(w[0][0].grad, 2 * first[0][0])
    assert w[0][1].grad == 2 * first[0][1]


def test_what_is_returned_is_not_what_accumulates():
    w = np.array([1.0, 2.0])
    g = grad(lambda w: np.sum(w * w))(w)
    g[:] = 99.0
    assert_array_equal(w.grad, [2.0, 4.0])
    grad(lambda w: np.sum(w * w))(w)
    assert_array_equal(g, [99.0, 99.0])
    w.grad = None
    grad(lambda w: np.sum(w * w))(w)
    assert_array_equal(w.grad, [2.0, 4.0])


@pytest.mark.parametrize("argnums", [0, (0,), -1])
def test_argnums_never_touch_grad(argnums):
    w, v = np.array([1.0]), np.array([2.0]).requires_grad_()
    grad(lambda w: np.sum(w * v), argnums)(w)
    assert w.grad is None
    assert v.grad is None


def test_only_the_outermost_call_touches_grad():
    w, v = np.array([2.0]), np.array([3.0])

    def f(w):
        inner = grad(lambda v: np.sum(v * v * v))(v)
        return np.sum(w * inner)

    assert_array_equal(grad(f)(w), [27.0])
    assert v.grad is None
    assert_array_equal(w.grad, [27.0])


def test_a_nested_default_call_of_the_same_tensor():
    w = np.array([1.0, 2.0])
    g = grad(lambda x: np.sum(grad(lambda y: np.sum(y**3))(x)))(w)
    assert_allclose(g, 6 * w.value)
    assert_allclose(w.grad, 6 * w.value)


def test_grad_of_a_tensor_is_a_plain_array_of_its_dtype():
    w = np.array([1.0, 2.0], dtype=np.float32)
    grad(lambda w: np.sum(w * 2.0))(w)
    assert type(w.grad) is numpy.ndarray
    assert w.grad.dtype == numpy.float32


# ----- what comes back ----------------------------------------------------------------------------


GIVING = {
    "an expanded cotangent": lambda x: np.sum(x),
    "the cotangent of two": lambda x: np.sum(x + x),
    "a view of the cotangent": lambda x: np.sum(np.reshape(x, (3, 1))),
    "a reversed view": lambda x: np.sum(x[::-1] * 2),
    "a transposed view": lambda x: np.sum(np.outer(x, x).T),
    "nothing but zeros": lambda x: np.sum(x[:0]) + x[0],
    "the argument": lambda x: np.sum(x * x) / 2,
}


@pytest.mark.parametrize("name", GIVING)
def test_gradients_are_fresh_writeable_and_unshared(name):
    f = GIVING[name]
    x, y = numpy.array([1.0, 2.0, 3.0]), numpy.array([1.0, 2.0, 3.0])
    gx, gy = grad(lambda x, y: f(x + y), (0, 1))(x, y)
    for g in (gx, gy):
        assert g.flags.writeable
        assert not numpy.shares_memory(g, x)
    assert not numpy.shares_memory(gx, gy)
    (g,) = grad(f, (0,))(x)
    assert not numpy.shares_memory(g, x)
    g += 1


@pytest.mark.parametrize(
    "f",
    [
        np.square,
        lambda x: x[None] ** 2,
        lambda x: x.reshape(1) ** 2,
        lambda x: np.stack([x])[0] ** 2,
    ],
    ids=["square", "indexed", "reshaped", "stacked"],
)
def test_a_python_float_gives_a_numpy_scalar(f):
    g = grad(lambda x: np.sum(f(x)))(3.0)
    assert type(g) is numpy.float64
    assert g == 6.0


REDUCTIONS = {
    "sum": np.sum,
    "mean": np.mean,
    "max": np.max,
    "min": np.min,
    "prod": np.prod,
    "cumsum": lambda x: np.cumsum(x)[0],
    "logsumexp": sp.logsumexp,
    "einsum": lambda x: np.einsum(",->", x, 1.0),
    "std": lambda x: x + np.std(x),
    "var": lambda x: x + np.var(x),
}


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions_of_a_python_float(name):
    g = grad(REDUCTIONS[name])(0.7)
    assert g == 1.0
    assert type(g) is numpy.float64


def test_a_python_int_becomes_a_float():
    g = grad(lambda x: x * x)(3)
    assert type(g) is numpy.float64
    assert g == 6.0


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_a_gradient_has_the_dtype_of_its_argument(dtype):
    x = numpy.ones(2, dtype)
    for f in (lambda x: np.sum(x * numpy.ones(2)), lambda x: np.sum(x) * 2.0, lambda x: x[0]):
        g = grad(f)(x)
        assert g.dtype == dtype


def test_zero_dimensional_arguments_give_scalars():
    g = grad(lambda x: np.sum(x * x), 0)(numpy.array(2.0))
    assert g == 4.0
    assert g.shape == ()
    assert plain(g)


def test_a_gradient_that_depends_on_an_outer_tensor_is_a_tensor():
    kinds = []

    def f(x):
        g = grad(lambda y: x * y * y)(1.0)
        h = grad(lambda y: y * y)(1.0)
        kinds.append((type(g), type(h)))
        return g

    assert grad(f)(3.0) == 2.0
    assert issubclass(kinds[0][0], Tensor)
    assert kinds[0][1] is numpy.float64


# ----- output -------------------------------------------------------------------------------------


def test_an_output_of_size_one_is_accepted_in_any_shape():
    for f in (lambda x: x, lambda x: np.reshape(x, (1,)), lambda x: np.reshape(x, (1, 1, 1))):
        assert grad(f)(2.0) == 1.0
    assert_array_equal(grad(lambda x: x * 3)(numpy.array([2.0])), [3.0])


def test_an_array_is_refused_with_its_shape_and_the_ways_out():
    def wide(x):
        return x * np.ones(3)

    with pytest.raises(
        TypeError, match=r"wide returned an array of shape \(3,\).*sum.*jacobian.*elem"
    ):
        grad(wide)(1.0)


def test_none_is_refused_with_a_guess():
    def forgetful(x):
        x * x

    with pytest.raises(TypeError, match=r"forgetful returned None: did you forget return\?"):
        grad(forgetful)(1.0)


def test_a_pair_is_refused_with_a_hint_at_has_aux():
    with pytest.raises(TypeError, match=r"returned a tuple.*has_aux=True"):
        grad(lambda x: (x, x))(1.0)


def test_a_complex_output_is_refused_with_a_hint_at_holomorphic():
    with pytest.raises(TypeError, match="complex number: use holomorphic=True"):
        grad(lambda z: z * z)(1 + 1j)


def test_holomorphic_gives_the_complex_derivative():
    assert grad(lambda z: z**3, holomorphic=True)(1 + 2j) == pytest.approx(3 * (1 + 2j) ** 2)
    assert grad(np.exp, holomorphic=True)(1j) == pytest.approx(numpy.exp(1j))
    with pytest.raises(TypeError, match="returned a real number"):
        grad(np.abs, holomorphic=True)(1 + 2j)


def test_an_output_without_arguments_gives_zeros_and_one_warning():
    x = np.array([1.0, 2.0])
    with pytest.warns(UserWarning, match="does not depend on what is differentiated") as seen:
        g = grad(lambda x: np.array(3.0))(x)
    assert len(seen) == 1
    assert seen[0].filename == __file__
    assert_array_equal(g, [0.0, 0.0])
    assert g.dtype == numpy.float64
    with pytest.warns(UserWarning, match="does not depend"):
        assert grad(lambda x: 3.0)(1.0) == 0.0


def test_value_and_grad_warns_at_its_caller_too():
    with pytest.warns(UserWarning, match="does not depend") as seen:
        value_and_grad(lambda x: 3.0)(1.0)
    assert seen[0].filename == __file__


def test_an_inner_call_does_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert grad(lambda x: x * (1.0 + grad(lambda y: x * 2.0)(1.0)))(3.0) == 1.0


def test_one_argument_of_two_that_is_not_used_has_zeros_without_a_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, b = grad(lambda a, b: np.sum(a), (0, 1))(numpy.ones(2), numpy.ones(3, numpy.float32))
    assert_array_equal(b, numpy.zeros(3))
    assert b.dtype == numpy.float32
    assert b.flags.writeable


# ----- integers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [numpy.array([1, 2]), numpy.array([True]), numpy.int64(3)])
def test_integers_are_refused_with_the_argument_and_a_cure(x):
    for argnums in (None, 0):
        with pytest.raises(TypeError, match=r"argument 0 of sum .*astype\(float\)"):
            grad(np.sum, argnums)(x)


def test_an_integer_tensor_as_the_argument_is_refused():
    with pytest.raises(TypeError, match=r"argument 0 .*int.*astype\(float\)"):
        grad(lambda x: np.sum(x * 1.0))(np.array([1, 2]))


def test_strings_lists_of_strings_and_none_are_refused():
    with pytest.raises(TypeError, match=r"argument 0 of .* is a str"):
        grad(lambda x: 1.0)("text")
    with pytest.raises(TypeError, match=r"argument 0 of .* is None"):
        grad(lambda x: 1.0)(None)


# ----- has_aux, value_and_grad, use_GPU -----------------------------------------------------------


def test_has_aux_returns_the_data_untracked():
    g, aux = grad(lambda x: (x * x, {"double": x * 2, "n": 7}), has_aux=True)(3.0)
    assert g == 6.0
    assert aux["n"] == 7
    assert aux["double"].value == 6.0
    assert not aux["double"].tracked


def test_has_aux_needs_a_pair():
    with pytest.raises(TypeError, match=r"must return a pair .*has_aux=True"):
        grad(lambda x: x, has_aux=True)(1.0)


def test_value_and_grad_gives_both():
    value, g = value_and_grad(lambda x: x * x)(3.0)
    assert isinstance(value, Tensor)
    assert not value.tracked
    assert (value.value, g) == (9.0, 6.0)
    (value, aux), g = value_and_grad(lambda x: (x * x, x), has_aux=True)(3.0)
    assert (value.value, aux.value, g) == (9.0, 3.0, 6.0)


def test_value_and_grad_has_the_modes_of_grad():
    w = np.array([1.0, 2.0])
    _, g = value_and_grad(lambda w: np.sum(w * w))(w)
    assert_array_equal(w.grad, g)
    _, g = value_and_grad(lambda a, b: a * b, (0, 1))(2.0, 3.0)
    assert g == (3.0, 2.0)


def test_use_gpu_is_accepted_and_says_how_if_there_is_none():
    assert grad(lambda x: x * x, use_GPU=False)(1.0) == 2.0
    assert grad(lambda x: x * x, use_GPU=None)(1.0) == 2.0
    with pytest.raises(RuntimeError, match=r"use_GPU=True.*pip install backpass-core\[cuda\]"):
        grad(lambda x: x * x, use_GPU=True)(1.0)


def test_the_wrapper_keeps_name_and_docstring():
    def f(x):
        """Square."""
        return x * x

    for made in (grad(f), value_and_grad(f), jacobian(f), elementwise_grad(f)):
        assert made.__name__ == "f"
        assert made.__doc__ == "Square."


# ----- nesting ------------------------------------------------------------------------------------


def cube(x):
    return x**3


def test_grad_of_grad_of_a_float_and_of_a_tensor():
    assert grad(grad(cube))(2.0) == 12.0
    t = np.array(2.0)
    assert grad(grad(cube))(t) == 12.0
    assert t.grad == 12.0


def test_grad_of_grad_of_a_list():
    g = grad(lambda w: grad(lambda w: w[0] ** 2 * w[1])(w)[0])([np.array(3.0), np.array(5.0)])
    assert g == [10.0, 6.0]


def test_grad_of_jvp_and_jvp_of_grad():
    def push(f):
        return lambda x: jvp(f, (x,), (1.0,))[1]

    assert grad(push(cube))(2.0) == 12.0
    assert push(grad(cube))(2.0) == 12.0
    assert push(push(cube))(2.0) == 12.0
    assert grad(push(grad(cube)))(2.0) == 6.0
    assert push(grad(push(cube)))(2.0) == 6.0
    assert grad(grad(push(cube)))(2.0) == 6.0


def test_grad_of_vjp_and_of_its_cotangent():
    assert grad(lambda x: vjp(cube, x)[1](1.0)[0])(2.0) == 12.0
    assert grad(lambda g: vjp(cube, 2.0)[1](g)[0])(1.0) == 12.0


def test_grad_of_jvp_in_its_tangent():
    assert grad(lambda t: jvp(cube, (2.0,), (t,))[1])(1.0) == 12.0


def test_perturbations_are_not_confused():
    assert grad(lambda x: x * grad(lambda y: x + y)(1.0))(1.0) == 1.0
    assert grad(lambda x: x * jvp(lambda y: x + y, (1.0,), (1.0,))[1])(1.0) == 1.0
    assert jvp(lambda x: x * grad(lambda y: x + y)(1.0), (1.0,), (1.0,))[1] == 1.0
    assert jvp(lambda x: x * jvp(lambda y: x * y, (2.0,), (1.0,))[1], (3.0,), (1.0,))[1] == 6.0


def test_mixed_second_derivatives_through_closures():
    assert grad(lambda x: grad(lambda y: x**2 * y**3)(2.0))(3.0) == 72.0
    assert grad(lambda x: jvp(lambda y: x * y * y, (x,), (1.0,))[1])(3.0) == 12.0


def test_grad_of_hessian_and_jacobian():
    assert_allclose(
        grad(lambda x: np.sum(hessian(lambda y: np.sum(y**3))(x)))(np.array([1.0, 2.0])), [6.0, 6.0]
    )
    assert_allclose(
        grad(lambda x: np.sum(jacobian(lambda y: y**3)(x)))(np.array([1.0, 2.0])), [6.0, 12.0]
    )
    assert_allclose(jacobian(lambda x: grad(lambda y: np.sum(y**3))(x))(np.array([1.0])), [[6.0]])


INNER = {
    "value_and_grad": lambda x: value_and_grad(lambda y: x * y * y)(2.0)[0],
    "aux": lambda x: grad(lambda y: (y, x * y * y), has_aux=True)(2.0)[1],
    "vjp": lambda x: vjp(lambda y: x * y * y, 2.0)[0],
    "vjp, aux": lambda x: vjp(lambda y: (y, x * y * y), 2.0, has_aux=True)[2],
    "jvp": lambda x: jvp(lambda y: x * y * y, (2.0,), (1.0,))[0],
    "linearize": lambda x: linearize(lambda y: x * y * y, 2.0)[0],
    "linearize, pushed": lambda x: linearize(lambda y: x * y * y, 2.0)[1](1.0),
    "jacobian": lambda x: jacobian(lambda y: x * y * y)(2.0),
    "jacobian, aux": lambda x: jacobian(lambda y: (y, x * y * y), has_aux=True)(2.0)[1],
    "three deep": lambda x: value_and_grad(
        lambda y: x * value_and_grad(lambda z: z * x * y * y / x)(1.0)[0]
    )(2.0)[0],
}


@pytest.mark.parametrize("name", INNER)
def test_outputs_of_inner_transformations_are_differentiated(name):
    f = INNER[name]
    for x in (3.0, np.array(3.0)):
        g = grad(f)(x)
        assert g == 4.0
        assert type(g) is numpy.float64
    (g,) = vjp(f, 3.0)[1](1.0)
    assert type(g) is numpy.float64
    out, t = jvp(f, (3.0,), (1.0,))
    assert type(t) is numpy.float64
    assert not out.tracked
    assert grad(lambda x: grad(f)(x) * x)(3.0) == 4.0


def test_six_derivatives_of_tanh():
    f = np.tanh
    values = []
    for _ in range(6):
        f = grad(f)
        values.append(f(1.0))
    t = numpy.tanh(1.0)
    u = 1 - t * t
    assert_allclose(
        values[:4], [u, -2 * t * u, u * (6 * t * t - 2), u * t * (16 - 24 * t * t)], rtol=1e-12
    )
    step = 1e-5
    fifth = f.__wrapped__
    assert_allclose(values[5], (fifth(1 + step) - fifth(1 - step)) / (2 * step), rtol=1e-7)


def test_an_inner_call_that_makes_its_own_tensors():
    def f(x):
        w = np.array([1.0, 2.0])
        for _ in range(3):
            w = w - 0.1 * grad(lambda w: np.sum((w - x) ** 2))(w)
        return np.sum(w)

    assert_allclose(grad(f)(1.0), 2 * (1 - 0.8**3))


def test_an_inner_call_costs_the_same_in_a_large_graph(monkeypatch):
    # A knot falls where the serial number says, not where the graph is large.
    monkeypatch.setattr(graph_module, "KNOT_EVERY", 2**62)
    calls = []

    def count(length):
        def f(x):
            for _ in range(length):
                x = x + 1.0
            import sys

            seen = [0]

            def profile(*_):
                seen[0] += 1

            sys.setprofile(profile)
            try:
                grad(lambda y: y * x)(1.0)
            finally:
                sys.setprofile(None)
            calls.append(seen[0])
            return x

        grad(f)(1.0)

    count(10)  # looks up the kernels, which the others find
    count(10)
    count(5000)
    assert calls[1] == calls[2]


@pytest.mark.parametrize(
    ("f", "right"),
    [
        (lambda t: np.multiply(t, [t, 2.0]).sum(), 3.4),
        (lambda t: np.multiply([t, 2.0], t).sum(), 3.4),
        (lambda t: np.maximum(t, [t * 2, 0.5]).sum(), 3.0),
        (lambda t: np.power(t, [1.0, 2]).sum(), 2.4),
        (lambda t: np.where([True, False], t, [t, t * 3]).sum(), 4.0),
        (lambda t: np.matmul([t, 1.0], [t, t]), 2.4),
    ],
    ids=["multiply", "reflected", "maximum", "power", "where", "matmul"],
)
def test_what_is_in_a_list_beside_a_float_is_differentiated(f, right):
    assert float(grad(f)(0.7)) == pytest.approx(right)
    assert float(grad(f)(np.array(0.7))) == pytest.approx(right)


def test_gradients_of_many_tensors_are_copied_apart():
    """Where there was no `.grad`, where there was one, and where a Tensor occurs twice."""
    a, b, c = (np.array(x, dtype=np.float32) for x in ([1.0, 2.0], [[3.0]], [4.0, 5.0]))
    energy = grad(lambda ws: np.sum(ws[0] * ws[2]) + np.sum(ws[1] ** 2) + np.sum(ws[3]))
    returned = energy([a, b, c, a])
    for g in returned:
        g *= 100
    assert a.grad.tolist() == [5.0, 6.0]
    assert b.grad.tolist() == [[6.0]]
    assert c.grad.tolist() == [1.0, 2.0]
    assert all(t.grad.flags.writeable and t.grad.dtype == np.float32 for t in (a, b, c))
    b.grad = None
    energy([a, b, c, a])
    assert a.grad.tolist() == [10.0, 12.0]
    assert b.grad.tolist() == [[6.0]]
    assert c.grad.tolist() == [2.0, 4.0]
