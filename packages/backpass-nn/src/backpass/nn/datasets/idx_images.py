"""Sets of 28 x 28 images in four IDX files: MNIST's, and those published in its form."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backpass.nn.datasets.download import DownloadError, download
from backpass.nn.datasets.idx import damaged, read_idx
from backpass.nn.datasets.places import folder_of

TRAIN = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
NAMES = (*TRAIN, *TEST)

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


class Publication(NamedTuple):
    """What distinguishes one such set from another.

    Attributes
    ----------
    title : str
        Its name, for messages.
    folder : str
        The name of its folder in the cache.
    below : bool
        Whether ``BACKPASS_DATA`` names the folder above that.
    balanced : bool
        Whether each class occurs equally often, in training and in testing. The files of all sets
        have the same names: this tells which of them they are.
    mirrors : sequence of str
        Where the files are published, for `download`.
    sha256 : mapping
        The SHA-256 of each compressed file, by its name without ``.gz``.
    """

    title: str
    folder: str
    below: bool
    balanced: bool
    mirrors: Sequence[str]
    sha256: Mapping[str, str]


def load(
    published: Publication, folder: str | os.PathLike[str] | None, logger: logging.Logger
) -> tuple[Images, Labels, Images, Labels]:
    """Load the images and labels for training, then those for testing.

    What is missing is downloaded. Test images alone are divided, and the logger is told.

    Raises
    ------
    FileNotFoundError, NotADirectoryError, ValueError
        If files are missing, the folder is a file, or files are not what they should be.
    """
    title, sha256 = published.title, published.sha256
    place, named_by = folder_of(title, published.folder, folder, published.below)
    files = {name: file for name in NAMES if (file := _find(place, name)) is not None}
    attempts: list[str] = []
    if named_by is None or set(files) != set(TEST):
        try:
            for name in NAMES:
                if name not in files:
                    files[name] = download(f"{name}.gz", sha256[name], published.mirrors, place)
        except DownloadError as error:
            attempts = error.attempts

    missing = [name for name in NAMES if name not in files]
    if not missing:
        return (*_read(published, files, *TRAIN), *_read(published, files, *TEST))
    if all(name in files for name in TEST):
        return _divide(title, *_read(published, files, *TEST), place, logger)
    raise FileNotFoundError(
        f"{title} could not be loaded. What was tried:\n"
        + "".join(f"  {place / name}[.gz]: there is no such file\n" for name in missing)
        + "".join(f"  {attempt}\n" for attempt in attempts)
        + f"Put the four files of {title} into a folder and name it "
        + ("in BACKPASS_DATA or as the argument `folder`" if named_by is None else f"in {named_by}")
        + ", or use load_digits(), which needs no files."
    )


def _find(folder: Path, name: str) -> Path | None:
    for file in (folder / f"{name}.gz", folder / name):
        if file.is_file():
            return file
    return None


def _read(
    published: Publication, files: dict[str, Path], images_name: str, labels_name: str
) -> tuple[Images, Labels]:
    title = published.title
    images = read_idx(files[images_name], ndim=3)
    labels = read_idx(files[labels_name], ndim=1)
    if images.shape[1:] != (28, 28) or len(images) == 0:
        raise damaged(
            files[images_name],
            f"it holds {len(images)} images of {images.shape[1]} x {images.shape[2]} pixels, "
            f"where {title} has images of 28 x 28",
        )
    if len(labels) != len(images):
        raise damaged(
            files[labels_name],
            f"it holds {len(labels)} labels for the {len(images)} images of {files[images_name]}",
        )
    if labels.max() > 9:
        raise damaged(
            files[labels_name], f"it holds the label {labels.max()}, where {title} has 0 to 9"
        )
    counts = np.bincount(labels, minlength=10)
    # In the whole sets only: the parts of one may be anything.
    if len(labels) in (10_000, 60_000) and (np.ptp(counts) == 0) != published.balanced:
        raise ValueError(
            f"{files[labels_name]} is not of {title}: its classes occur {counts.min():,} to "
            f"{counts.max():,} times. Other sets have files of the same names: give {title} a "
            "folder of its own"
        )
    return images, labels.astype(np.int64)


def _divide(
    title: str, images: Images, labels: Labels, place: Path, logger: logging.Logger
) -> tuple[Images, Labels, Images, Labels]:
    """Make a training and a test set of the test images alone."""
    n = len(images) * 4 // 5
    logger.warning(
        "%s: only the %s test images are in %s; the first %s are used for training and the "
        "last %s for testing",
        *(title, f"{len(images):,}", place, f"{n:,}", f"{len(images) - n:,}"),
    )
    return images[:n], labels[:n], images[n:], labels[n:]


__all__ = ["NAMES", "TEST", "TRAIN", "Publication", "load"]
