"""Loaders, collation and transforms of images against PyTorch's."""

import numpy as np
import pytest
import torch

from backpass.nn.data import ArrayDataset, DataLoader, collate
from backpass.nn.data.transforms import RandomRotation, one_hot


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return rng.random((23, 3, 5), np.float32), rng.integers(0, 10, 23)


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("batch_size", [1, 4, 23, 50])
def test_batches_are_pytorch_s(arrays, batch_size, drop_last):
    if drop_last and batch_size > 23:
        pytest.skip("PyTorch gives no batch, Backpass an error")
    expected = torch.utils.data.DataLoader(
        torch.utils.data.TensorDataset(*map(torch.from_numpy, arrays)),
        batch_size,
        drop_last=drop_last,
    )
    found = DataLoader(ArrayDataset(*arrays), batch_size, drop_last=drop_last, workers=2)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert np.array_equal(a, b.numpy())
            assert a.dtype == b.numpy().dtype


def test_collation_is_pytorch_s_but_for_the_precision_of_floats(arrays):
    x, y = arrays
    items = [
        {"x": x[i], "y": (int(y[i]), y[i], bool(i % 2)), "f": i / 4, "s": str(i)} for i in range(5)
    ]
    ours, theirs = collate(items), torch.utils.data.default_collate(items)
    assert np.array_equal(ours["x"], theirs["x"].numpy())
    for a, b in zip(ours["y"], theirs["y"], strict=True):
        assert np.array_equal(a, b.numpy())
        assert a.dtype == b.numpy().dtype
    assert np.array_equal(ours["f"], theirs["f"].numpy())
    assert (ours["f"].dtype, theirs["f"].dtype) == (np.float32, torch.float64)
    assert ours["s"] == theirs["s"]


@pytest.mark.parametrize("degrees", [-120, -10, 0, 33, 90, 179])
def test_rotations_are_pytorch_s(degrees):
    images = np.random.default_rng(0).random((2, 3, 9, 9))
    angle = np.radians(degrees)
    turn = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]]
    grid = torch.nn.functional.affine_grid(
        torch.tensor([turn, turn]), images.shape, align_corners=False
    )
    expected = torch.nn.functional.grid_sample(
        torch.from_numpy(images), grid, mode="bilinear", align_corners=False
    )
    found = RandomRotation((degrees, degrees))(images)
    assert np.allclose(found, expected.numpy(), rtol=0, atol=1e-9)


def test_vectors_of_labels_are_pytorch_s(arrays):
    labels = arrays[1]
    expected = torch.nn.functional.one_hot(torch.from_numpy(labels), 10)
    assert np.array_equal(one_hot(labels, 10, np.int64), expected.numpy())
