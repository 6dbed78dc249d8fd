"""MNIST: 70,000 handwritten digits of 28 x 28 pixels."""

import logging
import os
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backpass.nn.datasets import idx_images

logger = logging.getLogger(__name__)

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)

SHA256 = {
    "train-images-idx3-ubyte": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "train-labels-idx1-ubyte": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "t10k-images-idx3-ubyte": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
    "t10k-labels-idx1-ubyte": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
}


class Mnist(NamedTuple):
    """MNIST, divided into images to train on and images to test with.

    Attributes
    ----------
    train_images, test_images : ndarray of uint8, shape (n, 28, 28)
        Pixels from 0 (paper) to 255 (ink).
    train_labels, test_labels : ndarray of int64, shape (n,)
        The digits shown, 0 to 9.
    """

    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.int64]


def load_mnist(folder: str | os.PathLike[str] | None = None) -> Mnist:
    """Load MNIST from a folder, and download into it what is missing.

    The four files are those of the original publication, compressed (``.gz``) or not. What the
    folder does not hold is downloaded into it from several mirrors in turn, and taken only if its
    SHA-256 is the published one.

    Where only the two files of test images are to be had, because the folder holds them alone or
    because nothing can be downloaded, the first four fifths of them are for training (8,000) and
    the rest for testing (2,000). A warning of the logger ``backpass.nn.datasets.mnist`` says so; a
    program that does not configure ``logging`` prints it on standard error. A folder that you name
    and that holds just these two is used as it is: nothing is downloaded then.

    Parameters
    ----------
    folder : path-like, optional
        Where the files are. If omitted, the folder that the environment variable
        ``BACKPASS_DATA`` names, or else the cache folder of the operating system
        (``~/.cache/backpass/mnist`` on Linux).

    Returns
    -------
    Mnist
        A named tuple ``(train_images, train_labels, test_images, test_labels)``: images of shape
        (n, 28, 28) and type uint8 with pixels from 0 to 255, labels of shape (n,) and type int64.
        60,000 are for training and 10,000 for testing, except in the case above.

    Raises
    ------
    FileNotFoundError
        If files are missing and cannot be downloaded. The message lists all that was tried.
    NotADirectoryError
        If `folder`, or ``BACKPASS_DATA``, names a file.
    ValueError
        If a file is damaged or holds something else than MNIST does. The message names it.

    See Also
    --------
    load_digits : A smaller set that needs no files.

    Notes
    -----
    Y. LeCun, L. Bottou, Y. Bengio and P. Haffner, "Gradient-based learning applied to document
    recognition", Proceedings of the IEEE 86 (11), 1998, pp. 2278-2324.

    Examples
    --------
    >>> data = load_mnist()                                                     # doctest: +SKIP
    >>> data.train_images.shape                                                 # doctest: +SKIP
    (60000, 28, 28)
    """
    published = idx_images.Publication("MNIST", "mnist", False, False, MIRRORS, SHA256)
    return Mnist(*idx_images.load(published, folder, logger))
