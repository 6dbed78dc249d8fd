"""Writing a file so that under its name there is always a whole one: the old or the new."""

from __future__ import annotations

import contextlib
import errno
import glob
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # on Windows, which does not remove a file that is open
    fcntl = None  # type: ignore[assignment]

_END = ".tmp"


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[IO[bytes]]:
    """Give a file to write into that takes the place of `path` when the block ends.

    The data go to a temporary file in the same folder and are on the disk before it is renamed, and
    the new name is on the disk when the block has ended. Whatever happens before, an exception, a
    killed process or a power failure, the old file stays as it was.

    Parameters
    ----------
    path : Path
        Where the file goes. A symbolic link stays one: what it names is replaced.

    Raises
    ------
    OSError
        If it cannot be written, with its name.
    """
    path = Path(os.path.realpath(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path.parent} is no folder: make it before {path.name} is saved")
    remove_leftovers(path.parent, glob.escape(path.name))
    file = _temporary(path)
    try:
        with file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(file.name)
        if isinstance(error, OSError):  # a full disk's does not say which file
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise
    _sync_folder(path.parent)


def remove_leftovers(folder: Path, name: str) -> None:
    """Remove temporary files that killed processes have left in a folder.

    Parameters
    ----------
    folder : Path
        Where they are.
    name : str
        The name of the file that they were to become, as a pattern of `glob`.
    """
    for left in folder.glob(f".{name}.*{_END}"):
        with contextlib.suppress(OSError):  # raised while the process that writes it is alive
            if fcntl is None:
                left.unlink()
                continue
            with open(left, "rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()


def _temporary(path: Path) -> IO[bytes]:
    """Open a new file beside `path`, which is locked as long as it is open."""
    while True:
        name = f".{path.name}.{os.urandom(4).hex()}{_END}"
        file = open(path.with_name(name), "xb")  # noqa: SIM115
        with contextlib.suppress(OSError):  # file systems without locks
            if fcntl:
                fcntl.flock(file, fcntl.LOCK_EX)
        if os.path.exists(file.name):
            return file
        file.close()  # another process took it for a leftover before it was locked


def _sync_folder(folder: Path) -> None:
    """Bring a folder's new names to the disk, where the system can."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot
            raise
    finally:
        os.close(handle)


__all__ = ["remove_leftovers", "replacing"]
