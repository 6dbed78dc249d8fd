"""The guides for those who come from another library: their tables of equivalents."""

import re
from typing import Any

from .markdown import fenced
from .repository import ROOT

#: The pages, by the library's name at the head of their tables.
GUIDES = {
    "HIPS autograd": ROOT / "docs/guides/from-hips-autograd.md",
    "JAX": ROOT / "docs/guides/from-jax.md",
    "PyTorch": ROOT / "docs/guides/from-pytorch.md",
}


def equivalents(library: str) -> list[tuple[str, str]]:
    """List the rows of a guide's table: an expression of the library's, and one of Backpass's."""
    page = GUIDES[library].read_text(encoding="utf-8")
    table = page.partition(f"\n| {library} | Backpass |\n|---|---|\n")[2].partition("\n\n")[0]
    return re.findall(r"^\| `(.+?)` \| `(.+?)` \|$", table, re.MULTILINE)


def evaluate(library: str, language: str, expression: str) -> Any:
    """Return the value of a cell, after the program above the table in the same language.

    Those of the library are `py`, which `tests/test_readme.py` does not run; Backpass's are
    `python`.
    """
    path = GUIDES[library]
    page = path.read_text(encoding="utf-8").partition(f"\n| {library} | Backpass |\n")[0]
    program = [block.text for block in fenced(page) if block.language == language][-1]
    names: dict[str, Any] = {}
    exec(compile(program, path.name, "exec"), names)
    return eval(compile(expression, path.name, "eval"), names)
