"""What a function reaches is found, and changes of it are noticed; no GPU is needed for that."""

import dataclasses
import functools
from types import ModuleType, SimpleNamespace

import numpy
import pytest

import backpass.numpy as np
from backpass.core import grad
from backpass.cupy.reach import Reached

GLOBAL = np.array([1.0])
RATE = 0.1
MODULE = ModuleType("somebodys_module")
MODULE.weights = {"w": np.array([2.0])}


def by_global():
    return GLOBAL * RATE


def by_another_function():
    return by_global()


def by_a_module():
    return MODULE.weights


def by_a_function_inside():
    return [GLOBAL for _ in range(3)]


class Model:
    shared = np.array([3.0])

    def __init__(self, w):
        self.w = w

    def method(self, x):
        return self.w * x * GLOBAL

    @property
    def both(self):
        return self.w, GLOBAL


@dataclasses.dataclass
class Layer:
    weight: object

    def __call__(self, x):
        return self.weight * x


class Slotted:
    __slots__ = ("w",)

    def __init__(self, w):
        self.w = w


def closure(w):
    return lambda x: x * w


W = np.array([4.0])


def holder(w):
    """Return ways to reach a Tensor."""

    def by_default(x, w=w):
        return x

    def by_keyword(x, *, w=w):
        return x

    def by_attribute(x):
        return x

    by_attribute.weights = [w]
    return {
        "closure": closure(w),
        "list": closure([(w,), {"a": {w}}]),
        "default": by_default,
        "keyword": by_keyword,
        "attribute": by_attribute,
        "partial": functools.partial(lambda w, x: x, w),
        "method": Model(w).method,
        "object": closure(Model(w)),
        "dataclass": Layer(w),
        "slots": closure(Slotted(w)),
        "namespace": closure(SimpleNamespace(a=[w])),
        "gradient": grad(closure(w)),
        "cached": functools.lru_cache(closure(w)),
        "wrapped": functools.wraps(len)(closure(w)),
        "nested": closure(closure(closure(w))),
        "generator": closure(x for x in [w]),
    }


@pytest.mark.parametrize("name", holder(W))
def test_a_tensor_is_found(name):
    w = np.array([5.0])
    found = Reached([holder(w)[name]])
    assert id(w) in found.tensors
    assert found.stays()


GLOBALS = {
    "a global name": (by_global, GLOBAL),
    "one of another function's": (by_another_function, GLOBAL),
    "one of a module's": (by_a_module, MODULE.weights["w"]),
    "one inside": (by_a_function_inside, GLOBAL),
    "one of a method's": (Model(W).method, GLOBAL),
    "an attribute of a class": (Model(W).method, Model.shared),
    "one of an object's": (closure(Model(W)), GLOBAL),
}


@pytest.mark.parametrize("name", GLOBALS)
def test_a_global_tensor_is_found(name):
    function, tensor = GLOBALS[name]
    assert id(tensor) in Reached([function]).tensors


def test_the_arrays_themselves_are_not_held():
    optimizers = pytest.importorskip("backpass.nn.optimizers")
    w = np.array(numpy.ones(1000))
    run = optimizers.sgd_momentum([w], 0.1)
    w.writable()
    address = w.value.ctypes.data
    found = Reached([run])
    assert id(w) in found.tensors
    w.grad = numpy.ones(1000)
    run()
    assert w.value.ctypes.data == address  # in place
    assert found.stays()


def test_an_optimizers_tensors_are_found_and_its_counter_is_its_own_business():
    optimizers = pytest.importorskip("backpass.nn.optimizers")
    w, rate = np.array(numpy.ones(3)), np.array(0.1)
    found = Reached([run := optimizers.sgd_momentum([w], rate)])
    assert {id(w), id(rate)} <= found.tensors.keys()
    run()
    assert found.stays()


def test_a_gradient_a_scalar_and_a_name_are_watched(monkeypatch):
    w, s = np.array([1.0]), np.array(1.0)
    found = Reached([closure((w, s)), by_global])
    assert found.stays()
    w.grad = numpy.ones(1)
    assert not found.stays()
    w.grad = None
    assert found.stays()
    s[...] = 2.0
    assert not found.stays()

    found = Reached([by_another_function])
    assert found.stays()
    monkeypatch.setitem(globals(), "RATE", 0.2)
    assert not found.stays()
    monkeypatch.undo()
    assert found.stays()
    monkeypatch.setitem(globals(), "by_global", lambda: None)
    assert not found.stays()
    monkeypatch.undo()
    monkeypatch.delitem(globals(), "GLOBAL")
    assert not found.stays()


def test_a_variable_of_an_enclosing_function_is_watched():
    def outer():
        w = np.array([1.0])

        def inner():
            return w

        def change(new):
            nonlocal w
            w = new

        return inner, change

    inner, change = outer()
    found = Reached([inner])
    assert found.stays()
    change(np.array([1.0]))
    assert not found.stays()
    (held,) = Reached([inner]).tensors.values()
    assert held.name == "w"
    change(None)
    assert not Reached([inner]).tensors


def test_a_variable_that_is_not_there_yet():
    def inner():
        return later

    found = Reached([inner])
    assert found.stays()
    later = np.array([1.0])
    assert not found.stays()


def test_a_nan_is_no_change():
    s = np.array(numpy.nan)
    assert Reached([closure(s)]).stays()


def test_modules_that_know_each_other():
    one, two = ModuleType("one"), ModuleType("two")
    one.two, two.one, two.weights = two, one, np.array([6.0])
    code = "def function():\n    return one.two.one.two.weights\n"
    namespace = {"__name__": "three", "one": one}
    exec(code, namespace)
    assert id(two.weights) in Reached([namespace["function"]]).tensors


def test_libraries_are_not_searched():
    found = Reached([grad, np.tanh, numpy.linalg.norm, closure(grad(closure(np.sum)))])
    assert not found.tensors
    assert {name for _, name, _ in found.names} == {"w"}
