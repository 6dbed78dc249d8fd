"""Transforms of images, against plain loops over their pixels."""

import math
import operator

import numpy as np
import pytest

from backpass.nn import random
from backpass.nn.data import ArrayDataset, DataLoader, Transformed
from backpass.nn.data.transforms import (
    CenterCrop,
    Compose,
    Normalize,
    Pad,
    RandomCrop,
    RandomHorizontalFlip,
    RandomRotation,
    RandomTransform,
    RandomVerticalFlip,
    ToFloat,
    one_hot,
)

SHAPES = [(5, 6), (3, 5, 6), (4, 3, 5, 6), (2, 2, 1, 5, 6)]
every_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)
every_dtype = pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])


def images(shape, dtype=np.uint8, seed=0):
    made = np.random.default_rng(seed).integers(0, 256, shape)
    return made.astype(dtype)


def generator(seed=0):
    return np.random.default_rng(seed)


# ----- values -----


def test_unsigned_integers_become_fractions_of_their_range():
    x = np.arange(256, dtype=np.uint8)
    made = ToFloat()(x)
    assert made.dtype == np.float32
    assert made.tolist() == [float(np.float32(i) / np.float32(255)) for i in range(256)]
    assert ToFloat()(np.array([0, 65535], np.uint16)).tolist() == [0, 1]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.bool_])
def test_floats_and_bools_keep_their_values(dtype):
    x = np.array([0, 1], dtype)
    made = ToFloat()(x)
    assert made.dtype == np.float32
    assert made.tolist() == [0, 1]
    assert not np.shares_memory(made, x)


@pytest.mark.parametrize("wrong", [np.zeros(2, int), np.zeros(2, complex), [1.0]])
def test_pixels_of_no_known_range_are_refused(wrong):
    with pytest.raises(TypeError, match=r"ToFloat: the image is of (int64|complex128|list)"):
        ToFloat()(wrong)


@pytest.mark.parametrize("shape", [(3, 5, 6), (4, 3, 5, 6), (2, 2, 3, 5, 6)], ids=str)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_each_channel_is_normalised(shape, dtype):
    x = images(shape, dtype)
    before = x.copy()
    mean, std = [0.5, 1.5, 100], [2, 0.25, 50]
    made = Normalize(mean, std)(x)
    assert made.dtype == dtype
    assert np.array_equal(x, before)
    for channel in range(3):
        expected = (x[..., channel, :, :] - dtype(mean[channel])) / dtype(std[channel])
        assert np.array_equal(made[..., channel, :, :], expected)


@every_shape
def test_one_number_normalises_all(shape):
    x = images(shape, np.float32)
    for mean, std in ((3, 2), ([3.0], (2,)), (np.float64(3), np.array([2.0]))):
        made = Normalize(mean, std)(x)
        assert made.dtype == np.float32
        assert np.array_equal(made, (x - 3) / np.float32(2))


def test_what_cannot_be_normalised_is_refused():
    with pytest.raises(TypeError, match=r"of uint8, .* put ToFloat\(\) before it"):
        Normalize(0, 1)(images((2, 2)))
    with pytest.raises(ValueError, match=r"shape \(2, 5, 6\) has 2 channels .* 3 numbers"):
        Normalize([0, 0, 0], 1)(images((2, 5, 6), np.float32))
    with pytest.raises(ValueError, match="has 1 channels"):
        Normalize([0, 0, 0], 1)(images((5, 6), np.float32))
    for std in (0, [1, 0], -1):
        with pytest.raises(ValueError, match=r"`std` is .* but it must be positive"):
            Normalize(0, std)
    for mean in (math.nan, [], [[1]]):
        with pytest.raises(ValueError, match=r"`mean` is .*, but it must be a finite number"):
            Normalize(mean, 1)


# ----- borders and crops -----


@every_shape
@every_dtype
@pytest.mark.parametrize(
    ("padding", "sides"),
    [(2, (2, 2, 2, 2)), ((1, 3), (1, 3, 1, 3)), ([1, 2, 3, 0], (1, 2, 3, 0)), (0, (0, 0, 0, 0))],
)
@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
def test_a_border_is_put_around(shape, dtype, padding, sides, mode):
    x = images(shape, dtype)
    left, top, right, bottom = sides
    made = Pad(padding, fill=7, mode=mode)(x)
    options = {"constant_values": 7} if mode == "constant" else {}
    widths = [(0, 0)] * (x.ndim - 2) + [(top, bottom), (left, right)]
    assert made.dtype == dtype
    assert np.array_equal(made, np.pad(x, widths, mode, **options))


@pytest.mark.parametrize("wrong", [-1, (1, 2, 3), (1, -1), 1.5, "1", ()], ids=repr)
@pytest.mark.parametrize("kind", [Pad, lambda padding: RandomCrop(2, padding)])
def test_bad_borders_are_refused(wrong, kind):
    with pytest.raises(ValueError, match=r"`padding` is .* one, two or four integers"):
        kind(wrong)


def test_a_border_that_the_pixels_cannot_hold_is_refused():
    with pytest.raises(ValueError, match=r"the `fill` of the border is 0.5, which uint8 cannot"):
        Pad(1, fill=0.5)(images((2, 2)))
    with pytest.raises(OverflowError):
        Pad(1, fill=300)(images((2, 2)))
    with pytest.raises(ValueError, match="`mode` is 'wrap', but it must be one of constant"):
        Pad(1, mode="wrap")


@every_shape
@pytest.mark.parametrize(
    ("size", "top", "left"), [(3, 1, 2), ((5, 6), 0, 0), ((4, 1), 0, 2), ((2, 6), 2, 0)]
)
def test_the_middle_is_cut_out_as_torchvision_does(shape, size, top, left):
    # (5 - 2) / 2 = 1.5 and (6 - 1) / 2 = 2.5 are rounded to even.
    x = images(shape)
    h, w = (size, size) if isinstance(size, int) else size
    made = CenterCrop(size)(x)
    assert np.array_equal(made, x[..., top : top + h, left : left + w])
    made[:] = 0
    assert x.any()


@every_shape
@every_dtype
def test_a_crop_is_a_part_of_the_padded_image(shape, dtype):
    x = images(shape, dtype) + dtype(1) * (dtype != np.uint8)
    crop = RandomCrop((4, 5), padding=(1, 2), fill=9)
    made = crop(x, generator())
    assert made.shape == (*shape[:-2], 4, 5)
    assert made.dtype == dtype
    padded = Pad((1, 2), fill=9)(x)
    ones = made.reshape(-1, *made.shape[-3:]) if len(shape) > 3 else [made]
    wholes = padded.reshape(-1, *padded.shape[-3:]) if len(shape) > 3 else [padded]
    for one, whole in zip(ones, wholes, strict=True):
        assert any(
            np.array_equal(one, whole[..., i : i + 4, j : j + 5])
            for i in range(whole.shape[-2] - 3)
            for j in range(whole.shape[-1] - 4)
        )


def test_every_crop_is_equally_likely():
    x = np.arange(6).reshape(2, 3)
    drawn, crop = generator(), RandomCrop(1)
    counts = np.bincount([int(crop(x, drawn)[0, 0]) for _ in range(3000)])
    assert len(counts) == 6
    assert counts.min() > 400  # of 500; 4.9 standard deviations
    assert np.array_equal(RandomCrop((2, 3))(x), x)


@pytest.mark.parametrize("kind", [CenterCrop, RandomCrop])
def test_crops_that_do_not_fit_are_refused(kind):
    with pytest.raises(ValueError, match=r"the image is 2 x 9, smaller than the 3 x 3 .* pad it"):
        kind(3)(images((2, 9)))
    for wrong in (0, (3, -1)):
        with pytest.raises(ValueError, match=r"`size` is .* but it must be positive"):
            kind(wrong)
    for wrong in (1.5, "3", (1, 2, 3)):
        with pytest.raises(TypeError, match=r"`size` is .* must be an integer, or the height"):
            kind(wrong)


# ----- flips -----


@every_shape
@every_dtype
def test_flips_exchange_the_sides(shape, dtype):
    x = images(shape, dtype)
    assert np.array_equal(RandomHorizontalFlip(1)(x), x[..., ::-1])
    assert np.array_equal(RandomVerticalFlip(p=1.0)(x), x[..., ::-1, :])
    for flip in (RandomHorizontalFlip(0), RandomVerticalFlip(0)):
        made = flip(x)
        assert np.array_equal(made, x)
        assert not np.shares_memory(made, x)


@pytest.mark.parametrize("kind", [RandomHorizontalFlip, RandomVerticalFlip])
def test_a_batch_s_images_are_flipped_each_for_itself(kind):
    x = images((1000, 1, 2, 2))
    made = kind(0.3)(x, generator())
    flipped = kind(1)(x)
    each = [np.array_equal(a, b) for a, b in zip(made, flipped, strict=True)]
    rest = [np.array_equal(a, b) for a, b in zip(made, x, strict=True)]
    assert all(map(operator.or_, each, rest))
    assert 240 < sum(each) < 360
    for wrong in (-0.1, 1.1, math.nan):
        with pytest.raises(ValueError, match=f"`p` is {wrong}, but a probability"):
            kind(wrong)


# ----- rotation -----


def turned(image, degrees, fill):
    """Turn an image of shape (H, W) counter-clockwise about its centre, bilinearly."""
    h, w = image.shape
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

    def pixel(i, j):
        return float(image[i, j]) if 0 <= i < h and 0 <= j < w else fill

    made = np.empty((h, w))
    for i in range(h):
        for j in range(w):
            # Right and up from the centre; where this comes from lies clockwise of it.
            x, y = j - (w - 1) / 2, (h - 1) / 2 - i
            row, column = (h - 1) / 2 - (c * y - s * x), (c * x + s * y) + (w - 1) / 2
            top, left = math.floor(row), math.floor(column)
            a, b = row - top, column - left
            made[i, j] = (1 - a) * ((1 - b) * pixel(top, left) + b * pixel(top, left + 1)) + a * (
                (1 - b) * pixel(top + 1, left) + b * pixel(top + 1, left + 1)
            )
    return made


@pytest.mark.parametrize("degrees", [0, 17, -33.5, 45, 90, 180, 200])
@pytest.mark.parametrize("shape", [(5, 5), (4, 7), (1, 3)])
def test_a_rotation_is_a_bilinear_interpolation(degrees, shape):
    x = images(shape, np.float64)
    made = RandomRotation((degrees, degrees), fill=3)(x)
    assert np.allclose(made, turned(x, degrees, 3), rtol=0, atol=1e-9)


@every_shape
@every_dtype
def test_quarter_turns_are_exact_and_dtypes_stay(shape, dtype):
    square = images((*shape[:-2], 6, 6), dtype)
    for quarters in (1, 2, -1):
        made = RandomRotation((90 * quarters, 90 * quarters))(square)
        assert made.dtype == dtype
        assert np.allclose(made, np.rot90(square, quarters, axes=(-2, -1)), rtol=0, atol=1e-4)


def test_the_angles_are_uniform_and_each_image_has_its_own():
    line = np.zeros((64, 1, 41, 41), np.float32)
    line[..., 20, 20:] = 1  # a hand that points to the right
    made = RandomRotation(60)(line, generator())[:, 0]
    rows, columns = np.mgrid[20:-21:-1, -20:21]
    angles = np.degrees(np.arctan2((made * rows).sum((1, 2)), (made * columns).sum((1, 2))))
    assert len(np.unique(angles.round(3))) == 64
    assert -61 < angles.min() < -50
    assert 50 < angles.max() < 61


@pytest.mark.parametrize("wrong", [-1, (3, 2), (1,), (1, 2, 3), "45", math.inf, None], ids=repr)
def test_bad_angles_are_refused(wrong):
    with pytest.raises(ValueError, match="`degrees` is "):
        RandomRotation(wrong)


# ----- randomness -----

RANDOM = [
    RandomCrop(4, padding=2),
    RandomHorizontalFlip(),
    RandomVerticalFlip(),
    RandomRotation(30),
]
every_random = pytest.mark.parametrize("transform", RANDOM, ids=repr)


@every_random
def test_a_batch_is_its_images_one_after_the_other(transform):
    x = images((6, 3, 5, 6))
    one_by_one, whole = generator(3), generator(3)
    expected = np.stack([transform(image, one_by_one) for image in x])
    assert np.array_equal(transform(x, whole), expected)


@every_random
def test_the_package_s_seed_determines_what_no_loader_does(transform):
    x = images((20, 1, 5, 6))
    state = random.get_state()
    try:
        made = []
        for number in (1, 1, 2):
            random.seed(number)
            made.append(transform(x))
    finally:
        random.set_state(state)
    assert np.array_equal(made[0], made[1])
    assert not np.array_equal(made[0], made[2])


def test_augmented_batches_do_not_depend_on_the_workers():
    x = images((40, 1, 8, 8))
    augment = Compose([RandomCrop(8, padding=1), RandomRotation(20), RandomHorizontalFlip()])
    data = Transformed(ArrayDataset(x, np.arange(40)), augment, part=0)
    expected = None
    for workers in (0, 1, 4):
        batches = DataLoader(data, 8, shuffle=True, seed=2, workers=workers)
        epochs = [np.concatenate([b[0] for b in batches]) for _ in range(2)]
        assert not np.array_equal(*epochs)
        expected = expected or epochs
        assert all(map(np.array_equal, epochs, expected))


def test_a_composition_passes_the_generator_on():
    x = images((10, 1, 5, 6))
    chain = Compose([lambda x: x[..., 1:], Compose([RandomVerticalFlip()]), RandomHorizontalFlip()])
    drawn = generator(1)
    expected = RandomHorizontalFlip()(RandomVerticalFlip()(x[..., 1:], drawn), drawn)
    assert np.array_equal(chain(x, generator(1)), expected)
    with pytest.raises(TypeError, match=r"`transforms\[1\]` is 3, which cannot be called"):
        Compose([abs, 3])


def test_a_transform_of_one_s_own_serves_batches_too():
    class Brighten(RandomTransform):
        def draw(self, image, generator):
            return image + generator.random()

    made = Brighten()(np.zeros((5, 1, 2, 2)), generator())
    assert len(np.unique(made)) == 5


@every_random
def test_what_is_no_image_is_refused(transform):
    for shape in ((), (3,)):
        with pytest.raises(ValueError, match=r"the image has shape .* \(H, W\), \(C, H, W\)"):
            transform(np.zeros(shape))
    with pytest.raises(TypeError, match="the image is of type list, not a NumPy array"):
        transform([[1]])
    with pytest.raises(ValueError, match="has no image"):
        transform(np.zeros((0, 1, 5, 6)))


def test_transforms_show_their_parameters():
    assert repr(RandomCrop(4, padding=2)) == (
        "RandomCrop(size=4, padding=2, fill=0, mode='constant')"
    )
    assert repr(Compose([ToFloat(), Normalize(0.5, [1, 2])])) == (
        "Compose([ToFloat(), Normalize(0.5, [1.0, 2.0])])"
    )


# ----- labels -----


@pytest.mark.parametrize("labels", [2, [0, 3, 1], [[1], [2]], np.zeros((0,), int)])
def test_labels_become_vectors(labels):
    made = one_hot(labels, 4)
    assert made.dtype == np.float32
    assert np.array_equal(made, np.eye(4, dtype=np.float32)[np.asarray(labels)])
    assert one_hot(labels, 4, np.int64).dtype == np.int64


def test_labels_out_of_range_are_refused():
    for wrong in (-1, 4):
        with pytest.raises(ValueError, match=f"`labels` holds {wrong}, .* labels are 0 to 3"):
            one_hot([0, wrong], 4)
    with pytest.raises(TypeError, match="`labels` holds float64"):
        one_hot([0.0], 4)
