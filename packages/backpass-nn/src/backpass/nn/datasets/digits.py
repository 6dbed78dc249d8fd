"""The small digits that come with the package."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backpass.nn.datasets.idx import read_idx

_FOLDER = Path(__file__).parent / "uci_digits"


class Digits(NamedTuple):
    """Images of handwritten digits and what they show.

    Attributes
    ----------
    images : ndarray of uint8, shape (1797, 8, 8)
        Pixels from 0 (paper) to 16 (ink).
    labels : ndarray of int64, shape (1797,)
        The digits shown, 0 to 9.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]


def load_digits() -> Digits:
    """Load 1,797 handwritten digits of 8 x 8 pixels, without any download.

    Returns
    -------
    Digits
        A named tuple ``(images, labels)``: images of shape (1797, 8, 8) and type uint8 with
        pixels from 0 to 16, labels of shape (1797,) and type int64. Fresh arrays at each call.

    Notes
    -----
    The set is E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine
    Learning Repository, 1998, https://doi.org/10.24432/C50P49, under the licence CC BY 4.0. It
    has no fixed division into training and test images.

    Examples
    --------
    >>> images, labels = load_digits()
    >>> images.shape, images.dtype, int(images.max())
    ((1797, 8, 8), dtype('uint8'), 16)
    >>> labels[:5]
    array([0, 1, 2, 3, 4])
    """
    images = read_idx(_FOLDER / "images-idx3-ubyte.gz", ndim=3)
    labels = read_idx(_FOLDER / "labels-idx1-ubyte.gz", ndim=1)
    return Digits(images, labels.astype(np.int64))
