"""Where the files of data sets are kept."""

import os
from pathlib import Path


def folder_of(
    title: str, name: str, folder: str | os.PathLike[str] | None, below: bool = True
) -> tuple[Path, str | None]:
    """Return where the files of a data set belong, and what the user named this place with.

    Parameters
    ----------
    title : str
        The data set, for messages.
    name : str
        The name of its own folder, in the cache of the operating system.
    folder : path-like or None
        What the user passed as `folder`. It goes before the environment variable
        ``BACKPASS_DATA``, and that before the cache.
    below : bool
        Whether ``BACKPASS_DATA`` names the folder above the data set's own, rather than that.

    Raises
    ------
    NotADirectoryError
        If the place is a file.
    """
    named_by = "the argument `folder`"
    if folder is None:
        folder = os.environ.get("BACKPASS_DATA") or None
        if folder is not None and below:
            folder = Path(folder) / name
        named_by = "BACKPASS_DATA"
    if folder is None:
        import pooch  # type: ignore[import-untyped]

        return Path(pooch.os_cache("backpass")) / name, None
    place = Path(folder).expanduser()
    if place.exists() and not place.is_dir():
        raise NotADirectoryError(
            f"{named_by} must name the folder that holds the files of {title}, but {place} is a "
            "file"
        )
    return place, named_by


__all__ = ["folder_of"]
