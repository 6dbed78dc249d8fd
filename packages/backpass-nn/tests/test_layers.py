"""The layers: shapes, names of weights, what they refuse, and that they are their functions."""

import copy
import pickle

import numpy
import pytest

import backpass.numpy as np
from backpass import nn
from backpass.core import value_and_grad
from backpass.nn import functional
from backpass.nn.layers import activations


def normal(*shape):
    return np.array(numpy.random.default_rng(0).standard_normal(shape), dtype=np.float32)


# ----- activations -----

SETTINGS = {
    "LeakyReLU": (0.3,),
    "ELU": (0.5,),
    "CELU": (0.5,),
    "GELU": ("tanh",),
    "Softplus": (2.0, 1.0),
    "Hardtanh": (-0.5, 0.7),
    "Softmax": (0,),
    "LogSoftmax": (0,),
    "GLU": (0,),
}
PLAIN = [name for name in activations.__all__ if name != "PReLU"]


@pytest.mark.parametrize("name", PLAIN)
def test_an_activation_is_its_function_and_takes_its_settings(name):
    kind, x = getattr(nn, name), normal(4, 6)
    layer, function = kind(), kind.function
    numpy.testing.assert_array_equal(layer(x).value, function(x).value)
    assert ("__init__" in vars(kind)) == (name in SETTINGS)
    if name in SETTINGS:
        changed = kind(*SETTINGS[name])
        found = changed(x).value
        numpy.testing.assert_array_equal(found, function(x, *SETTINGS[name]).value)
        assert found.shape != layer(x).shape or (found != layer(x).value).any()
        assert repr(SETTINGS[name][0]) in repr(changed)


@pytest.mark.parametrize("count", [1, 3])
def test_prelu_learns_its_slopes(count):
    layer, x = nn.PReLU(count, init=0.5), normal(2, 3, 4)
    numpy.testing.assert_array_equal(layer(x).value, numpy.where(x.value > 0, x.value, x.value / 2))
    np.sum(layer(x)).backward()
    below = numpy.minimum(x.value, 0)
    wanted = below.sum() if count == 1 else below.sum((0, 2))
    numpy.testing.assert_allclose(layer.weight.grad, numpy.reshape(wanted, count), rtol=1e-5)
    assert repr(layer) == f"PReLU({count})"


# ----- dense, convolution, pooling, embedding -----


def test_linear_is_its_function_with_and_without_bias():
    layer, x = nn.Linear(3, 2), normal(5, 4, 3)
    wanted = x.value @ layer.weight.value.T + layer.bias.value
    numpy.testing.assert_allclose(layer(x).value, wanted, rtol=1e-5)
    assert abs(layer.weight.value).max() <= 1 / numpy.sqrt(3)
    bare = nn.Linear(3, 2, bias=False, init=nn.initialisers.ones)
    assert bare.bias is None
    assert list(bare.state_dict()) == ["weight"]
    numpy.testing.assert_allclose(bare(x).value[..., 0], x.value.sum(-1), rtol=1e-5)


@pytest.mark.parametrize(
    ("layer", "shape", "out", "weights"),
    [
        (nn.Conv1d(3, 8, 5, stride=2), (2, 3, 16), (2, 8, 6), (8, 3, 5)),
        (nn.Conv2d(4, 6, (3, 2), padding=1, groups=2), (2, 4, 7, 5), (2, 6, 7, 6), (6, 2, 3, 2)),
        (nn.Conv2d(1, 2, 3, padding="same", dilation=2), (1, 1, 9, 9), (1, 2, 9, 9), (2, 1, 3, 3)),
    ],
)
def test_a_convolution_is_its_function(layer, shape, out, weights):
    x = normal(*shape)
    function = functional.conv1d if len(shape) == 3 else functional.conv2d
    y = layer(x)
    assert y.shape == out
    assert layer.weight.shape == weights
    assert y.dtype == numpy.float32
    options = (layer.stride, layer.padding, layer.dilation, layer.groups)
    wanted = function(x, layer.weight, layer.bias, *options)
    numpy.testing.assert_array_equal(y.value, wanted.value)
    y.sum().backward()
    assert layer.bias.grad.shape == (weights[0],)


def test_a_convolution_says_what_is_wrong_with_its_sizes():
    with pytest.raises(ValueError, match="`groups` is 2, but it must divide in_channels, 3"):
        nn.Conv2d(3, 4, 3, groups=2)
    with pytest.raises(ValueError, match="Conv2d: `out_channels` is 0"):
        nn.Conv2d(3, 0, 3)
    with pytest.raises(ValueError, match="Conv1d: `kernel_size` is 0"):
        nn.Conv1d(3, 4, 0)
    with pytest.raises(ValueError, match=r"`kernel_size` is 2\.5"):
        nn.Conv1d(3, 4, 2.5)
    with pytest.raises(ValueError, match=r"`kernel_size` is \(1, 2, 3\)"):
        nn.Conv2d(3, 4, (1, 2, 3))


def test_the_sizes_of_a_convolution_may_be_numpys_integers():
    layer = nn.Conv2d(4, 6, numpy.int64(3), groups=numpy.int64(2))
    assert layer.weight.shape == (6, 2, 3, 3)
    assert layer(normal(1, 4, 5, 5)).shape == (1, 6, 3, 3)
    assert nn.Conv1d(1, 2, [4]).weight.shape == (2, 1, 4)


def test_a_convolution_shows_what_is_not_usual():
    assert repr(nn.Conv2d(3, 4, 5)) == "Conv2d(3, 4, kernel_size=5)"
    made = nn.Conv2d(4, 4, (3, 5), stride=2, padding="valid", groups=4, bias=False)
    assert repr(made) == (
        "Conv2d(4, 4, kernel_size=(3, 5), stride=2, padding='valid', groups=4, bias=False)"
    )


@pytest.mark.parametrize(
    ("layer", "function", "options"),
    [
        (nn.MaxPool1d(3, 2, 1), functional.max_pool1d, (3, 2, 1)),
        (nn.MaxPool2d(2), functional.max_pool2d, (2,)),
        (nn.AvgPool1d(2, count_include_pad=False, padding=1), functional.avg_pool1d, (2, None, 1)),
        (nn.AvgPool2d((2, 3), 1), functional.avg_pool2d, ((2, 3), 1)),
        (nn.AdaptiveAvgPool1d(3), functional.adaptive_avg_pool1d, (3,)),
        (nn.AdaptiveAvgPool2d((2, 1)), functional.adaptive_avg_pool2d, ((2, 1),)),
    ],
)
def test_a_pool_is_its_function(layer, function, options):
    x = normal(*(2, 3, 7, 8)[: 2 + layer.axes])
    more = {"count_include_pad": False} if getattr(layer, "count_include_pad", 1) is False else {}
    numpy.testing.assert_array_equal(layer(x).value, function(x, *options, **more).value)
    # In training and in evaluation, and when it has been built anew inside grad.
    layer.train()
    value_and_grad(lambda m, x: np.sum(m(x)), argnums=1)(layer, x)
    assert repr(layer).startswith(f"{type(layer).__name__}(")


def test_an_embedding_looks_up_and_leaves_the_padding_alone():
    layer = nn.Embedding(5, 3, padding_idx=-1)
    assert layer.padding_idx == 4
    assert (layer.weight.value[4] == 0).all()
    out = layer([[0, 4], [0, 2]])
    numpy.testing.assert_array_equal(out.value, layer.weight.value[[[0, 4], [0, 2]]])
    out.sum().backward()
    numpy.testing.assert_array_equal(layer.weight.grad[:, 0], [2, 0, 1, 0, 0])
    assert repr(layer) == "Embedding(5, 3, padding_idx=4)"
    with pytest.raises(ValueError, match="`padding_idx` is 5, but there are 5 vectors"):
        nn.Embedding(5, 3, padding_idx=5)
    with pytest.raises(ValueError, match=r"`indices`\[0\] is 5, but `weight` has 5 rows"):
        layer([5])


# ----- containers and shapes -----


def test_sequential_runs_its_layers_in_order():
    model = nn.Sequential(nn.Linear(4, 3), np.tanh, nn.Linear(3, 2))
    assert list(model.state_dict()) == ["0.weight", "0.bias", "2.weight", "2.bias"]
    x = normal(5, 4)
    numpy.testing.assert_array_equal(model(x).value, model[2](np.tanh(model[0](x))).value)
    assert len(model) == 3
    assert model[-1] is model[2]
    assert [type(layer).__name__ for layer in model] == ["Linear", "Function", "Linear"]
    head = model[:2]
    assert head[0] is model[0]
    assert head(x).shape == (5, 3)
    gradient = value_and_grad(lambda m: np.sum(m(x)), argnums=0)(model)[1]
    assert gradient[0].weight.shape == (3, 4)
    named = nn.Sequential({"first": nn.Linear(4, 3), "act": nn.ReLU()})
    assert list(named.state_dict()) == ["first.weight", "first.bias"]
    assert named(x).shape == (5, 3)
    made = copy.deepcopy(model)
    assert made[0].weight is not model[0].weight
    with pytest.raises(TypeError, match=r"layer 0 is list.*Sequential\(\*layers\)"):
        nn.Sequential([nn.ReLU()])
    with pytest.raises(TypeError, match="layer 1 is int"):
        nn.Sequential(nn.ReLU(), 3)


def test_the_layers_of_a_slice_keep_their_names():
    model = nn.Sequential({"in": nn.Linear(4, 3), "act": nn.ReLU(), "out": nn.Linear(3, 2)})
    assert list(model[1:].state_dict()) == ["out.weight", "out.bias"]
    assert list(model[::-2].state_dict()) == ["out.weight", "out.bias", "in.weight", "in.bias"]
    assert model[1:][-1] is model[2]
    assert list(nn.Sequential(nn.ReLU(), nn.Linear(3, 2))[1:].state_dict()) == [
        "1.weight",
        "1.bias",
    ]
    assert len(model[3:]) == 0
    x = normal(3)
    assert model[3:](x) is x


@pytest.mark.parametrize("name", ["", "a.b", "forward", "training", "state_dict"])
def test_a_name_that_would_hide_something_is_refused(name):
    with pytest.raises(ValueError, match=f"a layer cannot be named '{name}'"):
        nn.Sequential({"first": nn.ReLU(), name: nn.ReLU()})


LAYERS = [
    nn.Linear(3, 2),
    nn.Conv1d(3, 2, 1),
    nn.Conv2d(3, 2, 1, bias=False),
    nn.Embedding(4, 3, padding_idx=1),
    nn.PReLU(3),
    nn.MaxPool2d(2, 1),
    nn.AvgPool1d(3, padding=1, count_include_pad=False),
    nn.AdaptiveAvgPool2d(1),
    nn.Softplus(2.0),
    nn.Flatten(0, 1),
    nn.Sequential({"a": nn.Linear(3, 2), "b": numpy.tanh}),
]


@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: type(layer).__name__)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_a_copy_is_the_same_layer_with_weights_of_its_own(layer, copied):
    made = copied(layer)
    assert repr(made) == repr(layer)
    state = layer.state_dict()
    assert list(made.state_dict()) == list(state)
    for x in made.parameters():
        x.value = x.value + 1
    for name, x in made.state_dict().items():
        numpy.testing.assert_array_equal(layer.state_dict()[name], state[name])
        numpy.testing.assert_array_equal(x, state[name] + 1)


def test_flatten_makes_one_axis_of_several():
    x = normal(2, 3, 4, 5)
    assert nn.Flatten()(x).shape == (2, 60)
    assert nn.Flatten(0)(x).shape == (120,)
    assert nn.Flatten(1, 2)(x).shape == (2, 12, 5)
    assert nn.Flatten(-2)(x).shape == (2, 3, 20)
    with pytest.raises(nn.LayerError, match=r"^Flatten\(1, -1\): expected an input with the axes"):
        nn.Flatten()(normal(3))


def test_identity_returns_its_input():
    x = normal(2)
    assert nn.Identity()(x) is x


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.Linear(3, 2), (4,), r"expected an input of shape \(\.\.\., 3\), got \(4,\)"),
        (nn.Conv2d(3, 2, 1), (1, 4, 5, 5), r"of shape \(batch, 3, height, width\), got \(1, 4"),
        (nn.Conv1d(3, 2, 1), (3, 5), r"of shape \(batch, 3, length\), got \(3, 5\)"),
        (nn.MaxPool2d(2), (3, 4), r"of shape \(batch, channels, height, width\), got \(3, 4\)"),
        (nn.AvgPool1d(2), (4,), r"of shape \(batch, channels, length\), got \(4,\)"),
    ],
)
def test_an_input_that_does_not_fit_is_refused_by_the_layers_path(layer, shape, message):
    model = nn.Sequential(nn.Identity(), nn.Sequential(layer))
    with pytest.raises(nn.LayerError, match=rf"^1\.0 \({type(layer).__name__}.*{message}"):
        model(normal(*shape))


@pytest.mark.parametrize("layer", [nn.Conv2d(1, 1, 5), nn.MaxPool2d(5)])
def test_an_error_of_a_function_says_in_which_layer_it_arose(layer):
    model = nn.Sequential(nn.Identity(), nn.Sequential({"deep": layer}))
    with pytest.raises(
        ValueError, match="the window spans 5 elements, the input has only 3"
    ) as info:
        model(normal(1, 1, 3, 3))
    assert any("1.deep" in note for note in info.value.__notes__)
