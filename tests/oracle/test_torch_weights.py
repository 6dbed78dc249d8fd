"""Weights that go between PyTorch's modules and ours, in memory and in safetensors files."""

import numpy
import pytest

import backpass.numpy as np
from backpass import nn

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
theirs = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")


class Ours(nn.Module):
    def __init__(self):
        self.layers = [nn.Linear(5, 4), nn.Linear(4, 5, bias=False)]
        self.count = nn.Buffer(numpy.array(3))
        self.mask = nn.Buffer(numpy.array([True, False]))

    def forward(self, x):
        return self.layers[1](np.tanh(self.layers[0](x)))


class Theirs(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = torch.nn.ModuleList(
            [torch.nn.Linear(5, 4), torch.nn.Linear(4, 5, bias=False)]
        )
        self.register_buffer("count", torch.tensor(4))
        self.register_buffer("mask", torch.tensor([False, True]))

    def forward(self, x):
        return self.layers[1](torch.tanh(self.layers[0](x)))


@pytest.fixture(params=["float32", "float64", "float16"])
def models(request):
    return Ours().to(request.param), Theirs().to(getattr(torch, request.param))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights.safetensors"


def assert_same(ours, other):
    """Assert that two models have the same names and bits, and compute the same."""
    a, b = ours.state_dict(), other.state_dict()
    assert a.keys() == b.keys()
    for name, x in a.items():
        numpy.testing.assert_array_equal(x, b[name].numpy(), strict=True)
    if ours.layers[0].weight.dtype != "float16":  # PyTorch rounds sums of those differently
        x = numpy.random.default_rng(0).standard_normal((3, 5)).astype(a["layers.0.weight"].dtype)
        expected = other(torch.from_numpy(x)).detach().numpy()
        numpy.testing.assert_allclose(ours(np.array(x)).value, expected, rtol=1e-4, atol=1e-6)


def test_pytorchs_state_dict_loads_here(models):
    ours, other = models
    ours.load_state_dict(other.state_dict())
    assert_same(ours, other)


def test_our_state_dict_loads_in_pytorch(models):
    ours, other = models
    other.load_state_dict(
        {name: torch.from_numpy(numpy.asarray(x)) for name, x in ours.state_dict().items()}
    )
    assert_same(ours, other)


def test_pytorchs_file_loads_here(models, path):
    ours, other = models
    theirs.save_file(other.state_dict(), path, metadata={"format": "pt"})
    assert nn.load_into(ours, path) == ((), ())
    assert nn.load_metadata(path) == {"format": "pt"}
    assert_same(ours, other)


def test_our_file_loads_in_pytorch(models, path):
    ours, other = models
    nn.save(ours, path)
    other.load_state_dict(theirs.load_file(path))
    assert_same(ours, other)


def test_tied_weights_go_both_ways(path):
    def tied(model):
        model.layers[1].weight = model.layers[0].weight
        return model

    class Square(Ours):
        def __init__(self):
            self.layers = [nn.Linear(4, 4), nn.Linear(4, 4)]

    class TheirSquare(Theirs):
        def __init__(self):
            torch.nn.Module.__init__(self)
            self.layers = torch.nn.ModuleList([torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)])

    ours, other = tied(Square()), tied(TheirSquare())
    nn.save(ours, path)
    assert theirs.load_model(other, path) == (set(), [])
    for name, x in ours.state_dict().items():
        numpy.testing.assert_array_equal(x, other.state_dict()[name].numpy())
    other, ours = tied(TheirSquare()), tied(Square())
    theirs.save_model(other, path)
    assert nn.load_into(ours, path) == ((), ())
    for name, x in ours.state_dict().items():
        numpy.testing.assert_array_equal(x, other.state_dict()[name].numpy())


DTYPES = "bool uint8 int8 int16 int32 int64 float16 float32 float64 complex64".split()


@pytest.mark.parametrize("shape", [(), (0, 2), (3, 4)], ids=str)
def test_every_dtype_goes_both_ways(path, shape):
    random = numpy.random.default_rng(0)
    arrays = {name: numpy.asarray(random.integers(0, 9, shape)).astype(name) for name in DTYPES}
    nn.save(arrays, path)
    found = theirs.load_file(path)
    assert found.keys() == arrays.keys()
    for name, x in arrays.items():
        numpy.testing.assert_array_equal(found[name].numpy(), x, strict=True)
    theirs.save_file(found, path)
    for name, x in nn.load(path).items():
        numpy.testing.assert_array_equal(x, arrays[name], strict=True)


def test_bfloat16_is_read_exactly(path):
    x = torch.randn(1000, generator=torch.Generator().manual_seed(0)).bfloat16().reshape(10, 100)
    x[0, :3] = torch.tensor([float("nan"), float("-inf"), -0.0])
    theirs.save_file({"first": torch.ones(3), "x": x}, path)
    numpy.testing.assert_array_equal(nn.load(path)["x"], x.float().numpy(), strict=True)


def test_pytorchs_own_files_are_not_read(path):
    torch.save(Theirs().state_dict(), path)
    with pytest.raises(nn.CorruptFileError, match="is a zip archive, as torch"):
        nn.load(path)
