"""MNIST as a network of the plainest kind wants it: rows of floats and one-hot labels."""

import os

import numpy as np
import numpy.typing as npt

from backpass.nn import datasets

Floats = npt.NDArray[np.float64]


def load_mnist(
    folder: str | os.PathLike[str] | None = None,
) -> tuple[int, Floats, Floats, Floats, Floats]:
    """Load MNIST as float64 arrays.

    Parameters
    ----------
    folder : path-like, optional
        Where the files are; see `backpass.nn.datasets.load_mnist`, which also says where they come
        from otherwise and what is raised if they cannot be had.

    Returns
    -------
    N : int
        The number of training images.
    train_images, train_labels : ndarray of float64, shapes (N, 784) and (N, 10)
        Each image as one row of pixels from 0 (paper) to 1 (ink), and its label as a row with a 1
        at the digit shown and 0 elsewhere.
    test_images, test_labels : ndarray of float64
        The same for the test images.
    """
    data = datasets.load_mnist(folder)
    return (
        len(data.train_images),
        rows(data.train_images),
        one_hot(data.train_labels),
        rows(data.test_images),
        one_hot(data.test_labels),
    )


def rows(images: npt.NDArray[np.uint8]) -> Floats:
    """Flatten each image to a row, and scale its pixels from 0..255 to 0..1."""
    return images.reshape(len(images), -1) / 255


def one_hot(labels: npt.NDArray[np.int64]) -> Floats:
    """Return for each label k a row of ten zeros with a one at place k."""
    return np.eye(10)[labels]
