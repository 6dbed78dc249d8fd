"""CIFAR-10: 60,000 colour photographs of 32 x 32 pixels."""

import gzip
import os
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from backpass.nn.datasets.download import DownloadError, download
from backpass.nn.datasets.idx import damaged
from backpass.nn.datasets.places import folder_of

#: The author's page, and the address to which it has moved.
MIRRORS = (
    "https://www.cs.toronto.edu/~kriz/",
    "https://cave.cs.toronto.edu/kriz/",
)
ARCHIVE = "cifar-10-binary.tar.gz"
SHA256 = "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"

#: What the labels mean.
CIFAR10_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)

#: The folder in the archive, its files, and the number of images in each.
_FOLDER = "cifar-10-batches-bin"
_TRAIN = tuple(f"data_batch_{i}.bin" for i in range(1, 6))
_TEST = ("test_batch.bin",)
IMAGES_PER_FILE = 10_000
_SHAPE = (3, 32, 32)


class Cifar10(NamedTuple):
    """CIFAR-10, divided into images to train on and images to test with.

    Attributes
    ----------
    train_images, test_images : ndarray of uint8, shape (n, 3, 32, 32)
        Red, green and blue, from 0 to 255.
    train_labels, test_labels : ndarray of int64, shape (n,)
        What is shown, 0 to 9: `CIFAR10_CLASSES`.
    """

    train_images: npt.NDArray[np.uint8]
    train_labels: npt.NDArray[np.int64]
    test_images: npt.NDArray[np.uint8]
    test_labels: npt.NDArray[np.int64]


def load_cifar10(folder: str | os.PathLike[str] | None = None) -> Cifar10:
    """Load CIFAR-10 from a folder, and download it if it is not there.

    The folder holds the six files of the binary version, ``data_batch_1.bin`` to
    ``test_batch.bin``, or the folder ``cifar-10-batches-bin`` with them, or the archive that they
    are published in, ``cifar-10-binary.tar.gz``. Otherwise the archive (162 MB) is downloaded, and
    taken only if its SHA-256 is the published one. It is read as it is: nothing is unpacked.

    Parameters
    ----------
    folder : path-like, optional
        Where the files are. If omitted, the folder ``cifar-10`` in the one that the environment
        variable ``BACKPASS_DATA`` names, or else in the cache of the operating system
        (``~/.cache/backpass`` on Linux).

    Returns
    -------
    Cifar10
        A named tuple ``(train_images, train_labels, test_images, test_labels)``: images of shape
        (n, 3, 32, 32) and type uint8 with values from 0 to 255, labels of shape (n,) and type
        int64. 50,000 are for training and 10,000 for testing.

    Raises
    ------
    FileNotFoundError
        If there are no files and the archive cannot be downloaded. The message lists all that was
        tried.
    NotADirectoryError
        If `folder` names a file.
    ValueError
        If a file is damaged or holds something else than CIFAR-10 does. The message names it.

    Notes
    -----
    A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009,
    https://www.cs.toronto.edu/~kriz/cifar.html, where the format is described too.

    Examples
    --------
    >>> data = load_cifar10()                                                   # doctest: +SKIP
    >>> data.train_images.shape                                                 # doctest: +SKIP
    (50000, 3, 32, 32)
    """
    place, named_by = folder_of("CIFAR-10", "cifar-10", folder)
    for unpacked in (place, place / _FOLDER):
        files = {name: unpacked / name for name in (*_TRAIN, *_TEST)}
        present = [name for name, file in files.items() if file.is_file()]
        if len(present) == len(files):
            return _read({name: (file, file.read_bytes()) for name, file in files.items()})
        if present:
            missing = ", ".join(name for name in files if name not in present)
            raise FileNotFoundError(
                f"CIFAR-10 could not be loaded: {unpacked} holds {', '.join(present)}, but not "
                f"{missing}. Put the missing files there, or delete the others"
            )
    archive = place / ARCHIVE
    if not archive.is_file():
        try:
            archive = download(ARCHIVE, SHA256, MIRRORS, place)
        except DownloadError as error:
            raise FileNotFoundError(
                "CIFAR-10 could not be loaded. What was tried:\n"
                f"  {place / _TRAIN[0]}, ...: there is no such file\n"
                f"  {archive}: there is no such file\n"
                + "".join(f"  {attempt}\n" for attempt in error.attempts)
                + f"Put {ARCHIVE} into a folder and name it "
                + ("as the argument `folder`." if named_by is None else f"in {named_by}.")
            ) from None
    return _read(_unpacked(archive))


def _unpacked(archive: Path) -> dict[str, tuple[Path, bytes]]:
    """Return the contents of the files in the archive, by their names."""
    import tarfile  # slow to import, and rarely needed

    found = {}
    try:
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as packed:
            for member in packed:
                name = Path(member.name).name
                file = packed.extractfile(member) if name in (*_TRAIN, *_TEST) else None
                if file is not None:
                    found[name] = archive / member.name, file.read()
            # The checksum of gzip is at the end, which the archive's own end may precede.
            while stream.read(1 << 20):
                pass
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise damaged(archive, f"it is broken off or damaged ({error})") from error
    for name in (*_TRAIN, *_TEST):
        if name not in found:
            raise damaged(archive, f"it holds no {name}")
    return found


def _read(files: Mapping[str, tuple[Path, bytes]]) -> Cifar10:
    train = [_images(*files[name]) for name in _TRAIN]
    (test,) = [_images(*files[name]) for name in _TEST]
    images, labels = zip(*train, strict=True)
    return Cifar10(np.concatenate(images), np.concatenate(labels), *test)


def _images(file: Path, data: bytes) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return the images and labels of a file: records of a label and three planes of pixels."""
    record = 1 + int(np.prod(_SHAPE))
    if len(data) != record * IMAGES_PER_FILE:
        raise damaged(
            file,
            f"it has {len(data):,} bytes, where a file of CIFAR-10 has {IMAGES_PER_FILE:,} images "
            f"of {record:,} bytes",
        )
    records = np.frombuffer(data, np.uint8).reshape(-1, record)
    labels = records[:, 0].astype(np.int64)
    if labels.max() > 9:
        raise damaged(file, f"it holds the label {labels.max()}, where CIFAR-10 has 0 to 9")
    return records[:, 1:].reshape(-1, *_SHAPE).copy(), labels
