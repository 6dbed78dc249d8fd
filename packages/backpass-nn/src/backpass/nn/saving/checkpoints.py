"""Checkpoints: everything that a training goes on from, in one file."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, NamedTuple

from backpass.nn import random as random_numbers
from backpass.nn.module import Module
from backpass.nn.saving.atomic import remove_leftovers
from backpass.nn.saving.files import CorruptFileError, read_file, read_metadata, write_file
from backpass.nn.saving.states import decode, encode
from backpass.nn.saving.weights import PathLike, state_of


class Checkpoint(NamedTuple):
    """What a checkpoint held.

    Attributes
    ----------
    path : Path
        Its file.
    step : int
        The number of the step after which it was written.
    values : dict
        What it holds beside the parts that it was loaded into, by its names.
    """

    path: Path
    step: int
    values: dict[str, Any]


def save_checkpoint(path: PathLike, *, step: int, **parts: Any) -> Path:
    """Save everything that a training goes on from, in one safetensors file.

    The file is there as a whole or not at all: until it is on the disk, an older one of that name
    stays, also if the process is killed.

    Parameters
    ----------
    path : str or path
        The file, by custom ``.safetensors``.
    step : int
        How many steps have been taken.
    **parts
        ``model=...``, ``optimizer=...``, ``schedule=...``, ``loader=...``: by names of your choice,
        objects with the methods ``state_dict()`` and ``load_state_dict(state)``; or values to keep,
        such as the best loss. A state is made of arrays, numbers, texts and `None`, and of lists,
        tuples and dicts of them. The random state of `backpass.nn` is added.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    TypeError
        If a part has neither a state nor is a value that can be saved.
    ValueError
        If `step` is negative, or a part is called ``random``.
    OSError
        If the file cannot be written.

    See Also
    --------
    Checkpoints : Keeps the last few of a training in a folder.

    Examples
    --------
    >>> import os, tempfile
    >>> from backpass import nn
    >>> path = os.path.join(tempfile.mkdtemp(), "last.safetensors")
    >>> model = nn.Linear(3, 2)
    >>> _ = nn.save_checkpoint(path, step=10, model=model, best_loss=0.25)
    >>> checkpoint = nn.load_checkpoint(path, model=model)
    >>> checkpoint.step, checkpoint.values
    (10, {'best_loss': 0.25})
    """
    return _write(Path(path), step, 0, parts)


def load_checkpoint(path: PathLike, *, random: bool = True, **parts: Any) -> Checkpoint:
    """Set the parts of a training to what a checkpoint holds, so that it goes on from there.

    Parameters
    ----------
    path : str or path
        A file that `save_checkpoint` or `Checkpoints` has written.
    random : bool
        Whether the random state of `backpass.nn` is set, too. Without it, and with the model alone,
        a checkpoint gives its model for use.
    **parts
        Objects with the methods ``state_dict()`` and ``load_state_dict(state)``, by the names that
        they were saved under. `None` is passed over.

    Returns
    -------
    Checkpoint
        With its step, and with the `values` that have not been loaded into parts.

    Raises
    ------
    CorruptFileError
        If the file is cut off, damaged, or no checkpoint.
    OSError
        If it cannot be read.
    ValueError
        If it does not have a part, or the state does not fit one: everything that does not fit is
        listed, and all parts are as they were.

    See Also
    --------
    save_checkpoint : Has an example.
    """
    return _restore(_read(Path(path)), random, parts)


class Checkpoints:
    """The last few checkpoints of a training, in a folder.

    Parameters
    ----------
    folder : str or path
        Where they lie, one file each; it is made when the first is saved.
    keep : int or None
        How many stay: older ones are removed when a new one is on the disk. `None` keeps all.

    Raises
    ------
    ValueError
        If `keep` is not at least 1.

    Examples
    --------
    >>> import tempfile
    >>> from backpass import nn
    >>> checkpoints = nn.Checkpoints(tempfile.mkdtemp(), keep=2)
    >>> model = nn.Linear(3, 2)
    >>> for step in (10, 20, 30):
    ...     _ = checkpoints.save(step=step, model=model)
    >>> [path.name for path in checkpoints.paths()]
    ['step-00000020.safetensors', 'step-00000030.safetensors']
    >>> checkpoints.load_latest(model=model).step
    30
    """

    _NAMES = "step-*.safetensors"

    def __init__(self, folder: PathLike, keep: int | None = 3) -> None:
        if keep is not None and keep < 1:
            raise ValueError(f"Checkpoints: `keep` is {keep}, but must be at least 1, or None")
        self.folder = Path(folder)
        self.keep = keep

    def save(self, *, step: int, **parts: Any) -> Path:
        """Save a checkpoint, and then remove those that are too many.

        Parameters
        ----------
        step : int
            How many steps have been taken; the file is called after it.
        **parts
            As in `save_checkpoint`, which see for what is raised.

        Returns
        -------
        Path
            The file.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        remove_leftovers(self.folder, self._NAMES)
        older, _ = self._numbered()
        path = self.folder / f"step-{step:08d}.safetensors"
        _write(path, step, older[-1][0] + 1 if older else 0, parts)
        if self.keep is not None:
            rest = [p for _, p in older if p != path]
            for old in rest[: max(0, len(rest) + 1 - self.keep)]:
                old.unlink(missing_ok=True)
        return path

    def paths(self) -> list[Path]:
        """Return the files, in the order in which they were written.

        Those whose headers cannot be read are left out; what else they hold is not looked at.
        """
        return [path for _, path in self._numbered()[0]]

    def load_latest(self, *, random: bool = True, **parts: Any) -> Checkpoint | None:
        """Set the parts of a training to what the newest whole checkpoint holds.

        Damaged files are passed over, with a warning for each.

        Parameters
        ----------
        random, **parts
            As in `load_checkpoint`, which see for what else is raised.

        Returns
        -------
        Checkpoint or None
            `None` if there is none: the training is to begin.

        Raises
        ------
        CorruptFileError
            If there are files, but all of them are damaged.
        """
        loaded = self._latest()
        return _restore(loaded, random, parts) if loaded else None

    def latest(self) -> Path | None:
        """Return the newest checkpoint that is whole, as `load_latest` finds it."""
        loaded = self._latest()
        return loaded.path if loaded else None

    def _latest(self) -> Checkpoint | None:
        found, unreadable = self._numbered()
        faults = []
        # The unreadable ones first, so that nobody takes an older file for the newest unawares.
        for path in [*unreadable, *(path for _, path in reversed(found))]:
            try:
                loaded = _read(path)
            except CorruptFileError as error:
                faults.append(str(error))
            else:
                for fault in faults:
                    warnings.warn(f"a checkpoint is passed over: {fault}", stacklevel=3)
                return loaded
        if faults:
            raise CorruptFileError(
                f"Checkpoints: none of the files in {self.folder} is whole:\n"
                + "\n".join(f"  {fault}" for fault in faults)
            )
        return None

    def _files(self) -> list[Path]:
        return [p for p in self.folder.glob(self._NAMES) if p.stem.removeprefix("step-").isdigit()]

    def _numbered(self) -> tuple[list[tuple[int, Path]], list[Path]]:
        """Return the files with their numbers, sorted by these, and those that cannot be read.

        The numbers count the files as they are written. Neither steps nor times could stand for
        them: a training that goes on from an older checkpoint repeats steps, and copies of files
        have other times.
        """
        found, unreadable = [], []
        for path in self._files():
            try:
                found.append((int(read_metadata(path)[1]["checkpoint"]["number"]), path))
            except (ValueError, KeyError, TypeError):
                unreadable.append(path)
        return sorted(found), sorted(unreadable, reverse=True)


def _write(path: Path, step: int, number: int, parts: dict[str, Any]) -> Path:
    if step < 0:
        raise ValueError(f"save_checkpoint: `step` is {step}, but it must not be negative")
    if "random" in parts:
        raise ValueError(
            "save_checkpoint: the random state of backpass.nn is saved as `random`: use another "
            "name for your part"
        )
    arrays: dict[str, Any] = {}
    states = {name: encode(_state(part), name, arrays) for name, part in parts.items()}
    states["random"] = encode(random_numbers.get_state(), "random", arrays)
    checkpoint = {"number": number, "step": int(step), "states": states}
    write_file(path, arrays, {}, {"checkpoint": checkpoint})
    return path


def _state(part: Any) -> Any:
    if isinstance(part, Module):
        return state_of(part)
    return part.state_dict() if hasattr(part, "state_dict") else part


def _read(path: Path) -> Checkpoint:
    """Return a checkpoint with all its states as values."""
    arrays, _, own = read_file(path)
    if "checkpoint" not in own:
        raise CorruptFileError(
            f"{path} holds arrays, but is no checkpoint: use load_into(model, path) for weights"
        )
    held = own["checkpoint"]
    values = {name: decode(code, arrays) for name, code in held["states"].items()}
    return Checkpoint(path, held["step"], values)


def _restore(held: Checkpoint, random: bool, parts: dict[str, Any]) -> Checkpoint:
    """Load a checkpoint's states into parts: into all, or into none."""
    wanted = {name: part for name, part in parts.items() if part is not None}
    for name, part in wanted.items():
        if not (hasattr(part, "state_dict") and hasattr(part, "load_state_dict")):
            raise TypeError(
                f"load_checkpoint: `{name}` is a {type(part).__name__} without the methods "
                "state_dict() and load_state_dict(state); values are in the result's `values`"
            )
    rest = dict(held.values)
    states = {name: rest.pop(name, None) for name in wanted}
    numbers = rest.pop("random")
    faults = [f"it has no `{name}`" for name, state in states.items() if state is None]
    if faults:
        faults.append(f"it has {', '.join(f'`{name}`' for name in held.values)}")
    else:
        before = {name: part.state_dict() for name, part in wanted.items()}
        numbers_before = random_numbers.get_state()
        done = False
        try:
            for name, part in wanted.items():
                try:
                    part.load_state_dict(states[name])
                except Exception as error:
                    faults.append(f"`{name}`: {error}".replace("\n", "\n  "))
            if random:
                random_numbers.set_state(numbers)
            done = not faults
        finally:
            if not done:
                for name, part in wanted.items():
                    part.load_state_dict(before[name])
                random_numbers.set_state(numbers_before)
    if faults:
        raise ValueError(
            f"load_checkpoint: {held.path} does not fit, and nothing has been changed:\n"
            + "\n".join(f"  {fault}" for fault in faults)
        )
    return Checkpoint(held.path, held.step, rest)


__all__ = ["Checkpoint", "Checkpoints", "load_checkpoint", "save_checkpoint"]
