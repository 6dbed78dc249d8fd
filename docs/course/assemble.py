"""Write minipass.py, the library of chapter 3, from the programs of that chapter.

    hatch run docs:minipass

Those programs whose output is shown try the library out; the others are the library.
"""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
if str(FOLDER.parents[1]) not in sys.path:
    sys.path.insert(0, str(FOLDER.parents[1]))

from tests.markdown import programs  # noqa: E402

LIBRARY = FOLDER / "minipass.py"
HEAD = '"""Backpass in a hundred lines: what chapter 3 of the course writes, put together."""\n'


def write() -> str:
    """Put the library together."""
    chapter = programs(FOLDER / "03-hundred-lines.md")
    parts = [program for program, output in chapter if output is None]
    return HEAD + "\n" + "\n\n".join(parts)


if __name__ == "__main__":
    LIBRARY.write_text(write(), encoding="utf-8")
