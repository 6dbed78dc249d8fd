"""What a backend may say of errors, and where it lets functions run."""

import dataclasses

import numpy
import pytest
from numpy.testing import assert_array_equal

import backpass.numpy as np
from backpass.core import backends, grad, jvp, to_device, vjp
from backpass.core.backends import NUMPY, Backend, register
from backpass.core.devices import move
from backpass.core.extend import defjvp, defvjp, primitive
from backpass.core.ops.reductions import sum_

X = numpy.array([1.0, 2.0])


class Better(RuntimeError):
    """What is raised instead."""


@pytest.fixture
def explained():
    """Let the CPU explain a lack of memory."""

    def explain(error):
        return Better("in better words") if isinstance(error, MemoryError) else None

    register(dataclasses.replace(NUMPY, explain=explain))
    yield
    register(NUMPY)


@primitive
def greedy(xp, x):
    if x[0] == 1.0:
        raise MemoryError("no memory")
    if x[0] == 2.0:
        raise KeyError("no key")
    return x * 1.0


def failing_vjp(g, x):
    raise MemoryError("no memory for a rule")


def failing_jvp(t, x):
    raise MemoryError("no memory for a rule")


defvjp(greedy, failing_vjp)
defjvp(greedy, failing_jvp)

FAILING = {
    "operation": lambda: greedy(X),
    "array": lambda: greedy.op(X),
    "rule": lambda: grad(lambda x: np.sum(greedy(x)))(X + 2),
    "forward rule": lambda: jvp(greedy, (X + 2,), (X,)),
    "zeros": lambda: np.zeros(10**15),
    "ones_like": lambda: np.ones_like(X, shape=(10**15,)),
    "array of numbers": lambda: np.full((10**8, 10**8), 1.0),
    "random": lambda: np.random.randn(10**15),
    "generator": lambda: np.random.default_rng(0).standard_normal(10**15),
    "ones beside an array": lambda: backends.made_beside((X,), lambda xp: xp.ones(10**15)),
}


@pytest.mark.parametrize("name", FAILING)
def test_a_lack_of_memory_is_explained(name, explained):
    with pytest.raises(Better, match="in better words") as caught:
        FAILING[name]()
    assert isinstance(caught.value.__cause__, MemoryError)
    assert_array_equal(grad(lambda x: np.sum(x * x))(X), 2 * X)


@pytest.mark.parametrize("name", FAILING)
def test_without_better_words_the_error_is_the_librarys(name):
    with pytest.raises(MemoryError):
        FAILING[name]()


def test_other_errors_are_left_alone(explained):
    with pytest.raises(KeyError, match="no key"):
        greedy(X + 1)
    with pytest.raises(ValueError, match="in backpass add"):
        np.add(X, numpy.ones(3))


# ----- places ------------------------------------------------------------------------------------


class FarArray(numpy.ndarray):
    """Stands for an array of another device."""


@pytest.fixture
def placed():
    """Register a backend for `FarArray` that notes where its functions are put; give the notes."""
    notes = []

    def place(function, name):
        def there(*operands, **keywords):
            notes.append((name, tuple(sorted(keywords))))
            return function(*operands, **keywords)

        return there

    loaded = list(backends._loaded)
    kernels = {
        "tanh": lambda x: NotImplemented,
        "exp": numpy.exp,
        "exp.vjp": lambda g, ans: g * ans,
    }
    far = Backend("Far", (FarArray,), numpy, device="far", kernels=kernels, place=place)
    backends._loaded[:] = [far, *loaded]
    yield notes
    backends._loaded[:] = loaded
    for p in (np.exp, np.sin, np.tanh, sum_):
        p.kernels.pop(FarArray, None)
        p.pulls.pop(FarArray, None)


def test_functions_kernels_and_rules_are_put_where_their_operands_are(placed):
    x, g = X.view(FarArray), numpy.array([1.0, 10.0]).view(FarArray)
    for name, slope in (("exp", numpy.exp), ("sin", numpy.cos)):
        placed.clear()
        _, pull = vjp(getattr(np, name), x)
        assert [name for name, _ in placed] == [name]
        (gx,) = pull(g)
        assert f"{name}.vjp0" in [name for name, _ in placed]
        numpy.testing.assert_allclose(numpy.asarray(gx), slope(X) * [1.0, 10.0])


def test_what_a_kernel_declines_is_put_there_too(placed):
    np.tanh(X.view(FarArray))
    assert [name for name, _ in placed] == ["tanh", "tanh"]


def test_a_rule_that_is_put_elsewhere_takes_only_its_keywords(placed):
    x, g = numpy.ones((2, 3)).view(FarArray), numpy.ones(3).view(FarArray)
    _, pull = vjp(lambda x: np.sum(x, axis=0, initial=1.0), x)
    (gx,) = pull(g)
    assert ("sum.vjp0", ("axis", "initial")) in placed  # the rule takes no `initial`
    assert_array_equal(numpy.asarray(gx), numpy.ones((2, 3)))


# ----- one backend, several devices --------------------------------------------------------------


class Numbered(numpy.ndarray):
    """Stands for an array of one of several devices: `device` is its number."""

    device = 0

    def __array_finalize__(self, other):
        self.device = getattr(other, "device", 0)


def numbered(x, number):
    made = numpy.array(x).view(Numbered)
    made.device = number
    return made


@pytest.fixture
def several():
    """Register a backend of several devices, of which number 1 is the current one."""

    def local(x, device=None):
        wanted = 1 if device is None else device
        return x if x.device == wanted else numbered(x, wanted)

    loaded = list(backends._loaded)
    backend = Backend(
        "Several",
        (Numbered,),
        numpy,
        device="several",
        from_host=lambda x: numbered(x, 1),
        to_host=lambda x: numpy.array(x.view(numpy.ndarray)),
        local=local,
    )
    backends._loaded[:] = [backend, *loaded]
    yield backend
    backends._loaded[:] = loaded


def test_to_device_brings_arrays_to_the_current_one(several):
    tree = [numbered([1.0], 0), numbered([2.0], 1), X, 3]
    there = to_device(tree, "several")
    assert [x.device for x in there[:3]] == [1, 1, 1]
    assert there[1] is tree[1]
    assert there[0].tolist() == [1.0]
    assert there[3] == 3


def test_cotangents_go_back_to_the_device_they_came_from(several):
    out, pull = vjp(lambda x: to_device(x, "several"), numbered([1.0, 2.0], 0))
    assert out.value.device == 1
    (g,) = pull(numbered([1.0, 10.0], 1))
    assert g.device == 0
    assert g.tolist() == [1.0, 10.0]
    out, pull = vjp(lambda x: move(x, NUMPY), numbered([1.0, 2.0], 0))
    assert type(out.value) is numpy.ndarray
    (g,) = pull(X)
    assert g.device == 0


def test_a_numbered_gpu_is_refused_with_the_way_to_choose_it():
    with pytest.raises(ValueError, match=r"'cuda:1'.*with cupy.cuda.Device\(1\).*'cuda'"):
        to_device(X, "cuda:1")


def test_a_cpu_writes_nothing_down():
    assert not NUMPY.capturing()
