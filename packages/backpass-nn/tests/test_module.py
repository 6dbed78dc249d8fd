"""Modules: their tree, both ways to their gradients, state, and what goes wrong."""

import copy
import os
import pickle
import subprocess
import sys

import numpy
import pytest

import backpass.numpy as np
from backpass import nn
from backpass.core import Tensor, checkpoint, grad, jvp, no_grad, to_device, tree, value_and_grad
from backpass.core.segments import running_again
from backpass.core.testing import check_grads


class Block(nn.Module):
    def __init__(self, n):
        self.inner = nn.Linear(n, n)
        self.scale = nn.Parameter(numpy.full(n, 2.0, numpy.float32))
        self.calls = nn.Buffer(0)

    def forward(self, x):
        self.calls.value = self.calls.value + 1
        return np.tanh(self.inner(x)) * self.scale


class Model(nn.Module):
    def __init__(self):
        self.name = "a model"
        self.rate = 0.5
        self.table = np.array([1.0, 2.0])  # a constant, although it is a Tensor
        self.blocks = [Block(3), Block(3)]
        self.heads = {"a": nn.Linear(3, 2), "b": (nn.Linear(3, 1, bias=False), None)}

    def forward(self, x):
        for block in self.blocks:
            x = block(x)
        return np.sum(self.heads["a"](x)) + np.sum(self.heads["b"][0](x)) * self.rate


NAMES = [
    "blocks.0.inner.weight",
    "blocks.0.inner.bias",
    "blocks.0.scale",
    "blocks.1.inner.weight",
    "blocks.1.inner.bias",
    "blocks.1.scale",
    "heads.a.weight",
    "heads.a.bias",
    "heads.b.0.weight",
]


@pytest.fixture
def model():
    nn.seed(3)
    return Model()


@pytest.fixture
def x():
    return np.array(numpy.random.default_rng(0).standard_normal((4, 3)), dtype=np.float32)


def test_the_parameters_are_found_in_attributes_lists_tuples_and_dicts(model):
    assert [name for name, _ in model.named_parameters()] == NAMES
    assert [name for name, _ in model.named_buffers()] == ["blocks.0.calls", "blocks.1.calls"]
    assert all(isinstance(p, nn.Parameter) and p.dtype == numpy.float32 for p in model.parameters())
    kinds = [(name, type(m).__name__) for name, m in model.named_modules()]
    assert kinds == [
        ("", "Model"),
        ("blocks.0", "Block"),
        ("blocks.0.inner", "Linear"),
        ("blocks.1", "Block"),
        ("blocks.1.inner", "Linear"),
        ("heads.a", "Linear"),
        ("heads.b.0", "Linear"),
    ]


def test_both_ways_give_the_same_gradients(model, x):
    model(x).backward()
    stored = {name: p.grad for name, p in model.named_parameters()}
    assert all(g is not None and g.dtype == numpy.float32 for g in stored.values())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())

    value, gradient = value_and_grad(lambda m, x: m(x), argnums=0)(model, x)
    assert all(p.grad is None for p in model.parameters())
    assert value.tracked is False
    assert type(gradient) is Model
    assert gradient.name == "a model"
    found = dict(gradient.named_parameters())
    assert list(found) == NAMES
    for name, g in stored.items():
        assert type(found[name]) is numpy.ndarray
        numpy.testing.assert_array_equal(found[name], g)
    assert gradient.blocks[0].calls is None  # a Buffer has no gradient


def test_grad_of_the_origin_adds_to_grad_of_a_module(model, x):
    gradient = grad(lambda m: m(x))(model)
    assert model.heads["a"].weight.grad is not None
    numpy.testing.assert_array_equal(model.heads["a"].weight.grad, gradient.heads["a"].weight)


def test_what_a_module_writes_into_a_buffer_reaches_the_callers_model(model, x):
    value_and_grad(lambda m, x: m(x), argnums=0)(model, x)
    assert model.blocks[1].calls.value == 1
    model(x)
    assert model.blocks[1].calls.value == 2


def test_shared_weights_have_one_gradient_and_stay_shared(x):
    class Tied(nn.Module):
        def __init__(self):
            self.first = nn.Linear(3, 3, bias=False)
            self.second = nn.Linear(3, 3, bias=False)
            self.second.weight = self.first.weight

        def forward(self, x):
            return np.sum(np.tanh(self.second(np.tanh(self.first(x)))))

    model = Tied()
    assert [name for name, _ in model.named_parameters()] == ["first.weight"]
    assert list(model.state_dict()) == ["first.weight", "second.weight"]
    model(x).backward()
    gradient = value_and_grad(lambda m: m(x), argnums=0)(model)[1]
    numpy.testing.assert_array_equal(gradient.first.weight, model.first.weight.grad)
    assert gradient.second.weight is gradient.first.weight
    moved = tree.map(lambda w, g: Tensor(w.value - g), model, gradient)
    assert moved.second.weight is moved.first.weight
    assert len(tree.leaves(moved)) == 1
    with pytest.raises(ValueError, match=r"second.weight` is shared with `first.weight`"):
        model.load_state_dict(
            {"first.weight": numpy.zeros((3, 3)), "second.weight": numpy.ones((3, 3))}
        )
    model.load_state_dict({"second.weight": numpy.ones((3, 3))})
    assert (model.first.weight.value == 1).all()


def test_a_module_twice_in_a_model_is_one(x):
    class Twice(nn.Module):
        def __init__(self):
            self.layers = [nn.Linear(3, 3)] * 2

        def forward(self, x):
            return np.sum(self.layers[1](self.layers[0](x)))

    model = Twice()
    assert len(list(model.modules())) == 2
    inner = []
    value_and_grad(lambda m: (inner.append(m), m(x))[1], argnums=0)(model)
    assert inner[0].layers[0] is inner[0].layers[1]
    assert inner[0] is not model


def test_derivatives_of_higher_order_and_forward_mode(model):
    model.to("float64")
    data = np.array(numpy.random.default_rng(0).standard_normal((2, 3)))

    def loss(m):
        m(data)
        return np.sum(np.tanh(m.blocks[0](data)) ** 2)

    check_grads(loss, (model,))
    direction = tree.map(lambda t: None if t.constant else numpy.ones(t.shape), model)
    slope = jvp(loss, (model,), (direction,))[1]
    gradient = grad(loss, argnums=0)(model)
    wanted = sum(g.sum() for g in gradient.parameters())
    numpy.testing.assert_allclose(slope, wanted, rtol=1e-12)


def test_frozen_parameters_are_constants_but_stay(model, x):
    model.blocks[0].freeze()
    model(x).backward()
    assert model.blocks[0].scale.grad is None
    assert model.blocks[1].scale.grad is not None
    gradient = value_and_grad(lambda m: m(x), argnums=0)(model)[1]
    assert gradient.blocks[0].scale is None
    assert gradient.blocks[1].scale is not None
    assert [name for name, _ in model.named_parameters()] == NAMES
    assert "blocks.0.scale" in model.state_dict()
    assert "requires_grad=False" in repr(model.blocks[0].scale)
    model.unfreeze()
    assert value_and_grad(lambda m: m(x), argnums=0)(model)[1].blocks[0].scale is not None


def test_the_structure_is_that_of_the_names(model):
    leaves, structure = tree.flatten(model)
    again = tree.unflatten(structure, leaves)
    assert tree.flatten(again)[1] == structure
    assert again.blocks[0].scale is model.blocks[0].scale
    assert tree.flatten(Block(3))[1] != structure
    with pytest.raises(ValueError, match="structures differ"):
        tree.map(lambda a, b: a, model, Block(3))


def test_train_and_eval_reach_every_module(model):
    assert all(m.training for m in model.modules())
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    assert (
        value_and_grad(lambda m: (m.blocks[0].training, np.sum(m.blocks[0].scale))[1], argnums=0)(
            model
        )[0]
        == 6
    )
    model.train()
    assert all(m.training for m in model.modules())


def test_a_state_is_loaded_whole_or_not_at_all(model):
    state = model.state_dict()
    assert list(state)[:4] == [*NAMES[:3], "blocks.0.calls"]
    other = Model()
    assert other.load_state_dict(state) == ((), ())
    for name, value in other.state_dict().items():
        numpy.testing.assert_array_equal(value, state[name])
    state["blocks.0.scale"][:] = 7  # a copy
    assert (other.blocks[0].scale.value == 2).all()
    assert (model.blocks[0].scale.value == 2).all()

    before = other.state_dict()
    wrong = dict(state)
    del wrong["heads.a.bias"]
    wrong["extra"] = numpy.zeros(1)
    wrong["blocks.1.scale"] = numpy.zeros(4)
    wrong["heads.a.weight"] = numpy.zeros((2, 3), complex)
    with pytest.raises(ValueError, match="does not fit Model, which has 11 names") as caught:
        other.load_state_dict(wrong)
    for words in (
        "`heads.a.bias` is missing",
        "`extra` is not expected",
        "`blocks.1.scale` has the shape (4,), where the model has (3,)",
        "`heads.a.weight` holds complex128, where the model has float32",
    ):
        assert words in str(caught.value)
    for name, value in other.state_dict().items():
        numpy.testing.assert_array_equal(value, before[name])
    del wrong["heads.a.weight"], wrong["blocks.1.scale"]
    found = other.load_state_dict(wrong, strict=False)
    assert found.missing == ("blocks.1.scale", "heads.a.weight", "heads.a.bias")
    assert found.unexpected == ("extra",)
    assert (other.blocks[0].scale.value == 7).all()
    assert other.blocks[0].scale.requires_grad


def test_to_converts_floats_in_place(model, x):
    model(x).backward()
    kept = model.blocks[0].scale
    assert model.to(numpy.float64) is model
    assert model.blocks[0].scale is kept
    assert {p.dtype for p in model.parameters()} == {numpy.dtype("float64")}
    assert model.blocks[0].calls.dtype.kind == "i"
    assert kept.grad.dtype == numpy.float64
    model.zero_grad()
    model(x.astype(float)).backward()
    assert kept.grad.dtype == numpy.float64
    model.to("cpu", "float32")
    assert kept.dtype == numpy.float32
    with pytest.raises(TypeError, match="int32 is not a dtype of floats"):
        model.to(numpy.int32)
    with pytest.raises(TypeError, match="neither a device"):
        model.to("gpu")
    with pytest.raises(ValueError, match="CuPy's current device"):
        model.to("cuda:1")


def test_to_device_makes_another_model(model, x):
    moved = to_device(model, "cpu")
    assert moved is not model
    assert type(moved.blocks[0].calls) is nn.Buffer
    moved(x).backward()
    assert model.blocks[0].scale.grad is not None


def test_an_error_names_the_layer_by_its_path(model):
    with pytest.raises(nn.LayerError) as caught:
        model(np.ones((2, 5)))
    assert str(caught.value) == (
        "blocks.0.inner (Linear(3, 3)): expected an input of shape (..., 3), got (2, 5)"
    )
    again = pickle.loads(pickle.dumps(caught.value))
    assert str(again) == str(caught.value)
    with pytest.raises(nn.LayerError, match=r"^Linear\(3, 2\): expected"):
        nn.Linear(3, 2)(np.ones(2))


def test_another_error_has_the_path_in_a_note(model):
    model.blocks[1].inner.forward = lambda x: 1 // 0
    with pytest.raises(ZeroDivisionError) as caught:
        model(np.ones((2, 3)))
    assert caught.value.__notes__ == ["in blocks.1.inner (Linear(3, 3))"]


def test_a_module_shows_its_parts(model):
    assert repr(model) == (
        "Model(\n"
        "  blocks.0: Block(scale: (3,), calls: ()\n"
        "    inner: Linear(3, 3)\n"
        "  )\n"
        "  blocks.1: Block(scale: (3,), calls: ()\n"
        "    inner: Linear(3, 3)\n"
        "  )\n"
        "  heads.a: Linear(3, 2)\n"
        "  heads.b.0: Linear(3, 1, bias=False)\n"
        ")"
    )


def test_copies_are_independent(model, x):
    for made in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert made.blocks[0].scale is not model.blocks[0].scale
        assert made.blocks[0].scale.requires_grad
        numpy.testing.assert_array_equal(made(x).value, model(x).value)
        made(x).backward()
        assert model.blocks[0].scale.grad is None
        assert made.blocks[0].scale.grad is not None


def test_a_module_without_forward_and_a_set_of_parameters_are_refused():
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no method `forward`"):
        Empty()(1)
    made = Empty()
    made.weights = {nn.Parameter(1.0)}
    with pytest.raises(TypeError, match="`weights` is a set that holds a Parameter"):
        list(made.parameters())


def test_a_graph_is_not_kept_by_a_model_and_no_grad_records_nothing(model, x):
    with no_grad():
        assert not model(x).tracked
    assert model(x).tracked


def test_parameters_and_buffers():
    values = numpy.array([1.0, 2.0])
    w = nn.Parameter(values)
    values[0] = 5
    assert w.value[0] == 1
    assert w.requires_grad
    assert repr(w) == "Parameter([1., 2.])"
    assert (
        repr(nn.Parameter(values, requires_grad=False))
        == "Parameter([5., 2.], requires_grad=False)"
    )
    with pytest.raises(TypeError, match="holds int64"):
        nn.Parameter([1, 2])
    b = nn.Buffer([1, 2])
    assert not b.requires_grad
    with pytest.raises(TypeError, match="a Buffer is not trained"):
        b.requires_grad_()
    gradient = grad(lambda w, b: np.sum(w * b[0]), argnums=0)(w, nn.Buffer([3.0]))
    numpy.testing.assert_array_equal(gradient, [3.0, 3.0])
    big = nn.Parameter(numpy.array([1.0], dtype=">f8"))
    assert big.dtype.isnative


def test_a_seed_decides_initial_weights():
    nn.seed(5)
    first = nn.Linear(4, 3).state_dict()
    nn.seed(5)
    for name, value in nn.Linear(4, 3).state_dict().items():
        numpy.testing.assert_array_equal(value, first[name])
    assert not numpy.array_equal(nn.Linear(4, 3).weight.value, first["weight"])
    with pytest.raises(ValueError, match="below 2"):
        nn.seed(-1)


@pytest.mark.parametrize("engine", ["compiled", "python"])
def test_arithmetic_takes_a_parameter_for_a_tensor(engine):
    program = """
import numpy, backpass.numpy as np
from backpass import nn
from backpass.core import Tensor, grad
w, b = nn.Parameter(numpy.array([1, 2], "f")), nn.Buffer(numpy.array([3, 4], "f"))
for make in (lambda w: -w, lambda w: w + w, lambda w: 2 * w, lambda w: w * b, lambda w: b - w,
             lambda w: w @ b, lambda w: np.where(b > 3, w, 0), lambda w: w[:1], np.exp, np.sum,
             lambda w: w + [1, 2], lambda w: numpy.ones(2, "f") * w):
    out = make(w)
    plain = make(Tensor(w.value).requires_grad_())
    assert type(out) is type(plain) is Tensor, type(out)
    assert out.dtype == plain.dtype and (out.value == plain.value).all()
    w.grad = None
    np.sum(out).backward()
    wanted = grad(lambda w: np.sum(make(w)), argnums=0)(Tensor(w.value))
    assert w.grad.dtype == numpy.float32 and (w.grad == wanted).all()
"""
    environment = {**os.environ, "BACKPASS_ENGINE": engine}
    subprocess.run([sys.executable, "-c", program], check=True, env=environment)


def test_what_is_computed_anew_draws_the_same_keys(x):
    keys, again = [], []

    def layer(x):
        keys.append(nn.random.next_key())
        again.append(running_again())
        return np.sin(x) * (1 + keys[-1][1])

    nn.seed(4)
    nn.random.next_key()
    gradient = grad(lambda x: np.sum(checkpoint(layer)(x) + checkpoint(layer)(x)))(x)
    assert keys[:2] == [(4, 1), (4, 2)]
    assert sorted(keys[2:]) == keys[:2]
    assert again == [False, False, True, True]
    assert nn.random.next_key() == (4, 3)
    numpy.testing.assert_allclose(gradient, numpy.cos(x.value) * 5, rtol=1e-6)
