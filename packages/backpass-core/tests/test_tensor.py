"""The Tensor as a citizen of Python and NumPy, and its refusals to lose a gradient."""

import copy
import math
import operator
import pickle
from fractions import Fraction

import numpy
import pytest
import scipy.special
from numpy.testing import assert_allclose, assert_array_equal

import backpass.numpy as np
import backpass.scipy.special as sp
from backpass.core import Tensor, grad, jvp

X = numpy.array([1.5, -2.0, 3.0])
Y = numpy.array([2.0, 3.0, -0.5])


def inside(f, x=X):
    """Return what `f` gives for a tracked Tensor of the value `x`."""
    found = []

    def g(t):
        found.append(f(t))
        return np.sum(t)

    grad(g, 0)(x)
    return found[0]


# ----- operators ----------------------------------------------------------------------------------

BINARY = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.floordiv, operator.mod,
    operator.pow, operator.lt, operator.le, operator.gt, operator.ge, operator.eq, operator.ne,
]  # fmt: skip
OTHERS = {
    "array": Y,
    "list": [2.0, 3.0, -0.5],
    "tuple": (2.0, 3.0, -0.5),
    "Python float": 2.0,
    "Python int": 2,
    "bool": True,
    "NumPy scalar": numpy.float64(2.0),
    "NumPy integer": numpy.int64(2),
    "0-d array": numpy.array(2.0),
    "float32 array": Y.astype("float32"),
    "integer array": numpy.array([1, 2, 3]),
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("f", BINARY, ids=lambda f: f.__name__)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_operators_compute_what_numpy_computes_on_either_side(f, other):
    o, t = OTHERS[other], np.array(X)
    for found, expected in ((f(t, o), f(X, o)), (f(o, t), f(o, X))):
        assert isinstance(found, Tensor)
        assert_array_equal(found.value, expected)
        assert found.dtype == expected.dtype


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("f", BINARY[:4], ids=lambda f: f.__name__)
def test_operators_are_differentiated_on_either_side(f, other):
    o = OTHERS[other]
    for g in (lambda t: np.sum(f(t, o)), lambda t: np.sum(f(o, t))):
        d, step = grad(g)(X), 1e-6
        for i in range(3):
            e = numpy.eye(3)[i] * step
            expected = (g(X + e) - g(X - e)) / (2 * step)
            expected = getattr(expected, "value", expected)
            assert_allclose(d[i], expected, rtol=1e-6, atol=1e-8)


def test_matmul_on_either_side():
    m = numpy.arange(6.0).reshape(2, 3)
    for found, expected in (
        (m @ np.array(X), m @ X),
        (np.array(m) @ X, m @ X),
        (np.array(m) @ np.array(X), m @ X),
        (m.tolist() @ np.array(X), m @ X),
        (np.array(X) @ m.T.tolist(), X @ m.T),
    ):
        assert isinstance(found, Tensor)
        assert_array_equal(found.value, expected)


def test_unary_operators():
    t = np.array(X)
    for f in (operator.neg, operator.pos, abs, round):
        assert isinstance(f(t), Tensor)
    assert_array_equal((-t).value, -X)
    assert_array_equal((+t).value, X)
    assert_array_equal(abs(t).value, abs(X))
    assert_array_equal(round(np.array([1.256, 2.0]), 1).value, [1.3, 2.0])
    assert_array_equal((~np.array([True, False])).value, [False, True])


def test_divmod_on_either_side():
    q, r = divmod(np.array(X), 2.0)
    assert_array_equal(q.value, X // 2)
    assert_array_equal(r.value, X % 2)
    q, r = divmod(7.0, np.array(X))
    assert_array_equal(q.value, 7 // X)
    q, r = divmod(Y, np.array(X))
    assert_array_equal(r.value, Y % X)


@pytest.mark.parametrize("f", [operator.and_, operator.or_, operator.xor], ids=lambda f: f.__name__)
def test_bitwise_operators(f):
    a, b = numpy.array([True, True, False]), numpy.array([True, False, False])
    for found in (f(np.array(a), b), f(a, np.array(b)), f(np.array(a), np.array(b))):
        assert_array_equal(found.value, f(a, b))
    assert_array_equal(f(True, np.array(b)).value, f(True, b))
    k = numpy.array([6, 3])
    assert_array_equal(f(np.array(k), 5).value, f(k, 5))


def test_shifts_on_either_side():
    k = np.array([1, 2])
    assert_array_equal((k << 2).value, [4, 8])
    assert_array_equal((k >> 1).value, [0, 1])
    assert_array_equal((8 >> k).value, [4, 2])
    assert_array_equal((1 << k).value, [2, 4])


def test_three_argument_pow_and_foreign_operands_are_type_errors():
    with pytest.raises(TypeError):
        pow(np.array(X), 2, 3)
    for other in ("text", object(), None, {}):
        with pytest.raises(TypeError):
            np.array(X) + other
        with pytest.raises(TypeError):
            other * np.array(X)


def test_comparisons_are_elementwise_and_the_hash_is_identity():
    t = np.array([1.0, 2.0])
    assert_array_equal((t == np.array([1.0, 3.0])).value, [True, False])
    assert len({t, t, np.array([1.0, 2.0])}) == 2
    assert {t: 1}[t] == 1


def test_comparison_with_what_is_no_number():
    t = np.array([1.0, 2.0])
    assert t[0] == pytest.approx(1.0)
    assert t[0] != pytest.approx(1.1)
    assert (t == "text") is False
    assert (t != "text") is True
    assert_array_equal((t == None).value, [False, False])  # noqa: E711 - elementwise, as in NumPy


def test_sorting_minimum_and_sum_of_python_work_on_scalars():
    a, b = inside(lambda t: sorted([t[0], t[1]]))
    assert (a.value, b.value) == (-2.0, 1.5)
    assert inside(lambda t: min(t[0], t[1])).value == -2.0
    assert grad(lambda t: sum(t))(X) is not None
    assert_array_equal(grad(lambda t: sum(t * t))(X), 2 * X)
    assert_array_equal(grad(lambda t: max(t))(X), [0.0, 0.0, 1.0])


# ----- len, iteration, contains, indexing ---------------------------------------------------------


def test_len_and_iteration_over_the_first_axis():
    t = np.array([[1.0, 2.0], [3.0, 4.0]])
    assert len(t) == 2
    assert [row.shape for row in t] == [(2,), (2,)]
    a, b = np.array([1.0, 2.0])
    assert isinstance(a, Tensor)
    assert b.value == 2.0
    with pytest.raises(TypeError, match="0-d"):
        iter(np.array(1.0))
    with pytest.raises(TypeError):
        len(np.array(1.0))


def test_iteration_is_differentiated():
    def f(t):
        a, b, c = t
        return a * b + c

    assert_array_equal(grad(f)(X), [X[1], X[0], 1.0])
    assert_array_equal(grad(lambda t: sum(v * v for v in reversed(t)))(X), 2 * X)
    assert_array_equal(grad(lambda t: sum(v * v for v in t.flat))(X), 2 * X)


def test_contains():
    t = np.array(X)
    assert 3.0 in t
    assert 4.0 not in t
    assert np.array(3.0) in t
    assert inside(lambda t: 3.0 in t)


@pytest.mark.parametrize(
    "index",
    [0, -1, slice(None, None, -1), None, Ellipsis, [0, 2], (slice(1, 3), None), numpy.array([2, 2]),
     numpy.array([True, False, True]), numpy.int64(1), [True, False, True], ()],
    ids=str,
)  # fmt: skip
def test_indexing_as_numpy(index):
    assert_array_equal(np.array(X)[index].value, X[index])
    found = grad(lambda t: np.sum(t[index] ** 2))(X)
    expected = numpy.zeros(3)
    numpy.add.at(expected, index, 2 * X[index])
    assert_array_equal(found, expected)


def test_indexing_with_tensors():
    m = numpy.arange(6.0).reshape(2, 3)
    i, j = np.array([0, 1]), np.array([2, 0])
    assert_array_equal(np.array(m)[i, j].value, m[[0, 1], [2, 0]])
    assert_array_equal(np.array(m)[np.array(m) > 2].value, m[m > 2])
    assert_array_equal(m[i.value].shape, np.array(m)[i].shape)


def test_an_integer_tensor_indexes_sequences_and_ranges():
    i = np.array(2)
    assert [10, 20, 30][i] == 30
    assert list(range(np.array(3))) == [0, 1, 2]
    assert numpy.arange(5.0)[i] == 2.0
    assert int(i) == 2


def test_an_index_out_of_range_is_an_index_error():
    with pytest.raises(IndexError):
        np.array(X)[5]


# ----- attributes and methods ---------------------------------------------------------------------


def test_attributes():
    t = np.array(numpy.zeros((2, 3), "float32"))
    assert (t.shape, t.ndim, t.size, t.itemsize, t.nbytes) == ((2, 3), 2, 6, 4, 24)
    assert t.dtype == numpy.float32
    assert t.T.shape == t.mT.shape == (3, 2)
    assert t.device == "cpu"
    z = np.array([1 + 2j])
    assert_array_equal(z.real.value, [1.0])
    assert_array_equal(z.imag.value, [2.0])


METHODS = {
    "sum": (), "mean": (), "max": (), "min": (), "prod": (), "std": (), "var": (), "cumsum": (),
    "ravel": (), "flatten": (), "copy": (), "reshape": (3, 2), "transpose": (), "squeeze": (),
    "clip": (0.5, 1.5), "dot": (numpy.ones(3),), "round": (1,), "argmax": (), "argmin": (),
    "any": (), "all": (), "conj": (), "repeat": (2,), "swapaxes": (0, 1), "trace": (),
    "diagonal": (), "argsort": (), "astype": ("float32",), "conjugate": (),
}  # fmt: skip


@pytest.mark.parametrize("name", METHODS)
def test_methods_give_what_the_arrays_methods_give(name):
    m = numpy.array([[0.3, -1.2, 2.0], [1.7, 0.9, -0.4]])
    found = getattr(np.array(m), name)(*METHODS[name])
    expected = getattr(m, name)(*METHODS[name])
    assert isinstance(found, Tensor)
    assert_allclose(found.value, expected, rtol=1e-12)
    assert found.dtype == expected.dtype


def test_methods_take_numpys_arguments():
    m = np.array(numpy.arange(6.0).reshape(2, 3))
    assert m.sum(0).shape == (3,)
    assert m.sum(axis=1, keepdims=True).shape == (2, 1)
    assert m.reshape((3, 2)).shape == m.reshape(3, 2).shape == m.reshape(-1, 2).shape == (3, 2)
    assert m.transpose(1, 0).shape == m.transpose((1, 0)).shape == (3, 2)
    assert m.mean(axis=(0, 1)).shape == ()
    assert m.var(ddof=1).value == pytest.approx(3.5)


def test_an_unknown_attribute_is_named():
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        _ = np.array(X).colour
    assert not hasattr(np.array(X), "__cuda_array_interface__")
    assert "sum" in dir(np.array(X))


def test_a_method_of_an_array_without_counterpart_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"use t\.astype"):
        np.array(X).view("int64")


# ----- NumPy's protocols --------------------------------------------------------------------------


def test_numpys_own_functions_are_differentiated():
    t = np.array(X)
    for f in (numpy.tanh, numpy.exp, numpy.sum, numpy.mean, numpy.ravel, numpy.cumsum, numpy.sin):
        assert isinstance(f(t), Tensor)
        assert_allclose(f(t).value, f(X), rtol=1e-15)
    assert_allclose(grad(lambda t: numpy.sum(numpy.tanh(t)))(X), 1 - numpy.tanh(X) ** 2)
    assert_allclose(grad(lambda t: numpy.dot(t, t))(X), 2 * X)
    assert_allclose(grad(lambda t: numpy.concatenate([t, X]).sum())(X), numpy.ones(3))
    assert_allclose(grad(lambda t: numpy.where(X > 0, t, 0.0).sum())(X), X > 0)


def test_scipys_own_ufuncs_are_differentiated():
    s = scipy.special.expit(X)
    assert_allclose(grad(lambda t: np.sum(scipy.special.expit(t)))(X), s * (1 - s))
    g = grad(lambda t: np.sum(scipy.special.erf(t)))(X)
    assert_allclose(g, 2 / math.sqrt(math.pi) * numpy.exp(-X * X))


def test_numpys_like_functions_make_tensors():
    t = np.array(X.astype("float32"))
    for f in (numpy.zeros_like, numpy.ones_like, numpy.empty_like):
        assert isinstance(f(t), Tensor)
        assert f(t).dtype == numpy.float32
        assert f(t, dtype=int).dtype == int
    assert_array_equal(numpy.full_like(t, 2.0).value, [2.0, 2.0, 2.0])
    assert_array_equal(grad(lambda t: np.sum(numpy.zeros_like(t) + t))(X), numpy.ones(3))


def test_numpys_testing_functions_understand_a_tensor():
    assert_allclose(np.array(X), X)
    assert_array_equal(np.array(X), X)
    with pytest.raises(AssertionError):
        assert_allclose(np.array(X), X + 1)


def test_an_array_leaves_the_operator_to_the_tensor():
    for found in (Y * np.array(X), numpy.float64(2) * np.array(X), numpy.multiply(Y, np.array(X))):
        assert isinstance(found, Tensor)
    g = grad(lambda t: np.sum(Y * t))(X)
    assert_array_equal(g, Y)


def test_a_ufunc_without_rule_and_a_method_of_one_say_so():
    t = np.array(X)
    with pytest.raises(TypeError, match="cannot differentiate spacing"):
        numpy.spacing(t)
    with pytest.raises(TypeError, match=r"add\.reduceat"):
        numpy.add.reduceat(t, [0, 1])
    with pytest.raises(TypeError, match=r"out= is not supported"):
        numpy.add(t, 1.0, out=numpy.empty(3))
    with pytest.raises(TypeError):
        numpy.add(t, 1.0, where=X > 0)


def test_a_numpy_function_without_rule_says_so():
    with pytest.raises(TypeError, match=r"no rule for numpy\.busday_count"):
        numpy.busday_count(np.array(X), np.array(X))


def test_in_place_operators_of_arrays_refuse_a_tensor():
    def add(t):
        a = numpy.ones(3)
        a += t
        return a

    with pytest.raises(TypeError):
        inside(add)


def test_numpys_isscalar_shape_and_size_understand_a_tensor():
    t = np.array(X)
    assert numpy.shape(t) == (3,)
    assert numpy.ndim(t) == 1
    assert numpy.size(t) == 3
    assert np.shape(t) == (3,)


# ----- never a silent loss ------------------------------------------------------------------------

LOSSES = {
    "float()": lambda t: float(t[0]),
    "complex()": lambda t: complex(t[0]),
    "item()": lambda t: t[0].item(),
    "tolist()": lambda t: t.tolist(),
    "numpy.asarray": lambda t: numpy.asarray(t),
    "numpy.array of Tensors": lambda t: numpy.array([t[0], 1.0]),
    "numpy.array of Tensors, later": lambda t: numpy.array([1.0, t[0]]),
    "math.exp": lambda t: math.exp(t[0]),
    "numpy.full": lambda t: numpy.full(2, t[0]),
    "assignment to a slice": lambda t: numpy.zeros(3).__setitem__(slice(None), t),
    "numpy.fromiter": lambda t: numpy.fromiter(t, float),
    "int()": lambda t: int(t[0]),
    "math.floor": lambda t: math.floor(t[0]),
    "Fraction": lambda t: Fraction(t[0]),
}


@pytest.mark.parametrize("name", LOSSES)
def test_what_would_lose_the_gradient_is_refused(name):
    with pytest.raises((TypeError, ValueError)):
        inside(LOSSES[name])


@pytest.mark.parametrize("name", ["float()", "complex()", "item()", "numpy.asarray", "math.exp"])
def test_the_refusal_names_the_ways_out(name):
    with pytest.raises(TypeError, match=r"\.value.*stop_gradient"):
        inside(LOSSES[name])


def test_a_tracked_float_tensor_has_no_dlpack():
    with pytest.raises(BufferError, match=r"\.value.*stop_gradient"):
        inside(lambda t: t.__dlpack__())
    with pytest.raises(BufferError):
        inside(numpy.from_dlpack)
    assert_array_equal(numpy.from_dlpack(np.array(X)), X)


def test_cuda_array_interface_is_hidden_on_every_float_tensor():
    for t in (np.array(X), np.array(X).requires_grad_()):
        with pytest.raises(AttributeError, match=r"\.value"):
            _ = t.__cuda_array_interface__


def test_writing_a_tensor_into_an_array_element_is_numpys_error():
    with pytest.raises((TypeError, ValueError)):
        inside(lambda t: numpy.zeros(3).__setitem__(0, t[0]))


def test_an_untracked_tensor_converts():
    t = np.array(2.5)
    assert float(t) == 2.5
    assert complex(t) == 2.5
    assert int(t) == 2
    assert t.item() == 2.5
    assert np.array(X).tolist() == X.tolist()
    assert_array_equal(numpy.asarray(np.array(X)), X)
    assert numpy.asarray(np.array(X), dtype="float32").dtype == numpy.float32
    assert math.exp(np.array(0.0)) == 1.0


def test_array_protocol_copies_when_asked():
    t = np.array(X)
    assert numpy.array(t) is not t.value
    assert not numpy.shares_memory(numpy.array(t), t.value)
    assert numpy.shares_memory(numpy.asarray(t), t.value)


def test_bool_repr_format_and_integers_of_tracked_tensors_work():
    assert inside(lambda t: bool(t[0]))
    assert inside(lambda t: f"{t[0]:.3f}") == "1.500"
    assert inside(repr) == "Tensor([ 1.5, -2. ,  3. ])"
    assert inside(str) == "[ 1.5 -2.   3. ]"
    assert inside(lambda t: int(np.argmax(t))) == 2
    assert inside(lambda t: [10, 20, 30][np.argmax(t)]) == 30
    assert inside(lambda t: 1 if t[0] > 1 else 0) == 1
    with pytest.raises(ValueError, match="ambiguous"):
        bool(np.array(X))


# ----- repr, copies, pickles ----------------------------------------------------------------------


def test_repr():
    assert repr(np.array(1.0)) == "Tensor(1.0)"
    assert repr(np.array([1.0, 2.0])) == "Tensor([1., 2.])"
    assert repr(np.array([1.0], dtype="float32")) == "Tensor([1.], dtype=float32)"
    assert repr(np.array(1.0, dtype="float32")) == "Tensor(1.0, dtype=float32)"
    assert repr(np.array(3)) == "Tensor(3)"
    assert repr(np.array([True])) == "Tensor([ True])"
    assert repr(np.array(1 + 2j)) == "Tensor(1+2j)"
    assert repr(np.array([])) == "Tensor([], dtype=float64)"


def test_format():
    assert f"{np.array(1.25):.1f}" == "1.2"
    assert f"{np.array(X)}" == str(X)
    assert f"{np.array(7):03d}" == "007"


def test_copy_keeps_the_place_in_the_graph():
    def f(t):
        c = copy.copy(t)
        assert not numpy.shares_memory(c.value, t.value)
        return np.sum(c * t)

    assert_array_equal(grad(f)(X), 2 * X)


def test_deepcopy_of_a_permanent_leaf_is_a_leaf_of_its_own():
    w = np.array(X).requires_grad_()
    w.grad = numpy.ones(3)
    v = copy.deepcopy(w)
    assert v.tracked
    assert v.node is not w.node
    assert_array_equal(v.grad, w.grad)
    assert not numpy.shares_memory(v.grad, w.grad)
    np.sum(v * 2).backward()
    assert_array_equal(w.grad, numpy.ones(3))
    assert_array_equal(v.grad, 3 * numpy.ones(3))


def test_deepcopy_of_a_result_stays_in_the_graph():
    assert_array_equal(grad(lambda t: np.sum(copy.deepcopy(t * t)))(X), 2 * X)
    assert_array_equal(grad(lambda t: np.sum(copy.deepcopy([t])[0] * t))(X), 2 * X)


def test_a_copy_of_a_permanent_leaf_is_a_result_and_no_leaf():
    w = np.array(X).requires_grad_()
    c = copy.copy(w)
    c *= 2.0
    np.sum(c).backward()
    assert_array_equal(w.grad, [2.0, 2.0, 2.0])
    assert_array_equal(w.value, X)
    with pytest.raises(RuntimeError, match="detach"):
        copy.copy(w).requires_grad_()
    with pytest.raises(TypeError, match="stop_gradient"):
        pickle.dumps(copy.copy(w))


def test_deepcopy_in_a_list_keeps_identity():
    w = np.array(X)
    a, b = copy.deepcopy([w, w])
    assert a is b
    assert a is not w


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(protocol):
    w = np.array(X).requires_grad_()
    w.grad = numpy.ones(3)
    v = pickle.loads(pickle.dumps(w, protocol))
    assert v.tracked
    assert_array_equal(v.value, X)
    assert_array_equal(v.grad, w.grad)
    assert not pickle.loads(pickle.dumps(np.array(X), protocol)).tracked
    assert pickle.loads(pickle.dumps(np.array(1.0), protocol)).shape == ()


def test_a_tracked_result_cannot_be_pickled():
    with pytest.raises(TypeError, match="stop_gradient"):
        pickle.dumps(np.array(X).requires_grad_() * 2)


# ----- dtypes -------------------------------------------------------------------------------------

F = X.astype("float32")

KEEPS = {
    "plus a Python float": lambda x: x + 1.5,
    "times a Python int": lambda x: 2 * x,
    "power": lambda x: abs(x) ** 1.5,
    "mean": np.mean,
    "max": np.max,
    "where": lambda x: np.where(x > 0, x, 0.0),
    "where, array": lambda x: np.where([True, False, True], x, 0.5),
    "std": np.std,
    "var": np.var,
    "trace": lambda x: np.trace(np.outer(x, x)),
    "clip": lambda x: np.clip(x, 0.0, 1.0),
    "maximum": lambda x: np.maximum(x, 0),
    "logsumexp": sp.logsumexp,
    "softmax": sp.softmax,
    "log_softmax": sp.log_softmax,
    "expit": sp.expit,
    "erf": sp.erf,
    "einsum": lambda x: np.einsum("i,j->ij", x, x),
    "diag": np.diag,
    "tril": lambda x: np.tril(np.outer(x, x)),
    "concatenate": lambda x: np.concatenate([x, x]),
    "prod": np.prod,
    "cumsum": np.cumsum,
    "hypot": lambda x: np.hypot(x, 1.0),
    "logaddexp": lambda x: np.logaddexp(x, 0.0),
    "sinc": np.sinc,
    "full_like": lambda x: np.full_like(x, 2.0) * x,
    "zeros_like": lambda x: np.zeros_like(x) + x,
    "rounded": lambda x: x + np.round(x),
    "linspace": lambda x: np.linspace(x[0], x[1], 3),
    "matmul": lambda x: x @ x,
}


@pytest.mark.parametrize("name", KEEPS)
def test_float32_stays_float32(name):
    f = KEEPS[name]
    assert f(np.array(F)).dtype == numpy.float32
    assert inside(f, F).dtype == numpy.float32
    assert grad(lambda x: np.sum(f(x) ** 2))(F).dtype == numpy.float32
    assert jvp(f, (F,), (numpy.ones_like(F),))[1].dtype == numpy.float32
    assert grad(lambda x: np.sum(grad(lambda y: np.sum(f(y) ** 2))(x)))(F).dtype == numpy.float32


def test_products_with_numpy_scalars_follow_nep_50():
    assert (np.array(F) * numpy.float64(2)).dtype == numpy.float64
    assert (np.array(F) * 2.0).dtype == numpy.float32
    assert grad(lambda x: np.sum(x * numpy.float64(2)))(F).dtype == numpy.float32


def test_a_python_float_stays_weak_inside_grad():
    kinds = []

    def f(s):
        products = [np.array(F) * s, F * s, (s + 1.0) * F, np.sum(F * (2 * s) ** 2), F / -s]
        kinds.extend(p.dtype for p in products)
        return sum(np.sum(p) for p in products)

    g = grad(f)(2.0)
    assert set(kinds) == {numpy.dtype("float32")}
    assert type(g) is numpy.float64


def test_a_numpy_scalar_does_not():
    assert inside(lambda s: F * s[0], X[:1]).dtype == numpy.float64


def test_weak_floats_stay_weak_to_second_order():
    def slope(s):
        return grad(lambda t: np.sum(F * t * t))(s)

    assert grad(slope)(2.0) == pytest.approx(2 * float(F.sum()))


def test_result_type_knows_the_weak():
    assert np.result_type(np.array(F), 2.0) == numpy.float32
    found = []

    def f(s):
        found.append(np.result_type(np.array(F), s))
        return s

    grad(f)(2.0)
    assert found == [numpy.float32]


def test_complex_and_real_mix_to_complex():
    z = np.array([1 + 1j])
    assert (z * np.array([2.0])).dtype == numpy.complex128
    assert (z.astype("complex64") * 2.0).dtype == numpy.complex64
    assert abs(z).dtype == numpy.float64


def test_questions_have_plain_answers():
    t = np.array(X)
    assert type(np.shape(t)) is tuple
    assert type(np.size(t)) is int
    assert type(np.ndim(t)) is int
    assert np.allclose(t, X) is True
    assert np.array_equal(t, X) is True
    assert np.isscalar(3.0) is True
    assert np.iscomplexobj(t) is False
    assert isinstance(np.isclose(t, X), Tensor)
    assert all(isinstance(part, Tensor) for part in np.nonzero(t))


def test_every_function_returns_tensors_for_plain_arrays():
    for f in (
        np.exp,
        np.sum,
        np.tanh,
        np.ravel,
        np.cumsum,
        np.argmax,
        np.floor,
        np.isnan,
        sp.expit,
    ):
        assert isinstance(f(X), Tensor)
    for f in (np.zeros, np.ones, np.arange, np.eye, np.random.randn):
        assert isinstance(f(3), Tensor)
    assert all(isinstance(part, Tensor) for part in np.split(X, 3))


def test_lists_of_tensors_are_operands():
    assert_array_equal(grad(lambda x: np.sum(np.array([x, 2 * x])))(X), [3.0, 3.0, 3.0])
    assert grad(lambda x: np.sum([x, x * x, 1.0]))(3.0) == 7.0
    assert grad(lambda x: np.dot([x, 1.0], [2.0, x]))(3.0) == 3.0
    assert grad(lambda x: np.max([x, 2 * x]))(3.0) == 2.0
