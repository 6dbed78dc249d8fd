"""The IDX file format, in which MNIST is published.

A file holds one array: two zero bytes, a byte for the type of its elements (8: unsigned bytes),
a byte for the number of its dimensions, each dimension as a big-endian 32-bit integer, and then
the elements, the last dimension running fastest. The format is described on the page that first
published MNIST (Y. LeCun, C. Cortes and C. J. C. Burges, "The MNIST database of handwritten
digits", http://yann.lecun.com/exdb/mnist/).
"""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import numpy.typing as npt

_GZIP_MAGIC = b"\x1f\x8b"
_UNSIGNED_BYTE = 8


def read_idx(path: Path, ndim: int) -> npt.NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes, compressed with gzip or not.

    Parameters
    ----------
    path : Path
        The file. Whether it is compressed is seen from its contents.
    ndim : int
        The number of dimensions that the array must have.

    Returns
    -------
    ndarray
        The array, of type uint8 and writeable.

    Raises
    ------
    ValueError
        If the file is damaged, is not an IDX file of unsigned bytes, has another number of
        dimensions, or is shorter or longer than its header says.
    OSError
        If the file cannot be read.
    """
    data = path.read_bytes()
    if data.startswith(_GZIP_MAGIC):
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise damaged(path, f"its gzip stream is broken off or damaged ({error})") from error

    expected = bytes([0, 0, _UNSIGNED_BYTE, ndim])
    if data[:4] != expected:
        raise damaged(
            path,
            f"it begins with the bytes {data[:4].hex(' ') or '(none)'}, where an IDX file of "
            f"unsigned bytes with {ndim} dimension{'s' * (ndim > 1)} begins with "
            f"{expected.hex(' ')}",
        )
    start = 4 + 4 * ndim
    if len(data) < start:
        raise damaged(path, f"it ends within its header, after {len(data)} bytes of {start}")
    shape = tuple(int(n) for n in np.frombuffer(data, ">u4", ndim, offset=4))
    found, needed = len(data) - start, math.prod(shape)
    if found != needed:
        raise damaged(
            path,
            f"its header promises {' x '.join(map(str, shape))} = {needed} bytes of data, "
            f"but {found} follow",
        )
    return np.frombuffer(data, np.uint8, offset=start).reshape(shape).copy()


def damaged(path: Path, fault: str) -> ValueError:
    """Return the error that names a file, its fault and the way out."""
    return ValueError(
        f"{path} cannot be used: {fault}. Delete the file and put a whole one in its place, "
        f"or let it be downloaded again."
    )
