"""Fashion-MNIST: 70,000 pictures of clothing of 28 x 28 pixels."""

import logging
import os
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backpass.nn.datasets import idx_images

logger = logging.getLogger(__name__)

#: The authors' repository, the copy that Keras loads, and the authors' first address.
MIRRORS = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)

SHA256 = {
    "train-images-idx3-ubyte": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}

#: What the labels mean.
FASHION_MNIST_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)


class FashionMnist(NamedTuple):
    """Fashion-MNIST, divided into images to train on and images to test with.

    Attributes
    ----------
    train_images, test_images : ndarray of uint8, shape (n, 28, 28)
        Pixels from 0 (background) to 255.
    train_labels, test_labels : ndarray of int64, shape (n,)
        What is shown, 0 to 9: `FASHION_MNIST_CLASSES`.
    """

    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.int64]


def load_fashion_mnist(folder: str | os.PathLike[str] | None = None) -> FashionMnist:
    """Load Fashion-MNIST from a folder, and download into it what is missing.

    It has the form of MNIST, and `load_mnist` says how it is loaded. Its files have the names of
    MNIST's too, so that it needs a folder of its own.

    Parameters
    ----------
    folder : path-like, optional
        Where the files are. If omitted, the folder ``fashion-mnist`` in the one that the
        environment variable ``BACKPASS_DATA`` names, or else in the cache of the operating system
        (``~/.cache/backpass`` on Linux).

    Returns
    -------
    FashionMnist
        A named tuple ``(train_images, train_labels, test_images, test_labels)``: images of shape
        (n, 28, 28) and type uint8 with pixels from 0 to 255, labels of shape (n,) and type int64.
        60,000 are for training and 10,000 for testing.

    Raises
    ------
    FileNotFoundError
        If files are missing and cannot be downloaded. The message lists all that was tried.
    NotADirectoryError
        If `folder` names a file.
    ValueError
        If a file is damaged or holds something else than Fashion-MNIST does, such as the digits of
        MNIST. The message names it.

    Notes
    -----
    H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking
    machine learning algorithms", 2017, https://arxiv.org/abs/1708.07747, under the licence MIT.

    Examples
    --------
    >>> data = load_fashion_mnist()                                             # doctest: +SKIP
    >>> FASHION_MNIST_CLASSES[data.train_labels[0]]                             # doctest: +SKIP
    'Ankle boot'
    """
    published = idx_images.Publication(
        "Fashion-MNIST", "fashion-mnist", True, True, MIRRORS, SHA256
    )
    return FashionMnist(*idx_images.load(published, folder, logger))
