"""Errors: they name the argument, what is wrong with it, and what to do."""

import importlib.metadata
import subprocess
import sys
import textwrap

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import backpass.numpy as np
import backpass.scipy.special as sp
from backpass.core import Tensor, backends, grad, jvp, to_device
from backpass.core.backends import Backend, backend_of, register
from backpass.core.extend import defvjp, primitive

X = numpy.array([1.0, 2.0, 3.0])


# ----- outputs and arguments ----------------------------------------------------------------------


def test_an_output_that_is_no_scalar_is_named_with_its_shape():
    def predictions(x):
        return x * 2

    with pytest.raises(TypeError, match=r"predictions returned an array of shape \(3,\)"):
        grad(predictions)(X)


def test_an_integer_array_is_named_with_its_dtype():
    def loss(labels):
        return np.sum(labels)

    with pytest.raises(TypeError, match=r"argument 0 of loss holds int64.*\.astype\(float\)"):
        grad(loss)(numpy.array([1, 2]))


def test_arrays_that_are_not_what_they_seem_are_refused():
    masked = numpy.ma.array([1.0, 2.0], mask=[False, True])
    with pytest.raises(TypeError, match="MaskedArray"):
        grad(lambda x: np.sum(x * x), 0)(masked)
    with pytest.raises(TypeError, match="MaskedArray"):
        np.sum(masked)
    for strange in (numpy.array([1.0, None], object), numpy.zeros(2, [("a", float)])):
        with pytest.raises(TypeError, match=r"argument 0 of .* holds .*: only floats"):
            grad(lambda x: np.sum(x), 0)(strange)


def test_a_subclass_of_ndarray_is_an_array():
    class Mine(numpy.ndarray):
        pass

    def f(x):
        return np.sum(np.tanh(x) * x)

    assert_allclose(grad(f, 0)(X.view(Mine)), grad(f, 0)(X), rtol=1e-14)


def test_an_integer_leaf_of_a_tree_is_refused_where_it_is_asked_for():
    with pytest.raises(TypeError, match=r"argument 1 of .* holds int64"):
        grad(lambda x, w: np.sum(w[0]), 1)(1.0, [numpy.array([1, 2])])


def test_an_error_of_the_function_comes_through_as_it_is():
    def f(x):
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        grad(f)(1.0)


# ----- rules --------------------------------------------------------------------------------------


@pytest.mark.parametrize("operands", [1, 2, 3])
def test_a_primitive_without_a_rule_says_how_to_add_one(operands):
    def total(xp, *xs):
        return sum(xs)

    def one(xp, x):
        return x

    def two(xp, x, y):
        return x + y

    f = primitive({1: one, 2: two, 3: total}[operands])
    args = [X] * operands
    assert_array_equal(f(*args).value, X * operands)
    message = r"has no derivative rule.*\(x.*extend.*stop_gradient"
    with pytest.raises(NotImplementedError, match=message):
        grad(lambda x: np.sum(f(x, *args[1:])))(X)


def test_a_primitive_without_forward_rule_says_so():
    @primitive
    def reverse_only(xp, x, *, k=1):
        return x * k

    defvjp(reverse_only, lambda g, *, k=1: g * k)
    assert_array_equal(grad(lambda x: np.sum(reverse_only(x, k=2)))(X), [2.0, 2.0, 2.0])
    with pytest.raises(NotImplementedError, match="reverse_only has no forward-mode rule"):
        jvp(reverse_only, (X,), (X,))

    @primitive
    def also_reverse_only(xp, x):
        return x

    defvjp(also_reverse_only, lambda g: g)
    with pytest.raises(NotImplementedError, match="also_reverse_only has no forward-mode rule"):
        jvp(also_reverse_only, (X,), (X,))


# ----- shapes -------------------------------------------------------------------------------------


def note(info):
    return "\n".join(getattr(info.value, "__notes__", ()))


@pytest.mark.parametrize(
    "f", [np.dot, np.matmul, np.add, np.multiply, np.maximum, np.arctan2, np.power],
    ids=lambda f: getattr(f, "name", None) or f.__name__,
)  # fmt: skip
@pytest.mark.parametrize("tracked", [False, True])
def test_operands_that_do_not_fit_are_named_with_their_shapes(f, tracked):
    x, y = np.array(numpy.ones((2, 3))), np.array(numpy.ones((2, 4)))
    if tracked:
        x.requires_grad_()
    with pytest.raises(ValueError) as info:  # noqa: PT011 - the note says more than the message
        f(x, y)
    assert "(2, 3)" in str(info.value) + note(info)
    assert "(2, 4)" in str(info.value) + note(info)
    assert "backpass" in note(info)


def test_a_reduction_over_an_axis_that_is_not_there():
    with pytest.raises(numpy.exceptions.AxisError):
        np.sum(np.array(X), axis=3)
    with pytest.raises(numpy.exceptions.AxisError):
        sp.logsumexp(np.array(X), axis=1)
    with pytest.raises(numpy.exceptions.AxisError):
        np.expand_dims(np.array(X), 5)


def test_reshape_to_another_size():
    with pytest.raises(ValueError, match="reshape"):
        np.reshape(np.array(X), (2, 2))


def test_shaping_functions_say_what_they_need():
    for f in (
        lambda: np.stack([np.zeros(2), np.zeros(3)]),
        lambda: np.split(np.zeros(5), 2),
        lambda: np.diag(np.zeros((2, 2, 2))),
        lambda: np.einsum("ij", np.zeros(3)),
        lambda: np.einsum("i,i", np.zeros(3)),
        lambda: np.einsum("i->j", np.zeros(3)),
        lambda: np.squeeze(np.zeros((2, 1)), axis=0),
        lambda: np.tensordot(np.zeros((2, 3)), np.zeros((2, 3)), 1),
    ):
        with pytest.raises(ValueError, match=r"^(stack|split|diag|einsum|squeeze|tensordot)"):
            f()


def test_keywords_that_mean_nothing_are_refused():
    for f in (
        lambda: np.sum(X, axes=0),
        lambda: np.exp(X, dtype="float32", nonsense=1),
        lambda: np.clip(X, lower=0),
        lambda: np.array(X, like=X),
        lambda: sp.logsumexp(X, weights=X),
        lambda: np.concatenate([X, X], dtype="float32", casting="no"),
    ):
        with pytest.raises(TypeError):
            f()


# ----- devices ------------------------------------------------------------------------------------


class FarArray(numpy.ndarray):
    """Stands for an array of another device."""


@pytest.fixture
def far():
    """Register a backend for `FarArray` for the time of a test."""
    loaded = list(backends._loaded)
    backends._loaded[:] = [Backend("Far", (FarArray,), numpy, device="far"), *loaded]
    yield numpy.ones(3).view(FarArray)
    backends._loaded[:] = loaded


def test_operands_of_two_devices_are_both_named(far):
    error = backends.explain_mixture("add", (X, far))
    assert isinstance(error, TypeError)
    text = str(error)
    assert text.startswith("add: operand 0 is numpy.ndarray on 'cpu', operand 1 is ")
    assert "FarArray on 'far'" in text
    assert "to_device" in text
    assert backends.explain_mixture("add", (X, X)) is None
    assert backends.explain_mixture("add", (far, 2.0)) is None
    assert backends.explain_mixture("add", (numpy.float64(1), far)) is None


class Alien:
    """An array that NumPy can do nothing with."""

    __array_ufunc__ = None
    shape, dtype = (3,), numpy.dtype("float64")


@pytest.mark.parametrize("f", [np.add, np.matmul, np.maximum], ids=lambda f: f.__name__)
def test_an_operation_on_operands_of_two_devices_names_both(f, far):
    backends._loaded.append(Backend("Alien", (Alien,), numpy, device="mars"))
    operands = [np.array(X), Tensor(Alien())]
    for xs in (operands, operands[::-1]):
        with pytest.raises(TypeError, match=r"Alien on 'mars'") as info:
            f(*xs)
        assert "numpy.ndarray on 'cpu'" in str(info.value)


def test_a_device_without_backend_is_named_with_those_there_are():
    with pytest.raises(RuntimeError, match=r"no backend for the device 'moon', only for 'cpu'"):
        to_device(np.array(X), "moon")


def test_to_device_leaves_what_is_there():
    x = np.array(X)
    tree = to_device({"x": x, "n": 3, "raw": X, "none": None}, "cpu")
    assert tree["x"] is x
    assert tree["raw"] is X
    assert tree["n"] == 3
    assert tree["none"] is None


# ----- plugins ------------------------------------------------------------------------------------


@pytest.fixture
def plugins(monkeypatch):
    """Let entry points be found as a test says."""
    loaded = list(backends._loaded)
    monkeypatch.setattr(backends, "_waiting", None)
    found = []
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda *, group: tuple(found))
    yield found
    backends._loaded[:] = loaded


def entry(value):
    return importlib.metadata.EntryPoint("far", value, backends.GROUP)


class OnDevice:
    """Stands for an array on a GPU."""

    @property
    def __cuda_array_interface__(self):
        return {}


def test_a_plugin_that_cannot_be_imported_is_reported_and_not_fatal(plugins):
    plugins.append(entry("no_such_module_of_a_plugin:BACKEND"))
    with pytest.warns(
        RuntimeWarning, match=r"plugin 'far' .*ModuleNotFoundError.*reinstall or remove"
    ):
        backends.load_plugins()
    assert_array_equal((np.array(X) + 1).value, X + 1)
    backends.load_plugins()


def test_a_plugin_is_not_imported_before_it_is_needed(plugins):
    plugins.append(entry("no_such_module_of_a_plugin:BACKEND"))
    assert grad(lambda x: np.sum(x * x), 0)(X) is not None


def test_an_array_of_an_unknown_device_names_the_extra(plugins):
    with pytest.raises(TypeError, match=r"no backend for values of type .*OnDevice.*\[cuda\]"):
        backend_of((OnDevice(),))


def test_a_plugin_is_loaded_when_its_device_is_asked_for(plugins, monkeypatch):
    class Plugin:
        name, value = "far", "somewhere"

        def load(self):
            return Backend("Far", (OnDevice,), numpy, device="far")

    plugins.append(Plugin())
    assert backends.backend_on("far").name == "Far"
    assert backend_of((OnDevice(),)).name == "Far"
    register(Backend("Far", (OnDevice,), numpy, device="farther"))
    assert [b.device for b in backends.backends() if b.name == "Far"] == ["farther"]


# ----- without the compiled kernels ---------------------------------------------------------------

WITHOUT = """
    import sys, types, warnings
    {before}
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        import backpass.numpy as np
        from backpass.core import grad
        g = grad(lambda x: np.sum(np.tanh(x) @ x))(np.array([0.5, 1.0]))
    assert len(seen) == 1, [str(w.message) for w in seen]
    text = str(seen[0].message)
    assert "NumPy computes everything" in text, text
    assert "pip install backpass-cpu==" in text, text
    assert {says!r} in text, text
    assert abs(g[0] - 0.855341) < 1e-3, g
"""


@pytest.mark.parametrize(
    ("before", "says"),
    [
        ("sys.modules['backpass.cpu'] = None", "cannot be loaded"),
        (
            "fake = types.ModuleType('backpass.cpu'); fake.__version__ = '0.0.0'; "
            "sys.modules['backpass.cpu'] = fake",
            "is version 0.0.0",
        ),
    ],
    ids=["missing", "of another version"],
)
def test_kernels_that_cannot_be_loaded_cost_one_message_and_nothing_else(before, says):
    program = textwrap.dedent(WITHOUT.format(before=before, says=says))
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_only_the_wanted_modules_are_imported():
    program = "import sys, backpass.numpy, backpass.core; print(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert not {m for m in loaded if m.split(".")[0] in ("cupy", "scipy", "torch", "matplotlib")}
    assert "backpass.nn" not in loaded
    assert "backpass.cupy" not in loaded
