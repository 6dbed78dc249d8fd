"""Data sets: arrays, parts of others, several in a row, transformed ones."""

import dataclasses
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest

import backpass.numpy as bnp
from backpass.core import Tensor
from backpass.nn.data import (
    ArrayDataset,
    ConcatDataset,
    DataLoader,
    Subset,
    Transformed,
    item_generator,
    split,
)
from backpass.nn.data.dataset import fetcher


class Pair(NamedTuple):
    image: np.ndarray
    label: np.ndarray


@dataclasses.dataclass
class Sample:
    image: np.ndarray
    label: int


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (10, 3, 4), dtype=np.uint8)


# ----- arrays -----


def test_one_array_gives_its_elements(images):
    data = ArrayDataset(images)
    assert len(data) == 10
    assert np.array_equal(data[3], images[3])
    assert np.array_equal(data.fetch(np.array([4, 4, 0])), images[[4, 4, 0]])


def test_several_arrays_give_tuples(images):
    labels = np.arange(10)
    data = ArrayDataset(images, labels)
    x, y = data[7]
    assert np.array_equal(x, images[7])
    assert y == 7
    x, y = data.fetch(np.array([9, 1]))
    assert np.array_equal(x, images[[9, 1]])
    assert y.tolist() == [9, 1]


def test_a_tree_gives_trees(images):
    labels = np.arange(10)
    for tree in (Pair(images, labels), {"image": images, "label": labels}, Sample(images, labels)):
        data = ArrayDataset(tree)
        item, batch = data[2], data.fetch(np.array([2, 5]))
        assert type(item) is type(batch) is type(tree)
        if isinstance(tree, dict):
            assert list(batch) == ["image", "label"]
            item, batch = Pair(**item), Pair(**batch)
        assert np.array_equal(item.image, images[2])
        assert item.label == 2
        assert np.array_equal(batch.image, images[[2, 5]])
        assert batch.label.tolist() == [2, 5]


def test_tensors_give_tensors():
    data = ArrayDataset(bnp.array(np.arange(6.0, dtype=np.float32).reshape(3, 2)))
    batch = data.fetch(np.array([2, 0]))
    assert isinstance(batch, Tensor)
    assert batch.dtype == np.float32
    assert batch.value.tolist() == [[4, 5], [0, 1]]


@pytest.mark.parametrize("order", ["C", "F"])
def test_batches_are_copies_of_any_layout(images, order):
    kept = np.asarray(images, order=order)
    batch = ArrayDataset(kept[::-1]).fetch(np.arange(10))
    assert np.array_equal(batch, images[::-1])
    batch[:] = 0
    assert kept.any()


def test_a_mapped_file_gives_plain_arrays(tmp_path, images):
    np.save(tmp_path / "images.npy", images)
    data = ArrayDataset(np.load(tmp_path / "images.npy", mmap_mode="r"))
    batch = data.fetch(np.array([3, 1]))
    assert type(batch) is np.ndarray
    assert batch.flags.writeable
    assert np.array_equal(batch, images[[3, 1]])


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ((), "there is no array"),
        (({},), "there is no array"),
        ((np.zeros(3), 1.0), r"`arrays\[1\]` is of type float"),
        (([1, 2],), r"`array\[0\]` is of type int"),
        (({"x": np.array(1.0)},), r"`array\['x'\]` is of shape \(\)"),
        (("text",), "`array` is of type str"),
        ((np.ma.zeros(3),), "MaskedArray is not supported"),
    ],
)
def test_what_is_no_array_is_refused(arrays, words):
    with pytest.raises(TypeError, match=words):
        ArrayDataset(*arrays)


def test_arrays_of_different_lengths_are_named():
    words = r"`arrays\[1\]\['b'\]` has 4 items and `arrays\[0\]` has 3"
    with pytest.raises(ValueError, match=words):
        ArrayDataset(np.zeros(3), {"a": np.zeros(3), "b": np.zeros(4)})


# ----- parts -----


def test_a_subset_keeps_its_order_and_the_short_way(images):
    data = Subset(ArrayDataset(images), [5, 2, 2])
    assert len(data) == 3
    assert np.array_equal(data[1], images[2])
    assert np.array_equal(fetcher(data)(np.array([2, 0])), images[[2, 5]])
    nested = Subset(data, np.array([0], np.uint8))
    assert np.array_equal(fetcher(nested)(np.array([0])), images[[5]])
    assert fetcher(Subset(list(images), [1])) is None


def test_a_subset_of_nothing_is_empty():
    assert len(Subset("abc", [])) == 0


@pytest.mark.parametrize("wrong", [3, -1])
def test_a_subset_refuses_items_that_are_not_there(wrong):
    with pytest.raises(IndexError, match=rf"`indices` holds {wrong}, .* the items 0 to 2"):
        Subset("abc", [0, wrong])


@pytest.mark.parametrize("wrong", [[True, False, True], [0.0], [[0]], 1], ids=repr)
def test_a_subset_refuses_what_are_no_indices(wrong):
    with pytest.raises(TypeError, match="must be a sequence of integers"):
        Subset("abc", wrong)


def test_a_concatenation_has_the_items_of_all():
    parts = ["abc", "", "d", "efghi"]
    data = ConcatDataset(parts)
    assert len(data) == 9
    assert [data[i] for i in range(9)] == list("abcdefghi")
    assert [data[i] for i in range(-9, 0)] == list("abcdefghi")
    for wrong in (9, -10):
        with pytest.raises(IndexError, match=f"there is no item {wrong}, only 9"):
            data[wrong]
    with pytest.raises(ValueError, match="`datasets` is empty"):
        ConcatDataset([])


@pytest.mark.parametrize("parts", [[7, 2, 1], [0.7, 0.2, 0.1], (10, 0), [1.0], [0.65, 0.35]])
def test_a_division_has_every_item_once(parts):
    made = split(range(10), parts, seed=3)
    if len(parts) == 3:
        assert [len(part) for part in made] == [7, 2, 1]
    assert sorted(i for part in made for i in part) == list(range(10))
    assert [list(part) for part in made] == [list(part) for part in split(range(10), parts, seed=3)]


def test_divisions_differ_with_the_seed_and_none_keeps_the_order():
    halves = [list(split(range(100), [50, 50], seed=seed)[0]) for seed in (0, 1)]
    assert halves[0] != halves[1]
    assert [list(part) for part in split(range(5), [2, 3], seed=None)] == [[0, 1], [2, 3, 4]]


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ([3, 3], "adds up to 6, but the data set has 5 items"),
        ([0.5, 0.4], "adds up to 0.9: give fractions"),
        ([6, -1], "numbers that are at least 0"),
        ([float("nan")], "numbers that are at least 0"),
        ([], "numbers that are at least 0"),
    ],
)
def test_parts_that_do_not_add_up_are_refused(parts, words):
    with pytest.raises(ValueError, match=words):
        split(range(5), parts)


# ----- transformed -----


@pytest.mark.parametrize(
    ("item", "part", "expected"),
    [
        ((1, 2), 0, (10, 2)),
        ([1, 2], 1, [1, 20]),
        ({"a": 1, "b": 2}, "b", {"a": 1, "b": 20}),
        (Pair(1, 2), 1, Pair(1, 20)),
        (Sample(1, 2), "image", Sample(10, 2)),
        (3, None, 30),
    ],
)
def test_a_part_of_each_item_is_transformed(item, part, expected):
    data = Transformed([item], lambda x: 10 * x, part=part)
    assert data[0] == expected
    assert type(data[0]) is type(expected)
    assert len(data) == 1


def test_whole_batches_are_transformed_at_once(images):
    shapes = []

    def transform(x):
        shapes.append(x.shape)
        return x / np.float32(255)

    data = Transformed(ArrayDataset(images, np.arange(10)), transform, part=0, batched=True)
    batches = list(DataLoader(data, batch_size=4))
    assert shapes == [(4, 3, 4), (4, 3, 4), (2, 3, 4)]
    assert np.array_equal(np.concatenate([x for x, _ in batches]), images / np.float32(255))
    x, y = data[3]
    assert np.array_equal(x, images[3] / np.float32(255))
    assert y == 3


def test_what_cannot_be_transformed_is_refused():
    with pytest.raises(TypeError, match=r"batched=True, but list has no method fetch"):
        Transformed([1], abs, batched=True)
    with pytest.raises(TypeError, match="an item of type int has no parts"):
        Transformed([1], abs, part=0)[0]


def test_random_transforms_draw_for_the_item_or_the_batch():
    def noise(x):
        return x + item_generator().random(x.shape)

    zeros = ArrayDataset(np.zeros((9, 2)))
    single, whole = (Transformed(zeros, noise, batched=b) for b in (False, True))
    (a,) = DataLoader(single, batch_size=9, seed=4)
    b = np.concatenate(list(DataLoader(single, batch_size=2, seed=4, workers=3)))
    assert np.array_equal(a, b)  # the size of the batches does not matter
    assert len(np.unique(a)) == 18
    c = np.concatenate(list(DataLoader(whole, batch_size=3, seed=4)))
    d = np.concatenate(list(DataLoader(whole, batch_size=3, seed=4, workers=2)))
    assert np.array_equal(c, d)
    assert len(np.unique(c)) == 18


def test_the_import_is_light():
    program = (
        "import sys, backpass.nn.data, backpass.nn.datasets;"
        "print([m for m in ('optree', 'queue', 'scipy.ndimage', 'tarfile') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stderr
