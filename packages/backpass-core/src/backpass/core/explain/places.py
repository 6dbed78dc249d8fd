"""Which line of the user's code asked for an operation."""

from __future__ import annotations

import functools
import itertools
import linecache
import os
import sys
from types import CodeType, FrameType

import numpy

from backpass.core.explain.model import Place

#: Libraries between the user's line and the primitive, by the first part of their modules' names.
_BETWEEN = ("scipy", "cupy", "optree")


def _folders() -> tuple[str, ...]:
    """Return where the code lies that is not the user's."""
    found = [*sys.modules["backpass"].__path__, *numpy.__path__]
    for name in _BETWEEN:
        found += getattr(sys.modules.get(name), "__path__", ())
    return tuple(f"{folder}{os.sep}" for folder in found)


class Places:
    """Finds the user's lines in the frames of the running thread, below a frame to begin from."""

    def __init__(self, outermost: FrameType | None = None) -> None:
        self._outermost = outermost
        self._folders = _folders()
        self._known: dict[tuple[CodeType, int], Place] = {}
        self._is_theirs: dict[CodeType, bool] = {}
        # The frames of the last operation, outermost first, and what they are called.
        self._last: list[FrameType] = []
        self._region: tuple[str, ...] = ()
        self._counts: dict[tuple[str, ...], int] = {}

    def here(self) -> tuple[Place | None, tuple[str, ...]]:
        """Return the user's line that is being run, and the calls that led to it."""
        frames: list[FrameType] = []
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame is not self._outermost:
            if self._theirs(frame.f_code):
                frames.append(frame)
            frame = frame.f_back
        if not frames:
            return None, ()
        innermost = frames[0]
        frames.reverse()
        return self._place(innermost), self._region_of(frames)

    def line(self, until: FrameType | None = None) -> Place | None:
        """Return the user's line that is being run, above the frame `until`; `None`: there is none.

        No frame is held.
        """
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and frame is not until and frame is not self._outermost:
            if self._theirs(frame.f_code):
                return self._place(frame)
            frame = frame.f_back
        return None

    def forget(self) -> None:
        """Let go of the frames."""
        self._last = []

    def _theirs(self, code: CodeType) -> bool:
        found = self._is_theirs.get(code)
        if found is None:
            file = code.co_filename
            found = not file.startswith((*self._folders, "<frozen", "<__array_function__"))
            self._is_theirs[code] = found
        return found

    def _place(self, frame: FrameType) -> Place:
        key = (frame.f_code, frame.f_lasti)
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = _read(frame)
        return found

    def _region_of(self, frames: list[FrameType]) -> tuple[str, ...]:
        """Return the names of the calls inside the function, each call of a function its own."""
        # The frames of the last operation are held until the next one, so that a frame that is the
        # same object is the same call.
        shared = 0
        for old, new in zip(self._last, frames):
            if old is not new:
                break
            shared += 1
        if shared == len(frames) == len(self._last):
            return self._region
        names = [name for name in map(_region_name, frames[1:shared]) if name]
        region = self._region[: len(names)]
        for frame in frames[max(shared, 1) :]:
            name = _region_name(frame)
            if name:
                inside = (*region, name)
                count = self._counts[inside] = self._counts.get(inside, 0) + 1
                region = inside if count == 1 else (*region, f"{name} ({count})")
        self._last, self._region = frames, region
        return region


def _region_name(frame: FrameType) -> str:
    """Return what a call is called: the function, or the class of an object that is called."""
    name = frame.f_code.co_qualname.rpartition("<locals>.")[2]
    for method in (".__call__", ".forward"):
        name = name.removesuffix(method)
    return "" if "<" in name else name


def _read(frame: FrameType) -> Place:
    linecache.lazycache(frame.f_code.co_filename, frame.f_globals)
    return _read_at(frame.f_code, frame.f_lasti, frame.f_lineno)


@functools.lru_cache(4096)
def _read_at(code: CodeType, instruction: int, lineno: int) -> Place:
    file = code.co_filename
    span = next(itertools.islice(code.co_positions(), instruction // 2, None))
    first, last, start, end = span
    line = lineno if first is None else first
    lines = [linecache.getline(file, n) for n in range(line, (last or line) + 1)]
    text = lines[0].strip()
    expression = ""
    if text and first is not None and start is not None and end is not None:
        # Columns count bytes.
        cut = [piece.encode() for piece in lines]
        cut[-1] = cut[-1][:end]
        cut[0] = cut[0][start:]
        expression = " ".join(b" ".join(cut).decode(errors="replace").split())
    return Place(file, line, text, expression, code.co_qualname)
