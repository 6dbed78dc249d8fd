"""The fenced blocks of a Markdown file: its programs, their output, its commands."""

import contextlib
import io
import re
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

_FENCE = re.compile(r"^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """One fenced block: the language that it names, and its lines."""

    language: str
    text: str


def fenced(page: str) -> list[Block]:
    """List the fenced blocks of a text that name a language."""
    return [Block(match["language"], match["text"]) for match in _FENCE.finditer(page)]


def blocks(path: Path) -> list[Block]:
    """List the fenced blocks of a file that name a language."""
    return fenced(path.read_text(encoding="utf-8"))


def programs(path: Path) -> list[tuple[str, str | None]]:
    """Pair each Python program with the output that the page shows after it, if any."""
    return [
        (block.text, after.text if after.language == "text" else None)
        for block, after in pairwise([*blocks(path), Block("", "")])
        if block.language == "python"
    ]


def run(program: str, names: dict[str, Any]) -> str:
    """Run a program among ``names`` and give what it printed."""
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(program, "<program>", "exec"), names)
    return printed.getvalue()


def commands(path: Path) -> list[str]:
    """List the shell commands of a file, a line each, without comments."""
    lines = [
        line.partition("  #")[0].strip()
        for block in blocks(path)
        if block.language == "sh"
        for line in block.text.splitlines()
    ]
    return [line for line in lines if line]


def tables(page: str) -> list[dict[str, dict[str, str]]]:
    """List the tables of a text: a row's cells, by the row's first cell and the column's head."""
    found = []
    for text in re.findall(r"(?:^\|.*\|\n)+", page, re.MULTILINE):
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
        head, _, *body = rows
        found.append({row[0]: dict(zip(head[1:], row[1:])) for row in body})
    return found
