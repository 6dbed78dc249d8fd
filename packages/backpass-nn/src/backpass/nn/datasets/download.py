"""Fetching one published file from the first of several mirrors that has it whole."""

from collections.abc import Sequence
from pathlib import Path

# Seconds without an answer, or between two pieces of one, after which the next mirror is tried.
_TIMEOUT = 10
_CHUNK = 1 << 16


class DownloadError(OSError):
    """No mirror gave the file.

    Attributes
    ----------
    attempts : list of str
        For each mirror, in the order tried, its address and why it failed.
    """

    def __init__(self, name: str, attempts: Sequence[str]) -> None:
        self.attempts = list(attempts)
        super().__init__(f"{name} could not be downloaded: {'; '.join(self.attempts)}")


def download(name: str, sha256: str, mirrors: Sequence[str], folder: Path) -> Path:
    """Download a file into a folder, with a progress bar.

    The data go to a temporary file, which gets its name only when its SHA-256 is right: a download
    that was broken off or altered on its way never passes for a whole file.

    Parameters
    ----------
    name : str
        The file's name, on the mirrors and in the folder.
    sha256 : str
        The SHA-256 of the whole file, as 64 hexadecimal digits.
    mirrors : sequence of str
        Addresses ending in ``/`` under which the file is published, the first choice first.
    folder : Path
        Where the file goes. It is made if there is none.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    DownloadError
        If no mirror gave the file.
    """
    import pooch  # type: ignore[import-untyped]

    attempts = []
    for mirror in mirrors:
        fetch = pooch.HTTPDownloader(progressbar=True, chunk_size=_CHUNK, timeout=_TIMEOUT)
        try:
            path = pooch.retrieve(
                mirror + name, f"sha256:{sha256}", fname=name, path=folder, downloader=fetch
            )
        # Connections, answers such as 404 and the disk fail as OSError, a wrong hash as ValueError.
        except (OSError, ValueError) as error:
            attempts.append(f"{mirror}{name}: {error}")
        else:
            return Path(path)
    raise DownloadError(name, attempts)
