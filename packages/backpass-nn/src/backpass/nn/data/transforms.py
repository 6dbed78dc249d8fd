"""Transforms of images: arrays of shape (H, W) or (C, H, W), and batches (..., C, H, W) of them.

The names, the parameters and the order of the numbers in them are torchvision's. A transform is a
function from an array to an array, and leaves the one that it is given as it is.

A random transform draws from `item_generator`, so that what a `DataLoader` loads does not depend on
its threads; or from a generator that it is given as a second argument. Each image of a batch has
its own draw; images of shape (H, W) need an axis of channels, (N, 1, H, W), to make a batch.
"""

from __future__ import annotations

import abc
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from backpass.nn.data.randomness import item_generator

Array = npt.NDArray[Any]
Size = int | tuple[int, int]
Padding = int | Sequence[int]

#: How `Pad` and `RandomCrop` fill the border; NumPy's names are torchvision's.
_MODES = ("constant", "edge", "reflect", "symmetric")


class _Shown:
    """Shows its public attributes, which are its parameters."""

    def __repr__(self) -> str:
        shown = (f"{k}={v!r}" for k, v in vars(self).items() if not k.startswith("_"))
        return f"{type(self).__name__}({', '.join(shown)})"


class RandomTransform(_Shown, abc.ABC):
    """A transform that draws random numbers: a base for those of your own.

    A subclass has a method ``draw(image, generator)``, which returns the transformed image of
    shape (H, W) or (C, H, W).
    """

    @abc.abstractmethod
    def draw(self, image: Array, generator: np.random.Generator) -> Array:
        """Return one image, transformed at random."""

    def __call__(self, x: Array, generator: np.random.Generator | None = None) -> Array:
        """Transform an image, or each image of a batch.

        Parameters
        ----------
        x : ndarray, shape (..., C, H, W) or (H, W)
            The image, or the batch.
        generator : numpy.random.Generator, optional
            Where the random numbers come from; by default, `item_generator()`.
        """
        _check(self, x)
        drawn = item_generator() if generator is None else generator
        if x.ndim <= 3:
            return self.draw(x, drawn)
        images = x.reshape(-1, *x.shape[-3:])
        if not len(images):
            raise ValueError(f"{type(self).__name__}: the batch of shape {x.shape} has no image")
        made = self.draw_batch(images, drawn)
        return made.reshape(*x.shape[:-3], *made.shape[1:])

    def draw_batch(self, images: Array, generator: np.random.Generator) -> Array:
        """Return the images of a batch (N, C, H, W), each transformed for itself.

        Here one after the other, by `draw`; a transform may do better.
        """
        return np.stack([self.draw(image, generator) for image in images])


class Compose:
    """Transforms one after the other.

    Parameters
    ----------
    transforms : sequence of callables
        Each is given what the one before has returned.

    Examples
    --------
    >>> import numpy
    >>> prepare = Compose([ToFloat(), Normalize(0.5, 0.5)])
    >>> prepare(numpy.array([[0, 255]], numpy.uint8))
    array([[-1.,  1.]], dtype=float32)
    """

    def __init__(self, transforms: Sequence[Callable[..., Any]]) -> None:
        self.transforms = list(transforms)
        for i, transform in enumerate(self.transforms):
            if not callable(transform):
                raise TypeError(
                    f"Compose: `transforms[{i}]` is {transform!r}, which cannot be called"
                )

    def __call__(self, x: Any, generator: np.random.Generator | None = None) -> Any:
        """Transform an image or a batch; random transforms share `generator`, if it is given."""
        for transform in self.transforms:
            if generator is not None and isinstance(transform, RandomTransform | Compose):
                x = transform(x, generator)
            else:
                x = transform(x)
        return x

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.transforms))}])"


class ToFloat(_Shown):
    """Pixels as float32: of unsigned integers, 0 to 1.

    Unsigned integers are divided by the largest of their dtype, uint8 by 255. Booleans become 0 and
    1; floats become float32 as they are.

    Raises
    ------
    TypeError
        For other dtypes, whose range is not known: divide them yourself.

    Examples
    --------
    >>> import numpy
    >>> ToFloat()(numpy.array([[0, 51, 255]], numpy.uint8))
    array([[0. , 0.2, 1. ]], dtype=float32)
    """

    def __call__(self, x: Array) -> Array:
        """Return the array as float32."""
        if not isinstance(x, np.ndarray) or x.dtype.kind not in "bfu":
            found = x.dtype if isinstance(x, np.ndarray) else type(x).__name__
            raise TypeError(
                f"ToFloat: the image is of {found}, but its pixels must be unsigned integers, "
                "bools or floats in a NumPy array"
            )
        if x.dtype.kind == "u":
            return np.divide(x, np.float32(np.iinfo(x.dtype).max), dtype=np.float32)
        return x.astype(np.float32)


class Normalize:
    """Channels with a mean of 0 and a standard deviation of 1: ``(x - mean) / std``.

    Parameters
    ----------
    mean, std : float or sequence of float
        One number for all channels, or one for each, along the third axis from the end.

    Raises
    ------
    ValueError
        If a standard deviation is not positive; when it is called, if the image has another number
        of channels.
    TypeError
        When it is called, if the image is not of floats.

    Examples
    --------
    >>> import numpy
    >>> x = numpy.ones((2, 1, 2), numpy.float32)
    >>> Normalize([0, 1], [2, 2])(x)
    array([[[0.5, 0.5]],
    <BLANKLINE>
           [[0. , 0. ]]], dtype=float32)
    """

    def __init__(self, mean: float | Sequence[float], std: float | Sequence[float]) -> None:
        self.mean, self.std = (np.asarray(v, np.float64) for v in (mean, std))
        for name, value in (("mean", self.mean), ("std", self.std)):
            if value.ndim > 1 or value.size == 0 or not np.isfinite(value).all():
                raise ValueError(
                    f"Normalize: `{name}` is {value.tolist()}, but it must be a finite number, or "
                    "one for each channel"
                )
        if not (self.std > 0).all():
            raise ValueError(f"Normalize: `std` is {self.std.tolist()}, but it must be positive")

    def __call__(self, x: Array) -> Array:
        """Return the images, normalised, in their dtype."""
        if getattr(x, "dtype", np.dtype(int)).kind != "f":
            raise TypeError(
                f"Normalize: the image is of {getattr(x, 'dtype', type(x).__name__)}, but its "
                "pixels must be floats: put ToFloat() before it"
            )
        mean, std = (self._beside(x, v) for v in (self.mean, self.std))
        return (x - mean) / std  # type: ignore[no-any-return]

    def _beside(self, x: Array, value: Array) -> Any:
        """Return the numbers in the dtype of the image, each beside its channel."""
        if value.size == 1:
            return x.dtype.type(value.item())
        channels = x.shape[-3] if x.ndim >= 3 else 1
        if channels != value.size:
            raise ValueError(
                f"Normalize: an image of shape {x.shape} has {channels} channels (the third axis "
                f"from the end), but there are {value.size} numbers for them"
            )
        return value.astype(x.dtype).reshape(-1, 1, 1)

    def __repr__(self) -> str:
        return f"Normalize({self.mean.tolist()}, {self.std.tolist()})"


class Pad(_Shown):
    """A border around the image.

    Parameters
    ----------
    padding : int or sequence of int
        One number for all sides, two for left and right and for top and bottom, or four for left,
        top, right and bottom.
    fill : float
        The value of the border, with the mode ``"constant"``.
    mode : str
        ``"constant"``, ``"edge"``, ``"reflect"`` or ``"symmetric"``, as in `numpy.pad`.

    Raises
    ------
    ValueError
        If a number is negative, there are others than one, two or four, or the mode is unknown.

    Examples
    --------
    >>> import numpy
    >>> Pad((1, 0))(numpy.array([[5]]))
    array([[0, 5, 0]])
    """

    def __init__(self, padding: Padding, fill: float = 0, mode: str = "constant") -> None:
        self.padding, self.fill, self.mode = padding, fill, _checked_mode("Pad", mode)
        self._sides = _sides("Pad", padding)

    def __call__(self, x: Array) -> Array:
        """Return the images with their borders."""
        _check(self, x)
        return _padded(x, self._sides, self.fill, self.mode)


class CenterCrop(_Shown):
    """The middle of the image.

    Parameters
    ----------
    size : int or (int, int)
        The height and the width; one number for both.

    Raises
    ------
    ValueError
        If `size` is not positive; when it is called, if the image is smaller: pad it first.

    Examples
    --------
    >>> import numpy
    >>> CenterCrop(1)(numpy.arange(9).reshape(3, 3))
    array([[4]])
    """

    def __init__(self, size: Size) -> None:
        self.size = size
        self._size = _height_and_width("CenterCrop", size)

    def __call__(self, x: Array) -> Array:
        """Return the middle of each image; a copy."""
        _check(self, x)
        h, w = self._size
        _check_larger("CenterCrop", x, h, w)
        # As torchvision rounds it: half to even.
        top, left = round((x.shape[-2] - h) / 2), round((x.shape[-1] - w) / 2)
        return x[..., top : top + h, left : left + w].copy()


class RandomCrop(RandomTransform):
    """A part of the image, anywhere in it.

    Parameters
    ----------
    size : int or (int, int)
        The height and the width; one number for both.
    padding : int or sequence of int, optional
        A border that the image gets first, as for `Pad`.
    fill, mode
        As for `Pad`.

    Raises
    ------
    ValueError
        If a number is out of range; when it is called, if the padded image is smaller than `size`.

    Examples
    --------
    >>> import numpy
    >>> crop = RandomCrop(32, padding=4)
    >>> crop(numpy.zeros((3, 32, 32), numpy.uint8)).shape
    (3, 32, 32)
    """

    def __init__(
        self,
        size: Size,
        padding: Padding | None = None,
        fill: float = 0,
        mode: str = "constant",
    ) -> None:
        self.size, self.padding = size, padding
        self.fill, self.mode = fill, _checked_mode("RandomCrop", mode)
        self._size = _height_and_width("RandomCrop", size)
        self._sides = _sides("RandomCrop", 0 if padding is None else padding)

    def draw(self, image: Array, generator: np.random.Generator) -> Array:
        """Return a part of one image."""
        h, w = self._size
        padded, free = self._padded(image)
        top, left = (int(generator.integers(n)) for n in free)
        return padded[..., top : top + h, left : left + w].copy()

    def draw_batch(self, images: Array, generator: np.random.Generator) -> Array:
        """Return a part of each image, the same as one after the other."""
        h, w = self._size
        padded, free = self._padded(images)
        places = generator.integers(free, size=(len(images), 2)).tolist()
        made = np.empty((*images.shape[:-2], h, w), images.dtype)
        for part, whole, (top, left) in zip(made, padded, places, strict=True):
            part[...] = whole[..., top : top + h, left : left + w]
        return made

    def _padded(self, x: Array) -> tuple[Array, tuple[int, int]]:
        """Return the padded images, and in how many places a part can begin."""
        padded = _padded(x, self._sides, self.fill, self.mode) if any(self._sides) else x
        h, w = self._size
        _check_larger("RandomCrop", padded, h, w)
        return padded, (padded.shape[-2] - h + 1, padded.shape[-1] - w + 1)


class RandomHorizontalFlip(RandomTransform):
    """Left and right exchanged, with probability `p`.

    Examples
    --------
    >>> import numpy
    >>> RandomHorizontalFlip(p=1)(numpy.array([[1, 2, 3]]))
    array([[3, 2, 1]])
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = _checked_probability("RandomHorizontalFlip", p)

    def draw(self, image: Array, generator: np.random.Generator) -> Array:
        """Return one image, flipped or not."""
        return (image[..., ::-1] if generator.random() < self.p else image).copy()

    def draw_batch(self, images: Array, generator: np.random.Generator) -> Array:
        """Return the images, each flipped or not."""
        return _flipped(images, images[..., ::-1], self.p, generator)


class RandomVerticalFlip(RandomTransform):
    """Top and bottom exchanged, with probability `p`.

    Examples
    --------
    >>> import numpy
    >>> RandomVerticalFlip(p=1)(numpy.array([[1], [2]]))
    array([[2],
           [1]])
    """

    def __init__(self, p: float = 0.5) -> None:
        self.p = _checked_probability("RandomVerticalFlip", p)

    def draw(self, image: Array, generator: np.random.Generator) -> Array:
        """Return one image, flipped or not."""
        return (image[..., ::-1, :] if generator.random() < self.p else image).copy()

    def draw_batch(self, images: Array, generator: np.random.Generator) -> Array:
        """Return the images, each flipped or not."""
        return _flipped(images, images[..., ::-1, :], self.p, generator)


class RandomRotation(RandomTransform):
    """The image turned about its centre, by an angle drawn uniformly; of the same size.

    What lies between pixels is interpolated bilinearly (`scipy.ndimage.rotate`, of order 1).

    Parameters
    ----------
    degrees : float or (float, float)
        The smallest and the largest angle, in degrees, counter-clockwise; one number for the angles
        from ``-degrees`` to ``degrees``.
    fill : float
        The value of what comes from outside of the image.

    Raises
    ------
    ValueError
        If a single number is negative, or the smallest angle is larger than the largest.

    Examples
    --------
    >>> import numpy
    >>> RandomRotation((90, 90))(numpy.array([[1.0, 2.0], [3.0, 4.0]])).round(6)
    array([[2., 4.],
           [1., 3.]])
    """

    def __init__(self, degrees: float | tuple[float, float], fill: float = 0) -> None:
        self.degrees, self.fill = degrees, fill
        try:
            low, high = degrees if isinstance(degrees, tuple | list) else (-degrees, degrees)
            self._range = float(low), float(high)
        except (TypeError, ValueError):
            self._range = math.nan, math.nan
        low, high = self._range
        if not (math.isfinite(low) and math.isfinite(high) and low <= high):
            raise ValueError(
                f"RandomRotation: `degrees` is {degrees!r}, but it must be a number that is not "
                "negative, or two, the smaller first"
            )

    def draw(self, image: Array, generator: np.random.Generator) -> Array:
        """Return one image, turned."""
        from scipy import ndimage  # slow to import

        return ndimage.rotate(  # type: ignore[no-any-return]
            image,
            generator.uniform(*self._range),
            axes=(-1, -2),
            reshape=False,
            order=1,
            mode="grid-constant",
            cval=self.fill,
        )


def one_hot(labels: Any, classes: int, dtype: Any = np.float32) -> Array:
    """Return vectors with a 1 in the place of the label and 0 elsewhere.

    Parameters
    ----------
    labels : array of int, or int
        At least 0 and less than `classes`.
    classes : int
        The length of the vectors.
    dtype : dtype
        Of the result.

    Returns
    -------
    ndarray, shape (*labels.shape, classes)

    Raises
    ------
    TypeError
        If the labels are not integers.
    ValueError
        If a label is out of range.

    Examples
    --------
    >>> one_hot([2, 0], 3)
    array([[0., 0., 1.],
           [1., 0., 0.]], dtype=float32)
    """
    found = np.asarray(labels)
    if found.dtype.kind not in "iu":
        raise TypeError(f"one_hot: `labels` holds {found.dtype}, but labels are integers")
    if found.size and not (found.min() >= 0 and found.max() < classes):
        wrong = found.min() if found.min() < 0 else found.max()
        raise ValueError(
            f"one_hot: `labels` holds {wrong}, but with {classes} classes labels are 0 to "
            f"{classes - 1}"
        )
    made = np.zeros((*found.shape, classes), dtype)
    np.put_along_axis(made, found[..., None].astype(np.intp), 1, axis=-1)
    return made


# ----- checks and arithmetic that several share --------------------------------------------------


def _check(transform: object, x: Any) -> None:
    """Raise unless `x` is an image or a batch."""
    name = type(transform).__name__
    if not isinstance(x, np.ndarray):
        raise TypeError(f"{name}: the image is of type {type(x).__name__}, not a NumPy array")
    if x.ndim < 2:
        raise ValueError(
            f"{name}: the image has shape {x.shape}, but it must be (H, W), (C, H, W), or a batch "
            "(..., C, H, W)"
        )


def _check_larger(name: str, x: Array, h: int, w: int) -> None:
    if x.shape[-2] < h or x.shape[-1] < w:
        raise ValueError(
            f"{name}: the image is {x.shape[-2]} x {x.shape[-1]}, smaller than the {h} x {w} to "
            "take from it: pad it first"
        )


def _checked_probability(name: str, p: float) -> float:
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: `p` is {p}, but a probability is at least 0 and at most 1")
    return p


def _checked_mode(name: str, mode: str) -> str:
    if mode not in _MODES:
        raise ValueError(f"{name}: `mode` is {mode!r}, but it must be one of {', '.join(_MODES)}")
    return mode


def _height_and_width(name: str, size: Size) -> tuple[int, int]:
    try:
        h, w = (size, size) if isinstance(size, int) else map(operator.index, size)
    except (TypeError, ValueError):
        raise TypeError(
            f"{name}: `size` is {size!r}, but it must be an integer, or the height and the width"
        ) from None
    if h < 1 or w < 1:
        raise ValueError(f"{name}: `size` is {size!r}, but it must be positive")
    return h, w


def _sides(name: str, padding: Padding) -> tuple[int, int, int, int]:
    """Return the padding on the left, at the top, on the right and at the bottom."""
    try:
        given = [padding] if isinstance(padding, int) else [operator.index(p) for p in padding]
    except TypeError:
        given = []
    if len(given) not in (1, 2, 4) or min(given) < 0:
        raise ValueError(
            f"{name}: `padding` is {padding!r}, but it must be one, two or four integers that are "
            "not negative: all sides; left and right, top and bottom; left, top, right, bottom"
        )
    left, top, right, bottom = (given * 4)[:4]
    return left, top, right, bottom


def _flipped(images: Array, flipped: Array, p: float, generator: np.random.Generator) -> Array:
    """Return a copy of the images, some of them flipped."""
    chosen = generator.random(len(images)) < p
    made = images.copy()
    made[chosen] = flipped[chosen]
    return made


def _padded(x: Array, sides: tuple[int, int, int, int], fill: float, mode: str) -> Array:
    left, top, right, bottom = sides
    if not any(sides):
        return x.copy()
    if mode != "constant":
        widths = [(0, 0)] * (x.ndim - 2) + [(top, bottom), (left, right)]
        return np.pad(x, widths, mode=mode)  # type: ignore[call-overload, no-any-return]
    if x.dtype.kind in "iub" and fill != x.dtype.type(fill):
        raise ValueError(f"the `fill` of the border is {fill}, which {x.dtype} cannot hold")
    h, w = x.shape[-2:]
    made = np.full((*x.shape[:-2], top + h + bottom, left + w + right), fill, x.dtype)
    made[..., top : top + h, left : left + w] = x
    return made


__all__ = [
    "CenterCrop",
    "Compose",
    "Normalize",
    "Pad",
    "RandomCrop",
    "RandomHorizontalFlip",
    "RandomRotation",
    "RandomTransform",
    "RandomVerticalFlip",
    "ToFloat",
    "one_hot",
]
